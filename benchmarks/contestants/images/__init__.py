"""The image networks in every library. Their programs have in common the work of one turn, and the comparison."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.contestants import Job
from benchmarks.workload import Workload

Array = NDArray[Any]
Key = TypeVar("Key")
# (images, epochs) -> the times of the beginning and of the end of each epoch, and the mean training loss of the last.
Epochs = Callable[[int, int], tuple[list[float], float]]
TURN = 0.6  # seconds of an epoch; where all would take 1.5 times as long, fewer are timed and the seconds scaled
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
TEST_BATCH = 1000
FEWEST = 2  # batches of such an epoch
HEAVY = 1e10  # operations of a call that takes all cores


@dataclass(frozen=True)
class WholeTraining:
    """A program that trains on its images from the initial weights for all epochs, and then predicts.

    `predict` takes images (n, height, width, channels) and returns logits or probabilities (n, classes).
    """

    train: Callable[[], object]
    predict: Callable[[Array], Array]
    note: str = ""


def training(workload: Workload, epochs: Epochs, note: str, untimed: int = 1) -> Job:
    """The job of a training program. Each call of `epochs` continues the training, on the first images.

    The first `untimed` epochs of a call are not timed, because a `fit` has a fixed cost that a continuing loop has not.
    """
    batch, checked = workload.batch, min(workload.checked or workload.samples, workload.samples)
    images = workload.samples

    def seconds(images: int, count: int) -> float:
        times, _ = epochs(images, untimed + count)
        return times[-1] - times[untimed]

    def begin(count: int) -> float:
        nonlocal images
        times, loss = epochs(checked, count)
        each = (times[-1] - times[-2]) / checked  # the first epoch compiled
        if each * images > 1.5 * TURN:
            images = min(images, max(FEWEST * batch, math.ceil(TURN / each / batch) * batch))
        if images < workload.samples:
            job.note = ", ".join(filter(None, [note, f"{images:,} images, scaled"]))
        return loss

    def run(count: int) -> float:
        return seconds(images, count) * workload.samples / images

    job = Job(begin, run, note)
    return job


def prediction(
    workload: Workload, x: Array, y: Array, predict: Callable[[Array], Array], note: str = "", *, logits: bool = False
) -> Job:
    """The job of calls of `predict` on batches in its layout.

    The cross entropy of its results, probabilities or `logits`, is compared, or the mean square of restored images.
    """
    batches = [np.ascontiguousarray(x[i : i + workload.batch]) for i in range(0, len(x), workload.batch)]

    def begin(_: int) -> float:
        answers = np.concatenate([predict(b) for b in batches])
        if workload.built.restores:
            return float(np.square(answers, dtype=np.float64).mean())
        if logits:
            answers = np.exp(answers - answers.max(1, keepdims=True))
            answers /= answers.sum(1, keepdims=True)
        return float(-np.log(np.maximum(answers[np.arange(len(y)), y], 1e-12)).mean())

    def run(calls: int) -> float:
        start = time.perf_counter()
        for i in range(calls):
            predict(batches[i % len(batches)])
        return time.perf_counter() - start

    return Job(begin, run, note)


def fastest(trials: Mapping[Key, Callable[[], float]]) -> Key:
    """The key of the fastest program, each warmed up once. Programs with similar times run again."""
    times = {}
    for key, trial in trials.items():
        trial()
        times[key] = trial()
    close = 1.5 * min(times.values())
    for key, trial in trials.items():
        if times[key] <= close:
            times[key] = min(times[key], trial())
    return min(times, key=lambda key: times[key])
