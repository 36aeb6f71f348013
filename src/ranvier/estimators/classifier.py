"""NeuralClassifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import column_or_1d

from ranvier import losses
from ranvier.data.convert import Array
from ranvier.estimators.base import NeuralEstimator
from ranvier.estimators.labels import Labels
from ranvier.estimators.objective import SeveralCrossentropies, named_loss
from ranvier.layers import BytePairEncoding, TextVectorization
from ranvier.layers.annotations import ActivationLike
from ranvier.module import Module
from ranvier.optimizers import Optimizer
from ranvier.optimizers.schedules import LearningRateSchedule
from ranvier.support.source_lines import warn
from ranvier.training.loop.callback import Callback

ENDS = {"binary": "sigmoid", "multilabel": "sigmoid", "multiclass": "softmax", "multioutput": "logits"}


class NeuralClassifier(ClassifierMixin, NeuralEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A neural network as a scikit-learn classifier: two or more classes, several labels, several outputs.

    It minimizes the same objective as MLPClassifier of scikit-learn, cross entropy plus ``alpha / 2 * ||W||**2``
    divided by the samples of a batch, and stops by the same rule. Training is one compiled program.

    Args:
        hidden_layer_sizes: The number of units of each hidden layer. ``()`` means no hidden layer.
        activation: The activation of the hidden layers: a name or function of `ranvier.activations` (also "identity"
            and "logistic" of scikit-learn), or a list with one for each layer.
        model: A network to use instead: a function (n_features, n_outputs, **model_options) that returns a Module, or
            a Sequential, which is copied without its weights. n_features is the shape of a sample where X has more
            than two dimensions. n_outputs is 1 for two classes, else the number of classes or labels. A missing last
            activation is added.
        model_options: A dict of further arguments of ``model``.
        dropout: The fraction of units dropped after each hidden layer, or a list with one for each layer.
        batch_norm: Whether batch normalization precedes each activation.
        loss: A loss of `ranvier.losses` in place of cross entropy, by name or as an instance. None and "log_loss" of
            scikit-learn mean cross entropy.
        alpha: The strength of the penalty on squared weights (not biases).
        optimizer: A name or an instance of `ranvier.optimizers`. The settings of an instance are copied.
        learning_rate: A number or a schedule. None means the default of the optimizer.
        batch_size: The samples of a step. "auto" means min(200, samples).
        max_iter: The most epochs.
        shuffle: Whether the order of the samples changes in each epoch.
        class_weight: None, "balanced", or a dict from class to weight. For several outputs, a list of them.
        tol: The least decrease of the training loss, or increase of the validation score, that counts as an
            improvement. None always runs max_iter epochs.
        n_iter_no_change: Training stops after more than this number of epochs in a row without improvement.
        early_stopping: Whether to use the validation score instead of the loss, and to restore the best weights.
        validation_fraction: The fraction of X for early stopping, unless fit gets ``validation_data``.
        warm_start: Whether fit continues with the network of the previous call.
        random_state: An integer for bitwise reproducible results, a RandomState, or None.
        verbose: Whether to show a progress bar.
        callbacks: Callbacks of `ranvier.callbacks`, as in fit of a network.
        dtype: The dtype of the computation. "auto" is float32, except for float64 data of at most 200 samples.
            "float64" is more precise, and up to two times slower.
        vectorizer: What maps X of texts, a list or array of str, to numbers: a TextVectorization or BytePairEncoding,
            which fit copies, and which learns its vocabulary of X unless it has one. None means the TF-IDF of the
            20,000 most frequent words, in rows of length 1.

    Attributes:
        classes_: The labels (for several outputs a list of arrays).
        model_: The trained network, a `ranvier.Module`.
        loss_curve_, loss_, best_loss_: The training loss of each epoch, of the last one, and the lowest.
        validation_scores_, best_validation_score_: The accuracy on the validation data; None without them.
        n_iter_: The number of epochs.
        n_features_in_, feature_names_in_, n_outputs_: The columns of X, their names if X is a frame, and the outputs.
        vectorizer_: What has mapped the texts; only where X has texts.
        t_: The number of samples that the optimizer processed.
        coefs_, intercepts_: Copies of kernels and biases of a network of ``hidden_layer_sizes``.
        n_layers_, out_activation_: The number of its layers, including input and output, and its last activation:
            "softmax", "logistic", "identity" or "exp".
    """

    def __init__(
        self, hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: ActivationLike | Sequence[ActivationLike] = "relu", *,
        model: Module | Callable[..., Module] | None = None, model_options: dict[str, Any] | None = None,
        dropout: float | Sequence[float] = 0.0, batch_norm: bool = False, loss: str | losses.Loss | None = None,
        alpha: float = 1e-4, optimizer: str | Optimizer = "adam",
        learning_rate: float | LearningRateSchedule | None = None, batch_size: int | str = "auto",
        max_iter: int = 200, shuffle: bool = True,
        class_weight: str | dict[Any, float] | list[Any] | None = None,
        tol: float | None = 1e-4, n_iter_no_change: float = 10, early_stopping: bool = False,
        validation_fraction: float = 0.1, warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None, verbose: bool | int = False,
        callbacks: Callback | Sequence[Callback] | None = None, dtype: str = "auto",
        vectorizer: TextVectorization | BytePairEncoding | None = None,
    ) -> None:  # fmt: skip
        self._store(locals())

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train one epoch on X, with the existing network and optimizer.

        ``classes`` are all classes of later calls too. The first call needs them.
        """
        if not hasattr(self, "model_") and classes is None:
            raise ValueError(
                "the first call of partial_fit needs classes, because later calls may contain others. Write "
                "partial_fit(X, y, classes=np.unique(all_y)) instead."
            )
        return self._first_or_next(X, y, sample_weight, classes)

    def predict(self, X: Any) -> Array:
        """The most probable class of each sample, in the shape of y."""
        outputs = self._outputs(X)
        return self._labels.names(self._labels.decided(outputs))

    def predict_proba(self, X: Any) -> Any:
        """The probability of each class (samples, classes), or of each label (samples, labels).

        Several outputs give a list with an array for each.
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
        """The accuracy: the fraction of samples with all labels correct."""
        found, y = self.predict(X), np.asarray(y)
        right = np.asarray(found == y.reshape(found.shape))
        return float(np.average(right if right.ndim == 1 else right.all(axis=1), weights=sample_weight))

    _classifies = True

    # --- methods of the base class --------------------------------------------------------------------------------

    def _encode(self, y: Array, classes: Any, fresh: bool) -> Array:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if fresh:
            self._labels = Labels.of(y, classes)
            self.classes_ = self._labels.shown
        elif classes is not None and not all(map(np.array_equal, Labels.of(y, classes).classes, self._labels.classes)):
            raise ValueError(f"classes={classes!r} are not those of the first partial_fit, {self.classes_!r}.")
        return self._labels.codes(y)

    def _output_spec(self) -> tuple[Sequence[int], str | None]:
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

    def _class_names(self) -> Sequence[Any] | None:
        return self.classes_.tolist() if self._labels.kind in ("binary", "multiclass") else None

    def _class_weights(self, y: Array, incremental: bool) -> Array | None:
        if self.class_weight is None:
            return None
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all of y, and partial_fit sees a part. Write a dict, such as that of "
                "sklearn.utils.class_weight.compute_class_weight, instead."
            )
        if isinstance(self.class_weight, Mapping) and y.ndim == 1:
            without = [c for c in np.unique(y).tolist() if c not in self.class_weight]
            if without:
                more = f" and {len(without) - 1} more" if without[1:] else ""
                warn(
                    f"class_weight has no weight for class {without[0]!r}{more}, which counts as 1. Write "
                    f"{{..., {without[0]!r}: 1.0}} instead."
                )
        return np.asarray(compute_sample_weight(self.class_weight, y), np.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
