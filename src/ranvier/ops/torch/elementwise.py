"""Elementwise functions of PyTorch whose meaning is PyTorch's own, and the scaled sums that optimizers write."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATING, FLOATS, widened
from ranvier.graph.node import GraphError, Node
from ranvier.ops import arrays as n
from ranvier.ops.arrays import elementary
from ranvier.ops.arrays.division import check_divisor, truncated_quotient
from ranvier.ops.arrays.promotion import floating, result_dtype
from ranvier.tensor.arguments import no_out
from ranvier.tensor.function import arithmetic, function
from ranvier.tensor.tensor import Tensor


@arithmetic
def _div(input: Node, other: Node, *, rounding_mode: str | None = None) -> Node:
    """``input / other``; with ``rounding_mode`` "floor" or "trunc" rounded down or toward 0, in the dtype of both."""
    if rounding_mode is None:
        return n.divide(input, other)
    if rounding_mode == "floor":
        return n.floor_divide(input, other)
    if rounding_mode != "trunc":
        raise GraphError(f"rounding_mode={rounding_mode!r}. Write 'floor' or 'trunc', or leave it out, instead")
    dtype = result_dtype(input, other)
    if dtype not in FLOATS:
        return truncated_quotient(*n.together(input, other, dtype=dtype))
    return elementary.trunc(n.divide(*n.together(input, other, dtype=dtype)))


def div(input: Any, other: Any, *, rounding_mode: str | None = None, out: Any = None) -> Any:
    """``input / other``; with ``rounding_mode`` "floor" or "trunc" rounded down or toward 0, in the dtype of both."""
    if out is not None:
        raise no_out("div")
    if rounding_mode is None:
        return _div(input, other)
    check_divisor(input, other)
    return _div(input, other, rounding_mode=rounding_mode)


@function
def neg(input: Node) -> Node:
    """``-input``; unsigned integers wrap."""
    if input.dtype == "bool":
        raise GraphError("minus a bool tensor: write ~x, or x.logical_not()")
    return n.negative(input)


@function
def log2(input: Node) -> Node:
    """The logarithm to base 2."""
    return n.divide(n.log(input), math.log(2))


@function
def log10(input: Node) -> Node:
    """The logarithm to base 10."""
    return n.divide(n.log(input), math.log(10))


@function
def frac(input: Node) -> Node:
    """What `trunc` leaves out, with the sign of the element."""
    return n.subtract(input, n.stop_gradient(elementary.trunc(input)))


@function
def logit(input: Node, eps: float | None = None) -> Node:
    """``log(x / (1 - x))``, of x kept within [eps, 1 - eps] where ``eps`` is given."""
    x = floating(input)
    x = x if eps is None else n.clip(x, eps, 1 - eps)
    return n.subtract(n.log(x), n.log(n.subtract(1, x)))


@function
def xlogy(input: Node, other: Node) -> Node:
    """``x * log(y)``, and 0 where x is."""
    zero = n.equal(input, 0)
    return n.where(zero, 0.0, n.multiply(input, n.log(n.where(zero, 1, other))))


def is_floating_point(input: Any) -> bool:
    """Whether the elements are floats."""
    return input.dtype in FLOATING


def is_complex(input: Any) -> bool:
    """False: there are no complex tensors."""
    return False


def positive(input: Any) -> Any:
    """``input`` itself."""
    return input


def allclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements differ by at most ``atol + rtol * abs(other)``."""
    return bool(np.allclose(widened(input.compute()), widened(other.compute()), rtol, atol, equal_nan))


def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have one shape and the same elements."""
    return input.shape == other.shape and bool(np.array_equal(input.compute(), other.compute()))


# --- scaled sums --------------------------------------------------------------------------------------------------


def scaled(x: Any, factor: Any, whole: str = "") -> Any:
    """``x`` times a number, which is made whole for integers; floats raise the error of a function ``whole``."""
    if isinstance(x, Tensor) and not isinstance(factor, Tensor) and x.dtype not in FLOATING:
        if whole and isinstance(factor, float):
            raise RuntimeError(f"{whole} of {x.dtype} with the factor {factor}. Write x.float(), or a whole number.")
        factor = int(factor)
    return n.multiply(x, factor) if isinstance(factor, Tensor) or factor != 1 else x


def add(input: Any, other: Any, *, alpha: float = 1, out: Any = None) -> Any:
    """``input + alpha * other``."""
    if out is not None:
        raise no_out("add")
    return n.add(input, scaled(other, alpha, "add"))


def sub(input: Any, other: Any, *, alpha: float = 1, out: Any = None) -> Any:
    """``input - alpha * other``."""
    if out is not None:
        raise no_out("sub")
    return n.subtract(input, scaled(other, alpha, "sub"))


def rsub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """``other - alpha * input``."""
    return n.subtract(other, scaled(input, alpha, "rsub"))


def lerp(input: Any, end: Any, weight: Any) -> Any:
    """``input + weight * (end - input)``."""
    return n.add(input, n.multiply(n.subtract(end, input), weight))


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """``input + value * tensor1 * tensor2``."""
    return n.add(input, scaled(n.multiply(tensor1, tensor2), value))


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """``input + value * tensor1 / tensor2``."""
    return n.add(input, scaled(n.divide(tensor1, tensor2), value))
