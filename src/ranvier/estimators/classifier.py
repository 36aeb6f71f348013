"""NeuralClassifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import column_or_1d

from ranvier import losses
from ranvier.data.convert import Array
from ranvier.estimators.base import NeuralEstimator
from ranvier.estimators.labels import Labels
from ranvier.estimators.objective import SeveralCrossentropies, named_loss

__all__ = ["NeuralClassifier"]

ENDS = {"binary": "sigmoid", "multilabel": "sigmoid", "multiclass": "softmax", "multioutput": "logits"}


class NeuralClassifier(ClassifierMixin, NeuralEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A neural network as a scikit-learn classifier: two or more classes, several labels, several outputs.

    It minimizes what scikit-learn's MLPClassifier minimizes, cross entropy plus ``alpha / 2 * ||W||**2`` over
    the samples of a batch, and stops by the same rule, in one compiled program.

    Args:
        hidden_layer_sizes: The number of units of each hidden layer; ``()`` for none.
        activation: Of the hidden layers: a name or function of `ranvier.activations` (scikit-learn's "identity" and
            "logistic" are names too), or a list with one for each layer.
        model: A network of your own instead: a function (n_features, n_outputs, **model_options) that returns a
            Module, or a Sequential that says what is to be made. n_features is the shape of a sample where X has more
            than two dimensions; n_outputs is 1 for two classes, else the number of classes or labels. Without an
            activation at its end it gets the one that is needed.
        model_options: A dict of further arguments of ``model``.
        dropout: The share of units dropped after each hidden layer, or a list with one for each.
        batch_norm: Batch normalization before each activation.
        loss: A loss of `ranvier.losses` in place of cross entropy, by name or as an instance; None, or scikit-learn's
            "log_loss", for cross entropy.
        alpha: The strength of the penalty on squared weights (not biases).
        optimizer: A name or an instance of `ranvier.optimizers`; an instance gives its settings, and is not changed.
        learning_rate: A number or a schedule; None for the optimizer's own.
        batch_size: Samples a step; "auto" for min(200, samples).
        max_iter: The most epochs.
        shuffle: A new order of the samples each epoch.
        class_weight: None, "balanced", or a dict from class to weight; for several outputs a list of them.
        tol: What the training loss must fall by, or the validation score rise by; None always runs max_iter epochs.
        n_iter_no_change: Training stops after more than so many epochs in a row without that.
        early_stopping: Look at the score of validation data instead of the loss, and keep the best weights.
        validation_fraction: The share of X held out for that, unless fit is given ``validation_data``.
        warm_start: fit goes on with the network of the last one.
        random_state: A whole number for the same result each time, to the last bit; a RandomState; or None.
        verbose: Show a progress bar.
        callbacks: Callbacks of `ranvier.callbacks`, as fit of a network takes them.
        dtype: What to compute in. "auto" is float32, except for float64 data of at most 200 samples; "float64" is exact
            to more digits, and up to two times slower.

    Attributes:
        classes_: The labels (for several outputs a list of arrays).
        model_: The trained network, a `ranvier.Module`.
        loss_curve_, loss_, best_loss_: The training loss of each epoch, of the last, and the least.
        validation_scores_, best_validation_score_: Accuracy on the validation data; None without them.
        n_iter_: The number of epochs.
        n_features_in_, feature_names_in_, n_outputs_: Columns of X, their names if it was a frame, and the outputs.
        t_: The number of samples that the optimizer has seen.
        coefs_, intercepts_: Copies of kernels and biases of a network of ``hidden_layer_sizes``.
        n_layers_, out_activation_: Of the same: the number of layers, input and output included, and the activation at
            its end: "softmax", "logistic", "identity" or "exp".
    """

    def __init__(
        self, hidden_layer_sizes: Any = (100,), activation: Any = "relu", *, model: Any = None,
        model_options: Any = None, dropout: Any = 0.0, batch_norm: bool = False, loss: Any = None,
        alpha: float = 1e-4, optimizer: Any = "adam", learning_rate: Any = None, batch_size: Any = "auto",
        max_iter: int = 200, shuffle: bool = True, class_weight: Any = None, tol: float | None = 1e-4,
        n_iter_no_change: float = 10, early_stopping: bool = False, validation_fraction: float = 0.1,
        warm_start: bool = False, random_state: Any = None, verbose: Any = False, callbacks: Any = None,
        dtype: str = "auto",
    ) -> None:  # fmt: skip
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.model = model
        self.model_options = model_options
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.loss = loss
        self.alpha = alpha
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.class_weight = class_weight
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks
        self.dtype = dtype

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> NeuralClassifier:
        """One epoch on X, going on with the network and the optimizer of before.

        ``classes``: all classes that are to come, needed at the first call.
        """
        if not hasattr(self, "model_") and classes is None:
            raise ValueError(
                "classes must be given at the first call of partial_fit, since later ones may hold others. Write "
                "partial_fit(X, y, classes=np.unique(all_y)) instead."
            )
        self._first_or_next(X, y, sample_weight, classes)
        return self

    def predict(self, X: Any) -> Array:
        """The most probable class of each sample, of the shape of y."""
        outputs = self._outputs(X)
        return self._labels.names(self._labels.decided(outputs))

    def predict_proba(self, X: Any) -> Any:
        """The probability of each class, (samples, classes); of several labels that of each, (samples, labels); of
        several outputs a list with an array for each.
        """
        outputs = self._outputs(X)
        if self._labels.kind == "multioutput":
            return self._labels.blocks(outputs)
        if outputs.shape[1] == 1 and self._labels.kind == "binary":
            return np.concatenate([1 - outputs, outputs], axis=1)
        return outputs

    def predict_log_proba(self, X: Any) -> Any:
        """The logarithms of `predict_proba`."""
        found = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return [np.log(p) for p in found] if isinstance(found, list) else np.log(found)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of samples all of whose labels are right."""
        found, y = self.predict(X), np.asarray(y)
        right = np.asarray(found == y.reshape(found.shape))
        return float(np.average(right if right.ndim == 1 else right.all(axis=1), weights=sample_weight))

    _classifies = True

    # --- what the base asks for -----------------------------------------------------------------------------------

    def _encode(self, y: Array, classes: Any, fresh: bool) -> Array:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if fresh:
            self._labels = Labels.of(y, classes)
            self.classes_ = self._labels.shown
        elif classes is not None and not all(
            map(np.array_equal, Labels.of(y, classes).classes, self._labels.classes)
        ):
            raise ValueError(
                f"classes={classes!r} are not those of the first partial_fit, {self.classes_!r}."
            )
        return self._labels.codes(y)

    def _head(self) -> tuple[Sequence[int], str | None]:
        width = self._labels.width
        return ([1, 2] if self._labels.kind == "binary" else [width]), ENDS[self._labels.kind]

    def _loss(self, width: int) -> tuple[losses.Loss, int]:
        kind = self._labels.kind
        if self.loss is not None and not (isinstance(self.loss, str) and self.loss == "log_loss"):
            return named_loss(self.loss), 1
        if kind == "multioutput":
            return SeveralCrossentropies(self._labels.sizes), 1
        if kind == "multiclass" or (kind == "binary" and width == 2):
            return losses.SparseCategoricalCrossentropy(), 1
        return losses.BinaryCrossentropy(), width

    def _targets(self, coded: Array) -> Array:
        return self._labels.targets(coded, self.n_outputs_, one_hot=self._objective.kind != "labels")

    def _scored(self, coded: Array, outputs: Array, weight: Array | None) -> float:
        right = self._labels.decided(outputs) == coded
        return float(np.average(right if right.ndim == 1 else right.all(axis=1), weights=weight))

    def _class_weights(self, y: Array, incremental: bool) -> Array | None:
        if self.class_weight is None:
            return None
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all of y, and partial_fit sees a part. Write a dict, such as that of "
                "sklearn.utils.class_weight.compute_class_weight, instead."
            )
        return np.asarray(compute_sample_weight(self.class_weight, y), np.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
