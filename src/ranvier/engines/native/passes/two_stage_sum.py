"""A pass for sums of all elements of a large value, as of squared weights: first of each row, then of the rows' sums.

A sum of one number is one thread's. It would read every line of weights that other threads have just written, and are
about to write again; the rows' sums are made by the threads that have the rows.
"""

from __future__ import annotations

from math import prod

from ranvier.graph.graph import Graph
from ranvier.graph.node import Node, apply

LEAST = 1 << 13  # elements from which on it pays
ROWS = 16  # rows from which on it does


def by_row(graph: Graph) -> Graph:
    """The graph with each such sum, or maximum, in two stages."""
    return graph.changed(lambda node, old: _staged(node) if _large(old) else node)


def _large(node: Node) -> bool:
    if node.op.name not in ("reduce_sum", "reduce_max") or node.ndim:
        return False
    extents = node.inputs[0].shape
    known = [dim for dim in extents if isinstance(dim, int)]
    return len(known) == len(extents) > 1 and known[0] >= ROWS and prod(known) >= LEAST


def _staged(node: Node) -> Node:
    rows = apply(node.op.name, node.inputs[0], axes=tuple(range(1, node.inputs[0].ndim)))
    return apply(node.op.name, rows, axes=(0,))
