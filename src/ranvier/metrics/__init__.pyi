# Written by `python -m tests.stubs --write`; a test holds it against the code.
from collections.abc import Mapping as Mapping
from numpy.typing import DTypeLike as DTypeLike
from ranvier.metrics.accuracy import Accuracy as Accuracy
from ranvier.metrics.accuracy import BinaryAccuracy as BinaryAccuracy
from ranvier.metrics.accuracy import CategoricalAccuracy as CategoricalAccuracy
from ranvier.metrics.accuracy import SparseCategoricalAccuracy as SparseCategoricalAccuracy
from ranvier.metrics.accuracy import SparseTopKCategoricalAccuracy as SparseTopKCategoricalAccuracy
from ranvier.metrics.accuracy import TopKCategoricalAccuracy as TopKCategoricalAccuracy
from ranvier.metrics.base import Metric as Metric
from ranvier.metrics.base import SampleMean as SampleMean
from ranvier.metrics.confusion import BalancedAccuracy as BalancedAccuracy
from ranvier.metrics.confusion import CohenKappa as CohenKappa
from ranvier.metrics.confusion import ConfusionMatrix as ConfusionMatrix
from ranvier.metrics.confusion import MatthewsCorrelation as MatthewsCorrelation
from ranvier.metrics.counts import F1Score as F1Score
from ranvier.metrics.counts import FBetaScore as FBetaScore
from ranvier.metrics.counts import Precision as Precision
from ranvier.metrics.counts import Recall as Recall
from ranvier.metrics.counts import Specificity as Specificity
from ranvier.metrics.counts import _Number as _Number
from ranvier.metrics.curves import AUC as AUC
from ranvier.metrics.curves import ExpectedCalibrationError as ExpectedCalibrationError
from ranvier.metrics.curves import _BestAt as _BestAt
from ranvier.metrics.custom import Mean as Mean
from ranvier.metrics.custom import Sum as Sum
from ranvier.metrics.errors import Crossentropy as Crossentropy
from ranvier.metrics.errors import R2Score as R2Score
from ranvier.metrics.errors import _LossMean as _LossMean
from ranvier.metrics.errors import _RootLossMean as _RootLossMean
from ranvier.metrics.exact import average_precision_score as average_precision_score
from ranvier.metrics.exact import precision_recall_curve as precision_recall_curve
from ranvier.metrics.exact import roc_auc_score as roc_auc_score
from ranvier.metrics.exact import roc_curve as roc_curve
from ranvier.metrics.overlap import BinaryIoU as BinaryIoU
from ranvier.metrics.overlap import IoU as IoU
from ranvier.metrics.overlap import MeanIoU as MeanIoU
from ranvier.metrics.overlap import OneHotIoU as OneHotIoU
from ranvier.metrics.overlap import OneHotMeanIoU as OneHotMeanIoU
from ranvier.metrics.report import Report as Report
from ranvier.metrics.report import report as report
from ranvier.support.registry import Registry as Registry
from typing import Any as Any

__all__ = ['AUC', 'Accuracy', 'BalancedAccuracy', 'BinaryAccuracy', 'BinaryCrossentropy', 'BinaryIoU', 'CategoricalAccuracy', 'CategoricalCrossentropy', 'CategoricalHinge', 'CohenKappa', 'ConcordanceCorrelation', 'ConfusionMatrix', 'CosineSimilarity', 'Crossentropy', 'ExpectedCalibrationError', 'F1Score', 'FBetaScore', 'FalseNegatives', 'FalsePositives', 'Hinge', 'IoU', 'KLDivergence', 'LogCoshError', 'MatthewsCorrelation', 'Mean', 'MeanAbsoluteError', 'MeanAbsolutePercentageError', 'MeanIoU', 'MeanSquaredError', 'MeanSquaredLogarithmicError', 'Metric', 'OneHotIoU', 'OneHotMeanIoU', 'PearsonCorrelation', 'Poisson', 'Precision', 'PrecisionAtRecall', 'R2Score', 'Recall', 'RecallAtPrecision', 'Report', 'RootMeanSquaredError', 'SampleMean', 'SensitivityAtSpecificity', 'SparseCategoricalAccuracy', 'SparseCategoricalCrossentropy', 'SparseTopKCategoricalAccuracy', 'Specificity', 'SpecificityAtSensitivity', 'SquaredHinge', 'Sum', 'TopKCategoricalAccuracy', 'TrueNegatives', 'TruePositives', 'average_precision_score', 'get', 'precision_recall_curve', 'report', 'roc_auc_score', 'roc_curve']
class BinaryCrossentropy(_LossMean):
    def __init__(self, name: str | None = None, dtype: DTypeLike | None = None, from_logits: bool = False, label_smoothing: float = 0.0) -> None: ...
class CategoricalCrossentropy(_LossMean):
    def __init__(self, name: str | None = None, dtype: DTypeLike | None = None, from_logits: bool = False, label_smoothing: float = 0.0) -> None: ...
class CategoricalHinge(_LossMean):
    def __init__(self, name: str | None = None, dtype: DTypeLike | None = None) -> None: ...
class ConcordanceCorrelation(_LossMean):
    def __init__(self, name: str | None = None, dtype: DTypeLike | None = None, axis: Any = -1) -> None: ...
class CosineSimilarity(_LossMean):
    def __init__(self, name: str | None = None, dtype: DTypeLike | None = None, axis: int = -1) -> None: ...
class FalseNegatives(_Number): ...
class FalsePositives(_Number): ...
class Hinge(_LossMean):
    def __init__(self, name: str | None = None, dtype: DTypeLike | None = None) -> None: ...
class KLDivergence(_LossMean):
    def __init__(self, name: str | None = None, dtype: DTypeLike | None = None) -> None: ...
class LogCoshError(_LossMean):
    def __init__(self, name: str | None = None, dtype: DTypeLike | None = None) -> None: ...
class MeanAbsoluteError(_LossMean):
    def __init__(self, name: str | None = None, dtype: DTypeLike | None = None) -> None: ...
class MeanAbsolutePercentageError(_LossMean):
    def __init__(self, name: str | None = None, dtype: DTypeLike | None = None) -> None: ...
class MeanSquaredError(_LossMean):
    def __init__(self, name: str | None = None, dtype: DTypeLike | None = None) -> None: ...
class MeanSquaredLogarithmicError(_LossMean):
    def __init__(self, name: str | None = None, dtype: DTypeLike | None = None) -> None: ...
class PearsonCorrelation(_LossMean):
    def __init__(self, name: str | None = None, dtype: DTypeLike | None = None, axis: Any = -1) -> None: ...
class Poisson(_LossMean):
    def __init__(self, name: str | None = None, dtype: DTypeLike | None = None) -> None: ...
class PrecisionAtRecall(_BestAt):
    def __init__(self, recall: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None, dtype: DTypeLike | None = None) -> None: ...
REGISTRY: Registry
class RecallAtPrecision(_BestAt):
    def __init__(self, precision: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None, dtype: DTypeLike | None = None) -> None: ...
class RootMeanSquaredError(_RootLossMean):
    def __init__(self, name: str | None = None, dtype: DTypeLike | None = None) -> None: ...
class SensitivityAtSpecificity(_BestAt):
    def __init__(self, specificity: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None, dtype: DTypeLike | None = None) -> None: ...
class SparseCategoricalCrossentropy(_LossMean):
    def __init__(self, name: str | None = None, dtype: DTypeLike | None = None, from_logits: bool = False) -> None: ...
class SpecificityAtSensitivity(_BestAt):
    def __init__(self, sensitivity: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None, dtype: DTypeLike | None = None) -> None: ...
class SquaredHinge(_LossMean):
    def __init__(self, name: str | None = None, dtype: DTypeLike | None = None) -> None: ...
class TrueNegatives(_Number): ...
class TruePositives(_Number): ...
def get(metric: str | Metric | type[Metric] | Mapping[str, Any]) -> Metric: ...
