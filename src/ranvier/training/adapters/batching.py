"""Several batches of a source that are checked and run as one, and copied once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ranvier.support.tree import flatten, map_structure

Parts = tuple[Any, ...]  # (x, y, sample_weight)
GROUP_BYTES = 1 << 23  # the most bytes of batches that are taken together


class Raw:
    """One batch as it came: x, y and the weights, each an array, a tuple or dict of arrays, or None."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts
        self.arrays = [leaf for leaf in flatten(parts) if leaf is not None]
        self.n = len(self.arrays[0])
        self.plain = all(type(a) is np.ndarray for a in self.arrays)
        self.kind = tuple(map(kind, parts)) if self.plain else None


class Group:
    """Batches that are checked and run together, copied as they come, since a source may reuse its arrays."""

    def __init__(self, first: Raw, most: int) -> None:
        self.first = first
        size = sum(a.nbytes for a in first.arrays)
        most = min(most, max(1, GROUP_BYTES // max(1, size)))
        self.buffers = [np.empty((most * first.n, *a.shape[1:]), a.dtype) for a in first.arrays]
        self.stops: list[int] = []  # where each batch ends
        self.most, self.full = most, False
        self.add(first)

    def takes(self, raw: Raw) -> bool:
        """Whether this batch may be added to the group."""
        return raw.kind == self.first.kind and raw.n <= self.first.n

    def add(self, raw: Raw) -> None:
        start = self.stops[-1] if self.stops else 0
        for buffer, array in zip(self.buffers, raw.arrays, strict=True):
            buffer[start : start + raw.n] = array
        self.stops.append(start + raw.n)
        self.full = len(self.stops) == self.most or raw.n < self.first.n

    def parts(self, start: int = 0, stop: int | None = None) -> Parts:
        arrays = iter([b[start : self.stops[-1] if stop is None else stop] for b in self.buffers])
        return map_structure(self.first.parts, np.ndarray, lambda _: next(arrays))

    def each(self) -> Iterator[Parts]:
        """The parts of each batch."""
        for start, stop in zip([0, *self.stops], self.stops, strict=False):
            yield self.parts(start, stop)


def kind(part: Any) -> Any:
    """The containers, dtypes and shapes that all batches of a group share."""
    if isinstance(part, dict):
        return tuple((name, kind(p)) for name, p in part.items())
    if isinstance(part, tuple):
        return tuple(map(kind, part))
    return None if part is None else (part.dtype, part.shape[1:])
