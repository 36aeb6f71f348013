"""Precision, recall, F1, the confusion matrix and the area under a curve: counts over samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ranvier import numeric as rn
from ranvier.graph.contraction import einsum
from ranvier.graph.node import Node, apply, constant
from ranvier.metrics.base import WIDE, Array, Metric, StateType, is_labels, one_hot, over

__all__ = ["AUC", "ConfusionMatrix", "F1Score", "Precision", "Recall"]

AVERAGES = ("auto", None, "micro", "macro", "weighted")


def _classes(output_shape: Sequence[int]) -> int:
    return output_shape[-1] if output_shape else 1


def _rows(x: Node) -> Node:
    """(samples,) as (samples, 1); anything else as it is."""
    return apply("reshape", x, shape=(*x.shape, 1)) if x.ndim == 1 else x


def _over_samples(values: Node) -> Node:
    """Sums (samples, ..., classes) -> (classes,), in double precision."""
    return rn.cast(rn.sum(values, tuple(range(values.ndim - 1))), WIDE)  # type: ignore[no-any-return]


def _share(part: Any, whole: Any) -> Any:
    """0 where there is nothing to take a share of."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0.0)


class _Counts(Metric):
    """True positives, false positives and false negatives of each class."""

    ratio: ClassVar[Any]  # a function: what is made of the three

    def __init__(
        self,
        thresholds: float | None = None,
        average: str | None = "auto",
        class_id: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if average not in AVERAGES:
            raise ValueError(
                f"average={average!r} does not exist. Write one of {', '.join(map(repr, AVERAGES[1:]))}."
            )
        self.thresholds, self.average, self.class_id = thresholds, average, class_id
        self._of_labels = False

    def states(self, output_shape: Sequence[int]) -> list[StateType]:
        return [((_classes(output_shape),), WIDE)] * 3

    def decide(self, y_true: Node, y_pred: Node) -> tuple[Node, Node]:
        """Truth and decision, (samples, ..., classes), as ones and zeros."""
        pred, classes = _rows(y_pred), _classes(y_pred.shape[1:])  # type: ignore[arg-type]
        labels = is_labels(y_true, y_pred)
        self._of_labels = labels
        truth = one_hot(y_true, classes, pred.dtype) if labels else _rows(y_true)
        if self.by_largest(labels, classes):
            return truth, one_hot(rn.argmax(pred, -1), classes, pred.dtype)
        threshold = self._level if self.thresholds is None else float(self.thresholds)
        return truth, rn.cast(rn.greater(pred, threshold), pred.dtype)

    def by_largest(self, labels: bool, classes: int) -> bool:
        """Whether the class of the largest output is the decision, rather than all outputs above a threshold."""
        return labels and classes > 1 and self.thresholds is None

    def update(self, states: Sequence[Node], y_true: Node, y_pred: Node, weight: Node | None) -> list[Node]:
        truth, decided = self.decide(y_true, y_pred)
        spread = over(weight, truth)
        hit = truth * decided
        parts = [hit, decided - hit, truth - hit]
        return [
            s + _over_samples(p if spread is None else p * spread) for s, p in zip(states, parts, strict=True)
        ]

    def read(self, arrays: Sequence[Array]) -> Any:
        if self.class_id is not None:
            return float(self.ratio(*(a[self.class_id] for a in arrays)))
        average = self.average
        if average == "auto":
            average = "macro" if self._of_labels else "micro"
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
    """Of what was decided to be a class, the share that is.

    With class numbers as targets the class of the largest output is the decision, and ``average`` is over classes:
    None (one number a class), "macro" (the default), "micro", "weighted". With targets shaped like the outputs, every
    output above ``thresholds`` (0.5) is a decision, and all are counted together, as in Keras. ``class_id`` picks one.
    """

    ratio = staticmethod(lambda tp, fp, fn: _share(tp, tp + fp))


class Recall(_Counts):
    """Of what is a class, the share that was found. The arguments are those of `Precision`."""

    ratio = staticmethod(lambda tp, fp, fn: _share(tp, tp + fn))


class F1Score(_Counts):
    """The harmonic mean of precision and recall, one number a class (``average=None``) or averaged over classes.

    The class of the largest output is the decision, unless there is one output only or a ``threshold`` is given.
    """

    default_name = "f1_score"

    def __init__(
        self, average: str | None = None, threshold: float | None = None, name: str | None = None
    ) -> None:
        super().__init__(threshold, average, name=name)
        self.threshold = threshold

    def config(self) -> dict[str, Any]:
        return {"average": self.average, "threshold": self.threshold, "name": self.name}

    def by_largest(self, labels: bool, classes: int) -> bool:  # noqa: ARG002
        return classes > 1 and self.thresholds is None

    ratio = staticmethod(lambda tp, fp, fn: _share(2 * tp, 2 * tp + fp + fn))


class ConfusionMatrix(Metric):
    """How often each class (row) was taken for each class (column).

    The class of the largest output is the decision; a single output decides by exceeding 0.5.
    """

    def states(self, output_shape: Sequence[int]) -> list[StateType]:
        classes = max(2, _classes(output_shape))
        return [((classes, classes), WIDE)]

    def update(self, states: Sequence[Node], y_true: Node, y_pred: Node, weight: Node | None) -> list[Node]:
        classes = max(2, _classes(y_pred.shape[1:]))  # type: ignore[arg-type]
        if _classes(y_pred.shape[1:]) == 1:  # type: ignore[arg-type]
            flat = [x if x.ndim == 1 else rn.sum(x, tuple(range(1, x.ndim))) for x in (y_true, y_pred)]
            truth, decided = (
                rn.cast(rn.greater(x, level), "int32")
                for x, level in zip(flat, (0.5, self._level), strict=True)
            )
        else:
            truth = y_true if is_labels(y_true, y_pred) else rn.argmax(y_true, -1)
            decided = rn.argmax(y_pred, -1)
        rows, columns = (one_hot(x, classes, y_pred.dtype) for x in (truth, decided))
        spread = over(weight, rows)
        if spread is not None:
            rows = rows * spread
        inner = "abcdefgh"[: rows.ndim - 1]
        return [states[0] + rn.cast(einsum(f"{inner}i,{inner}j->ij", rows, columns), WIDE)]

    def read(self, arrays: Sequence[Array]) -> Any:
        whole = np.array_equal(arrays[0], np.trunc(arrays[0]))
        return arrays[0].astype(np.int64) if whole else arrays[0].copy()


class AUC(Metric):
    """The area under the ROC curve (``curve="ROC"``) or the precision-recall curve (``"PR"``), as Keras estimates it.

    From ``num_thresholds`` thresholds evenly over 0..1; ROC by trapezoids, PR by Davis and Goadrich (2006). Several
    outputs are counted together, class numbers against each output. ``from_logits`` applies a sigmoid first.
    """

    default_name = "auc"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        name: str | None = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name)
        if curve not in ("ROC", "PR") or num_thresholds < 2:
            raise ValueError(
                f"curve={curve!r}, num_thresholds={num_thresholds}: write 'ROC' or 'PR', and 2 or more."
            )
        self.num_thresholds, self.curve, self.from_logits = num_thresholds, curve, from_logits

    def for_logits(self) -> Metric:
        self.from_logits = True
        return self

    def states(self, output_shape: Sequence[int]) -> list[StateType]:  # noqa: ARG002
        return [((self.num_thresholds,), WIDE)] * 2 + [((), WIDE)] * 2

    def update(self, states: Sequence[Node], y_true: Node, y_pred: Node, weight: Node | None) -> list[Node]:
        n = self.num_thresholds
        lines = np.array([-1e-7, *(np.arange(1, n - 1) / (n - 1)), 1 + 1e-7])
        pred = rn.sigmoid(y_pred) if self.from_logits else y_pred
        truth = one_hot(y_true, pred.shape[-1], pred.dtype) if is_labels(y_true, pred) else y_true  # type: ignore[arg-type]
        spread = over(weight, pred)
        yes = truth if spread is None else truth * spread
        no = rn.subtract(1.0, truth) if spread is None else rn.subtract(1.0, truth) * spread
        shape, axes = (*pred.shape, n), tuple(range(pred.ndim))
        lowest = apply("broadcast", constant(lines, pred.dtype), shape=shape, axes=(pred.ndim,))
        over_it = rn.cast(rn.greater(apply("broadcast", pred, shape=shape, axes=axes), lowest), pred.dtype)
        inner = "abcdefgh"[: pred.ndim]
        hits = [rn.cast(einsum(f"{inner},{inner}t->t", x, over_it), WIDE) for x in (yes, no)]
        wholes = [rn.cast(rn.sum(x), WIDE) for x in (yes, no)]
        return [s + x for s, x in zip(states, (*hits, *wholes), strict=True)]

    def read(self, arrays: Sequence[Array]) -> float:
        tp, fp, positives, negatives = arrays
        if self.curve == "ROC":
            recall, fall_out = _share(tp, positives), _share(fp, negatives)
            return float(((fall_out[:-1] - fall_out[1:]) * (recall[:-1] + recall[1:]) / 2).sum())
        decided = tp + fp
        gained = tp[:-1] - tp[1:]
        slope = _share(gained, decided[:-1] - decided[1:])
        start = tp[1:] - slope * decided[1:]
        both = (decided[:-1] > 0) & (decided[1:] > 0)
        grown = np.log(np.where(both, decided[:-1] / np.where(both, decided[1:], 1), 1))
        return float(_share(slope * (gained + start * grown), positives).sum())
