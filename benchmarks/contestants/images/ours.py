"""Ranvier on images, in the style of user code: layers, `compile`, `fit`, `predict`."""

from __future__ import annotations

import time
from typing import Any

import ranvier as rv
from benchmarks.contestants import Job
from benchmarks.contestants.images import TEST_BATCH, Array, Epochs, WholeTraining, prediction, training
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


class Sum(rv.Module):
    """body(x) + shortcut(x), then relu where `relu`."""

    def __init__(self, body: Any, shortcut: Any, relu: bool) -> None:
        super().__init__()
        self.body, self.shortcut, self.relu = body, shortcut, relu

    def forward(self, x: Any) -> Any:
        beside = self.shortcut(x) if self.shortcut is not None else x
        total = self.body(x) + beside
        return rv.activations.relu(total) if self.relu else total


class Joined(rv.Module):
    """The channels of x and those of body(x)."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Any) -> Any:
        return rv.ops.concatenate([x, self.body(x)], axis=-1)


def _layers(part: Part) -> list[Any]:
    layers = rv.layers
    match part:
        case Conv(filters, size, stride, same, normalized, relu, six=six):
            name = ("relu6" if six else "relu") if relu else None
            options: dict[str, Any] = {"strides": stride, "padding": "same" if same else "valid"}
            if not normalized:
                return [layers.Conv2D(filters, size, activation=name, **options)]
            out = [layers.Conv2D(filters, size, use_bias=False, **options), layers.BatchNormalization()]
            return [*out, layers.Activation(name)] if name else out
        case Deconv(filters, size, stride, relu):
            activation = "relu" if relu else None
            return [layers.Conv2DTranspose(filters, size, stride, padding="same", activation=activation)]
        case Depthwise(size, stride, same, normalized, six):
            name = "relu6" if six else "relu"
            options = {"strides": stride, "padding": "same" if same else "valid"}
            if not normalized:
                return [layers.DepthwiseConv2D(size, activation=name, **options)]
            depthwise = layers.DepthwiseConv2D(size, use_bias=False, **options)
            return [depthwise, layers.BatchNormalization(), layers.Activation(name)]
        case Pool(same, size):
            return [layers.MaxPooling2D(size, 2, padding="same" if same else "valid")]
        case GlobalPool():
            return [layers.GlobalAveragePooling2D()]
        case Flatten():
            return [layers.Flatten()]
        case Dropout(rate):
            return [layers.Dropout(rate)]
        case Dense(units, relu):
            return [layers.Dense(units, activation="relu" if relu else None)]
        case Residual(body, shortcut, relu):
            return [Sum(_chain(body), _chain(shortcut) if shortcut else None, relu)]
        case Beside(body):
            return [Joined(_chain(body))]


def _before(part: Before) -> Any:
    if isinstance(part, Rescale):
        return rv.layers.Rescaling(part.scale)
    return rv.layers.RandomFlip("horizontal")


def _chain(parts: tuple[Part, ...]) -> Any:
    return rv.Sequential([layer for part in parts for layer in _layers(part)])


def build(network: Network) -> Any:
    """The network without weights. The last layer of a classifier is a softmax."""
    *parts, last = network.parts
    layers = [_before(part) for part in network.before]
    layers += [layer for part in parts for layer in _layers(part)]
    layers += [rv.layers.Dense(last.units, activation="softmax")] if isinstance(last, Dense) else _layers(last)
    return rv.Sequential([rv.layers.Input(network.shape), *layers])


class _Clock:
    """The time at the beginning and at the end of every epoch."""

    def __init__(self) -> None:
        self.times = [time.perf_counter()]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.times.append(time.perf_counter())


def compiled(workload: Workload, rate: Any = None) -> Any:
    """The network with its initial weights and its optimizer."""
    rv.set_seed(0)
    network = NETWORKS[workload.network]
    model = build(network)
    model.set_weights(network.weights())
    model.compile(rv.optimizers.Adam(rate or workload.learning_rate), workload.loss, metrics=list(workload.metrics))
    return model


def fitted(model: Any, workload: Workload, x: Array, y: Array) -> Epochs:
    """The training of a compiled model with this data."""

    def epochs(count: int, number: int) -> tuple[list[float], float]:
        clock = _Clock()
        history = model.fit(
            x[:count], y[:count], batch_size=workload.batch, epochs=number, verbose=0, callbacks=[clock]
        )
        return clock.times, float(history.history["loss"][-1])

    return epochs


def memory(workload: Workload, x: Array, y: Array) -> Epochs:
    """A program that trains, with its data and its initial weights."""
    return fitted(compiled(workload), workload, x, y)


def images(workload: Workload, x: Array, y: Array) -> Job:
    return training(workload, memory(workload, x, y), "")


def accuracy(workload: Workload, x: Array, y: Array) -> WholeTraining:
    model = compiled(workload, rv.optimizers.schedules.OneCycle(workload.learning_rate, workload.steps))
    return WholeTraining(
        lambda: model.fit(x, y, batch_size=workload.batch, epochs=workload.epochs, verbose=0),
        lambda images: model.predict(images, batch_size=TEST_BATCH, verbose=0),
    )


def infer(workload: Workload, x: Array, y: Array) -> Job:
    network = NETWORKS[workload.network]
    model = build(network)
    model.set_weights(network.weights(trained=True))
    return prediction(workload, x, y, lambda batch: model.predict(batch, batch_size=workload.batch, verbose=0))
