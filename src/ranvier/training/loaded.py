"""Epochs over a DataLoader whose data lie in memory: as arrays, at their speed, in the order that the loader draws."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ranvier import seed
from ranvier.data.convert import Array
from ranvier.training.inputs import Resident
from ranvier.training.loop import Logs, Training
from ranvier.training.step import Data, Step

__all__ = ["Loaded"]


class Loaded:
    """The same results as asking the loader for its batches, with its batch size, shuffling, sampler and drop_last."""

    def __init__(self, training: Training, data: Data, loader: Resident, limit: int | None) -> None:
        self.training, self.data, self.loader, self.limit = training, data, loader, limit
        self.batch = min(loader.batch, len(data))
        self.steps: int | None = limit
        self.order: Array | None = None  # of the epoch that training stands in
        self.begun: Any = None  # where random numbers stood before it was drawn
        self.own = seed.generators_of(loader.loader)
        self.step: Step | None = None

    def close(self) -> None:
        """Nothing is held."""

    def draw(self) -> Array:
        self.begun = seed.get_state(*self.own)
        order = self.loader.draw()
        if self.limit is None:
            return order
        steps = math.ceil(len(order) / self.batch)
        if steps < self.limit:
            raise ValueError(
                f"{type(self.loader.loader).__name__} ended early: batch {steps} of {self.limit} did not come. Write "
                f"steps_per_epoch={steps} instead."
            )
        return order[: self.limit * self.batch]

    def epoch(self, title: str) -> tuple[Logs, int]:
        """One epoch, or what is left of it: its results, and the number of samples."""
        training = self.training
        if self.order is None:
            self.order = self.draw()
        if self.step is None or training.hooks.changing:
            self.step = training.step(self.data, self.batch)
        training.show.begin(title, math.ceil(len(self.order) / self.batch))
        samples = training.run(self.step, self.data, self.order)
        if not training.stopping():
            self.order = None
        return training.logs(), samples

    # --- what a backup keeps --------------------------------------------------------------------------------------

    def state(self) -> Any:
        """Where random numbers stood when the order of the epoch that training stands in was drawn."""
        return {"random": self.begun if self.training.done else None, "now": seed.get_state(*self.own)}

    def set_state(self, state: Any, random: Mapping[str, Any]) -> None:
        if state["random"] is not None:
            seed.set_state(state["random"], *self.own)
            self.order = self.draw()
        seed.set_state(state["now"], *self.own)
