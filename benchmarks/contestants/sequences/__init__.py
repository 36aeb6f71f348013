"""The networks on sequences in every library. Their programs have in common those of images, and attention alone."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from benchmarks.contestants import Job
from benchmarks.contestants.images import Array, Epochs
from benchmarks.sequence import Attention
from benchmarks.workload import Workload

Attending = Callable[[], float]  # a forward and a backward pass; the mean size of some gradients


def heads_of(workload: Workload, x: Array) -> list[Array]:
    """The queries, the keys and the values, (batch, heads, steps, features) each."""
    (part,) = workload.built.parts
    assert isinstance(part, Attention)
    apart = x.reshape(*x.shape[:2], 3, part.heads, -1)
    return [np.ascontiguousarray(apart[:, :, i].swapaxes(1, 2)) for i in range(3)]


def calls(attend: Attending, note: str = "") -> Job:
    """The job of calls of `attend`, whose result is compared."""

    def run(count: int) -> float:
        begin = time.perf_counter()
        for _ in range(count):
            attend()
        return time.perf_counter() - begin

    return Job(lambda _: attend(), run, note)


def writing(workload: Workload, x: Array, write: Callable[[int, int, bool], Array], note: str = "") -> Job:
    """The job of `write(first, count, drawn)`: tokens after the first one of `x`. The likeliest ones are compared."""
    first, count = int(x[0, 0]), workload.built.shape[0] - 1

    def run(calls: int) -> float:
        begin = time.perf_counter()
        for _ in range(calls):
            write(first, count, True)
        return time.perf_counter() - begin

    return Job(lambda _: float(np.mean(write(first, count, False))), run, note)


def passes(attend: Attending) -> Epochs:
    """A program that attends once an epoch."""

    def epochs(_: int, number: int) -> tuple[list[float], float]:
        times, size = [time.perf_counter()], 0.0
        for _ in range(number):
            size = attend()
            times.append(time.perf_counter())
        return times, size

    return epochs
