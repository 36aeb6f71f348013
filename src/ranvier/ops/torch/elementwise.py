"""Elementwise functions of PyTorch that are made of those of `numeric`, and the scaled sums that optimizers write."""

# ruff: noqa: A004  # the field's names, builtins or not

from __future__ import annotations

from typing import Any

from ranvier.graph.node import FLOATS, Node
from ranvier.ops import arrays as n
from ranvier.ops.arrays.elementary import (
    acosh,
    asinh,
    atanh,
    cosh,
    erfc,
    exp2,
    fmax,
    fmin,
    heaviside,
    isclose,
    logaddexp,
    logaddexp2,
    nan_to_num,
    round,
    signbit,
    sinh,
    trunc,
)
from ranvier.ops.arrays.promotion import floating
from ranvier.ops.arrays.trigonometry import acos, asin, atan, atan2, deg2rad, hypot, rad2deg, sinc, tan
from ranvier.ops.tensor_methods import scaled
from ranvier.tensor.function import function, renamed
from ranvier.tensor.tensor import Tensor

__all__ = [
    "acos", "acosh", "add", "addcdiv", "addcmul", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2",
    "arctanh", "asin", "asinh", "atan", "atan2", "atanh", "clamp_max", "clamp_min", "cosh", "deg2rad", "erfc",
    "exp2", "fix", "fmax", "fmin", "fmod", "frac", "heaviside", "hypot", "is_complex", "is_floating_point",
    "isclose", "lerp", "logaddexp", "logaddexp2", "logit", "nan_to_num", "positive", "rad2deg", "round",
    "signbit", "sinc", "sinh", "sub", "subtract", "tan", "trunc", "xlogy",
]  # fmt: skip

fix = trunc
arccos, arcsin, arctan, arctan2 = acos, asin, atan, atan2
arccosh, arcsinh, arctanh = acosh, asinh, atanh
fmod = renamed(n.fmod, "input", "other")


@function
def frac(input: Node) -> Node:
    """What `trunc` leaves out, with the sign of the element."""
    return n.subtract(input, n.stop_gradient(trunc(input)))


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


def clamp_min(input: Any, min: Any) -> Any:
    """``input``, at least ``min``."""
    return n.clip(input, min)


def clamp_max(input: Any, max: Any) -> Any:
    """``input``, at most ``max``."""
    return n.clip(input, None, max)


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
