"""The objective of an estimator: the weighted mean of a loss over a batch, and scikit-learn's penalty on weights."""

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

# The names of losses in scikit-learn. The estimators define "squared_error" of a regression and "log_loss".
SKLEARN_NAMES = {"absolute_error": "mean_absolute_error", "squared_error": "mean_squared_error"}


def named_loss(loss: Any) -> losses.Loss:
    """The loss with this name, here or in scikit-learn, or the instance itself."""
    return losses.get(SKLEARN_NAMES.get(loss, loss) if isinstance(loss, str) else loss)


class HalfSquaredError(losses.Loss):
    """Half the squared difference, summed over the outputs."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        difference = y_true - y_pred
        return 0.5 * arrays.sum(difference * difference, -1)


class SeveralCrossentropies(losses.Loss):
    """The sum of the cross entropies of blocks of logits. The targets are blocks of one-hot rows."""

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
def _add_to_mean(values: Node, penalty: Node) -> Node:
    """Add an equal part of the penalty to each value, so that the penalty / number of values is added to their mean."""
    part = penalty / count(values.shape, values.dtype)
    return values + apply("broadcast", part, shape=values.shape, axes=())


class Objective(losses.Loss):
    """The mean of ``loss`` over a batch, weighted by the sample weights, plus a penalty on the squared weights.

    As in scikit-learn, the penalty ``alpha / 2 * ||W||**2`` is divided by the sum of the sample weights of the batch
    (or its size). ``alpha`` is an input of the program, so that models with different values share it. ``times`` turns
    a mean over outputs into a sum.
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
        """Change the penalty, before the next ``fit``."""
        self.alpha.assign(np.asarray(alpha / 2, self.alpha.dtype))

    def per_sample(self, y_true: Any, y_pred: Any) -> Any:
        values = losses_of(self.loss, y_true, y_pred)
        if self.times > 1:
            values = values * float(self.times)
        if not self.parameters:
            return values
        squares = [arrays.sum(p * p) for p in self.parameters]
        return _add_to_mean(values, self.alpha * sum(squares[1:], start=squares[0]))


def penalized(parameters: Sequence[Any]) -> list[Any]:
    """The weights with a penalty: kernels, not biases, scales or shifts."""
    return [p for p in parameters if p.requires_grad and len(p.shape) > 1]
