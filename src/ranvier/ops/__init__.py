"""Keras's ``ops``: array operations under its names, with its arguments' names, over `ranvier.ops.arrays`.

They take tensors and arrays, in layers, losses, metrics and loops; a functional model records a call with symbolic
values. Sorting, quantiles and `linalg` are evaluated at once, so a compiled model cannot have them.
"""

from ranvier.ops import vocabulary
from ranvier.support.errors import missing

__all__ = sorted([*vocabulary.names("keras"), "linalg", "nn"])  # noqa: PLE0605 - what the table holds

__getattr__, __dir__ = missing("ranvier.ops", __all__, {"linalg": "ranvier.ops.linalg", "nn": "ranvier.ops.nn"},
    made=vocabulary.maker("keras"),
)  # fmt: skip
