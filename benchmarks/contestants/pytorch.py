"""PyTorch: data in memory, batches by index, fused optimizers. A trial selects the number of threads.

The programs are eager, and with the environment's COMPILE the network and its gradient are compiled.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.contestants import Job, most
from benchmarks.contestants.images import CORES, Epochs
from benchmarks.datasets import batches, initial_weights, reference_predict
from benchmarks.workload import DECAY, Workload

Array = NDArray[Any]
Batches = Callable[[], Iterator[tuple[torch.Tensor, torch.Tensor]]]
HEAVY = 0.005  # seconds of a step, roughly, that takes all cores
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}
# With the epsilon of Keras, which RMSprop adds below the root there. RMSprop has no fused form.
OPTIMIZERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "adam": (torch.optim.Adam, {"fused": True, "eps": 1e-7}),
    "adamw": (torch.optim.AdamW, {"fused": True, "eps": 1e-7, "weight_decay": DECAY}),
    "rmsprop": (torch.optim.RMSprop, {"foreach": True, "alpha": 0.9, "eps": 1e-7**0.5}),
    "sgd": (torch.optim.SGD, {"fused": True}),
}
LOSSES: dict[str, Callable[[], nn.Module]] = {
    "sparse_categorical_crossentropy": nn.CrossEntropyLoss,
    "binary_crossentropy": nn.BCEWithLogitsLoss,
    "mean_squared_error": nn.MSELoss,
}


def build(workload: Workload) -> nn.Sequential:
    """The workload's network with its initial weights; its outputs are logits where the loss takes them."""
    parts: list[nn.Module] = []
    weights = initial_weights(workload)
    for i in range(0, len(weights), 2):
        linear = nn.Linear(*weights[i].shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weights[i].T.copy()))
            linear.bias.copy_(torch.from_numpy(weights[i + 1]))
        parts += [linear, ACTIVATIONS[workload.hidden]()]
    return nn.Sequential(*parts[:-1])


def compiled(model: nn.Module) -> Any:
    """The model as the environment wants it: eager, or compiled for each shape."""
    return torch.compile(model, dynamic=False) if os.environ.get("COMPILE") else model


def optimizer_of(workload: Workload, model: nn.Module) -> torch.optim.Optimizer:
    kind, options = OPTIMIZERS[workload.optimizer]
    return kind(model.parameters(), lr=workload.learning_rate, **options)


def best_threads(seconds: Callable[[], float]) -> int:
    """Try one and two threads on `seconds`, keep and return the faster."""
    times = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        seconds()
        times[threads] = min(seconds() for _ in range(3))
    best = min(times, key=times.__getitem__)
    torch.set_num_threads(best)
    return best


def epoch(
    model: nn.Module,
    criterion: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Batches,
    metrics: bool,
    stop: int = 0,
) -> float:
    """One epoch of the usual loop, or its first `stop` steps; its mean loss per sample, read once, at the end."""
    total, correct, count = torch.zeros(()), torch.zeros((), dtype=torch.int64), 0
    for step, (inputs, labels) in enumerate(batches(), 1):
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(inputs)
        if metrics:
            correct += (outputs.detach().argmax(1) == labels).sum()
        count += len(inputs)
        if step == stop:
            break
    return float(total) / count


def shuffled(workload: Workload, x: Array, y: Array) -> Batches:
    """The batches of an epoch: all samples at once, or by index in random order."""
    sparse = workload.loss == "sparse_categorical_crossentropy"
    inputs, labels = torch.from_numpy(x), torch.from_numpy(y.astype(np.int64) if sparse else y)

    def of_epoch() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        if workload.batch >= len(inputs):
            yield inputs, labels
            return
        for index in torch.randperm(len(inputs)).split(workload.batch):
            yield inputs[index], labels[index]

    return of_epoch


def train(workload: Workload, x: Array, y: Array) -> Job:
    of_epoch = shuffled(workload, x, y)
    criterion, metrics = LOSSES[workload.loss](), bool(workload.metrics)
    scratch = compiled(build(workload))
    scratch_optimizer = optimizer_of(workload, scratch)
    steps = most(workload, 200)

    def trial() -> float:
        begin = time.perf_counter()
        epoch(scratch, criterion, scratch_optimizer, of_epoch, metrics, stop=steps)
        return time.perf_counter() - begin

    threads = best_threads(trial) if workload.expected < HEAVY else CORES
    model = compiled(build(workload))
    optimizer = optimizer_of(workload, model)

    def epochs(count: int) -> tuple[float, float]:
        torch.set_num_threads(threads)  # another workload may have changed it
        begin, loss = time.perf_counter(), 0.0
        for _ in range(count):
            loss = epoch(model, criterion, optimizer, of_epoch, metrics)
        return time.perf_counter() - begin, loss

    return Job(lambda n: epochs(n)[1], lambda n: epochs(n)[0], f"{threads} thread{'s' * (threads > 1)}")


def memory(workload: Workload, x: Array, y: Array) -> Epochs:
    """The program without trials."""
    model, criterion = build(workload), LOSSES[workload.loss]()
    optimizer = optimizer_of(workload, model)

    def epochs(count: int, number: int) -> tuple[list[float], float]:
        of_epoch = shuffled(workload, x[:count], y[:count])
        times, loss = [time.perf_counter()], 0.0
        for _ in range(number):
            loss = epoch(model, criterion, optimizer, of_epoch, bool(workload.metrics))
            times.append(time.perf_counter())
        return times, loss

    return epochs


loop = train  # the same loop without a DataLoader, for comparison


def predict(workload: Workload, x: Array, y: Array) -> Job:
    model = nn.Sequential(*build(workload), nn.Softmax(dim=1)).eval()
    samples = [torch.from_numpy(part) for part in batches(workload, x)]
    expected = reference_predict(workload, x)

    def begin(_: int) -> float:
        with torch.inference_mode():
            answers = torch.cat([model(s) for s in samples]).numpy()
        return float(np.abs(answers - expected).max())

    def run(calls: int) -> float:
        start = time.perf_counter()
        with torch.inference_mode():
            for i in range(calls):
                model(samples[i % len(samples)]).numpy()
        return time.perf_counter() - start

    threads = best_threads(lambda: run(most(workload, 500)))
    return Job(begin, run, f"{threads} thread{'s' * (threads > 1)}")
