"""Functional models, classes of the user's own, and runs that are interrupted, saved, or many. See programs.py."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import ranvier as rv
from ranvier import callbacks, layers, optimizers
from ranvier.optimizers import schedules
from tests.golden.programs import IMAGES, KINDS, SPARSE, Result, X, Y, classifier, fit, numbers, program

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
    return fit(operators(), {"a": X, "b": numbers(40, 6, seed=9)}, targets, loss=losses, metrics={"kind": ["accuracy"]})


@program
def functional_residual() -> Result:
    x = rv.Input((8, 6, 3))
    y = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    z = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(y))
    pooled = layers.GlobalAveragePooling2D()(rv.activations.relu(layers.Add()([y, z])))
    return fit(rv.Model(x, layers.Dense(3, activation="softmax")(pooled)), IMAGES.astype(np.float32) / 256, KINDS)


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
        model = classifier(layers.Dense(8, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.3))
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
