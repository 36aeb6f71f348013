"""Epochs over a DataLoader whose data lie in memory: as arrays, at their speed, in the order that the loader draws."""

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
from ranvier.training.step.step import Step

__all__ = ["Loaded"]


class Loaded:
    """The same results as asking the loader for its batches, with its batch size, shuffling, sampler and drop_last.

    An epoch of some steps goes on where the last one stopped, and begins anew where the batches run out, as over any
    other source that can be read again: what it takes of each pass over the loader is an order of its own, whose last
    batch may be smaller.
    """

    def __init__(self, training: Training, data: Data, loader: MemoryLoader, limit: int | None) -> None:
        self.training, self.data, self.loader, self.limit = training, data, loader, limit
        self.batch = min(loader.batch, len(data))
        self.steps: int | None = limit
        self.orders: list[Array] = []  # of the epoch that training stands in
        self.left: Array = np.zeros(0, np.int32)  # of the last pass: what no epoch had yet
        self.own = rng.generators_of(loader.loader)
        # Where this epoch and the next begin: random numbers before the pass was drawn, and how much of it is passed.
        self.now: Mapping[str, Any] = {"random": None, "passed": 0}
        self.then = self.now
        self.step: Step | None = None

    def draw(self, passed: int = 0) -> None:
        """Begin a pass over the loader, after some of its rows."""
        self.then = {"random": rng.get_state(*self.own), "passed": passed}
        self.left = self.loader.draw()[passed:]

    def turn(self) -> list[Array]:
        """The rows of the next epoch, an order for each pass that they are of."""
        self.now = self.then
        orders: list[Array] = []
        steps = self.limit
        while steps is None or steps > 0:
            if not len(self.left):
                self.draw()
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
        """How many batches these rows are."""
        return math.ceil(len(order) / self.batch)

    def epoch(self, title: str) -> tuple[Logs, int]:
        """One epoch, or what is left of it: its results, and the number of samples."""
        training = self.training
        if not self.orders or not training.done:
            self.orders = self.turn()
        if self.step is None or training.hooks.changing:
            self.step = training.step(self.data, self.batch)
        training.show.begin(title, sum(map(self.count, self.orders)))
        samples = begun = 0
        for order in self.orders:
            end = begun + self.count(order)
            if training.done < end or order is self.orders[-1]:
                samples = training.run(
                    self.step, self.data, order, batch=begun, samples=samples, fresh=not begun
                )
                if training.stopping():
                    return training.logs(), samples
                if training.runner is not None:
                    self.step = training.runner.step  # which a hook may have changed
            else:
                samples += len(order)  # trained on before a stop
            begun = end
        return training.logs(), samples

    # --- what a backup keeps --------------------------------------------------------------------------------------

    def state(self) -> Any:
        """Where the epoch that training stands in begins, and where random numbers stand."""
        return {**(self.now if self.training.done else self.then), "now": rng.get_state(*self.own)}

    def set_state(self, state: Any, random: Mapping[str, Any]) -> None:
        if state["random"] is not None:
            rng.set_state(state["random"], *self.own)
            self.draw(int(state["passed"]))
            if self.training.done:
                self.orders = self.turn()
        rng.set_state(state["now"], *self.own)
