"""Column names of data frames, which are recognized by their attributes."""

from __future__ import annotations

import numpy as np


def column_names(x: object) -> tuple[str, ...] | None:
    """Return the column names of a frame (pandas, polars, or similar), None for objects without column names."""
    if type(x).__name__ == "LazyFrame":  # reading the names would compute the frame
        return None
    columns = getattr(x, "columns", None)
    if columns is None or callable(columns) or isinstance(x, np.ndarray):
        return None
    return tuple(str(column) for column in columns)
