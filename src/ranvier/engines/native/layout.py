"""A pass for convolutions: weights that vectors would have to collect from afar are laid out anew once a step.

The gradient of a convolution by its inputs runs along the channels that came in, and the kernel holds those that go out
next to each other. A plain matrix product lays out what it needs by itself, see contraction.py: each thread once. Here
that would be once for every row of every image.
"""

from __future__ import annotations

from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, Primitive, apply

# Not one of the language's primitives: it stands in a graph between this pass and the schedule alone. The same value, in
# memory, in row-major order.
LAID = Primitive("laid", "layout", lambda types, attrs: types[0], lambda arrays, attrs, extents: arrays[0])


def lay_out(graph: Graph) -> Graph:
    """The graph with each convolution's kernel turned so that the output's last loop is its last dimension."""
    result: dict[Node, Node] = {}
    for node in graph.nodes():
        inputs = tuple(result[i] for i in node.inputs)
        fresh = node if inputs == node.inputs else Node(node.op, inputs, node.attrs, node.type)
        result[node] = _turned(fresh) if node.op.name == "contract" else fresh
    return graph.rebuild(lambda n: result[n])


def _turned(node: Node) -> Node:
    rank, last = node.attrs["rank"], node.attrs["rank"] - 1
    if rank < 3 or BATCH not in node.attrs["loops"][: rank - 1]:
        return node
    inputs, index = list(node.inputs), list(node.attrs["index"])
    for side, (operand, functions) in enumerate(zip(inputs, index, strict=True)):
        places = [place for place, (terms, _) in enumerate(functions) if any(loop == last for loop, _ in terms)]
        if BATCH in operand.shape or len(places) != 1 or places[0] == operand.ndim - 1:
            continue
        axes = (*(a for a in range(operand.ndim) if a != places[0]), places[0])
        turned = apply("transpose", operand, axes=axes)
        inputs[side] = Node(LAID, (turned,), {}, turned.type)
        index[side] = tuple(functions[a] for a in axes)
    if inputs == list(node.inputs):
        return node
    return Node(node.op, tuple(inputs), {**node.attrs, "index": tuple(index)}, node.type)
