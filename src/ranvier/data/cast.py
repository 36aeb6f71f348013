"""Casts of numeric arrays to contiguous, aligned and finite arrays for the engines. No value is lost silently."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ranvier.data.convert import Array, all_finite, first_where, place
from ranvier.data.mapped import is_mapped, spooled
from ranvier.data.memory import check_memory
from ranvier.support.columns import column_names
from ranvier.support.source_lines import warn


def contiguous(array: Array, name: str) -> Array:
    """Return ``array`` if it is aligned and C-contiguous, else such a copy."""
    if array.flags.c_contiguous and array.flags.aligned:
        return array
    if is_mapped(array):
        return spooled(array, array.dtype)
    check_memory(array.shape, array.dtype, f"A contiguous copy of {name}")
    return np.require(array, requirements=("C", "A"))


def to_float(array: Array, x: object, name: str, dtype: npt.DTypeLike, check_finite: bool) -> Array:
    """Cast to ``dtype``, refuse NaN and infinity, and warn where the cast overflows."""
    mapped = array.dtype != dtype and is_mapped(array)
    if not mapped:
        check_memory(array.shape, dtype, f"{name} as {np.dtype(dtype).name}")
    with np.errstate(over="ignore", under="ignore"):
        result = spooled(array, dtype) if mapped else array.astype(dtype, order="C", copy=False)
    result = contiguous(result, name)
    if result.dtype == array.dtype and not check_finite:
        return result  # no cast, so no overflow
    # A cast keeps NaN and infinity, so a check of the (smaller) result suffices where all values are finite.
    if all_finite(result):
        return result
    if check_finite and not all_finite(array):
        raise ValueError(not_finite(array, x, name))
    _warn_overflow(array, result, x, name)
    return result


def _warn_overflow(array: Array, result: Array, x: object, name: str) -> None:
    became = np.isinf(result) & np.isfinite(array)
    found = first_where(became, lambda piece: piece)
    if found is None:
        return
    index, count = found
    kind = result.dtype
    warn(
        f"{name} has {count:,} finite {array.dtype.name} value(s) that are infinite as {kind.name} (largest "
        f"{np.finfo(kind).max:.2e}): the first is {array[index]} at {place(index, column_names(x))}. "
        f"Write scaled values, for example ({name} - {name}.mean(0)) / {name}.std(0), instead.",
        RuntimeWarning,
        key=f"{name} overflows {kind.name}",
    )


def not_finite(array: Array, x: object, name: str) -> str:
    found = first_where(array, lambda piece: ~np.isfinite(piece))
    assert found is not None  # the caller found one
    index, count = found
    others = f" and {count - 1:,} more" if count > 1 else ""
    return (
        f"{name} has {array[index]} at {place(index, column_names(x))}{others}. Write np.nan_to_num({name}) or drop "
        "those rows instead, or pass check_finite=False if they are meant."
    )
