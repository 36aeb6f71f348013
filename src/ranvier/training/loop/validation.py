"""Validation within `fit`: its data, its batches, and the epochs after which it runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from ranvier.data.batches import check_source, name_of
from ranvier.module import Module
from ranvier.support.validation import whole
from ranvier.training.adapters.arrays import to_data
from ranvier.training.adapters.generators import (
    MemoryLoader,
    batch_size_of,
    evaluation_batches,
    is_source,
    memory_loader,
)
from ranvier.training.adapters.passes import Passes
from ranvier.training.adapters.ragged import RaggedBatches, is_ragged
from ranvier.training.loop.evaluate import run_evaluation
from ranvier.training.loop.progress import Progress
from ranvier.training.loop.trainer import Logs, Training
from ranvier.training.step.arrays import DEFAULT_BATCH, Data, rows_of_a_batch
from ranvier.training.step.compiled import Compiled


def validation_data_of(model: Module, state: Compiled, given: Any, batch: Any, check_finite: bool) -> Any:
    """Validation data as checked arrays; a source of batches stays one, and is read in each epoch."""
    if isinstance(given, Data):
        return given
    if is_source(given):
        check_source(given, name_of(given))
        return memory_loader(given) or given  # a loader in memory is checked once
    if isinstance(given, Mapping) or not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        raise TypeError(
            "validation_data must be (x, y) or (x, y, sample_weight). Write validation_data=(x_val, y_val)."
        )
    x, y, weight = (*given, None)[:3]
    if is_ragged(model, x):
        return RaggedBatches.of(model, (x, y, weight), batch)
    return to_data(model, state, x, y, weight, check_finite=check_finite, prefix="validation ")


REPEATED = 2  # the batches of an iterator with which each validation begins, as in Keras, which looks at them first


class Validation:
    """Data to validate on: arrays, a loader in memory, or a source of batches.

    It runs on ``steps`` batches of ``batch`` rows, after the epochs of ``frequency``: every so many, or those listed
    (counted from 1). Each validation on an iterator begins with its first batches, and goes on where the last stopped.
    """

    def __init__(self, data: Any, batch: int | None, steps: int | None, frequency: Any) -> None:
        self.is_due = due(frequency)
        self.steps = None if steps is None else whole("validation_steps", steps)
        self.batch = DEFAULT_BATCH if batch is None else whole("validation_batch_size", batch)
        if isinstance(data, Data) and self.steps is not None:
            self.batch = rows_of_a_batch(batch, len(data), self.steps)
            data = data.rows(slice(0, self.steps * self.batch))
        if hasattr(data, "__next__"):
            data = Passes(data, self.steps, repeated=REPEATED)
        self.data: Data | MemoryLoader | Passes | Any = data

    @classmethod
    def of(
        cls, model: Module, state: Compiled, given: Any, batch: Any, steps: Any, frequency: Any, check_finite: bool
    ) -> Validation | None:
        """The validation on the data that `fit` was given; None without data. Raises for wrong arguments either way."""
        data = None if given is None else validation_data_of(model, state, given, batch, check_finite)
        validation = cls(data, batch, steps, frequency)
        return None if data is None else validation

    @property
    def passes(self) -> Passes | None:
        """An iterator, which continues from epoch to epoch, so that its position is part of the run."""
        return self.data if isinstance(self.data, Passes) else None

    def run(self, training: Training) -> Logs:
        """The results after an epoch, by their names in the history."""
        model, state = training.model, training.compiled
        batch: int | None = self.batch
        parts: Any = [self.data]
        if self.passes is not None:
            self.passes.seek()
            self.passes.rewind()
        if not isinstance(self.data, Data):
            parts, batch = evaluation_batches(model, state, self.data, self.steps), batch_size_of(self.data)
        logs, _ = run_evaluation(
            model, state, parts, batch, pace=training.validation_pace, show=Progress(),
            callbacks=training.callbacks, between=training.stop_if_interrupted,
        )  # fmt: skip
        if self.passes is not None:
            self.passes.settled = self.passes.count
        return {f"val_{name}": value for name, value in logs.items()}


def due(frequency: Any) -> Callable[[int], bool]:
    """Whether validation runs after an epoch, counted from 1: every so many, or those listed."""
    if isinstance(frequency, (Collection, np.ndarray)) and not isinstance(frequency, str):
        return frozenset(whole("validation_freq", n) for n in frequency).__contains__
    every = whole("validation_freq", frequency)
    return lambda number: number % every == 0
