"""For networks of one hidden layer: each thread takes some of the hidden units, for all samples.

A unit's weights, outputs and gradients and the update of its weights then belong to one thread. Only each part's sums
over its units move to other cores: a number for each sample and part, instead of every weight and the partial sums over
the samples. Every thread computes for itself what it reads of the data and what follows those sums.
"""

from __future__ import annotations

from ranvier.engines.native.passes.split_features import LARGE_WEIGHTS, is_first_layer
from ranvier.engines.native.passes.virtual_workers import LARGE_BATCH
from ranvier.engines.native.target.lanes import LANES, SIZE
from ranvier.graph.contraction import Affine
from ranvier.graph.extents import size
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, apply, extent

PARTS = 4
MIN_ROWS = 16  # of a batch
UnitAxes = dict[Node, int]  # the axis of the hidden units, of each node that has one


def split_units(graph: Graph, batch: int) -> Graph | None:
    """Turn the sum over the hidden units into a sum of parts; None where that does not pay."""
    found = _layers(graph, batch) if MIN_ROWS <= batch < LARGE_BATCH else None
    if found is None:
        return None
    first, second = found

    def change(node: Node, old: Node) -> Node:
        if old is first:
            return apply("contract", *node.inputs, **{**node.attrs, "of": "units"})
        return apply("reduce_sum", _split(node), axes=(0,)) if old is second else node

    return graph.changed(change, "contract")


def _layers(graph: Graph, batch: int) -> tuple[Node, Node] | None:
    """The product that computes the hidden units from the data, and the only one that sums over them."""
    updated = {target for target, _ in graph.updates}
    products = graph.of("contract")
    for first in products:
        if not is_first_layer(first, updated):
            continue
        count = size(first.inputs[1].shape, batch)
        if extent(first, 1) % (PARTS * LANES) or count * SIZE[first.dtype] >= LARGE_WEIGHTS:
            continue
        axes = unit_axes(graph, first)
        crossing = [node for node in graph.nodes() if node not in axes and any(i in axes for i in node.inputs)]
        sums = [node for node in crossing if node.op.name == "contract"]
        # A movement of units may be computed where it is needed, from other threads' units.
        moving = any(node.op.kind != "reduce" for node in crossing if node not in sums)
        if moving or len(sums) != 1 or PARTS * size(sums[0].shape, batch) > count:
            continue
        if sums[0].shape[:1] == (BATCH,) and len(sums[0].attrs["loops"]) == sums[0].attrs["rank"] + 1:
            return first, sums[0]
    return None


def _split(node: Node) -> Node:
    """The product with its sum in parts; the part's number is the result's first dimension."""
    *outer, units = node.attrs["loops"]
    last, own = len(outer), units // PARTS

    def renumbered(function: Affine) -> Affine:
        terms, offset = function
        if terms == ((last, 1),):
            return (((0, own), (last + 1, 1)), offset)
        return tuple((loop + 1, factor) for loop, factor in terms), offset

    index = tuple(tuple(map(renumbered, side)) for side in node.attrs["index"])
    loops = (PARTS, *outer, own)
    return apply("contract", *node.inputs, index=index, loops=loops, rank=last + 1, parts=PARTS, of="units")


def unit_axes(graph: Graph, first: Node) -> UnitAxes:
    """The axis of the hidden units that the product ``first`` computes, in every node that has one."""
    axes = {first: 1, first.inputs[1]: 1}
    for node in graph.nodes():
        if node in axes or not any(i in axes for i in node.inputs):
            continue
        if node.op.name == "contract":
            _note_product(node, axes)
            continue
        found = {_axis_in_result(node, axes[i]) for i in node.inputs if i in axes}
        axis = found.pop() if len(found) == 1 else None
        if axis is not None:
            axes[node] = axis
    return axes


def _note_product(node: Node, axes: UnitAxes) -> None:
    """Note the units' axis of a product, and of its other operand where it sums over the units."""
    index, rank = node.attrs["index"], node.attrs["rank"]
    found = {index[side][axes[i]] for side, i in enumerate(node.inputs) if i in axes}
    if len(found) != 1:
        return
    (function,) = found
    terms, _ = function
    if len(terms) == 1 and terms[0][0] < rank:
        axes[node] = terms[0][0]
        return
    for side, operand in enumerate(node.inputs):
        if operand not in axes and function in index[side]:
            axes[operand] = index[side].index(function)


def _axis_in_result(node: Node, axis: int) -> int | None:
    """The axis of the result that an axis of an operand becomes; None if it becomes none."""
    if node.op.kind == "elementwise":
        return axis
    if node.op.name == "broadcast":
        return int(node.attrs["axes"][axis])
    if node.op.combine and axis not in node.attrs["axes"]:
        return axis - sum(other < axis for other in node.attrs["axes"])
    return None
