"""All of Keras's operations, by name."""

from importlib import import_module
from typing import Any

from ranvier.ops.keras.elementwise import OPERATIONS
from ranvier.support.errors import missing

_PARTS = [
    import_module(f"ranvier.ops.{name}")
    for name in ("keras.arrays", "keras.bins", "linalg", "keras.looping", "keras.placing", "keras.reducing")
]
KNOWN: dict[str, Any] = {
    **OPERATIONS,
    **{new.__name__: new for part in _PARTS for new in part.NEW},
    **{name: import_module(f"ranvier.ops.{name}") for name in ("linalg", "nn")},
}
globals().update(KNOWN)
look_up, names = missing(globals(), "ranvier.ops", sorted(KNOWN))
