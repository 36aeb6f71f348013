"""The per-class report: precision, recall and F1 of each class, and their averages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ranvier.data.targets import as_weights
from ranvier.metrics.operands import Array, fraction
from ranvier.metrics.table import Row, Tabular

SCORES = ("precision", "recall", "f1")
ROUNDED = 1e-5  # sums of float32 probabilities may exceed [0, 1] by so much


class Report(Tabular):
    """Precision, recall, F1 and support of each class as arrays, their averages, accuracy and balanced accuracy.

    ``averages`` maps "macro" (the mean over classes that occur in targets or predictions), "weighted" (by support) and,
    for several labels a sample, "micro" (all counted together) to (precision, recall, F1). ``confusion`` has a row for
    each true class and a column for each predicted one. Accuracy, balanced accuracy and confusion are None for several
    labels a sample. The report prints as a table; ``to_dict()`` is plain Python.
    """

    def __init__(
        self, names: Sequence[str], found: Array, decided: Array, support: Array, confusion: Array | None = None
    ) -> None:
        self.names, self.support, self.confusion = tuple(names), support, confusion
        self.precision, self.recall = fraction(found, decided), fraction(found, support)
        self.f1 = fraction(2 * found, decided + support)
        total = support.sum()
        each = np.stack([getattr(self, name) for name in SCORES])
        seen = (support > 0) | (decided > 0)
        self.averages: dict[str, tuple[float, ...]] = {}
        if confusion is None:
            sums = np.array([found.sum(), decided.sum(), total])
            micro = (fraction(sums[0], sums[1]), fraction(sums[0], sums[2]), fraction(2 * sums[0], sums[1] + sums[2]))
            self.averages["micro"] = tuple(float(v) for v in micro)
        self.averages["macro"] = tuple(each[:, seen].mean(1).tolist() if seen.any() else (0.0,) * 3)
        self.averages["weighted"] = tuple((each @ fraction(support, total)).tolist())
        self.accuracy = None if confusion is None else float(fraction(found.sum(), total))
        there = support > 0
        self.balanced_accuracy = None if confusion is None else float(self.recall[there].mean())

    def to_dict(self) -> dict[str, Any]:
        """Classes and averages by name, each a dict of numbers; accuracy and balanced accuracy as numbers."""
        result: dict[str, Any] = {}
        for i, name in enumerate(self.names):
            result[name] = {score: float(getattr(self, score)[i]) for score in SCORES}
            result[name]["support"] = self.support[i].item()
        if self.accuracy is not None:
            result |= {"accuracy": self.accuracy, "balanced accuracy": self.balanced_accuracy}
        for average, values in self.averages.items():
            result[f"{average} average"] = dict(zip(SCORES, values, strict=True)) | {
                "support": self.support.sum().item()
            }
        return result

    def table(self) -> tuple[str, list[str], list[Row]]:
        rows: list[Row] = [
            [name, *(f"{getattr(self, score)[i]:.3f}" for score in SCORES), _count(self.support[i])]
            for i, name in enumerate(self.names)
        ]
        rows.append(None)
        whole = _count(self.support.sum())
        if self.accuracy is not None:
            rows.append(["accuracy", "", f"{self.accuracy:.3f}", "", whole])
            rows.append(["balanced accuracy", "", f"{self.balanced_accuracy:.3f}", "", whole])
        for average, values in self.averages.items():
            rows.append([f"{average} average", *(f"{value:.3f}" for value in values), whole])
        return "", ["class", "precision", "recall", "F1", "support"], rows


def report(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    names: Sequence[str] | None = None,
    *,
    threshold: float | None = None,
    sample_weight: ArrayLike | None = None,
) -> Report:
    """Precision, recall and F1 of a classifier for each class.

    ``y_true``: class numbers (n,), one-hot rows (n, classes), ones and zeros of several labels at once (n, labels), or
    names as strings. ``y_pred``: class numbers or names; scores (n, classes), whose largest is the prediction; or
    probabilities (n,), (n, 1) or (n, labels), which are compared with ``threshold`` (0.5). For logits write
    ``threshold=0``. ``names``: the names of the classes.

    Raises ValueError for targets and predictions that do not match, for NaN, for scores that are no probabilities
    without a ``threshold``, and for names that are not one for each class, or not distinct.
    """
    truth, decided, names = _predictions(np.asarray(y_true), np.asarray(y_pred), names, threshold)
    weight = np.ones(len(truth))
    if sample_weight is not None:
        weight = as_weights(sample_weight, len(truth), dtype=np.float64)
    if truth.ndim == 2:
        classes, confusion = truth.shape[1], None
        counts: Iterable[Array] = (weight @ v for v in (truth & decided, decided, truth))
    else:
        largest = int(max(truth.max(), decided.max())) + 1
        classes = max(largest, len(names or ()), 2)
        confusion = np.zeros((classes, classes))
        np.add.at(confusion, (truth, decided), weight)
        counts = (np.diag(confusion), confusion.sum(0), confusion.sum(1))
    if sample_weight is None:
        counts = (v.astype(np.int64) for v in counts)
        confusion = None if confusion is None else confusion.astype(np.int64)
    if names is not None and len(names) != classes:
        raise ValueError(f"there are {len(names)} names for {classes} classes. Write one for each instead.")
    called = [str(k) for k in range(classes)] if names is None else [str(name) for name in names]
    twice = [name for i, name in enumerate(called) if name in called[:i]]
    if twice:
        raise ValueError(f"two classes are called {twice[0]!r}. Write a name of its own for each instead.")
    found, chosen, support = counts
    return Report(called, found, chosen, support, confusion)


def _predictions(
    truth: Array, pred: Array, names: Sequence[str] | None, threshold: float | None
) -> tuple[Array, Array, Sequence[str] | None]:
    """Class numbers (n,) of both, or whether each label applies (n, labels); and the names."""
    if not len(truth) or len(truth) != len(pred):
        raise ValueError(
            f"y_true has {len(truth)} samples and y_pred {len(pred)}. Write at least one, and as many of each."
        )
    if pred.dtype.kind == "f" and np.isnan(pred).any():
        row = int(np.argwhere(np.isnan(pred))[0][0])
        raise ValueError(f"y_pred has NaN in row {row}, which decides nothing. Write numbers, or leave the row out.")
    truth, pred = (v[:, 0] if v.ndim == 2 and v.shape[1] == 1 else v for v in (truth, pred))
    if truth.dtype.kind in "OUS":
        return _by_name(truth, pred, names)
    if truth.ndim == 2:
        if truth.shape != pred.shape and pred.ndim == 2:
            raise ValueError(f"y_true has shape {truth.shape} and y_pred {pred.shape}. Write equal ones instead.")
        one = bool(np.isin(truth, (0, 1)).all() and (truth.sum(1) == 1).all())
        if not one and pred.ndim == 2:
            return truth > 0.5, _above(pred, threshold), names
        if not one:
            raise ValueError(
                f"y_true has rows of several labels, shape {truth.shape}, and y_pred one number a sample. Write scores "
                f"or decisions of shape {truth.shape}, or class numbers as y_true, instead."
            )
        truth = truth.argmax(1)
    if pred.ndim == 2:
        pred = pred.argmax(1)
    elif pred.dtype.kind == "f" and not np.array_equal(pred, np.trunc(pred)):
        pred = _above(pred, threshold)
    if truth.ndim != 1 or pred.ndim != 1:
        raise ValueError(
            f"y_true of {truth.ndim} and y_pred of {pred.ndim} dimensions: write class numbers (n,) or rows of scores."
        )
    for v, what in ((truth, "y_true"), (pred, "y_pred")):
        if not (v >= 0).all() or not np.array_equal(v, np.trunc(v)):
            raise ValueError(f"{what} holds {v[~(v >= 0) | (v != np.trunc(v))][0]}. Write class numbers from 0.")
    return truth.astype(np.int64), pred.astype(np.int64), names


def _above(scores: Array, threshold: float | None) -> Array:
    """Whether scores exceed the threshold; raises ValueError for scores that 0.5 does not separate."""
    beyond = ~((scores >= -ROUNDED) & (scores <= 1 + ROUNDED))
    if threshold is None and beyond.any():
        raise ValueError(
            f"y_pred holds {scores[beyond][0]:g}, which is no probability. Write threshold=0 for logits, or take a "
            "sigmoid of them, instead."
        )
    decided: Array = scores > (0.5 if threshold is None else threshold)
    return decided


def _by_name(truth: Array, pred: Array, names: Sequence[str] | None) -> tuple[Array, Array, Sequence[str]]:
    if pred.ndim == 2:
        raise ValueError(
            "y_true holds names and y_pred scores. Write names[y_pred.argmax(1)], or class numbers as y_true."
        )
    known, numbers = np.unique(np.concatenate([truth, pred]).astype(str), return_inverse=True)
    if names is not None:
        place = {str(name): i for i, name in enumerate(names)}
        absent = [str(k) for k in known if str(k) not in place]
        if absent:
            raise ValueError(f"the class {absent[0]!r} is not among the names. Write names with every class.")
        numbers = np.array([place[str(k)] for k in known])[numbers]
    return numbers[: len(truth)], numbers[len(truth) :], [*known] if names is None else names


def _count(value: Any) -> str:
    return f"{value:,}" if np.asarray(value).dtype.kind in "iu" else f"{value:,.1f}"
