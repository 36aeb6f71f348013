"""Arithmetic that the rules share, on nodes: moving averages, norms, and operations with numbers."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from ranvier.graph.node import Node, apply, like

Slots = dict[str, Node]
Updated = tuple[Node, Slots]
Setting = float | Node  # of a rule: a constant of the program, or one of its inputs


def broadcast(scalar: Node, shape: Any) -> Node:
    return apply("broadcast", scalar, shape=shape, axes=()) if shape else scalar


def scaled(x: Node, factor: float | Node) -> Node:
    return x * (broadcast(factor, x.shape) if isinstance(factor, Node) else like(x, factor))


def shifted(x: Node, term: float | Node) -> Node:
    return x + (broadcast(term, x.shape) if isinstance(term, Node) else like(x, term))


def lerp(old: Node, new: Node, weight: Setting) -> Node:
    """Linear interpolation: ``old + weight * (new - old)``, the update of a moving average."""
    return old + scaled(new - old, weight)


def sqrt(x: Node) -> Node:
    return apply("sqrt", x)


def one_minus(x: Setting) -> Setting:
    """``1 - x``."""
    return like(x, 1.0) - x if isinstance(x, Node) else 1.0 - x


@lru_cache(maxsize=16)  # the parameters of a step have the same
def one_minus_power(base: Setting, t: Node) -> Node:
    """``1 - base**t``, without the cancellation of the plain formula for bases near 1."""
    if isinstance(base, Node):
        return -apply("expm1", t * apply("log", base))
    if base == 0.0:
        return like(t, 1.0)
    return -apply("expm1", scaled(t, math.log(base)))


def select(condition: Node, yes: Node, no: Node) -> Node:
    """``yes`` if the scalar condition holds, else ``no``."""
    return apply("select", broadcast(condition, yes.shape), yes, no)


def sum_of_squares(g: Node) -> Node:
    return apply("reduce_sum", g * g, axes=tuple(range(g.ndim)))


def clip_factor(norm: Node, limit: float) -> Node:
    """The factor that scales a norm down to at most ``limit``."""
    return like(norm, limit) / apply("maximum", norm, like(norm, limit))
