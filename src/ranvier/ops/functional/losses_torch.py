"""Losses as functions of (input, target), with PyTorch's meaning of every argument.

All are stable for any finite input: losses of logits never compute probabilities, and logarithms of probabilities are
at least -100, as PyTorch's are.
"""

from __future__ import annotations

import math
from typing import Any

from ranvier.graph.node import FLOATS, GraphError, Node
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import count, floating, index_node
from ranvier.ops.functional import losses_elementwise as each
from ranvier.ops.functional.activations import log_softmax, softplus
from ranvier.tensor.function import function


def reduce(losses: Node, reduction: str, total: Node | None = None) -> Node:
    """Losses unchanged ("none"), summed ("sum"), or averaged ("mean"): over their number, or over ``total``."""
    if reduction == "none":
        return losses
    added: Node = n.sum(losses)
    if reduction == "sum":
        return added
    if reduction != "mean":
        raise GraphError(f"reduction {reduction!r} does not exist: write 'mean', 'sum' or 'none'")
    return added / (count(losses.shape, losses.dtype) if total is None else total)


def aligned(input: Node, target: Node, what: str) -> tuple[Node, Node]:
    """Both as floats of one shape. Nothing is broadcast: (N,) against (N, 1) would become (N, N)."""
    x, dtype = floating(input), floating(input).dtype
    if input.shape != target.shape:
        ones = [[d for d in node.shape if d != 1] for node in (input, target)]
        example = f", for example targets.reshape({', '.join(map(str, ['-1', *input.shape[1:]]))})"
        raise GraphError(
            f"{what} of predictions {input.shape} and targets {target.shape}: write targets of the shape of the "
            f"predictions{example if ones[0] == ones[1] else ''}"
        )
    return x, n.cast(target, dtype)


def last(x: Node) -> Node:
    """Move the class axis (the second, or the only one) to the end."""
    return x if x.ndim < 3 else n.transpose(x, (0, *range(2, x.ndim), 1))


def classes_of(rows: Node) -> int:
    classes = rows.shape[-1]
    if not isinstance(classes, int):
        raise GraphError(f"scores of shape {rows.shape} need a known number of classes in the last axis")
    return classes


def weight_of(labels: Node, weight: Node, classes: int, dtype: str) -> Node:
    """The weight of each label's class: labels (N, ...) and weights (C,) -> (N, ...)."""
    found: Node = n.sum(n.multiply(n.one_hot(labels, classes, dtype), weight), -1)
    return found


def label_weights(labels: Node, weight: Node | None, ignore_index: int, rows: Node) -> Node:
    """The weight of each label, (N, ...): that of its class, or 1, and 0 for ``ignore_index``. ``rows`` are scores."""
    kept = n.not_equal(labels, ignore_index)
    if weight is None:
        return n.cast(kept, rows.dtype)
    return n.where(kept, weight_of(labels, weight, classes_of(rows), rows.dtype), 0)


def _as_labels(input: Node, wanted: tuple[Any, ...], target: Node) -> str:
    """The fix for targets of another shape than ``wanted``, or than that of probabilities; empty if it is unclear."""
    whole = ".long()" if target.dtype in FLOATS else ""
    if target.shape == (*wanted, 1):
        return f": for class numbers write target{whole}.squeeze({len(wanted)})"
    if target.shape == wanted and whole:
        return ": for class numbers write target.long()"
    if target.shape == input.shape and not whole:
        return ": for one-hot rows write target.argmax(1)"
    if target.ndim == 1 and len(wanted) > 1:
        return ": for one label a sample put Flatten() before the last layer"
    return ""


@function
def nll_loss(
    input: Node, target: Node, weight: Node | None = None, ignore_index: int = -100, reduction: str = "mean"
) -> Node:
    """Minus the entry of each row of log probabilities at its label: (N, C, ...) and labels (N, ...).

    ``weight`` (C,) scales each class. Rows of label ``ignore_index`` are ignored. A mean divides by the weights of the
    other rows.
    """
    rows = last(floating(input))
    labels = index_node(target)
    if rows.shape[:-1] != labels.shape:
        raise GraphError(
            f"scores of shape {input.shape} need labels of shape {rows.shape[:-1]}, not {target.shape}"
            f"{_as_labels(input, rows.shape[:-1], target)}"
        )
    picked = n.negative(n.take_along(rows, labels))
    weights = label_weights(labels, weight, ignore_index, rows)
    losses = n.where(n.not_equal(labels, ignore_index), picked, 0) * weights
    return reduce(losses, reduction, n.sum(weights) if reduction == "mean" else None)


@function
def cross_entropy(
    input: Node,
    target: Node,
    weight: Node | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Node:
    """The cross entropy of logits (N, C, ...) and integer labels (N, ...) or target probabilities (N, C, ...)."""
    logs = log_softmax(floating(input), 0 if input.ndim == 1 else 1)
    if target.dtype in FLOATS:
        if target.shape != input.shape:
            raise GraphError(
                f"target probabilities of {target.shape} must have the scores' shape {input.shape}"
                f"{_as_labels(input, last(input).shape[:-1], target)}"
            )
        rows, wanted = last(logs), last(n.cast(target, logs.dtype))
        if label_smoothing:
            wanted = n.add(n.multiply(wanted, 1 - label_smoothing), label_smoothing / classes_of(rows))
        terms = rows * wanted if weight is None else n.multiply(rows * wanted, weight)
        losses = n.negative(n.sum(terms, -1))
        return reduce(losses, reduction)
    losses = nll_loss(logs, target, weight, ignore_index, "none")
    labels = index_node(target)
    weights = label_weights(labels, weight, ignore_index, last(logs))
    if label_smoothing:
        rows = last(logs) if weight is None else n.multiply(last(logs), weight)
        smooth = n.where(n.not_equal(labels, ignore_index), n.negative(n.sum(rows, -1)), 0)
        losses = n.multiply(losses, 1 - label_smoothing) + n.multiply(smooth, label_smoothing / classes_of(rows))
    return reduce(losses, reduction, n.sum(weights) if reduction == "mean" else None)


def _weighted(losses: Node, weight: Any, reduction: str) -> Node:
    return reduce(losses if weight is None else n.multiply(losses, weight), reduction)


@function
def binary_cross_entropy(input: Node, target: Node, weight: Node | None = None, reduction: str = "mean") -> Node:
    """The cross entropy of probabilities and targets in [0, 1]; logarithms are at least -100.

    If either is outside, the loss is nan: such a number is no probability, often because a sigmoid is missing.
    """
    p, y = aligned(input, target, "binary cross entropy")
    hit, miss = (_log_from(q) for q in (p, n.subtract(1, p)))
    inside = [n.logical_and(n.less_equal(0, v), n.less_equal(v, 1)) for v in (p, y)]
    losses = n.where(n.logical_and(*inside), n.negative(y * hit + n.subtract(1, y) * miss), math.nan)
    return _weighted(losses, weight, reduction)


def _log_from(p: Node) -> Node:
    """``max(log(p), -100)``, with a finite gradient: that of log(p), with p at least 1e-12."""
    safe = n.clip(p, 1e-12)
    inside = n.log(safe) + (p - safe) / safe  # below 1e-12 the slope is 1e12, as PyTorch's
    value = n.clip(n.log(n.clip(p, math.exp(-87 if p.dtype == "float32" else -100))), -100.0)
    value = n.where(n.less_equal(p, 0), -100.0, value)
    return inside + n.stop_gradient(value - inside)


@function
def binary_cross_entropy_with_logits(
    input: Node, target: Node, weight: Node | None = None, reduction: str = "mean", pos_weight: Node | None = None
) -> Node:
    """The cross entropy of logits and targets in [0, 1]; ``pos_weight`` scales the terms of positive targets."""
    x, y = aligned(input, target, "binary cross entropy")
    if pos_weight is None:
        losses = each.binary_crossentropy(y, x)
    else:
        losses = n.subtract(1, y) * softplus(x) + n.multiply(y, pos_weight) * softplus(-x)
    return _weighted(losses, weight, reduction)


@function
def mse_loss(input: Node, target: Node, reduction: str = "mean") -> Node:
    """The squared difference."""
    x, y = aligned(input, target, "the squared error")
    return reduce(each.squared_error(y, x), reduction)


@function
def l1_loss(input: Node, target: Node, reduction: str = "mean") -> Node:
    """The absolute difference."""
    x, y = aligned(input, target, "the absolute error")
    return reduce(each.absolute_error(y, x), reduction)


@function
def huber_loss(input: Node, target: Node, reduction: str = "mean", delta: float = 1.0) -> Node:
    """Half the squared difference up to ``delta``, then linear (Huber, 1964)."""
    if delta <= 0:
        raise GraphError(f"delta={delta}: write a number above 0")
    x, y = aligned(input, target, "the Huber loss")
    return reduce(each.huber(y, x, delta), reduction)


@function
def smooth_l1_loss(input: Node, target: Node, reduction: str = "mean", beta: float = 1.0) -> Node:
    """The Huber loss divided by its width ``beta``; the absolute difference for a ``beta`` of 0."""
    if not beta:
        return l1_loss(input, target, reduction)
    return n.divide(huber_loss(input, target, reduction, beta), beta)


@function
def kl_div(input: Node, target: Node, reduction: str = "mean", log_target: bool = False) -> Node:
    """The divergence of target probabilities from log probabilities ``input``; terms of probability 0 are 0.

    "mean" divides by the number of elements, "batchmean" by the number of rows, which is the mathematical mean.
    """
    x, y = aligned(input, target, "the divergence")
    if log_target:
        losses = n.exp(y) * (y - x)
    else:
        some = n.not_equal(y, 0)  # the term of a negative target is nan
        losses = n.where(some, y * n.log(n.where(some, y, 1)), 0) - y * x
    if reduction == "batchmean":
        return n.sum(losses) / count(input.shape[:1], x.dtype)
    return reduce(losses, reduction)


@function
def poisson_nll_loss(
    input: Node, target: Node, log_input: bool = True, eps: float = 1e-8, reduction: str = "mean"
) -> Node:
    """``exp(x) - y * x`` for log rates, or ``x - y * log(x + eps)`` for rates."""
    x, y = aligned(input, target, "the Poisson loss")
    return reduce(n.exp(x) - y * x if log_input else each.poisson(y, x, eps), reduction)
