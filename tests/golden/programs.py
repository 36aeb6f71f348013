"""Small programs that train; golden.json holds a hash of the weights and losses of each. Public names alone are used.

A program is a function of no arguments that returns its losses and its trained weights. Data are made of integers,
which are the same on every machine.
"""

import functools
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ranvier as rv
from ranvier import callbacks, layers, optimizers
from ranvier.optimizers import schedules

Result = tuple[Any, Iterable[Any]]  # losses, weights
PROGRAMS: dict[str, Callable[[], Result]] = {}
FILE = Path(__file__).with_name("golden.json")
SPARSE = "sparse_categorical_crossentropy"


def program(function: Callable[[], Result]) -> Callable[[], Result]:
    """Add a function to the table, by its name."""
    PROGRAMS[function.__name__.replace("_", " ")] = function
    return function


def recorded() -> dict[str, str]:
    """The hashes in golden.json."""
    hashes: dict[str, str] = json.loads(FILE.read_text())
    return hashes


def digest(arrays: Iterable[Any]) -> str:
    """A hash of the types, shapes and bytes of arrays."""
    found = hashlib.sha256()
    for array in map(np.asarray, arrays):
        found.update(f"{array.dtype.str} {array.shape} ".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def run(name: str) -> str:
    """The hash of a program's losses and weights."""
    rv.set_seed(7)
    try:
        losses, weights = PROGRAMS[name]()
    finally:
        rv.set_dtype("float32")
    return digest([np.asarray(losses, np.float64), *weights])


# --- data and training --------------------------------------------------------------------------------------------


def numbers(*shape: int, seed: int = 1) -> NDArray[np.float32]:
    """Multiples of 1/16 between -2 and 2."""
    return (np.random.default_rng(seed).integers(-32, 33, shape) / 16).astype(np.float32)


def labels(count: int, classes: int = 3, seed: int = 2) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, classes, count)


def pixels(*shape: int, seed: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


X, Y = numbers(40, 6), labels(40)
IMAGES, KINDS = pixels(20, 8, 6, 3), labels(20)


def fit(model: Any, x: Any, y: Any, optimizer: Any = "adam", loss: Any = SPARSE, **options: Any) -> Result:
    """Compile and train: two epochs, the last batch a partial one."""
    settings = {name: options.pop(name) for name in ("metrics", "weighted_metrics") if name in options}
    model.compile(optimizer, loss, **settings)
    history = model.fit(x, y, **{"epochs": 2, "batch_size": 16, "verbose": 0, "ignore": "RV"} | options)
    return np.concatenate([history.history[name] for name in sorted(history.history)]), model.get_weights()


def classifier(*hidden: Any, inputs: int = 6, classes: int = 3) -> Any:
    made = hidden or (layers.Dense(8, activation="tanh"),)
    return rv.Sequential([rv.Input((inputs,)), *made, layers.Dense(classes, activation="softmax")])


def images(*hidden: Any) -> Result:
    """Train a network of image layers."""
    head = [layers.Flatten(), layers.Dense(3, activation="softmax")]
    model = rv.Sequential([rv.Input((8, 6, 3)), layers.Rescaling(1 / 128, -1.0), *hidden, *head])
    return fit(model, IMAGES, KINDS, batch_size=8)


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
    return fit(
        classifier(layers.Dense(8, activation="gelu"), layers.BatchNormalization()), X.astype(np.float64), Y
    )


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


# --- images -------------------------------------------------------------------------------------------------------


@program
def convolution() -> Result:
    return images(layers.Conv2D(5, 3, activation="relu"), layers.Conv2D(4, (2, 3), padding="same"))


@program
def convolution_strided_and_grouped() -> Result:
    return images(layers.Conv2D(6, 3, strides=2, padding="same"), layers.ReLU(),
                  layers.Conv2D(4, 3, groups=2, padding="same", dilation_rate=2))  # fmt: skip


@program
def convolution_of_many_channels() -> Result:
    """Tile by tile, as Winograd's algorithm does it."""
    return images(
        layers.Conv2D(32, 3, padding="same", activation="relu"), layers.Conv2D(32, 3, padding="same")
    )


@program
def separable_and_transposed() -> Result:
    return images(layers.SeparableConv2D(4, 3, padding="same", activation="relu"), layers.DepthwiseConv2D(3),
                  layers.Conv2DTranspose(3, 3, strides=2, padding="same"))  # fmt: skip


@program
def pooling() -> Result:
    return images(layers.Conv2D(4, 3, padding="same"), layers.MaxPooling2D(), layers.AveragePooling2D(2, 1, "same"),
                  layers.UpSampling2D(2), layers.GlobalMaxPooling2D(keepdims=True))  # fmt: skip


@program
def normalization() -> Result:
    return images(layers.Conv2D(8, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU(),
                  layers.Conv2D(8, 1), layers.GroupNormalization(2), layers.InstanceNormalization(),
                  layers.Flatten(), layers.LayerNormalization(), layers.RMSNormalization())  # fmt: skip


@program
def augmentation() -> Result:
    made = [
        layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomTranslation(0.2, 0.1, "wrap"),
        layers.RandomZoom(0.2, fill_mode="constant"), layers.RandomCrop(7, 5), layers.RandomBrightness(0.2, (-1, 1)),
        layers.RandomContrast(0.3, (-1, 1)), layers.RandomErasing(0.5, value_range=(-1, 1)), layers.Resizing(6, 6, "bicubic"),
    ]  # fmt: skip
    return images(*made, layers.SpatialDropout2D(0.2), layers.Conv2D(3, 3))


@program
def cutmix() -> Result:
    model = rv.Sequential([rv.Input((8, 6, 3)), layers.Rescaling(1 / 256), layers.Conv2D(3, 3, strides=2),
                           layers.Flatten(), layers.Dense(3, activation="softmax")])  # fmt: skip
    return fit(model, IMAGES, KINDS, batch_size=8, augment=layers.CutMix())


@program
def convolution_in_one_and_three_dimensions() -> Result:
    hidden = [layers.Reshape((12, 12)), layers.Conv1D(6, 3, padding="causal", activation="relu"),
              layers.MaxPooling1D(), layers.Reshape((6, 2, 3, 1)), layers.Conv3D(2, 2, padding="same"),
              layers.AveragePooling3D((2, 1, 1))]  # fmt: skip
    return images(*hidden)


# --- functional models, classes of the user's own -----------------------------------------------------------------


def operators() -> Any:
    """A functional model whose symbolic values are combined by operators."""
    a, b = rv.Input((6,), name="a"), rv.Input((6,), name="b")
    body = rv.Sequential([layers.Dense(8, activation="relu"), layers.Dense(4)], name="body")
    far = abs(body(a) - body(b)) / 2 + body(a)[:, :1] ** 2
    value = layers.Dense(1, name="value")(layers.Concatenate()([far, -b[:, 1:4] * a[:, :3]]))
    kind = layers.Dense(3, activation="softmax", name="kind")(rv.activations.relu(1 - far))
    return rv.Model({"a": a, "b": b}, {"value": value, "kind": kind})


@program
def functional_with_operators() -> Result:
    losses = {"value": "mse", "kind": SPARSE}
    targets = {"value": X[:, :1] * X[:, 1:2], "kind": Y}
    return fit(
        operators(),
        {"a": X, "b": numbers(40, 6, seed=9)},
        targets,
        loss=losses,
        metrics={"kind": ["accuracy"]},
    )


@program
def functional_residual() -> Result:
    x = rv.Input((8, 6, 3))
    y = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    z = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(y))
    pooled = layers.GlobalAveragePooling2D()(rv.activations.relu(layers.Add()([y, z])))
    return fit(
        rv.Model(x, layers.Dense(3, activation="softmax")(pooled)), IMAGES.astype(np.float32) / 256, KINDS
    )


@program
def functional_nested_and_shared() -> Result:
    x, start = rv.Input((6,)), rv.Input((6,))
    shared = layers.Dense(6, activation="tanh")
    inner = rv.Model(x, shared(shared(x)))
    return fit(rv.Model(start, layers.Dense(1)(inner(-start) * inner(start) + 1)), X, X[:, :1], loss="mse")


class Subclassed(rv.Model):
    """Two inputs, two outputs, a weight of its own, a loss of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = layers.Dense(8, activation="tanh"), layers.Dense(8)
        self.drop, self.out = layers.Dropout(0.3), layers.Dense(3, activation="softmax")
        self.scale = rv.Parameter(np.full(8, 0.5, np.float32))

    def call(self, inputs: Any, training: bool = False) -> Any:
        a, b = inputs
        hidden = self.drop(self.left(a) * self.scale + self.right(b), training=training)
        return self.out(hidden), hidden.mean(1, keepdims=True)


@program
def subclassed() -> Result:
    return fit(Subclassed(), (X[:, :3], X[:, 3:]), (Y, X[:, :1]), loss=[SPARSE, "mse"])


class Scaled(layers.Layer):
    """A layer as Keras's users write it: `build`, `add_weight`, operations of `ranvier.ops`."""

    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight(shape=(input_shape[-1], 5), initializer="glorot_uniform", name="w")
        self.b = self.add_weight(shape=(5,), initializer="zeros", regularizer="l2", name="b")

    def call(self, inputs: Any) -> Any:
        y = rv.ops.matmul(inputs, self.w) + self.b
        return rv.ops.sin(y) + rv.ops.clip(y, -0.5, 0.5) * rv.ops.softmax(y)


class Far(rv.metrics.Metric):
    """The mean distance, weight by weight."""

    def __init__(self) -> None:
        super().__init__(name="far")
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.total.assign_add(rv.ops.sum(rv.ops.abs(y_true - y_pred)))

    def result(self) -> Any:
        return self.total


def softened(y_true: Any, y_pred: Any) -> Any:
    return rv.ops.mean(rv.ops.sqrt(rv.ops.square(y_true - y_pred) + 0.5), axis=-1)


@program
def layer_loss_and_metric_of_ones_own() -> Result:
    model = rv.Sequential([rv.Input((6,)), Scaled(), layers.Lambda(lambda x: x * 2 - 1), layers.Dense(2)])
    return fit(model, X, X[:, :2], loss=softened, metrics=[Far()])


# --- runs that are interrupted, copies, many at a time ------------------------------------------------------------


class Stop(callbacks.Callback):
    """Ends the run within its second epoch, if it is armed."""

    def __init__(self, armed: bool) -> None:
        super().__init__()
        self.step_interval = 4 if armed else None

    def on_step(self, epoch: int, step: int, logs: Any = None) -> None:
        raise KeyboardInterrupt


@program
def resumed() -> Result:
    """A run that ends within its second epoch and goes on from its backup."""

    def train(armed: bool) -> Result:
        rv.set_seed(11)
        backup = callbacks.BackupAndRestore(folder, save_freq=1)
        model = classifier(
            layers.Dense(8, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.3)
        )
        rate = schedules.CosineDecay(0.01, 9)
        return fit(model, X, Y, optimizer=optimizers.AdamW(rate), epochs=3, callbacks=[backup, Stop(armed)])

    with tempfile.TemporaryDirectory() as folder:
        try:
            train(armed=True)
        except KeyboardInterrupt:
            return train(armed=False)
    raise AssertionError("the run was not interrupted")


@program
def saved_and_trained_further() -> Result:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.ranvier"
        model = classifier(layers.Dense(8, activation="relu"), layers.Dropout(0.3))
        fit(model, X, Y)
        model.save(path)
        loaded = rv.load_model(path)
    history = loaded.fit(X, Y, epochs=1, batch_size=16, verbose=0, ignore="RV")
    return history.history["loss"], loaded.get_weights()


@program
def fit_many() -> Result:
    def build(units: int) -> Any:
        model = classifier(layers.Dense(units, activation="relu"))
        model.compile("adam", SPARSE)
        return model

    rows = rv.fit_many(build, X, Y, grid={"units": [5]}, seeds=2, epochs=2, batch_size=16, verbose=0)
    models = [row.model for row in rows]
    return [], [weight for model in models for weight in model.get_weights()]


@program
def train_on_batch() -> Result:
    model = classifier(layers.Dense(8, activation="relu"), layers.Dropout(0.3))
    model.compile("adam", SPARSE)
    return [model.train_on_batch(X[i : i + 8], Y[i : i + 8]) for i in (0, 8, 16)], model.get_weights()
