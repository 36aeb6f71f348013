"""Gradients of activations, for which PyTorch has functions of the gradient and the values."""

from __future__ import annotations

from ranvier.engines.pools import operands_of, own_primitive
from ranvier.graph.dtypes import FLOATS
from ranvier.graph.graph import Graph
from ranvier.graph.node import Node, Primitive
from ranvier.graph.simplify import scalar_of
from ranvier.graph.tiny import snapped_of

RELU_GRADIENT = own_primitive("relu_gradient")
"""A gradient where the values of a relu are above zero, else zero."""


SIGMOID_GRADIENT, TANH_GRADIENT = own_primitive("sigmoid_gradient"), own_primitive("tanh_gradient")
"""Gradients, given the values of the function."""
SLOPES = ("relu_gradient", "sigmoid_gradient", "tanh_gradient")


def with_slopes(graph: Graph) -> Graph:
    """Gradients of relu, sigmoid and tanh are PyTorch's."""

    def change(node: Node, old: Node) -> Node:
        if node.op.name == "select" and (hidden := _relu_of(node)) is not None:
            return Node(RELU_GRADIENT, (node.inputs[1], hidden), {"type": node.type}, node.type)
        if node.op.name == "select" and (whole := snapped_of(node)) is not None and whole.op is SIGMOID_GRADIENT:
            return whole  # PyTorch's makes no tiny numbers zeros
        if node.op.name == "mul" and (found := _slope_of(node)) is not None:
            op, *operands = found
            return Node(op, tuple(operands), {"type": node.type}, node.type)
        return node

    return graph.changed(change)


def _slope_of(node: Node) -> tuple[Primitive, Node, Node] | None:
    """The gradient and the values in g * (y * (1 - y)) or g * (1 - y * y)."""
    if node.dtype not in FLOATS:
        return None
    for g, slope in (node.inputs, node.inputs[::-1]):
        for y, rest in (operands_of(slope, "mul"), operands_of(slope, "mul")[::-1]):
            one, again = operands_of(rest, "sub")
            if one is not None and again is y and scalar_of(one) == 1:
                return SIGMOID_GRADIENT, g, y
        one, square = operands_of(slope, "sub")
        y, again = operands_of(square, "mul")
        if y is not None and y is again and scalar_of(one) == 1:
            return TANH_GRADIENT, g, y
    return None


def _relu_of(node: Node) -> Node | None:
    """The values of a relu, where this is a gradient that goes where they are above zero."""
    condition, g, zero = node.inputs
    low, hidden = operands_of(condition, "less")
    if low is None or hidden.op.name != "relu" or scalar_of(low) != 0 or scalar_of(zero) != 0:
        return None
    return hidden if hidden.type == g.type == node.type else None
