"""Memory-mapped arrays. Casts and reordered copies are written to a temporary file instead of memory."""

from __future__ import annotations

import math
import tempfile
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
PIECE = 1 << 20  # bytes in memory at a time


def is_mapped(array: Any) -> bool:
    """Whether an array is a memory map or a view of one."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def spooled(array: Array, dtype: npt.DTypeLike) -> Array:
    """The values in ``dtype`` and C order, as a memory map of a temporary file, which is deleted with the array.

    The file is in the folder of ``tempfile`` (TMPDIR). Raises OSError that names the folder where it is full.
    """
    if not array.size:
        return np.empty(array.shape, dtype)
    rows = max(1, PIECE // max(1, array[:1].size * np.dtype(dtype).itemsize))
    try:
        with tempfile.TemporaryFile(prefix="ranvier-") as file:
            # Written as a file: a store through the map would kill the process on a full disk.
            for start in range(0, len(array), rows):
                file.write(np.ascontiguousarray(array[start : start + rows], dtype).data)
            file.flush()
            return np.asarray(np.memmap(file, dtype, "r", shape=array.shape))
    except OSError as error:
        name, megabytes = np.dtype(dtype).name, math.ceil(array.size * np.dtype(dtype).itemsize / 1e6)
        raise OSError(
            error.errno,
            f"{error.strerror or error}: a memory map of {array.dtype.name} is cast to {name} in a temporary file of "
            f"{megabytes:,} MB in {tempfile.gettempdir()}. Set TMPDIR to a folder with that much room, or write the "
            f"array as {name} in C order, instead",
        ) from error
