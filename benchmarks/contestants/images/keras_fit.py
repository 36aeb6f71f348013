"""Keras's `fit` on images, on the backend of KERAS_BACKEND. On TensorFlow a trial selects the settings."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import keras

from benchmarks.contestants import Job
from benchmarks.contestants.images import TEST_BATCH, Array, WholeTraining, fastest, training
from benchmarks.network import (
    Before,
    Beside,
    Conv,
    Deconv,
    Dense,
    Depthwise,
    Dropout,
    Flatten,
    GlobalPool,
    Network,
    Part,
    Pool,
    Rescale,
    Residual,
)  # fmt: skip
from benchmarks.networks import NETWORKS
from benchmarks.workload import Workload

Way = tuple[bool, int]  # jit_compile, steps_per_execution
Make = Callable[[Workload, dict[str, Any]], Any]  # of a model that is compiled with these options
# XLA saves calls but its convolutions are several times slower, as Keras on JAX
# shows, so it is tried where calls dominate. On a CPU jit_compile="auto" of Keras does not select it.
WAYS = ((False, 1), (False, 8), (True, 8))
LARGE = 5e7  # operations of a sample above which XLA is not tried
STEPS = 8  # of an epoch of a trial
LONG = 1e10  # operations of a step above which a trial has fewer
LOSSES = {
    "sparse_categorical_crossentropy": partial(keras.losses.SparseCategoricalCrossentropy, from_logits=True),
    "mean_squared_error": keras.losses.MeanSquaredError,
}


class _Network:
    """Keeps the layers in the order of their creation, which is that of the weights."""

    def __init__(self) -> None:
        self.layers: list[Any] = []

    def _apply(self, layer: Any, x: Any) -> Any:
        self.layers.append(layer)
        return layer(x)

    def chain(self, parts: tuple[Part, ...], x: Any) -> Any:
        for part in parts:
            x = self.part(part, x)
        return x

    def part(self, part: Part, x: Any) -> Any:
        layers = keras.layers
        match part:
            case Conv(filters, size, stride, same, normalized, relu, six=six):
                options: dict[str, Any] = {"strides": stride, "padding": "same" if same else "valid"}
                name = ("relu6" if six else "relu") if relu else None
                return self._normalized(layers.Conv2D, (filters, size), options, normalized, name, x)
            case Deconv(filters, size, stride, relu):
                options = {"padding": "same", "activation": "relu" if relu else None}
                return self._apply(layers.Conv2DTranspose(filters, size, stride, **options), x)
            case Depthwise(size, stride, same, normalized, six):
                options = {"strides": stride, "padding": "same" if same else "valid"}
                name = "relu6" if six else "relu"
                return self._normalized(layers.DepthwiseConv2D, (size,), options, normalized, name, x)
            case Pool(same, size):
                return layers.MaxPooling2D(size, 2, padding="same" if same else "valid")(x)
            case GlobalPool():
                return layers.GlobalAveragePooling2D()(x)
            case Flatten():
                return layers.Flatten()(x)
            case Dropout(rate):
                return layers.Dropout(rate)(x)
            case Dense(units, relu):
                return self._apply(layers.Dense(units, activation="relu" if relu else None), x)
            case Residual(body, shortcut, relu):
                inner = self.chain(body, x)
                total = layers.Add()([inner, self.chain(shortcut, x)])
                return layers.ReLU()(total) if relu else total
            case Beside(body):
                return layers.Concatenate()([x, self.chain(body, x)])

    def _normalized(
        self, kind: Any, arguments: tuple[int, ...], options: dict[str, Any], normalized: bool, name: str | None, x: Any
    ) -> Any:
        """A convolution, its normalization where it has one, and its activation."""
        if not normalized:
            return self._apply(kind(*arguments, activation=name, **options), x)
        x = self._apply(kind(*arguments, use_bias=False, **options), x)
        x = self._apply(keras.layers.BatchNormalization(), x)
        return keras.layers.ReLU(6.0 if name == "relu6" else None)(x) if name else x


def _before(part: Before) -> Any:
    if isinstance(part, Rescale):
        return keras.layers.Rescaling(part.scale)
    return keras.layers.RandomFlip("horizontal")


def build(network: Network) -> Any:
    """The network with its initial weights; its outputs are logits, as its loss expects."""
    inputs, made = keras.Input(network.shape, dtype="uint8" if network.before else "float32"), _Network()
    x = inputs
    for part in network.before:
        x = _before(part)(x)
    model = keras.Model(inputs, made.chain(network.parts, x))
    values = iter(network.weights())
    for layer in made.layers:
        layer.set_weights([next(values) for _ in layer.weights])
    assert next(values, None) is None
    return model


class OneCycle(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # Keras has no types
    """A rise to `highest` in the first 30 % of the steps, then a fall, with the formula and the defaults of PyTorch."""

    def __init__(self, highest: float, steps: int) -> None:
        self.highest, self.first, self.last = highest, highest / 25, highest / 25e4
        self.top, self.end = 0.3 * steps - 1, steps - 1.0

    def __call__(self, step: Any) -> Any:
        ops = keras.ops
        step = ops.cast(step, "float32")

        def part(start: float, end: float, done: Any) -> Any:
            return end + (start - end) / 2 * (1 + ops.cos(math.pi * done))

        rise = part(self.first, self.highest, step / self.top)
        fall = part(self.highest, self.last, ops.minimum((step - self.top) / (self.end - self.top), 1.0))
        return ops.where(step <= self.top, rise, fall)

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError  # Keras requires the method, and calls it only to save a model


class _Clock(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """The time at the beginning and at the end of every epoch."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.times = [time.perf_counter()]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.times.append(time.perf_counter())


def compiled(workload: Workload, options: dict[str, Any]) -> Any:
    """The network with its initial weights, its optimizer and its loss."""
    model = build(NETWORKS[workload.network])
    rate: Any = workload.learning_rate
    if workload.kind == "accuracy":
        rate = OneCycle(rate, workload.steps)
    loss, metrics = LOSSES[workload.loss](), list(workload.metrics)
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss, metrics=metrics, **options)
    return model


class _Training:
    """A compiled model and its data."""

    def __init__(self, workload: Workload, x: Array, y: Array, way: Way, make: Make) -> None:
        self.x, self.y, self.batch = x, y, workload.batch
        jit = "auto" if keras.backend.backend() == "jax" else way[0]
        self.model = make(workload, {"jit_compile": jit, "steps_per_execution": way[1]})

    def epochs(self, count: int, number: int) -> tuple[list[float], float]:
        """As `images.Epochs`."""
        clock = _Clock()
        history = self.model.fit(
            self.x[:count], self.y[:count], batch_size=self.batch, epochs=number, verbose=0, callbacks=[clock]
        )
        return clock.times, float(history.history["loss"][-1])


def _seconds(trial: _Training, count: int) -> float:
    times, _ = trial.epochs(count, 2)
    return times[2] - times[1]


def _choice(workload: Workload, x: Array, y: Array, make: Make) -> tuple[Way, str]:
    """The fastest settings on a few batches, and their description."""
    way, note = WAYS[0], ""
    network = workload.built
    if keras.backend.backend() == "tensorflow":
        few = min(len(x), (STEPS if network.training_flops * workload.batch < LONG else 2) * workload.batch)
        ways = [w for w in WAYS if not (w[0] and network.training_flops > LARGE)]
        trials = {w: partial(_seconds, _Training(workload, x, y, w, make), few) for w in ways}
        way = fastest(trials)
        note = f"{'XLA' if way[0] else 'no XLA'}, {way[1]} step{'s' * (way[1] > 1)} a call"
    return way, note


def fitted(workload: Workload, x: Array, y: Array, make: Make) -> Job:
    """The training of a model that `make` compiles, with the settings that are fastest in a trial."""
    way, note = _choice(workload, x, y, make)
    return training(workload, _Training(workload, x, y, way, make).epochs, note)


def images(workload: Workload, x: Array, y: Array) -> Job:
    return fitted(workload, x, y, compiled)


def accuracy(workload: Workload, x: Array, y: Array) -> WholeTraining:
    way, note = _choice(workload, x, y, compiled)
    keras.utils.set_random_seed(0)
    chosen = _Training(workload, x, y, way, compiled)
    return WholeTraining(
        lambda: chosen.epochs(len(x), workload.epochs),
        lambda images: chosen.model.predict(images, batch_size=TEST_BATCH, verbose=0),
        note,
    )
