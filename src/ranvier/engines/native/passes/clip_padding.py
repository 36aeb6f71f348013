"""A pass: contractions skip the zeros around a padded operand, by the bounds of their loops.

``pad`` then ``contract`` becomes a contraction that reads the unpadded operand, with the attribute ``clip``. For each
dimension (p, cp, q, cq, offset, extent), it sums only the terms with ``0 <= cp * p + cq * q + offset < extent``, where
p is a loop of the result and q one that is summed over. A term left out is a product with zero, so no bit changes
while weights are finite.
"""

from __future__ import annotations

from math import prod
from typing import Any

from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, apply

MIN_CHANNELS = 5  # fewer leave too low tiles in a gradient by weights, where few terms are padding
Clip = tuple[int, int, int, int, int, int]


def clip_padding(graph: Graph, batch: int) -> Graph:
    """Give contractions of padded operands the attribute ``clip``, where their loops allow it."""
    return graph.changed(lambda node, old: _clipped(node), "contract")


def is_zero(value: Node) -> bool:
    """Whether a padding value is known to be 0."""
    return value.op.name == "constant" and not value.attrs["value"].any()


def _clipped(node: Node) -> Node:
    for side, operand in enumerate(node.inputs):
        if operand.op.name == "pad" and BATCH in operand.shape and is_zero(operand.inputs[1]):
            return node if _has_few_channels(node, side) else _without_padding(node, side)
    return node


def _has_few_channels(node: Node, side: int) -> bool:
    """Whether the node is the gradient by weights of few channels."""
    loops, rank = node.attrs["loops"], node.attrs["rank"]
    plain = [loops[terms[0][0]] for terms, _ in node.attrs["index"][side] if len(terms) == 1]
    return BATCH in loops[rank:] and prod(extent for extent in plain if extent != BATCH) < MIN_CHANNELS


def _without_padding(node: Node, side: int) -> Node:
    padded = node.inputs[side]
    source = padded.inputs[0]
    index = list(node.attrs["index"][side])
    clips: list[Clip] = []
    kept: list[Any] = []  # padding of dimensions that loops cannot clip
    for dim, (low, high, between) in enumerate(padded.attrs["widths"]):
        terms, offset = index[dim]
        outer, inner = sorted(terms)[:2] if len(terms) == 2 else ((0, 0), (0, 0))
        # A loop of the result, and one that is summed over.
        crossing = outer[0] < node.attrs["rank"] <= inner[0]
        if between or (low, high) == (0, 0) or not crossing or abs(inner[1]) != 1:
            kept.append((low, high, between))
            continue
        kept.append((0, 0, 0))
        index[dim] = (terms, offset - low)
        clips.append((*outer, *inner, offset - low, source.shape[dim]))
    if not clips:
        return node
    if any(width != (0, 0, 0) for width in kept):
        source = apply("pad", source, padded.inputs[1], widths=tuple(kept))
    inputs, indices = list(node.inputs), list(node.attrs["index"])
    inputs[side], indices[side] = source, tuple(index)
    attrs = {**node.attrs, "index": tuple(indices), "clip": tuple(clips)}
    return Node(node.op, tuple(inputs), attrs, node.type)
