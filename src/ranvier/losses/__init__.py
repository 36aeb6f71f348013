"""Losses in Keras's vocabulary: classes, functions, and `get` by name.

A function takes targets ``y_true`` and outputs ``y_pred`` of one shape, (samples, ..., outputs), and returns the loss
of each sample: the mean over the last dimension, (samples, ...). Those named ``sparse_...`` take class numbers without
that dimension. A class calls the function, weighs the samples by ``sample_weight`` (samples,), and averages them by
``reduction``: "sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", or "none". ``from_logits`` says that
outputs are scores before the softmax or sigmoid; ``axis`` is the dimension of the classes. The names, arguments and
formulas are those of Keras 3. Shapes that do not fit raise ValueError, which names both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ranvier.losses.base import Formula, Loss, LossFunction, OfPositive, loss_of
from ranvier.losses.mixture import Mixture
from ranvier.ops.functional import losses_focal as focal
from ranvier.ops.functional import losses_keras as keras
from ranvier.ops.functional.losses_focal import *  # noqa: F403 - its __all__ is part of this one
from ranvier.ops.functional.losses_keras import *  # noqa: F403 - its __all__ is part of this one
from ranvier.support.errors import missing
from ranvier.support.foreign import check_own
from ranvier.support.registry import Registry
from ranvier.support.serialized import deserializer
from ranvier.support.serialized import serialize_keras_object as serialize

__all__ = [
    "CTC", "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy", "CategoricalHinge", "Circle", "CosineSimilarity", "Dice", "Hinge", "Huber",
    "KLDivergence", "LogCosh", "Loss", "LossFunction", "MeanAbsoluteError", "MeanAbsolutePercentageError",
    "MeanSquaredError", "MeanSquaredLogarithmicError", "Mixture", "Poisson", "SparseCategoricalCrossentropy",
    "SparseCategoricalFocalCrossentropy", "SquaredHinge", "Tversky", "deserialize", "get", "serialize",
]  # fmt: skip
__all__ += keras.__all__
__all__ += focal.__all__

# ``maker`` is the activation whose logits the loss uses if they are known; ``kind`` is what y_true holds.
BinaryCrossentropy = loss_of("BinaryCrossentropy", keras.binary_crossentropy, maker="sigmoid")
BinaryFocalCrossentropy = loss_of("BinaryFocalCrossentropy", focal.binary_focal_crossentropy, maker="sigmoid")
CategoricalCrossentropy = loss_of("CategoricalCrossentropy", keras.categorical_crossentropy, maker="softmax")
CategoricalFocalCrossentropy = loss_of(
    "CategoricalFocalCrossentropy", focal.categorical_focal_crossentropy, maker="softmax"
)
SparseCategoricalCrossentropy = loss_of(
    "SparseCategoricalCrossentropy", keras.sparse_categorical_crossentropy, kind="labels", maker="softmax"
)
SparseCategoricalFocalCrossentropy = loss_of(
    "SparseCategoricalFocalCrossentropy", focal.sparse_categorical_focal_crossentropy, kind="labels", maker="softmax"
)
CategoricalGeneralizedCrossEntropy = loss_of(
    "CategoricalGeneralizedCrossEntropy", keras.categorical_generalized_cross_entropy, kind="labels"
)
MeanSquaredError = loss_of("MeanSquaredError", keras.mean_squared_error)
MeanAbsoluteError = loss_of("MeanAbsoluteError", keras.mean_absolute_error)
MeanAbsolutePercentageError = loss_of("MeanAbsolutePercentageError", keras.mean_absolute_percentage_error)
MeanSquaredLogarithmicError = loss_of("MeanSquaredLogarithmicError", keras.mean_squared_logarithmic_error)
LogCosh = loss_of("LogCosh", keras.log_cosh)
Huber = loss_of("Huber", keras.huber)
Hinge = loss_of("Hinge", keras.hinge)
SquaredHinge = loss_of("SquaredHinge", keras.squared_hinge)
CategoricalHinge = loss_of("CategoricalHinge", keras.categorical_hinge)
KLDivergence = loss_of("KLDivergence", keras.kl_divergence)
Poisson = loss_of("Poisson", keras.poisson)
CosineSimilarity = loss_of("CosineSimilarity", keras.cosine_similarity)
CTC = loss_of("CTC", keras.ctc, kind="sequences")
Circle = loss_of("Circle", keras.circle, kind="groups", options=("gamma", "margin", "remove_diagonal"), base=OfPositive)
Dice = loss_of("Dice", keras.dice)
Tversky = loss_of("Tversky", keras.tversky)

REGISTRY = Registry(
    "loss",
    Loss,
    (loss for loss in map(globals().get, __all__) if isinstance(loss, type) and issubclass(loss, Formula)),
    aliases={
        "mse": "MeanSquaredError", "mae": "MeanAbsoluteError", "mape": "MeanAbsolutePercentageError",
        "msle": "MeanSquaredLogarithmicError", "bce": "BinaryCrossentropy", "kld": "KLDivergence",
        "logcosh": "LogCosh", "huber_loss": "Huber",
    },
    normalize=lambda name: name.lower() if name.isupper() else name,  # MSE and MAE
    form="a name or a function",
    example="'mean_squared_error' or losses.Huber()",
)  # fmt: skip


def get(loss: str | Loss | type[Loss] | Callable[..., Any] | Mapping[str, Any]) -> Loss:
    """The loss of this name or class, or of ``{"class_name": ..., "config": {...}}``; a `Loss` is returned as it is.

    Any other function is wrapped. Raises ValueError naming the nearest name that exists, TypeError for anything else.
    """
    own = isinstance(loss, Loss) or (isinstance(loss, type) and issubclass(loss, Loss))
    check_own(loss)
    if callable(loss) and not own:
        by_function: dict[Any, Any] = {known.formula: known for known in REGISTRY.classes.values()}
        loss = by_function[loss]() if loss in by_function else LossFunction(loss)
    found: Loss = REGISTRY.get(loss)
    return found


deserialize = deserializer(get)

__getattr__, __dir__ = missing("ranvier.losses", __all__)
