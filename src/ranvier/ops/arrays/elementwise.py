"""Elementwise arithmetic, comparison and choice."""

from __future__ import annotations

import math
from typing import Any

from ranvier.graph.dtypes import FLOATS, SIGNED, limits
from ranvier.graph.node import Node, apply, constant, full
from ranvier.ops.arrays.promotion import INTEGER, as_node, broadcast_shape, expand, floating, result_dtype, together
from ranvier.tensor.context import get_dtype
from ranvier.tensor.function import arithmetic, function


@arithmetic
def add(a: Node, b: Node) -> Node:
    """Elementwise ``a + b``."""
    x, y = together(a, b)
    return apply("logical_or", x, y) if x.dtype == "bool" else apply("add", x, y)


@arithmetic
def subtract(a: Node, b: Node) -> Node:
    """Elementwise ``a - b``."""
    return apply("sub", *together(a, b))


@arithmetic
def multiply(a: Node, b: Node) -> Node:
    """Elementwise ``a * b``."""
    x, y = together(a, b)
    return apply("logical_and", x, y) if x.dtype == "bool" else apply("mul", x, y)


@arithmetic
def divide(a: Node, b: Node) -> Node:
    """Elementwise true division; integers become floats."""
    dtype = result_dtype(a, b)
    return apply("div", *together(a, b, dtype=dtype if dtype in FLOATS else get_dtype()))


@function
def power(a: Node, b: Node) -> Node:
    """Elementwise ``a ** b``; small whole exponents are multiplied out.

    Of integers that do not fit the lowest bits are left, as multiplying leaves them; negative powers of integers are 0,
    but for those of 1 and -1.
    """
    exponent, dtype = number(b), result_dtype(a, b)
    if exponent in (1, 2, 3, 4) or (dtype not in FLOATS and exponent is not None and exponent >= 0):
        return _multiplied(as_node(a, dtype), int(exponent))
    if dtype not in FLOATS:
        return _whole_power(*together(a, b, dtype=dtype))
    if exponent in (0.5, -0.5, -1):
        x = floating(a)
        root = x if exponent == -1 else apply("sqrt", x)
        return root if exponent == 0.5 else as_ones(root) / root
    return apply("power", *together(a, b))


def _multiplied(x: Node, exponent: int) -> Node:
    """``x`` to a whole power, by squaring."""
    result = None
    while exponent:
        if exponent % 2:
            result = x if result is None else result * x
        exponent //= 2
        x = x * x if exponent else x
    return as_ones(x) if result is None else result


def _whole_power(x: Node, exponent: Node) -> Node:
    """The power of integers, by squaring: a factor for each bit of the exponent."""
    zero, one, bits = (full(v, x.shape, x.dtype) for v in (0, 1, 2))
    result, square, rest = one, x, exponent
    for _ in range(limits(x.dtype)[1].bit_length()):
        half = apply("quotient", rest, bits)
        odd = apply("equal", rest - half * bits, one)
        result = apply("select", odd, result * square, result)
        square, rest = square * square, half
    if x.dtype not in SIGNED:
        return result
    negative = apply("less", exponent, zero)
    parity = exponent - apply("quotient", exponent, bits) * bits
    of_one = apply("select", apply("equal", parity, zero), one, x)
    unit = apply("equal", apply("abs", x), one)
    return apply("select", negative, apply("select", unit, of_one, zero), result)


def number(x: Any) -> Any:
    """A Python number given for an operand, or None."""
    return None if isinstance(x, Node) else x


def as_ones(x: Node) -> Node:
    return full(1, x.shape, x.dtype)


@function
def clip(x: Node, low: Node | None = None, high: Node | None = None) -> Node:
    """``x`` kept within [low, high]; a bound left out does not bind. The gradient at a bound is 1, outside 0."""
    given = [v for v in (low, high) if v is not None]
    dtype = result_dtype(x, *given)
    if dtype == "bool":
        result = x if low is None else maximum(x, low)
        return result if high is None else minimum(result, high)
    result = as_node(x, dtype)
    if low is not None:
        result, bound = together(result, low, dtype=dtype)
        result = apply("select", apply("less", result, bound), bound, result)
    if high is not None:
        result, bound = together(result, high, dtype=dtype)
        result = apply("select", apply("less", bound, result), bound, result)
    return result


@function
def identity(x: Node) -> Node:
    """``x`` itself."""
    return x


@function
def negative(x: Node) -> Node:
    """Elementwise ``-x``; unsigned integers wrap."""
    return apply("neg", x) if x.dtype in SIGNED else apply("sub", full(0, x.shape, x.dtype), x)


@function
def abs(x: Node) -> Node:
    """Elementwise absolute value; the gradient at 0 is 0."""
    return apply("abs", x) if x.dtype in SIGNED else x


@function
def sign(x: Node) -> Node:
    """Elementwise -1, 0 or 1, in the dtype of ``x``."""
    return apply("sign", x) if x.dtype in SIGNED else as_node(truth(x), x.dtype)


@function
def floor(x: Node) -> Node:
    """Elementwise rounding toward minus infinity."""
    return apply("floor", x) if x.dtype in FLOATS else x


@function
def ceil(x: Node) -> Node:
    """Elementwise rounding toward infinity."""
    return -apply("floor", -x) if x.dtype in FLOATS else x


def _named(name: str, text: str, body: Any) -> Any:
    """The tensor function of a body under this name."""
    body.__name__ = body.__qualname__ = name  # pickles find a function by its qualified name
    body.__doc__ = text
    return function(body)


def extremum(name: str, text: str) -> Any:
    """The tensor function that chooses one of two numbers by a primitive."""

    def body(a: Node, b: Node) -> Node:
        x, y = together(a, b)
        if x.dtype in SIGNED:
            return apply(name, x, y)
        if x.dtype == "bool":
            return apply("logical_or" if name == "maximum" else "logical_and", x, y)
        return apply("select", apply("less", x, y), *((y, x) if name == "maximum" else (x, y)))

    return _named(name, text, body)


maximum: Any = extremum("maximum", "Elementwise larger value; equal operands share the gradient.")
minimum: Any = extremum("minimum", "Elementwise smaller value; equal operands share the gradient.")


def of_primitive(name: str, text: str) -> Any:
    """The tensor function that applies an elementwise primitive of floats to one operand."""

    def body(x: Node) -> Node:
        return apply(name, floating(x))

    return _named(name, text, body)


exp: Any = of_primitive("exp", "Elementwise exponential.")
expm1: Any = of_primitive("expm1", "Elementwise ``exp(x) - 1``, accurate near 0.")
log: Any = of_primitive("log", "Elementwise natural logarithm.")
log1p: Any = of_primitive("log1p", "Elementwise ``log(1 + x)``, accurate near 0.")
sqrt: Any = of_primitive("sqrt", "Elementwise square root.")
tanh: Any = of_primitive("tanh", "Elementwise hyperbolic tangent.")
sigmoid: Any = of_primitive("sigmoid", "Elementwise ``1 / (1 + exp(-x))``, stable for any x.")
erf: Any = of_primitive("erf", "Elementwise Gauss error function.")
sin: Any = of_primitive("sin", "Elementwise sine.")
cos: Any = of_primitive("cos", "Elementwise cosine.")


@function
def rsqrt(x: Node) -> Node:
    """Elementwise ``1 / sqrt(x)``."""
    root = apply("sqrt", floating(x))
    return as_ones(root) / root


@function
def reciprocal(x: Node) -> Node:
    """Elementwise ``1 / x``."""
    x = floating(x)
    return as_ones(x) / x


@function
def square(x: Node) -> Node:
    """Elementwise ``x * x``; of bool int64."""
    x = as_node(x, INTEGER) if x.dtype == "bool" else x
    return x * x


def _numbers(a: Any, b: Any) -> list[Node]:
    dtype = result_dtype(a, b)
    return together(a, b, dtype="int32" if dtype == "bool" else dtype)


def comparison(name: str, primitive: str, text: str, *, exchanged: bool = False) -> Any:
    """The tensor function that compares two numbers by a primitive."""

    def body(a: Node, b: Node) -> Node:
        x, y = _numbers(a, b)
        return apply(primitive, y, x) if exchanged else apply(primitive, x, y)

    return _named(name, text, body)


less: Any = comparison("less", "less", "Elementwise ``a < b``.")
less_equal: Any = comparison("less_equal", "less_equal", "Elementwise ``a <= b``.")
greater: Any = comparison("greater", "less", "Elementwise ``a > b``.", exchanged=True)
greater_equal: Any = comparison("greater_equal", "less_equal", "Elementwise ``a >= b``.", exchanged=True)


@function
def equal(a: Node, b: Node) -> Node:
    """Elementwise ``a == b``."""
    return apply("equal", *together(a, b))


@function
def not_equal(a: Node, b: Node) -> Node:
    """Elementwise ``a != b``."""
    return apply("logical_not", apply("equal", *together(a, b)))


def truth(x: Any) -> Node:
    """``x`` as bool: what is not 0."""
    if not isinstance(x, Node):
        return constant(bool(x), "bool")
    return x if x.dtype == "bool" else not_equal(x, 0)


@function
def logical_and(a: Node, b: Node) -> Node:
    """Elementwise ``a and b``."""
    return apply("logical_and", *together(truth(a), truth(b)))


@function
def logical_or(a: Node, b: Node) -> Node:
    """Elementwise ``a or b``."""
    return apply("logical_or", *together(truth(a), truth(b)))


@function
def logical_xor(a: Node, b: Node) -> Node:
    """Elementwise: one of both, not both."""
    return apply("logical_not", apply("equal", *together(truth(a), truth(b))))


@function
def logical_not(x: Node) -> Node:
    """Elementwise ``not x``."""
    return apply("logical_not", truth(x))


@function
def where(condition: Node, yes: Node, no: Node) -> Node:
    """``yes`` where the condition holds, else ``no``; the branch not taken gets no gradient."""
    dtype = result_dtype(yes, no)
    test, a, b = truth(condition), as_node(yes, dtype), as_node(no, dtype)
    shape = broadcast_shape(test.shape, a.shape, b.shape)
    return apply("select", expand(test, shape), expand(a, shape), expand(b, shape))


@function
def isnan(x: Node) -> Node:
    """Elementwise: not a number."""
    return apply("logical_not", apply("equal", x, x))


@function
def isfinite(x: Node) -> Node:
    """Elementwise: neither infinite nor nan."""
    return less(abs(x), math.inf)


@function
def cast(x: Node, dtype: str) -> Node:
    """``x`` in another dtype; floats become integers toward zero, saturating, nan as 0."""
    return truth(x) if dtype == "bool" else as_node(x, dtype)


@function
def stop_gradient(x: Node) -> Node:
    """``x``, taken as constant by gradients."""
    return apply("stop_gradient", x)
