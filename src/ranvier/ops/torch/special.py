"""Special functions of ``torch.special`` that have no other name."""

from __future__ import annotations

import math
from typing import Any

from ranvier.graph.node import Node
from ranvier.ops import arrays as n
from ranvier.ops import vocabulary
from ranvier.ops.arrays import elementary
from ranvier.ops.arrays.promotion import floating
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


def ndtri(input: Any) -> Any:
    """The inverse of `ndtr`."""
    return n.multiply(vocabulary.find("torch", "erfinv")(n.subtract(n.multiply(input, 2.0), 1.0)), 2**0.5)
