"""A pass for large samples: what is cheap to make and large to keep is made a second time for the gradient.

The gradient of a normalized convolution needs what the convolution gave, and that of the layer after it needs what relu
made of it. The second follows from the first by a few operations an element, so only the first is kept, and relu is
computed again, with the same bits, where the gradient needs it. Source: Bulo, Porzi and Kontschieder 2018, "In-Place
Activated BatchNorm for Memory-Optimized Training of DNNs".
"""

from __future__ import annotations

from collections.abc import Mapping

from ranvier.engines.native.codegen.builder import SIZE
from ranvier.engines.native.passes.virtual_workers import spatial
from ranvier.engines.native.schedule.view import size
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, topological

WORTH = 1 << 24  # bytes saved, of which so many no longer stay in the last cache
AGAIN = "again"  # the attribute of a second node in memory, which is to be computed as late as can be
# What may stand between a convolution's result and what is made of it again, and what ends it.
_CHEAP = frozenset(
    (
        "add", "sub", "mul", "div", "neg", "cast", "less", "select", "relu", "maximum", "minimum", "broadcast",
        "reshape",
    )
)  # fmt: skip
_MADE = frozenset(("relu", "maximum", "minimum", "select"))
_MOVED = frozenset(("pad", "transpose", "reshape", "cast", "stop_gradient"))  # between it and a convolution


def compute_again(graph: Graph, batch: int) -> Graph:
    """The graph with further nodes for each activation of a normalized convolution that the gradient needs, if keeping
    them all took much memory.

    What a convolution's gradient reads is put into memory again; every operation on elements has a node of its own,
    which is computed where it is read.
    """
    if not spatial(graph):
        return graph
    nodes = graph.nodes()
    loss = set(topological([root for root in graph.roots() if not root.shape]))  # and all that it is made of
    users: dict[Node, list[Node]] = {node: [] for node in nodes}
    for node in nodes:
        for operand in set(node.inputs):
            users[operand].append(node)
    made = {n for n in loss if n.op.name in _MADE and _normalized(n, users) and not loss.issuperset(users[n])}
    if sum(size(node.shape, batch) * SIZE[node.dtype] for node in made) < WORTH:
        return graph
    result: dict[Node, Node] = {}
    second: dict[Node, Node] = {}

    def read(operand: Node, by: Node) -> Node:
        """What the gradient reads in a node's place."""
        if operand in made and by.op.kind == "elementwise":
            fresh = result[operand]
            return Node(fresh.op, fresh.inputs, fresh.attrs, fresh.type)
        return second.get(operand, result[operand])

    for node in nodes:
        first = tuple(result[i] for i in node.inputs)
        inputs = first if node in loss else tuple(read(i, node) for i in node.inputs)
        result[node] = node.on(inputs)
        if node in made:
            second[node] = Node(node.op, first, {**node.attrs, AGAIN: True}, node.type)
        elif node in loss and node.op.name in _MOVED and node.inputs[0] in second:
            second[node] = Node(node.op, (second[node.inputs[0]], *first[1:]), node.attrs, node.type)
    return graph.rebuild(lambda n: result[n])


def _normalized(made: Node, users: Mapping[Node, list[Node]]) -> bool:
    """Whether this is made of the result of one contraction alone, of which sums over the samples are taken too."""
    found: list[Node] = []
    seen: set[Node] = set()
    stack = list(made.inputs)
    while stack:
        node = stack.pop()
        if node in seen or node.ndim < 3 or node.shape[0] != BATCH:
            continue
        seen.add(node)
        if node.op.name == "contract" or (
            node.op.name == "reshape" and node.inputs[0].op.name == "concatenate"
        ):
            found.append(node)  # or what it was woven of
        elif node.op.name in _CHEAP:
            stack.extend(node.inputs)
        else:
            return False
    # Such sums are those of batch normalization, for which the contraction's result is kept anyway.
    return len(found) == 1 and any(
        user.op.name == "reduce_sum" and 0 in user.attrs["axes"] for user in users[found[0]]
    )
