"""Arithmetic that the rules share: nodes with numbers, moving averages, norms."""

from __future__ import annotations

import math
from typing import Any

from ranvier.graph.node import Node, apply, like

Slots = dict[str, Node]
Updated = tuple[Node, Slots]
Setting = float | Node  # of a rule: part of the program, or one of its inputs


def wide(scalar: Node, shape: Any) -> Node:
    return apply("broadcast", scalar, shape=shape, axes=()) if shape else scalar


def scaled(x: Node, factor: float | Node) -> Node:
    return x * (wide(factor, x.shape) if isinstance(factor, Node) else like(x, factor))


def shifted(x: Node, term: float | Node) -> Node:
    return x + (wide(term, x.shape) if isinstance(term, Node) else like(x, term))


def toward(old: Node, new: Node, share: Setting) -> Node:
    """The moving average: ``share`` of the way from old to new."""
    return old + scaled(new - old, share)


def sqrt(x: Node) -> Node:
    return apply("sqrt", x)


def rest(share: Setting) -> Setting:
    """``1 - share``."""
    return like(share, 1.0) - share if isinstance(share, Node) else 1.0 - share


def one_minus_power(base: Setting, t: Node) -> Node:
    """``1 - base**t``, without the cancellation that the plain formula has for bases near 1."""
    if isinstance(base, Node):
        return -apply("expm1", t * apply("log", base))
    if base == 0.0:
        return like(t, 1.0)
    return -apply("expm1", scaled(t, math.log(base)))


def chosen(condition: Node, yes: Node, no: Node) -> Node:
    """``yes`` where the scalar holds, else ``no``."""
    return apply("select", wide(condition, yes.shape), yes, no)


def squares(g: Node) -> Node:
    return apply("reduce_sum", g * g, axes=tuple(range(g.ndim)))


def shrink(norm: Node, limit: float) -> Node:
    """What to scale by so that the norm is at most ``limit``."""
    return like(norm, limit) / apply("maximum", norm, like(norm, limit))
