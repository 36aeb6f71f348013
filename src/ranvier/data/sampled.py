"""Some rows of an array in place of all: what is soon told of large data."""

from __future__ import annotations

import numpy as np

from ranvier.data.convert import Array

__all__ = ["sample", "share_of_zeros"]

ROWS, ELEMENTS = 1024, 1 << 17  # the most that is looked at
WIDTH = 32  # elements of a row, of which fewer are not worth it
# Levels, so that parts of the same data hardly ever differ.
SHARES = (0.9, 0.75, 0.6, 0.45)


def sample(array: Array) -> Array:
    """Some rows of an array, evenly spread."""
    width = max(1, array[:1].size)
    rows = min(len(array), max(16, min(ROWS, ELEMENTS // width)))
    return array[:: max(1, len(array) // rows)][:rows]


def share_of_zeros(array: Array) -> float:
    """The share of an array's elements that are zero, as the highest of a few levels that it reaches; 0 below them.

    An array of zeros alone says nothing of what will be there later, and counts as having none.
    """
    if array.ndim < 2 or array[:1].size < WIDTH:
        return 0.0
    rows = sample(array)
    share = 1 - np.count_nonzero(rows) / rows.size
    return next((level for level in SHARES if 1 > share >= level), 0.0)
