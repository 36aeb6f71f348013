"""Losses as metrics: errors of regressions and likelihoods, averaged over samples; correlations and R squared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import DTypeLike

from ranvier.graph.node import Node, full
from ranvier.metrics.base import SampleMean, StateType
from ranvier.metrics.operands import WIDE, Array, as_columns, broadcast_weight, classes_of, is_labels, over_samples
from ranvier.ops import arrays as rn
from ranvier.ops.arrays.promotion import axes_of
from ranvier.ops.functional import losses_keras
from ranvier.support.function_classes import class_of, options_of

__all__ = [
    "BinaryCrossentropy", "CategoricalCrossentropy", "CategoricalHinge", "ConcordanceCorrelation", "CosineSimilarity",
    "Crossentropy", "Hinge", "KLDivergence", "LogCoshError", "MeanAbsoluteError", "MeanAbsolutePercentageError",
    "MeanSquaredError", "MeanSquaredLogarithmicError", "PearsonCorrelation", "Poisson", "R2Score",
    "RootMeanSquaredError", "SparseCategoricalCrossentropy", "SquaredHinge",
]  # fmt: skip


class _LossMean(SampleMean):
    """The mean of a loss's formula, made by `_mean_of`. The constructor takes the formula's options."""

    formula: ClassVar[Callable[..., Any]]
    options: ClassVar[tuple[str, ...]]
    sign: ClassVar[int]

    def __init__(self, *, name: str | None = None, dtype: DTypeLike | None = None, **options: Any) -> None:
        super().__init__(name, dtype)
        for key, value in options.items():
            setattr(self, key, value)

    def for_logits(self, exclusive: bool = False) -> SampleMean:
        if "from_logits" in self.options:
            self.from_logits = True
        return self

    def values(self, y_true: Node, y_pred: Node) -> Node:
        y_true = losses_keras.as_samples(type(self).formula, y_true, y_pred)
        result = type(self).formula(y_true, y_pred, **{name: getattr(self, name) for name in self.options})
        return result if self.sign > 0 else rn.negative(result)


def _mean_of(
    name: str,
    formula: Callable[..., Any],
    *options: str,
    sign: int = 1,
    called: str | None = None,
    base: type[_LossMean] = _LossMean,
) -> type[_LossMean]:
    """The class of this name: the mean of ``formula``, with those of its options."""
    about = "Minus: " if sign < 0 else "" if base is _LossMean else f"{base.__doc__} "
    own = {**options_of(SampleMean.__init__, 1), **options_of(formula, 2)}
    return class_of(
        base,
        name,
        [own[option] for option in ("name", "dtype", *options)],
        __doc__=f"{about}{formula.__doc__}",
        __module__=__package__,
        default_name=called or formula.__name__,
        formula=staticmethod(formula),
        options=options,
        sign=sign,
    )


class _RootLossMean(_LossMean):
    """The root of the mean."""

    def read(self, arrays: Sequence[Array]) -> float:
        return float(np.sqrt(super().read(arrays)))


BinaryCrossentropy = _mean_of("BinaryCrossentropy", losses_keras.binary_crossentropy, "from_logits", "label_smoothing")
CategoricalCrossentropy = _mean_of(
    "CategoricalCrossentropy", losses_keras.categorical_crossentropy, "from_logits", "label_smoothing"
)
SparseCategoricalCrossentropy = _mean_of(
    "SparseCategoricalCrossentropy", losses_keras.sparse_categorical_crossentropy, "from_logits"
)
KLDivergence = _mean_of("KLDivergence", losses_keras.kl_divergence)
Poisson = _mean_of("Poisson", losses_keras.poisson)
MeanSquaredError = _mean_of("MeanSquaredError", losses_keras.mean_squared_error)
RootMeanSquaredError = _mean_of(
    "RootMeanSquaredError", losses_keras.mean_squared_error, called="root_mean_squared_error", base=_RootLossMean
)
MeanAbsoluteError = _mean_of("MeanAbsoluteError", losses_keras.mean_absolute_error)
MeanAbsolutePercentageError = _mean_of("MeanAbsolutePercentageError", losses_keras.mean_absolute_percentage_error)
MeanSquaredLogarithmicError = _mean_of("MeanSquaredLogarithmicError", losses_keras.mean_squared_logarithmic_error)
LogCoshError = _mean_of("LogCoshError", losses_keras.log_cosh, called="logcosh")
CosineSimilarity = _mean_of("CosineSimilarity", losses_keras.cosine_similarity, "axis", sign=-1)
Hinge = _mean_of("Hinge", losses_keras.hinge)
SquaredHinge = _mean_of("SquaredHinge", losses_keras.squared_hinge)
CategoricalHinge = _mean_of("CategoricalHinge", losses_keras.categorical_hinge)


def _moments(y_true: Node, y_pred: Node, axis: Any) -> tuple[Node, ...]:
    """Along an axis: the covariance of targets and predictions, both variances, the squared distance of the means."""
    y, x = losses_keras.pair(y_true, y_pred)
    axes = axes_of(axis, x.ndim)
    if 0 in axes:
        raise ValueError(
            f"axis={axis!r} goes along the samples, of which a batch has some only. Write axis=-1, or 'r2_score' for "
            "what the outputs explain over all samples, instead."
        )
    means = [rn.mean(v, tuple(axes), True) for v in (y, x)]
    off = [rn.subtract(v, rn.broadcast_to(m, v.shape)) for v, m in zip((y, x), means, strict=True)]
    along = tuple(sorted(axes))
    apart = rn.mean(rn.square(rn.subtract(*means)), along)
    return rn.mean(rn.multiply(*off), along), *(rn.mean(rn.square(v), along) for v in off), apart


def _divide_or_zero(part: Node, whole: Node) -> Node:
    """The quotient, 0 where the denominator is 0."""
    known = rn.greater(whole, 0.0)
    return rn.where(known, rn.divide(part, rn.where(known, whole, 1.0)), 0.0)


def pearson_correlation(y_true: Node, y_pred: Node, axis: Any = -1) -> Node:
    """Pearson's correlation of each sample's outputs and targets along an axis: -1 to 1, and 0 if one is constant."""
    together, one, other, _ = _moments(y_true, y_pred, axis)
    return _divide_or_zero(together, rn.multiply(rn.sqrt(one), rn.sqrt(other)))


def concordance_correlation(y_true: Node, y_pred: Node, axis: Any = -1) -> Node:
    """Lin's concordance (1989) of each sample's outputs and targets along an axis: -1 to 1.

    It is their correlation, reduced by the distance from the diagonal.
    """
    together, one, other, apart = _moments(y_true, y_pred, axis)
    return _divide_or_zero(rn.multiply(together, 2.0), rn.add(rn.add(one, other), apart))


PearsonCorrelation = _mean_of("PearsonCorrelation", pearson_correlation, "axis")
ConcordanceCorrelation = _mean_of("ConcordanceCorrelation", concordance_correlation, "axis")


class Crossentropy(SampleMean):
    """The cross entropy, for targets of any form (see `Accuracy`).

    One output is compared with yes or no, several with a class number or a one-hot row. With ``from_logits`` the
    outputs are logits.
    """

    def __init__(self, name: str | None = None, dtype: DTypeLike | None = None, from_logits: bool = False) -> None:
        super().__init__(name, dtype)
        self.from_logits = from_logits

    def for_logits(self, exclusive: bool = False) -> SampleMean:
        self.from_logits = True
        return self

    def values(self, y_true: Node, y_pred: Node) -> Node:
        if classes_of(y_pred.shape[1:]) == 1:
            formula: Any = losses_keras.binary_crossentropy
        elif is_labels(y_true, y_pred):
            formula = losses_keras.sparse_categorical_crossentropy
        else:
            formula = losses_keras.categorical_crossentropy
        y_true = losses_keras.as_samples(formula, y_true, y_pred)
        return cast("Node", formula(y_true, y_pred, from_logits=self.from_logits))


AGGREGATIONS = ("uniform_average", "variance_weighted_average", None)


class R2Score(SampleMean):
    """The fraction of the targets' variance that the predictions explain: 1 is perfect, 0 is what their mean reaches.

    Several outputs give the mean ("uniform_average"), the mean weighted by their variances
    ("variance_weighted_average"), or one number each (None). ``num_regressors``, the number of inputs, makes it the
    adjusted R squared. For constant targets it is 1 if all predictions are exact and 0 otherwise.
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(name, dtype)
        if class_aggregation not in AGGREGATIONS:
            raise ValueError(
                f"class_aggregation={class_aggregation!r} does not exist. Write one of "
                f"{', '.join(map(repr, AGGREGATIONS))}."
            )
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors

    def states(self, output_shape: Sequence[int]) -> list[StateType]:
        return [((classes_of(output_shape),), WIDE)] * 5

    def update(self, states: Sequence[Node], y_true: Node, y_pred: Node, weight: Node | None) -> list[Node]:
        # float64, so that the variance is accurate beside a large mean
        y, x = (as_columns(rn.cast(v, WIDE)) for v in (y_true, y_pred))
        ones = full(1, y.shape, WIDE)
        parts = [ones, y, rn.square(y), rn.square(rn.subtract(y, x))]
        spread = broadcast_weight(weight, y)
        weighed = parts if spread is None else [p * spread for p in parts]
        return [s + over_samples(p) for s, p in zip(states, [*weighed, ones], strict=True)]

    def read(self, arrays: Sequence[Array]) -> Any:
        number, first, second, left, rows = arrays
        whole = second - first**2 / np.where(number > 0, number, 1)
        whole = np.where(whole > 1e-12 * second, whole, 0.0)
        each = np.where(whole > 0, 1 - left / np.where(whole > 0, whole, 1), np.where(left > 0, 0.0, 1.0))
        values = rows.sum()  # as Keras, which counts the values and not the samples
        spare = values - self.num_regressors - 1
        if self.num_regressors and spare > 0:
            each = 1 - (1 - each) * (values - 1) / spare
        if self.class_aggregation is None:
            return each
        by_variance = self.class_aggregation == "variance_weighted_average" and whole.sum() > 0
        return float(np.average(each, weights=whole if by_variance else None))
