"""Changes of modules that invalidate compiled programs: members added, removed or replaced, attributes assigned.

Every module counts its own changes, and the process counts all of them, so that code which runs often compares one
number. Assignments within ``forward`` are not counted, nor those to attributes that tracing does not read (`QUIET`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from ranvier.support.changes import counted

QUIET = frozenset({
    "training", "built", "name", "history", "stop_training", "_input_type", "_input_types", "_input_container",
    "_built_shape", "_compiled", "_frame_columns", "_types", "_end", "_end_mask", "optimizer",
})  # fmt: skip
_everywhere = [0]


class Changing(Protocol):
    """A module that counts its changes."""

    _changes: int

    def modules(self) -> Iterator[Changing]: ...


def changed(module: Any) -> None:
    """Count a change of a module."""
    module.__dict__["_changes"] += 1
    counted[0] += 1


def changed_everywhere() -> None:
    """Count a change of all modules, such as a hook that is called with each."""
    _everywhere[0] += 1
    counted[0] += 1


def structure(module: Changing) -> tuple[Any, ...]:
    """The key of a program compiled for a module: the identity of each module in it and its number of changes."""
    return (_everywhere[0], *((id(m), m._changes) for m in module.modules()))
