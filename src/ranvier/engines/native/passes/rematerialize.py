"""A pass for images and sequences: the gradient recomputes activations that are cheap to compute and large to keep.

The gradient of a normalized convolution needs the convolution's result, and the gradient of the next layer needs its
activation, relu for instance. A few operations an element give the second from the first, so only the first is kept
and relu is recomputed, with the same bits, where the gradient needs it. Source: Bulo, Porzi and Kontschieder 2018,
"In-Place Activated BatchNorm for Memory-Optimized Training of DNNs".
"""

from __future__ import annotations

from collections.abc import Collection

from ranvier.engines.native.target.lanes import SIZE
from ranvier.graph.contraction import is_spatial
from ranvier.graph.extents import size
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, FUNCTION, Node, topological

MIN_BYTES = 1 << 24  # of the activations: fewer stay in the last-level cache anyway
RECOMPUTED = "recomputed"  # attribute of a node in memory that is to be computed as late as its readers allow


def rematerialize(graph: Graph, batch: int) -> Graph:
    """Recompute the activations of normalized convolutions in the gradient, if keeping them all took much memory.

    What a convolution's gradient reads is stored in memory once more, late; every elementwise operation has a node of
    its own, which is fused with its reader.
    """
    if not is_spatial(graph):
        return graph
    nodes = graph.nodes()
    # The loss, and all it depends on.
    forward = set(topological([root for root in graph.roots() if not root.shape]))
    in_gradient = {operand for node in nodes if node not in forward for operand in node.inputs}
    summed = {node.inputs[0] for node in nodes if node.op.name == "reduce_sum" and 0 in node.attrs["axes"]}
    activations = {n for n in in_gradient if n in forward and n.op.selects and _is_normalized(n, summed)}
    if sum(size(node.shape, batch) * SIZE[node.dtype] for node in activations) < MIN_BYTES:
        return graph
    result: dict[Node, Node] = {}
    recomputed: dict[Node, Node] = {}

    def operand_in_gradient(operand: Node, reader: Node) -> Node:
        if operand in activations and reader.op.kind == "elementwise":
            computed_here = result[operand]
            return Node(computed_here.op, computed_here.inputs, computed_here.attrs, computed_here.type)
        return recomputed.get(operand, result[operand])

    for node in nodes:
        first = tuple(result[i] for i in node.inputs)
        inputs = first if node in forward else tuple(operand_in_gradient(i, node) for i in node.inputs)
        result[node] = node.on(inputs)
        if node in activations:
            recomputed[node] = Node(node.op, first, {**node.attrs, RECOMPUTED: True}, node.type)
        elif node in forward and node.op.preserves and node.inputs[0] in recomputed:
            moved = recomputed[node.inputs[0]]
            recomputed[node] = Node(node.op, (moved, *first[1:]), node.attrs, node.type)
    return graph.rebuild(lambda n: result[n])


def _is_normalized(activation: Node, summed: Collection[Node]) -> bool:
    """Whether an activation depends on the result of one contraction alone, which is ``summed`` over the samples too.

    Such sums are those of batch normalization, whose gradient keeps the contraction's result anyway.
    """
    found: list[Node] = []
    seen: set[Node] = set()
    stack = list(activation.inputs)
    while stack:
        node = stack.pop()
        if node in seen or node.ndim < 3 or node.shape[0] != BATCH:
            continue
        seen.add(node)
        is_cheap = node.op.kind == "elementwise" and node.op.cost < FUNCTION
        if node.op.name == "contract" or (node.op.name == "reshape" and node.inputs[0].op.name == "concatenate"):
            found.append(node)  # a contraction, or the parts that `split_strided` made of one
        elif is_cheap or node.op.name in ("broadcast", "reshape"):
            stack.extend(node.inputs)
        else:
            return False
    return len(found) == 1 and found[0] in summed
