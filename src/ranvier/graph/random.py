"""Counter-based random bits: element i of a stream is a pure function of (seed, stream, i).

So neither the number of threads, the width of a vector, nor the order of evaluation can change a random number. The
generator is Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
SC 2011). It needs only 32-bit additions, rotations and exclusive-ors.
"""

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


def threefry_block(
    k0: int, k1: int, counters: NDArray[np.uint64]
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
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
