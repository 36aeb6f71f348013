"""The base class of the classifier and the regressor: fit, partial_fit, outputs, and pickled state."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_is_fitted

from ranvier import losses
from ranvier.data.convert import Array
from ranvier.data.targets import as_weights
from ranvier.estimators.network import custom_network, from_state, hidden_network, optimizer_state, resume, to_state
from ranvier.estimators.objective import Objective
from ranvier.estimators.samples import SparseBatches, is_sparse, to_predict, warn_of_sparse, with_weight
from ranvier.estimators.settings import (
    ADVICE,
    HINTS,
    check_settings,
    fresh_optimizer,
    hidden_sizes,
    seed_from,
    tried_before,
)
from ranvier.estimators.stopping import Scoring, Stopping, release
from ranvier.estimators.texts import numbers_of
from ranvier.estimators.validation import checked_pair, validated
from ranvier.layers import Dense
from ranvier.module import Module
from ranvier.support import rows
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.source_lines import warn
from ranvier.tensor import rng
from ranvier.tensor.context import dtype_scope
from ranvier.tensor.rng import SeedState, seed_scope

# The names of activations in scikit-learn.
OUT = {"sigmoid": "logistic", "exponential": "exp", "logits": "identity", None: "identity"}

FEW = 200  # the most samples for which dtype="auto" keeps float64, whose cost is then small

# Checks of complete data, which do not apply to a part in `partial_fit`: one class, few classes, constant columns.
PARTIAL = ("RV204", "RV205", "RV304", "RV305", "RV306", "RV307")


class NeuralEstimator(CheckedConstructor, BaseEstimator):  # type: ignore[misc]  # scikit-learn is optional and has no types
    """The base of `NeuralClassifier` and `NeuralRegressor`, which describe the parameters."""

    model_: Module
    loss_curve_: list[float]
    validation_scores_: list[float] | None

    _hints = HINTS
    _classifies = False
    _length: int | None = None  # of the sequences in fit
    _sparse = False  # whether fit was given a sparse matrix, and warned of it

    def _store(self, arguments: dict[str, Any]) -> None:
        """Store the arguments of a constructor as attributes, which scikit-learn requires."""
        for name, value in arguments.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    # --- methods of the subclasses --------------------------------------------------------------------------------

    def _encode(self, y: Array, classes: Any, fresh: bool) -> Array:
        """Encode targets as arrays of numbers. With ``fresh``, learn the encoding first."""
        raise NotImplementedError

    def _output_spec(self) -> tuple[Sequence[int], str | None]:
        """The numbers of outputs that a network may have, and its last activation."""
        raise NotImplementedError

    def _loss(self, width: int) -> tuple[losses.Loss, int]:
        """The loss of a network with ``width`` outputs, and the factor of its mean over outputs."""
        raise NotImplementedError

    def _targets(self, coded: Array) -> Array:
        """The targets of the loss."""
        raise NotImplementedError

    def _scored(self, coded: Array, outputs: Array, weight: Array | None) -> float:
        """The validation score of the outputs."""
        raise NotImplementedError

    def _class_names(self) -> Sequence[Any] | None:
        """The classes by their numbers in the targets; None without such numbers."""
        return None

    def _class_weights(self, y: Array, incremental: bool) -> Array | None:
        return None

    # --- fit ------------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: Any = None) -> Self:
        """Train a new network, or with ``warm_start`` the existing one.

        ``X`` is an array, a frame or a sparse matrix (samples, features), or texts, a list or array of str, which the
        ``vectorizer`` maps to numbers. With ``model`` it may have more dimensions, or be a list of sequences of several
        lengths, which are padded with zeros to the longest; longer ones are cut later, with a warning.
        ``sample_weight`` has one weight for each sample; samples with weight 0 are ignored. ``validation_data`` is
        (X, y) or (X, y, sample_weight). It is scored after every epoch (``validation_scores_``), and ``early_stopping``
        uses it instead of a part of X. Callbacks receive its score as "val_score" and its loss as "val_loss".
        """
        fresh = not self.warm_start or not hasattr(self, "model_")
        return self._train(X, y, sample_weight, validation_data, fresh=fresh)

    def _train(
        self, X: Any, y: Any, sample_weight: Any, validation_data: Any, *, fresh: bool, incremental: bool = False,
        classes: Any = None,
    ) -> Self:  # fmt: skip
        check_settings(self)
        before = dict(self.__dict__)
        if fresh:
            self.__dict__.pop("loss_curve_", None)
        try:
            self._trained(X, y, sample_weight, validation_data, fresh, incremental, classes)
        except BaseException:
            if fresh and "loss_curve_" not in self.__dict__:
                begun = self.__dict__.get("model_") is not before.get("model_")
                self.__dict__.clear()  # the former network needs the labels of its fit
                self.__dict__.update(before)
                if begun:  # failed training leaves no network that looks trained
                    self.__dict__.pop("model_", None)
            raise
        self._calls += 1
        return self

    def _trained(
        self, X: Any, y: Any, sample_weight: Any, validation_data: Any, fresh: bool, incremental: bool, classes: Any
    ) -> None:  # fmt: skip
        warned = not fresh and self._sparse
        given = X
        X, y = self._checked(X, y, reset=fresh)
        self._sparse = is_sparse(X)
        if is_sparse(given) and not warned:
            warn_of_sparse()
        weight = None if sample_weight is None else as_weights(sample_weight, len(y), dtype=np.float64)
        X, y, weight = with_weight(X, y, weight)
        by_class = self._class_weights(y, incremental)
        if by_class is not None:
            X, y, weight = with_weight(X, y, by_class if weight is None else weight * by_class)
        if fresh:
            self._calls = 0
            few = len(y) <= FEW and X.dtype == np.float64
            self._floats = self.dtype if self.dtype != "auto" else "float64" if few else "float32"
        coded = self._encode(y, classes, fresh)
        seed, chosen = seed_from(self.random_state, self._calls)
        with self._running(SeedState(seed, chosen)):
            data = (X, coded, weight)
            validation = None if validation_data is None else self._validation(validation_data)
            if self.early_stopping and validation is None:
                data, validation = self._split(data, seed)
            mean = 1.0 if data[2] is None else float(data[2].mean(dtype=np.float64))
            if fresh:
                self.model_, self.n_outputs_ = self._network(X.shape[1:])
            self._compile(incremental and not fresh, mean)
            self._run(data, validation, incremental=incremental, fresh=fresh)

    @contextlib.contextmanager
    def _running(self, source: SeedState) -> Iterator[None]:
        """Use the random numbers and the dtype of this estimator, in this thread only."""
        with seed_scope(source), dtype_scope(self._floats):
            yield

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Any, Array]:
        return checked_pair(
            self, numbers_of(self, X, reset), y, self._classifies, reset=reset, allow_nd=self.model is not None
        )

    def _validation(self, given: Any) -> tuple[Array, Array, Array | None]:
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
            raise TypeError(
                "validation_data must be (X, y) or (X, y, sample_weight). Write validation_data=(X_val, y_val)."
            )
        X, y = self._checked(given[0], given[1], reset=False)
        if is_sparse(given[0]) and not self._sparse:
            warn_of_sparse()
        weight = given[2] if len(given) == 3 else None
        weight = None if weight is None else as_weights(weight, len(y), dtype=np.float64)
        X, y, weight = with_weight(X, y, weight)
        return X, self._encode(y, None, False), weight

    def _split(self, data: tuple[Any, ...], seed: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Divide the samples into training and validation samples, stratified by class."""
        X, coded, weight = data
        stratify = coded if self._classifies and coded.ndim == 1 else None
        rows = np.arange(len(coded))
        kept, held = train_test_split(
            rows, test_size=self.validation_fraction, random_state=seed % 2**32, stratify=stratify
        )
        if len(held) < 2:
            raise ValueError(
                f"the validation set has {len(held)} sample{'s' * (len(held) != 1)}. Write a larger "
                "validation_fraction, or validation_data=(X_val, y_val), instead."
            )
        parts = [tuple(None if a is None else a[r] for a in (X, coded, weight)) for r in (kept, held)]
        return parts[0], parts[1]

    def _network(self, shape: Sequence[int]) -> tuple[Module, int]:
        """A new network for samples of this shape, and the number of its outputs."""
        widths, end = self._output_spec()
        if self.model is not None:
            return custom_network(self.model, self.model_options, shape, widths, end)
        sizes = hidden_sizes(self.hidden_layer_sizes)
        network = hidden_network(
            shape, sizes, widths[0], None if end == "logits" else end, activation=self.activation,
            dropout=self.dropout, batch_norm=self.batch_norm,
        )  # fmt: skip
        return network, widths[0]

    def _compile(self, incremental: bool, mean_weight: float) -> None:
        """Compile the network, unless its loss and optimizer continue, and set the penalty for the mean weight."""
        objective = getattr(self, "_objective", None)
        if incremental and objective is not None and bool(self.alpha) != objective.penalizes:
            self._resumed = optimizer_state(self.model_)  # with or without a penalty the program differs
            objective = None
        if not incremental or objective is None:
            loss, times = self._loss(self.n_outputs_)
            objective = Objective(loss, self.alpha, list(self.model_.parameters()), times)
            self.model_.compile(fresh_optimizer(self.optimizer, self.learning_rate), objective)
            state = self.model_._compiled
            state.advice, state.class_names = ADVICE, self._class_names()
            resumed = self.__dict__.pop("_resumed", None)
            if incremental:
                resume(self.model_, resumed)
        elif self.learning_rate is not None:
            self.model_._compiled.optimizer.learning_rate = self.learning_rate
        self._objective = objective
        objective.set_alpha(self.alpha / mean_weight)

    def _run(self, data: tuple[Any, ...], validation: Any, *, incremental: bool, fresh: bool) -> None:
        X, coded, weight = data
        batch = min(len(coded), 200 if self.batch_size == "auto" else int(self.batch_size))
        ignore = [*PARTIAL] if incremental else []
        own = self.callbacks if isinstance(self.callbacks, (list, tuple)) else [self.callbacks]
        own = [callback for callback in own if callback is not None]
        scoring: Scoring | None = None
        watched: Any = None
        if validation is not None:
            x_val, coded_val, weight_val = validation
            scoring = Scoring(lambda: self._scored(coded_val, self.model_.predict(to_predict(x_val)), weight_val))
            if any(str(getattr(c, "monitor", "val_")).startswith("val_") for c in own):  # they may use val_loss
                watched = x_val, self._targets(coded_val), weight_val
                if is_sparse(x_val):
                    watched = SparseBatches(x_val, watched[1:], batch)
        if tried_before(self, X.shape[1:], self.n_outputs_):
            ignore.append("RV5")
        tol = None if incremental else self.tol
        stop = Stopping(tol, self.n_iter_no_change, scoring, restore=self.early_stopping)
        callbacks = [*([] if scoring is None else [scoring]), *own, stop]
        given: dict[str, Any] = {"x": X, "y": self._targets(coded), "sample_weight": weight, "batch_size": batch}
        if is_sparse(X):
            generator = rng.numpy_generator("shuffle") if self.shuffle else None
            given = {"x": SparseBatches(X, (given["y"], weight), batch, generator)}
        try:
            self.model_.fit(
                **given, epochs=1 if incremental else self.max_iter, verbose=int(self.verbose), shuffle=self.shuffle,
                callbacks=callbacks, ignore=ignore, validation_data=watched,
                check_finite=False,  # validate_data checks this, unless scikit-learn is configured otherwise
            )  # fmt: skip
        except KeyboardInterrupt:
            if stop.losses:  # the network is usable
                stop.on_train_end()
                self._note(stop, len(coded), incremental=incremental, fresh=fresh, interrupted=True)
            raise
        finally:
            release(callbacks)
        self._note(stop, len(coded), incremental=incremental, fresh=fresh)

    def _note(self, stop: Stopping, samples: int, *, incremental: bool, fresh: bool, interrupted: bool = False) -> None:
        """Set the fitted attributes. A network that continues training keeps its curves."""
        continues = not fresh and hasattr(self, "loss_curve_")
        before = self.loss_curve_ if continues else []
        scored = (self.validation_scores_ or []) if continues else []
        self.loss_curve_ = [*before, *stop.losses]
        self.validation_scores_ = None if stop.scoring is None else [*scored, *stop.scores]
        self.t_ = (getattr(self, "t_", 0) if continues else 0) + samples * len(stop.losses)
        self.loss_ = stop.losses[-1]
        self.best_loss_ = min(self.loss_curve_)
        self.best_validation_score_ = max(self.validation_scores_ or [], default=None)
        self.n_iter_ = len(self.loss_curve_) if incremental else len(stop.losses)
        ran_out = len(stop.losses) == self.max_iter and not (stop.stopped or interrupted)
        if self.tol is not None and ran_out and not incremental:
            what = "validation score" if self.early_stopping else "training loss"
            warn(
                f"max_iter={self.max_iter} epochs were run and the {what} may still improve. Write a larger "
                "max_iter, or tol=None to always run max_iter epochs.",
                ConvergenceWarning,
            )

    def _first_or_next(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> Self:
        """Train one epoch on X, for ``partial_fit``."""
        if self.early_stopping:
            raise ValueError(
                "partial_fit does not support early_stopping=True, because it runs one epoch. Write "
                "early_stopping=False, or fit, instead."
            )
        fresh = not hasattr(self, "model_")
        return self._train(X, y, sample_weight, None, fresh=fresh, incremental=True, classes=classes)

    # --- outputs --------------------------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> Array:
        """The outputs of the network for X: (samples, outputs)."""
        check_is_fitted(self, "model_")
        numbers = numbers_of(self, X, False)
        checked = validated(self, numbers, classifies=True, reset=False, allow_nd=self.model is not None)
        if is_sparse(X) and not self._sparse:
            warn_of_sparse()
        with dtype_scope(self._floats):
            outputs: Array = self.model_.predict(to_predict(checked))
        return outputs

    @property
    def _dense(self) -> list[Dense]:
        network = getattr(self, "model_", None)
        if network is None or self.model is not None:
            raise AttributeError(
                "coefs_, intercepts_, n_layers_ and out_activation_ exist after fit, and for hidden_layer_sizes. "
                "Write model_.get_weights() for the weights of any network."
            )
        return [m for m in network.modules() if isinstance(m, Dense)]

    @property
    def coefs_(self) -> list[Array]:
        """Copies of the kernels, (in, out), of a network of ``hidden_layer_sizes``."""
        return [layer.kernel.numpy() for layer in self._dense]

    @property
    def intercepts_(self) -> list[Array]:
        """Copies of the biases. They are zeros with batch normalization, which has the bias."""
        return [
            np.zeros(layer.units, layer.kernel.dtype) if layer.bias is None else layer.bias.numpy()
            for layer in self._dense
        ]

    @property
    def n_layers_(self) -> int:
        """The number of layers of a network of ``hidden_layer_sizes``, including its input."""
        return len(self._dense) + 1

    @property
    def out_activation_(self) -> str:
        """The last activation of a network of ``hidden_layer_sizes``, with its name in scikit-learn."""
        end = self._output_spec()[1] if self._dense else None
        return OUT.get(end) or str(end)

    def report(self, X: Any, y: Any, path: Any = None, **options: Any) -> Path:
        """Write one HTML file about the fitted estimator on held-out data: see `ranvier.auto.write_report`.

        ``path`` is by default "report.html". ``options`` are those of that function, such as ``lang="zh"``.
        """
        check_is_fitted(self, "model_")
        written: Path = rows.look_up("method", "report")(self, X, y, path, **options)
        return written

    # --- state ----------------------------------------------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.input_tags.sparse = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Parameters, fitted attributes, and the network as Python values and arrays."""
        state = dict(super().__getstate__())
        if "model_" in state:
            state.pop("_objective", None)
            state["model_"] = to_state(state["model_"], state.pop("_resumed", None))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        saved = state.get("model_")
        super().__setstate__({k: v for k, v in state.items() if k != "model_"})
        if saved is not None:
            with self._running(SeedState(0)):
                self.model_ = from_state(saved, lambda: self._network(saved["shape"])[0])
            self._resumed = saved["optimizer"]  # for partial_fit
