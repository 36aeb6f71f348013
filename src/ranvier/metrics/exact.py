"""Curves and their areas on arrays, exactly: from every score, where the metrics of training have fixed thresholds.

Names and meanings are scikit-learn's. ``y_true`` is 0 or 1 with scores ``(n,)`` or ``(n, 1)``; class numbers with
scores ``(n, classes)``, each class against the rest; or ones and zeros of the scores' shape ``(n, labels)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.metrics.base import Array

__all__ = [
    "average_precision_score",
    "columns",
    "precision_recall_curve",
    "ranked",
    "roc_auc_score",
    "roc_curve",
]


def _array(x: Any) -> Array:
    """``x`` in NumPy. Raises TypeError for a tensor that stands for data while a model is traced."""
    try:
        return np.asarray(x)
    except RuntimeError as error:
        raise TypeError(
            "this function is exact, on arrays, and no metric of a training program. Write metrics=['roc_auc'] or "
            "metrics=['pr_auc'] in compile, and call the function with what predict returns, instead."
        ) from error


def ranked(y_true: Any, y_score: Any, sample_weight: Any = None) -> tuple[Array, Array, Array]:
    """``(true positives, false positives, thresholds)`` for each distinct score as a threshold, highest first.

    A sample counts as positive where its score is at least the threshold. Raises ValueError for shapes that differ,
    NaN, targets other than 0 and 1, and weights that are negative or not one a sample.
    """
    truth, scores = _array(y_true).reshape(-1), _array(y_score).reshape(-1)
    if len(truth) != len(scores) or not len(truth):
        raise ValueError(
            f"y_true has {len(truth)} values and the scores {len(scores)}. Write one of each a sample instead."
        )
    if not np.isin(truth, (0, 1)).all():
        bad = int(np.flatnonzero(~np.isin(truth, (0, 1)))[0])
        raise ValueError(
            f"y_true has {truth[bad]} in row {bad}, where only 0 and 1 can be. Write y_true == k for class k."
        )
    if scores.dtype.kind == "f" and np.isnan(scores).any():
        row = int(np.flatnonzero(np.isnan(scores))[0])
        raise ValueError(f"the score in row {row} is NaN. Write a number there, or leave the row out.")
    weight = (
        np.ones(len(truth)) if sample_weight is None else np.asarray(sample_weight, np.float64).reshape(-1)
    )
    if len(weight) != len(truth) or not (weight >= 0).all():
        raise ValueError(
            f"sample_weight must be {len(truth)} numbers of 0 or more. Write one a sample instead."
        )
    order = np.argsort(-scores.astype(np.float64), kind="stable")
    scores, truth, weight = scores[order], truth[order].astype(np.float64), weight[order]
    # Of the samples of one score the last.
    last = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)
    return np.cumsum(truth * weight)[last], np.cumsum((1 - truth) * weight)[last], scores[last]


def roc_curve(y_true: Any, y_score: Any, sample_weight: Any = None) -> tuple[Array, Array, Array]:
    """``(false positive rates, true positive rates, thresholds)`` of one yes or no, from (0, 0) to (1, 1).

    The first threshold is infinite: nothing is decided to be positive. Raises ValueError where there are no positives,
    or no negatives.
    """
    tp, fp, thresholds = ranked(y_true, y_score, sample_weight)
    for count, what in ((tp[-1], "positive"), (fp[-1], "negative")):
        if count <= 0:
            raise ValueError(
                f"y_true has no {what} sample, so there is no ROC curve. Write samples of both kinds."
            )
    start = np.zeros(1)
    return (
        np.concatenate([start, fp / fp[-1]]),
        np.concatenate([start, tp / tp[-1]]),
        np.concatenate([[np.inf], thresholds]),
    )


def precision_recall_curve(
    y_true: Any, y_score: Any, sample_weight: Any = None
) -> tuple[Array, Array, Array]:
    """``(precisions, recalls, thresholds)`` of one yes or no, by rising threshold, then the point (1, 0).

    Raises ValueError where there are no positives.
    """
    tp, fp, thresholds = ranked(y_true, y_score, sample_weight)
    if tp[-1] <= 0:
        raise ValueError("y_true has no positive sample, so there is no recall. Write samples of both kinds.")
    decided = tp + fp
    precision = np.where(decided > 0, tp / np.where(decided > 0, decided, 1), 0.0)
    return (
        np.append(precision[::-1], 1.0),
        np.append((tp / tp[-1])[::-1], 0.0),
        thresholds[::-1],
    )


def roc_auc_score(
    y_true: Any, y_score: Any, *, average: str | None = "macro", sample_weight: Any = None
) -> Any:
    """The area under the ROC curve: the probability that a positive ranks above a negative, ties counting half.

    Of several classes or labels, their mean ("macro"), the mean weighted by the positives of each ("weighted"), all
    counted together ("micro"), or one number each (None; NaN for a class with no positives or no negatives).
    """

    def area(truth: Array, score: Array, weight: Any) -> float:
        x, y, _ = roc_curve(truth, score, weight)
        return float(np.trapezoid(y, x))

    return _averaged(area, y_true, y_score, average, sample_weight)


def average_precision_score(
    y_true: Any, y_score: Any, *, average: str | None = "macro", sample_weight: Any = None
) -> Any:
    """The area under the precision-recall curve as a sum of steps: precision times the recall gained at each score.

    ``average`` is as in `roc_auc_score`.
    """

    def area(truth: Array, score: Array, weight: Any) -> float:
        precision, recall, _ = precision_recall_curve(truth, score, weight)
        return float(-(np.diff(recall) * precision[:-1]).sum())

    return _averaged(area, y_true, y_score, average, sample_weight)


def columns(y_true: Any, y_score: Any) -> tuple[Array, Array]:
    """Truth and scores, both (n, labels); class numbers become a column of ones and zeros for each class."""
    scores, truth = _array(y_score), _array(y_true)
    if scores.ndim == 1:
        scores = scores[:, None]
    if truth.ndim == 2 and truth.shape[1] == 1 < scores.shape[-1]:
        truth = truth[:, 0]
    if truth.ndim == 1 and scores.ndim == 2 and scores.shape[1] > 1 and len(truth) == len(scores):
        if truth.size and not (truth.min() >= 0 and truth.max() < scores.shape[1]):
            raise ValueError(
                f"y_true has classes {truth.min()} to {truth.max()}, and there are scores for {scores.shape[1]}. Write "
                f"class numbers from 0 to {scores.shape[1] - 1} instead."
            )
        truth = truth[:, None] == np.arange(scores.shape[1])
    truth = truth[:, None] if truth.ndim == 1 else truth
    if truth.shape != scores.shape or scores.ndim != 2:
        raise ValueError(
            f"y_true has shape {np.shape(y_true)} and the scores {np.shape(y_score)}. Write one class number for each "
            "row of scores, or targets of their shape, instead."
        )
    return truth, scores


AVERAGES = ("macro", "weighted", "micro", None)


def _averaged(
    area: Callable[[Array, Array, Any], float],
    y_true: Any,
    y_score: Any,
    average: str | None,
    sample_weight: Any,
) -> Any:
    if average not in AVERAGES:
        raise ValueError(
            f"average={average!r} does not exist. Write one of {', '.join(map(repr, AVERAGES))}."
        )
    truth, scores = columns(y_true, y_score)
    if truth.shape[1] == 1:
        return area(truth, scores, sample_weight)
    if average == "micro":
        weight = None if sample_weight is None else np.repeat(np.asarray(sample_weight), truth.shape[1])
        return area(truth.reshape(-1), scores.reshape(-1), weight)
    each = []
    for k in range(truth.shape[1]):
        try:
            each.append(area(truth[:, k], scores[:, k], sample_weight))
        except ValueError as error:
            if average is not None:
                raise ValueError(
                    f"class {k}: {error} Or write average=None for one number each, NaN there."
                ) from None
            each.append(np.nan)
    if average is None:
        return np.array(each)
    weight = np.ones(len(truth)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    return float(np.average(each, weights=weight @ truth if average == "weighted" else None))
