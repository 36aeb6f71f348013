"""A pass for wide layers: products with weights that exceed a second-level cache are marked, for the scheduler.

Threads then divide a layer's outputs, not the samples, so that each thread reads its own part of the weights. Where
weights lie transposed, they are read as they lie: element by element by vectors that run along the samples, or by dot
products, whose vectors run along the terms, where samples are few.
"""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.engines.native.target.lanes import LANES, SIZE
from ranvier.graph.contraction import Affine, plain
from ranvier.graph.extents import Extent, size
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, apply

LARGE = 3 << 19  # bytes of weights
MANY_PLACES = 4  # for each output, of images: with more, the weights are small beside the images
FEW_SAMPLES = 9  # below which the sums of transposed weights are dot products
ALONG_OUTPUTS, ALONG_SAMPLES, ALONG_TERMS = "wide", "wide along samples", "wide along terms"
JOINED = "joined"  # of a product whose few terms, of all samples, are copied together
PLAIN = plain(0, 2), plain(2, 1)  # how a product addresses its operands: samples, outputs, inputs
TRANSPOSED = plain(0, 2), plain(1, 2)


def wide_products(graph: Graph, batch: int) -> Graph:
    """Mark the products of wide layers, and note how few rows they are expected to have."""
    expected = {name: node.attrs[name] for node in graph.inputs for name in ("rows",) if name in node.attrs}

    def change(node: Node, old: Node) -> Node:
        mark = _mark(node, batch)
        return apply("contract", *node.inputs, **node.attrs, of=mark, **expected) if mark else node

    return graph.changed(change, "contract")


def _mark(node: Node, batch: int) -> str | None:
    if "of" in node.attrs or not is_wide(node):
        return None
    loops, rank, index = node.attrs["loops"], node.attrs["rank"], node.attrs["index"]
    outputs = loops[rank - 1]
    if rank > 2:
        return ALONG_OUTPUTS if _shares_weights(node) and few_places(_places(node, batch), outputs) else None
    count = size(loops[:1], batch)
    if index not in (PLAIN, TRANSPOSED) or isinstance(outputs, Extent) or count > outputs:
        return None
    if index != TRANSPOSED:
        return ALONG_OUTPUTS
    return ALONG_SAMPLES if count >= FEW_SAMPLES else ALONG_TERMS


def few_places(places: int, filters: int) -> bool:
    """Whether a batch of images has so few places that large weights are better read once for all of them."""
    return places <= MANY_PLACES * filters


def _shares_weights(node: Node) -> bool:
    """Whether all samples of a batch are multiplied with the second operand, whose last axis is the result's last."""
    loops, rank, (_, weights) = node.attrs["loops"], node.attrs["rank"], node.attrs["index"]
    return loops[0] == BATCH and weights[-1] == (((rank - 1, 1),), 0) and 0 not in _loops(weights)


def _loops(index: Sequence[Affine]) -> set[int]:
    """The loops that an operand's index depends on."""
    return {loop for terms, _ in index for loop, _ in terms}


def _places(node: Node, batch: int) -> int:
    """The places, of all samples, that are multiplied with the same weights."""
    loops, weights = node.attrs["loops"], _loops(node.attrs["index"][1])
    return size([loops[i] for i in range(node.attrs["rank"]) if i not in weights], batch)


def is_wide(node: Node) -> bool:
    """Whether a contraction is a product with large weights, or computes a gradient of such weights."""
    loops, rank = node.attrs["loops"], node.attrs["rank"]
    if rank < 2 or len(loops) != rank + 1 or "clip" in node.attrs:
        return False
    return any(is_large(operand) for operand in (*node.inputs, node) if BATCH not in operand.shape)


def is_large(weights: Node) -> bool:
    """Whether weights exceed a second-level cache."""
    return size(weights.shape, 1) * SIZE[weights.dtype] >= LARGE


def divides_outputs(node: Node | None) -> bool:
    """Whether threads divide the outputs of a product."""
    return node is not None and node.attrs.get("of") in (ALONG_OUTPUTS, ALONG_SAMPLES, ALONG_TERMS)


def along_samples(node: Node | None) -> bool:
    """Whether vectors of a product run along the samples, so that its result is stored output by output."""
    return node is not None and node.attrs.get("of") == ALONG_SAMPLES


def along_terms(node: Node) -> bool:
    """Whether a product of few samples is computed as dot products."""
    return node.attrs.get("of") == ALONG_TERMS


def reads_any_layout(reader: Node) -> bool:
    """Whether a node computes the same bits if its operand is stored output by output: no dot product becomes a sum."""
    node = reader.attrs.get("inner", reader)
    if node.op.name != "contract":
        return not node.op.is_view
    *outer, _ = node.attrs["loops"]
    known = all(not isinstance(loop, Extent) and loop > 2 * LANES for loop in outer)
    return known or along_samples(node) or node.attrs["index"] == PLAIN
