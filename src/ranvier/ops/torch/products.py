"""Products of several inputs as ``torch.nn.functional`` names them: linear and bilinear forms."""

from __future__ import annotations

from ranvier.graph.node import Node
from ranvier.ops import arrays, functional
from ranvier.tensor.function import function
from ranvier.tensor.trace import state


@function
def linear(input: Node, weight: Node, bias: Node | None = None) -> Node:
    """``x @ weight.T + bias``: (..., in), (out, in), (out,) -> (..., out). Raises RuntimeError for two dtypes."""
    if input.dtype != weight.dtype and not state.tracing:  # a model is traced before the dtype of its data is known
        raise RuntimeError(
            f"the input is {input.dtype} and the weight {weight.dtype}. Write x.to("
            f"{'torch.' + weight.dtype}) instead of x."
        )
    y: Node = functional.linear(input, weight, bias)
    return y


@function
def bilinear(input1: Node, input2: Node, weight: Node, bias: Node | None = None) -> Node:
    """``input1 @ weight[o] @ input2 + bias[o]`` for each output o: (..., in1), (..., in2), (out, in1, in2)."""
    outputs, first, second = weight.shape
    rows = arrays.reshape(arrays.transpose(weight, (1, 0, 2)), (first, -1))
    halfway = arrays.reshape(arrays.matmul(input1, rows), (*input1.shape[:-1], outputs, second))
    y = arrays.sum(arrays.multiply(halfway, arrays.expand_dims(input2, -2)), -1)
    return y if bias is None else arrays.add(y, bias)
