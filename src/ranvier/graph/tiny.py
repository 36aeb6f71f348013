"""Flush would-be subnormal numbers to zero.

Training produces them: gradients of learned samples, their squares, the momentum of a dead input. They shrink until
they are subnormal, and some processors take ten to a hundred times as long for subnormal numbers. The processors'
own flush modes do not give the same results on all of them.
"""

from __future__ import annotations

import math

import numpy as np

from ranvier.graph.node import Node, apply, like

# Far enough above the subnormal numbers that a few more products do not reach them.
TINY = {"float32": 1e-30, "float64": 1e-290}


def snapped(x: Node, limit: float | None = None) -> Node:
    """``x``, and zero where its magnitude is below the limit (`TINY` by default)."""
    small = apply("less", apply("abs", x), like(x, TINY[x.dtype] if limit is None else limit))
    return apply("select", small, like(x, 0.0), x)


def snapped_of(value: Node) -> Node | None:
    """The node of which a value is `snapped`, by `TINY`; None of another."""
    if value.op.name != "select" or value.dtype not in TINY or value.inputs[0].op.name != "less":
        return None
    (size, limit), zero, x = value.inputs[0].inputs, *value.inputs[1:]
    is_of_x = size.op.name == "abs" and size.inputs[0] is x
    tiny = np.asarray(TINY[x.dtype], x.dtype).item()
    return x if is_of_x and _number(zero) == 0 and _number(limit) == tiny else None


def _number(node: Node) -> float | None:
    """The value of a constant scalar that may be broadcast."""
    while node.op.name == "broadcast":
        node = node.inputs[0]
    is_scalar = node.op.name == "constant" and not node.ndim
    return float(node.attrs["value"]) if is_scalar else None


def squared(x: Node) -> Node:
    """``x * x``, and zero where that is below `TINY`."""
    kept = snapped(x, math.sqrt(TINY[x.dtype]))
    return kept * kept


def falling_exp(x: Node) -> Node:
    """``exp(x)`` for x <= 0, and zero where that is below `TINY`."""
    far = apply("less", x, like(x, math.log(TINY[x.dtype])))
    return apply("exp", apply("select", far, like(x, -math.inf), x))
