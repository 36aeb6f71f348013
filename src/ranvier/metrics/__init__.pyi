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
from ranvier.metrics.custom import MeanMetricWrapper as MeanMetricWrapper
from ranvier.metrics.custom import Sum as Sum
from ranvier.metrics.errors import Crossentropy as Crossentropy
from ranvier.metrics.errors import R2Score as R2Score
from ranvier.metrics.errors import _LossMean as _LossMean
from ranvier.metrics.errors import _RootLossMean as _RootLossMean
from ranvier.metrics.exact import average_precision_score as average_precision_score
from ranvier.metrics.exact import precision_recall_curve as precision_recall_curve
from ranvier.metrics.exact import roc_auc_score as roc_auc_score
from ranvier.metrics.exact import roc_curve as roc_curve
from ranvier.metrics.functions import binary_accuracy as binary_accuracy
from ranvier.metrics.functions import categorical_accuracy as categorical_accuracy
from ranvier.metrics.functions import sparse_categorical_accuracy as sparse_categorical_accuracy
from ranvier.metrics.functions import sparse_top_k_categorical_accuracy as sparse_top_k_categorical_accuracy
from ranvier.metrics.functions import top_k_categorical_accuracy as top_k_categorical_accuracy
from ranvier.metrics.overlap import BinaryIoU as BinaryIoU
from ranvier.metrics.overlap import IoU as IoU
from ranvier.metrics.overlap import MeanIoU as MeanIoU
from ranvier.metrics.overlap import OneHotIoU as OneHotIoU
from ranvier.metrics.overlap import OneHotMeanIoU as OneHotMeanIoU
from ranvier.metrics.report import Report as Report
from ranvier.metrics.report import report as report
from ranvier.ops.functional.losses_focal import binary_focal_crossentropy as binary_focal_crossentropy
from ranvier.ops.functional.losses_focal import categorical_focal_crossentropy as categorical_focal_crossentropy
from ranvier.ops.functional.losses_keras import binary_crossentropy as binary_crossentropy
from ranvier.ops.functional.losses_keras import categorical_crossentropy as categorical_crossentropy
from ranvier.ops.functional.losses_keras import categorical_hinge as categorical_hinge
from ranvier.ops.functional.losses_keras import hinge as hinge
from ranvier.ops.functional.losses_keras import huber as huber
from ranvier.ops.functional.losses_keras import kl_divergence as kl_divergence
from ranvier.ops.functional.losses_keras import log_cosh as log_cosh
from ranvier.ops.functional.losses_keras import mean_absolute_error as mean_absolute_error
from ranvier.ops.functional.losses_keras import mean_absolute_percentage_error as mean_absolute_percentage_error
from ranvier.ops.functional.losses_keras import mean_squared_error as mean_squared_error
from ranvier.ops.functional.losses_keras import mean_squared_logarithmic_error as mean_squared_logarithmic_error
from ranvier.ops.functional.losses_keras import poisson as poisson
from ranvier.ops.functional.losses_keras import sparse_categorical_crossentropy as sparse_categorical_crossentropy
from ranvier.ops.functional.losses_keras import squared_hinge as squared_hinge
from ranvier.support.registry import Registry as Registry
from ranvier.tensor.tensor import Tensor as Tensor
from typing import Any as Any

__all__ = ['AUC', 'Accuracy', 'BalancedAccuracy', 'BinaryAccuracy', 'BinaryCrossentropy', 'BinaryIoU', 'CategoricalAccuracy', 'CategoricalCrossentropy', 'CategoricalHinge', 'CohenKappa', 'ConcordanceCorrelation', 'ConfusionMatrix', 'CosineSimilarity', 'Crossentropy', 'ExpectedCalibrationError', 'F1Score', 'FBetaScore', 'FalseNegatives', 'FalsePositives', 'Hinge', 'IoU', 'KLDivergence', 'LogCoshError', 'MatthewsCorrelation', 'Mean', 'MeanAbsoluteError', 'MeanAbsolutePercentageError', 'MeanIoU', 'MeanMetricWrapper', 'MeanSquaredError', 'MeanSquaredLogarithmicError', 'Metric', 'OneHotIoU', 'OneHotMeanIoU', 'PearsonCorrelation', 'Poisson', 'Precision', 'PrecisionAtRecall', 'R2Score', 'Recall', 'RecallAtPrecision', 'Report', 'RootMeanSquaredError', 'SampleMean', 'SensitivityAtSpecificity', 'SparseCategoricalAccuracy', 'SparseCategoricalCrossentropy', 'SparseTopKCategoricalAccuracy', 'Specificity', 'SpecificityAtSensitivity', 'SquaredHinge', 'Sum', 'TopKCategoricalAccuracy', 'TrueNegatives', 'TruePositives', 'average_precision_score', 'binary_accuracy', 'binary_crossentropy', 'binary_focal_crossentropy', 'categorical_accuracy', 'categorical_crossentropy', 'categorical_focal_crossentropy', 'categorical_hinge', 'concordance_correlation', 'deserialize', 'get', 'hinge', 'huber', 'kl_divergence', 'log_cosh', 'mean_absolute_error', 'mean_absolute_percentage_error', 'mean_squared_error', 'mean_squared_logarithmic_error', 'pearson_correlation', 'poisson', 'precision_recall_curve', 'report', 'roc_auc_score', 'roc_curve', 'serialize', 'sparse_categorical_accuracy', 'sparse_categorical_crossentropy', 'sparse_top_k_categorical_accuracy', 'squared_hinge', 'top_k_categorical_accuracy']
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
def concordance_correlation(y_true: Any, y_pred: Any, axis: Any = -1) -> Tensor: ...
def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any: ...
def get(metric: str | Metric | type[Metric] | Mapping[str, Any]) -> Metric: ...
def pearson_correlation(y_true: Any, y_pred: Any, axis: Any = -1) -> Tensor: ...
def serialize(obj: Any) -> Any: ...
