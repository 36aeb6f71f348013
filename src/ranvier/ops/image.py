"""Keras's ``ops.image``: images of other sizes, and their patches."""

from ranvier.ops import vocabulary
from ranvier.support.errors import missing

__all__ = vocabulary.names("keras", "image.")  # noqa: PLE0605 - what the table holds

__getattr__, __dir__ = missing("ranvier.ops.image", __all__, made=vocabulary.maker("keras", "image."))
