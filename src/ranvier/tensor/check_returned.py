"""What functions of the user's return, looked at where they are called, so that the error names the function."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.tensor.tensor import Tensor

__all__ = ["initial", "named", "returned", "tensor"]


BY_TENSORS = ", made by tensor functions (x.mean(), rv.ops.abs(x)) and not by NumPy's or float()"


def named(function: Any) -> str:
    """What errors call a function, or an object that is called as one."""
    return repr(getattr(function, "__name__", None) or type(function).__name__)


def returned(value: Any, what: str, wanted: str, how: str = "") -> TypeError:
    """The error for a function that did not return ``wanted``."""
    plain = isinstance(value, (int, float, str, bytes, np.generic))
    size = f" of {len(value)}" if isinstance(value, (tuple, list)) else ""
    got = "None" if value is None else f"{type(value).__name__} {value!r}" if plain else type(value).__name__
    return TypeError(f"{what} returned {got}{size}. Write: return {wanted}{'' if value is None else how}.")


def tensor(value: Any, what: str, wanted: str) -> Any:
    """``value``, which a function returned that is called on tensors. Raises TypeError where it is no tensor."""
    if isinstance(value, Tensor) or hasattr(value, "__tensor_function__"):
        return value
    raise returned(value, what, wanted, BY_TENSORS)


def initial(value: Any, function: Any, shape: tuple[int, ...], dtype: str, whose: str) -> Any:
    """What an initializer returned as an array of this shape and dtype. Raises TypeError or ValueError."""
    wanted = f"an array of shape {shape}"
    what = f"the initializer {named(function)} of {whose}"
    if value is None or isinstance(value, (str, bytes)):
        raise returned(value, what, wanted)
    array = np.asarray(value, dtype, order="C")
    if array.shape != shape:
        raise ValueError(f"{what} returned shape {array.shape}. Write: return {wanted}.")
    return array
