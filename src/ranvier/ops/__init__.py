"""Keras's ``ops``: array operations under its names, with its arguments' names, over `ranvier.ops.arrays`.

They take tensors and arrays, in layers, losses, metrics and loops; called on symbolic values they are layers of the
functional model. Sorting, quantiles and `linalg` need values: they are not for what is compiled.
"""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("__") and name != "__all__":
        raise AttributeError(f"module 'ranvier.ops' has no attribute {name!r}")
    vocabulary = import_module("ranvier.ops.vocabulary")
    globals().update(vocabulary.KNOWN, __all__=sorted(vocabulary.KNOWN))
    return globals()[name] if name in globals() else vocabulary.look_up(name)


def __dir__() -> list[str]:
    return list(import_module("ranvier.ops.vocabulary").names())
