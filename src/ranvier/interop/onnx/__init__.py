"""Models of ONNX come in (`from_onnx`); and this module is a backend in ONNX's own convention.

``prepare(model).run(inputs)`` runs a model, ``run_node(node, inputs)`` one operator, and ``supports_device("CPU")`` is
True.
"""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("ranvier.interop.onnx", {
    "ranvier.interop.onnx.backend": "prepare run_model run_node supports_device",
    "ranvier.interop.onnx.exporting": "export",
    "ranvier.interop.onnx.model": "from_onnx",
    "ranvier.interop.foreign": "UnsupportedError",
})  # fmt: skip
