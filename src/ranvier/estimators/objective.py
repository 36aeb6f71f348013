"""What an estimator minimizes: a loss, its weighted mean over a batch, and scikit-learn's penalty on the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier import losses
from ranvier.graph.node import Node, apply
from ranvier.ops import arrays
from ranvier.ops.arrays.promotion import count
from ranvier.tensor.context import get_dtype
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor
from ranvier.training.step.placeholders import losses_of

__all__ = ["HalfSquaredError", "Objective", "SeveralCrossentropies", "named_loss", "penalized"]


# What scikit-learn calls losses; "squared_error" of a regression and "log_loss" are an estimator's own.
SKLEARN_NAMES = {"absolute_error": "mean_absolute_error", "squared_error": "mean_squared_error"}


def named_loss(loss: Any) -> losses.Loss:
    """The loss by any name that it has here or in scikit-learn, or the instance itself."""
    return losses.get(SKLEARN_NAMES.get(loss, loss) if isinstance(loss, str) else loss)


class HalfSquaredError(losses.Loss):
    """Half the squared difference, summed over the outputs."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        difference = y_true - y_pred
        return 0.5 * arrays.sum(difference * difference, -1)


class SeveralCrossentropies(losses.Loss):
    """The cross entropies of blocks of logits, side by side, added; the targets are blocks of one-hot rows."""

    from_logits = True

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.sizes = list(sizes)
        self.each = losses.CategoricalCrossentropy(from_logits=True)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        total, start = None, 0
        for size in self.sizes:
            block = slice(start, start + size)
            value = self.each.call(y_true[:, block], y_pred[:, block])
            total, start = value if total is None else total + value, start + size
        return total


@function
def _shared_out(values: Node, penalty: Node) -> Node:
    """Each value plus an equal share, so that their mean is the mean of the values plus penalty / number of values."""
    share = penalty / count(values.shape, values.dtype)
    return values + apply("broadcast", share, shape=values.shape, axes=())


class Objective(losses.Loss):
    """The mean of ``loss`` over a batch, weighted by the samples, plus ``alpha / 2`` of the squared weights a sample.

    That is scikit-learn's objective: the penalty ``alpha / 2 * ||W||**2`` is divided by the sum of the batch's weights
    (its size, where there are none). ``alpha`` is an input of the program, so that models that differ in it share one.
    ``times`` turns a mean over outputs into a sum.
    """

    def __init__(self, loss: losses.Loss, alpha: float, parameters: Sequence[Any], times: int = 1) -> None:
        super().__init__(loss.name, "mean_with_sample_weight")
        self.loss, self.times = loss, times
        self.kind, self.maker, self.from_logits = loss.kind, loss.maker, loss.from_logits  # type: ignore[misc]
        self.penalizes = bool(alpha)
        self.parameters = penalized(parameters) if alpha else []
        self.alpha = Tensor.wrap(np.zeros((), get_dtype()))
        self.set_alpha(alpha)

    def set_alpha(self, alpha: float) -> None:
        """Give the penalty another size, before the next ``fit``."""
        self.alpha.assign(np.asarray(alpha / 2, self.alpha.dtype))

    def per_sample(self, y_true: Any, y_pred: Any) -> Any:
        values = losses_of(self.loss, y_true, y_pred)
        if self.times > 1:
            values = values * float(self.times)
        if not self.parameters:
            return values
        squares = [arrays.sum(p * p) for p in self.parameters]
        return _shared_out(values, self.alpha * sum(squares[1:], start=squares[0]))


def penalized(parameters: Sequence[Any]) -> list[Any]:
    """The weights that the penalty is on: kernels, not biases, scales or shifts."""
    return [p for p in parameters if p.requires_grad and len(p.shape) > 1]
