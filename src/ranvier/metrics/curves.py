"""What is read off counts at many thresholds: areas under curves, best rates under a condition, calibration error.

Thresholds are fixed before training, so that what is collected has a fixed size; exact values of scores that are at
hand come from `exact`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ranvier.graph.node import Node, apply, constant, full
from ranvier.metrics.base import (
    WIDE,
    Array,
    Checked,
    Metric,
    StateType,
    as_rows,
    classes_of,
    contracted,
    floats,
    is_labels,
    outside,
    over,
    share,
)
from ranvier.ops import arrays as rn
from ranvier.ops.functional import softmax

__all__ = [
    "AUC", "ExpectedCalibrationError", "PrecisionAtRecall", "RecallAtPrecision", "SensitivityAtSpecificity",
    "SpecificityAtSensitivity",
]  # fmt: skip

BELOW, ABOVE = -1e-7, 1 + 1e-7  # thresholds that all probabilities exceed, and none


def evenly(n: int) -> list[float]:
    """``n`` thresholds over 0..1, the first below and the last above."""
    return [BELOW, *(np.arange(1, n - 1) / (n - 1)).tolist(), ABOVE]


def sums_above(lines: Sequence[float], scores: Node, values: Sequence[Node], keep_last: bool) -> list[Node]:
    """For each threshold the sum of the values whose score exceeds it: (thresholds,), or (thresholds, outputs)."""
    shape, axes = (*scores.shape, len(lines)), tuple(range(scores.ndim))
    wide = apply("broadcast", constant(lines, scores.dtype), shape=shape, axes=(scores.ndim,))
    above = rn.cast(rn.greater(apply("broadcast", scores, shape=shape, axes=axes), wide), scores.dtype)
    equation = "...k,...kt->tk" if keep_last else "...,...t->t"
    return [contracted(equation, v, above) for v in values]


def probabilities(y_pred: Node, from_logits: bool, exclusive: bool) -> Node:
    """Outputs as probabilities: of logits of several classes that exclude each other a softmax, else a sigmoid each."""
    y_pred = floats(y_pred)
    if not from_logits:
        return y_pred
    return softmax(y_pred) if exclusive and classes_of(y_pred.shape[1:]) > 1 else rn.sigmoid(y_pred)


class _Curve(Checked):
    """True and false positives at each threshold, and how many samples are positive and negative."""

    multi_label = False
    label_weights: Sequence[float] | None = None
    class_id: int | None = None
    from_logits = False
    _exclusive = False

    def for_logits(self, exclusive: bool = False) -> Metric:
        self.from_logits, self._exclusive = True, exclusive
        return self

    def states(self, output_shape: Sequence[int]) -> list[StateType]:
        rest = (classes_of(output_shape),) if self.multi_label else ()
        return [*[((len(self._lines()), *rest), WIDE)] * 2, *[(rest, WIDE)] * 2, ((), WIDE)]

    def _lines(self) -> list[float]:
        """The scores at which a subclass counts its curve."""
        raise NotImplementedError

    def _chosen(self, scores: Node) -> Node:
        """1 at the class that is looked at and 0 at the others."""
        classes = classes_of(scores.shape[1:])
        if not isinstance(self.class_id, int) or not 0 <= self.class_id < classes:
            raise ValueError(
                f"class_id={self.class_id!r} of {classes} classes. Write 0 to {classes - 1} instead."
            )
        return constant(np.arange(classes) == self.class_id, scores.dtype)

    def update(self, states: Sequence[Node], y_true: Node, y_pred: Node, weight: Node | None) -> list[Node]:
        # As Keras's buckets do: a score beyond all thresholds is as good as the last.
        scores = rn.clip(probabilities(y_pred, self.from_logits, self._exclusive), 0.0, 1.0)
        truth = rn.one_hot(y_true, scores.shape[-1], scores.dtype) if is_labels(y_true, scores) else y_true
        truth = rn.cast(truth, scores.dtype)
        wrong = outside(truth, weight)
        if self.class_id is not None:
            scores, truth = (rn.sum(rn.multiply(v, self._chosen(scores)), -1) for v in (scores, truth))
        if self.multi_label:
            scores, truth = as_rows(scores), as_rows(truth)
        spread = over(weight, scores)
        sides = [v if spread is None else v * spread for v in (truth, rn.subtract(1.0, truth))]
        if self.label_weights is not None and not self.multi_label:
            sides = [rn.multiply(v, constant(self.label_weights, scores.dtype)) for v in sides]
        hits = sums_above(self._lines(), scores, sides, self.multi_label)
        kept = scores.ndim - 1 if self.multi_label else scores.ndim
        wholes = [rn.cast(rn.sum(side, tuple(range(kept))), WIDE) for side in sides]
        return [s + x for s, x in zip(states, (*hits, *wholes, wrong), strict=True)]


CURVES = ("ROC", "PR")
SUMMATIONS: dict[str, Callable[[Array, Array], Array]] = {  # the height of a strip between two thresholds
    "interpolation": lambda a, b: (a + b) / 2,
    "minoring": np.minimum,
    "majoring": np.maximum,
}


class AUC(_Curve):
    """The area under the ROC curve (``curve="ROC"``) or the precision-recall curve (``"PR"``), as Keras estimates it.

    From ``num_thresholds`` thresholds evenly over 0..1, or from those given. ``summation_method`` "interpolation" adds
    trapezoids (PR: Davis and Goadrich, 2006), "minoring" and "majoring" the lower and upper sums. Several outputs are
    counted together, class numbers against each output; with ``multi_label`` each has a curve of its own, and the mean
    of their areas is taken (``num_labels`` says how many there must be), weighted by ``label_weights`` (which else
    weigh what is counted of each output). Scores below 0 count as 0 and those above 1 as 1. ``from_logits`` applies a
    sigmoid to each output first; by its name, in ``compile`` with a loss of logits of classes that exclude each other,
    it applies their softmax. `roc_auc_score` and `average_precision_score` are exact, on arrays.
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name, dtype)
        if curve not in CURVES or summation_method not in SUMMATIONS or num_thresholds < 2:
            raise ValueError(
                f"curve={curve!r}, summation_method={summation_method!r}, num_thresholds={num_thresholds}: write 'ROC' "
                "or 'PR', 'interpolation', 'minoring' or 'majoring', and 2 or more."
            )
        given = None if thresholds is None else sorted(float(t) for t in thresholds)
        if given is not None and not all(0 <= t <= 1 for t in given):
            raise ValueError(f"thresholds={thresholds!r}: write probabilities, from 0 to 1, instead.")
        self.num_thresholds = num_thresholds if given is None else len(given) + 2
        self.curve, self.summation_method, self.thresholds = curve, summation_method, given
        self.multi_label, self.num_labels, self.from_logits = multi_label, num_labels, from_logits
        self.label_weights = None if label_weights is None else [float(w) for w in label_weights]

    def states(self, output_shape: Sequence[int]) -> list[StateType]:
        classes = classes_of(output_shape)
        if self.multi_label and self.num_labels not in (None, classes):
            raise ValueError(f"num_labels={self.num_labels} of {classes} outputs. Write {classes} instead.")
        return super().states(output_shape)

    def _lines(self) -> list[float]:
        return evenly(self.num_thresholds) if self.thresholds is None else [BELOW, *self.thresholds, ABOVE]

    def read(self, arrays: Sequence[Array]) -> float:
        tp, fp, positives, negatives = arrays
        recall, decided = share(tp, positives), tp + fp
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = _interpolated(tp, decided, positives)
        else:
            x, y = (share(fp, negatives), recall) if self.curve == "ROC" else (recall, share(tp, decided))
            areas = ((x[:-1] - x[1:]) * SUMMATIONS[self.summation_method](y[:-1], y[1:])).sum(0)
        return float(np.average(areas, weights=self.label_weights if self.multi_label else None))


def _interpolated(tp: Array, decided: Array, positives: Array) -> Array:
    """The area under precision over recall, true positives growing linearly between two thresholds."""
    gained = tp[:-1] - tp[1:]
    slope = share(gained, decided[:-1] - decided[1:])
    start = tp[1:] - slope * decided[1:]
    both = (decided[:-1] > 0) & (decided[1:] > 0)
    grown = np.log(np.where(both, decided[:-1] / np.where(both, decided[1:], 1), 1))
    return share(slope * (gained + start * grown), positives).sum(0)


RATES = {  # of true positives, false positives, positives and negatives
    "sensitivity": lambda tp, fp, p, n: share(tp, p),
    "recall": lambda tp, fp, p, n: share(tp, p),
    "specificity": lambda tp, fp, p, n: share(n - fp, n),
    "precision": lambda tp, fp, p, n: share(tp, tp + fp),
}


class _BestAt(_Curve):
    """The highest ``wanted`` rate among the thresholds whose ``bounded`` rate is at least a given one.

    Of several outputs all are counted together, or ``class_id`` alone.
    """

    wanted: ClassVar[str]
    bounded: ClassVar[str]

    def __init__(
        self, bound: float, num_thresholds: int, class_id: int | None, name: str | None, dtype: Any
    ) -> None:
        super().__init__(name, dtype)
        if not 0 <= bound <= 1 or num_thresholds < 2:
            raise ValueError(
                f"{self.bounded}={bound!r}, num_thresholds={num_thresholds}: write a share from 0 to 1, and 2 or more."
            )
        self.num_thresholds, self.class_id = num_thresholds, class_id
        setattr(self, self.bounded, bound)

    def _lines(self) -> list[float]:
        return evenly(self.num_thresholds)

    def read(self, arrays: Sequence[Array]) -> float:
        wanted, bounded = (RATES[name](*arrays) for name in (self.wanted, self.bounded))
        return float(wanted[bounded >= getattr(self, self.bounded)].max(initial=0.0))


class SensitivityAtSpecificity(_BestAt):
    """The highest sensitivity at any threshold whose specificity is at least ``specificity``; 0 where none is."""

    wanted, bounded = "sensitivity", "specificity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)


class SpecificityAtSensitivity(_BestAt):
    """The highest specificity at any threshold whose sensitivity is at least ``sensitivity``; 0 where none is."""

    wanted, bounded = "specificity", "sensitivity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)


class PrecisionAtRecall(_BestAt):
    """The highest precision at any threshold whose recall is at least ``recall``; 0 where none is."""

    wanted, bounded = "precision", "recall"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)


class RecallAtPrecision(_BestAt):
    """The highest recall at any threshold whose precision is at least ``precision``; 0 where none is."""

    wanted, bounded = "recall", "precision"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)


NORMS = {  # of the gaps between confidence and accuracy, and the shares of samples, bin by bin
    "l1": lambda gaps, shares: (gaps * shares).sum(),
    "l2": lambda gaps, shares: np.sqrt((gaps**2 * shares).sum()),
    "max": lambda gaps, shares: gaps.max(initial=0.0, where=shares > 0),
}


class ExpectedCalibrationError(Metric):
    """How far confidence is from accuracy, over ``bins`` bins of equal width (Guo, Pleiss, Sun, Weinberger, 2017).

    Confidence is the largest probability, and accuracy the share of samples whose class it is; of a single output,
    the probability of yes and the share of yes. ``norm`` "l1" weighs the gaps by the samples in each bin, "l2" is the
    root of their weighted squares, "max" the largest gap. ``from_logits`` applies a softmax (or sigmoid) first.
    """

    def __init__(
        self,
        bins: int = 15,
        norm: str = "l1",
        from_logits: bool = False,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)
        if norm not in NORMS or bins < 1:
            raise ValueError(f"bins={bins!r}, norm={norm!r}: write 1 or more, and 'l1', 'l2' or 'max'.")
        self.bins, self.norm, self.from_logits = bins, norm, from_logits

    def for_logits(self, exclusive: bool = False) -> Metric:
        self.from_logits = True
        return self

    def states(self, output_shape: Sequence[int]) -> list[StateType]:
        return [((self.bins,), WIDE)] * 3

    def update(self, states: Sequence[Node], y_true: Node, y_pred: Node, weight: Node | None) -> list[Node]:
        if classes_of(y_pred.shape[1:]) == 1:
            confidence, right = probabilities(y_pred, self.from_logits, False), y_true
        else:
            truth = y_true if is_labels(y_true, y_pred) else rn.argmax(y_true, -1)
            right = rn.cast(rn.equal(truth, rn.argmax(y_pred, -1)), y_pred.dtype)
            confidence = rn.max(softmax(y_pred) if self.from_logits else y_pred, -1)
        spread = over(weight, confidence)
        counted = full(1, confidence.shape, confidence.dtype) if spread is None else spread
        lines = [BELOW, *(np.arange(1, self.bins) / self.bins).tolist()]
        sums = sums_above(lines, confidence, [counted, right * counted, confidence * counted], False)
        return [s + x for s, x in zip(states, sums, strict=True)]

    def read(self, arrays: Sequence[Array]) -> float:
        count, right, confidence = (-np.diff(a, append=0.0) for a in arrays)
        total = count.sum()
        return float(NORMS[self.norm](abs(share(right - confidence, count)), share(count, total)))
