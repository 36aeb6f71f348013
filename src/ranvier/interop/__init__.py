"""Models in and out: files and models of other libraries. Each file is read as data, never as code."""

from ranvier.support.errors import lazy_names

__getattr__, __dir__, __all__ = lazy_names("ranvier.interop", {
    "ranvier.interop.files": "load_model load_weights save save_weights",
    "ranvier.interop.code": "to_code",
    "ranvier.interop.keras.live": "from_keras to_keras",
    "ranvier.interop.onnx.model": "from_onnx",
    "ranvier.interop.torch.exported": "from_torch",
    "ranvier.interop.torch.live": "to_torch",
})  # fmt: skip
