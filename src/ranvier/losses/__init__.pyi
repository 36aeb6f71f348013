# Written by `python -m tests.stubs --write`; a test holds it against the code.
from collections.abc import Callable as Callable
from collections.abc import Mapping as Mapping
from ranvier.losses.base import Formula as Formula
from ranvier.losses.base import Loss as Loss
from ranvier.losses.base import LossFunction as LossFunction
from ranvier.losses.mixture import Mixture as Mixture
from ranvier.ops.functional.losses_focal import binary_focal_crossentropy as binary_focal_crossentropy
from ranvier.ops.functional.losses_focal import categorical_focal_crossentropy as categorical_focal_crossentropy
from ranvier.ops.functional.losses_focal import sparse_categorical_focal_crossentropy as sparse_categorical_focal_crossentropy
from ranvier.ops.functional.losses_keras import binary_crossentropy as binary_crossentropy
from ranvier.ops.functional.losses_keras import categorical_crossentropy as categorical_crossentropy
from ranvier.ops.functional.losses_keras import categorical_hinge as categorical_hinge
from ranvier.ops.functional.losses_keras import cosine_similarity as cosine_similarity
from ranvier.ops.functional.losses_keras import dice as dice
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
from ranvier.ops.functional.losses_keras import tversky as tversky
from ranvier.support.registry import Registry as Registry
from typing import Any as Any

__all__ = ['BinaryCrossentropy', 'BinaryFocalCrossentropy', 'CategoricalCrossentropy', 'CategoricalFocalCrossentropy', 'CategoricalHinge', 'CosineSimilarity', 'Dice', 'Hinge', 'Huber', 'KLDivergence', 'LogCosh', 'Loss', 'LossFunction', 'MeanAbsoluteError', 'MeanAbsolutePercentageError', 'MeanSquaredError', 'MeanSquaredLogarithmicError', 'Mixture', 'Poisson', 'SparseCategoricalCrossentropy', 'SparseCategoricalFocalCrossentropy', 'SquaredHinge', 'Tversky', 'binary_crossentropy', 'binary_focal_crossentropy', 'categorical_crossentropy', 'categorical_focal_crossentropy', 'categorical_hinge', 'cosine_similarity', 'dice', 'get', 'hinge', 'huber', 'kl_divergence', 'log_cosh', 'mean_absolute_error', 'mean_absolute_percentage_error', 'mean_squared_error', 'mean_squared_logarithmic_error', 'poisson', 'sparse_categorical_crossentropy', 'sparse_categorical_focal_crossentropy', 'squared_hinge', 'tversky']
class BinaryCrossentropy(Formula):
    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, reduction: str | None = 'sum_over_batch_size', name: str | None = None, dtype: str | None = None) -> None: ...
class BinaryFocalCrossentropy(Formula):
    def __init__(self, apply_class_balancing: bool = False, alpha: Any = 0.25, gamma: float = 2.0, from_logits: bool = False, label_smoothing: float = 0.0, reduction: str | None = 'sum_over_batch_size', name: str | None = None, dtype: str | None = None) -> None: ...
class CategoricalCrossentropy(Formula):
    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, reduction: str | None = 'sum_over_batch_size', name: str | None = None, dtype: str | None = None) -> None: ...
class CategoricalFocalCrossentropy(Formula):
    def __init__(self, alpha: Any = 0.25, gamma: float = 2.0, from_logits: bool = False, label_smoothing: float = 0.0, reduction: str | None = 'sum_over_batch_size', name: str | None = None, dtype: str | None = None) -> None: ...
class CategoricalHinge(Formula):
    def __init__(self, reduction: str | None = 'sum_over_batch_size', name: str | None = None, dtype: str | None = None) -> None: ...
class CosineSimilarity(Formula):
    def __init__(self, axis: int = -1, reduction: str | None = 'sum_over_batch_size', name: str | None = None, dtype: str | None = None) -> None: ...
class Dice(Formula):
    def __init__(self, axis: int | tuple[int, ...] | None = None, reduction: str | None = 'sum_over_batch_size', name: str | None = None, dtype: str | None = None) -> None: ...
class Hinge(Formula):
    def __init__(self, reduction: str | None = 'sum_over_batch_size', name: str | None = None, dtype: str | None = None) -> None: ...
class Huber(Formula):
    def __init__(self, delta: float = 1.0, reduction: str | None = 'sum_over_batch_size', name: str | None = None, dtype: str | None = None) -> None: ...
class KLDivergence(Formula):
    def __init__(self, reduction: str | None = 'sum_over_batch_size', name: str | None = None, dtype: str | None = None) -> None: ...
class LogCosh(Formula):
    def __init__(self, reduction: str | None = 'sum_over_batch_size', name: str | None = None, dtype: str | None = None) -> None: ...
class MeanAbsoluteError(Formula):
    def __init__(self, reduction: str | None = 'sum_over_batch_size', name: str | None = None, dtype: str | None = None) -> None: ...
class MeanAbsolutePercentageError(Formula):
    def __init__(self, reduction: str | None = 'sum_over_batch_size', name: str | None = None, dtype: str | None = None) -> None: ...
class MeanSquaredError(Formula):
    def __init__(self, reduction: str | None = 'sum_over_batch_size', name: str | None = None, dtype: str | None = None) -> None: ...
class MeanSquaredLogarithmicError(Formula):
    def __init__(self, reduction: str | None = 'sum_over_batch_size', name: str | None = None, dtype: str | None = None) -> None: ...
class Poisson(Formula):
    def __init__(self, reduction: str | None = 'sum_over_batch_size', name: str | None = None, dtype: str | None = None) -> None: ...
REGISTRY: Registry
class SparseCategoricalCrossentropy(Formula):
    def __init__(self, from_logits: bool = False, ignore_class: int | None = None, reduction: str | None = 'sum_over_batch_size', name: str | None = None, dtype: str | None = None) -> None: ...
class SparseCategoricalFocalCrossentropy(Formula):
    def __init__(self, alpha: Any = 0.25, gamma: float = 2.0, from_logits: bool = False, ignore_class: int | None = None, reduction: str | None = 'sum_over_batch_size', name: str | None = None, dtype: str | None = None) -> None: ...
class SquaredHinge(Formula):
    def __init__(self, reduction: str | None = 'sum_over_batch_size', name: str | None = None, dtype: str | None = None) -> None: ...
class Tversky(Formula):
    def __init__(self, alpha: float = 0.5, beta: float = 0.5, axis: int | tuple[int, ...] | None = None, reduction: str | None = 'sum_over_batch_size', name: str | None = None, dtype: str | None = None) -> None: ...
def get(loss: str | Loss | type[Loss] | Callable[..., Any] | Mapping[str, Any]) -> Loss: ...
