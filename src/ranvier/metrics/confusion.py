"""The confusion matrix, and what is made of it: balanced accuracy, Matthews correlation, Cohen's kappa.

In all of them the class of the largest output is the decision, and a single output decides by exceeding 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.graph.node import Node, apply, constant, full
from ranvier.metrics.base import (
    WIDE,
    Array,
    Checked,
    StateType,
    as_rows,
    classes_of,
    contracted,
    counting,
    floats,
    is_labels,
    over,
    over_samples,
)
from ranvier.ops import arrays as rn

__all__ = ["BalancedAccuracy", "CohenKappa", "ConfusionMatrix", "MatthewsCorrelation"]


class _Decided(Checked):
    """Truth and decision of each sample as rows of ones and zeros, the truth's times its weight.

    The last state counts rows of targets that are not of one class: there the largest output decides nothing.
    """

    def decide(self, y_true: Node, y_pred: Node, weight: Node | None) -> tuple[Node, Node, Node]:
        """(samples, ..., classes) each, and the number of rows that are not of one class."""
        y_pred, outputs = floats(y_pred), classes_of(y_pred.shape[1:])
        apart = constant(0, WIDE)
        if outputs == 1:
            flat = [
                apply("reshape", x, shape=x.shape[:-1]) if x.ndim == y_pred.ndim > 1 else x
                for x in (y_true, y_pred)
            ]
            truth, decided = (
                rn.cast(rn.greater(x, level), "int32")
                for x, level in zip(flat, (0.5, self._level), strict=True)
            )
        elif is_labels(y_true, y_pred):
            truth, decided = y_true, rn.argmax(y_pred, -1)
        else:
            truth, decided = rn.argmax(y_true, -1), rn.argmax(y_pred, -1)
            off = rn.greater(rn.abs(rn.subtract(rn.sum(y_true, -1), 1.0)), 1e-3)
            apart = counting(off, weight, y_pred.dtype)  # a row of weight 0 may be anything
        rows, columns = (rn.one_hot(x, max(2, outputs), y_pred.dtype) for x in (truth, decided))
        spread = over(weight, rows)
        return (rows if spread is None else rows * spread), columns, apart

    def refusal(self, number: str) -> str:
        return (
            f"takes targets of one class a row, and {number} rows had several, or none. Write {self.instead} for "
            "labels that do not exclude each other."
        )

    instead = "metrics.Precision() and metrics.Recall()"


class ConfusionMatrix(_Decided):
    """How often each class (row) was taken for each class (column)."""

    def states(self, output_shape: Sequence[int]) -> list[StateType]:
        classes = max(2, classes_of(output_shape))
        return [((classes, classes), WIDE), ((), WIDE)]

    def update(self, states: Sequence[Node], y_true: Node, y_pred: Node, weight: Node | None) -> list[Node]:
        rows, columns, apart = self.decide(y_true, y_pred, weight)
        return [states[0] + contracted("...i,...j->ij", rows, columns), states[1] + apart]

    def read(self, arrays: Sequence[Array]) -> Any:
        whole = np.array_equal(arrays[0], np.trunc(arrays[0]))
        return arrays[0].astype(np.int64) if whole else arrays[0].copy()


class CohenKappa(ConfusionMatrix):
    """Agreement beyond chance (Cohen, 1960): 1 is perfect, 0 what guessing with the same frequencies has.

    ``weights`` counts a confusion of classes i and j ``|i - j|`` times ("linear") or ``(i - j) ** 2`` times
    ("quadratic"), for classes that have an order (Cohen, 1968). 0 where only one class was seen and decided.
    """

    def __init__(self, weights: str | None = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        if weights not in (None, "linear", "quadratic"):
            raise ValueError(f"weights={weights!r} does not exist. Write None, 'linear' or 'quadratic'.")
        self.weights = weights

    def read(self, arrays: Sequence[Array]) -> float:
        table = arrays[0]
        apart = np.abs(np.subtract.outer(*[np.arange(len(table))] * 2)).astype(WIDE)
        cost = {None: apart > 0, "linear": apart, "quadratic": apart**2}[self.weights]
        expected = (cost * np.outer(table.sum(1), table.sum(0))).sum() / max(table.sum(), 1e-300)
        return float(1 - (cost * table).sum() / expected) if expected > 0 else 0.0


class _Margins(_Decided):
    """Of each class how often it was found, was there, and was decided, and how many samples there were.

    No table, which is large for many classes. With ``multi_label`` each output is a yes or no of its own.
    """

    multi_label: bool

    @property
    def instead(self) -> str:  # type: ignore[override]  # it names the class
        return f"metrics.{type(self).__name__}(multi_label=True)"

    def states(self, output_shape: Sequence[int]) -> list[StateType]:
        return [((max(2 - self.multi_label, classes_of(output_shape)),), WIDE)] * 3 + [((), WIDE)] * 2

    def decide(self, y_true: Node, y_pred: Node, weight: Node | None) -> tuple[Node, Node, Node]:
        if not self.multi_label:
            return super().decide(y_true, y_pred, weight)
        truth = (
            rn.one_hot(y_true, classes_of(y_pred.shape[1:]), y_pred.dtype)
            if is_labels(y_true, y_pred)
            else y_true
        )
        y_pred, truth = floats(y_pred), rn.cast(truth, floats(y_pred).dtype)
        decided = rn.cast(rn.greater(y_pred, self._level), y_pred.dtype)
        rows, columns = as_rows(truth), as_rows(decided)
        spread = over(weight, rows)
        return (rows if spread is None else rows * spread), columns, constant(0, WIDE)

    def update(self, states: Sequence[Node], y_true: Node, y_pred: Node, weight: Node | None) -> list[Node]:
        rows, columns, apart = self.decide(y_true, y_pred, weight)
        spread = over(weight, columns)
        parts = [rows * columns, rows, columns if spread is None else columns * spread]
        places = rn.sum(
            full(1, columns.shape, columns.dtype) if spread is None else spread, tuple(range(columns.ndim))
        )
        total = rn.cast(places, WIDE) / constant(columns.shape[-1], WIDE)
        return [
            *(s + over_samples(p) for s, p in zip(states, parts, strict=False)),
            states[3] + total,
            states[4] + apart,
        ]


class BalancedAccuracy(_Margins):
    """The mean over classes of the share of its samples that were found: accuracy as if all classes were as frequent.

    Classes of which there are no samples are left out. ``adjusted`` puts guessing at 0 and keeps the best at 1. With
    ``multi_label`` each output is a yes or no of its own, and the mean over them is taken.
    """

    def __init__(
        self,
        adjusted: bool = False,
        name: str | None = None,
        multi_label: bool = False,
        dtype: Any = None,
    ) -> None:
        super().__init__(name, dtype)
        self.adjusted, self.multi_label = adjusted, multi_label

    def read(self, arrays: Sequence[Array]) -> float:
        found, there, decided, total = arrays
        if not self.multi_label:
            return self._mean(found, there)
        neither = total - there - decided + found
        each = [
            self._mean(np.array(hits), np.array(kinds))
            for hits, kinds in zip(
                zip(found, neither, strict=True), zip(there, total - there, strict=True), strict=True
            )
        ]
        return float(np.mean(each))

    def _mean(self, found: Array, there: Array) -> float:
        known = there > 0
        if not known.any():
            return 0.0
        score, chance = float((found[known] / there[known]).mean()), 1 / int(known.sum())
        return (score - chance) / (1 - chance) if self.adjusted and chance < 1 else score


class MatthewsCorrelation(_Margins):
    """The correlation of truth and decision (Matthews, 1975; of several classes, Gorodkin, 2004): from -1 to 1.

    0 where only one class was there or only one was decided. With ``multi_label`` each output is a yes or no of its
    own, and the mean over them is taken.
    """

    def __init__(self, name: str | None = None, multi_label: bool = False, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.multi_label = multi_label

    def read(self, arrays: Sequence[Array]) -> float:
        found, there, decided, total = arrays
        if self.multi_label:  # of yes and no, for each label
            sides = [np.stack([v, total - v]) for v in (there, decided)]
            right = found + (total - there - decided + found)
        else:
            sides, right = [there, decided], found.sum()
        spread = (total**2 - (sides[0] ** 2).sum(0)) * (total**2 - (sides[1] ** 2).sum(0))
        known = spread > 0
        above = right * total - (sides[0] * sides[1]).sum(0)
        return float(np.mean(np.where(known, above / np.sqrt(np.where(known, spread, 1)), 0.0)))
