"""The confusion matrix, and what is made of it: balanced accuracy, Matthews correlation, Cohen's kappa.

In all of them the class of the largest output is the decision, and a single output decides by exceeding 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier import numeric as rn
from ranvier.graph.contraction import einsum
from ranvier.graph.node import Node
from ranvier.metrics.base import (
    WIDE,
    Array,
    Metric,
    StateType,
    classes_of,
    is_labels,
    one_hot,
    over,
    over_samples,
)

__all__ = ["BalancedAccuracy", "CohenKappa", "ConfusionMatrix", "MatthewsCorrelation"]


class _Decided(Metric):
    """Truth and decision of each sample as rows of ones and zeros, the truth's times its weight."""

    def decide(self, y_true: Node, y_pred: Node, weight: Node | None) -> tuple[Node, Node]:
        """(samples, ..., classes) each."""
        outputs = classes_of(y_pred.shape[1:])
        if outputs == 1:
            flat = [x if x.ndim == 1 else rn.sum(x, tuple(range(1, x.ndim))) for x in (y_true, y_pred)]
            truth, decided = (
                rn.cast(rn.greater(x, level), "int32")
                for x, level in zip(flat, (0.5, self._level), strict=True)
            )
        else:
            truth = y_true if is_labels(y_true, y_pred) else rn.argmax(y_true, -1)
            decided = rn.argmax(y_pred, -1)
        rows, columns = (one_hot(x, max(2, outputs), y_pred.dtype) for x in (truth, decided))
        spread = over(weight, rows)
        return (rows if spread is None else rows * spread), columns


class ConfusionMatrix(_Decided):
    """How often each class (row) was taken for each class (column)."""

    def states(self, output_shape: Sequence[int]) -> list[StateType]:
        classes = max(2, classes_of(output_shape))
        return [((classes, classes), WIDE)]

    def update(self, states: Sequence[Node], y_true: Node, y_pred: Node, weight: Node | None) -> list[Node]:
        rows, columns = self.decide(y_true, y_pred, weight)
        inner = "abcdefgh"[: rows.ndim - 1]
        return [states[0] + rn.cast(einsum(f"{inner}i,{inner}j->ij", rows, columns), WIDE)]

    def read(self, arrays: Sequence[Array]) -> Any:
        whole = np.array_equal(arrays[0], np.trunc(arrays[0]))
        return arrays[0].astype(np.int64) if whole else arrays[0].copy()


class CohenKappa(ConfusionMatrix):
    """Agreement beyond chance (Cohen, 1960): 1 is perfect, 0 what guessing with the same frequencies has.

    ``weights`` counts a confusion of classes i and j ``|i - j|`` times ("linear") or ``(i - j) ** 2`` times
    ("quadratic"), for classes that have an order (Cohen, 1968). 0 where only one class was seen and decided.
    """

    def __init__(self, weights: str | None = None, name: str | None = None) -> None:
        super().__init__(name)
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
    """How often each class was found, was there, and was decided: no table, which is large for many classes."""

    def states(self, output_shape: Sequence[int]) -> list[StateType]:
        return [((max(2, classes_of(output_shape)),), WIDE)] * 3

    def update(self, states: Sequence[Node], y_true: Node, y_pred: Node, weight: Node | None) -> list[Node]:
        rows, columns = self.decide(y_true, y_pred, weight)
        spread = over(weight, columns)
        parts = [rows * columns, rows, columns if spread is None else columns * spread]
        return [s + over_samples(p) for s, p in zip(states, parts, strict=True)]


class BalancedAccuracy(_Margins):
    """The mean over classes of the share of its samples that were found: accuracy as if all classes were as frequent.

    Classes of which there are no samples are left out. ``adjusted`` puts guessing at 0 and keeps the best at 1.
    """

    def __init__(self, adjusted: bool = False, name: str | None = None) -> None:
        super().__init__(name)
        self.adjusted = adjusted

    def read(self, arrays: Sequence[Array]) -> float:
        found, there, _ = arrays
        known = there > 0
        if not known.any():
            return 0.0
        score, chance = float((found[known] / there[known]).mean()), 1 / int(known.sum())
        return (score - chance) / (1 - chance) if self.adjusted and chance < 1 else score


class MatthewsCorrelation(_Margins):
    """The correlation of truth and decision (Matthews, 1975; of several classes, Gorodkin, 2004): from -1 to 1.

    0 where only one class was there or only one was decided.
    """

    def read(self, arrays: Sequence[Array]) -> float:
        found, there, decided = arrays
        total = there.sum()
        spread = (total**2 - (there**2).sum()) * (total**2 - (decided**2).sum())
        if spread <= 0:
            return 0.0
        return float((found.sum() * total - (there * decided).sum()) / np.sqrt(spread))
