"""Metrics: what is collected over batches while a model trains or is evaluated, as part of the step's program.

All of them take integer class numbers, targets shaped like the outputs (one-hot, binary, values), and sample weights.
Names and defaults are those of Keras 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ranvier.metrics import accuracy, confusion, counts, curves, errors, functions, overlap
from ranvier.metrics.accuracy import *  # noqa: F403 - its __all__ is part of this one
from ranvier.metrics.base import Metric, SampleMean
from ranvier.metrics.confusion import *  # noqa: F403 - its __all__ is part of this one
from ranvier.metrics.counts import *  # noqa: F403 - its __all__ is part of this one
from ranvier.metrics.curves import *  # noqa: F403 - its __all__ is part of this one
from ranvier.metrics.custom import CustomMetric, Mean, MeanMetricWrapper, Sum, is_custom
from ranvier.metrics.errors import *  # noqa: F403 - its __all__ is part of this one
from ranvier.metrics.exact import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve
from ranvier.metrics.functions import *  # noqa: F403 - its __all__ is part of this one
from ranvier.metrics.overlap import *  # noqa: F403 - its __all__ is part of this one
from ranvier.metrics.report import Report, report
from ranvier.support.errors import missing, snake_case
from ranvier.support.registry import Registry
from ranvier.support.serialized import deserializer
from ranvier.support.serialized import serialize_keras_object as serialize

__all__ = [
    "Mean", "MeanMetricWrapper", "Metric", "Report", "SampleMean", "Sum", "average_precision_score", "deserialize",
    "get", "precision_recall_curve", "report", "roc_auc_score", "roc_curve", "serialize",
]  # fmt: skip
_NAMED = [*accuracy.__all__, *confusion.__all__, *counts.__all__, *curves.__all__, *errors.__all__, *overlap.__all__]
__all__ += _NAMED + functions.__all__  # noqa: PLE0605 - the names of its parts

REGISTRY = Registry(
    "metric",
    Metric,
    map(globals().__getitem__, _NAMED),
    short=lambda metric: metric.default_name or snake_case(metric.__name__),
    aliases={
        "acc": "Accuracy", "bce": "BinaryCrossentropy", "ce": "Crossentropy", "ece": "ExpectedCalibrationError",
        "f1": "F1Score", "kld": "KLDivergence", "mae": "MeanAbsoluteError", "mape": "MeanAbsolutePercentageError",
        "mcc": "MatthewsCorrelation", "mse": "MeanSquaredError", "msle": "MeanSquaredLogarithmicError",
        "pr_auc": partial(curves.AUC, curve="PR"), "r2": "R2Score", "rmse": "RootMeanSquaredError", "roc_auc": "AUC",
    },
    normalize=lambda name: name.lower() if name.isupper() else name,  # MSE and MAE, as for losses
    example="'accuracy' or metrics.Precision()",
)  # fmt: skip


def get(metric: str | Metric | type[Metric] | Mapping[str, Any]) -> Metric:
    """A metric from its name, its class, an instance, or ``{"class_name": ..., "config": {...}}``.

    It keeps the name it was asked for by. Raises ValueError naming the nearest name that exists.
    """
    found: Metric = REGISTRY.get(metric, **({"name": metric} if isinstance(metric, str) else {}))
    return CustomMetric(found) if is_custom(found) else found


deserialize = deserializer(get)

__getattr__, __dir__ = missing("ranvier.metrics", __all__)
