"""Epochs over a DataLoader whose data are in memory: as fast as over arrays, in the order that the loader draws."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ranvier.data.batches import ended, name_of
from ranvier.data.convert import Array
from ranvier.tensor import rng
from ranvier.training.adapters.generators import MemoryLoader
from ranvier.training.loop.trainer import Logs, Training
from ranvier.training.step.arrays import Data
from ranvier.training.step.builder import Step


class LoaderEpochs:
    """The same results as with the loader's batches, with its batch size, shuffling, sampler and drop_last.

    An epoch of fewer steps continues where the last one stopped, and starts a new pass when the batches run out, as
    over any other source that can be read again. Each pass has its own order, whose last batch may be smaller.
    """

    def __init__(self, training: Training, data: Data, loader: MemoryLoader, limit: int | None) -> None:
        self.training, self.data, self.loader, self.limit = training, data, loader, limit
        self.batch = min(loader.batch, len(data))
        self.steps: int | None = limit
        self.orders: list[Array] = []  # of the current epoch
        self.left: Array = np.zeros(0, np.int32)  # rows of the last pass that no epoch has used yet
        self.generators = rng.generators_of(loader.loader)
        # Where this epoch and the next begin: the random state before the pass was drawn, and how many rows are used.
        self.now: Mapping[str, Any] = {"random": None, "passed": 0}
        self.then = self.now
        self.step: Step | None = None

    def shuffled_rows(self, passed: int = 0) -> None:
        """Start a pass over the loader, after some of its rows."""
        self.then = {"random": rng.get_state(*self.generators), "passed": passed}
        self.left = self.loader.draw()[passed:]

    def next_order(self) -> list[Array]:
        """The rows of the next epoch: an order for each pass that it uses."""
        self.now = self.then
        orders: list[Array] = []
        steps = self.limit
        while steps is None or steps > 0:
            if not len(self.left):
                self.shuffled_rows()
                if self.now["random"] is None:
                    self.now = self.then
                if not len(self.left):
                    ended(0, None, name_of(self.loader.loader))
            size = len(self.left) if steps is None else min(len(self.left), steps * self.batch)
            orders.append(self.left[:size])
            self.left = self.left[size:]
            self.then = {**self.then, "passed": self.then["passed"] + size}
            if steps is None:
                break
            steps -= self.count(orders[-1])
        if not len(self.left):
            self.then = {"random": None, "passed": 0}
        return orders

    def count(self, order: Array) -> int:
        """The number of batches of these rows."""
        return math.ceil(len(order) / self.batch)

    def epoch(self, title: str) -> tuple[Logs, int]:
        """One epoch, or the rest of it: its results, and the number of samples."""
        training = self.training
        if not self.orders or not training.done:
            self.orders = self.next_order()
        if self.step is None or training.callbacks.changing:
            self.step = training.step(self.data, self.batch)
        training.progress.begin(title, sum(map(self.count, self.orders)))
        samples = begun = 0
        for order in self.orders:
            end = begun + self.count(order)
            if training.done < end or order is self.orders[-1]:
                samples = training.run(self.step, self.data, order, batch=begun, samples=samples, fresh=not begun)
                if training.stopping():
                    return training.logs(), samples
                if training.runner is not None:
                    self.step = training.runner.step  # a callback may have changed it
            else:
                samples += len(order)  # trained on before a stop
            begun = end
        return training.logs(), samples

    # --- what a backup keeps --------------------------------------------------------------------------------------

    def state(self) -> Any:
        """Where the current epoch begins, and the random state now."""
        return {**(self.now if self.training.done else self.then), "now": rng.get_state(*self.generators)}

    def set_state(self, state: Any, random: Mapping[str, Any]) -> None:
        if state["random"] is not None:
            rng.set_state(state["random"], *self.generators)
            self.shuffled_rows(int(state["passed"]))
            if self.training.done:
                self.orders = self.next_order()
        rng.set_state(state["now"], *self.generators)
