"""How often the programs that run now go over their data, as `fit` knows beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_passes: ContextVar[int] = ContextVar("passes", default=1)


@contextmanager
def planned_passes(count: int) -> Iterator[None]:
    """Within it, programs run ``count`` passes over their data: an engine may prepare more for many."""
    token = _passes.set(count)
    try:
        yield
    finally:
        _passes.reset(token)


def get_planned_passes() -> int:
    """The passes over the data that are planned; 1 where nothing is known."""
    return _passes.get()
