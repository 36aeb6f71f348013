"""Formulas of losses for each element: targets ``y`` and predictions ``x`` are floats of one shape.

Keras's losses (`losses_keras`) average them over the last axis, PyTorch's (`losses_torch`) over all elements.
"""

from __future__ import annotations

from ranvier.graph.node import Node, like
from ranvier.ops import arrays as n
from ranvier.ops.functional.activations import softplus

EPSILON = 1e-7  # Keras's fuzz factor


def squared_error(y: Node, x: Node) -> Node:
    return n.square(x - y)


def absolute_error(y: Node, x: Node) -> Node:
    return n.abs(x - y)


def huber(y: Node, x: Node, delta: float) -> Node:
    d = n.abs(x - y)
    linear = n.multiply(n.subtract(d, 0.5 * delta), delta)
    return n.where(n.less_equal(d, delta), d * d * like(d, 0.5), linear)


def poisson(y: Node, x: Node, epsilon: float) -> Node:
    return x - y * n.log(n.add(x, epsilon))


def binary_crossentropy(y: Node, x: Node) -> Node:
    """Of logits ``x``: with s = softplus(x), ``-log(1 - sigmoid(x))`` is s and ``-log(sigmoid(x))`` is s - x."""
    return softplus(x) - x * y


def binary_crossentropy_of_probabilities(y: Node, p: Node) -> Node:
    """Keras's, which keeps ``p`` within EPSILON and 1 - EPSILON. PyTorch's bounds the logarithms instead."""
    p = n.clip(p, EPSILON, 1 - EPSILON)
    return n.negative(y * n.log(p) + n.subtract(1, y) * n.log(n.subtract(1, p)))
