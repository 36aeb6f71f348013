"""Runs a compiled step many times in one call, in chunks, so that everything else gets its turn a few times a second.

Between two chunks the state is whole: it is looked at, kept now and then, and given back when a chunk fails.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.tensor import layout, tape
from ranvier.training.step.arrays import Data
from ranvier.training.step.step import Step

__all__ = ["Interrupt", "Runner"]

CHUNK_SECONDS = 0.1
KEPT = 50  # looking at the state and keeping a copy of it takes at most this part of the time
FEW = 1 << 12  # numbers
GROWTH = 8  # a chunk is at most so many times longer than the one before


class Interrupt:
    """Ctrl-C as something to ask about between chunks, so that it never strikes in the middle of a step."""

    def __init__(self) -> None:
        self.pressed = self.terminated = False

    @staticmethod
    def current() -> Interrupt:
        """What a fit on this thread asks: one of its own, or that of the `here` it runs in."""
        return _own.interrupt or Interrupt()

    @contextlib.contextmanager
    def here(self) -> Iterator[None]:
        """Within this context every fit on this thread stops when this is pressed."""
        before = _own.interrupt
        _own.interrupt = self
        try:
            yield
        finally:
            _own.interrupt = before

    @contextlib.contextmanager
    def watching(self, termination: bool = False) -> Iterator[Interrupt]:
        """Within this context the first Ctrl-C is noted; the second one raises at once.

        With ``termination`` so is SIGTERM, by which clusters and containers announce that they end a process: whoever
        asks has then something to save, and calls `end` after it. The second one ends the process at once.
        """
        usual = threading.current_thread() is threading.main_thread()
        with contextlib.ExitStack() as stack:
            if usual and signal.getsignal(signal.SIGINT) is signal.default_int_handler:

                def note(number: int, frame: Any) -> None:
                    if self.pressed:
                        raise KeyboardInterrupt
                    self.pressed = True

                signal.signal(signal.SIGINT, note)
                stack.callback(signal.signal, signal.SIGINT, signal.default_int_handler)
            if usual and termination and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:

                def end(number: int, frame: Any) -> None:
                    if self.terminated:
                        self.end()
                    self.pressed = self.terminated = True

                signal.signal(signal.SIGTERM, end)
                stack.callback(signal.signal, signal.SIGTERM, signal.SIG_DFL)
            yield self

    def end(self) -> None:
        """If the process was told to end: end it, as it would have ended then."""
        if self.terminated:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)


class _Own(threading.local):
    interrupt: Interrupt | None = None


_own = _Own()


@dataclass
class Stretch:
    """Steps that were run since the state was last kept: enough to run them again."""

    arrays: list[Array]
    total: int
    start: int
    stop: int
    fresh: bool  # the totals start as zeros
    epoch: int


class Runner:
    """A step over data sets one after the other: training, with a copy of the state to fall back on, or evaluation."""

    def __init__(self, step: Step, settings: Sequence[Array] = ()) -> None:
        self.step, self.settings = step, settings
        self.total = self.epoch = 0
        self.arrays: list[Array] = []
        self.state: list[Array] = []
        self.kept: list[tuple[Array, Array]] = []
        self.floats: list[Array] = []  # what training changes of these, seen flat
        self.due = -math.inf  # the time from which on a new copy is to be made
        self.since: list[Stretch] = []
        self.marks: list[Any] = []
        self.given: tuple[Data, Array] | None = None

    def settle(self) -> None:
        """Take the state as it is now: after anything but a step may have touched it."""
        for tensor in self.step.state:
            tensor.compute()  # what was assigned to it and still waits
            tape.flush_readers(tensor)
        self.state = self.step.state_arrays()
        self.marks = self.seen()
        if self.step.written:
            changing = [*(layout.storage(t._value) for t in self.step.written), *self.step.totals]
            if len(changing) != len(self.kept) or any(
                a is not b for a, (b, _) in zip(changing, self.kept, strict=True)
            ):
                self.kept = [(a, np.empty_like(a)) for a in changing]
                self.floats = [a.reshape(-1, order="A") for a in changing if a.dtype.kind == "f"]
        self.due, self.since = -math.inf, []
        if self.given is not None:
            self.arrays = self.step.arrays(*self.given, self.settings, self.state)

    def seen(self) -> list[Any]:
        """What tells whether anything but a step has touched the state, or a setting."""
        tensors = [(t._value, t.version, t.segment) for t in self.step.state]
        return [*tensors, *(s.tobytes() for s in self.settings)]

    def touched(self) -> bool:
        """Whether anything has, since it was settled."""
        now = self.seen()
        return len(now) != len(self.marks) or any(
            a != b if isinstance(a, bytes) else a[0] is not b[0] or a[1] != b[1] or a[2] is not b[2]
            for a, b in zip(now, self.marks, strict=True)
        )

    def begin(self, data: Data, order: Array, *, epoch: int = 0, fresh: bool = True) -> int:
        """Start a pass over the samples in this order; returns the number of steps.

        With ``fresh`` the totals start as zeros.
        """
        if not self.state:
            self.settle()
        if fresh:
            self.step.reset()
        self.given = data, order
        self.arrays = self.step.arrays(data, order, self.settings, self.state)
        self.total, self.epoch, self.fresh = len(order), epoch, fresh
        return math.ceil(self.total / self.step.batch)

    def run(self, start: int, stop: int) -> None:
        self.step.program.run(self.arrays, (), start, stop, self.total)

    def give_back(self) -> None:
        for array, copy in self.kept:
            np.copyto(array, copy)

    def sound(self) -> bool:
        """Whether the loss so far and all that training changed are finite."""
        if not math.isfinite(self.step.totals[0]):
            return False
        with np.errstate(all="ignore"):
            # Of few numbers, most arrays' case, a product with themselves tells soonest.
            total = sum([a.dot(a) if a.size <= FEW else np.add.reduce(a) for a in self.floats])
            return math.isfinite(total) or all(np.isfinite(a).all() for a in self.floats)

    def stretches(self) -> Iterator[Stretch]:
        """Go back to what was kept and take up each stretch since, ready to be run again."""
        self.give_back()
        for stretch in self.since:
            self.arrays, self.total, self.epoch = stretch.arrays, stretch.total, stretch.epoch
            if stretch.fresh:
                self.step.reset()
            yield stretch

    def advance(self, start: int, stop: int, pace: Pace, failed: Callable[[], None] | None = None) -> None:
        """Run these steps in one call. If it raises, the state is as it was before.

        ``failed`` is called when a result is not finite.
        """
        started = time.perf_counter()
        if failed is not None:
            if started > self.due:
                self.check(failed)
            fresh = self.fresh and start == 0
            self.since.append(Stretch(self.arrays, self.total, start, stop, fresh, self.epoch))
        try:
            self.run(start, stop)
        except BaseException:
            if failed is not None:
                self.undo()
            raise
        if failed is not None and not math.isfinite(self.step.totals[0]):
            failed()
        pace.took(stop - start, time.perf_counter() - started)

    def advance_each(
        self, data: Data, orders: Array | list[Array], epoch: int, failed: Callable[[], None]
    ) -> Iterator[tuple[Array, ...]]:
        """Several epochs in one native call, each over an order of its own: the totals of each.

        Orders that differ are the rows of one array; a list has one and the same for all.
        Those that are not finite are left to the caller, at the epoch they belong to.
        """
        if time.perf_counter() > self.due:
            self.check(failed)
        totals = [np.zeros((len(orders), *a.shape), a.dtype) for a in self.step.totals]
        arrays = self.step.arrays(data, orders[0], self.settings, self.state)
        own = dict(enumerate(totals, len(arrays) - len(totals)))
        if isinstance(orders, np.ndarray):
            own[0] = orders
        self.total = len(orders[0])
        steps = math.ceil(self.total / self.step.batch)
        for i, order in enumerate(orders):  # to be run again one by one, should a result not be finite
            again = [order, *arrays[1:]] if 0 in own else arrays
            self.since.append(Stretch(again, self.total, 0, steps, True, epoch + i))
        self.step.program.run_each(arrays, own, steps, self.total)
        return zip(*totals, strict=True)

    def chunks(self, steps: int, pace: Pace) -> Iterator[int]:
        """Run the steps of an evaluation; yields after each chunk how many are done."""
        done = 0
        while done < steps:
            stop = min(steps, done + pace.steps())
            self.advance(done, stop, pace)
            done = stop
            yield stop

    def check(self, failed: Callable[[], None]) -> None:
        """Look at everything that changed since it was kept, and keep it where that is due."""
        began = time.perf_counter()
        if self.since and not self.sound():
            failed()
        if began > self.due:
            for array, copy in self.kept:
                np.copyto(copy, array)
            self.since = []
            now = time.perf_counter()
            self.due = now + KEPT * (now - began)

    def undo(self) -> None:
        """The state before the last stretch."""
        last = self.since.pop()
        for stretch in self.stretches():
            self.run(stretch.start, stretch.stop)
        if last.fresh:
            self.step.reset()


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
