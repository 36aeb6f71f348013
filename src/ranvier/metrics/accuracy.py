"""Accuracies: means over samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from ranvier.graph.node import FLOATS, Node, apply
from ranvier.metrics.base import SampleMean
from ranvier.metrics.operands import classes_of, is_labels
from ranvier.ops import arrays as rn
from ranvier.tensor.context import get_dtype

__all__ = [
    "Accuracy", "BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy", "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
]  # fmt: skip


def _last_mean(values: Node) -> Node:
    """One value for each sample: the mean over the last dimension, if there is one besides the samples."""
    return rn.mean(values, -1) if values.ndim > 1 else values


def _match(a: Node, b: Node, dtype: str) -> Node:
    return rn.cast(rn.equal(a, b), dtype)


def binary(y_true: Node, y_pred: Node, threshold: float) -> Node:
    return _last_mean(_match(y_true, rn.cast(rn.greater(y_pred, threshold), y_pred.dtype), y_pred.dtype))


def categorical(y_true: Node, y_pred: Node) -> Node:
    truth = y_true if is_labels(y_true, y_pred) else rn.argmax(y_true, -1)
    return _match(truth, rn.argmax(y_pred, -1), y_pred.dtype)


def among_largest(labels: Node, y_pred: Node, k: int) -> Node:
    """1 for each class number whose output is among the ``k`` largest of its sample, else 0."""
    classes = classes_of(y_pred.shape[1:])
    at = rn.one_hot(labels, classes, "bool")
    # A label that is no class has no output, and a NaN output compares as false: neither is among the largest.
    own = rn.sum(rn.where(at, y_pred, 0.0), -1) + rn.where(rn.any(at, -1), 0.0, np.nan)
    wide = apply("broadcast", own, shape=y_pred.shape, axes=tuple(range(own.ndim)))
    reached = rn.sum(rn.cast(rn.less_equal(y_pred, wide), y_pred.dtype), -1)
    return rn.cast(rn.greater(reached, float(max(0, classes - k))), y_pred.dtype)


class Accuracy(SampleMean):
    """The fraction of correct predictions, for targets of any form.

    With one output, a prediction is correct if the output exceeds ``threshold`` (0.5) exactly where the target is 1.
    With several, the largest output must be at the class number, or at the one of a one-hot row. Integer predictions
    must equal the targets.
    """

    def __init__(self, name: str | None = None, dtype: DTypeLike | None = None, threshold: float | None = None) -> None:
        super().__init__(name, dtype)
        self.threshold = threshold

    @property
    def level(self) -> float:
        return self._level if self.threshold is None else float(self.threshold)

    def values(self, y_true: Node, y_pred: Node) -> Node:
        if y_pred.dtype not in FLOATS:
            return _last_mean(_match(y_true, y_pred, get_dtype()))
        if y_pred.ndim == 1 or y_pred.shape[-1] == 1:
            return binary(y_true, y_pred, self.level)
        return categorical(y_true, y_pred)


class BinaryAccuracy(Accuracy):
    """The fraction of outputs on the correct side of ``threshold`` (0.5); each output counts on its own."""

    def values(self, y_true: Node, y_pred: Node) -> Node:
        return binary(y_true, y_pred, self.level)


class CategoricalAccuracy(SampleMean):
    """The fraction of samples whose largest output is at the one of a one-hot target."""

    def values(self, y_true: Node, y_pred: Node) -> Node:
        return categorical(y_true, y_pred)


class SparseCategoricalAccuracy(CategoricalAccuracy):
    """The fraction of samples whose largest output is at the class number."""


class TopKCategoricalAccuracy(SampleMean):
    """The fraction of samples whose class is among the ``k`` largest outputs; ties count as correct."""

    def __init__(self, k: int = 5, name: str | None = None, dtype: DTypeLike | None = None) -> None:
        super().__init__(name, dtype)
        self.k = k

    def values(self, y_true: Node, y_pred: Node) -> Node:
        return among_largest(y_true if is_labels(y_true, y_pred) else rn.argmax(y_true, -1), y_pred, self.k)


class SparseTopKCategoricalAccuracy(TopKCategoricalAccuracy):
    """`TopKCategoricalAccuracy` for class numbers."""
