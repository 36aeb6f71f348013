"""Decision thresholds tuned on validation data: 0.5 is the best cut for few metrics, and seldom for rare classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.metrics.base import share
from ranvier.metrics.exact import columns, ranked
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.errors import nearest

__all__ = ["METRICS", "Threshold", "tune_threshold"]

Array = npt.NDArray[Any]


def _f(beta: float) -> Callable[..., Array]:
    weight = beta * beta
    return lambda tp, fp, fn, tn: share((1 + weight) * tp, (1 + weight) * tp + weight * fn + fp)


def _matthews(tp: Array, fp: Array, fn: Array, tn: Array) -> Array:
    sides = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return np.where(sides > 0, (tp * tn - fp * fn) / np.sqrt(np.where(sides > 0, sides, 1)), 0.0)


METRICS: dict[str, Callable[..., Array]] = {  # of true and false positives, false and true negatives
    "f1": _f(1),
    "f2": _f(2),
    "f0.5": _f(0.5),
    "accuracy": lambda tp, fp, fn, tn: share(tp + tn, tp + fp + fn + tn),
    "balanced_accuracy": lambda tp, fp, fn, tn: (share(tp, tp + fn) + share(tn, tn + fp)) / 2,
    "matthews_correlation": _matthews,
}
OTHER_NAMES = {"f1_score": "f1", "mcc": "matthews_correlation"}


@dataclass(frozen=True)
class Threshold(CheckedConstructor):
    """A decision: yes where a score exceeds ``value``, which is one number, or one for each label (labels,).

    ``score`` is what ``metric`` had at it on the data it was tuned on: a little better than it will be on others.
    """

    value: Any
    score: Any
    metric: str

    def __call__(self, y_score: Any) -> npt.NDArray[np.int64]:
        """1 where the score exceeds the threshold, else 0, of the scores' shape.

        Raises ValueError for NaN, and for scores of as many labels as there are no thresholds for.
        """
        scores = np.asarray(y_score, np.float64)
        if not np.ndim(self.value) and scores.ndim == 2 and scores.shape[1] > 1:
            raise ValueError(
                f"there is one threshold, and the scores have shape {scores.shape}. Write scores[:, k] of the class "
                "that it was tuned for instead."
            )
        if np.ndim(self.value) and scores.shape[-1:] != np.shape(self.value):
            raise ValueError(
                f"there are thresholds for {len(self.value)} labels, and the scores have shape {scores.shape}. Write "
                f"scores of shape (samples, {len(self.value)}) instead."
            )
        if np.isnan(scores).any():
            row = int(np.argwhere(np.isnan(scores))[0][0])
            raise ValueError(
                f"the scores have NaN in row {row}, which decides nothing. Write numbers, or leave the row out."
            )
        decided: npt.NDArray[np.int64] = (scores > self.value).astype(np.int64)
        return decided

    def predict(self, model: Any, x: Any, **options: Any) -> npt.NDArray[np.int64]:
        """The decisions on what ``model.predict(x)`` gives; of an estimator, on its probabilities.

        Of the probabilities of two classes that add up to 1, one threshold decides on the second. So it does on what
        ``predict_proba`` gives; an estimator without it gives its ``decision_function``.
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
    """The threshold at which ``metric`` is highest on validation data.

    ``y_true``: 0 or 1, (n,) or (n, 1), with scores of as many; or (n, labels), of which each gets a threshold of its
    own. ``metric``: "f1", "f2", "f0.5", "accuracy", "balanced_accuracy", "matthews_correlation", for which every
    distinct score is tried; or a function ``metric(y_true, decided)`` (given ``sample_weight=`` where there are
    weights), for which at most ``candidates`` quantiles of the scores are tried. Of equally good thresholds the one
    with the most room around it is taken.

    Raises ValueError where a label has no positives or no negatives, and for classes that exclude each other.
    """
    name, of_counts = _named(metric)
    if np.ndim(y_score) == 2 and np.shape(y_score)[1] > 1 and np.ndim(y_true) == 1:
        raise ValueError(
            f"y_true are class numbers and y_score has {np.shape(y_score)[1]} classes, of which one is chosen: there "
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
                    f"y_true has no {what} sample{where}, so no threshold can be told from another. Write validation "
                    "data that has some instead."
                )
        # Beside the cut after each distinct score, the one above all of them: nothing is decided to be positive.
        tp, fp, cuts = np.append(0, tp), np.append(0, fp), np.append(np.inf, cuts.astype(np.float64))
        possible = len(cuts) - np.isneginf(cuts[-1])  # nothing is below -inf, so it never exceeds a threshold
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
    """The threshold and its value: in the middle between a score and the next lower one, where the gap is widest.

    A gap that ends in infinity counts as one of the mean width.
    """
    if not np.isfinite(values).all():
        raise ValueError("the metric is not finite at some threshold. Write one that is a number at each.")
    best = np.flatnonzero(values >= values.max() - 1e-12)
    finite = cuts[np.isfinite(cuts)]
    step = float(np.ptp(finite / len(finite))) or 1.0 if len(finite) else 1.0
    with np.errstate(invalid="ignore", over="ignore"):
        # Under the lowest score there is none.
        below = np.append(cuts[1:], min(cuts[-1] - step, np.nextafter(cuts[-1], -np.inf)))
        low, high = (
            np.where(np.isinf(below), cuts - step, below),
            np.where(np.isinf(cuts), below + step, cuts),
        )
        room = np.nan_to_num(high - low, posinf=np.inf)
        middle = low / 2 + high / 2
    winner = best[np.argmax(room[tried[best]])]
    chosen, score = tried[winner], float(values[winner])
    if chosen == 0:
        return float(cuts[1]), score  # nothing exceeds the highest score
    divides = below[chosen] <= middle[chosen] < cuts[chosen]
    # Between neighbours there is no middle; the lower one divides them, since what is above it exceeds it.
    return float((middle if divides else below)[chosen]), score


def _named(metric: Any) -> tuple[str, Callable[..., Array] | None]:
    if callable(metric):
        return getattr(metric, "__name__", "metric"), None
    name = OTHER_NAMES.get(metric, metric)
    if name not in METRICS:
        near = nearest(str(name), METRICS)
        raise ValueError(
            f"metric {metric!r} does not exist. Write {near!r}, or a function of (y_true, decided), instead."
        )
    return name, METRICS[name]
