"""Scratch memory: values that are never live at the same time share memory."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

import numpy as np

LINE = 64
Key = TypeVar("Key", bound=Hashable)
Life = tuple[int, int]  # when a value is first written and last read, both included


def round_up(size: int, to: int = LINE) -> int:
    return -(-size // to) * to


def pack(sizes: Mapping[Key, int], lives: Mapping[Key, Life]) -> tuple[dict[Key, int], int]:
    """An offset for each value so that no two live values overlap, and the bytes that all take.

    The better of two orders: the largest first, or the longest lived.
    """

    def largest(key: Key) -> int:
        return -sizes[key]

    def longest(key: Key) -> tuple[int, int]:
        return lives[key][0] - lives[key][1], -sizes[key]

    packed = (_in_order(sorted(sizes, key=order), sizes, lives) for order in (largest, longest))
    return min(packed, key=lambda found: found[1])


def _in_order(keys: Iterable[Key], sizes: Mapping[Key, int], lives: Mapping[Key, Life]) -> tuple[dict[Key, int], int]:
    """Each value in turn into the first gap that is large enough."""
    offsets: dict[Key, int] = {}
    total = 0
    # Lifetimes and offsets of the values placed so far. Arrays, since deep networks have thousands.
    firsts, lasts, starts, ends = np.empty((4, len(sizes)), np.int64)
    for count, key in enumerate(keys):
        size, (first, last) = round_up(sizes[key]), lives[key]
        near = np.flatnonzero((firsts[:count] <= last) & (lasts[:count] >= first))
        near = near[starts[near].argsort(kind="stable")]
        # The end of everything before each value.
        tops = np.maximum.accumulate(np.concatenate([[0], ends[near]]))
        gaps = np.flatnonzero(tops[:-1] + size <= starts[near])
        at = int(tops[gaps[0] if len(gaps) else -1])
        offsets[key] = at
        firsts[count], lasts[count], starts[count], ends[count] = first, last, at, at + size
        total = max(total, at + size)
    return offsets, total
