"""Statistics of large arrays, estimated from some rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ranvier.data.convert import Array

ROWS, ELEMENTS = 1024, 1 << 17  # the most rows and elements of a sample
WIDTH = 32  # the least elements of a row for which sparsity is used
# The result is one of these levels, so that parts of the same data rarely differ.
LEVELS = (0.9, 0.75, 0.6, 0.45)


def sample(array: Array) -> Array:
    """Evenly spaced rows of an array."""
    width = max(1, array[:1].size)
    rows = min(len(array), max(16, min(ROWS, ELEMENTS // width)))
    return array[:: max(1, len(array) // rows)][:rows]


def in_floats(rows: Array) -> Iterator[Array]:
    """The rows of (rows, features) in float64, some at a time: all rows of a sample of large images would take much."""
    some = max(1, ELEMENTS // max(1, rows.shape[1]))
    for start in range(0, len(rows), some):
        yield rows[start : start + some].astype(np.float64)


def fraction_of_zeros(array: Array) -> float:
    """The fraction of zeros in an array, rounded down to one of LEVELS, or to 0.

    The result for an array of only zeros is 0 too, because it may be filled later.
    """
    if array.ndim < 2 or array[:1].size < WIDTH:
        return 0.0
    rows = sample(array)
    fraction = 1 - np.count_nonzero(rows) / rows.size
    return next((level for level in LEVELS if 1 > fraction >= level), 0.0)
