"""Epochs computed ahead: where nothing happens between two epochs, many short ones run in one native call.

An epoch of a small network over a small data set takes less time than returning to Python and calling native code
again, and other threads (`fit_many`'s) need the interpreter meanwhile. Results are reported epoch by epoch as usual.
"""

from __future__ import annotations

import math
import time
from collections import deque
from typing import Protocol

import numpy as np

from ranvier.data.convert import Array
from ranvier.training.loop.trainer import Training
from ranvier.training.step.arrays import Data
from ranvier.training.step.builder import Step

BYTES = 1 << 26  # the most that the orders and the results of all epochs of one call may take


class Epochs(Protocol):
    """The part of `epochs.ArrayEpochs` that is read here: the data, the compiled step, and the order of the rows."""

    data: Data
    step: Step | None
    steps: int
    order: Array

    def next_orders(self, count: int) -> Array | list[Array]: ...


class EpochPrefetch:
    """Runs several epochs in one call and hands out their results one epoch at a time."""

    def __init__(self, training: Training, epochs: int) -> None:
        self.training, self.epochs = training, epochs
        self.results: deque[tuple[Array, ...]] = deque()  # the totals of epochs that ran and are not in the history

    def take(self, source: Epochs) -> bool:
        """Whether the next epoch has already run, in this call or an earlier one; its totals are then in the step.

        Raises NonFiniteLoss where the loss of that epoch is not finite.
        """
        training = self.training
        if not self.results:
            self.compute(source)
        if not self.results:
            return False
        totals = self.results.popleft()
        if not math.isfinite(totals[0]):
            self.results.clear()
            training.pending = 0
            training.failed()
        assert source.step is not None
        for array, value in zip(source.step.totals, totals, strict=True):
            np.copyto(array, value)
        training.done = source.steps
        training.taken += source.steps
        return True

    def compute(self, source: Epochs) -> None:
        """Run as many epochs as fit into the time of one native call; none if that is less than two."""
        training, runner = self.training, self.training.runner
        if runner is None or runner.step is not source.step or training.done:
            return
        size = source.order.nbytes + sum(array.nbytes for array in runner.step.totals)
        count = min(self.epochs - training.epoch, training.pace.steps() // source.steps, BYTES // size)
        if count < 2:
            return
        if training.interrupt.pressed or not hasattr(runner.step.program, "run_each"):
            return
        began = time.perf_counter()
        training.set_rate()
        orders = source.next_orders(count)
        self.results.extend(runner.advance_each(source.data, orders, training.epoch, training.failed))
        training.pending = len(self.results)
        training.pace.took(count * source.steps, time.perf_counter() - began)
