"""Special functions of ``torch.special`` that have no other name."""

from __future__ import annotations

import math
from typing import Any

from ranvier.graph.node import Node
from ranvier.ops import arrays as n
from ranvier.ops import vocabulary
from ranvier.ops.arrays import elementary
from ranvier.ops.arrays.promotion import floating
from ranvier.ops.functional import gamma
from ranvier.tensor.function import function


@function
def entr(input: Node) -> Node:
    """``-x * log(x)``; 0 at 0, and -inf below."""
    x = floating(input)
    inside = n.greater(x, 0.0)
    value = n.negative(n.multiply(x, n.log(n.where(inside, x, 1.0))))
    return n.where(n.isnan(x), x, n.where(inside, value, n.where(n.equal(x, 0.0), 0.0, -math.inf)))


@function
def xlog1py(input: Node, other: Node) -> Node:
    """``input * log1p(other)``; 0 where the first is 0."""
    x, y = n.together(floating(input), floating(other))
    nothing = n.equal(x, 0.0)
    value = n.multiply(x, n.log1p(n.where(nothing, 1.0, y)))
    return n.where(n.isnan(y), y, n.where(nothing, 0.0, value))


@function
def ndtr(input: Node) -> Node:
    """The distribution function of the standard normal distribution."""
    return n.multiply(elementary.erfc(n.multiply(floating(input), -(0.5**0.5))), 0.5)


@function
def log_ndtr(input: Node) -> Node:
    """The logarithm of `ndtr`, right in the tail below too."""
    x = floating(input)
    low = n.less(x, -1.0)
    # Below, erfc(v) = exp(-v**2) * erfcx(v), of which the logarithm is taken by parts.
    far = n.multiply(n.where(low, x, -1.0), -(0.5**0.5))
    tail = n.subtract(n.log(n.multiply(erfcx(far), 0.5)), n.square(far))
    near = n.log1p(n.multiply(elementary.erfc(n.multiply(n.where(low, 0.0, x), 0.5**0.5)), -0.5))
    return n.where(low, tail, near)


@function
def erfcx(input: Node) -> Node:
    """``exp(x**2) * erfc(x)``, which does not underflow; computed in float64."""
    x = n.cast(floating(input), "float64")
    small = n.less(x, 8.0)
    near = n.where(small, x, 0.0)
    value = n.multiply(n.exp(n.square(near)), elementary.erfc(near))
    # From 8 on the asymptotic series, whose terms are (2k - 1)!! / (-2 x**2)**k (Abramowitz and Stegun, 7.1.23).
    far = n.where(small, 8.0, x)
    step, term = n.divide(-0.5, n.square(far)), n.multiply(far, 0.0) + n.divide(far, far)
    total = term
    for k in range(1, 15):
        term = n.multiply(n.multiply(term, step), 2.0 * k - 1)
        total = n.add(total, term)
    return n.cast(n.where(small, value, n.divide(total, n.multiply(far, math.pi**0.5))), floating(input).dtype)


def polygamma(n: int, input: Any) -> Any:
    """The derivative of order ``n`` of the digamma function."""
    if n < 0:
        raise RuntimeError(f"polygamma of order {n!r}. Write a whole number of 0 or more instead.")
    return gamma.polygamma(input, order=n)


def polygamma_of(self: Any, n: int) -> Any:
    """`polygamma`, of a tensor."""
    return polygamma(n, self)


def ndtri(input: Any) -> Any:
    """The inverse of `ndtr`."""
    return n.multiply(vocabulary.find("torch", "erfinv")(n.subtract(n.multiply(input, 2.0), 1.0)), 2**0.5)
