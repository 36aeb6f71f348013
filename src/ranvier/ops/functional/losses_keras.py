"""Keras's losses as functions of (y_true, y_pred): one value for each sample, averaged over the last axis.

Logits are used if they are known: a loss of the output of a recorded `softmax` or `sigmoid` takes its input, which
gives the same value, stable and cheaper.
"""

from __future__ import annotations

import math
from typing import Any

from ranvier.graph.node import GraphError, Node, apply
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import floating, index_node
from ranvier.ops.functional import losses_elementwise as each
from ranvier.ops.functional.activations import log_softmax, softplus
from ranvier.ops.functional.ctc import ctc_of_scores
from ranvier.ops.functional.label_checks import check_labels
from ranvier.ops.functional.losses_elementwise import EPSILON
from ranvier.tensor.context import get_dtype, no_grad
from ranvier.tensor.function import function, snapshot
from ranvier.tensor.tensor import Tensor

__all__ = [
    "binary_crossentropy", "categorical_crossentropy", "categorical_generalized_cross_entropy", "categorical_hinge",
    "circle", "cosine_similarity", "ctc", "dice", "hinge", "huber", "kl_divergence", "log_cosh", "mean_absolute_error",
    "mean_absolute_percentage_error", "mean_squared_error", "mean_squared_logarithmic_error", "poisson",
    "sparse_categorical_crossentropy", "squared_hinge", "tversky",
]  # fmt: skip


def logits_of(y_pred: Any, maker: str) -> Any:
    """The input from which ``maker`` ("softmax" over the last axis, or "sigmoid") computed this tensor.

    None if it is unknown, or overwritten since. Gradients reach it if they reach ``y_pred``: under ``no_grad`` neither
    has one.
    """
    known = y_pred.known if isinstance(y_pred, Tensor) else None
    node, segment = getattr(y_pred, "trace_node", None), getattr(y_pred, "segment", None)
    if node is None or segment is None or node.function is None or node.function.name != maker:
        return None
    if len(node.inputs) != 1 or dict(node.options).get("axis", -1) not in (-1, len(y_pred.shape) - 1):
        return None
    if known is not None and segment.is_stale(node):
        return None
    logits = Tensor.pending(node.inputs[0], segment)
    if logits.requires_grad and not node.requires_grad:
        with no_grad():
            return snapshot(logits)
    return logits


def pair(y_true: Node, y_pred: Node) -> tuple[Node, Node]:
    """Targets and predictions of one shape, in floats. If both have one dimension they are one sample, as in Keras.

    One of them may lack a last axis of 1. Raises GraphError for other differences: nothing is broadcast.
    """
    x, y = floating(y_pred), y_true
    if x.ndim < 2 and not x.ndim == y.ndim == 1:
        x = n.reshape(x, (*x.shape, 1) if x.ndim else (1, 1))
    if y.shape != x.shape and (*y.shape, 1) == x.shape:
        y = n.expand_dims(y, -1)
    elif y.shape != x.shape and y.shape == (*x.shape, 1):
        y = n.squeeze(y, -1)
    if y.shape != x.shape:
        raise GraphError(
            f"targets of shape {y_true.shape} do not fit predictions of shape {y_pred.shape}: give the last layer "
            f"{y_true.shape[-1] if y_true.ndim > 1 else 1} units, or write targets of the predictions' shape"
        )
    return n.cast(y, x.dtype), x


VECTORS: set[Any] = set()
"""The losses of vectors, which do not average over the last axis."""


def of_vectors(loss: Any) -> Any:
    """Declare a loss of vectors."""
    VECTORS.add(loss)
    return loss


def as_samples(loss: Any, y_true: Any, y_pred: Any) -> Any:
    """Targets for which a loss gives one value for each sample also where targets and predictions are (samples,).

    A column; for losses of vectors, labels, and other shapes the targets as they are.
    """
    flat = getattr(y_true, "ndim", None) == getattr(y_pred, "ndim", None) == 1
    return n.expand_dims(y_true, -1) if flat and loss not in VECTORS else y_true


def labels_for(y_true: Node, scores: Node) -> Node:
    """Integer labels of the scores' shape without its last axis."""
    wanted = scores.shape[:-1]
    if y_true.shape == (*wanted, 1):
        y_true = n.squeeze(y_true, -1)
    if y_true.shape != wanted:
        raise GraphError(
            f"labels of shape {y_true.shape} do not fit scores of shape {scores.shape}: write integer labels of shape "
            f"{wanted}, or use 'categorical_crossentropy' for one-hot targets"
        )
    return index_node(y_true)


def smoothed(y: Node, label_smoothing: float, classes: Any) -> Node:
    if not label_smoothing:
        return y
    return n.add(n.multiply(y, 1 - label_smoothing), label_smoothing / classes)


def log_probabilities(scores: Node, from_logits: bool) -> Node:
    """Log probabilities over the last axis, from logits or from weights that need not sum to 1."""
    if from_logits:
        return log_softmax(scores)
    probabilities = n.divide(scores, n.sum(scores, -1, True))
    return n.log(n.clip(probabilities, EPSILON, 1 - EPSILON))


def ignoring(losses: Node, labels: Node, ignore_class: int | None) -> Node:
    """Losses, 0 for labels of the ignored class."""
    if ignore_class is None:
        return losses
    return n.where(n.equal(labels, ignore_class), 0, losses)


@check_labels
@function
def sparse_categorical_crossentropy(
    y_true: Node, y_pred: Node, from_logits: bool = False, ignore_class: int | None = None
) -> Node:
    """Cross entropy of integer labels (N, ...) and scores (N, ..., classes): probabilities, or logits."""
    scores = floating(y_pred)
    labels = labels_for(y_true, scores)
    losses = n.negative(n.take_along(log_probabilities(scores, from_logits), labels))
    return ignoring(losses, labels, ignore_class)


@check_labels
@function
def categorical_generalized_cross_entropy(y_true: Node, y_pred: Node, q: float = 0.5) -> Node:
    """``(1 - p**q) / q`` of integer labels and probabilities, p being that of the label (Zhang and Sabuncu, 2018).

    Near q = 0 it is the cross entropy; near 1, where wrong labels count less, the absolute error.
    """
    x = floating(y_pred)
    p = n.take_along(x, labels_for(y_true, x))
    return n.divide(n.subtract(1.0, n.power(p, q)), q)


@function
def not_of_class(y_true: Node, ignored: int) -> Node:
    """1 for each label, 0 for those of the ignored class: (N, ...) or (N, 1) -> the shape of the losses."""
    labels = n.squeeze(y_true, -1) if y_true.ndim > 1 and y_true.shape[-1] == 1 else y_true
    return n.cast(n.not_equal(index_node(labels), ignored), get_dtype())


@of_vectors
@function
def categorical_crossentropy(
    y_true: Node, y_pred: Node, from_logits: bool = False, label_smoothing: float = 0.0
) -> Node:
    """Cross entropy of target probabilities and scores, both (N, ..., classes): probabilities, or logits."""
    y, x = pair(y_true, y_pred)
    y = smoothed(y, label_smoothing, x.shape[-1])
    return n.negative(n.sum(y * log_probabilities(x, from_logits), -1))


@function
def binary_crossentropy(y_true: Node, y_pred: Node, from_logits: bool = False, label_smoothing: float = 0.0) -> Node:
    """Cross entropy of independent yes or no targets in [0, 1] and probabilities, or logits."""
    y, x = pair(y_true, y_pred)
    y = smoothed(y, label_smoothing, 2)
    formula = each.binary_crossentropy if from_logits else each.binary_crossentropy_of_probabilities
    return n.mean(formula(y, x), -1)


@function
def mean_squared_error(y_true: Node, y_pred: Node) -> Node:
    """The squared difference."""
    return n.mean(each.squared_error(*pair(y_true, y_pred)), -1)


@function
def mean_absolute_error(y_true: Node, y_pred: Node) -> Node:
    """The absolute difference."""
    return n.mean(each.absolute_error(*pair(y_true, y_pred)), -1)


@function
def mean_absolute_percentage_error(y_true: Node, y_pred: Node) -> Node:
    """The absolute difference in percent of the target's size."""
    y, x = pair(y_true, y_pred)
    return n.multiply(n.mean(n.abs(n.divide(y - x, n.clip(n.abs(y), EPSILON))), -1), 100)


@function
def mean_squared_logarithmic_error(y_true: Node, y_pred: Node) -> Node:
    """The squared difference of ``log(1 + value)``."""
    return n.mean(each.squared_error(*(n.log1p(n.clip(v, EPSILON)) for v in pair(y_true, y_pred))), -1)


@function
def huber(y_true: Node, y_pred: Node, delta: float = 1.0) -> Node:
    """Half the squared difference up to ``delta``, then linear (Huber, 1964)."""
    return n.mean(each.huber(*pair(y_true, y_pred), delta), -1)


@function
def log_cosh(y_true: Node, y_pred: Node) -> Node:
    """``log(cosh(difference))``, stable."""
    y, x = pair(y_true, y_pred)
    d = x - y
    return n.mean(n.subtract(d + softplus(n.multiply(d, -2)), math.log(2)), -1)


def signs(y: Node) -> Node:
    """Targets of -1 and 1; if all are 0 or 1, 0 becomes -1."""
    binary = n.all(n.logical_or(n.equal(y, 0), n.equal(y, 1)))
    return n.where(binary, n.subtract(n.multiply(y, 2), 1), y)


@function
def hinge(y_true: Node, y_pred: Node) -> Node:
    """``max(1 - y * x, 0)`` for targets of -1 and 1 (or 0 and 1)."""
    y, x = pair(y_true, y_pred)
    return n.mean(n.maximum(n.subtract(1, signs(y) * x), 0), -1)


@function
def squared_hinge(y_true: Node, y_pred: Node) -> Node:
    """The square of `hinge`'s terms."""
    y, x = pair(y_true, y_pred)
    return n.mean(n.square(n.maximum(n.subtract(1, signs(y) * x), 0)), -1)


@of_vectors
@function
def categorical_hinge(y_true: Node, y_pred: Node) -> Node:
    """``max(highest score of another class - score of the true class + 1, 0)`` for one-hot targets."""
    y, x = pair(y_true, y_pred)
    wrong = n.max(n.subtract(1, y) * x, -1)
    return n.maximum(n.add(wrong - n.sum(y * x, -1), 1), 0)


@of_vectors
@function
def kl_divergence(y_true: Node, y_pred: Node) -> Node:
    """The divergence of target probabilities from predicted ones, summed over the last axis."""
    y, x = (n.clip(v, EPSILON, 1.0) for v in pair(y_true, y_pred))
    return n.sum(y * n.log(y / x), -1)


@function
def poisson(y_true: Node, y_pred: Node) -> Node:
    """``x - y * log(x)``: minus the log likelihood of counts y under rates x, up to a constant."""
    return n.mean(each.poisson(*pair(y_true, y_pred), EPSILON), -1)


@of_vectors
@function
def cosine_similarity(y_true: Node, y_pred: Node, axis: int = -1) -> Node:
    """Minus the cosine of the angle between targets and predictions along an axis."""
    y, x = (v / _length(v, axis) for v in pair(y_true, y_pred))
    return n.negative(n.sum(y * x, axis))


@of_vectors
@function
def circle(
    y_true: Node,
    y_pred: Node,
    ref_labels: Node | None = None,
    ref_embeddings: Node | None = None,
    remove_diagonal: bool = True,
    gamma: float = 80.0,
    margin: float = 0.4,
) -> Node:
    """The circle loss (Sun et al., 2020): vectors of one label moved together, and those of others apart.

    ``y_true`` holds the label of each sample, (N,) or (N, 1) of whole numbers, and ``y_pred`` its vector of length 1,
    (N, features), as of `layers.UnitNormalization`. Each is compared with all of the batch, or with ``ref_embeddings``
    (M, features) and their ``ref_labels``; with ``remove_diagonal`` not with that of its own place. ``gamma`` scales
    the similarities, and ``margin`` says from where on they are good enough. A sample without another of its label, or
    without one of another label, has a loss of 0, and a mean does not count it.
    """
    x = floating(y_pred)
    others = x if ref_embeddings is None else n.cast(ref_embeddings, x.dtype)
    of = n.reshape(index_node(y_true), (-1,))
    labels = of if ref_labels is None else n.reshape(index_node(ref_labels), (-1,))
    far = n.maximum(n.subtract(1.0, n.matmul(x, n.transpose(others))), 0.0)
    same = n.equal(n.expand_dims(of, 1), n.expand_dims(labels, 0))
    alike, unlike = same, n.logical_not(same)
    if remove_diagonal:
        row, column = (apply("iota", shape=same.shape, axis=axis, dtype="int32") for axis in (0, 1))
        alike = n.logical_and(same, n.not_equal(row, column))

    def total(chosen: Node, weight: Node, beyond: Node) -> Node:
        """The logarithm of the sum of what chosen pairs add; -inf where there are none."""
        scores = n.multiply(n.maximum(weight, 0.0) * beyond, gamma)
        return n.logsumexp(n.where(chosen, scores, -math.inf), 1)

    near = total(alike, n.add(far, margin), n.subtract(far, margin))
    apart = total(unlike, n.subtract(1 + margin, far), n.subtract(1 - margin, far))
    none = n.logical_not(n.logical_and(n.any(alike, 1), n.any(unlike, 1)))
    return n.where(none, 0.0, softplus(n.where(none, 0.0, near + apart)))


@function
def dice(y_true: Node, y_pred: Node, axis: int | tuple[int, ...] | None = None) -> Node:
    """One minus the Dice coefficient of targets and predictions in [0, 1] (Milletari et al., 2016).

    ``2 * sum(y * x) / (sum(y) + sum(x))``, over one or several axes, by default over the whole batch. For one value for
    each image write ``axis=(1, 2, 3)``.
    """
    y, x = pair(y_true, y_pred)
    whole = n.sum(y, axis) + n.sum(x, axis)
    return n.subtract(1, n.divide(n.multiply(n.sum(y * x, axis), 2), n.add(whole, EPSILON)))


@function
def tversky(
    y_true: Node, y_pred: Node, alpha: float = 0.5, beta: float = 0.5, axis: int | tuple[int, ...] | None = None
) -> Node:
    """One minus the Tversky index (Salehi et al., 2017): ``hits / (hits + alpha * missed + beta * wrong)``.

    ``alpha`` weighs false negatives and ``beta`` false positives, as in Keras (the paper swaps them). See `dice` for
    ``axis``; with 0.5 for both this is `dice`.
    """
    y, x = pair(y_true, y_pred)
    hits = n.sum(y * x, axis)
    wrong, missed = n.sum(n.subtract(1, y) * x, axis), n.sum(y * n.subtract(1, x), axis)
    whole = hits + n.multiply(missed, alpha) + n.multiply(wrong, beta)
    return n.subtract(1, n.divide(hits, n.add(whole, EPSILON)))


def _length(v: Node, axis: int) -> Node:
    squares = n.sum(v * v, axis, True)
    return n.broadcast_to(n.sqrt(n.clip(squares, EPSILON**2)), v.shape)


def ctc(y_true: Any, y_pred: Any) -> Any:
    """The loss of connectionist temporal classification (Graves et al., 2006), for labels that have no given places.

    (N, length) labels, with 0 after the last one, and (N, steps, classes) scores that no softmax has normalized give
    (N,). Class 0 is the blank.
    """
    y_true = y_true if isinstance(y_true, Tensor) else Tensor(y_true)
    there = n.cast(n.not_equal(y_true, 0), "int32")
    steps = n.add(n.multiply(n.sum(there, -1), 0), y_pred.shape[1])
    return ctc_of_scores(y_pred, y_true, steps, n.sum(there, -1))
