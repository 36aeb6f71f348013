"""Metrics: what is collected over batches while a model trains or is evaluated, as part of the step's program.

All work with integer class numbers as they stand, with targets shaped like the outputs (one-hot, binary, values), and
with sample weights. Names and defaults are those of Keras 3.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
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
from ranvier.metrics.confusion import BalancedAccuracy, CohenKappa, ConfusionMatrix, MatthewsCorrelation
from ranvier.metrics.counts import F1Score, Precision, Recall, Specificity
from ranvier.metrics.curves import (
    AUC,
    ExpectedCalibrationError,
    PrecisionAtRecall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
)
from ranvier.metrics.exact import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve
from ranvier.metrics.report import Report, report

__all__ = [
    "AUC", "Accuracy", "BalancedAccuracy", "BinaryAccuracy", "CategoricalAccuracy", "CohenKappa", "ConfusionMatrix",
    "ExpectedCalibrationError", "F1Score", "MatthewsCorrelation", "Mean", "MeanAbsoluteError", "MeanSquaredError",
    "Metric", "Precision", "PrecisionAtRecall", "Recall", "RecallAtPrecision", "Report", "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy", "SparseTopKCategoricalAccuracy", "Specificity", "SpecificityAtSensitivity",
    "TopKCategoricalAccuracy", "average_precision_score", "get", "precision_recall_curve", "report", "roc_auc_score",
    "roc_curve",
]  # fmt: skip

NAMED = (  # those that a name alone makes
    AUC, Accuracy, BalancedAccuracy, BinaryAccuracy, CategoricalAccuracy, CohenKappa, ConfusionMatrix,
    ExpectedCalibrationError, F1Score, MatthewsCorrelation, MeanAbsoluteError, MeanSquaredError, Precision, Recall,
    SparseCategoricalAccuracy, SparseTopKCategoricalAccuracy, Specificity, TopKCategoricalAccuracy,
)  # fmt: skip
BOUNDED = (PrecisionAtRecall, RecallAtPrecision, SensitivityAtSpecificity, SpecificityAtSensitivity)
CLASSES: dict[str, type[Metric]] = {c.__name__: c for c in (*NAMED, *BOUNDED)}
NAMES: dict[str, Callable[..., Metric]] = {
    **{kind().name: kind for kind in NAMED},
    "acc": Accuracy,
    "ece": ExpectedCalibrationError,
    "f1": F1Score,
    "mae": MeanAbsoluteError,
    "mcc": MatthewsCorrelation,
    "mse": MeanSquaredError,
    "pr_auc": partial(AUC, curve="PR"),
    "roc_auc": AUC,
    "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
    "top_k_categorical_accuracy": TopKCategoricalAccuracy,
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
