"""Loss, the base of all losses; and losses made from formulas, whose constructor takes the formula's options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ranvier.graph.dtypes import STORAGE
from ranvier.losses.mixture import each
from ranvier.losses.reduction import REDUCTIONS, reduced
from ranvier.ops.arrays import cast, greater
from ranvier.ops.functional.losses_keras import as_samples, logits_of, not_of_class
from ranvier.support.errors import snake_case
from ranvier.support.function_classes import class_of, options_of
from ranvier.support.registry import Configured
from ranvier.tensor.context import get_dtype
from ranvier.tensor.masks import mask_of


class Loss(Configured):
    """The base of all losses. A subclass defines ``call(y_true, y_pred)``, which returns one value for each sample.

    ``reduction`` makes one number of the values: "sum_over_batch_size" (or "mean") divides the weighted sum by the
    number of values, "mean_with_sample_weight" by the sum of the weights, "sum" by nothing; "none" returns the values.
    If the divisor is 0 (all weights are 0, or all labels ``ignore_class``), the loss is 0. Where the mask of ``y_pred``
    is false, nothing counts, in the divisor neither.
    """

    # What y_true holds: dense "targets", integer "labels" of each place, "groups", which are labels that no output
    # stands for, or "sequences" of labels without places.
    kind: ClassVar[str] = "targets"
    maker: ClassVar[str | None] = None  # the activation whose logits this loss can use
    from_logits: bool = False

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: str | None = None
    ) -> None:
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"reduction {reduction!r} does not exist. Write one of {', '.join(map(repr, REDUCTIONS))}."
            )
        if dtype not in (None, get_dtype()):
            raise ValueError(
                f"{type(self).__name__}(dtype={dtype!r}): losses are computed in the dtype of the outputs. Write "
                "rv.set_dtype('float64') before the model is made, or leave it out, instead."
            )
        self.name = name or snake_case(type(self).__name__)
        self.reduction = reduction

    def call(self, y_true: Any, y_pred: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no method call. Write 'def call(self, y_true, y_pred)'.")

    def per_sample(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each sample, (N, ...), as `fit` takes it; for mixed labels, the mixture of the losses."""
        return each(lambda y: self.call(y, y_pred), y_true)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        mask = mask_of(y_pred)
        if getattr(y_pred, "dtype", None) in STORAGE:  # losses are float32, as in Keras
            y_pred = cast(y_pred, get_dtype())
        losses = each(lambda y: self.call(y, y_pred), y_true)
        counted = each(lambda y: self.counted(y, losses), y_true)
        return reduced(losses, sample_weight, counted, self.reduction, mask)

    def counted(self, y_true: Any, losses: Any) -> Any:
        """1 for each sample that a mean counts and 0 for the others; None if it counts all."""
        return None

    @property
    def weighs_classes(self) -> bool:
        """Whether the loss weighs the classes."""
        return False

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        known = inspect.signature(type(self).__init__).parameters
        passed = any(p.kind is p.VAR_KEYWORD for p in known.values())  # options for this constructor
        names = dict.fromkeys([*known, *(("reduction", "name") if passed else ())])
        return {name: getattr(self, name) for name in names if hasattr(self, name)}

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


# --- losses made from formulas ------------------------------------------------------------------------------------


class Formula(Loss):
    """A loss that is a function of (y_true, y_pred, options), made by `loss_of`.

    The constructor takes the function's options, then ``reduction``, ``name`` and ``dtype``; all but the last are
    attributes.
    """

    formula: ClassVar[Callable[..., Any]]
    options: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name or type(self).formula.__name__, reduction, dtype)
        for key, value in options.items():
            check = _CHECKS.get(key)
            setattr(self, key, value if check is None else check(value, key))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        given = {name: getattr(self, name) for name in self.options}
        if self.maker is not None and not self.from_logits:
            logits = logits_of(y_pred, self.maker)
            if logits is not None:
                y_pred, given["from_logits"] = logits, True
        return type(self).formula(y_true, y_pred, **given)

    def per_sample(self, y_true: Any, y_pred: Any) -> Any:
        return each(lambda y: self.call(as_samples(type(self).formula, y, y_pred), y_pred), y_true)

    @property
    def weighs_classes(self) -> bool:
        return isinstance(getattr(self, "alpha", None), tuple) or getattr(self, "apply_class_balancing", False)

    def counted(self, y_true: Any, losses: Any) -> Any:
        ignored = getattr(self, "ignore_class", None)
        return None if ignored is None else not_of_class(y_true, ignored)


class OfPositive(Formula):
    """A loss whose mean counts the samples alone that have one above 0."""

    def counted(self, y_true: Any, losses: Any) -> Any:
        return cast(greater(losses, 0), get_dtype())


def loss_of(
    name: str,
    formula: Callable[..., Any],
    *,
    kind: str = "targets",
    maker: str | None = None,
    options: tuple[str, ...] | None = None,
    base: type[Formula] = Formula,
) -> type[Formula]:
    """The class of this name for a formula, with its docstring; the constructor's first arguments are its options.

    ``options`` names those that the class has, in its order; ``base`` may be a subclass that overrides a method.
    """
    own = options_of(formula, 2)
    own = own if options is None else {key: own[key] for key in options}
    shared = options_of(Loss.__init__, 1)
    return class_of(
        base,
        name,
        [*own.values(), *(shared[key] for key in ("reduction", "name", "dtype"))],
        __doc__=formula.__doc__,
        __module__=__package__,
        formula=staticmethod(formula),
        options=tuple(own),
        kind=kind,
        maker=maker,
    )


def _fraction(value: float, what: str) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"{what} {value!r} is out of range. Write a number from 0 to 1.")
    return value


def _inner_fraction(value: float, what: str) -> float:
    if not 0 < value < 1:
        raise ValueError(f"{what} {value!r} is out of range. Write a number between 0 and 1, such as 0.5.")
    return value


def _exponent(value: float, what: str) -> float:
    if not 0 <= value < float("inf"):
        raise ValueError(f"{what} {value!r}: write a number of 0 or more, such as 2.0.")
    return value


def _balance(value: Any, what: str) -> float | tuple[float, ...]:
    """One factor, or a tuple of one for each class."""
    array = np.asarray(value, np.float64)
    if array.ndim > 1 or not np.isfinite(array).all() or (array < 0).any():
        raise ValueError(f"{what} {value!r}: write a number of 0 or more, or a list with one for each class.")
    return tuple(array.tolist()) if array.ndim else float(array)


_CHECKS: dict[str, Callable[[Any, str], Any]] = {
    "label_smoothing": _fraction,
    "gamma": _exponent,
    "alpha": _balance,
    "beta": _exponent,
    "q": _inner_fraction,
}
