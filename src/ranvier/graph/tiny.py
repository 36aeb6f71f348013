"""Numbers that are nothing beside those they are added to, as zeros.

A training run makes them by itself: gradients of samples that are learned, their squares, the momentum of a dead input.
They shrink until they are subnormal, and these take some processors ten to a hundred times as long as other numbers.
The processor's own mode that flushes them would do, but what that does is not the same on all of them.
"""

from __future__ import annotations

import math

from ranvier.graph.node import Node, apply, like

# Far enough from the subnormal numbers that what a few more products make of it is none either.
TINY = {"float32": 1e-30, "float64": 1e-290}


def snapped(x: Node, limit: float | None = None) -> Node:
    """``x``, and zero where its size is less than the limit, `TINY` if none is given."""
    small = apply("less", apply("abs", x), like(x, TINY[x.dtype] if limit is None else limit))
    return apply("select", small, like(x, 0.0), x)


def squared(x: Node) -> Node:
    """``x * x``, and zero where that is less than `TINY`."""
    kept = snapped(x, math.sqrt(TINY[x.dtype]))
    return kept * kept


def falling_exp(x: Node) -> Node:
    """``exp(x)`` of what is not positive, and zero where that is less than `TINY`."""
    far = apply("less", x, like(x, math.log(TINY[x.dtype])))
    return apply("exp", apply("select", far, like(x, -math.inf), x))
