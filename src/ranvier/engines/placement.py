"""The devices among which batches and weights are divided, if they were chosen: see `ranvier.distribution`."""

from __future__ import annotations

from typing import NamedTuple

from ranvier.support.changes import counted


class Placement(NamedTuple):
    """A grid of devices."""

    shape: tuple[int, ...]
    axes: tuple[str, ...]
    devices: tuple[str, ...]
    """All of them in order, as in "cpu:0"."""
    batch: str
    """The axis that divides a batch."""
    reads_all: bool = True
    """Whether a source of batches gives those of all processes, of which each reads its rows."""
    layouts: tuple[tuple[str, tuple[str | None, ...]], ...] = ()
    """The axes that divide weights and outputs, by their paths."""


_placement: Placement | None = None


def set_placement(placement: Placement | None) -> None:
    """Choose the devices of the programs that run steps over batches; None for those of the engine."""
    global _placement
    _placement = placement
    counted[0] += 1


def get_placement() -> Placement | None:
    """The devices of the programs that run steps over batches, if they were chosen."""
    return _placement
