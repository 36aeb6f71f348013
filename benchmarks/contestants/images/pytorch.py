"""PyTorch, eager: images in memory, batches by index, fused Adam. A trial selects the memory format and the threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.contestants import Job, most
from benchmarks.contestants.images import (
    CORES,
    HEAVY,
    TEST_BATCH,
    Array,
    Epochs,
    WholeTraining,
    fastest,
    prediction,
    training,
)
from benchmarks.contestants.pytorch import compiled
from benchmarks.network import (
    EPSILON,
    MOMENTUM,
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

SMALL = 4e6  # operations a sample below which one thread may be faster
LARGE = 1e8  # operations of a sample above which a trial has two steps
FORMATS = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}


class Sum(nn.Module):  # type: ignore[misc]  # mypy skips torch
    """body(x) + shortcut(x), then relu where `relu`."""

    def __init__(self, body: nn.Module, shortcut: nn.Module, relu: bool) -> None:
        super().__init__()
        self.body, self.shortcut, self.relu = body, shortcut, relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = self.body(x) + self.shortcut(x)
        return F.relu(total, inplace=True) if self.relu else total


class Joined(nn.Module):  # type: ignore[misc]  # mypy skips torch
    """The channels of x and those of body(x)."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.body(x)], 1)


class UnevenPadding(nn.Module):  # type: ignore[misc]  # mypy skips torch
    """Keras's 'same' padding of a stride of 2 on even images: one more pixel below and at the right."""

    def __init__(self, size: int) -> None:
        super().__init__()
        before = (size - 2) // 2
        self.edges = (before, size - 2 - before) * 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.pad(x, self.edges)


class Rescaling(nn.Module):  # type: ignore[misc]  # mypy skips torch
    """Bytes as floats, times `scale`."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float().mul_(self.scale)


class RandomFlip(nn.Module):  # type: ignore[misc]  # mypy skips torch
    """Mirror each image of a batch with probability 1/2."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x) if self.training else x


def _before(part: Before) -> nn.Module:
    return Rescaling(part.scale) if isinstance(part, Rescale) else RandomFlip()


def _convolution(
    channels: int, filters: int, size: int, stride: int, same: bool, normalized: bool, groups: int = 1
) -> list[nn.Module]:
    """A convolution with its padding, and its normalization where it has one."""
    out: list[nn.Module] = []
    if same and stride > 1 and size > 1:
        out, same = [UnevenPadding(size)], False
    padding = size // 2 if same else 0
    out.append(nn.Conv2d(channels, filters, size, stride, padding, groups=groups, bias=not normalized))
    return [*out, nn.BatchNorm2d(filters, EPSILON, 1 - MOMENTUM)] if normalized else out


def _layers(part: Part, channels: int) -> tuple[list[nn.Module], int]:
    """The modules of a part, and its output channels (or features); 0 where they are unknown."""
    match part:
        case Conv(filters, size, stride, same, normalized, relu, six=six):
            out = _convolution(channels, filters, size, stride, same, normalized)
            return [*out, (nn.ReLU6 if six else nn.ReLU)(inplace=True)] if relu else out, filters
        case Deconv(filters, size, stride, relu):
            edge = size // 2 if size > stride else 0
            out = [nn.ConvTranspose2d(channels, filters, size, stride, edge, stride + 2 * edge - size)]
            return [*out, nn.ReLU(inplace=True)] if relu else out, filters
        case Depthwise(size, stride, same, normalized, six):
            out = _convolution(channels, channels, size, stride, same, normalized, groups=channels)
            return [*out, (nn.ReLU6 if six else nn.ReLU)(inplace=True)], channels
        case Pool(same, size):
            return [nn.MaxPool2d(size, 2, ceil_mode=same)], channels
        case GlobalPool():
            return [nn.AdaptiveAvgPool2d(1), nn.Flatten()], channels
        case Flatten():
            return [nn.Flatten()], 0
        case Dropout(rate):
            return [nn.Dropout(rate)], channels
        case Dense(units, relu):
            linear = nn.Linear(channels, units) if channels else nn.LazyLinear(units)
            return [linear, nn.ReLU(inplace=True)] if relu else [linear], units
        case Residual(body, shortcut, relu):
            inner, made = _chain(body, channels)
            return [Sum(inner, _chain(shortcut, channels)[0] if shortcut else nn.Identity(), relu)], made
        case Beside(body):
            inner, made = _chain(body, channels)
            return [Joined(inner)], channels + made


def _chain(parts: Iterable[Part], channels: int) -> tuple[nn.Sequential, int]:
    modules: list[nn.Module] = []
    for part in parts:
        more, channels = _layers(part, channels)
        modules += more
    return nn.Sequential(*modules), channels


def build(network: Network, *, trained: bool = False) -> nn.Sequential:
    """The network with its weights; its outputs are logits."""
    model, _ = _chain(network.parts, network.shape[-1])
    model.eval()(torch.zeros(1, network.shape[-1], *network.shape[:-1]))  # gives a lazy layer its shape
    states = [v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")]
    for state, value in zip(states, network.weights_channels_first(trained=trained), strict=True):
        state.copy_(torch.from_numpy(value))
    return nn.Sequential(*[_before(part) for part in network.before], *model).train()


def _arranged(x: Array, layout: str) -> Callable[[torch.Tensor | slice], torch.Tensor]:
    """Takes a batch of images by index, in the memory format `layout`, from images in the same format."""
    if layout == "channels last":
        images = torch.from_numpy(x)
        return lambda index: images[index].permute(0, 3, 1, 2)
    images = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    return lambda index: images[index]


class _Training:
    """A model, its optimizer and the images in one memory format."""

    def __init__(self, workload: Workload, x: Array, y: Array, layout: str) -> None:
        self.batch, self.layout = workload.batch, layout
        network = NETWORKS[workload.network]
        self.images = _arranged(x, layout)
        self.labels = None if network.restores else torch.from_numpy(y.astype(np.int64))
        self.model = compiled(build(network).to(memory_format=FORMATS[layout]))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=workload.learning_rate, eps=1e-7, fused=True)
        self.counts = "accuracy" in workload.metrics
        self.after_step: Callable[[], object] = lambda: None

    def epoch(self, count: int) -> float:
        """Train on the first `count` images in random order; their mean loss, read once, at the end."""
        total, right = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for index in torch.randperm(count).split(self.batch):
            self.optimizer.zero_grad()
            images = self.images(index)
            answers = self.model(images)
            if self.labels is None:
                loss = F.mse_loss(answers, images)
            else:
                labels = self.labels[index]
                loss = F.cross_entropy(answers, labels)
            loss.backward()
            self.optimizer.step()
            self.after_step()
            total += loss.detach() * len(index)
            if self.counts and self.labels is not None:
                right += (answers.detach().argmax(1) == labels).sum()
        self.accuracy = int(right) / count
        return float(total) / count

    def epochs(self, count: int, number: int) -> tuple[list[float], float]:
        """As `images.Epochs`."""
        times, loss = [time.perf_counter()], 0.0
        for _ in range(number):
            loss = self.epoch(count)
            times.append(time.perf_counter())
        return times, loss


def _said(layout: str, threads: int) -> str:
    return f"{layout}, {threads} thread{'s' * (threads > 1)}"


def _choice(workload: Workload, x: Array, y: Array) -> tuple[str, int]:
    """The memory format and the threads that are fastest on a few batches."""
    operations = NETWORKS[workload.network].training_flops
    few = min(len(x), (2 if operations > LARGE else 8) * workload.batch)
    scratch = {name: _Training(workload, x[:few], y[:few], name) for name in FORMATS}

    def trial(name: str, threads: int) -> float:
        torch.set_num_threads(threads)
        begin = time.perf_counter()
        scratch[name].epoch(few)
        return time.perf_counter() - begin

    tried = [(name, threads) for name in FORMATS for threads in {1 if operations < SMALL else CORES, CORES}]
    return fastest({key: partial(trial, *key) for key in tried})


def images(workload: Workload, x: Array, y: Array) -> Job:
    layout, threads = _choice(workload, x, y)
    chosen = _Training(workload, x, y, layout)

    def epochs(count: int, number: int) -> tuple[list[float], float]:
        torch.set_num_threads(threads)  # another workload may have changed it
        return chosen.epochs(count, number)

    return training(workload, epochs, _said(layout, threads), untimed=0)


def accuracy(workload: Workload, x: Array, y: Array) -> WholeTraining:
    layout, threads = _choice(workload, x, y)
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    chosen = _Training(workload, x, y, layout)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        chosen.optimizer, workload.learning_rate, workload.steps, cycle_momentum=False
    )
    chosen.after_step = cycle.step

    def predict(images: Array) -> Array:
        model, take = chosen.model.eval(), _arranged(images, layout)
        with torch.inference_mode():
            parts = [model(take(slice(i, i + TEST_BATCH))) for i in range(0, len(images), TEST_BATCH)]
        return np.asarray(torch.cat(parts))

    return WholeTraining(lambda: chosen.epochs(len(x), workload.epochs), predict, _said(layout, threads))


def memory(workload: Workload, x: Array, y: Array) -> Epochs:
    """The program without trials, in the memory format of the array, so that memory has no second copy."""
    return _Training(workload, x, y, "channels last").epochs


def infer(workload: Workload, x: Array, y: Array) -> Job:
    data = {"channels first": np.ascontiguousarray(x.transpose(0, 3, 1, 2)), "channels last": x}

    def job_of(layout: str, threads: int) -> Job:
        network = NETWORKS[workload.network]
        last = nn.Identity() if network.restores else nn.Softmax(dim=1)
        model = nn.Sequential(build(network, trained=True), last).eval().to(memory_format=FORMATS[layout])

        def predict(batch: Array) -> Any:
            images = torch.from_numpy(batch)
            with torch.inference_mode():
                return model(images if layout == "channels first" else images.permute(0, 3, 1, 2)).numpy()

        job = prediction(workload, data[layout], y, predict, _said(layout, threads))

        def run(calls: int) -> float:
            torch.set_num_threads(threads)
            return job.run(calls)

        return Job(job.begin, run, job.note)

    calls = most(workload, max(2, 256 // workload.batch))
    jobs = {(n, c): job_of(n, c) for n in FORMATS for c in {1 if workload.flops < HEAVY else CORES, CORES}}
    return jobs[fastest({key: partial(job.run, calls) for key, job in jobs.items()})]
