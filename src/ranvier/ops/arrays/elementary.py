"""Elementwise functions composed of arithmetic; their arguments have PyTorch's names."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ranvier.graph.node import FLOATS, GraphError, Node, like
from ranvier.ops.arrays import elementwise as n
from ranvier.ops.arrays.promotion import floating, together
from ranvier.tensor.function import function


@function
def trunc(input: Node) -> Node:
    """Elementwise rounding toward 0."""
    return n.where(n.less(input, 0), n.ceil(input), n.floor(input))


@function
def round(input: Node, *, decimals: int = 0) -> Node:
    """Elementwise rounding to the nearest whole number, of two as near to the even one; or to so many decimals."""
    if input.dtype not in FLOATS:
        if decimals >= 0:
            return input
        # Halves of powers of 10 and the products below are exact in double precision.
        wide, unit = n.cast(input, "float64"), 10.0**-decimals
        return n.cast(n.multiply(round(n.divide(wide, unit)), unit), input.dtype)
    x = input * like(input, 10.0**decimals) if decimals else input
    low = n.floor(x)
    rest = n.subtract(x, low)  # exact
    halves = n.multiply(low, 0.5)
    odd = n.not_equal(halves, n.floor(halves))
    up = n.logical_or(n.less(0.5, rest), n.logical_and(n.equal(rest, 0.5), odd))
    result = n.stop_gradient(n.add(low, n.cast(up, x.dtype)))
    return result / like(result, 10.0**decimals) if decimals else result


@function
def signbit(input: Node) -> Node:
    """Elementwise: less than 0, or -0."""
    if input.dtype not in FLOATS:
        return n.less(input, 0)
    zero = n.equal(input, 0)
    return n.less(n.where(zero, n.divide(1.0, n.where(zero, input, 1.0)), input), 0)


@function
def isinf(input: Node) -> Node:
    """Elementwise: plus or minus infinity."""
    return n.equal(n.abs(input), math.inf)


@function
def heaviside(input: Node, values: Node) -> Node:
    """0 below 0, 1 above, and ``values`` at 0."""
    steps = n.where(n.isnan(input), input, n.cast(n.less(0, input), input.dtype))
    return n.where(n.equal(input, 0), values, steps)


@function
def fmax(input: Node, other: Node) -> Node:
    """Elementwise larger value; of a number and nan the number."""
    x, y = together(input, other)
    return n.where(n.isnan(x), y, n.where(n.isnan(y), x, n.maximum(x, y)))


@function
def fmin(input: Node, other: Node) -> Node:
    """Elementwise smaller value; of a number and nan the number."""
    x, y = together(input, other)
    return n.where(n.isnan(x), y, n.where(n.isnan(y), x, n.minimum(x, y)))


@function
def exp2(input: Node) -> Node:
    """``2 ** x``."""
    return n.exp(n.multiply(floating(input), math.log(2)))


@function
def cbrt(input: Node) -> Node:
    """Elementwise cube root."""
    x = floating(input)
    root = n.power(_size(x), 1 / 3)
    return n.where(n.less(x, 0), -root, root)


def polynomial(coefficients: Sequence[float], x: Node) -> Node:
    """The polynomial with these coefficients, that of the highest power first, by Horner's rule."""
    result = like(x, coefficients[0])
    for c in coefficients[1:]:
        result = result * x + like(x, c)
    return result


FAR = 20.0  # from here on the smaller of exp(x) and exp(-x) is lost beside the larger
VAST = 2.0**28  # from here on x * x + 1 is x * x, in double precision too


def _size(x: Node) -> Node:
    """The absolute value; the gradient at 0 is 1, for functions that go on with it as they came."""
    return n.where(n.less(x, 0), -x, x)


def _half_exp(x: Node) -> Node:
    """``exp(x) / 2``, which is finite for a little larger x than ``exp(x)``."""
    root = n.exp(n.multiply(x, 0.5))
    return n.multiply(root, 0.5) * root


@function
def sinh(input: Node) -> Node:
    """Elementwise hyperbolic sine."""
    x = floating(input)
    size = _size(x)
    far = n.less(FAR, size)
    above = n.expm1(n.where(far, 1, size))
    near = n.multiply(n.add(above, n.divide(above, n.add(above, 1))), 0.5)
    result = n.where(far, _half_exp(size), near)
    return n.where(n.less(x, 0), -result, result)


@function
def cosh(input: Node) -> Node:
    """Elementwise hyperbolic cosine."""
    size = _size(floating(input))
    return n.add(_half_exp(size), n.multiply(n.exp(-size), 0.5))


@function
def asinh(input: Node) -> Node:
    """Elementwise inverse hyperbolic sine."""
    x = floating(input)
    size = _size(x)
    vast = n.less(VAST, size)
    some = n.where(vast, 1, size)
    square = some * some
    near = n.log1p(n.add(some, n.divide(square, n.add(n.sqrt(n.add(square, 1)), 1))))
    result = n.where(vast, n.add(n.log(n.where(vast, size, 1)), math.log(2)), near)
    return n.where(n.less(x, 0), -result, result)


@function
def acosh(input: Node) -> Node:
    """Elementwise inverse hyperbolic cosine; nan below 1."""
    x = floating(input)
    vast = n.less(VAST, x)
    above = n.subtract(n.where(vast, 2, x), 1)
    near = n.log1p(n.add(above, n.multiply(n.sqrt(above), n.sqrt(n.add(above, 2)))))
    result = n.where(vast, n.add(n.log(n.where(vast, x, 1)), math.log(2)), near)
    return n.where(n.less(x, 1), math.nan, result)


@function
def atanh(input: Node) -> Node:
    """Elementwise inverse hyperbolic tangent."""
    x = floating(input)
    return n.multiply(n.subtract(n.log1p(x), n.log1p(-x)), 0.5)


# erfc(x) = exp(-x * x) * t * p(t) with t = 3 / (3 + x): p from the highest power down, fitted at Chebyshev's points
# of t in (0, 1], within 1e-14 of the value.
ERFC = (
    -0.0018809282412263976, 0.015469819682679785, -0.0524700173847476, 0.08648808574161539, -0.04178622144905676,
    -0.10078182746463495, 0.22587886166287546, -0.23311187773236, 0.16846573403120543, -0.09115538732392586,
    0.022949375068524874, -0.016900791311268305, 0.006054531268767337, 0.025898612296788446, 0.05701684784945941,
    0.09228728024942515, 0.12711695135838127, 0.15671932330119492, 0.17761523936525392, 0.1880631945151243,
    0.1880631945159208,
)  # fmt: skip


@function
def erfc(input: Node) -> Node:
    """``1 - erf(x)``, accurate also where erf is nearly 1."""
    x = floating(input)
    size = _size(n.cast(n.stop_gradient(x), "float64"))
    t = n.divide(3.0, n.add(size, 3.0))
    above = n.exp(-(size * size)) * t * polynomial(ERFC, t)
    value = n.cast(n.where(n.less(x, 0), n.subtract(2.0, above), above), x.dtype)
    known = n.erf(x)
    return n.add(n.stop_gradient(value), n.subtract(n.stop_gradient(known), known))  # which is 0, with a gradient


@function
def logaddexp(input: Node, other: Node) -> Node:
    """``log(exp(x) + exp(y))``, stable."""
    x, y = together(floating(input), floating(other))
    top = n.stop_gradient(n.maximum(x, y))
    top = n.where(n.isfinite(top), top, 0)
    return n.add(n.log(n.add(n.exp(n.subtract(x, top)), n.exp(n.subtract(y, top)))), top)


@function
def logaddexp2(input: Node, other: Node) -> Node:
    """``log2(2 ** x + 2 ** y)``, stable."""
    x, y = (n.multiply(floating(v), math.log(2)) for v in (input, other))
    return n.multiply(logaddexp(x, y), 1 / math.log(2))


@function
def isclose(input: Node, other: Node, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Node:
    """Elementwise ``abs(x - y) <= atol + rtol * abs(y)``."""
    if rtol < 0 or atol < 0:
        raise GraphError(f"rtol={rtol} and atol={atol}: write numbers of 0 or more")
    x, y = together(input, other)
    if x.dtype == "bool":
        return n.equal(x, y)
    near = n.less_equal(n.abs(n.subtract(x, y)), n.add(n.multiply(n.abs(y), rtol), atol))
    near = n.logical_or(n.equal(x, y), n.logical_and(near, n.isfinite(y)))
    return n.logical_or(near, n.logical_and(n.isnan(x), n.isnan(y))) if equal_nan else near


@function
def nan_to_num(input: Node, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Node:
    """Numbers in place of nan and of the infinities, by default 0 and the largest and smallest finite ones."""
    if input.dtype not in FLOATS:
        return input
    most = float(np.finfo(input.dtype).max)
    x = n.where(n.isnan(input), nan, input)
    x = n.where(n.equal(x, math.inf), most if posinf is None else posinf, x)
    return n.where(n.equal(x, -math.inf), -most if neginf is None else neginf, x)
