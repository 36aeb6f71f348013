"""Functions of one variable within a graph: elementwise nodes that all follow from one node, such as an activation.

Their derivative is one factor, known before the gradient arrives. The forward pass can compute it where it has the
function's intermediate values, and keep it in place of these.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ranvier.graph.node import INSTRUCTION, Node
from ranvier.graph.tiny import TINY

MAX_NODES = 40  # of such a function


def function_of_one(
    y: Node, place: Mapping[Node, int], readers: Mapping[Node, list[Node]], depends: Collection[Node]
) -> tuple[Node, list[Node]] | None:
    """The nearest node that ``y`` is such a function of, by several paths, and the nodes between; None without one.

    ``place`` is the order of the nodes that count, ``readers`` who reads each of them. What is not in ``depends`` is
    constant. Functions without an expensive operation are none: readers compute their derivative anyway.
    """
    if y.dtype not in TINY or sum(operand in depends for operand in dict.fromkeys(y.inputs)) < 2:
        return None
    found, front, expensive = list[Node](), {y}, False
    while len(found) <= MAX_NODES:
        node = max(front, key=place.__getitem__)
        front.remove(node)
        known = node is y or all(reader in found for reader in readers[node])
        plain = node.op.kind == "elementwise" and node.shape == y.shape and node.dtype in (y.dtype, "bool")
        if not known or not plain:
            return None
        found.append(node)
        expensive = expensive or node.op.cost > INSTRUCTION
        front.update(operand for operand in node.inputs if operand in depends)
        if len(front) == 1:
            (x,) = front
            return (x, found) if expensive and (x.shape, x.dtype) == (y.shape, y.dtype) else None
    return None
