"""Scratch memory: values that are never live at the same time share memory."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from itertools import accumulate
from typing import TypeVar

import numpy as np

LINE = 64
Key = TypeVar("Key", bound=Hashable)
Life = tuple[int, int]  # when a value is first written and last read, both included


def round_up(size: int, to: int = LINE) -> int:
    return -(-size // to) * to


def pack(sizes: Mapping[Key, int], lives: Mapping[Key, Life]) -> tuple[dict[Key, int], int]:
    """An offset for each value so that no two live values overlap, and the bytes that all take.

    The best of three orders: the largest first, the longest lived, or those that live while most bytes do.
    """

    def largest(key: Key) -> int:
        return -sizes[key]

    def longest(key: Key) -> tuple[int, int]:
        return lives[key][0] - lives[key][1], -sizes[key]

    def crowded(key: Key) -> tuple[int, int, int]:
        first, last = lives[key]
        return -max(live[first : last + 1]), *longest(key)

    live = _live(sizes, lives)
    found: list[tuple[dict[Key, int], int]] = []
    for order in (largest, longest, crowded):
        found.append(_in_order(sorted(sizes, key=order), sizes, lives))
        if found[-1][1] == max(live):
            break
    return min(found, key=lambda packed: packed[1])


def _live(sizes: Mapping[Key, int], lives: Mapping[Key, Life]) -> list[int]:
    """The bytes that are live at each time."""
    changes = [0] * (2 + max((last for _, last in lives.values()), default=0))
    for key, size in sizes.items():
        first, last = lives[key]
        changes[first] += round_up(size)
        changes[last + 1] -= round_up(size)
    return list(accumulate(changes))


def _in_order(keys: Iterable[Key], sizes: Mapping[Key, int], lives: Mapping[Key, Life]) -> tuple[dict[Key, int], int]:
    """Each value in turn into the first gap that is large enough."""
    offsets: dict[Key, int] = {}
    total = 0
    # Lifetimes and offsets of the values placed so far, by offset. Arrays, since deep networks have thousands.
    placed = np.empty((4, len(sizes) + 1), np.int64)
    firsts, lasts, starts, ends = placed
    for count, key in enumerate(keys):
        size, (first, last) = round_up(sizes[key]), lives[key]
        near = ((firsts[:count] <= last) & (lasts[:count] >= first)).nonzero()[0]
        at = 0
        if len(near):
            # The end of everything up to each value.
            tops = np.maximum.accumulate(ends[near])
            before = starts[near]
            before[1:] -= tops[:-1]
            gap = int((before >= size).argmax())
            if before[gap] < size:
                at = int(tops[-1])
            elif gap:
                at = int(tops[gap - 1])
        place = int(starts[:count].searchsorted(at, side="right"))
        placed[:, place + 1 : count + 1] = placed[:, place:count]
        placed[:, place] = first, last, at, at + size
        offsets[key] = at
        total = max(total, at + size)
    return offsets, total
