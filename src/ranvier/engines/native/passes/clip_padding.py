"""Passes: edges that do not matter are left out of contractions, by way of their loops' bounds.

The zeros around an operand are neither made nor multiplied, and what a slice cuts off a result is not computed.

``pad`` then ``contract`` becomes a contraction that reads the operand itself, with ``clip`` among its attributes: for
each dimension (p, cp, q, cq, offset, extent), the terms with ``0 <= cp * p + cq * q + offset < extent`` are all there
are, where p is a loop outside of q. A term left out is a product with zero, so no bit changes while weights are finite.
"""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import Any

from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, apply

FEW = 4  # channels
Clip = tuple[int, int, int, int, int, int]


def cut(graph: Graph) -> Graph:
    """The graph with contractions that do not compute what a slice cuts off, where that can be."""
    uses = Counter((*(operand for node in graph.nodes() for operand in node.inputs), *graph.roots()))

    def change(node: Node, old: Node) -> Node:
        alone = node.op.name == "slice" and node.inputs[0].op.name == "contract" and uses[old.inputs[0]] == 1
        return _cut(node) if alone else node

    return graph.changed(change)


def leave_out(graph: Graph) -> Graph:
    """The graph with contractions that do not read padding, where that can be."""
    return graph.changed(lambda node, old: _clipped(node) if node.op.name == "contract" else node)


def _cut(node: Node) -> Node:
    """A slice of a contraction as a contraction over fewer places."""
    whole = node.inputs[0]
    starts = {loop: item[0] for loop, item in enumerate(node.attrs["ranges"]) if item is not None}
    if any(item is not None and item[2] != 1 for item in node.attrs["ranges"]):
        return node

    def moved(terms: tuple[tuple[int, int], ...], offset: int) -> int:
        return int(offset + sum(c * starts.get(loop, 0) for loop, c in terms))

    attrs = dict(whole.attrs)
    attrs["loops"] = (*node.shape, *whole.attrs["loops"][whole.ndim :])
    attrs["index"] = tuple(
        tuple((terms, moved(terms, offset)) for terms, offset in index) for index in whole.attrs["index"]
    )
    return Node(whole.op, whole.inputs, attrs, node.type)


def _clipped(node: Node) -> Node:
    for side, operand in enumerate(node.inputs):
        if operand.op.name == "pad" and BATCH in operand.shape and is_zero(operand.inputs[1]):
            return node if _thin(node, side) else _without(node, side)
    return node


def _thin(node: Node, side: int) -> bool:
    """Whether weights of few channels have their gradient here: bounds would leave low tiles, and zeros are few."""
    loops, rank = node.attrs["loops"], node.attrs["rank"]
    plain = [loops[terms[0][0]] for terms, _ in node.attrs["index"][side] if len(terms) == 1]
    return BATCH in loops[rank:] and prod(extent for extent in plain if extent != BATCH) <= FEW


def is_zero(value: Node) -> bool:
    """Whether what something is padded with is known to be 0."""
    return value.op.name == "constant" and not value.attrs["value"].any()


def _without(node: Node, side: int) -> Node:
    padded = node.inputs[side]
    source = padded.inputs[0]
    index = list(node.attrs["index"][side])
    clips: list[Clip] = []
    left: list[Any] = []
    for dim, (low, high, between) in enumerate(padded.attrs["widths"]):
        terms, offset = index[dim]
        outer, inner = sorted(terms)[:2] if len(terms) == 2 else ((0, 0), (0, 0))
        crossing = outer[0] < node.attrs["rank"] <= inner[0]  # an output's loop, and one that is summed over
        if between or (low, high) == (0, 0) or not crossing or abs(inner[1]) != 1:
            left.append((low, high, between))
            continue
        left.append((0, 0, 0))
        index[dim] = (terms, offset - low)
        clips.append((*outer, *inner, offset - low, source.shape[dim]))
    if not clips:
        return node
    if any(width != (0, 0, 0) for width in left):
        source = apply("pad", source, padded.inputs[1], widths=tuple(left))
    inputs, indices = list(node.inputs), list(node.attrs["index"])
    inputs[side], indices[side] = source, tuple(index)
    attrs = {**node.attrs, "index": tuple(indices), "clip": tuple(clips)}
    return Node(node.op, tuple(inputs), attrs, node.type)
