"""`fit` and `predict` of Keras, on the backend of KERAS_BACKEND."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from benchmarks.contestants import Job
from benchmarks.datasets import batches, initial_weights, reference_predict
from benchmarks.workload import DECAY, Workload

Array = NDArray[Any]
OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": partial(keras.optimizers.AdamW, weight_decay=DECAY),
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


class _Clock(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """The time at the end of every epoch."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.ends: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.ends.append(time.perf_counter())


def build(workload: Workload) -> Any:
    inputs, *units = workload.layers
    activations = [workload.hidden] * (len(units) - 1) + [workload.output]
    dense = [keras.layers.Dense(n, activation=a) for n, a in zip(units, activations, strict=True)]
    model = keras.Sequential([keras.Input((inputs,)), *dense])
    model.set_weights(initial_weights(workload))
    return model


def train(workload: Workload, x: Array, y: Array) -> Job:
    model = build(workload)
    optimizer = OPTIMIZERS[workload.optimizer]
    steps_a_call = min(int(os.environ.get("STEPS_PER_EXECUTION", "1")), len(x) // workload.batch)
    model.compile(
        optimizer=optimizer(workload.learning_rate),
        loss=workload.loss,
        metrics=list(workload.metrics),
        steps_per_execution=steps_a_call,
    )
    clock = _Clock()

    def fit(epochs: int) -> float:
        history = model.fit(
            x,
            y,
            batch_size=workload.batch,
            epochs=epochs,
            shuffle=workload.batch < workload.samples,
            verbose=0,
            callbacks=[clock],
        )
        return float(history.history["loss"][-1])

    def run(epochs: int) -> float:
        fit(1 + epochs)
        return clock.ends[-1] - clock.ends[0]

    return Job(fit, run)


def predict(workload: Workload, x: Array, y: Array) -> Job:
    model = build(workload)
    samples = batches(workload, x)
    expected = reference_predict(workload, x)

    def begin(_: int) -> float:
        few = 16  # it is slow, and one comparison is enough
        answers = np.concatenate([model.predict(s, verbose=0) for s in samples[:few]])
        return float(np.abs(answers - expected[: len(answers)]).max())

    def run(calls: int) -> float:
        start = time.perf_counter()
        for i in range(calls):
            model.predict(samples[i % len(samples)], verbose=0)
        return time.perf_counter() - start

    return Job(begin, run)
