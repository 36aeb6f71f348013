"""Some rows that stand for all: drawn by chance, since files are often sorted, and the same each time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def some_rows(count: int, most: int, seed: int = 0) -> npt.NDArray[Any]:
    """The numbers of at most ``most`` of ``count`` rows, in order; those of all rows where they are no more."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.Generator(np.random.Philox(seed)).permutation(count)[:most])
