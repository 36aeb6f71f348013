"""Passes for loops over time: their carries' memory, and constants laid out once."""

from __future__ import annotations

from ranvier.engines.native.passes.pack_weights import packed_axes, reading
from ranvier.engines.native.passes.primitives import packed, start
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.loop_passes import with_body
from ranvier.graph.node import Node
from ranvier.graph.scan import Operands, operands


def place_carries(graph: Graph, batch: int) -> Graph:
    """Give each carry of a loop memory of its own, which begins as its first value."""

    def change(node: Node, old: Node) -> Node:
        given = operands(node)
        return node.on((*map(start, given.carries), *given.slices, *given.constants))

    return graph.changed(change, "scan")


def pack_constants(graph: Graph, batch: int) -> Graph:
    """Lay out a loop's weights once, before the loop, where its products would gather them with a stride."""
    return graph.changed(lambda node, old: _with_packed(node), "scan")


def _with_packed(node: Node) -> Node:
    body: Graph = pack_constants(node.attrs["body"], 0)
    inner, given = Operands(body.inputs, body, node.attrs["slices"]), operands(node)
    outside = dict(zip(inner.constants, given.constants, strict=True))  # values that are the same in all steps
    inside: dict[Node, Node] = {}
    added: dict[tuple[Node, tuple[int, ...]], Node] = {}  # further inputs of the body, by what they pack
    layouts: list[Node] = []
    for each in body.nodes():
        if each.inputs and all(i in outside for i in each.inputs):
            outside[each] = each.on(tuple(outside[i] for i in each.inputs))
        inside[each] = each.on(tuple(inside[i] for i in each.inputs))
        for side, operand in enumerate(each.inputs if each.op.name == "contract" else ()):
            axes = packed_axes(each, side) if operand in outside else None
            if axes is None:
                continue
            if (operand, axes) not in added:
                layouts.append(packed(outside[operand], axes))
                added[operand, axes] = input_node(f"p{len(added)}", layouts[-1].shape, layouts[-1].dtype)
            inside[each] = reading(inside[each], side, added[operand, axes], axes)
    updates = tuple((target, inside[value]) for target, value in body.updates)
    made = Graph((*body.inputs, *added.values()), tuple(inside[output] for output in body.outputs), updates)
    return with_body(node.on((*node.inputs, *layouts)), made)
