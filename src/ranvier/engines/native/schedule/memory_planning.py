"""Scratch memory: values that never live at the same time lie in the same place."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

import numpy as np

LINE = 64
Key = TypeVar("Key", bound=Hashable)
Life = tuple[int, int]  # when a value is first made and last read, both included


def round_up(size: int, to: int = LINE) -> int:
    return -(-size // to) * to


def pack(sizes: Mapping[Key, int], lives: Mapping[Key, Life]) -> tuple[dict[Key, int], int]:
    """An offset for each value so that none overlaps another while both live, and the bytes that all take.

    Of two orders the better one: the largest first, or those that live longest.
    """

    def largest(key: Key) -> int:
        return -sizes[key]

    def longest(key: Key) -> tuple[int, int]:
        return lives[key][0] - lives[key][1], -sizes[key]

    packed = (_in_order(sorted(sizes, key=order), sizes, lives) for order in (largest, longest))
    return min(packed, key=lambda found: found[1])


def _in_order(
    keys: Iterable[Key], sizes: Mapping[Key, int], lives: Mapping[Key, Life]
) -> tuple[dict[Key, int], int]:
    """Each value in turn into the first gap that takes it."""
    offsets: dict[Key, int] = {}
    total = 0
    # Of what has a place: when it lives, and where it lies. Arrays, since deep networks keep thousands.
    firsts, lasts, starts, ends = np.empty((4, len(sizes)), np.int64)
    for count, key in enumerate(keys):
        size, (first, last) = round_up(sizes[key]), lives[key]
        near = np.flatnonzero((firsts[:count] <= last) & (lasts[:count] >= first))
        near = near[starts[near].argsort(kind="stable")]
        tops = np.maximum.accumulate(np.concatenate([[0], ends[near]]))  # of all that lies before each
        gaps = np.flatnonzero(tops[:-1] + size <= starts[near])
        at = int(tops[gaps[0] if len(gaps) else -1])
        offsets[key] = at
        firsts[count], lasts[count], starts[count], ends[count] = first, last, at, at + size
        total = max(total, at + size)
    return offsets, total
