"""Elementwise functions of angles and their inverses; their arguments have PyTorch's names."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ranvier.graph.node import Node, like
from ranvier.ops.arrays import elementwise as n
from ranvier.ops.arrays.elementary import polynomial, signbit
from ranvier.ops.arrays.promotion import floating, together
from ranvier.ops.arrays.reductions import root
from ranvier.tensor.function import function


@function
def deg2rad(input: Node) -> Node:
    """Degrees as radians."""
    return n.multiply(input, math.pi / 180)


@function
def rad2deg(input: Node) -> Node:
    """Radians as degrees."""
    return n.multiply(input, 180 / math.pi)


@function
def tan(input: Node) -> Node:
    """Elementwise tangent."""
    return n.divide(n.sin(input), n.cos(input))


@function
def sinc(input: Node) -> Node:
    """``sin(pi x) / (pi x)``, and 1 at 0."""
    x = floating(input)
    zero = n.equal(x, 0)
    turned = n.multiply(n.where(zero, 1.0, x), math.pi)
    return n.where(zero, 1.0, n.divide(n.sin(turned), turned))


@function
def hypot(input: Node, other: Node) -> Node:
    """``sqrt(x ** 2 + y ** 2)``, without overflow; the gradient at (0, 0) is 0."""
    x, y = together(floating(input), floating(other))
    most = n.stop_gradient(n.maximum(n.abs(x), n.abs(y)))
    most = n.where(n.logical_and(n.isfinite(most), n.less(0, most)), most, 1.0)
    return root(n.add(n.square(n.divide(x, most)), n.square(n.divide(y, most))), n.sqrt) * most


# --- inverses -----------------------------------------------------------------------------------------------------

# atan(u) = u + u * w * p(w) with w = u * u: p from the highest power down, fitted at Chebyshev's points of u up to
# tan(pi / 8), within 3e-18; and asin(u) so, of u up to 1/2. Derivatives are those of the polynomials.
ATAN = (
    0.016284375050043393, -0.03456931506332609, 0.045515447340221615, -0.05230443640686948, 0.05878927554473807,
    -0.0666642476020052, 0.07692296368042296, -0.09090908753259112, 0.11111111105150588, -0.14285714285659779,
    0.19999999999999804, -0.3333333333333333,
)  # fmt: skip
ASIN = (
    0.029614311863487102, -0.01924525711649446, 0.0195569803120686, 0.003043893553526437, 0.009319814583697355,
    0.009621799004518995, 0.011566464825440114, 0.013963779590463264, 0.01735281656310595, 0.02237215744272046,
    0.030381944475548442, 0.04464285714255172, 0.07500000000000118, 0.16666666666666666,
)  # fmt: skip


def _fitted(u: Node, coefficients: Sequence[float]) -> Node:
    w = u * u
    return u + u * (w * polynomial(coefficients, w))


def _turned(x: Node) -> tuple[Node, Node]:
    """Where x is negative, -0 too; and its absolute value, with the gradient 1 at 0, for what goes on as it came."""
    negative = signbit(x)
    return negative, n.where(negative, -x, x)


def _arc(size: Node) -> Node:
    """The arctangent of a non-negative value, by atan(x) = pi / 2 - atan(1 / x) = pi / 4 + atan((x - 1) / (x + 1))."""
    far, some = n.less(1 / math.tan(math.pi / 8), size), n.less(math.tan(math.pi / 8), size)
    above = n.where(far, -1.0, n.where(some, n.subtract(size, 1), size))
    below = n.where(far, size, n.where(some, n.add(size, 1), 1.0))
    near = _fitted(n.divide(above, below), ATAN)
    return n.where(some, n.add(near, n.where(far, like(near, math.pi / 2), math.pi / 4)), near)


@function
def atan(input: Node) -> Node:
    """Elementwise arctangent, in [-pi / 2, pi / 2]."""
    negative, size = _turned(floating(input))
    arc = _arc(size)
    return n.where(negative, -arc, arc)


@function
def atan2(input: Node, other: Node) -> Node:
    """The angle of the point (``other``, ``input``), in [-pi, pi]; at (0, 0) the gradient is 0."""
    y, x = together(floating(input), floating(other))
    (below, high), (left, wide) = _turned(y), _turned(x)
    steep = n.less(wide, high)
    short, long = n.where(steep, wide, high), n.where(steep, high, wide)
    none, endless = (n.logical_and(n.equal(high, v), n.equal(wide, v)) for v in (0, math.inf))
    slope = n.divide(short, n.where(none, 1.0, long))
    arc = _arc(n.where(none, 0.0, n.where(endless, 1.0, slope)))
    arc = n.where(steep, n.subtract(math.pi / 2, arc), arc)
    arc = n.where(left, n.subtract(math.pi, arc), arc)
    return n.where(below, -arc, arc)


def _half(size: Node) -> tuple[Node, Node]:
    """Where ``size`` is above 1/2, and there sqrt((1 - size) / 2), elsewhere itself, as asin of it."""
    far = n.less(0.5, size)
    root = n.sqrt(n.where(far, n.multiply(n.subtract(1, size), 0.5), 1.0))
    return far, _fitted(n.where(far, root, size), ASIN)


@function
def asin(input: Node) -> Node:
    """Elementwise arcsine, in [-pi / 2, pi / 2]; nan outside of [-1, 1]."""
    negative, size = _turned(floating(input))
    far, arc = _half(size)
    arc = n.where(far, n.subtract(math.pi / 2, n.multiply(arc, 2)), arc)
    return n.where(negative, -arc, arc)


@function
def acos(input: Node) -> Node:
    """Elementwise arccosine, in [0, pi]; nan outside of [-1, 1]."""
    negative, size = _turned(floating(input))
    far, arc = _half(size)
    twice = n.multiply(arc, 2)
    steep = n.where(negative, n.subtract(math.pi, twice), twice)
    flat = n.subtract(math.pi / 2, n.where(negative, -arc, arc))
    return n.where(far, steep, flat)
