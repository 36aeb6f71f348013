"""Losses in Keras's vocabulary: classes, functions, and `get` by name."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable
from typing import Any, ClassVar

from ranvier import numeric
from ranvier.losses.formulas import (
    average,
    binary_crossentropy,
    categorical_crossentropy,
    categorical_hinge,
    cosine_similarity,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    logits_of,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    not_of_class,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
    weigh,
)

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "LossFunction",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "binary_crossentropy",
    "categorical_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]

REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)


class Loss:
    """The base of all losses. A subclass says ``call(y_true, y_pred)``: one value for each sample.

    ``reduction`` makes one number of them: "sum_over_batch_size" (or "mean") divides the weighted sum by the number of
    losses, "mean_with_sample_weight" by the sum of the weights, "sum" by nothing; "none" leaves them.
    """

    kind: ClassVar[str] = "targets"  # what y_true holds: dense "targets", or integer "labels"
    maker: ClassVar[str | None] = None  # the activation whose input this loss can take as logits
    from_logits: bool = False

    def __init__(self, name: str | None = None, reduction: str | None = "sum_over_batch_size") -> None:
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"reduction {reduction!r} does not exist. Write one of {', '.join(map(repr, REDUCTIONS))}."
            )
        self.name = name or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()
        self.reduction = reduction

    def call(self, y_true: Any, y_pred: Any) -> Any:
        raise NotImplementedError(
            f"{type(self).__name__} must say what its loss is: write 'def call(self, y_true, y_pred)'."
        )

    def per_sample(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each sample, (N, ...)."""
        return self.call(y_true, y_pred)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        losses = self.per_sample(y_true, y_pred)
        if sample_weight is not None:
            losses = weigh(losses, sample_weight)
        if self.reduction in ("none", None):
            return losses
        total = numeric.sum(losses)
        if self.reduction == "sum":
            return total
        counted = self.counted(y_true)
        if self.reduction == "mean_with_sample_weight" and sample_weight is not None:
            weights = sample_weight if counted is None else weigh(counted, sample_weight)
            return numeric.divide(total, numeric.sum(weights))
        return average(losses) if counted is None else numeric.divide(total, numeric.sum(counted))

    def counted(self, y_true: Any) -> Any:  # noqa: ARG002  # subclasses look at it
        """1 for each sample that a mean counts and 0 for the others; None when it counts all."""
        return None

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            name: getattr(self, name)
            for name in inspect.signature(type(self).__init__).parameters
            if name != "self"
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.config().items())})"


class LossFunction(Loss):
    """Any Python function of (y_true, y_pred) as a loss."""

    def __init__(
        self, fn: Callable[..., Any], reduction: str | None = "sum_over_batch_size", name: str | None = None
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", "loss"), reduction)
        self.fn = fn

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.fn(y_true, y_pred)


class _Formula(Loss):
    """A loss that is one of `formulas`, with the options that are its attributes."""

    formula: ClassVar[Callable[..., Any]]
    options: ClassVar[tuple[str, ...]] = ()

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = None) -> None:
        super().__init__(name or type(self).formula.__name__, reduction)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        given = {name: getattr(self, name) for name in self.options}
        if self.maker is not None and not self.from_logits:
            logits = logits_of(y_pred, self.maker)
            if logits is not None:
                y_pred, given["from_logits"] = logits, True
        return type(self).formula(y_true, y_pred, **given)


def _share(value: float, what: str) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"{what} {value!r} is no share. Write a number from 0 to 1.")
    return value


class SparseCategoricalCrossentropy(_Formula):
    """Cross entropy of integer labels (N, ...) and scores (N, ..., classes): probabilities, or logits."""

    kind, maker, options = "labels", "softmax", ("from_logits", "ignore_class")
    formula = sparse_categorical_crossentropy

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        self.from_logits, self.ignore_class = from_logits, ignore_class

    def counted(self, y_true: Any) -> Any:
        return None if self.ignore_class is None else not_of_class(y_true, self.ignore_class)


class CategoricalCrossentropy(_Formula):
    """Cross entropy of target probabilities and scores, both (N, ..., classes): probabilities, or logits."""

    maker, options = "softmax", ("from_logits", "label_smoothing")
    formula = categorical_crossentropy

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        self.from_logits, self.label_smoothing = from_logits, _share(label_smoothing, "label_smoothing")


class BinaryCrossentropy(_Formula):
    """Cross entropy of independent yes or no targets in [0, 1] and probabilities, or logits."""

    maker, options = "sigmoid", ("from_logits", "label_smoothing")
    formula = binary_crossentropy

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        self.from_logits, self.label_smoothing = from_logits, _share(label_smoothing, "label_smoothing")


class MeanSquaredError(_Formula):
    """The squared difference."""

    formula = mean_squared_error


class MeanAbsoluteError(_Formula):
    """The absolute difference."""

    formula = mean_absolute_error


class MeanAbsolutePercentageError(_Formula):
    """The absolute difference in percent of the target's size."""

    formula = mean_absolute_percentage_error


class MeanSquaredLogarithmicError(_Formula):
    """The squared difference of ``log(1 + value)``."""

    formula = mean_squared_logarithmic_error


class LogCosh(_Formula):
    """``log(cosh(difference))``."""

    formula = log_cosh


class Huber(_Formula):
    """Half the squared difference up to ``delta``, then linear (Huber, 1964)."""

    formula, options = huber, ("delta",)

    def __init__(
        self, delta: float = 1.0, reduction: str | None = "sum_over_batch_size", name: str | None = None
    ) -> None:
        super().__init__(reduction, name)
        self.delta = delta


class Hinge(_Formula):
    """``max(1 - y * x, 0)`` for targets of -1 and 1 (or 0 and 1)."""

    formula = hinge


class SquaredHinge(_Formula):
    """The square of `Hinge`'s terms."""

    formula = squared_hinge


class CategoricalHinge(_Formula):
    """``max(highest wrong score - right score + 1, 0)`` for one-hot targets."""

    formula = categorical_hinge


class KLDivergence(_Formula):
    """The divergence of target probabilities from predicted ones."""

    formula = kl_divergence


class Poisson(_Formula):
    """``x - y * log(x)`` for counts y and rates x."""

    formula = poisson


class CosineSimilarity(_Formula):
    """Minus the cosine of the angle between targets and predictions along an axis."""

    formula, options = cosine_similarity, ("axis",)

    def __init__(
        self, axis: int = -1, reduction: str | None = "sum_over_batch_size", name: str | None = None
    ) -> None:
        super().__init__(reduction, name)
        self.axis = axis


_OTHER_NAMES = {
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "msle": MeanSquaredLogarithmicError,
    "bce": BinaryCrossentropy,
    "kld": KLDivergence,
    "logcosh": LogCosh,
    "huber_loss": Huber,
}


def names() -> dict[str, type[_Formula]]:
    """Every name that `get` knows, and its class."""
    classes = [c for c in map(globals().get, __all__) if isinstance(c, type) and issubclass(c, _Formula)]
    known = {c.formula.__name__: c for c in classes} | {c.__name__: c for c in classes}
    return known | _OTHER_NAMES | {k.upper(): v for k, v in _OTHER_NAMES.items() if len(k) < 5}


def get(loss: Any) -> Loss:
    """The loss of this name or class; a `Loss` is returned as it is, any other function is wrapped.

    Raises ValueError naming the nearest name that exists, TypeError for anything else.
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, type) and issubclass(loss, Loss):
        return loss()
    known = names()
    if callable(loss):
        by_function = {c.formula: c for c in known.values()}
        return by_function[loss]() if loss in by_function else LossFunction(loss)
    if not isinstance(loss, str):
        raise TypeError(
            f"a loss is a name or a function, not {loss!r}. Write 'mean_squared_error', for example."
        )
    if loss not in known:
        near = difflib.get_close_matches(loss, known, 1, 0.4) or ["mean_squared_error"]
        raise ValueError(f"loss {loss!r} does not exist. Write {near[0]!r} instead?")
    return known[loss]()
