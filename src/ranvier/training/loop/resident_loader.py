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
from ranvier.training.loop.epochs import warn_of_end
from ranvier.training.loop.trainer import Logs, Training
from ranvier.training.step.arrays import Data
from ranvier.training.step.builder import Step


class LoaderEpochs:
    """The same results as with the loader's batches, with its batch size, shuffling, sampler and drop_last.

    An epoch of fewer steps continues where the last one stopped, and the end of a pass ends it, as over any other
    source that can be read again. Each pass has its own order, whose last batch may be smaller.
    """

    def __init__(self, training: Training, data: Data, loader: MemoryLoader, limit: int | None) -> None:
        self.training, self.data, self.loader, self.limit = training, data, loader, limit
        self.batch = min(loader.batch, len(data))
        self.steps: int | None = limit
        self.order: Array = np.zeros(0, np.int32)  # of the current epoch
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

    def next_order(self) -> Array:
        """The rows of the next epoch, in order."""
        self.now = self.then
        if not len(self.left):
            self.shuffled_rows()
            self.now = self.then
            if not len(self.left):
                ended(0, None, name_of(self.loader.loader))
        size = len(self.left) if self.limit is None else min(len(self.left), self.limit * self.batch)
        self.order, self.left = self.left[:size], self.left[size:]
        passed = self.then["passed"] + size
        self.then = {**self.then, "passed": passed} if len(self.left) else {"random": None, "passed": 0}
        if self.limit is not None and self.count < self.limit:
            warn_of_end(self.count, self.limit, name_of(self.loader.loader))
        return self.order

    @property
    def count(self) -> int:
        """The number of batches of this epoch."""
        return math.ceil(len(self.order) / self.batch)

    def epoch(self, title: str) -> tuple[Logs, int]:
        """One epoch, or the rest of it: its results, and the number of samples."""
        training = self.training
        if not len(self.order) or not training.done:
            self.next_order()
        if self.step is None or training.callbacks.changing:
            self.step = training.step(self.data, self.batch)
        training.progress.begin(title, self.count)
        samples = training.run(self.step, self.data, self.order)
        if training.runner is not None:
            self.step = training.runner.step  # a callback may have changed it
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
                self.next_order()
        rng.set_state(state["now"], *self.generators)
