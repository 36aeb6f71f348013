"""NeuralRegressor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import column_or_1d

from ranvier import losses
from ranvier.data.convert import Array
from ranvier.estimators.base import NeuralEstimator
from ranvier.estimators.objective import HalfSquaredError, named_loss
from ranvier.layers import BytePairEncoding, TextVectorization
from ranvier.layers.annotations import ActivationLike
from ranvier.module import Module
from ranvier.optimizers import Optimizer
from ranvier.optimizers.schedules import LearningRateSchedule
from ranvier.training.loop.callback import Callback


class NeuralRegressor(RegressorMixin, NeuralEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A neural network as a scikit-learn regressor, for one target or several.

    It minimizes the same objective as MLPRegressor of scikit-learn, half the squared error plus ``alpha / 2 *
    ||W||**2`` divided by the samples of a batch, and stops by the same rule. Training is one compiled program. Targets
    should be of the order of 1: ``TransformedTargetRegressor(NeuralRegressor(), transformer=StandardScaler())`` scales
    them.

    Args:
        loss: "squared_error" (half the square, summed over targets), "poisson" (for counts; the last activation is
            exp), or a loss of `ranvier.losses`, by name or as an instance: "mae" ("absolute_error"), "huber".

    The other parameters and the attributes are those of `NeuralClassifier`, except ``class_weight`` and ``classes_``.
    The validation score is R**2.
    """

    def __init__(
        self, hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: ActivationLike | Sequence[ActivationLike] = "relu", *,
        model: Module | Callable[..., Module] | None = None, model_options: dict[str, Any] | None = None,
        dropout: float | Sequence[float] = 0.0, batch_norm: bool = False, loss: str | losses.Loss = "squared_error",
        alpha: float = 1e-4, optimizer: str | Optimizer = "adam",
        learning_rate: float | LearningRateSchedule | None = None, batch_size: int | str = "auto",
        max_iter: int = 200, shuffle: bool = True,
        tol: float | None = 1e-4, n_iter_no_change: float = 10, early_stopping: bool = False,
        validation_fraction: float = 0.1, warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None, verbose: bool | int = False,
        callbacks: Callback | Sequence[Callback] | None = None, dtype: str = "auto",
        vectorizer: TextVectorization | BytePairEncoding | None = None,
    ) -> None:  # fmt: skip
        self._store(locals())

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train one epoch on X, with the existing network and optimizer."""
        return self._first_or_next(X, y, sample_weight)

    def predict(self, X: Any) -> Array:
        """The predicted targets, in the shape of y."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self._single else outputs

    # --- methods of the base class --------------------------------------------------------------------------------

    def _encode(self, y: Array, classes: Any, fresh: bool) -> Array:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(
                f"some values of y are out of the valid range of loss='poisson': {y.min()} is below 0. Write counts, "
                "or loss='squared_error', instead."
            )
        if fresh:
            self._single, self._columns = y.ndim == 1, 1 if y.ndim == 1 else y.shape[1]
        columns = 1 if y.ndim == 1 else y.shape[1]
        if columns != self._columns:
            raise ValueError(f"y has {columns} columns, and in fit it had {self._columns}.")
        return y.reshape(len(y), -1)

    def _output_spec(self) -> tuple[Sequence[int], str | None]:
        return [self._columns], "exponential" if self.loss == "poisson" else None

    def _loss(self, width: int) -> tuple[losses.Loss, int]:
        if self.loss in ("squared_error", "poisson"):
            return (HalfSquaredError(), 1) if self.loss == "squared_error" else (losses.Poisson(), width)
        return named_loss(self.loss), 1

    def _targets(self, coded: Array) -> Array:
        return coded

    def _scored(self, coded: Array, outputs: Array, weight: Array | None) -> float:
        """R**2, the mean over targets. For a constant target it is 1 where all predictions are exact, else 0."""
        coded = coded.astype(np.float64)
        residual = np.average((coded - outputs) ** 2, axis=0, weights=weight)
        total = np.average((coded - np.average(coded, axis=0, weights=weight)) ** 2, axis=0, weights=weight)
        with np.errstate(divide="ignore", invalid="ignore"):
            each = np.where(total > 0, 1 - residual / total, (residual == 0).astype(np.float64))
        return float(each.mean())
