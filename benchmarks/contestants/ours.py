"""Ranvier, in the style of user code: `compile` and `fit`, and the explicit loop of the PyTorch vocabulary."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ranvier as rv
from benchmarks.contestants import Job
from benchmarks.contestants.images import Epochs
from benchmarks.datasets import Floats, batches, initial_weights, reference_predict
from benchmarks.workload import DECAY, Workload
from benchmarks.workloads import FOLDS, RATES, UNITS

Array = NDArray[Any]

OPTIMIZERS: dict[str, Callable[[float], Any]] = {
    "adam": rv.optimizers.Adam,
    "adamw": partial(rv.optimizers.AdamW, weight_decay=DECAY),
    "rmsprop": rv.optimizers.RMSprop,
    "sgd": rv.optimizers.SGD,
}
MANY = 30  # epochs of a call, so that its fixed cost and callbacks are negligible


class _Clock:
    """The time at the end of every epoch. `fit` accepts any object with a method of callbacks."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.ends.append(time.perf_counter())


def build(workload: Workload) -> Any:
    """The workload's network with its initial weights."""
    inputs, *units = workload.layers
    model = rv.Sequential()
    for i, n in enumerate(units):
        last = i == len(units) - 1
        shape: dict[str, Any] = {"input_shape": (inputs,)} if i == 0 else {}
        model.add(rv.layers.Dense(n, activation=workload.output if last else workload.hidden, **shape))
    model.set_weights(initial_weights(workload))
    return model


def compiled(workload: Workload) -> Any:
    """The network with its initial weights and its optimizer."""
    rv.set_seed(0)  # so that any number of threads must report the same loss
    model = build(workload)
    optimizer = OPTIMIZERS[workload.optimizer](workload.learning_rate)
    model.compile(optimizer=optimizer, loss=workload.loss, metrics=list(workload.metrics))
    return model


def memory(workload: Workload, x: Array, y: Array) -> Epochs:
    """A program that trains, with its data and its initial weights."""
    model, clock = compiled(workload), _Clock()

    def epochs(count: int, number: int) -> tuple[list[float], float]:
        clock.ends = [time.perf_counter()]
        history = model.fit(
            x[:count], y[:count], batch_size=workload.batch, epochs=number, verbose=0, callbacks=[clock]
        )
        return clock.ends, float(history.history["loss"][-1])

    return epochs


def train(workload: Workload, x: Array, y: Array) -> Job:
    model, clock = compiled(workload), _Clock()

    def fit(epochs: int, callbacks: list[_Clock]) -> float:
        history = model.fit(
            x,
            y,
            batch_size=workload.batch,
            epochs=epochs,
            shuffle=workload.batch < workload.samples,
            verbose=0,
            callbacks=callbacks,
        )
        return float(history.history["loss"][-1])

    def run(epochs: int) -> float:
        if epochs >= MANY:
            begin = time.perf_counter()
            fit(epochs, [])
            return time.perf_counter() - begin
        clock.ends = []
        fit(1 + epochs, [clock])
        return clock.ends[-1] - clock.ends[0]

    return Job(lambda n: fit(n, []), run)


def loop(workload: Workload, x: Array, y: Array) -> Job:
    import ranvier.torch as torch
    import ranvier.torch.nn as nn
    import ranvier.torch.nn.functional as F
    import ranvier.torch.optim as optim

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            a, b, c, d = workload.layers
            self.fc1 = nn.Linear(a, b)
            self.fc2 = nn.Linear(b, c)
            self.fc3 = nn.Linear(c, d)

        def forward(self, x: Any) -> Any:
            x = torch.flatten(x, 1)
            x = F.relu(self.fc1(x))
            x = F.relu(self.fc2(x))
            return self.fc3(x)

    torch.manual_seed(0)  # as in `train`
    net = Net()
    names = [f"fc{i}.{part}" for i in (1, 2, 3) for part in ("weight", "bias")]
    weights = (np.ascontiguousarray(w.T) for w in initial_weights(workload))
    net.load_state_dict({name: torch.tensor(w) for name, w in zip(names, weights, strict=True)})
    dataset = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y.astype(np.int64)))
    loader = torch.utils.data.DataLoader(dataset, batch_size=workload.batch, shuffle=True)
    criterion = nn.CrossEntropyLoss()
    optimizer = {"adam": optim.Adam, "sgd": optim.SGD}[workload.optimizer](net.parameters(), lr=workload.learning_rate)

    def epochs(count: int) -> tuple[float, float]:
        begin, mean = time.perf_counter(), 0.0
        for _ in range(count):
            running_loss = 0.0
            for _, data in enumerate(loader, 0):
                inputs, labels = data
                optimizer.zero_grad()
                outputs = net(inputs)
                loss = criterion(outputs, labels)
                loss.backward()
                optimizer.step()
                running_loss += loss.item()
            mean = running_loss / len(loader)
        return time.perf_counter() - begin, mean

    return Job(lambda n: epochs(n)[1], lambda n: epochs(n)[0])


def search(workload: Workload, x: Array, y: Array) -> Job:
    from ranvier.search import StratifiedKFold

    inputs, *_, outputs = workload.layers
    folds = StratifiedKFold(FOLDS).split(x, y)
    grid = {"units": UNITS, "learning_rate": RATES}

    def build(units: int, learning_rate: float) -> Any:
        model = rv.Sequential(
            [
                rv.layers.Dense(units, activation=workload.hidden, input_shape=(inputs,)),
                rv.layers.Dense(units, activation=workload.hidden),
                rv.layers.Dense(outputs, activation=workload.output),
            ]
        )
        model.compile(rv.optimizers.Adam(learning_rate), workload.loss, metrics=["accuracy"])
        return model

    options: dict[str, Any] = {"epochs": workload.loss_at, "batch_size": workload.batch, "verbose": 0}

    def together() -> float:
        results = rv.fit_many(build, x, y, grid=grid, folds=folds, **options)
        return float(np.mean([row.metrics["val_accuracy"] for row in results]))

    def alone() -> float:
        scores = []
        for point in itertools.product(UNITS, RATES):
            for train, held_out in folds:
                rv.set_seed(0)
                model = build(*point)
                model.fit(x[train], y[train], **options)
                scores.append(model.evaluate(x[held_out], y[held_out], verbose=0)[1])
        return float(np.mean(scores))

    once = alone if os.environ.get("ONE_AFTER_THE_OTHER") else together

    def run(count: int) -> float:
        begin = time.perf_counter()
        for _ in range(count):
            once()
        return time.perf_counter() - begin

    return Job(lambda _: once(), run)


def fit(workload: Workload, x: Array, y: Array) -> Job:
    """The estimator with the settings of `MLPClassifier`'s default, epsilon included."""
    from benchmarks.contestants.fits import fits
    from ranvier.estimators import NeuralClassifier

    def make(seed: int) -> Any:
        return NeuralClassifier(
            workload.layers[1:-1],
            optimizer=rv.optimizers.Adam(1e-3, epsilon=1e-8),
            max_iter=workload.loss_at,
            early_stopping=workload.early_stopping,
            random_state=seed,
        )

    return fits(make, x.astype(np.float64) if workload.float64 else x, y, note="NeuralClassifier, float32 inside")


def predict(workload: Workload, x: Array, y: Array) -> Job:
    model = build(workload)
    samples = batches(workload, x)
    expected: Floats = reference_predict(workload, x)

    def begin(_: int) -> float:
        answers = np.concatenate([model.predict(s, batch_size=max(32, workload.batch), verbose=0) for s in samples])
        return float(np.abs(answers - expected).max())

    def run(calls: int) -> float:
        start = time.perf_counter()
        for i in range(calls):
            model.predict(samples[i % len(samples)], batch_size=max(32, workload.batch), verbose=0)
        return time.perf_counter() - start

    return Job(begin, run)
