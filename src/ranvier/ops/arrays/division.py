"""Division that leaves a rest: whole quotients and remainders, which are exact as those of PyTorch and NumPy are."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATING, FLOATS
from ranvier.graph.node import Node, apply, like
from ranvier.ops.arrays.promotion import as_node, result_dtype, together
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import state

STEPS = 4  # each takes 25 bits off the quotient
MOST = 2.0**96  # a quotient of more leaves no rest


def _choose(condition: Node, yes: Node, no: Node) -> Node:
    return apply("select", condition, yes, no)


def _less(a: Node, b: Node) -> Node:
    return apply("less", a, b)


def _upper(x: Node, bits: float) -> Node:
    """The upper bits of a double (Veltkamp): those that are left when ``bits`` are rounded off."""
    spread = x * like(x, bits + 1)
    return apply("stop_gradient", spread - (spread - x))


def _truncated(x: Node) -> Node:
    return _choose(_less(x, like(x, 0)), -apply("floor", -x), apply("floor", x))


def _rest(x: Node, y: Node) -> Node:
    """What a division of doubles by a whole quotient leaves: nearer to 0 than ``y``, of either sign, and exact.

    Of the quotient only 26 bits are taken at a time, and of the divisor 26 and 27, so that no product and no difference
    is rounded. The gradient by ``y`` is the whole quotient, with its sign turned: it goes through the divisor's lower
    bits.
    """
    size, most = apply("abs", x), like(x, MOST)
    within = _less(size, apply("abs", y))  # also of an infinite divisor, of which nothing else is known
    y = _choose(within, like(y, 1), y)
    upper = _upper(y, 2.0**27)
    lower, rest = y - upper, x
    for _ in range(STEPS):
        quotient = _upper(_truncated(rest / y), 2.0**27)
        rest = rest - quotient * upper - quotient * lower
    nothing = apply("stop_gradient", (x - x) / y)  # 0; nan where there is no quotient
    rest = _choose(_less(size / apply("abs", y), most), rest, nothing)
    return _choose(within, x, rest)


def _towards(rest: Node, y: Node, whose: Node) -> Node:
    """The rest with the sign of ``whose``: nearer to it by one divisor where it has the other."""
    zero = like(rest, 0)
    negative = _less(whose, zero)
    size = apply("abs", y)
    up = apply("logical_and", apply("logical_not", negative), _less(rest, zero))
    down = apply("logical_and", negative, _less(zero, rest))
    return _choose(up, rest + size, _choose(down, rest - size, rest))


def _operands(a: Node, b: Node) -> tuple[str, list[Node]]:
    dtype = result_dtype(a, b)
    dtype = "int32" if dtype == "bool" else dtype
    return dtype, together(a, b, dtype=dtype)


def _doubles(*nodes: Node) -> list[Node]:
    return [as_node(x, "float64") for x in nodes]


def truncated_quotient(x: Node, y: Node) -> Node:
    """Integers divided and rounded toward 0: above a quotient rounded down by 1 where that is below 0 and not exact."""
    down = apply("quotient", x, y)
    inexact = apply("logical_not", apply("equal", down * y, x))
    up = apply("logical_and", apply("less", down, like(x, 0)), inexact)
    return down + apply("cast", up, dtype=x.dtype)


@function
def floor_divide(a: Node, b: Node) -> Node:
    """Elementwise division rounded toward minus infinity; of integers by 0, 0."""
    dtype, (x, y) = _operands(a, b)
    if dtype not in FLOATS:
        return apply("quotient", x, y)
    x, y = (apply("stop_gradient", v) for v in _doubles(x, y))
    rest = _rest(x, y)
    whole = apply("floor", (x - rest) / y + like(x, 0.5))
    zero = like(x, 0)
    across = apply("logical_and", _less(rest * apply("sign", y), zero), apply("equal", rest, rest))
    whole = _choose(across, whole - like(x, 1), whole)
    return as_node(_choose(apply("equal", y, zero), x / y, whole), dtype)


@function
def remainder(a: Node, b: Node) -> Node:
    """``a - floor_divide(a, b) * b``, exact: it has the sign of the divisor."""
    dtype, (x, y) = _operands(a, b)
    if dtype not in FLOATS:
        return x - apply("quotient", x, y) * y
    return _towards(as_node(_rest(*_doubles(x, y)), dtype), y, y)


@function
def fmod(a: Node, b: Node) -> Node:
    """The remainder of a division rounded toward 0, exact: it has the sign of ``a``."""
    dtype, (x, y) = _operands(a, b)
    if dtype not in FLOATS:
        return x - truncated_quotient(x, y) * y
    return _towards(as_node(_rest(*_doubles(x, y)), dtype), y, x)


def check_divisor(a: Any, b: Any) -> None:
    """Raise RuntimeError for integers that are divided by 0, as PyTorch does; not while a model is traced."""
    if any(getattr(x, "dtype", None) in FLOATING or isinstance(x, float) for x in (a, b)) or state.tracing:
        return
    if not isinstance(b, (Tensor, int, np.ndarray, np.generic)):  # a symbolic value
        return
    divisor = b.compute() if isinstance(b, Tensor) else np.asarray(b)
    if divisor.size and not divisor.all():
        raise RuntimeError("ZeroDivisionError: an integer is divided by 0. Write x.float(), or another divisor.")


def _refusing_zero(operation: Any) -> Any:
    """The function of tensors, which looks at an integer divisor first."""

    def divided(input: Any, other: Any) -> Any:
        check_divisor(input, other)
        return operation(input, other)

    divided.__name__ = divided.__qualname__ = operation.__name__
    divided.__doc__ = f"{operation.__doc__.rstrip('.')}. Raises RuntimeError for an integer divided by 0."
    return divided


whole_quotient, whole_remainder, whole_fmod = map(_refusing_zero, (floor_divide, remainder, fmod))
