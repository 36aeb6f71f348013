"""A pass for large samples: weights that vectors would have to collect from afar are laid out anew once a step.

The gradient of a convolution by its inputs runs along the channels that came in, and the kernel holds those that go out
next to each other. A product of many rows lays out what it needs by itself, see contraction.py. Here, where samples are
taken one or a few at a time, that would be once for each of them.
"""

from __future__ import annotations

from typing import Any

from ranvier.engines.native.codegen.builder import LANES
from ranvier.engines.native.passes.virtual_workers import spatial
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, Primitive, apply

# Not one of the language's primitives: it stands in a graph between this pass and the schedule alone. It is the same
# value, in memory, in row-major order.
LAID = Primitive("laid", "layout", lambda types, attrs: types[0], lambda arrays, attrs, extents: arrays[0])


def lay_out(graph: Graph) -> Graph:
    """The graph with weights turned so that the output's last loop is their last dimension."""
    if not spatial(graph):
        return graph
    laid: dict[tuple[Node, tuple[int, ...]], Node] = {}
    return graph.changed(lambda node, old: _turned(node, laid) if node.op.name == "contract" else node)


def _is_dot(node: Node, last: int, ends: list[Any]) -> bool:
    """Whether few columns leave most of a vector's lanes idle, and a long sum runs along the end of both operands."""
    terms, offset = ends[0]
    loops = node.attrs["loops"]
    along = len(terms) == 1 and terms[0][1] == 1 and offset == 0 and all(end == ends[0] for end in ends)
    return along and terms[0][0] > last and loops[last] < LANES // 2 and loops[terms[0][0]] >= LANES


def _turned(node: Node, laid: dict[tuple[Node, tuple[int, ...]], Node]) -> Node:
    """A contraction of what was laid out anew; ``laid`` holds what others read already, by its axes."""
    last = node.attrs["rank"] - 1
    if BATCH not in node.attrs["loops"][:last]:
        return node
    inputs, index = list(node.inputs), list(node.attrs["index"])
    for side, (operand, functions) in enumerate(zip(inputs, index, strict=True)):
        places = [
            place for place, (terms, _) in enumerate(functions) if any(loop == last for loop, _ in terms)
        ]
        if BATCH in operand.shape or len(places) != 1 or places[0] == operand.ndim - 1:
            continue
        if _is_dot(node, last, [functions[-1] for functions in node.attrs["index"]]):
            continue
        axes = (*(a for a in range(operand.ndim) if a != places[0]), places[0])
        if (operand, axes) not in laid:
            turned = apply("transpose", operand, axes=axes)
            laid[operand, axes] = Node(LAID, (turned,), {}, turned.type)
        inputs[side] = laid[operand, axes]
        index[side] = tuple(functions[a] for a in axes)
    if inputs == list(node.inputs):
        return node
    return Node(node.op, tuple(inputs), {**node.attrs, "index": tuple(index)}, node.type)
