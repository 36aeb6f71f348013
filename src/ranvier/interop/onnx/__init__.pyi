# Written by `python -m tests.stubs --write`; a test holds it against the code.
from ranvier.interop.foreign import UnsupportedError as UnsupportedError
from ranvier.interop.onnx.backend import prepare as prepare
from ranvier.interop.onnx.backend import run_model as run_model
from ranvier.interop.onnx.backend import run_node as run_node
from ranvier.interop.onnx.backend import supports_device as supports_device
from ranvier.interop.onnx.exporting import export as export
from ranvier.interop.onnx.model import from_onnx as from_onnx

__all__ = ['UnsupportedError', 'export', 'from_onnx', 'prepare', 'run_model', 'run_node', 'supports_device']
