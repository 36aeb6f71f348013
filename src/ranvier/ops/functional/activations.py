"""Activations and the parts of networks, composed from array operations; no gradient is written by hand.

Each is stable for any finite input, and its gradient at a kink is what PyTorch and JAX have there.
"""

from __future__ import annotations

import math
from typing import Any

from ranvier.graph.dtypes import INTEGERS
from ranvier.graph.node import GraphError, Node, apply, like
from ranvier.graph.tiny import falling_exp, snapped
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import axes_of, axis_of, floating, index_node
from ranvier.tensor.function import function

sigmoid: Any = n.sigmoid
tanh: Any = n.tanh


# --- activations --------------------------------------------------------------------------------------------------


@function
def relu(x: Node, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Node:
    """``maximum(x, 0)``; the gradient at 0 is 0. Integers stay integers.

    Below ``threshold`` it is ``negative_slope * (x - threshold)``, and it is at most ``max_value`` (Keras).
    """
    if negative_slope or threshold:
        below = n.multiply(n.subtract(x, threshold), negative_slope) if negative_slope else 0.0
        low = n.less_equal if threshold else n.less  # 0 itself keeps the gradient 1
        y = n.where(low(x, threshold), below, x)
    elif x.dtype in INTEGERS:
        y = n.maximum(x, like(x, 0))
    else:
        y = apply("relu", floating(x))
    return y if max_value is None else n.minimum(y, float(max_value))


@function
def relu6(x: Node) -> Node:
    """``relu(x)``, at most 6; the gradient at both ends is 0. Integers stay integers."""
    return hard_tanh(x, 0.0, 6.0)


@function
def leaky_relu(x: Node, negative_slope: float = 0.2) -> Node:
    """``x`` where positive, else ``negative_slope * x``. Keras's default slope is 0.2, PyTorch's 0.01."""
    x = floating(x)
    return n.where(n.less(0, x), x, x * like(x, negative_slope))


@function
def elu(x: Node, alpha: float = 1.0) -> Node:
    """``x`` where positive, else ``alpha * (exp(x) - 1)`` (Clevert et al., 2016)."""
    x = floating(x)
    below = n.expm1(n.where(n.less(0, x), 0, x))
    return n.where(n.less(0, x), x, below * like(x, alpha))


@function
def celu(x: Node, alpha: float = 1.0) -> Node:
    """``x`` where positive, else ``alpha * (exp(x / alpha) - 1)``: `elu` with a continuous slope (Barron, 2017)."""
    x = floating(x)
    below = n.expm1(n.multiply(n.where(n.less(0, x), 0, x), 1 / alpha))
    return n.where(n.less(0, x), x, below * like(x, alpha))


@function
def hard_shrink(x: Node, threshold: float = 0.5) -> Node:
    """``x``, or 0 where it is at most ``threshold`` from 0."""
    x = floating(x)
    return n.where(n.less_equal(n.abs(x), threshold), 0, x)


@function
def soft_shrink(x: Node, threshold: float = 0.5) -> Node:
    """``x`` moved toward 0 by ``threshold``, and no farther."""
    x = floating(x)
    return x - n.clip(x, -threshold, threshold)


@function
def tanh_shrink(x: Node) -> Node:
    """``x - tanh(x)``."""
    x = floating(x)
    return x - n.tanh(x)


@function
def squareplus(x: Node, b: float = 4.0) -> Node:
    """``(x + sqrt(x**2 + b)) / 2``, without cancellation below 0 (Barron, 2021)."""
    x = floating(x)
    root = n.sqrt(x * x + like(x, b))
    below = n.divide(b / 2, root - n.minimum(x, 0))
    return n.where(n.less(x, 0), below, n.multiply(x + root, 0.5))


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


@function
def selu(x: Node) -> Node:
    """The self-normalizing `elu` (Klambauer et al., 2017)."""
    y = elu(x, SELU_ALPHA)
    return y * like(y, SELU_SCALE)


@function
def gelu(x: Node, approximate: Any = False) -> Node:
    """``x`` times the normal distribution's share below x (Hendrycks and Gimpel, 2016); or its tanh form."""
    x = floating(x)
    if approximate and approximate != "none":
        inner = n.multiply(x + x * x * x * like(x, 0.044715), math.sqrt(2 / math.pi))
        return n.multiply(x, 0.5) * n.add(n.tanh(inner), 1)
    return n.multiply(x, 0.5) * n.add(n.erf(n.multiply(x, math.sqrt(0.5))), 1)


@function
def silu(x: Node) -> Node:
    """``x * sigmoid(x)``, also called swish."""
    x = floating(x)
    return x * snapped(n.sigmoid(x))


@function
def softplus(x: Node, beta: float = 1.0) -> Node:
    """``log(1 + exp(beta * x)) / beta``, written so that nothing overflows."""
    x = floating(x)
    scaled = x if beta == 1 else x * like(x, beta)
    # At 0 relu's derivative is 0, so there |s| must count as -s for the sum to have the right one.
    size = n.where(n.less(0, scaled), scaled, -scaled)
    result: Node = apply("relu", scaled) + n.log1p(falling_exp(-size))
    return result if beta == 1 else result / like(x, beta)


@function
def softsign(x: Node) -> Node:
    """``x / (1 + abs(x))``."""
    x = floating(x)
    return n.divide(x, n.add(n.abs(x), 1))


@function
def hard_sigmoid(x: Node) -> Node:
    """``relu6(x + 3) / 6``."""
    return n.divide(relu6(n.add(floating(x), 3.0)), 6.0)


@function
def hard_silu(x: Node) -> Node:
    """``x * hard_sigmoid(x)``, also called hard swish (Howard et al., 2019)."""
    x = floating(x)
    return x * hard_sigmoid(x)


@function
def hard_tanh(x: Node, min_val: float = -1.0, max_val: float = 1.0) -> Node:
    """``x`` kept within [min_val, max_val]; the gradient at both ends is 0. Integers stay integers."""
    if min_val > max_val:
        raise GraphError(f"min_val={min_val} above max_val={max_val}: exchange them")
    if x.dtype in INTEGERS:
        return n.clip(x, int(min_val), int(max_val))
    x = floating(x)
    inside = n.logical_and(n.less(min_val, x), n.less(x, max_val))
    return n.where(inside, x, n.stop_gradient(n.clip(x, min_val, max_val)))


@function
def mish(x: Node) -> Node:
    """``x * tanh(softplus(x))`` (Misra, 2019)."""
    x = floating(x)
    return x * n.tanh(softplus(x))


@function
def exponential(x: Node) -> Node:
    """``exp(x)``."""
    return n.exp(x)


@function
def log_sigmoid(x: Node) -> Node:
    """``log(sigmoid(x))``, stable."""
    return n.negative(softplus(-floating(x)))


@function
def softmax(x: Node, axis: int = -1) -> Node:
    """``exp(x) / sum(exp(x))`` along an axis, stable; rows of minus infinity give nan, as the quotient has it."""
    x = floating(x)
    if any(x.shape[place] == 0 for place in axes_of(axis, x.ndim)):
        return x
    e = n.exp(n.subtract(x, n.stop_gradient(n.max(x, axis, True))))
    return n.divide(e, n.sum(e, axis, True))


@function
def log_softmax(x: Node, axis: int = -1) -> Node:
    """The logarithm of `softmax`, stable."""
    x = floating(x)
    if any(x.shape[place] == 0 for place in axes_of(axis, x.ndim)):
        return x
    shifted = n.subtract(x, n.stop_gradient(n.max(x, axis, True)))
    return n.subtract(shifted, n.log(n.sum(falling_exp(shifted), axis, True)))


@function
def threshold(x: Node, threshold: Node | float, default_value: Node | float) -> Node:
    """``x`` where it is above a threshold, else ``default_value``."""
    return n.where(n.greater(x, threshold), x, default_value)


# --- parts of networks --------------------------------------------------------------------------------------------


@function
def linear(x: Node, weight: Node, bias: Node | None = None) -> Node:
    """``x @ weight.T + bias``: (..., in), (out, in), (out,) -> (..., out)."""
    whole = x.dtype in INTEGERS and weight.dtype in INTEGERS
    y = n.matmul(x if whole else floating(x), n.transpose(weight))
    return y if bias is None else n.add(y, bias)


@function
def embedding(index: Node, weight: Node) -> Node:
    """The rows of ``weight`` (rows, width) at integer indices of any shape."""
    return apply("gather", weight, index_node(index))


@function
def normalize(x: Node, p: float = 2.0, axis: int = 1, eps: float = 1e-12) -> Node:
    """``x`` divided by its p-norm along an axis (at least ``eps``)."""
    x = floating(x)
    axis = axis_of(axis, x.ndim)
    return n.divide(x, n.clip(n.norm(x, axis, True, p), eps))


@function
def cosine_similarity(a: Node, b: Node, axis: int = 1, eps: float = 1e-8) -> Node:
    """The cosine of the angle between vectors along an axis; each norm counts as at least ``eps``."""
    x, y = n.together(floating(a), floating(b))
    lengths = [n.sqrt(n.clip(n.sum(v * v, axis, True), eps * eps)) for v in (x, y)]
    return n.sum(n.divide(x, lengths[0]) * n.divide(y, lengths[1]), axis)


@function
def pairwise_distance(a: Node, b: Node, p: float = 2.0, eps: float = 1e-6, keepdims: bool = False) -> Node:
    """The p-norm of ``a - b + eps`` along the last axis."""
    x, y = n.together(floating(a), floating(b))
    return n.norm(n.add(x - y, eps), -1, keepdims, p)


@function
def glu(input: Node, dim: int = -1) -> Node:
    """The first half along ``dim`` times the sigmoid of the second (Dauphin et al., 2017)."""
    x = floating(input)
    axis = axis_of(dim, x.ndim)
    extent = x.shape[axis]
    if not isinstance(extent, int) or extent % 2:
        raise GraphError(f"glu halves dimension {axis} of {x.shape}: write an even extent")
    half, gate = n.split(x, 2, axis)
    return half * n.sigmoid(gate)


@function
def sparsemax(x: Node, axis: int = -1) -> Node:
    """The nearest probabilities along an axis, of which many are 0 (Martins and Astudillo, 2016)."""
    last = n.swapaxes(floating(x), axis, -1)
    each, other = n.expand_dims(last, -1), n.expand_dims(last, -2)
    above = n.less_equal(each, other)  # each itself too
    total, count = n.sum(n.where(above, other, 0.0), -1), n.sum(n.cast(above, last.dtype), -1)
    chosen = n.less(total, n.add(count * last, 1))
    excess = n.subtract(n.sum(n.where(chosen, last, 0.0), -1, True), 1)
    share = n.divide(excess, n.sum(n.cast(chosen, last.dtype), -1, True))
    return n.swapaxes(n.maximum(n.subtract(last, share), 0.0), axis, -1)
