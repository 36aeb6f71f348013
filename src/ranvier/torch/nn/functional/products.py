"""Products of two inputs with one weight, as ``torch.nn.functional`` names them."""

from __future__ import annotations

from ranvier import numeric
from ranvier.graph.node import Node
from ranvier.recording import function


@function
def bilinear(input1: Node, input2: Node, weight: Node, bias: Node | None = None) -> Node:
    """``input1 @ weight[o] @ input2 + bias[o]`` for each output o: (..., in1), (..., in2), (out, in1, in2)."""
    outputs, first, second = weight.shape
    rows = numeric.reshape(numeric.transpose(weight, (1, 0, 2)), (first, -1))
    halfway = numeric.reshape(numeric.matmul(input1, rows), (*input1.shape[:-1], outputs, second))
    y = numeric.sum(numeric.multiply(halfway, numeric.expand_dims(input2, -2)), -1)
    return y if bias is None else numeric.add(y, bias)
