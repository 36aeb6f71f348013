"""Scratch memory: values that never live at the same time lie in the same place."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

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
    for key in keys:
        size, (first, last) = round_up(sizes[key]), lives[key]
        near = [k for k in offsets if lives[k][0] <= last and first <= lives[k][1]]
        at = 0
        for other in sorted(near, key=offsets.__getitem__):
            if at + size <= offsets[other]:
                break
            at = max(at, offsets[other] + round_up(sizes[other]))
        offsets[key] = at
        total = max(total, at + size)
    return offsets, total
