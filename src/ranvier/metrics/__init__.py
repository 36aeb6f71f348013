"""Metrics: what is collected over batches while a model trains or is evaluated, as part of the step's program.

All work with integer class numbers as they stand, with targets shaped like the outputs (one-hot, binary, values), and
with sample weights. Names and defaults are those of Keras 3.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ranvier.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from ranvier.metrics.base import Metric, SampleMean
from ranvier.metrics.confusion import BalancedAccuracy, CohenKappa, ConfusionMatrix, MatthewsCorrelation
from ranvier.metrics.counts import (
    F1Score,
    FalseNegatives,
    FalsePositives,
    FBetaScore,
    Precision,
    Recall,
    Specificity,
    TrueNegatives,
    TruePositives,
)
from ranvier.metrics.curves import (
    AUC,
    ExpectedCalibrationError,
    PrecisionAtRecall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
)
from ranvier.metrics.custom import Mean, Sum, Written, is_written
from ranvier.metrics.errors import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    ConcordanceCorrelation,
    CosineSimilarity,
    Crossentropy,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    PearsonCorrelation,
    Poisson,
    R2Score,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from ranvier.metrics.exact import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve
from ranvier.metrics.overlap import BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
from ranvier.metrics.report import Report, report
from ranvier.support.errors import missing, snake_case
from ranvier.support.registry import Registry

__all__ = [
    "AUC", "Accuracy", "BalancedAccuracy", "BinaryAccuracy", "BinaryCrossentropy", "BinaryIoU",
    "CategoricalAccuracy", "CategoricalCrossentropy", "CategoricalHinge", "CohenKappa", "ConcordanceCorrelation",
    "ConfusionMatrix", "CosineSimilarity", "Crossentropy",
    "ExpectedCalibrationError", "F1Score", "FBetaScore", "FalseNegatives", "FalsePositives", "Hinge", "IoU",
    "KLDivergence", "LogCoshError", "MatthewsCorrelation", "Mean", "MeanAbsoluteError",
    "MeanAbsolutePercentageError", "MeanIoU", "MeanSquaredError", "MeanSquaredLogarithmicError", "Metric",
    "OneHotIoU", "OneHotMeanIoU", "PearsonCorrelation", "Poisson",
    "Precision", "PrecisionAtRecall", "R2Score", "Recall", "RecallAtPrecision", "Report", "RootMeanSquaredError",
    "SampleMean", "SensitivityAtSpecificity", "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy", "Specificity", "SpecificityAtSensitivity", "SquaredHinge", "Sum",
    "TopKCategoricalAccuracy", "TrueNegatives", "TruePositives", "average_precision_score", "get",
    "precision_recall_curve", "report", "roc_auc_score", "roc_curve",
]  # fmt: skip

REGISTRY = Registry(
    "metric",
    Metric,
    (
        metric
        for metric in map(globals().get, __all__)
        if isinstance(metric, type)
        and issubclass(metric, Metric)
        and metric not in (Metric, Mean, SampleMean, Sum)
    ),
    short=lambda metric: metric.default_name or snake_case(metric.__name__),
    aliases={
        "acc": Accuracy,
        "bce": BinaryCrossentropy,
        "ce": Crossentropy,
        "ece": ExpectedCalibrationError,
        "f1": F1Score,
        "kld": KLDivergence,
        "mae": MeanAbsoluteError,
        "mape": MeanAbsolutePercentageError,
        "mcc": MatthewsCorrelation,
        "mse": MeanSquaredError,
        "msle": MeanSquaredLogarithmicError,
        "pr_auc": partial(AUC, curve="PR"),
        "r2": R2Score,
        "rmse": RootMeanSquaredError,
        "roc_auc": AUC,
    },
    normalize=lambda name: name.lower() if name.isupper() else name,  # MSE and MAE, as for losses
    example="'accuracy' or metrics.Precision()",
)


def get(metric: Any) -> Metric:
    """A metric from its name, its class, an instance, or ``{"class_name": ..., "config": {...}}``.

    It keeps the name it was asked for by. Raises ValueError naming the nearest name that exists.
    """
    found: Metric = REGISTRY.get(metric, **({"name": metric} if isinstance(metric, str) else {}))
    return Written(found) if is_written(found) else found


__getattr__, __dir__ = missing(globals(), "ranvier.metrics", __all__)
