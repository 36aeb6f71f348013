"""Keras's ``ops.nn``: the operations of `ranvier.ops` for networks."""

from ranvier.ops import vocabulary
from ranvier.support.errors import missing

__all__ = vocabulary.names("keras", "nn.")  # noqa: PLE0605 - what the table holds

__getattr__, __dir__ = missing("ranvier.ops.nn", __all__, made=vocabulary.maker("keras", "nn."))
