"""Elementwise functions of PyTorch that are made of those of `numeric`, and the scaled sums that optimizers write."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier import numeric as n
from ranvier.graph.node import FLOATS, Node, like
from ranvier.methods import scaled
from ranvier.numeric.promotion import as_node, floating, result_dtype
from ranvier.recording import function
from ranvier.tensor import Tensor

__all__ = [
    "absolute", "acosh", "add", "addcdiv", "addcmul", "asinh", "atanh", "clamp_max", "clamp_min", "cosh",
    "deg2rad", "erfc", "exp2", "fix", "floor_divide", "fmod", "frac", "heaviside", "hypot", "is_complex",
    "is_floating_point", "isclose", "lerp", "logaddexp", "logical_xor", "logit", "nan_to_num", "positive",
    "rad2deg", "round", "sgn", "sinh", "sub", "subtract", "tan", "true_divide", "trunc", "xlogy",
]  # fmt: skip

absolute, floor_divide, true_divide, logical_xor = n.abs, n.floor_divide, n.divide, n.logical_xor


@function
def trunc(input: Node) -> Node:
    """Elementwise rounding toward 0."""
    return n.where(n.less(input, 0), n.ceil(input), n.floor(input))


fix = trunc


@function
def frac(input: Node) -> Node:
    """What `trunc` leaves out, with the sign of the element."""
    return n.subtract(input, n.stop_gradient(trunc(input)))


@function
def round(input: Node, *, decimals: int = 0) -> Node:
    """Elementwise rounding to the nearest whole number, of two as near to the even one; or to so many decimals."""
    if input.dtype not in FLOATS:
        return input
    x = input * like(input, 10.0**decimals) if decimals else input
    low = n.floor(x)
    rest = n.subtract(x, low)  # exact
    odd = n.not_equal(n.remainder(low, 2), 0)
    up = n.logical_or(n.less(0.5, rest), n.logical_and(n.equal(rest, 0.5), odd))
    result = n.stop_gradient(n.add(low, n.cast(up, x.dtype)))
    return result / like(result, 10.0**decimals) if decimals else result


@function
def fmod(input: Node, other: Node) -> Node:
    """The remainder of a division rounded toward 0: it has the sign of ``input``."""
    dtype = result_dtype(input, other)
    x, y = n.together(input, other, dtype=dtype)
    wide = dtype if dtype in FLOATS else "float64"
    quotient = n.stop_gradient(trunc(n.divide(as_node(x, wide), as_node(y, wide))))
    return n.subtract(x, n.multiply(as_node(quotient, dtype), y))


@function
def tan(input: Node) -> Node:
    """Elementwise tangent."""
    return n.divide(n.sin(input), n.cos(input))


@function
def sinh(input: Node) -> Node:
    """Elementwise hyperbolic sine."""
    above = n.expm1(input)
    return n.multiply(n.add(above, n.divide(above, n.add(above, 1))), 0.5)


@function
def cosh(input: Node) -> Node:
    """Elementwise hyperbolic cosine."""
    x = floating(input)
    return n.multiply(n.add(n.exp(x), n.exp(-x)), 0.5)


@function
def asinh(input: Node) -> Node:
    """Elementwise inverse hyperbolic sine."""
    x = floating(input)
    size = n.where(n.less(x, 0), -x, x)
    square = size * size
    result = n.log1p(n.add(size, n.divide(square, n.add(n.sqrt(n.add(square, 1)), 1))))
    return n.where(n.less(x, 0), n.negative(result), result)


@function
def acosh(input: Node) -> Node:
    """Elementwise inverse hyperbolic cosine."""
    x = floating(input)
    return n.log(n.add(x, n.sqrt(n.subtract(x * x, 1))))


@function
def atanh(input: Node) -> Node:
    """Elementwise inverse hyperbolic tangent."""
    x = floating(input)
    return n.multiply(n.subtract(n.log1p(x), n.log1p(-x)), 0.5)


@function
def erfc(input: Node) -> Node:
    """``1 - erf(x)``."""
    return n.subtract(1, n.erf(input))


@function
def exp2(input: Node) -> Node:
    """``2 ** x``."""
    return n.exp(n.multiply(floating(input), math.log(2)))


@function
def logit(input: Node, eps: float | None = None) -> Node:
    """``log(x / (1 - x))``, of x kept within [eps, 1 - eps] where ``eps`` is given."""
    x = floating(input)
    x = x if eps is None else n.clip(x, eps, 1 - eps)
    return n.subtract(n.log(x), n.log(n.subtract(1, x)))


@function
def logaddexp(input: Node, other: Node) -> Node:
    """``log(exp(x) + exp(y))``, stable."""
    x, y = n.together(floating(input), floating(other))
    top = n.stop_gradient(n.maximum(x, y))
    top = n.where(n.isfinite(top), top, 0)
    return n.add(n.log(n.add(n.exp(n.subtract(x, top)), n.exp(n.subtract(y, top)))), top)


@function
def hypot(input: Node, other: Node) -> Node:
    """``sqrt(x ** 2 + y ** 2)``."""
    return n.sqrt(n.add(n.square(input), n.square(other)))


@function
def xlogy(input: Node, other: Node) -> Node:
    """``x * log(y)``, and 0 where x is."""
    zero = n.equal(input, 0)
    return n.where(zero, 0.0, n.multiply(input, n.log(n.where(zero, 1, other))))


@function
def isclose(
    input: Node, other: Node, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Node:
    """Elementwise ``abs(x - y) <= atol + rtol * abs(y)``."""
    near = n.less_equal(n.abs(n.subtract(input, other)), n.add(n.multiply(n.abs(other), rtol), atol))
    near = n.logical_or(n.equal(input, other), n.logical_and(near, n.isfinite(other)))
    return n.logical_or(near, n.logical_and(n.isnan(input), n.isnan(other))) if equal_nan else near


@function
def nan_to_num(
    input: Node, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Node:
    """Numbers in place of nan and of the infinities, by default 0 and the largest and smallest finite ones."""
    if input.dtype not in FLOATS:
        return input
    most = float(np.finfo(input.dtype).max)
    x = n.where(n.isnan(input), nan, input)
    x = n.where(n.equal(x, math.inf), most if posinf is None else posinf, x)
    return n.where(n.equal(x, -math.inf), -most if neginf is None else neginf, x)


def clamp_min(input: Any, min: Any) -> Any:
    """``input``, at least ``min``."""
    return n.clip(input, min)


def clamp_max(input: Any, max: Any) -> Any:
    """``input``, at most ``max``."""
    return n.clip(input, None, max)


def deg2rad(input: Any) -> Any:
    """Degrees as radians."""
    return n.multiply(input, math.pi / 180)


def rad2deg(input: Any) -> Any:
    """Radians as degrees."""
    return n.multiply(input, 180 / math.pi)


def heaviside(input: Any, values: Any) -> Any:
    """0 below 0, 1 above, and ``values`` at 0."""
    return n.where(n.equal(input, 0), values, n.cast(n.less(0, input), input.dtype))


sgn = n.sign


def is_floating_point(input: Any) -> bool:
    """Whether the elements are floats."""
    return input.dtype in FLOATS


def is_complex(input: Any) -> bool:
    """False: there are no complex tensors."""
    return False


def positive(input: Any) -> Any:
    """``input`` itself."""
    return input


# --- scaled sums --------------------------------------------------------------------------------------------------


add, sub = scaled(1), scaled(-1)
subtract = sub


def lerp(input: Any, end: Any, weight: Any) -> Any:
    """``input + weight * (end - input)``."""
    return n.add(input, n.multiply(n.subtract(end, input), weight))


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """``input + value * tensor1 * tensor2``."""
    product = n.multiply(tensor1, tensor2)
    return n.add(input, n.multiply(product, value) if isinstance(value, Tensor) or value != 1 else product)


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """``input + value * tensor1 / tensor2``."""
    quotient = n.divide(tensor1, tensor2)
    return n.add(input, n.multiply(quotient, value) if isinstance(value, Tensor) or value != 1 else quotient)
