"""The processes that train one model together: one, unless `ranvier.distribution.initialize` has joined several.

Nothing is imported here. `engines/jax_processes.py` has the group of several processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Group(Protocol):
    """Several processes, of which this is one. All of them call the same methods in the same order."""

    number: int
    """Of this process, from 0."""
    count: int
    seed: int
    """Of random numbers, the same in all processes, for programs that set none."""

    @property
    def reads_all(self) -> bool:
        """Whether a source of batches gives those of all processes, of which this one reads its rows."""

    def part(self, rows: int) -> tuple[int, int]:
        """The first row of a batch that the devices of this process compute, and the row after the last."""

    def exchange(self, what: str, numbers: Sequence[float]) -> Any:
        """The numbers of all processes, as an array with a row for each. ``what`` must be the same in all of them."""

    def texts(self, text: str) -> list[str]:
        """The texts of all processes."""

    def from_first(self, data: bytes) -> bytes:
        """The bytes that the first process was given."""


group: Group | None = None


def share(rows: int) -> tuple[int, int]:
    """The rows of all data that this process checks: its first, and the row after the last."""
    if group is None:
        return 0, rows
    return group.number * rows // group.count, (group.number + 1) * rows // group.count


def writes() -> bool:
    """Whether this process writes files and shows progress: the first one does."""
    return group is None or group.number == 0


def of_first(what: str, number: float) -> float:
    """The number that the first process has."""
    return number if group is None else float(group.exchange(what, (number,))[0, 0])


def largest(what: str, *numbers: float) -> list[float]:
    """The largest of each number among all processes, which all of them know then."""
    return list(numbers) if group is None else [float(n) for n in group.exchange(what, numbers).max(0)]
