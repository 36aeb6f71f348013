"""Precision, recall, specificity, F scores, and the counts that they are computed from, by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from ranvier.graph.node import Node, constant
from ranvier.metrics import operands as op
from ranvier.metrics.base import Checked, StateType
from ranvier.metrics.operands import WIDE, Array
from ranvier.ops import arrays as rn
from ranvier.support.validation import whole

__all__ = [
    "F1Score", "FBetaScore", "FalseNegatives", "FalsePositives", "Precision", "Recall", "Specificity", "TrueNegatives",
    "TruePositives",
]  # fmt: skip

AVERAGES = ("auto", None, "micro", "macro", "weighted")


class _Counts(Checked):
    """True positives, false positives, false negatives and true negatives of each class, at each threshold.

    A state records whether the targets are class numbers, on which the meaning of the average "auto" depends.
    """

    ratio: ClassVar[Any]  # a function of the four counts

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DTypeLike | None = None,
        average: str | None = "auto",
    ) -> None:
        super().__init__(name, dtype)
        if average not in AVERAGES:
            raise ValueError(f"average={average!r} does not exist. Write one of {', '.join(map(repr, AVERAGES[1:]))}.")
        given: Any = thresholds
        self.thresholds: float | list[float] | None = None
        if given is not None:
            each = list(given) if isinstance(given, (list, tuple, np.ndarray)) else [given]
            if not all(isinstance(t, (int, float, np.number)) and 0 <= t <= 1 for t in each):
                raise ValueError(
                    f"{type(self).__name__} at {given!r}: a threshold is a probability. Write 0.5 instead."
                )
            self.thresholds = list(map(float, each)) if np.ndim(given) else float(given)
        self.average, self.class_id = average, class_id
        self.top_k = None if top_k is None else whole("top_k", top_k)

    def arranged(self, *batch: Any) -> tuple[Any, ...]:
        """With ``top_k`` one-dimensional arrays are the outputs of one sample, as in Keras."""
        if self.top_k is None or np.ndim(batch[1]) != 1:
            return batch
        return tuple(None if part is None else np.asarray(part)[None] for part in batch)

    def states(self, output_shape: Sequence[int]) -> list[StateType]:
        classes = op.classes_of(output_shape)
        if self.class_id is not None and not -classes <= self.class_id < classes:
            raise ValueError(f"class_id={self.class_id} of {classes} outputs. Write a class from 0 to {classes - 1}.")
        number = len(self.thresholds) if isinstance(self.thresholds, list) else 1
        return [*[((op.classes_of(output_shape),), WIDE)] * (4 * number), ((), "int32"), ((), WIDE)]

    def decide(self, y_true: Node, y_pred: Node) -> tuple[Node, list[Node]]:
        """True and predicted classes at each threshold: (samples, ..., classes), as ones and zeros."""
        pred, classes = op.as_columns(op.as_float(y_pred)), op.classes_of(y_pred.shape[1:])
        truth = op.as_columns(op.targets_like(y_true, y_pred, pred.dtype))
        if self.by_largest(op.is_labels(y_true, y_pred), classes):
            return truth, [rn.one_hot(rn.argmax(pred, -1), classes, pred.dtype)]
        given = self.thresholds
        if self.top_k is not None:
            largest = self.largest(pred, classes)
            if given is None:
                return truth, [largest]
            pred = rn.where(rn.greater(largest, 0.0), pred, -np.inf)
        levels = given if isinstance(given, list) else [self._level if given is None else float(given)]
        return truth, [rn.cast(rn.greater(pred, level), truth.dtype) for level in levels]

    def largest(self, pred: Node, classes: int) -> Node:
        """1 at the ``top_k`` largest outputs of each row (the first of equal ones), 0 at the others."""
        assert self.top_k is not None
        if self.top_k > classes:
            raise ValueError(f"top_k={self.top_k} of {classes} outputs. Write {classes} or fewer instead.")
        found, left = rn.zeros_like(pred), pred
        for _ in range(self.top_k):
            one = rn.one_hot(rn.argmax(left, -1), classes, pred.dtype)
            found, left = rn.add(found, one), rn.where(rn.greater(one, 0.0), -np.inf, left)
        return found

    def by_largest(self, labels: bool, classes: int) -> bool:
        """Whether the prediction is the class of the largest output, and not all outputs above a threshold."""
        return labels and classes > 1 and self.thresholds is None and self.top_k is None

    def update(self, states: Sequence[Node], y_true: Node, y_pred: Node, weight: Node | None) -> list[Node]:
        truth, decisions = self.decide(y_true, y_pred)
        spread = op.broadcast_weight(weight, truth)
        parts: list[Node] = []
        for decided in decisions:
            hit = truth * decided
            parts += [hit, decided - hit, truth - hit, rn.subtract(1.0, truth + decided - hit)]
        sums = [op.over_samples(p if spread is None else p * spread) for p in parts]
        labels = constant(op.is_labels(y_true, y_pred), "int32")
        wrong = constant(0, WIDE) if op.is_labels(y_true, y_pred) else op.count_outside(truth, weight)
        return [*(s + x for s, x in zip(states, sums, strict=False)), labels, states[-1] + wrong]

    def read(self, arrays: Sequence[Array]) -> Any:
        *counts, labels = arrays
        each = [self._one(counts[i : i + 4], bool(labels)) for i in range(0, len(counts), 4)]
        return each[0] if len(each) == 1 else np.array(each)

    def _one(self, arrays: Sequence[Array], labels: bool) -> Any:
        """The result at one threshold."""
        if self.class_id is not None:
            return float(self.ratio(*(a[self.class_id] for a in arrays)))
        average = self.average
        if average == "auto":
            average = "macro" if labels else "micro"
        if average == "micro" or len(arrays[0]) == 1:
            one = np.asarray(self.ratio(*(a.sum() for a in arrays)))
            return one.reshape(1) if average is None else float(one)
        each = self.ratio(*arrays)
        if average is None:
            return each
        if average == "macro":
            return float(each.mean())
        support = arrays[0] + arrays[2]
        return float((each * support).sum() / support.sum()) if support.any() else 0.0


class Precision(_Counts):
    """The fraction of predictions of a class that are correct.

    With class numbers as targets the predicted class is that of the largest output, and ``average`` is over classes:
    None (one number for each class), "macro" (the default), "micro", "weighted". With targets of the outputs' shape,
    each output above ``thresholds`` (0.5) is a prediction, and all are counted together, as in Keras; a list of
    thresholds gives one number each. With ``top_k`` the ``top_k`` largest outputs of a row are predictions, or those of
    them above ``thresholds``. ``class_id`` selects one class.
    """

    ratio = staticmethod(lambda tp, fp, fn, tn: op.fraction(tp, tp + fp))


class Recall(_Counts):
    """The fraction of the samples of a class that are predicted as it. The arguments are those of `Precision`."""

    ratio = staticmethod(lambda tp, fp, fn, tn: op.fraction(tp, tp + fn))


class Specificity(_Counts):
    """The fraction of the samples of other classes that are not predicted as it. See `Precision` for the arguments."""

    ratio = staticmethod(lambda tp, fp, fn, tn: op.fraction(tn, tn + fp))


class FBetaScore(_Counts):
    """The weighted harmonic mean of precision and recall; recall counts ``beta`` times as much as precision.

    It is one number for each class (``average=None``), or averaged over classes. The predicted class is that of the
    largest output, unless a ``threshold`` is given. A single output is compared with 0.5; Keras takes its largest
    output too, and so predicts yes for every sample.
    """

    default_name = "fbeta_score"
    fixed = frozenset(("thresholds", "class_id", "top_k"))

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(threshold, name=name, dtype=dtype, average=average)
        given: Any = beta
        if not isinstance(given, (int, float)) or not given > 0:
            raise ValueError(f"beta={beta!r}: write a number above 0, such as 2.0 where recall counts more.")
        self.beta, self.threshold = beta, threshold

    def by_largest(self, labels: bool, classes: int) -> bool:
        return classes > 1 and self.thresholds is None

    def ratio(self, tp: Any, fp: Any, fn: Any, tn: Any) -> Any:
        weight = self.beta**2
        return op.fraction((1 + weight) * tp, (1 + weight) * tp + weight * fn + fp)


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall; predictions and other arguments are those of `FBetaScore`."""

    default_name = "f1_score"
    fixed = FBetaScore.fixed | {"beta"}

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)


class _Number(_Counts):
    """The number of predictions of one of the four kinds, of all classes together."""

    which: ClassVar[int]
    fixed = frozenset(("average", "class_id", "top_k"))

    def __init__(
        self, thresholds: float | Sequence[float] | None = None, name: str | None = None, dtype: DTypeLike | None = None
    ) -> None:
        super().__init__(thresholds, name=name, dtype=dtype)

    def read(self, arrays: Sequence[Array]) -> Any:
        totals = np.array([a.sum() for a in arrays[self.which : -1 : 4]])
        return float(totals[0]) if len(totals) == 1 else totals


def _number_of(name: str, which: int, what: str) -> type[_Number]:
    doc = f"The number (or weight) of {what} predictions; see `Precision`."
    return type(name, (_Number,), {"__doc__": doc, "__module__": __name__, "which": which})


TruePositives = _number_of("TruePositives", 0, "correct positive")
FalsePositives = _number_of("FalsePositives", 1, "wrong positive")
FalseNegatives = _number_of("FalseNegatives", 2, "wrong negative")
TrueNegatives = _number_of("TrueNegatives", 3, "correct negative")
