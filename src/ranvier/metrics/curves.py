"""Scores from counts at many thresholds: areas under curves, best rates under a condition, calibration error.

Thresholds are fixed before training, so that the states have a fixed size. `exact` computes exact values from arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from ranvier.graph.node import Node, apply, constant, full
from ranvier.metrics import operands as op
from ranvier.metrics.base import Checked, Metric, StateType
from ranvier.metrics.operands import WIDE, Array
from ranvier.ops import arrays as rn
from ranvier.ops.functional import softmax
from ranvier.support.function_classes import class_of, option, options_of

__all__ = [
    "AUC", "ExpectedCalibrationError", "PrecisionAtRecall", "RecallAtPrecision", "SensitivityAtSpecificity",
    "SpecificityAtSensitivity",
]  # fmt: skip

BELOW, ABOVE = -1e-7, 1 + 1e-7  # thresholds that all probabilities exceed, and none


def even_thresholds(n: int) -> list[float]:
    """``n`` evenly spaced thresholds over [0, 1], the first below and the last above."""
    return [BELOW, *(np.arange(1, n - 1) / (n - 1)).tolist(), ABOVE]


def sums_above(lines: Sequence[float], scores: Node, values: Sequence[Node], keep_last: bool) -> list[Node]:
    """For each threshold the sum of values whose score exceeds it: (thresholds,), or (thresholds, outputs)."""
    shape, axes = (*scores.shape, len(lines)), tuple(range(scores.ndim))
    wide = apply("broadcast", constant(lines, scores.dtype), shape=shape, axes=(scores.ndim,))
    above = rn.cast(rn.greater(apply("broadcast", scores, shape=shape, axes=axes), wide), scores.dtype)
    equation = "...k,...kt->tk" if keep_last else "...,...t->t"
    return [op.contracted(equation, v, above) for v in values]


def probabilities(y_pred: Node, from_logits: bool, exclusive: bool) -> Node:
    """Outputs as probabilities: a softmax of logits of mutually exclusive classes, else a sigmoid of each."""
    y_pred = op.as_float(y_pred)
    if not from_logits:
        return y_pred
    return softmax(y_pred) if exclusive and op.classes_of(y_pred.shape[1:]) > 1 else rn.sigmoid(y_pred)


class _Curve(Checked):
    """True and false positives at each threshold, and the numbers of positive and negative samples."""

    multi_label = False
    label_weights: Sequence[float] | None = None
    class_id: int | None = None
    from_logits = False
    _exclusive = False

    def for_logits(self, exclusive: bool = False) -> Metric:
        self.from_logits, self._exclusive = True, exclusive
        return self

    def states(self, output_shape: Sequence[int]) -> list[StateType]:
        rest = (op.classes_of(output_shape),) if self.multi_label else ()
        return [*[((len(self._cutoffs()), *rest), WIDE)] * 2, *[(rest, WIDE)] * 2, ((), WIDE)]

    def _cutoffs(self) -> list[float]:
        """The thresholds at which the curve is computed: each curve has its own."""
        raise NotImplementedError

    def update(self, states: Sequence[Node], y_true: Node, y_pred: Node, weight: Node | None) -> list[Node]:
        # As in Keras's buckets, scores beyond all thresholds count as the last one.
        scores = rn.clip(probabilities(y_pred, self.from_logits, self._exclusive), 0.0, 1.0)
        truth = op.targets_like(y_true, scores, scores.dtype)
        wrong = op.count_outside(truth, weight)
        class_id: Any = self.class_id
        if class_id is not None:
            classes = op.classes_of(scores.shape[1:])
            if not isinstance(class_id, int) or not 0 <= class_id < classes:
                raise ValueError(f"class_id={class_id!r} of {classes} classes. Write 0 to {classes - 1} instead.")
            chosen = constant(np.arange(classes) == class_id, scores.dtype)
            scores, truth = (rn.sum(rn.multiply(v, chosen), -1) for v in (scores, truth))
        if self.multi_label:
            scores, truth = op.as_columns(scores), op.as_columns(truth)
        spread = op.broadcast_weight(weight, scores)
        sides = [v if spread is None else v * spread for v in (truth, rn.subtract(1.0, truth))]
        if self.label_weights is not None and not self.multi_label:
            sides = [rn.multiply(v, constant(self.label_weights, scores.dtype)) for v in sides]
        hits = sums_above(self._cutoffs(), scores, sides, self.multi_label)
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

    It uses ``num_thresholds`` evenly spaced thresholds over [0, 1], or the given ones. ``summation_method``
    "interpolation" adds trapezoids (PR: Davis and Goadrich, 2006), "minoring" and "majoring" the lower and upper sums.
    Several outputs are counted together; class numbers become one-hot rows. With ``multi_label`` each output has its
    own curve, and the result is the mean of the areas, weighted by ``label_weights``; ``num_labels`` is the required
    number of outputs. Without ``multi_label``, ``label_weights`` weigh the counts of each output. Scores below 0 count
    as 0 and those above 1 as 1. ``from_logits`` applies a sigmoid to each output. Named in ``compile`` beside a loss of
    logits of mutually exclusive classes, the metric applies their softmax. `roc_auc_score` and
    `average_precision_score` compute exact areas from arrays.
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: DTypeLike | None = None,
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
        classes = op.classes_of(output_shape)
        if self.multi_label and self.num_labels not in (None, classes):
            raise ValueError(f"num_labels={self.num_labels} of {classes} outputs. Write {classes} instead.")
        return super().states(output_shape)

    def _cutoffs(self) -> list[float]:
        return even_thresholds(self.num_thresholds) if self.thresholds is None else [BELOW, *self.thresholds, ABOVE]

    def read(self, arrays: Sequence[Array]) -> float:
        tp, fp, positives, negatives = arrays
        recall, decided = op.fraction(tp, positives), tp + fp
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = _interpolated(tp, decided, positives)
        else:
            x, y = (op.fraction(fp, negatives), recall) if self.curve == "ROC" else (recall, op.fraction(tp, decided))
            areas = ((x[:-1] - x[1:]) * SUMMATIONS[self.summation_method](y[:-1], y[1:])).sum(0)
        return float(np.average(areas, weights=self.label_weights if self.multi_label else None))


def _interpolated(tp: Array, decided: Array, positives: Array) -> Array:
    """The area under precision over recall, with true positives interpolated linearly between thresholds."""
    gained = tp[:-1] - tp[1:]
    slope = op.fraction(gained, decided[:-1] - decided[1:])
    start = tp[1:] - slope * decided[1:]
    both = (decided[:-1] > 0) & (decided[1:] > 0)
    grown = np.log(np.where(both, decided[:-1] / np.where(both, decided[1:], 1), 1))
    return op.fraction(slope * (gained + start * grown), positives).sum(0)


RATES = {  # of true positives, false positives, positives and negatives
    "sensitivity": lambda tp, fp, p, n: op.fraction(tp, p),
    "recall": lambda tp, fp, p, n: op.fraction(tp, p),
    "specificity": lambda tp, fp, p, n: op.fraction(n - fp, n),
    "precision": lambda tp, fp, p, n: op.fraction(tp, tp + fp),
}


class _BestAt(_Curve):
    """The highest ``wanted`` rate at any threshold whose ``bounded`` rate is at least the given bound.

    Several outputs are counted together, or ``class_id`` alone.
    """

    wanted: ClassVar[str]
    bounded: ClassVar[str]

    def __init__(
        self,
        *,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DTypeLike | None = None,
        **bound: float,
    ) -> None:
        super().__init__(name, dtype)
        least = bound[self.bounded]
        if not 0 <= least <= 1 or num_thresholds < 2:
            raise ValueError(
                f"{self.bounded}={least!r}, num_thresholds={num_thresholds}: write a number from 0 to 1, and 2 or more."
            )
        self.num_thresholds, self.class_id = num_thresholds, class_id
        setattr(self, self.bounded, least)

    def _cutoffs(self) -> list[float]:
        return even_thresholds(self.num_thresholds)

    def read(self, arrays: Sequence[Array]) -> float:
        wanted, bounded = (RATES[name](*arrays) for name in (self.wanted, self.bounded))
        return float(wanted[bounded >= getattr(self, self.bounded)].max(initial=0.0))


def _best_at(name: str, wanted: str, bounded: str) -> type[_BestAt]:
    """The class of this name, whose first argument is the least ``bounded`` rate."""
    *shared, _ = options_of(_BestAt.__init__, 1).values()
    doc = f"The highest {wanted} at any threshold whose {bounded} is at least ``{bounded}``; 0 if there is none."
    options = [option(bounded, Parameter.empty, "float"), *shared]
    return class_of(_BestAt, name, options, __doc__=doc, __module__=__name__, wanted=wanted, bounded=bounded)


SensitivityAtSpecificity = _best_at("SensitivityAtSpecificity", "sensitivity", "specificity")
SpecificityAtSensitivity = _best_at("SpecificityAtSensitivity", "specificity", "sensitivity")
PrecisionAtRecall = _best_at("PrecisionAtRecall", "precision", "recall")
RecallAtPrecision = _best_at("RecallAtPrecision", "recall", "precision")

NORMS = {  # of the gaps between confidence and accuracy, and the fractions of samples, by bin
    "l1": lambda gaps, weights: (gaps * weights).sum(),
    "l2": lambda gaps, weights: np.sqrt((gaps**2 * weights).sum()),
    "max": lambda gaps, weights: gaps.max(initial=0.0, where=weights > 0),
}


class ExpectedCalibrationError(Metric):
    """The gap between confidence and accuracy, over ``bins`` bins of equal width (Guo, Pleiss, Sun, Weinberger, 2017).

    Confidence is the largest probability, and accuracy the fraction of samples whose class it is. For a single output
    they are the probability of yes and the fraction of yes. ``norm`` "l1" is the mean gap weighted by the samples in
    each bin, "l2" the root of the weighted mean square, "max" the largest gap. ``from_logits`` applies a softmax (or
    sigmoid) first.
    """

    def __init__(
        self,
        bins: int = 15,
        norm: str = "l1",
        from_logits: bool = False,
        name: str | None = None,
        dtype: DTypeLike | None = None,
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
        if op.classes_of(y_pred.shape[1:]) == 1:
            confidence, right = probabilities(y_pred, self.from_logits, False), y_true
        else:
            truth = y_true if op.is_labels(y_true, y_pred) else rn.argmax(y_true, -1)
            right = rn.cast(rn.equal(truth, rn.argmax(y_pred, -1)), y_pred.dtype)
            confidence = rn.max(softmax(y_pred) if self.from_logits else y_pred, -1)
        spread = op.broadcast_weight(weight, confidence)
        counted = full(1, confidence.shape, confidence.dtype) if spread is None else spread
        lines = [BELOW, *(np.arange(1, self.bins) / self.bins).tolist()]
        sums = sums_above(lines, confidence, [counted, right * counted, confidence * counted], False)
        return [s + x for s, x in zip(states, sums, strict=True)]

    def read(self, arrays: Sequence[Array]) -> float:
        count, right, confidence = (-np.diff(a, append=0.0) for a in arrays)
        total = count.sum()
        return float(NORMS[self.norm](abs(op.fraction(right - confidence, count)), op.fraction(count, total)))
