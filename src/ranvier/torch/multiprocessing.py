"""``torch.multiprocessing``, for programs that set how loaders start processes; there is one process."""

from __future__ import annotations

from os import cpu_count
from typing import Any

from ranvier.ops.torch.missing_names import PROCESSES
from ranvier.support.errors import missing

__all__ = [
    "cpu_count", "get_all_sharing_strategies", "get_sharing_strategy", "set_sharing_strategy", "set_start_method",
    "spawn",
]  # fmt: skip


def set_start_method(method: str | None, force: bool = False) -> None:
    """Accepted, without effect: no process is started."""


def set_sharing_strategy(new_strategy: str) -> None:
    """Accepted, without effect: no memory is shared with another process."""


def get_sharing_strategy() -> str:
    """Always "file_descriptor"."""
    return "file_descriptor"


def get_all_sharing_strategies() -> set[str]:
    """Only "file_descriptor"."""
    return {"file_descriptor"}


def spawn(fn: Any, args: Any = (), nprocs: int = 1, join: bool = True, **options: Any) -> Any:
    """Raises RuntimeError: there is one process."""
    raise RuntimeError(f"torch.multiprocessing.spawn: {PROCESSES}. Write fn(0, *args) instead.")


__getattr__, __dir__ = missing("torch.multiprocessing", __all__)
