"""Exact curves and areas from arrays; the metrics of training use fixed thresholds.

Names, arguments and meanings are scikit-learn's. ``y_true`` is 0 or 1 (or -1 and 1) with scores ``(n,)`` or ``(n, 1)``;
class numbers with scores ``(n, classes)``, each class against the rest; or ones and zeros of the scores' shape ``(n,
labels)``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ranvier.metrics.operands import Array


def _array(x: Any) -> Array:
    """``x`` in NumPy. Raises TypeError for a placeholder of a traced model."""
    try:
        return np.asarray(x)
    except RuntimeError as error:
        raise TypeError(
            "this function is exact, on arrays, and no metric of a training program. Write metrics=['roc_auc'] or "
            "metrics=['pr_auc'] in compile, and call the function with what predict returns, instead."
        ) from error


def ranked(
    y_true: ArrayLike, y_score: ArrayLike, sample_weight: ArrayLike | None = None, pos_label: Any = None
) -> tuple[Array, Array, Array]:
    """``(true positives, false positives, thresholds)`` for each distinct score as a threshold, highest first.

    A sample counts as positive if its score is at least the threshold. Raises ValueError for shapes that differ, NaN,
    targets other than 0 and 1 (or -1 and 1) without a ``pos_label``, and weights that are negative or not one for each
    sample.
    """
    truth, scores = _array(y_true).reshape(-1), _array(y_score).reshape(-1)
    if len(truth) != len(scores) or not len(truth):
        raise ValueError(
            f"y_true has {len(truth)} values and the scores {len(scores)}. Write one of each a sample instead."
        )
    if pos_label is not None:
        truth = truth == pos_label
    elif np.isin(truth, (-1, 1)).all():
        truth = truth == 1
    elif not np.isin(truth, (0, 1)).all():
        bad = int(np.flatnonzero(~np.isin(truth, (0, 1)))[0])
        raise ValueError(
            f"y_true has {truth[bad]} in row {bad}, where only 0 and 1 can be. Write y_true == k for class k, or "
            "pos_label=k, instead."
        )
    if scores.dtype.kind == "f" and np.isnan(scores).any():
        row = int(np.flatnonzero(np.isnan(scores))[0])
        raise ValueError(f"the score in row {row} is NaN. Write a number there, or leave the row out.")
    weight = np.ones(len(truth)) if sample_weight is None else np.asarray(sample_weight, np.float64).reshape(-1)
    if len(weight) != len(truth) or not (weight >= 0).all():
        raise ValueError(f"sample_weight must be {len(truth)} numbers of 0 or more. Write one a sample instead.")
    order = np.argsort(-scores.astype(np.float64), kind="stable")
    scores, truth, weight = scores[order], truth[order].astype(np.float64), weight[order]
    # The last sample of each score.
    last = np.append(np.flatnonzero(scores[1:] != scores[:-1]), len(scores) - 1)
    return np.cumsum(truth * weight)[last], np.cumsum((1 - truth) * weight)[last], scores[last]


def roc_curve(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    pos_label: Any = None,
    sample_weight: ArrayLike | None = None,
    drop_intermediate: bool = True,
) -> tuple[Array, Array, Array]:
    """``(false positive rates, true positive rates, thresholds)`` of binary targets, from (0, 0) to (1, 1).

    The first threshold is infinite: no sample is predicted positive. ``pos_label`` is the positive class, 1 if None.
    ``drop_intermediate`` leaves out points on the line between their neighbours. Raises ValueError if there are no
    positives, or no negatives.
    """
    tp, fp, thresholds = ranked(y_true, y_score, sample_weight, pos_label)
    for count, what in ((tp[-1], "positive"), (fp[-1], "negative")):
        if count <= 0:
            raise ValueError(f"y_true has no {what} sample, so there is no ROC curve. Write samples of both kinds.")
    if drop_intermediate and len(tp) > 2:
        corners = (np.diff(fp, 2) != 0) | (np.diff(tp, 2) != 0)
        tp, fp, thresholds = _with_ends(corners, tp, fp, thresholds)
    start = np.zeros(1)
    return (
        np.concatenate([start, fp / fp[-1]]),
        np.concatenate([start, tp / tp[-1]]),
        np.concatenate([[np.inf], thresholds]),
    )


def _with_ends(inner: Array, *arrays: Array) -> tuple[Array, ...]:
    """The first and the last element of each array, and the selected ones between."""
    rows = np.concatenate([[True], inner, [True]])
    return tuple(array[rows] for array in arrays)


def precision_recall_curve(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    pos_label: Any = None,
    sample_weight: ArrayLike | None = None,
    drop_intermediate: bool = False,
) -> tuple[Array, Array, Array]:
    """``(precisions, recalls, thresholds)`` of binary targets, by rising threshold, then the point (1, 0).

    See `roc_curve` for ``pos_label``; ``drop_intermediate`` leaves out points between others of the same recall. Raises
    ValueError if there are no positives.
    """
    tp, fp, thresholds = ranked(y_true, y_score, sample_weight, pos_label)
    if tp[-1] <= 0:
        raise ValueError("y_true has no positive sample, so there is no recall. Write samples of both kinds.")
    if drop_intermediate and len(tp) > 2:
        steps = np.diff(tp) != 0
        tp, fp, thresholds = _with_ends(steps[:-1] | steps[1:], tp, fp, thresholds)
    decided = tp + fp
    precision = np.where(decided > 0, tp / np.where(decided > 0, decided, 1), 0.0)
    return (np.append(precision[::-1], 1.0), np.append((tp / tp[-1])[::-1], 0.0), thresholds[::-1])


def roc_auc_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    average: str | None = "macro",
    sample_weight: ArrayLike | None = None,
    max_fpr: float | None = None,
    multi_class: str = "ovr",
    labels: ArrayLike | None = None,
) -> Any:
    """The area under the ROC curve: the probability that a positive ranks above a negative; ties count half.

    ``average`` of several classes or labels: their mean ("macro"), the mean weighted by the positives of each
    ("weighted"), all counted together ("micro"), the mean over samples ("samples", of labels), or one number each
    (None; NaN for a class with no positives or no negatives). ``max_fpr`` takes the area up to that rate of false
    positives, scaled to 0.5 to 1 (McClish, 1989). ``multi_class``: each class against the rest ("ovr"), or each pair of
    classes ("ovo"; Hand and Till, 2001). ``labels`` are the classes of the scores' columns, if they are not 0, 1, 2 ...
    """

    def area(truth: Array, score: Array, weight: Any) -> float:
        x, y, _ = roc_curve(truth, score, sample_weight=weight, drop_intermediate=False)
        return _area_up_to(x, y, max_fpr)

    if multi_class not in ("ovr", "ovo"):
        raise ValueError(
            f"multi_class={multi_class!r}: write 'ovr' (each class against the rest) or 'ovo' (each pair) instead."
        )
    if max_fpr is not None and not 0 < max_fpr <= 1:
        raise ValueError(f"max_fpr={max_fpr!r}: write a rate of false positives above 0, up to 1, instead.")
    truth, scores, numbered = _columns_of(y_true, y_score, labels)
    if numbered and max_fpr not in (None, 1):
        raise ValueError(
            f"max_fpr={max_fpr!r} of several classes has no meaning. Write y_true == k and the scores of class k "
            "instead."
        )
    if numbered and multi_class == "ovo":
        return _of_pairs(area, truth, scores, average, sample_weight)
    return _averaged(area, truth, scores, average, sample_weight)


def _area_up_to(x: Array, y: Array, most: float | None) -> float:
    """The area under a curve; up to ``most``, scaled so that the diagonal has 0.5 and the largest area 1."""
    if most is None or most == 1:
        return float(np.trapezoid(y, x))
    stop = int(np.searchsorted(x, most, "right"))
    last = np.interp(most, x[stop - 1 : stop + 1], y[stop - 1 : stop + 1])
    area = float(np.trapezoid(np.append(y[:stop], last), np.append(x[:stop], most)))
    least = most**2 / 2
    return 0.5 * (1 + (area - least) / (most - least))


def _of_pairs(
    area: Callable[[Array, Array, Any], float], truth: Array, scores: Array, average: str | None, sample_weight: Any
) -> float:
    """The mean over pairs of classes of the area of each class against the other."""
    if average not in ("macro", "weighted") or sample_weight is not None:
        raise ValueError(
            f"average={average!r}{'' if sample_weight is None else ' and sample_weight'} with multi_class='ovo': write "
            "average='macro' or 'weighted' without weights of samples, or multi_class='ovr', instead."
        )
    each, weights = [], []
    for a, b in combinations(range(truth.shape[1]), 2):
        rows = truth[:, a] | truth[:, b]
        try:
            pair = [area(truth[rows, k], scores[rows, k], None) for k in (a, b)]
        except ValueError as error:
            raise ValueError(f"classes {a} and {b}: {error}") from None
        each.append(sum(pair) / 2)
        weights.append(rows.mean())
    return float(np.average(each, weights=weights if average == "weighted" else None))


def average_precision_score(
    y_true: ArrayLike, y_score: ArrayLike, *, average: str | None = "macro", sample_weight: ArrayLike | None = None
) -> Any:
    """The area under the precision-recall curve as a sum of steps: precision times the recall gained at each score.

    See `roc_auc_score` for ``average``.
    """

    def area(truth: Array, score: Array, weight: Any) -> float:
        precision, recall, _ = precision_recall_curve(truth, score, sample_weight=weight)
        return float(-(np.diff(recall) * precision[:-1]).sum())

    return _averaged(area, *columns(y_true, y_score), average, sample_weight)


def columns(y_true: ArrayLike, y_score: ArrayLike) -> tuple[Array, Array]:
    """Truth and scores, both (n, labels); class numbers become one-hot rows."""
    return _columns_of(y_true, y_score, None)[:2]


def _numbers_by(labels: Any, truth: Array, classes: int) -> Array:
    """Class numbers from the classes of the scores' columns. Raises ValueError for a target of no column."""
    known = _array(labels).reshape(-1)
    if len(set(known.tolist())) != len(known) or len(known) != classes:
        raise ValueError(f"labels={labels!r}: write the {classes} classes of the scores' columns, each once, instead.")
    index = {label: k for k, label in enumerate(known.tolist())}
    strange = [label for label in truth.tolist() if label not in index]
    if strange:
        raise ValueError(f"y_true has {strange[0]!r}, which is none of labels={labels!r}. Write all classes there.")
    return np.array([index[label] for label in truth.tolist()])


def _columns_of(y_true: ArrayLike, y_score: ArrayLike, labels: Any) -> tuple[Array, Array, bool]:
    """Truth and scores as `columns` returns them, and whether the truth was class numbers, for several columns."""
    scores, truth = _array(y_score), _array(y_true)
    numbered = False
    if scores.ndim == 1:
        scores = scores[:, None]
    if truth.ndim == 2 and truth.shape[1] == 1 < scores.shape[-1]:
        truth = truth[:, 0]
    if labels is not None and truth.ndim == 1:
        truth = _numbers_by(labels, truth, max(2, scores.shape[-1]))
    if truth.ndim == 1 and scores.ndim == 2 and scores.shape[1] > 1 and len(truth) == len(scores):
        numbered = True
        if truth.size and not (truth.min() >= 0 and truth.max() < scores.shape[1]):
            raise ValueError(
                f"y_true has classes {truth.min()} to {truth.max()}, and there are scores for {scores.shape[1]}. Write "
                f"class numbers from 0 to {scores.shape[1] - 1}, or labels= with the classes of the columns, instead."
            )
        truth = truth[:, None] == np.arange(scores.shape[1])
    truth = truth[:, None] if truth.ndim == 1 else truth
    if truth.shape != scores.shape or scores.ndim != 2:
        raise ValueError(
            f"y_true has shape {np.shape(y_true)} and the scores {np.shape(y_score)}. Write one class number for each "
            "row of scores, or targets of their shape, instead."
        )
    return truth, scores, numbered


AVERAGES = ("macro", "weighted", "micro", "samples", None)


def _averaged(
    area: Callable[[Array, Array, Any], float], truth: Array, scores: Array, average: str | None, sample_weight: Any
) -> Any:
    if average not in AVERAGES:
        raise ValueError(f"average={average!r} does not exist. Write one of {', '.join(map(repr, AVERAGES))}.")
    if truth.shape[1] == 1:
        return area(truth, scores, sample_weight)
    if average == "micro":
        weight = None if sample_weight is None else np.repeat(np.asarray(sample_weight), truth.shape[1])
        return area(truth.reshape(-1), scores.reshape(-1), weight)
    each = []
    rows = average == "samples"
    for k, (true, score) in enumerate(zip(truth if rows else truth.T, scores if rows else scores.T, strict=True)):
        try:
            each.append(area(true, score, None if rows else sample_weight))
        except ValueError as error:
            if rows:
                raise ValueError(f"row {k}: {error} Or write another average.") from None
            if average is not None:
                raise ValueError(f"class {k}: {error} Or write average=None for one number each, NaN there.") from None
            each.append(np.nan)
    if average is None:
        return np.array(each)
    weight = np.ones(len(truth)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    by = {"weighted": weight @ truth, "samples": weight}.get(str(average))
    return float(np.average(each, weights=by))
