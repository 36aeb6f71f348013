"""Shuffles: the transpose of a block of vectors, and vectors that several rows share.

A shared vector has the same number of lanes for each of its rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ranvier.engines.native.codegen.builder import Function
from ranvier.engines.native.target.lanes import LANES, vector


def transpose(f: Function, lines: Sequence[str], element: str) -> list[str]:
    """The transpose of a 16 by 16 block, by four rounds of pairwise interleaving."""
    current = list(lines)
    half = LANES // 2
    low = [i // 2 + (LANES if i % 2 else 0) for i in range(LANES)]
    for _ in range(4):
        following = []
        for x, y in zip(current[:half], current[half:], strict=True):
            following += [_choose(f, x, y, LANES, lanes, element) for lanes in (low, [half + i for i in low])]
        current = following
    return current


def join(f: Function, rows: Sequence[str], lanes: int, element: str) -> str:
    """Concatenate vectors (a power of two of them), each with ``lanes`` lanes."""
    current = list(rows)
    while len(current) > 1:
        both = range(2 * lanes)
        pairs = zip(current[::2], current[1::2], strict=True)
        current, lanes = [_choose(f, x, y, lanes, both, element) for x, y in pairs], 2 * lanes
    return current[0]


def part(f: Function, whole: str, at: int, lanes: int, element: str) -> str:
    """The lanes of one row of a shared vector, first in a vector; the other lanes are unused."""
    chosen = [at * lanes + min(i, lanes - 1) for i in range(LANES)]
    return _choose(f, whole, "poison", LANES, chosen, element)


def spread(f: Function, whole: str, lanes: int, at: int, element: str) -> str:
    """Each row's lanes of a shared vector filled with the element at position ``at`` of them."""
    return _choose(f, whole, "poison", LANES, [i // lanes * lanes + at for i in range(LANES)], element)


def repeat(f: Function, some: str, have: int, count: int, element: str) -> str:
    """The first ``count`` elements of a vector, repeated to 16 lanes."""
    return _choose(f, some, "poison", have, [i % count for i in range(LANES)], element)


def stretch(f: Function, some: str, count: int, element: str) -> str:
    """A vector of ``count`` lanes with each element repeated, to 16 lanes."""
    return _choose(f, some, "poison", count, [i * count // LANES for i in range(LANES)], element)


def _choose(f: Function, x: str, y: str, lanes: int, chosen: Iterable[int], element: str) -> str:
    numbers = ", ".join(f"i32 {i}" for i in chosen)
    type_, count = vector(element, lanes), numbers.count("i32")
    return f.op(f"shufflevector {type_} {x}, {type_} {y}, <{count} x i32> <{numbers}>")
