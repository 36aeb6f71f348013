"""Keras's ``ops``: array operations under its names, with its arguments' names, over `ranvier.ops.arrays`.

They take tensors and arrays, in layers, losses, metrics and loops; a functional model records a call with symbolic
values. Sorting, quantiles and `linalg` are evaluated at once, so a compiled model cannot have them.

``x``, ``x1`` and ``x2`` are tensors, arrays or numbers of any shape, which broadcast as NumPy's do. ``axis`` is a
dimension, counted from the end where it is negative, or a tuple of them; None takes all. ``keepdims`` leaves a
dimension of 1 in place of a reduced one. Results are new tensors. Arguments that do not fit raise ValueError, with the
shapes and what to write instead. The names, arguments and results are those of Keras 3, and of NumPy.
"""

from ranvier.ops import vocabulary
from ranvier.support.errors import missing

_MODULES = {"image": "ranvier.ops.image", "linalg": "ranvier.ops.linalg", "nn": "ranvier.ops.nn"}
__all__ = sorted([*vocabulary.names("keras"), *_MODULES])  # noqa: PLE0605 - what the table holds

__getattr__, __dir__ = missing("ranvier.ops", __all__, _MODULES, made=vocabulary.maker("keras"))
