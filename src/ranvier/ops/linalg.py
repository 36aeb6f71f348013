"""Keras's ``ops.linalg``: NumPy's solvers and decompositions, of values at hand and without gradients; and norms."""

from ranvier.ops import vocabulary
from ranvier.support.errors import missing

__all__ = vocabulary.names("keras", "linalg.")  # noqa: PLE0605 - what the table holds

__getattr__, __dir__ = missing("ranvier.ops.linalg", __all__, made=vocabulary.maker("keras", "linalg."))
