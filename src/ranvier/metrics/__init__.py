"""Metrics: what is collected over batches while a model trains or is evaluated, as part of the step's program.

All work with integer class numbers as they stand, with targets shaped like the outputs (one-hot, binary, values), and
with sample weights. Names and defaults are those of Keras 3.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from ranvier.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from ranvier.metrics.base import Mean, Metric
from ranvier.metrics.counts import AUC, ConfusionMatrix, F1Score, Precision, Recall

__all__ = [
    "AUC", "Accuracy", "BinaryAccuracy", "CategoricalAccuracy", "ConfusionMatrix", "F1Score", "Mean",
    "MeanAbsoluteError", "MeanSquaredError", "Metric", "Precision", "Recall", "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy", "TopKCategoricalAccuracy", "get",
]  # fmt: skip

CLASSES: dict[str, type[Metric]] = {
    c.__name__: c
    for c in (
        AUC, Accuracy, BinaryAccuracy, CategoricalAccuracy, ConfusionMatrix, F1Score, MeanAbsoluteError,
        MeanSquaredError, Precision, Recall, SparseCategoricalAccuracy,
        SparseTopKCategoricalAccuracy, TopKCategoricalAccuracy,
    )
}  # fmt: skip
NAMES: dict[str, Callable[..., Metric]] = {
    **{kind().name: kind for kind in CLASSES.values()},
    "acc": Accuracy,
    "f1": F1Score,
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "top_k_categorical_accuracy": TopKCategoricalAccuracy,
    "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
}


def get(metric: Any) -> Metric:
    """A metric from its name, its class, an instance, or ``{"class_name": ..., "config": {...}}``.

    It keeps the name it was asked for by. Raises ValueError naming the nearest name that exists.
    """
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, type) and issubclass(metric, Metric):
        return metric()
    if isinstance(metric, dict) and metric.get("class_name") in CLASSES:
        return CLASSES[metric["class_name"]](**metric.get("config", {}))
    if not isinstance(metric, str):
        raise TypeError(
            f"{metric!r} is no metric. Write a name such as 'accuracy', or metrics.Precision(), instead."
        )
    if metric in CLASSES:
        return CLASSES[metric]()
    if metric in NAMES:
        return NAMES[metric](name=metric)
    near = difflib.get_close_matches(metric.lower(), NAMES, 1, 0.4)
    hint = f"Write {near[0]!r}" if near else f"Write one of {', '.join(map(repr, NAMES))}"
    raise ValueError(f"metric {metric!r} does not exist. {hint} instead.")


def describe(metric: Metric) -> dict[str, Any]:
    """What `get` makes this metric from again. Raises ValueError for a class that is not Ranvier's."""
    if CLASSES.get(type(metric).__name__) is not type(metric):
        raise ValueError(f"metric {metric.name!r} is not one of Ranvier's and cannot be saved.")
    return {"class_name": type(metric).__name__, "config": metric.config()}
