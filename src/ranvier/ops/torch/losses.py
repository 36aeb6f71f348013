"""Losses as ``torch.nn.functional`` names them that are not `functional.criteria`'s own: by distances and margins.

And binary cross entropy, which refuses what is no probability.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ranvier.graph.checks import first_fault
from ranvier.graph.dtypes import FLOATING
from ranvier.graph.node import GraphError, Node
from ranvier.ops import arrays as n
from ranvier.ops import functional
from ranvier.ops.arrays.promotion import floating, index_node
from ranvier.ops.functional.label_checks import checked, labels_in_range
from ranvier.ops.functional.losses_torch import aligned, reduce
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import state

_ONE = {"float32": (np.uint32, 0x3F800000), "float64": (np.uint64, 0x3FF0000000000000)}


def probabilities(value: Any, what: str) -> Any:
    """The value. An element of a tensor outside 0 to 1 raises RuntimeError: at once where it is known, else when the
    program runs. Under `fit` the loss is nan, and its own error names the layer.
    """
    if not isinstance(value, Tensor) or value.dtype == "bool":
        return value
    array = value.known
    if array is None:
        return value if state.tracing else checked(value, what, 0, 1)
    bits, one = _ONE.get(value.spec.dtype, (None, 0))
    if not array.size or (bits is not None and array.flags.c_contiguous and array.view(bits).max() <= one):
        return value  # one pass for both ends and nan: the bits of floats of 0 or more are in order
    fault = first_fault(array, what, 0, 1)
    if fault is not None:
        raise fault.error()
    return value


@functools.wraps(functional.binary_cross_entropy)
def binary_cross_entropy(input: Any, target: Any, *others: Any, **options: Any) -> Any:
    input, target = probabilities(input, "input"), probabilities(target, "target")
    return functional.binary_cross_entropy(input, target, *others, **options)


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The p-norm of ``x1 - x2 + eps`` along the last dimension, which ``keepdim`` keeps as 1."""
    return functional.pairwise_distance(x1, x2, p, eps, keepdim)


@function
def margin_ranking_loss(input1: Node, input2: Node, target: Node, margin: float = 0.0, reduction: str = "mean") -> Node:
    """``max(0, -target * (input1 - input2) + margin)``: a target of 1 wants the first to rank higher, -1 lower."""
    difference = n.multiply(n.negative(target), n.subtract(input1, input2))
    return reduce(n.clip(n.add(difference, margin), 0.0), reduction)


@function
def hinge_embedding_loss(input: Node, target: Node, margin: float = 1.0, reduction: str = "mean") -> Node:
    """A distance as it is for a target of 1, and ``max(0, margin - distance)`` for one of -1."""
    x, y = aligned(input, target, "the hinge loss")
    apart = n.where(n.not_equal(y, 1), n.clip(n.subtract(margin, x), 0.0), 0.0)
    return reduce(apart + n.where(n.not_equal(y, -1), x, 0.0), reduction)


@function
def soft_margin_loss(input: Node, target: Node, reduction: str = "mean") -> Node:
    """``log(1 + exp(-target * input))`` for targets of -1 and 1."""
    x, y = aligned(input, target, "the soft margin loss")
    return reduce(functional.softplus(n.negative(y * x)), reduction)


@function
def multilabel_soft_margin_loss(input: Node, target: Node, weight: Node | None = None, reduction: str = "mean") -> Node:
    """The binary cross entropy of logits and targets of 0 and 1, averaged over the classes (the last dimension)."""
    losses = functional.binary_cross_entropy_with_logits(input, target, weight, "none")
    return reduce(n.mean(losses, -1), reduction)


@function
def _multi_margin_loss(
    input: Node, target: Node, p: int = 1, margin: float = 1.0, weight: Node | None = None, reduction: str = "mean"
) -> Node:
    """The mean of ``max(0, margin - own + other) ** p`` over the classes that are not the label: (N, C) and (N,), or
    (C,) and one label.
    """
    if p not in (1, 2):
        raise GraphError(f"p={p}: write 1 or 2")
    if input.ndim > 2 or input.shape[-1:] == (0,):
        raise GraphError(f"scores of shape {input.shape}: write (samples, classes), or (classes,)")
    x = floating(input) if input.ndim == 2 else n.reshape(floating(input), (1, -1))
    rows: Any = target.shape if input.ndim == 2 or target.shape == (1,) else (1, *target.shape)
    if target.dtype in FLOATING or rows != x.shape[:-1]:
        raise GraphError(
            f"scores of shape {input.shape} need integer labels of shape {input.shape[:-1]}, not {target.dtype} of "
            f"{target.shape}"
        )
    if weight is not None and weight.shape != x.shape[1:]:
        raise GraphError(f"weights of shape {weight.shape}: write one for each of {x.shape[1]} classes")
    labels = n.reshape(index_node(target), rows)
    own = n.expand_dims(n.take_along(x, labels), -1)
    parts = n.power(n.clip(n.add(n.subtract(x, own), margin), 0.0), p)
    hit = n.one_hot(labels, x.shape[-1], x.dtype)
    if weight is not None:
        parts = n.multiply(parts, n.expand_dims(n.sum(n.multiply(hit, weight), -1), -1))
    return reduce(n.reshape(n.mean(n.where(n.equal(hit, 1), 0.0, parts), -1), target.shape), reduction)


@functools.wraps(_multi_margin_loss)
def multi_margin_loss(input: Any, target: Any, *others: Any, **options: Any) -> Any:
    if isinstance(input, Tensor) and input.ndim and isinstance(target, Tensor) and target.dtype not in FLOATING:
        target = labels_in_range(target, "margin label", input.shape[-1], None)
    return _multi_margin_loss(input, target, *others, **options)


@function
def multilabel_margin_loss(input: Node, target: Node, reduction: str = "mean") -> Node:
    """The mean over classes of ``max(0, 1 - own + other)`` of each label and each class that is none.

    ``target`` has the shape of ``input``, (N, C) or (C,): the labels of a row up to the first -1.
    """
    if input.shape != target.shape or target.dtype in FLOATING or input.ndim not in (1, 2):
        raise GraphError(
            f"scores of shape {input.shape} need integer labels of that shape, with -1 after the last, not "
            f"{target.dtype} of {target.shape}"
        )
    rows = (1, *input.shape) if input.ndim == 1 else input.shape
    x, labels = n.reshape(floating(input), rows), n.reshape(index_node(target), rows)
    place = n.iota(rows, 1, "int32")
    none = n.less(labels, 0)
    end = n.min(n.where(none, place, int(rows[1])), 1, True)
    given = n.less(place, end)
    hits = n.one_hot(n.where(given, labels, 0), rows[1], x.dtype)  # (N, labels, classes)
    hits = n.multiply(hits, n.expand_dims(n.cast(given, x.dtype), -1))
    own = n.sum(n.multiply(hits, n.expand_dims(x, 1)), -1, True)
    others = n.subtract(1.0, n.max(hits, 1, True))
    margins = n.clip(n.add(n.subtract(1.0, own), n.expand_dims(x, 1)), 0.0)
    counted = n.multiply(n.multiply(margins, others), n.expand_dims(n.cast(given, x.dtype), -1))
    losses = n.divide(n.sum(counted, (1, 2)), float(rows[1]))
    return reduce(n.reshape(losses, ()) if input.ndim == 1 else losses, reduction)


def triplet_margin_with_distance_loss(
    anchor: Any, positive: Any, negative: Any, *, distance_function: Any = None, margin: float = 1.0,
    swap: bool = False, reduction: str = "mean",
) -> Any:  # fmt: skip
    """``max(0, margin + d(anchor, positive) - d(anchor, negative))``, by default of `pairwise_distance` d."""
    if margin <= 0:
        raise ValueError(f"margin={margin!r}: write a number above 0 instead.")
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction {reduction!r} does not exist. Write 'mean', 'sum' or 'none' instead.")
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = n.minimum(far, distance(positive, negative))
    losses = n.clip(n.add(n.subtract(near, far), margin), 0.0)
    return losses if reduction == "none" else getattr(n, reduction)(losses)


@function
def cosine_embedding_loss(
    input1: Node, input2: Node, target: Node, margin: float = 0.0, reduction: str = "mean"
) -> Node:
    """``1 - cos`` of vectors for a target of 1, and ``max(0, cos - margin)`` for one of -1."""
    x, y = n.together(floating(input1), floating(input2))
    sizes = [n.add(n.sum(v * v, -1), 1e-12) for v in (x, y)]
    cosine = n.sum(x * y, -1) / n.sqrt(sizes[0] * sizes[1])
    unlike = n.where(n.equal(target, -1), n.clip(n.subtract(cosine, margin), 0.0), 0.0)
    return reduce(n.where(n.equal(target, 1), n.subtract(1, cosine), 0.0) + unlike, reduction)


@function
def triplet_margin_loss(
    anchor: Node,
    positive: Node,
    negative: Node,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Node:
    """``max(0, margin + d(anchor, positive) - d(anchor, negative))`` of `pairwise_distance` d (Balntas et al., 2016).

    With ``swap`` the negative's distance is the smaller one of those from anchor and positive.
    """
    if margin <= 0:
        raise GraphError(f"margin={margin}: write a number above 0")
    near, far = (functional.pairwise_distance(anchor, v, p, eps) for v in (positive, negative))
    if swap:
        far = n.minimum(far, functional.pairwise_distance(positive, negative, p, eps))
    return reduce(n.clip(n.add(near - far, margin), 0.0), reduction)


@function
def gaussian_nll_loss(
    input: Node, target: Node, var: Node | float, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Node:
    """Minus the log density of targets under normal distributions of means ``input`` and variances ``var``.

    ``var`` counts as at least ``eps``, in the value alone; a negative one gives nan. It has the shape of ``input``, or
    one variance for each row. With ``full`` the constant of the density is added.
    """
    x, y = n.together(floating(input), target)
    if x.shape != input.shape:
        raise GraphError(f"targets of shape {target.shape} do not broadcast to predictions of {input.shape}")
    v = n.cast(var, x.dtype) if isinstance(var, Node) else n.full_like(x, var)
    if v.shape == x.shape[:-1] and v.shape != x.shape:
        v = n.expand_dims(v, -1)
    if n.broadcast_shape(v.shape, x.shape) != x.shape:
        raise GraphError(f"variances of shape {v.shape} for predictions of {x.shape}: write one for each, or each row")
    v = v + n.stop_gradient(n.where(n.less(v, 0), math.nan, n.subtract(n.clip(v, eps), v)))
    losses = n.multiply(n.add(n.log(v), n.divide(n.square(x - y), v)), 0.5)
    return reduce(n.add(losses, 0.5 * math.log(2 * math.pi)) if full else losses, reduction)


@function
def poisson_nll_loss(
    input: Node, target: Node, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
) -> Node:
    """``exp(x) - y * x`` for log rates, or ``x - y * log(x + eps)`` for rates; ``full`` adds Stirling's ``log(y!)``."""
    losses = functional.poisson_nll_loss(input, target, log_input, eps, "none")
    if full:
        y = n.cast(target, losses.dtype)
        safe = n.where(n.less(1, y), y, 1.0)
        stirling = y * n.log(safe) - y + n.multiply(n.log(n.multiply(safe, 2 * math.pi)), 0.5)
        losses = losses + n.where(n.less(1, y), stirling, 0.0)
    return reduce(losses, reduction)
