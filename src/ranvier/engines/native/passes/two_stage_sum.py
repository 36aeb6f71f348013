"""A pass: a sum of all elements of a large value, as of squared weights, first sums each row and then the rows' sums.

One thread computes a sum of one number. It would read every cache line of weights that other threads have just written
and are about to write again. The rows' sums are computed by the threads that have the rows.
"""

from __future__ import annotations

from math import prod

from ranvier.engines.native.passes.primitives import REDUCTIONS
from ranvier.graph.graph import Graph
from ranvier.graph.node import Node, apply

MIN_ELEMENTS = 1 << 13
MIN_ROWS = 16


def two_stage_sum(graph: Graph, batch: int) -> Graph:
    """Split each reduction of a large value to a scalar into two reductions."""
    return graph.changed(lambda node, old: _staged(node) if _is_large(old) else node, *REDUCTIONS)


def _is_large(node: Node) -> bool:
    if node.ndim:
        return False
    extents = node.inputs[0].shape
    known = [dim for dim in extents if isinstance(dim, int)]
    return len(known) == len(extents) > 1 and known[0] >= MIN_ROWS and prod(known) >= MIN_ELEMENTS


def _staged(node: Node) -> Node:
    rows = apply(node.op.name, node.inputs[0], axes=tuple(range(1, node.inputs[0].ndim)))
    return apply(node.op.name, rows, axes=(0,))
