"""A pass for large samples: what is cheap to make and large to keep is made a second time for the gradient.

The gradient of a normalized convolution needs what the convolution gave, and that of the layer after it needs what relu
made of it. The second follows from the first by a few operations an element, so only the first is kept, and relu is
computed again, with the same bits, where the gradient needs it. Source: Bulo, Porzi and Kontschieder 2018, "In-Place
Activated BatchNorm for Memory-Optimized Training of DNNs".
"""

from __future__ import annotations

from collections.abc import Mapping

from ranvier.engines.native.emit import SIZE
from ranvier.engines.native.view import size
from ranvier.engines.native.workers import spatial
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, topological

WORTH = 1 << 25  # bytes saved, of which so many are worth some hundredths of a step's time
AGAIN = "again"  # the attribute of a second node, which is to be computed as late as can be
# What may stand between a convolution's result and what is made of it again, and what ends it.
_CHEAP = frozenset(
    (
        "add", "sub", "mul", "div", "neg", "cast", "less", "select", "relu", "maximum", "minimum", "broadcast",
        "reshape",
    )
)  # fmt: skip
_MADE = frozenset(("relu", "maximum", "minimum", "select"))
_VIEWS = frozenset(("less", "transpose", "reshape", "cast", "stop_gradient", "windows"))  # masks, and views


def compute_again(graph: Graph, batch: int) -> Graph:
    """The graph with a second node for each activation of a normalized convolution that the gradient needs, if keeping
    them all took much memory.
    """
    if not spatial(graph):
        return graph
    nodes = graph.nodes()
    loss = set(topological([root for root in graph.roots() if not root.shape]))  # and all that it is made of
    users: dict[Node, list[Node]] = {node: [] for node in nodes}
    for node in nodes:
        for operand in set(node.inputs):
            users[operand].append(node)
    result: dict[Node, Node] = {}
    second: dict[Node, Node] = {}
    for node in nodes:
        first = tuple(result[i] for i in node.inputs)
        later = tuple(second.get(i, result[i]) for i in node.inputs)
        inputs = first if node in loss else later
        result[node] = node if inputs == node.inputs else Node(node.op, inputs, node.attrs, node.type)
        if node not in loss:
            continue
        if node.op.name in _MADE and _activation(node, users) and not loss.issuperset(users[node]):
            second[node] = Node(node.op, first, {**node.attrs, AGAIN: True}, node.type)
        elif node.op.name in _VIEWS and later != first:
            second[node] = Node(node.op, later, node.attrs, node.type)
    saved = sum(size(node.shape, batch) * SIZE[node.dtype] for node in second if AGAIN in second[node].attrs)
    return graph.rebuild(lambda n: result[n]) if saved >= WORTH else graph


def _activation(made: Node, users: Mapping[Node, list[Node]]) -> bool:
    """Whether a contraction reads this, and it is made of one contraction alone whose sums over samples are taken."""
    if not any(user.op.name in ("contract", "pad", "windows") for user in users[made]):
        return False
    found: list[Node] = []
    seen: set[Node] = set()
    stack = list(made.inputs)
    while stack:
        node = stack.pop()
        if node in seen or node.ndim < 3 or node.shape[0] != BATCH:
            continue
        seen.add(node)
        if node.op.name == "contract":
            found.append(node)
        elif node.op.name in _CHEAP:
            stack.extend(node.inputs)
        else:
            return False
    # Such sums are those of batch normalization, for which the contraction's result is kept anyway.
    return len(found) == 1 and any(
        user.op.name == "reduce_sum" and 0 in user.attrs["axes"] for user in users[found[0]]
    )
