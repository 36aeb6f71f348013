"""Changes of a module that compiled programs must notice: parts put in, taken out or replaced, attributes assigned.

Every module counts its own changes, and the process counts them all, so that code which runs often asks one number
whether anything at all changed. What ``forward`` assigns while it runs is no change, nor is what is not looked at
when a model is traced (`QUIET`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

__all__ = ["QUIET", "changed", "changes", "structure"]

QUIET = frozenset({
    "training", "built", "name", "history", "stop_training", "_input_type", "_input_types", "_input_form",
    "_built_shape", "_compiled", "_frame_columns", "_types", "_end", "optimizer",
})  # fmt: skip
_all = [0]


class Changing(Protocol):
    """A module, as far as its changes go."""

    _changes: int

    def modules(self) -> Iterator[Changing]: ...


def changed(module: Any) -> None:
    """Note that a module is not what it was."""
    module.__dict__["_changes"] += 1
    _all[0] += 1


def changes() -> int:
    """How many changes there have been of any module of the process."""
    return _all[0]


def structure(module: Changing) -> tuple[Any, ...]:
    """What a program that was compiled for a module depends on: the modules in it, each as it was last changed."""
    return tuple((id(m), m._changes) for m in module.modules())
