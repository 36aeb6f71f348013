"""Metrics: what is collected over batches while a model trains or is evaluated, as part of the step's program.

All work with integer class numbers as they stand, with targets shaped like the outputs (one-hot, binary, values), and
with sample weights. Names and defaults are those of Keras 3.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
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
from ranvier.support.errors import missing, no_such

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

UNNAMED = (  # which no name alone makes: they need a bound, or a number of classes
    PrecisionAtRecall, RecallAtPrecision, SensitivityAtSpecificity, SpecificityAtSensitivity, IoU, MeanIoU, OneHotIoU,
    OneHotMeanIoU,
)  # fmt: skip
CLASSES: dict[str, type[Metric]] = {
    name: kind
    for name, kind in ((name, globals().get(name)) for name in __all__)
    if isinstance(kind, type) and issubclass(kind, Metric) and kind not in (Metric, Mean, SampleMean, Sum)
}
NAMES: dict[str, Callable[..., Metric]] = {
    **{
        kind().name: kind for kind in CLASSES.values() if kind not in UNNAMED
    },  # those that a name alone makes
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
}


def get(metric: Any) -> Metric:
    """A metric from its name, its class, an instance, or ``{"class_name": ..., "config": {...}}``.

    It keeps the name it was asked for by. Raises ValueError naming the nearest name that exists.
    """
    if isinstance(metric, type) and issubclass(metric, Metric):
        metric = bare(metric)
    if isinstance(metric, Metric):
        return Written(metric) if is_written(metric) else metric
    if isinstance(metric, dict) and isinstance(metric.get("class_name"), str):
        if metric["class_name"] not in CLASSES:
            raise no_such("metric", metric["class_name"], CLASSES)
        return CLASSES[metric["class_name"]](**metric.get("config", {}))
    if not isinstance(metric, str):
        raise TypeError(
            f"{metric!r} is no metric. Write a name such as 'accuracy', or metrics.Precision(), instead."
        )
    if metric in CLASSES:
        return bare(CLASSES[metric], name=metric)
    spelled = metric.lower() if metric.isupper() else metric  # MSE and MAE, as losses are spelled too
    if spelled in NAMES:
        return NAMES[spelled](name=metric)
    raise no_such("metric", metric, NAMES)


def bare(kind: type[Metric], **options: Any) -> Metric:
    """A metric of its defaults. Raises TypeError for a class that has none for some arguments, naming them."""
    named = [p for p in inspect.signature(kind).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    needed = [f"{p.name}=..." for p in named if p.default is p.empty]
    if needed:
        name = kind.__name__
        raise TypeError(f"the metric {name} needs arguments. Write {name}({', '.join(needed)}) instead.")
    return kind(**options)


def describe(metric: Metric) -> dict[str, Any]:
    """What `get` makes this metric from again. Raises ValueError for a class that is not Ranvier's."""
    if CLASSES.get(type(metric).__name__) is not type(metric):
        raise ValueError(f"metric {metric.name!r} is not one of Ranvier's and cannot be saved.")
    return {"class_name": type(metric).__name__, "config": metric.config()}


__getattr__, __dir__ = missing(globals(), "ranvier.metrics", __all__)
