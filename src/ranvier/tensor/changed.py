"""Values that were overwritten through `.data`, which gradients read: PyTorch keeps no copies of what it needs."""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.graph.node import Node, apply, topological
from ranvier.tensor.segment import TapeSegment, TapeTensor, merge
from ranvier.tensor.trace import TraceNode


def changed_values(segment: TapeSegment, roots: Sequence[TraceNode]) -> tuple[list[TraceNode], list[TraceNode]]:
    """The nodes that the roots were computed from and that have other values by now, and the nodes of these."""
    operands = _operands(roots) if segment.changed else set()
    old = [node for node in segment.changed if node in operands]
    return old, [_node_here(segment, segment.changed[node]) for node in old]


def reading(found: Sequence[Node], outputs: Sequence[Node], new: dict[Node, Node]) -> list[Node]:
    """The derivatives with new values in place of those of the outputs' graph, and of views of them."""
    forward = topological(outputs)
    for node in forward:
        if node.op.is_view and node not in new and node.inputs[0] in new:
            new[node] = apply(node.op.name, new[node.inputs[0]], **node.attrs)
    kept = dict.fromkeys(forward)
    for node in topological(found):
        if node not in kept:
            inputs = [new.get(i, i) for i in node.inputs]
            if any(a is not b for a, b in zip(inputs, node.inputs, strict=True)):
                new[node] = apply(node.op.name, *inputs, **node.attrs)
    return [new.get(node, node) for node in found]


def _node_here(segment: TapeSegment, tensor: TapeTensor) -> TraceNode:
    """The node of a tensor, which may be pending elsewhere."""
    if tensor.segment is not None and tensor.segment is not segment:
        merge(segment, tensor.segment)
    return segment.node_of(tensor)


def _operands(roots: Sequence[TraceNode]) -> set[TraceNode]:
    """The nodes that others were computed from."""
    stack, seen = list(roots), set(roots)
    while stack:
        new = set(stack.pop().inputs) - seen
        stack += new
        seen |= new
    return seen
