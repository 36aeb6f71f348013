"""Products of several inputs as ``torch.nn.functional`` names them: bilinear forms and attention."""

from __future__ import annotations

import math
from typing import Any

from ranvier.graph.node import Node, apply
from ranvier.ops import arrays, functional
from ranvier.ops.torch.noise import dropout
from ranvier.tensor.function import function
from ranvier.tensor.trace import state


@function
def linear(input: Node, weight: Node, bias: Node | None = None) -> Node:
    """``x @ weight.T + bias``: (..., in), (out, in), (out,) -> (..., out). Raises RuntimeError for two dtypes."""
    if input.dtype != weight.dtype and not state.tracing:  # a model is traced before the dtype of its data is known
        raise RuntimeError(
            f"the input is {input.dtype} and the weight {weight.dtype}. Write x.to(torch.{weight.dtype}) instead of x."
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


@function
def attention_shares(
    query: Node, key: Node, attn_mask: Node | None = None, is_causal: bool = False, scale: float | None = None
) -> Node:
    """How much each query (..., L, E) attends to each key (..., S, E): (..., L, S), rows that add up to 1."""
    width = query.shape[-1]
    factor = scale if scale is not None or not isinstance(width, int) else 1 / math.sqrt(width)
    scores = arrays.multiply(arrays.matmul(query, arrays.swapaxes(key, -1, -2)), factor)
    if is_causal:
        rows, columns = (apply("iota", shape=scores.shape, dtype="int32", axis=scores.ndim - i) for i in (2, 1))
        scores = arrays.where(arrays.less_equal(columns, rows), scores, -math.inf)
    if attn_mask is not None:
        boolean = attn_mask.dtype == "bool"
        scores = arrays.where(attn_mask, scores, -math.inf) if boolean else arrays.add(scores, attn_mask)
    return functional.softmax(scores, -1)


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Any:
    """``softmax(query @ key.T * scale) @ value``: (..., L, E), (..., S, E), (..., S, V) -> (..., L, V).

    ``attn_mask`` holds where a key may be seen, or is added to the scores; ``is_causal`` shows each query the keys up
    to its own position. ``scale`` is ``1 / sqrt(E)`` by default (Vaswani et al., 2017).
    """
    shares = attention_shares(query, key, attn_mask, is_causal, scale)
    return arrays.matmul(dropout(shares, dropout_p) if dropout_p else shares, value)
