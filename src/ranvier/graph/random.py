"""Random numbers of programs, and shuffles of rows: the same in every engine.

Random bits are counter-based: element i of a stream is a pure function of (seed, stream, i).

So neither the number of threads, the width of a vector, nor the order of evaluation can change a random number. The
generator is Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
SC 2011). It needs only 32-bit additions, rotations and exclusive-ors.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
"""Left rotations of the four rounds between two key additions, which take turns."""

KEY_PARITY = 0x1BD11BDA
"""The third key word is the exclusive-or of the first two and this constant."""

KEY_ADDITIONS = 5
"""Number of groups of four rounds, each followed by a key addition: 20 rounds."""


def threefry(k0: int, k1: int, counters: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Random bits of the elements numbered by `counters` (any shape, uint64) under the key (k0, k1).

    The key is (seed, stream), each taken modulo 2**32. The block of element i is the words (i mod 2**32, i >> 32); its
    first word of output is the result, an array of uint32 of the same shape.
    """
    return threefry_block(k0, k1, counters)[0]


def threefry_block(k0: int, k1: int, counters: NDArray[np.uint64]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Both words of output of each element's block; see `threefry`."""
    # Arrays, also of 0 dimensions: NumPy warns of overflow in scalars only.
    counters = np.asarray(counters, dtype=np.uint64)
    shape = counters.shape
    counters = counters.reshape(-1)
    k0, k1 = k0 & 0xFFFFFFFF, k1 & 0xFFFFFFFF
    keys = tuple(np.array([key], np.uint32) for key in (k0, k1, k0 ^ k1 ^ KEY_PARITY))
    x0 = counters.astype(np.uint32) + keys[0]
    x1 = (counters >> np.uint64(32)).astype(np.uint32) + keys[1]
    for group in range(KEY_ADDITIONS):
        for rotation in ROTATIONS[group % 2]:
            x0 += x1
            x1 = (x1 << np.uint32(rotation)) | (x1 >> np.uint32(32 - rotation))
            x1 ^= x0
        x0 += keys[(group + 1) % 3]
        x1 += keys[(group + 2) % 3] + np.array([group + 1], np.uint32)
    return x0.reshape(shape), x1.reshape(shape)


# SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): the increment of its
# state, and the shifts and factors that turn a state into a random number.
GOLDEN = 0x9E3779B97F4A7C15
MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))


def shuffle(rows: Any, seed: int, out: Any = None) -> Any:
    """The int32 numbers ``rows`` in an order that ``seed`` (64 bits) alone decides, as an array (``out`` if given).

    This is Fisher and Yates's shuffle: from the last element on, each is swapped with one up to itself, which
    SplitMix64 draws.
    """
    with np.errstate(over="ignore"):
        bits = np.uint64(seed) + np.arange(1, max(len(rows), 1), dtype=np.uint64) * np.uint64(GOLDEN)
        for shift, factor in MIX:
            bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    numbers = rows.tolist()
    for last, drawn in zip(range(len(numbers) - 1, 0, -1), bits.tolist(), strict=True):
        other = drawn * (last + 1) >> 64
        numbers[last], numbers[other] = numbers[other], numbers[last]
    order = np.empty_like(rows) if out is None else out
    order[...] = numbers
    return order
