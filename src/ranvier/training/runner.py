"""Runs a compiled step many times in one call, in chunks, so that everything else gets its turn a few times a second.

Between two chunks the state is whole: it is looked at, kept, and given back when a chunk fails.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ranvier import tape
from ranvier.data.convert import Array
from ranvier.training.step import Data, Step

__all__ = ["Interrupt", "Runner"]

CHUNK_SECONDS = 0.1
GROWTH = 8  # a chunk is at most so many times longer than the one before


class Interrupt:
    """Ctrl-C as something to ask about between chunks, so that it never strikes in the middle of a step."""

    def __init__(self) -> None:
        self.pressed = False

    @contextlib.contextmanager
    def watching(self) -> Iterator[Interrupt]:
        """Within this context the first Ctrl-C is noted; the second one raises at once."""
        usual = threading.current_thread() is threading.main_thread()
        if not usual or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield self
            return

        def note(number: int, frame: Any) -> None:
            if self.pressed:
                raise KeyboardInterrupt
            self.pressed = True

        signal.signal(signal.SIGINT, note)
        try:
            yield self
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)


class Runner:
    """A step over one data set: training (with a copy of the state to fall back on), or evaluation."""

    def __init__(self, step: Step, data: Data, settings: Sequence[Array] = ()) -> None:
        self.step, self.data, self.settings = step, data, settings
        self.total = 0
        self.done = 0
        self.arrays: list[Array] = []
        self.kept: list[tuple[Array, Array]] = []

    def begin(self, order: Array) -> int:
        """Start a pass over the samples in this order; returns the number of steps."""
        for tensor in self.step.state:
            tensor.compute()  # what was assigned to it and still waits
            tape.settle(tensor)
        self.arrays = self.step.arrays(self.data, order, self.settings)
        self.total, self.done = len(order), 0
        if self.step.written:
            changing = [*(tape.storage(t.value) for t in self.step.written), *self.step.totals]
            if len(changing) != len(self.kept) or any(
                a is not b for a, (b, _) in zip(changing, self.kept, strict=True)
            ):
                self.kept = [(a, np.empty_like(a)) for a in changing]
        return math.ceil(self.total / self.step.batch)

    def run(self, start: int, stop: int) -> None:
        self.step.program.run(self.arrays, (), start, stop, self.total)

    def keep(self) -> None:
        for array, copy in self.kept:
            np.copyto(copy, array)

    def give_back(self) -> None:
        for array, copy in self.kept:
            np.copyto(array, copy)

    def sound(self) -> bool:
        """Whether the loss so far and all that training changed are finite."""
        if not np.isfinite(self.step.totals[0]):
            return False
        with np.errstate(all="ignore"):
            floats = [a for a, _ in self.kept if a.dtype.kind == "f"]
            return all(np.isfinite(a.sum()) or bool(np.isfinite(a).all()) for a in floats)

    def chunks(
        self, steps: int, pace: Pace, failed: Callable[[int, int], None] | None = None
    ) -> Iterator[int]:
        """Run the steps; yields after each chunk how many are done. What fails leaves the state of the chunk's start.

        ``failed(start, stop)`` is called, with that state given back, when the chunk's result is not finite.
        """
        while self.done < steps:
            stop = min(steps, self.done + pace.steps())
            started = time.perf_counter()
            self.keep()
            try:
                self.run(self.done, stop)
            except BaseException:
                self.give_back()
                raise
            if failed is not None and not self.sound():
                self.give_back()
                failed(self.done, stop)
            pace.took(stop - self.done, time.perf_counter() - started)
            self.done = stop
            yield stop


class Pace:
    """How many steps the next chunk has: few at first, then as many as take a tenth of a second."""

    def __init__(self, fixed: int | None = None) -> None:
        self.next, self.fixed = 4, fixed

    def steps(self) -> int:
        return self.fixed or self.next

    def took(self, steps: int, seconds: float) -> None:
        """Learn from the last chunk."""
        wanted = int(CHUNK_SECONDS * steps / max(seconds, 1e-9))
        self.next = max(1, min(wanted, steps * GROWTH))
