"""Damaged copies of files, for every format: cut off, with bits changed, with parts overwritten, repeated or left out."""

import os
import random
from collections.abc import Iterator

COUNT = int(os.environ.get("RANVIER_DAMAGED", "60"))
"""How many of each format: a sample, and 2,000 by ``make test-bridges``."""


def damaged(data: bytes, seed: int = 0, count: int | None = None) -> Iterator[bytes]:
    """Copies of a file, of which each has one damage or a few."""
    draw = random.Random(seed)
    for number in range(COUNT if count is None else count):
        changed = bytearray(data)
        at = draw.randrange(1, len(data))
        kind = number % 6
        if kind == 0:
            del changed[at:]
        elif kind == 1:
            changed[at] ^= 1 << draw.randrange(8)
        elif kind == 2:
            for _ in range(draw.randrange(2, 9)):
                changed[draw.randrange(len(data))] = draw.randrange(256)
        elif kind == 3:
            changed[at : at + draw.randrange(1, 64)] = bytes(draw.randrange(1, 64))
        elif kind == 4:
            del changed[at : at + draw.randrange(1, 64)]
        else:
            other = draw.randrange(len(data))
            changed[at:at] = data[other : other + draw.randrange(1, 64)]
        if changed != data:
            yield bytes(changed)
