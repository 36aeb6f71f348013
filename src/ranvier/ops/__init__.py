"""Keras's ``ops``: array operations under its names, with its arguments' names, over `ranvier.numeric`.

They take tensors and arrays, in layers, losses, metrics and loops; called on symbolic values they are layers of the
functional model. Sorting, quantiles and `linalg` need values: they are not for what is compiled.
"""

from typing import Any

from ranvier.ops import arrays, bins, images, linalg, looping, nn, placing, reducing
from ranvier.ops.elementwise import OPERATIONS
from ranvier.support.errors import missing

_MADE = (new for part in (arrays, bins, linalg, looping, placing, reducing) for new in part.NEW)
_KNOWN: dict[str, Any] = {**OPERATIONS, **{new.__name__: new for new in _MADE}, "linalg": linalg, "nn": nn}
globals().update(_KNOWN)
del arrays, bins, images, looping, placing, reducing

__all__ = sorted(_KNOWN)  # noqa: PLE0605  # what the tables hold

__getattr__, __dir__ = missing(globals(), "ranvier.ops", __all__)
