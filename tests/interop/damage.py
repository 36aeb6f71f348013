"""Damaged copies of files, for every format: cut off, with bits changed, with parts overwritten, repeated or left out."""

import os
import random
from collections.abc import Iterator

WHOLE = "RANVIER_BRIDGES" in os.environ
"""Whether all tests of models in and out run, by ``make test-bridges``, and not a sample."""
COUNT = int(os.environ.get("RANVIER_BRIDGES", "60"))
"""How many damaged files of each format."""


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
