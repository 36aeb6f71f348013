"""The logarithm of the gamma function, its derivative, and the inverse of the error function.

All are computed in float64, whatever the dtype of the input, and are right to 1e-14 there; no gradient is written by
hand.
"""

from __future__ import annotations

import math

from ranvier.graph.node import Node
from ranvier.ops import arrays as n
from ranvier.ops.arrays.elementary import polynomial
from ranvier.ops.arrays.promotion import floating
from ranvier.ops.functional.noise import CENTRE, TAILS
from ranvier.tensor.function import function

# Below SHIFT the recurrence leads to arguments from SHIFT on, where the asymptotic series is exact: with SHIFT = 8 the
# first term that is left out is below 1e-15. The coefficients are B_2k / (2k (2k - 1)) and B_2k / 2k with Bernoulli's
# numbers (Abramowitz and Stegun, 6.1.41 and 6.3.18).
SHIFT = 8
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
DIGAMMA = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)


def _reflected(x: Node) -> tuple[Node, Node, Node]:
    """Of ``x`` in float64: whether it is below a half, ``1 - x`` there and x elsewhere, and how far x is from the
    nearest whole number there, a half elsewhere.
    """
    wide = n.cast(floating(x), "float64")
    low = n.less(wide, 0.5)
    rest = n.where(low, n.subtract(wide, n.stop_gradient(n.floor(n.add(wide, 0.5)))), 0.5)
    return low, n.where(low, n.subtract(1.0, wide), wide), rest


def _shifted(x: Node) -> tuple[Node, Node, Node]:
    """Whether an argument of a half or more is below SHIFT, it where it is and 1 elsewhere, and it moved above."""
    small = n.less(x, float(SHIFT))
    return small, n.where(small, x, 1.0), n.where(small, n.add(x, float(SHIFT)), x)


@function
def lgamma(x: Node) -> Node:
    """Elementwise ``log(abs(gamma(x)))``; infinity at 0 and at negative whole numbers."""
    low, positive, rest = _reflected(x)
    small, base, far = _shifted(positive)
    inverse = n.reciprocal(far)
    series = n.multiply(inverse, polynomial(STIRLING[::-1], n.square(inverse)))
    log = n.log(far)
    value = n.add(
        n.multiply(n.subtract(far, 0.5), n.subtract(log, 1.0)), n.add(series, 0.5 * math.log(2 * math.pi) - 0.5)
    )
    product = base
    for k in range(1, SHIFT):
        product = n.multiply(product, n.add(base, float(k)))
    value = n.where(small, n.subtract(value, n.log(product)), value)
    sine = n.log(n.abs(n.sin(n.multiply(rest, math.pi))))
    value = n.where(low, n.subtract(n.subtract(math.log(math.pi), sine), value), value)
    return n.cast(n.where(n.equal(x, -math.inf), math.inf, value), floating(x).dtype)


@function
def digamma(x: Node) -> Node:
    """Elementwise derivative of `lgamma`: at 0 infinity against its sign, at negative whole numbers nan."""
    low, positive, rest = _reflected(x)
    small, base, far = _shifted(positive)
    inverse = n.reciprocal(far)
    square = n.square(inverse)
    value = n.subtract(
        n.log(far), n.add(n.multiply(inverse, 0.5), n.multiply(square, polynomial(DIGAMMA[::-1], square)))
    )
    total = n.reciprocal(base)
    for k in range(1, SHIFT):
        total = n.add(total, n.reciprocal(n.add(base, float(k))))
    value = n.where(small, n.subtract(value, total), value)
    angle = n.multiply(rest, math.pi)
    cotangent = n.where(low, n.divide(n.cos(angle), n.sin(angle)), 0.0)
    pole = n.logical_and(n.equal(rest, 0.0), n.less(x, 0.0))
    return n.cast(n.where(pole, math.nan, n.subtract(value, n.multiply(cotangent, math.pi))), floating(x).dtype)


@function
def erfinv(x: Node) -> Node:
    """Elementwise inverse of `erf`: infinite at -1 and 1, and nan beyond them.

    An approximation of float32, improved by Halley's method.
    """
    y = n.cast(floating(x), "float64")
    inside = n.less(n.abs(y), 1.0)
    safe = n.where(inside, y, 0.0)
    w = n.negative(n.log(n.multiply(n.subtract(1.0, safe), n.add(1.0, safe))))
    centre = polynomial(CENTRE[::-1], n.subtract(n.minimum(w, 5.0), 2.5))
    tails = polynomial(TAILS[::-1], n.subtract(n.sqrt(n.clip(w, 5.0, 16.0)), 3.0))
    guess = n.multiply(n.multiply(safe, n.where(n.less(w, 5.0), centre, tails)), 0.5**0.5)
    far = n.sqrt(n.maximum(n.subtract(w, n.multiply(n.log(n.multiply(n.maximum(w, 1.0), math.pi / 4)), 0.5)), 1.0))
    root = n.stop_gradient(n.where(n.less(w, 16.0), guess, n.multiply(n.sign(safe), far)))
    for _ in range(3):
        root = n.stop_gradient(root)
        error = n.multiply(n.subtract(n.erf(root), safe), n.multiply(n.exp(n.square(root)), math.sqrt(math.pi) / 2))
        root = n.subtract(root, n.divide(error, n.add(1.0, n.multiply(root, error))))
    ends = n.where(n.equal(y, 1.0), math.inf, n.where(n.equal(y, -1.0), -math.inf, math.nan))
    return n.cast(n.where(inside, root, ends), floating(x).dtype)


# B_2k / (2k)!, which the asymptotic series of a polygamma function multiplies by (order + 2k - 1)!.
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)


@function
def polygamma(x: Node, order: int) -> Node:
    """Elementwise derivative of `digamma` of this order, 0 or more; infinity or nan at 0 and at negative whole numbers.

    Abramowitz and Stegun, 6.4.6, 6.4.7 and 6.4.11.
    """
    if order == 0:
        return digamma(x)
    low, positive, rest = _reflected(x)
    far = n.add(positive, float(SHIFT))
    inverse = n.reciprocal(far)
    power, total = n.power(inverse, float(order)), n.power(n.reciprocal(positive), order + 1.0)
    for k in range(1, SHIFT):
        total = n.add(total, n.power(n.reciprocal(n.add(positive, float(k))), order + 1.0))
    total = n.multiply(total, float(math.factorial(order)))
    series = n.add(n.multiply(inverse, math.factorial(order) / 2), float(math.factorial(order - 1)))
    square, scale = n.square(inverse), n.square(inverse)
    for k, number in enumerate(BERNOULLI, 1):
        factor = number * math.factorial(order + 2 * k - 1) / math.factorial(2 * k)
        series, scale = n.add(series, n.multiply(scale, factor)), n.multiply(scale, square)
    value = n.multiply(n.add(total, n.multiply(power, series)), (-1.0) ** (order + 1))
    # psi(1 - x) - psi(x) = pi cot(pi x), differentiated: the derivatives of the cotangent are polynomials in it.
    angle = n.multiply(rest, math.pi)
    cotangent = n.where(low, n.divide(n.cos(angle), n.sin(angle)), 0.0)
    terms = [0.0, 1.0]
    for _ in range(order):
        slopes = [i * c for i, c in enumerate(terms)][1:]
        terms = [-a - b for a, b in zip([*slopes, 0.0, 0.0], [0.0, 0.0, *slopes], strict=True)]
    reflected = n.multiply(polynomial(terms[::-1], cotangent), math.pi ** (order + 1))
    sign = (-1.0) ** order
    return n.cast(n.where(low, n.subtract(n.multiply(value, sign), reflected), value), floating(x).dtype)
