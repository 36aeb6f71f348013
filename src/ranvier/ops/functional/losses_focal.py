"""Focal losses: cross entropies that reduce the weight of easy samples (Lin, Goyal, Girshick, He, Dollar, 2017).

Each term of the cross entropy is multiplied by ``(1 - p) ** gamma``, where p is the predicted probability of the true
class: the many easy samples of a frequent class no longer outweigh the few hard ones. ``gamma=0`` gives the cross
entropy.
"""

from __future__ import annotations

from typing import Any

from ranvier.graph.node import GraphError, Node, constant
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import floating
from ranvier.ops.functional.label_checks import check_labels
from ranvier.ops.functional.losses_elementwise import EPSILON, binary_crossentropy, binary_crossentropy_of_probabilities
from ranvier.ops.functional.losses_keras import ignoring, labels_for, log_probabilities, of_vectors, pair, smoothed
from ranvier.ops.functional.losses_torch import classes_of, weight_of
from ranvier.tensor.function import function

__all__ = [
    "binary_focal_crossentropy", "categorical_focal_crossentropy", "sparse_categorical_focal_crossentropy"
]  # fmt: skip


def focused(losses: Node, missed: Node, gamma: float) -> Node:
    """Losses times ``missed ** gamma``, where ``missed`` is 1 minus the probability of the true class."""
    if not gamma:
        return losses
    if gamma < 1:  # the slope at 0 would be infinite
        missed = n.clip(missed, EPSILON)
    return losses * n.power(missed, gamma)


def per_class(alpha: Any, scores: Node) -> Node:
    """``alpha``, one number or one for each class, as a constant that broadcasts over the scores."""
    if isinstance(alpha, (list, tuple)) and len(alpha) != scores.shape[-1]:
        raise GraphError(
            f"alpha has {len(alpha)} numbers for scores of shape {scores.shape}: write one number, or one for each of "
            f"the {scores.shape[-1]} outputs"
        )
    return constant(alpha, scores.dtype)


@function
def binary_focal_crossentropy(
    y_true: Node,
    y_pred: Node,
    apply_class_balancing: bool = False,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> Node:
    """The focal loss of independent yes or no targets in [0, 1] and probabilities, or logits (Lin et al., 2017).

    Each term counts ``(1 - p) ** gamma`` times, p being the probability given to the truth. With
    ``apply_class_balancing`` it also counts ``alpha`` times where the target is 1, ``1 - alpha`` times where it is 0;
    ``alpha`` is one number, or a list of one for each output.
    """
    y, x = pair(y_true, y_pred)
    y = smoothed(y, label_smoothing, 2)
    no = n.subtract(1, y)
    if from_logits:
        p, losses = n.sigmoid(x), binary_crossentropy(y, x)
    else:
        p, losses = x, binary_crossentropy_of_probabilities(y, x)
    losses = focused(losses, y * n.subtract(1, p) + no * p, gamma)
    if apply_class_balancing:
        factor = per_class(alpha, x)
        losses = losses * (n.multiply(y, factor) + n.multiply(no, n.subtract(1, factor)))
    return n.mean(losses, -1)


@of_vectors
@function
def categorical_focal_crossentropy(
    y_true: Node,
    y_pred: Node,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> Node:
    """The focal loss of target probabilities and scores, both (N, ..., classes): probabilities, or logits.

    ``-sum(alpha * (1 - p) ** gamma * y * log(p))`` over the classes (Lin et al., 2017). ``alpha`` is one number, or a
    list of one for each class, such as ``1 / count``.
    """
    y, x = pair(y_true, y_pred)
    y = smoothed(y, label_smoothing, x.shape[-1])
    logs = log_probabilities(x, from_logits)
    terms = focused(y * logs, n.negative(n.expm1(logs)), gamma)
    return n.negative(n.sum(n.multiply(terms, per_class(alpha, x)), -1))


@check_labels
@function
def sparse_categorical_focal_crossentropy(
    y_true: Node,
    y_pred: Node,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    ignore_class: int | None = None,
) -> Node:
    """The focal loss of integer labels (N, ...) and scores (N, ..., classes): probabilities, or logits.

    ``-alpha * (1 - p) ** gamma * log(p)``, p being the probability of the label (Lin et al., 2017). ``alpha`` is one
    number, or a list of one for each class. Labels of ``ignore_class`` count for nothing.
    """
    scores = floating(y_pred)
    labels = labels_for(y_true, scores)
    logs = n.take_along(log_probabilities(scores, from_logits), labels)
    factor = per_class(alpha, scores)
    if factor.ndim:
        factor = weight_of(labels, factor, classes_of(scores), scores.dtype)
    losses = focused(n.negative(logs), n.negative(n.expm1(logs)), gamma)
    return ignoring(n.multiply(losses, factor), labels, ignore_class)
