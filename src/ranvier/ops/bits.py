"""Operations of bits: of bool tensors logical ones, of whole numbers evaluated at once by NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATING, array_dtype, promote
from ranvier.ops import arrays
from ranvier.tensor.tensor import Tensor


def _is_bool(x: Any) -> bool:
    return isinstance(x, bool) or getattr(x, "dtype", None) == "bool"


def _dtype(operands: tuple[Any, ...], sign: str) -> str:
    """The dtype in which whole numbers meet. Raises TypeError for others."""
    tensors = [x for x in operands if isinstance(x, Tensor)]
    if not tensors:
        raise TypeError(
            f"{sign} of tensors is given numbers alone. Write torch.tensor(x), or Python's {sign}, instead."
        )
    for x in operands:
        if (isinstance(x, Tensor) and x.dtype in FLOATING) or not isinstance(
            x, (Tensor, bool, int, np.ndarray, np.generic)
        ):
            kind = getattr(x, "dtype", type(x).__name__)
            raise TypeError(f"{sign} is for whole numbers and bools, and here is {kind}. Write x.long() instead.")
    found = promote([x.dtype for x in tensors if x.ndim] or [x.dtype for x in tensors]) or "int64"
    number = any(isinstance(x, int) and not isinstance(x, bool) for x in operands)
    return "int64" if found == "bool" and number else found


def _evaluated(sign: str, evaluate: Callable[..., Any], *operands: Any) -> Tensor:
    dtype = _dtype(operands, sign)
    values = [x.compute() if isinstance(x, Tensor) else x for x in operands]
    numbers = [np.asarray(v).astype(array_dtype(dtype)) for v in values]
    return Tensor.wrap(np.array(evaluate(*numbers), array_dtype(dtype), order="C"))


def bitwise_and(input: Any, other: Any) -> Any:
    """The bits that both have; of bools as ``logical_and``."""
    known = _is_bool(input) and _is_bool(other)
    return arrays.logical_and(input, other) if known else _evaluated("&", np.bitwise_and, input, other)


def bitwise_or(input: Any, other: Any) -> Any:
    """The bits that one has, or both; of bools as ``logical_or``."""
    known = _is_bool(input) and _is_bool(other)
    return arrays.logical_or(input, other) if known else _evaluated("|", np.bitwise_or, input, other)


def bitwise_xor(input: Any, other: Any) -> Any:
    """The bits that one alone has; of bools as ``logical_xor``."""
    known = _is_bool(input) and _is_bool(other)
    return arrays.logical_xor(input, other) if known else _evaluated("^", np.bitwise_xor, input, other)


def bitwise_not(input: Any) -> Any:
    """The bits that it does not have; of bools as ``logical_not``."""
    return arrays.logical_not(input) if _is_bool(input) else _evaluated("~", np.invert, input)


def bitwise_left_shift(input: Any, other: Any) -> Any:
    """The bits moved up by ``other`` places, with zeros after them."""
    return _evaluated("<<", np.left_shift, input, other)


def bitwise_right_shift(input: Any, other: Any) -> Any:
    """The bits moved down by ``other`` places; negative numbers stay negative."""
    return _evaluated(">>", np.right_shift, input, other)
