"""Damaged copies of files, for every format: cut off, with bits changed, with parts overwritten, repeated or left out."""

import contextlib
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ranvier.data.files import CheckpointError
from ranvier.interop.inspecting import inspect

WHOLE = "RANVIER_BRIDGES" in os.environ
"""Whether all tests of models in and out run, by ``make test-bridges``, and not a sample."""
COUNT = int(os.environ.get("RANVIER_BRIDGES", "60"))
"""How many damaged files of each format."""


LONGEST = 10  # seconds of processor time that the reading of one file may take
LARGEST = 1 << 30  # bytes of memory that all of them may take more than there was before


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """A limit of memory, beyond which Python raises MemoryError. Where the system has none, nothing."""
    if sys.platform != "linux":
        yield
        return
    import resource

    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + LARGEST, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def described(path):
    """Describe a damaged file, or refuse it."""
    with contextlib.suppress(CheckpointError):
        list(inspect(path).lines())


def damaged(data: bytes, seed: int = 0, count: int | None = None) -> Iterator[bytes]:
    """Copies of a file, of which each has one damage or a few, and is to be read without much memory or time."""
    draw = random.Random(seed)
    with limits():
        for changed in _changed(data, draw, count):
            began = time.process_time()
            yield changed
            assert time.process_time() - began < LONGEST, "a damaged file took too long"


def _changed(data: bytes, draw: random.Random, count: int | None) -> Iterator[bytes]:
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
