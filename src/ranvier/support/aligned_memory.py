"""Arrays that begin at a cache line: a vector of weights that crosses two lines takes two loads."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

LINE = 64  # bytes
SMALL = 1 << 12  # bytes of an array that is not worth moving
PAGE, LARGE = 1 << 21, 1 << 22  # bytes: a large page; an array from which on NumPy asks the system for such pages


def aligned_empty(
    shape: int | tuple[int, ...], dtype: Any, alignment: int = LINE, order: str = "C"
) -> np.ndarray[Any, Any]:
    """An uninitialized array whose first byte is at a multiple of ``alignment`` bytes (a power of two).

    Raises:
        ValueError: the alignment is no power of two, or the dtype holds Python objects.
        MemoryError: the array does not fit in memory.
    """
    dtype = np.dtype(dtype)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if alignment < 1 or alignment & (alignment - 1) or dtype.hasobject:
        raise ValueError(f"alignment {alignment}, dtype {dtype}. Write a power of two and a numeric dtype instead.")
    size = math.prod(shape) * dtype.itemsize
    if size > sys.maxsize - alignment:
        raise MemoryError(f"an array of shape {shape} and dtype {dtype} needs {size / 2**30:.3g} GiB")
    memory = np.empty(size + alignment, np.uint8)
    start = -memory.ctypes.data % alignment
    array: np.ndarray[Any, Any] = memory[start : start + size].view(dtype)
    return array.reshape(shape, order="F" if order == "F" else "C")


def aligned_like(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """An uninitialized array of this shape, dtype and memory order (C or Fortran) that begins at a cache line.

    A large one begins at a large page.
    """
    if array.nbytes <= SMALL:
        return np.empty_like(array)
    alignment = PAGE if array.nbytes >= LARGE else LINE
    return aligned_empty(array.shape, array.dtype, alignment, "C" if array.flags.c_contiguous else "F")


def aligned(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array itself if it is small or begins at a cache line, otherwise a copy that does."""
    flags = array.flags
    contiguous = flags.c_contiguous or flags.f_contiguous
    if array.nbytes <= SMALL or array.ctypes.data % LINE == 0 or not contiguous:
        return array
    made = aligned_like(array)
    made[...] = array
    return made
