"""Epochs over arrays, in an order drawn for each epoch, and over batches as they come; and their state in a backup."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ranvier.data.batches import RanOut
from ranvier.data.convert import Array
from ranvier.data.samplers import Sampler, checked_order
from ranvier.support.source_lines import warn
from ranvier.tensor import rng
from ranvier.training.adapters.generators import batches_of
from ranvier.training.adapters.passes import Passes
from ranvier.training.loop.prefetched_epochs import EpochPrefetch
from ranvier.training.loop.trainer import Logs, Training
from ranvier.training.step.arrays import Data
from ranvier.training.step.builder import Step


def warn_of_end(done: int, wanted: int, name: str) -> None:
    """Warn that a pass over the data ended within an epoch, which therefore has fewer steps."""
    warn(
        f"{name} ended after {done} of the {wanted} steps of an epoch; the next one begins anew, as in Keras. Write a "
        "steps_per_epoch that divides the number of batches, or leave it out, instead.",
        key=f"{name} ended within an epoch",
    )


class ArrayEpochs:
    """Epochs over arrays.

    An epoch of fewer steps than there are batches continues where the last one stopped. The end of the data ends it.
    """

    def __init__(
        self,
        training: Training,
        data: Data,
        batch: int,
        limit: int | None,
        shuffler: Any,
        sampler: Sampler | None = None,
    ) -> None:
        self.training, self.data, self.sampler, self.shuffler = training, data, sampler, shuffler
        self.rows = data.numbers
        self.size = len(self.rows)
        self.batch = min(batch, self.size)
        if sampler is not None:
            # It is called once with a copy of the generator, so that its errors are raised before any step.
            labels = tuple(None if a is None else a[self.rows] for a in data.y)
            self.labels = labels[0] if len(labels) == 1 else labels
            self.size = len(self.sampled(copy.deepcopy(shuffler), None))
            self.batch = min(batch, self.size)
        elif self.batch >= self.size:
            self.shuffler = None  # the order within one batch has no effect
        batches = math.ceil(self.size / self.batch)
        self.limit = batches if limit is None else limit
        self.steps = min(self.limit, batches)
        self.taken = min(self.size, self.steps * self.batch)
        # Rows in order: those of this pass that no epoch has used yet, and those of an epoch.
        self.left = self.order = self.rows[:0]
        self.next: Callable[[], Array] | None = None  # the next order, if it is being drawn already
        self.generator: Any = None if self.shuffler is None else self.shuffler.bit_generator.state
        # Before the order of this pass.
        self.begun = self.generator
        # Where this epoch and the next begin: the generator's state before the order, and the rows used of the order.
        self.now: Mapping[str, Any] = {"generator": self.generator, "passed": 0}
        self.then = self.now
        self.step: Step | None = None
        self.prefetch: EpochPrefetch | None = None  # where nothing happens between epochs

    @property
    def equal(self) -> bool:
        """Whether all epochs have as many rows."""
        return self.size % self.taken == 0

    def sampled(self, generator: Any, size: int | None) -> Array:
        """The rows that the sampler chooses for this epoch."""
        assert self.sampler is not None
        order = self.sampler.order(self.labels, generator)
        return self.rows[checked_order(order, len(self.rows), self.sampler, size)]

    def shuffled_rows(self, into: Array | None = None) -> Array:
        """All rows, in the next order; ``into`` is memory for it."""
        if self.shuffler is None:
            return self.rows
        if self.sampler is not None:
            order = self.sampled(self.shuffler, self.size)
        else:
            order = self.next() if self.next is not None else rng.shuffled(self.rows, self.shuffler, into)
        self.next, self.generator = None, self.shuffler.bit_generator.state
        return order

    def next_order(self, into: Array | None = None) -> Array:
        """The rows of the next epoch, in order; ``into`` is memory for them."""
        self.now = self.then
        if not len(self.left):
            self.begun = self.generator
            self.left = self.shuffled_rows(into if self.taken == len(self.rows) else None)
        # An order of all rows is the same array in every epoch, which shows that it is the same order.
        whole, left = len(self.left) <= self.taken, self.left
        self.order, self.left = (left, left[:0]) if whole else (left[: self.taken], left[self.taken :])
        passed = self.size - len(self.left) if len(self.left) else 0
        self.then = {"generator": self.begun if passed else self.generator, "passed": passed}
        if self.count < self.limit:
            warn_of_end(self.count, self.limit, "the pass over the data")
        return self.order

    @property
    def count(self) -> int:
        """The number of steps of this epoch."""
        return math.ceil(len(self.order) / self.batch)

    def next_orders(self, count: int) -> Array | list[Array]:
        """The rows of several epochs of as many rows, in order: as one array, or as a list of one that all share."""
        if self.shuffler is None and self.taken == self.size:
            return [self.next_order() for _ in range(count)]
        orders: Array = np.empty((count, self.taken), self.rows.dtype)
        for room in orders:
            order = self.next_order(room)
            if order is not room:
                room[...] = order
        return orders

    def epoch(self, title: str) -> tuple[Logs, int]:
        """One epoch, or the rest of it: its results, and the number of samples."""
        training = self.training
        if self.prefetch is not None and self.prefetch.take(self):
            return training.logs(), self.taken
        self.next_order()
        if self.step is None or (training.callbacks.changing and not training.unchanged()):
            self.step = training.step(self.data, self.batch)
        elif training.runner is not None:
            self.step = training.runner.step  # a callback may have changed it during the last epoch
        training.progress.begin(title, self.count)
        samples = training.run(self.step, self.data, self.order)
        if self.shuffler is not None and self.sampler is None and not len(self.left):
            # Drawn in a thread while callbacks and validation run.
            self.next = rng.start_shuffle(self.rows, self.shuffler)
        return training.logs(), samples

    # --- what a backup keeps --------------------------------------------------------------------------------------

    def state(self) -> Any:
        """Where the current epoch begins."""
        return self.now if self.training.done else self.then

    def set_state(self, state: Any, random: Mapping[str, Any]) -> None:
        self.then, self.begun, self.generator, self.next = state, state["generator"], state["generator"], None
        if self.shuffler is not None:
            rng.set_generator_state(self.shuffler, self.generator)
        passed = int(state["passed"])
        self.left = self.shuffled_rows()[passed:] if passed else self.rows[:0]
        rng.set_state(random)


def stop_without_batches(error: RanOut, training: Training) -> None:
    """End training early: a source has no batches for the remaining epochs."""
    training.model.stop_training = True
    warn(f"Training stops in epoch {training.epoch + 1}: {error}")


class StreamEpochs:
    """Epochs over batches as they come; a batch no larger than those before it in the epoch uses the same program."""

    def __init__(self, training: Training, passes: Passes, steps: int | None, options: Mapping[str, Any]) -> None:
        self.training, self.passes, self.steps, self.options = training, passes, steps, options
        self.data: Data | None = None  # the first batch of the epoch that has the sizes of the last
        self.largest = 0  # the size of the largest batch before a stop, which is that of the program

    def batches(self) -> Any:
        """The batches of this epoch that are still to be trained on."""
        training, largest = self.training, self.largest
        self.passes.seek()
        if not training.done:
            self.passes.begin()
        self.largest = 0
        return batches_of(
            training.model, training.compiled, self.passes, self.steps, **self.options,
            start=training.done, largest=largest,
        )  # fmt: skip

    def epoch(self, title: str) -> tuple[Logs, int]:
        """One epoch, or the rest of it: its results, and the number of samples."""
        training = self.training
        training.progress.begin(title, self.steps)
        samples = 0
        step: Step | None = None
        kind: Any = None
        batches = self.batches()
        # As many batches are taken as run in one call, so that none is taken before a callback or a stop.
        while True:
            try:
                data = batches.take(1 if step is None else training.steps_to_run())
            except RanOut as error:
                if training.done and self.steps is not None and not self.passes.once:
                    warn_of_end(training.done, self.steps, self.passes.__name__)
                    self.passes.end()
                    break
                if not training.done or training.taken == training.done:
                    raise
                stop_without_batches(error, training)  # the batches that came are the last epoch
                break
            if data is None:
                self.passes.end()
                break
            fresh = step is None
            if step is None:
                training.preflight(data, partial=True)
            kind, before = data.kind(), kind
            if kind != before:
                self.data = data
            if step is None or batches.largest > step.batch or kind != before:
                step = training.step(data, batches.largest).take_over(step)
            order = data.numbers
            samples = training.run(step, data, order, batch=training.done, samples=samples, fresh=fresh)
            if training.stopping():
                break
            if training.runner is not None:
                step = training.runner.step  # a callback may have changed it
        return training.logs(), samples

    # --- what a backup keeps --------------------------------------------------------------------------------------

    def state(self) -> Any:
        """How to reach the next batch, and the batch size of the program."""
        training = self.training
        largest = training.runner.step.batch if training.runner is not None and training.done else 0
        return {**self.passes.state(training.done), "batch": largest}

    def set_state(self, state: Any, random: Mapping[str, Any]) -> None:
        self.largest = int(state["batch"])
        self.passes.set_state(state, self.training.epoch)
