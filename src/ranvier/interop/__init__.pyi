# Written by `python -m tests.stubs --write`; a test holds it against the code.
from ranvier.interop.code import to_code as to_code
from ranvier.interop.files import load_model as load_model
from ranvier.interop.files import load_weights as load_weights
from ranvier.interop.files import save as save
from ranvier.interop.files import save_weights as save_weights
from ranvier.interop.keras.live import from_keras as from_keras
from ranvier.interop.keras.live import to_keras as to_keras
from ranvier.interop.onnx.model import from_onnx as from_onnx
from ranvier.interop.torch.exported import from_torch as from_torch
from ranvier.interop.torch.live import to_torch as to_torch

__all__ = ['from_keras', 'from_onnx', 'from_torch', 'load_model', 'load_weights', 'save', 'save_weights', 'to_code', 'to_keras', 'to_torch']
