"""Keras's ``ops.linalg``: norms, and NumPy's solvers and decompositions, evaluated at once."""

from ranvier.ops import vocabulary
from ranvier.support.errors import missing

__all__ = vocabulary.names("keras", "linalg.")  # noqa: PLE0605 - what the table holds

__getattr__, __dir__ = missing("ranvier.ops.linalg", __all__, made=vocabulary.maker("keras", "linalg."))
