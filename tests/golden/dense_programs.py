"""Dense networks: layers, remedies against overfitting, optimizers, schedules, losses, metrics. See programs.py."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import ranvier as rv
from ranvier import callbacks, layers, optimizers
from ranvier.optimizers import schedules
from tests.golden.programs import PROGRAMS, Result, X, Y, classifier, fit, labels, numbers, pixels, program

# --- dense networks -----------------------------------------------------------------------------------------------


@program
def dense() -> Result:
    return fit(classifier(), X, Y, metrics=["accuracy"])


@program
def dense_deep() -> Result:
    hidden = [layers.Dense(n, activation=a) for n, a in ((20, "relu"), (12, "gelu"), (9, "silu"))]
    return fit(classifier(*hidden), X, Y, validation_split=0.2)


@program
def activations() -> Result:
    names = ("selu", "softplus", "softsign", "sigmoid", "hard_sigmoid", "mish", "exponential", "leaky_relu")
    return fit(classifier(*(layers.Dense(6, activation=name) for name in names)), X, Y)


@program
def full_batch() -> Result:
    x = numbers(300, 4)
    model = rv.Sequential([rv.Input((4,)), layers.Dense(8, activation="tanh"), layers.Dense(4)])
    return fit(model, x, x[:, ::-1] * x, loss="mse", batch_size=300, shuffle=False)


@program
def wide_first_layer_mostly_zeros() -> Result:
    """`fit` leaves the zeros of the data out of the products."""
    x = pixels(48, 400) * (pixels(48, 400, seed=5) < 50).astype(np.uint8)
    model = rv.Sequential([rv.Input((400,)), layers.Rescaling(1 / 256), layers.Dense(48, activation="relu"),
                           layers.Dense(3, activation="softmax")])  # fmt: skip
    return fit(model, x, labels(48))


@program
def binary() -> Result:
    model = rv.Sequential([rv.Input((6,)), layers.Dense(8, "relu"), layers.Dense(1, activation="sigmoid")])
    return fit(model, X, Y > 0, loss="binary_crossentropy", metrics=["accuracy", "AUC"])


@program
def float64() -> Result:
    rv.set_dtype("float64")
    return fit(classifier(layers.Dense(8, activation="gelu"), layers.BatchNormalization()), X.astype(np.float64), Y)


@program
def embedding() -> Result:
    model = rv.Sequential([rv.Input((4,), dtype="int32"), layers.Embedding(11, 5), layers.GlobalAveragePooling1D(),
                           layers.Dense(3, activation="softmax")])  # fmt: skip
    return fit(model, labels(160, 11).reshape(40, 4).astype(np.int32), Y)


@program
def sample_weights() -> Result:
    return fit(classifier(), X, Y, sample_weight=np.arange(40) % 3, weighted_metrics=["accuracy"])


@program
def class_weights() -> Result:
    return fit(classifier(), X, Y, class_weight={0: 2.0, 1: 0.5, 2: 1.0}, validation_data=(X[:9], Y[:9]))


@program
def balanced_sampler() -> Result:
    return fit(classifier(), X, Y, sampler=rv.data.BalancedSampler())


# --- against overfitting ------------------------------------------------------------------------------------------


@program
def dropout_and_noise() -> Result:
    hidden = [layers.GaussianNoise(0.1), layers.Dense(8, activation="relu"), layers.Dropout(0.3),
              layers.Dense(8, activation="selu"), layers.AlphaDropout(0.2), layers.GaussianDropout(0.1)]  # fmt: skip
    return fit(classifier(*hidden), X, Y)


@program
def regularizers() -> Result:
    hidden = [
        layers.Dense(8, "relu", kernel_regularizer="l1", bias_regularizer="l2", activity_regularizer="l2"),
        layers.Dense(8, "tanh", kernel_regularizer=rv.regularizers.L1L2(0.01, 0.02)),
        layers.Dense(5, kernel_regularizer=rv.regularizers.OrthogonalRegularizer(0.01)),
    ]
    return fit(classifier(*hidden), X, Y)


@program
def constraints() -> Result:
    c = rv.constraints
    kinds = (c.MaxNorm(0.9), c.UnitNorm(), c.NonNeg(), c.MinMaxNorm(0.5, 1.0, rate=0.5))
    hidden = [layers.Dense(7, activation="tanh", kernel_constraint=kind) for kind in kinds]
    return fit(classifier(*hidden), X, Y, optimizer=optimizers.SGD(0.1))


@program
def mixup() -> Result:
    return fit(classifier(), X, Y, augment=layers.MixUp(0.4), metrics=["accuracy"])


@program
def early_stopping() -> Result:
    watch = callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)
    rates = callbacks.ReduceLROnPlateau(patience=1, min_delta=1.0)
    given = {"validation_data": (X[:9], Y[::-1][:9]), "epochs": 6, "callbacks": [watch, rates]}
    return fit(classifier(), X, Y, optimizer=optimizers.Adam(0.1), **given)


# --- optimizers and schedules -------------------------------------------------------------------------------------

OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "SGD": lambda: optimizers.SGD(0.1),
    "SGD with momentum": lambda: optimizers.SGD(0.1, momentum=0.9, weight_decay=0.01),
    "SGD of Nesterov": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True, global_clipnorm=0.1),
    "Adadelta": lambda: optimizers.Adadelta(1.0),
    "Adagrad": lambda: optimizers.Adagrad(0.1, clipvalue=0.01),
    "Adam": lambda: optimizers.Adam(0.01, clipnorm=0.1),
    "Adam with AMSGrad": lambda: optimizers.Adam(0.01, amsgrad=True, weight_decay=0.01),
    "AdamW": lambda: optimizers.AdamW(0.01),
    "Adamax": lambda: optimizers.Adamax(0.01),
    "Ftrl": lambda: optimizers.Ftrl(0.1, l1_regularization_strength=0.01),
    "Lion": lambda: optimizers.Lion(0.01),
    "Nadam": lambda: optimizers.Nadam(0.01),
    "RMSprop": lambda: optimizers.RMSprop(0.01),
    "RMSprop centered": lambda: optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "averages": lambda: optimizers.Adam(0.01, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=2),
    "accumulated gradients": lambda: optimizers.Adam(0.01, gradient_accumulation_steps=2),
}
SCHEDULES: dict[str, Callable[[], Any]] = {
    "cosine": lambda: schedules.CosineDecay(0.1, 5, warmup_target=0.2, warmup_steps=2),
    "restarts": lambda: schedules.WarmUp(schedules.CosineDecayRestarts(0.1, 3, m_mul=0.9), 2),
    "one cycle": lambda: schedules.OneCycle(0.1, 6),
    "exponential": lambda: schedules.ExponentialDecay(0.1, 5, 0.3),
    "inverse time": lambda: schedules.InverseTimeDecay(0.1, 2, 0.5, staircase=True),
    "polynomial": lambda: schedules.PolynomialDecay(0.1, 4, power=1.5, cycle=True),
    "piecewise": lambda: schedules.PiecewiseConstantDecay((1, 3), (0.1, 0.03, 0.01)),
    "steps": lambda: schedules.StepDecay(0.1, 2),
}


def single() -> Any:
    """A layer is enough to try an optimizer, and is soon compiled."""
    return rv.Sequential([rv.Input((6,)), layers.Dense(3, activation="softmax")])


def optimized(make: Callable[[], Any]) -> Result:
    return fit(single(), X, Y, optimizer=make())


def scheduled(make: Callable[[], Any]) -> Result:
    return fit(single(), X, Y, optimizer=optimizers.SGD(make(), momentum=0.9))


PROGRAMS |= {f"optimizer {name}": functools.partial(optimized, make) for name, make in OPTIMIZERS.items()}
PROGRAMS |= {f"schedule {name}": functools.partial(scheduled, make) for name, make in SCHEDULES.items()}


# --- losses and metrics -------------------------------------------------------------------------------------------

LOSSES = (
    "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_logarithmic_error", "huber", "log_cosh",
    "cosine_similarity", "hinge", "squared_hinge", "poisson", "kl_divergence", "categorical_hinge", "dice", "tversky",
    "binary_focal_crossentropy",
)  # fmt: skip


@program
def several_losses() -> Result:
    """The sum of them all, so that one program holds them."""

    def loss(y_true: Any, y_pred: Any) -> Any:
        first, *others = (getattr(rv.losses, name)(y_true, y_pred) for name in LOSSES)
        return sum(others, first)

    model = rv.Sequential([rv.Input((6,)), layers.Dense(3, activation="sigmoid")])
    return fit(model, X, (np.abs(X[:, :3]) / 2).astype(np.float32), loss=loss)


@program
def focal_losses() -> Result:
    loss = rv.losses.CategoricalFocalCrossentropy(alpha=0.5, label_smoothing=0.1)
    return fit(classifier(), X, np.eye(3, dtype=np.float32)[Y], loss=loss, metrics=["categorical_accuracy"])


@program
def metrics() -> Result:
    m = rv.metrics
    kinds = [m.SparseCategoricalAccuracy(), m.SparseTopKCategoricalAccuracy(2), m.MatthewsCorrelation(),
             m.BalancedAccuracy(), m.CohenKappa(), m.MeanIoU(3, sparse_y_pred=False)]  # fmt: skip
    return fit(classifier(), X, Y, metrics=kinds)


@program
def metrics_of_numbers() -> Result:
    m = rv.metrics
    kinds = ["mae", "mape", m.RootMeanSquaredError(), m.R2Score(), m.PearsonCorrelation(), m.LogCoshError()]
    model = rv.Sequential([rv.Input((6,)), layers.Dense(8, activation="tanh"), layers.Dense(1)])
    return fit(model, X, X[:, :1] * X[:, 1:2], loss="mse", metrics=kinds)
