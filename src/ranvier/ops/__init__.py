"""Keras's ``ops``: array operations under its names, with its arguments' names, over `ranvier.numeric`.

They take tensors and arrays, in layers, losses, metrics and loops; called on symbolic values they are layers of the
functional model. Sorting needs values: it is not for what is compiled.
"""

from typing import Any

from ranvier.module.names import missing
from ranvier.ops.arrays import NEW
from ranvier.ops.elementwise import OPERATIONS

_KNOWN: dict[str, Any] = {**OPERATIONS, **{new.__name__: new for new in NEW}}
globals().update(_KNOWN)

__all__ = sorted(_KNOWN)  # noqa: PLE0605  # what the tables hold

__getattr__, __dir__ = missing("ranvier.ops", __all__)
