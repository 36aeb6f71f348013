"""Checks of what user functions return, made where they are called, so that the error names the function."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.tensor.tensor import Tensor

USE_TENSOR_FUNCTIONS = ", made by tensor functions (x.mean(), rv.ops.abs(x)) and not by NumPy's or float()"


def callable_name(function: Any) -> str:
    """The name of a function or a callable object in error messages."""
    return repr(getattr(function, "__name__", None) or type(function).__name__)


def return_error(value: Any, what: str, wanted: str, how: str = "") -> TypeError:
    """The error for a function that returned ``value`` in place of ``wanted``."""
    plain = isinstance(value, (int, float, str, bytes, np.generic))
    size = f" of {len(value)}" if isinstance(value, (tuple, list)) else ""
    got = "None" if value is None else f"{type(value).__name__} {value!r}" if plain else type(value).__name__
    return TypeError(f"{what} returned {got}{size}. Write: return {wanted}{'' if value is None else how}.")


def check_tensor(value: Any, what: str, wanted: str) -> Any:
    """``value``, which a function returned. Raises TypeError unless it is a tensor or a symbolic value."""
    if isinstance(value, Tensor) or hasattr(value, "__tensor_function__"):
        return value
    raise return_error(value, what, wanted, USE_TENSOR_FUNCTIONS)


def check_initial(value: Any, function: Any, shape: tuple[int, ...], dtype: str, whose: str) -> Any:
    """What an initializer returned, as an array. Raises TypeError or ValueError unless it has this shape."""
    wanted = f"an array of shape {shape}"
    what = f"the initializer {callable_name(function)} of {whose}"
    if value is None or isinstance(value, (str, bytes)):
        raise return_error(value, what, wanted)
    array = np.asarray(value, dtype, order="C")
    if array.shape != shape:
        raise ValueError(f"{what} returned shape {array.shape}. Write: return {wanted}.")
    return array
