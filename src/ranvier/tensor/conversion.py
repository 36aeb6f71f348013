"""Copies of arrays as tensors hold them: what does not fit is refused, or reported."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.graph.dtypes import array_dtype, limits, widened
from ranvier.support.source_lines import warn


def not_numbers(value: Any, array: Any) -> TypeError:
    """The error for an array-like that holds no numbers."""
    if isinstance(value, (set, frozenset)):
        return TypeError("a set has no order. Write sorted(x) instead.")
    if array.dtype.kind in "US" and array.size:
        return TypeError(
            f"a tensor cannot hold texts such as {str(array.flat[0])[:40]!r}. Write classes, codes = np.unique(x, "
            "return_inverse=True) and a tensor of the codes instead."
        )
    return TypeError(f"a tensor cannot hold {array.dtype}. Convert it to numbers first.")


def check_range(array: Any, target: str) -> None:
    """Raise OverflowError for an integer that does not fit."""
    low, high = limits(target)
    if array.size and (array.max() > high or array.min() < low):
        integer = array.max() if array.max() > high else array.min()
        wider = "" if target == "int64" else " Write dtype='int64', or an array of int64, instead."
        raise OverflowError(f"integer {integer} does not fit {target}.{wider}")


def copied(array: Any, target: str) -> Any:
    """A copy in another dtype. Warns of finite numbers that become infinite."""
    given, wanted = widened(array), array_dtype(target)
    if given.dtype.kind != "f" or np.can_cast(given.dtype, wanted):
        return np.array(given, wanted, order="K")
    try:
        with np.errstate(over="raise"):
            return np.array(given, wanted, order="K")
    except FloatingPointError:
        with np.errstate(over="ignore"):
            result = np.array(given, wanted, order="K")
    number = given[np.isinf(result) & np.isfinite(given)].flat[0]
    warn(
        f"{number} is infinite as {target} (largest {np.finfo(wanted).max:.2e}). Write dtype='float64', or scaled "
        "numbers, instead.",
        RuntimeWarning,
    )
    return result
