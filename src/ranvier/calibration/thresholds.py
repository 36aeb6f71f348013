"""Decision thresholds tuned on validation data. 0.5 is rarely the best, especially for rare classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.metrics.exact import columns, ranked
from ranvier.metrics.operands import fraction
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.errors import nearest

Array = npt.NDArray[Any]


def _f(beta: float) -> Callable[..., Array]:
    weight = beta * beta
    return lambda tp, fp, fn, tn: fraction((1 + weight) * tp, (1 + weight) * tp + weight * fn + fp)


def _matthews(tp: Array, fp: Array, fn: Array, tn: Array) -> Array:
    sides = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return np.where(sides > 0, (tp * tn - fp * fn) / np.sqrt(np.where(sides > 0, sides, 1)), 0.0)


METRICS: dict[str, Callable[..., Array]] = {  # from true positives, false positives, false negatives, true negatives
    "f1": _f(1),
    "f2": _f(2),
    "f0.5": _f(0.5),
    "accuracy": lambda tp, fp, fn, tn: fraction(tp + tn, tp + fp + fn + tn),
    "balanced_accuracy": lambda tp, fp, fn, tn: (fraction(tp, tp + fn) + fraction(tn, tn + fp)) / 2,
    "matthews_correlation": _matthews,
}
OTHER_NAMES = {"f1_score": "f1", "mcc": "matthews_correlation"}


@dataclass(frozen=True)
class Threshold(CheckedConstructor):
    """A decision rule: 1 where a score exceeds ``value``, which is one number, or one for each label (labels,).

    ``score`` is the metric on the data used for tuning, which is slightly optimistic.
    """

    value: Any
    score: Any
    metric: str

    def __call__(self, y_score: Any) -> npt.NDArray[np.int64]:
        """1 where the score exceeds the threshold, else 0, in the shape of the scores.

        Raises ValueError for NaN, and where the numbers of labels and thresholds differ.
        """
        scores = np.asarray(y_score, np.float64)
        if not np.ndim(self.value) and scores.ndim == 2 and scores.shape[1] > 1:
            raise ValueError(
                f"there is one threshold, and the scores have shape {scores.shape}. Write scores[:, k] of the class "
                "that it was tuned for instead."
            )
        if np.ndim(self.value) and scores.shape[-1:] != np.shape(self.value):
            labels = np.size(self.value)
            raise ValueError(
                f"there are thresholds for {labels} labels, and the scores have shape {scores.shape}. Write "
                f"scores of shape (samples, {labels}) instead."
            )
        if np.isnan(scores).any():
            row = int(np.argwhere(np.isnan(scores))[0][0])
            raise ValueError(
                f"the scores have NaN in row {row}, which gives no decision. Write numbers, or leave the row out."
            )
        return (scores > self.value).astype(np.int64)

    def predict(self, model: Any, x: Any, **options: Any) -> npt.NDArray[np.int64]:
        """The decisions for ``model.predict(x)``. Of an estimator ``predict_proba`` or ``decision_function`` is used.

        Where the scores are probabilities of two classes that add up to 1, the threshold applies to the second class.
        """
        known = (getattr(model, name, None) for name in ("predict_proba", "decision_function", "predict"))
        scores = np.asarray(next(scored for scored in known if scored is not None)(x, **options))
        two = not np.ndim(self.value) and scores.ndim == 2 and scores.shape[1] == 2
        if two and np.allclose(scores.sum(1), 1, atol=1e-3):
            scores = scores[:, 1]
        return self(scores)


def tune_threshold(
    y_true: Any,
    y_score: Any,
    metric: str | Callable[..., float] = "f1",
    *,
    sample_weight: Any = None,
    candidates: int = 200,
) -> Threshold:
    """Find the threshold with the highest ``metric`` on validation data.

    ``y_true`` are 0 and 1, (n,) or (n, 1), with as many scores; or (n, labels), where each label gets a threshold.
    ``metric`` is "f1", "f2", "f0.5", "accuracy", "balanced_accuracy" or "matthews_correlation", for which every
    distinct score is a candidate. It may also be a function ``metric(y_true, decided)`` (with ``sample_weight=`` where
    weights are given), for which at most ``candidates`` quantiles of the scores are tried. Among equally good
    thresholds the one in the widest gap between scores is returned.

    Raises ValueError where a label has no positives or no negatives, and for classes that exclude each other.
    """
    name, of_counts = _named(metric)
    if np.ndim(y_score) == 2 and np.shape(y_score)[1] > 1 and np.ndim(y_true) == 1:
        raise ValueError(
            f"y_true are class numbers and y_score has {np.shape(y_score)[1]} classes that exclude each other: there "
            "is no threshold to tune. Write y_true == k and y_score[:, k] for class k against the rest, instead."
        )
    truth, scores = columns(y_true, y_score)
    found = []
    for k in range(truth.shape[1]):
        where = f" of label {k}" if truth.shape[1] > 1 else ""
        tp, fp, cuts = ranked(truth[:, k], scores[:, k], sample_weight)
        for count, what in ((tp[-1], "positive"), (fp[-1], "negative")):
            if count <= 0:
                raise ValueError(
                    f"y_true has no {what} sample{where}, so all thresholds are equal. Write validation "
                    "data that has some instead."
                )
        # One cut after each distinct score, and one above all scores, where no sample is positive.
        tp, fp, cuts = np.append(0, tp), np.append(0, fp), np.append(np.inf, cuts.astype(np.float64))
        possible = len(cuts) - np.isneginf(cuts[-1])  # no threshold is below -inf
        if of_counts is not None:
            tried = np.arange(possible)
            values = of_counts(tp, fp, tp[-1] - tp, fp[-1] - fp)[tried]
        else:
            tried = np.unique(np.linspace(0, possible - 1, min(candidates, possible)).round().astype(int))
            weights = {} if sample_weight is None else {"sample_weight": sample_weight}
            decided = [((scores[:, k] >= cuts[i]) & (i > 0)).astype(np.int64) for i in tried]
            values = np.array([float(metric(truth[:, k], d, **weights)) for d in decided])  # type: ignore[operator]
        found.append(_best(values, tried, cuts))
    value, score = (np.array(v) for v in zip(*found, strict=True))
    if len(found) == 1:
        return Threshold(float(value[0]), float(score[0]), name)
    return Threshold(value, score, name)


def _best(values: Array, tried: Array, cuts: Array) -> tuple[float, float]:
    """The threshold in the middle of the widest gap among the best candidates, and its metric.

    A gap that ends in infinity counts as one of the mean width.
    """
    if not np.isfinite(values).all():
        raise ValueError("the metric is not finite at some threshold. Write one that is a number at each.")
    best = np.flatnonzero(values >= values.max() - 1e-12)
    finite = cuts[np.isfinite(cuts)]
    step = float(np.ptp(finite / len(finite))) or 1.0 if len(finite) else 1.0
    with np.errstate(invalid="ignore", over="ignore"):
        # Below the lowest score there is no other: a step is subtracted.
        below = np.append(cuts[1:], min(cuts[-1] - step, np.nextafter(cuts[-1], -np.inf)))
        low, high = (np.where(np.isinf(below), cuts - step, below), np.where(np.isinf(cuts), below + step, cuts))
        room = np.nan_to_num(high - low, posinf=np.inf)
        middle = low / 2 + high / 2
    winner = best[np.argmax(room[tried[best]])]
    chosen, score = tried[winner], float(values[winner])
    if chosen == 0:
        return float(cuts[1]), score  # no score exceeds the highest one
    divides = below[chosen] <= middle[chosen] < cuts[chosen]
    # Adjacent numbers have no middle: then the lower one divides them, since the higher one exceeds it.
    return float((middle if divides else below)[chosen]), score


def _named(metric: str | Callable[..., float]) -> tuple[str, Callable[..., Array] | None]:
    if callable(metric):
        return getattr(metric, "__name__", "metric"), None
    name = OTHER_NAMES.get(metric, metric)
    if name not in METRICS:
        near = nearest(str(name), METRICS)
        raise ValueError(
            f"metric {metric!r} does not exist. Write {near!r}, or a function of (y_true, decided), instead."
        )
    return name, METRICS[name]
