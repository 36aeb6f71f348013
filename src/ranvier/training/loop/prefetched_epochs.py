"""Epochs computed ahead: where nobody watches between two epochs, many of a small data set run in one native call.

An epoch of a small network over a small data set takes less time than going back to Python and into native code again,
and other threads (`fit_many`'s) need the interpreter meanwhile. The results are told epoch by epoch as ever.
"""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from ranvier.data.convert import Array

if TYPE_CHECKING:
    from ranvier.training.loop.epochs import Arrays
    from ranvier.training.loop.trainer import Training

__all__ = ["Ahead"]

BYTES = 1 << 26  # that the orders and the results of all epochs in one call may take


class Ahead:
    """What `Arrays` asks before it runs an epoch; ``results`` are of epochs that were run and not told yet."""

    def __init__(self, training: Training, epochs: int) -> None:
        self.training, self.epochs = training, epochs
        self.results: deque[tuple[Array, ...]] = deque()
        self.taken = -1  # the epoch whose results were handed out last
        self.size = 0  # steps of an epoch

    def untold(self) -> bool:
        """Whether there are epochs that were run and are not in the history yet."""
        return bool(self.results) or self.taken == self.training.epoch

    def steps(self) -> int:
        """How many steps were made after the epoch that is told now."""
        return len(self.results) * self.size

    def take(self, source: Arrays) -> bool:
        """Whether the next epoch has been run, by this or an earlier call; the step's totals are then its results.

        Raises NonFiniteLoss where that epoch's loss is not finite.
        """
        training = self.training
        if not self.results:
            self.compute(source)
        if not self.results:
            return False
        totals = self.results.popleft()
        if not math.isfinite(totals[0]):
            self.results.clear()
            training.failed()
        assert source.step is not None
        for array, value in zip(source.step.totals, totals, strict=True):
            np.copyto(array, value)
        self.taken, self.size, training.done = training.epoch, source.steps, source.steps
        training.taken += source.steps
        return True

    def compute(self, source: Arrays) -> None:
        """Run as many epochs as take about as long as a native call may; none where less than two do."""
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
        self.size = source.steps
        orders = source.turns(count)
        self.results.extend(runner.advance_each(source.data, orders, training.epoch, training.failed))
        training.pace.took(count * source.steps, time.perf_counter() - began)
