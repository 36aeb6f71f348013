"""The confusion matrix, and scores computed from it: balanced accuracy, Matthews correlation, Cohen's kappa.

In all of them the predicted class is that of the largest output; a single output predicts yes above 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ranvier.graph.node import Node, constant, full
from ranvier.metrics import operands as op
from ranvier.metrics.base import Checked, StateType
from ranvier.metrics.operands import WIDE, Array
from ranvier.ops import arrays as rn

__all__ = ["BalancedAccuracy", "CohenKappa", "ConfusionMatrix", "MatthewsCorrelation"]


class _ClassDecisions(Checked):
    """True and predicted class of each sample as one-hot rows, the true ones times the weight.

    The last state counts target rows that are not of exactly one class, for which there is no predicted class.
    """

    def decide(self, y_true: Node, y_pred: Node, weight: Node | None) -> tuple[Node, Node, Node]:
        """The rows, (samples, ..., classes) each, and the number of target rows that are not of one class."""
        y_pred, outputs = op.as_float(y_pred), op.classes_of(y_pred.shape[1:])
        apart = constant(0, WIDE)
        if outputs == 1:
            truth, decided = (
                rn.cast(rn.greater(rn.squeeze(x, -1) if x.ndim == y_pred.ndim > 1 else x, level), "int32")
                for x, level in ((y_true, 0.5), (y_pred, self._level))
            )
        elif op.is_labels(y_true, y_pred):
            truth, decided = y_true, rn.argmax(y_pred, -1)
        else:
            truth, decided = rn.argmax(y_true, -1), rn.argmax(y_pred, -1)
            off = rn.greater(rn.abs(rn.subtract(rn.sum(y_true, -1), 1.0)), 1e-3)
            apart = op.count_true(off, weight, y_pred.dtype)  # a row of weight 0 may hold anything
        rows, columns = (rn.one_hot(x, max(2, outputs), y_pred.dtype) for x in (truth, decided))
        return op.weighted(rows, weight), columns, apart

    def refusal(self, number: str) -> str:
        return (
            f"takes targets of one class a row, and {number} rows had several, or none. Write {self.instead} for "
            "labels that do not exclude each other."
        )

    instead = "metrics.Precision() and metrics.Recall()"


class ConfusionMatrix(_ClassDecisions):
    """How often each class (row) was predicted as each class (column)."""

    def states(self, output_shape: Sequence[int]) -> list[StateType]:
        classes = max(2, op.classes_of(output_shape))
        return [((classes, classes), WIDE), ((), WIDE)]

    def update(self, states: Sequence[Node], y_true: Node, y_pred: Node, weight: Node | None) -> list[Node]:
        rows, columns, apart = self.decide(y_true, y_pred, weight)
        return [states[0] + op.contracted("...i,...j->ij", rows, columns), states[1] + apart]

    def read(self, arrays: Sequence[Array]) -> Any:
        whole = np.array_equal(arrays[0], np.trunc(arrays[0]))
        return arrays[0].astype(np.int64) if whole else arrays[0].copy()


class CohenKappa(ConfusionMatrix):
    """Agreement beyond chance (Cohen, 1960): 1 is perfect, 0 is what random guesses of the same frequencies reach.

    ``weights`` multiplies a confusion of classes i and j by ``|i - j|`` ("linear") or ``(i - j) ** 2`` ("quadratic"),
    for ordered classes (Cohen, 1968). The result is 0 if only one class occurs in targets and predictions.
    """

    def __init__(self, weights: str | None = None, name: str | None = None, dtype: DTypeLike | None = None) -> None:
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


class _Margins(_ClassDecisions):
    """For each class the numbers of correct, true and predicted samples, and the number of all samples.

    There is no matrix, which would be large for many classes. With ``multi_label`` each output is a yes or no of its
    own.
    """

    multi_label: bool

    @property
    def instead(self) -> str:  # type: ignore[override]  # it names the class
        return f"metrics.{type(self).__name__}(multi_label=True)"

    def states(self, output_shape: Sequence[int]) -> list[StateType]:
        return [((max(2 - self.multi_label, op.classes_of(output_shape)),), WIDE)] * 3 + [((), WIDE)] * 2

    def decide(self, y_true: Node, y_pred: Node, weight: Node | None) -> tuple[Node, Node, Node]:
        if not self.multi_label:
            return super().decide(y_true, y_pred, weight)
        y_pred = op.as_float(y_pred)
        rows = op.as_columns(op.targets_like(y_true, y_pred, y_pred.dtype))
        columns = op.as_columns(rn.cast(rn.greater(y_pred, self._level), y_pred.dtype))
        return op.weighted(rows, weight), columns, constant(0, WIDE)

    def update(self, states: Sequence[Node], y_true: Node, y_pred: Node, weight: Node | None) -> list[Node]:
        rows, columns, apart = self.decide(y_true, y_pred, weight)
        spread = op.broadcast_weight(weight, columns)
        parts = [rows * columns, rows, columns if spread is None else columns * spread]
        places = rn.sum(full(1, columns.shape, columns.dtype) if spread is None else spread, tuple(range(columns.ndim)))
        total = rn.cast(places, WIDE) / constant(columns.shape[-1], WIDE)
        return [
            *(s + op.over_samples(p) for s, p in zip(states, parts, strict=False)),
            states[3] + total,
            states[4] + apart,
        ]


class BalancedAccuracy(_Margins):
    """The mean over classes of the recall: accuracy as if all classes were equally frequent.

    Classes without samples are left out. ``adjusted`` maps random guesses to 0 and perfect predictions to 1. With
    ``multi_label`` each output is a yes or no of its own, and the result is the mean over the outputs.
    """

    def __init__(
        self, adjusted: bool = False, name: str | None = None, multi_label: bool = False, dtype: DTypeLike | None = None
    ) -> None:
        super().__init__(name, dtype)
        self.adjusted, self.multi_label = adjusted, multi_label

    def read(self, arrays: Sequence[Array]) -> float:
        found, there, decided, total = arrays
        if not self.multi_label:
            return self._mean(found, there)
        neither = total - there - decided + found
        yes_and_no = (np.stack(pair, 1) for pair in ((found, neither), (there, total - there)))
        return float(np.mean([*map(self._mean, *yes_and_no)]))

    def _mean(self, found: Array, there: Array) -> float:
        known = there > 0
        if not known.any():
            return 0.0
        score, chance = float((found[known] / there[known]).mean()), 1 / int(known.sum())
        return (score - chance) / (1 - chance) if self.adjusted and chance < 1 else score


class MatthewsCorrelation(_Margins):
    """The correlation of true and predicted classes (Matthews, 1975; for several classes, Gorodkin, 2004): -1 to 1.

    The result is 0 if only one class is true or predicted. With ``multi_label`` each output is a yes or no of its own,
    and the result is the mean over the outputs.
    """

    def __init__(self, name: str | None = None, multi_label: bool = False, dtype: DTypeLike | None = None) -> None:
        super().__init__(name, dtype)
        self.multi_label = multi_label

    def read(self, arrays: Sequence[Array]) -> float:
        found, there, decided, total = arrays
        if self.multi_label:  # yes and no of each label
            sides = [np.stack([v, total - v]) for v in (there, decided)]
            right = found + (total - there - decided + found)
        else:
            sides, right = [there, decided], found.sum()
        spread = (total**2 - (sides[0] ** 2).sum(0)) * (total**2 - (sides[1] ** 2).sum(0))
        known = spread > 0
        above = right * total - (sides[0] * sides[1]).sum(0)
        return float(np.mean(np.where(known, above / np.sqrt(np.where(known, spread, 1)), 0.0)))
