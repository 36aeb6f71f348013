"""Runs a compiled step many times in a native call, in chunks of about a tenth of a second.

Between two chunks the state is consistent: it is checked, copied from time to time, and restored when a chunk fails.
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
from ranvier.graph.checks import ERRORS, moved
from ranvier.support import processes
from ranvier.support.exits import calls
from ranvier.support.processes import largest
from ranvier.tensor import layout, tape
from ranvier.training.step.arrays import Data
from ranvier.training.step.builder import Step
from ranvier.training.step.state_copy import StateCopy

CHUNK_SECONDS = 0.1
KEPT = 50  # checking and copying the state takes at most a fiftieth of the time
FEW = 1 << 12  # numbers of a small array
GROWTH = 8  # a chunk is at most so many times longer than the one before


class Interrupt:
    """Ctrl-C as a flag that is read between chunks, so that it never interrupts a step."""

    def __init__(self) -> None:
        self.pressed = self.terminated = False

    @staticmethod
    def current() -> Interrupt:
        """The interrupt of a fit on this thread: that of the surrounding `here`, or a new one."""
        return _thread.interrupt or Interrupt()

    @contextlib.contextmanager
    def here(self) -> Iterator[None]:
        """Within this context every fit on this thread stops when this is pressed."""
        before = _thread.interrupt
        _thread.interrupt = self
        try:
            yield
        finally:
            _thread.interrupt = before

    @contextlib.contextmanager
    def watching(self, termination: bool = False) -> Iterator[Interrupt]:
        """Within this context the first Ctrl-C sets ``pressed``; the second one raises at once.

        With ``termination`` so does SIGTERM, by which clusters and containers announce the end of a process: the caller
        saves its work and then calls `end`. The second one ends the process at once.
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
        """End the process if SIGTERM was sent, as it would have ended then."""
        if self.terminated:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)


class _Thread(threading.local):
    interrupt: Interrupt | None = None


_thread = _Thread()


@dataclass
class Span:
    """Steps that ran since the last copy of the state: what is needed to run them again."""

    arrays: list[Array]
    total: int
    start: int
    stop: int
    fresh: bool  # the totals start as zeros
    epoch: int


class Runner:
    """Runs a step over data sets: in training, with a copy of the state to return to, or in evaluation."""

    def __init__(self, step: Step, settings: Sequence[Array] = ()) -> None:
        self.step, self.settings = step, settings
        self.total = self.epoch = 0
        self.arrays: list[Array] = []
        self.state: list[Array] = []
        self.copy = StateCopy(())  # of the arrays that training changes
        self.floats: list[Array] = []  # flat views of the weights and states among them that are floats
        self.due = -math.inf  # the time of the next copy
        self.since: list[Span] = []
        self.marks: list[Any] = []
        self.given: tuple[Data, Array] | None = None

    def capture(self) -> None:
        """Read the state again, after anything but a step may have changed it."""
        for tensor in self.step.state:
            tensor.compute()  # assignments that are still lazy
            tape.flush_readers(tensor)
        self.state = self.step.state_arrays()
        self.marks = self.versions()
        if self.step.written:
            written = [layout.storage(t._value) for t in self.step.written]
            changing = [*written, *self.step.totals]
            known = self.copy.arrays
            if len(changing) != len(known) or any(a is not b for a, b in zip(changing, known, strict=True)):
                self.copy.close()
                self.copy = StateCopy(changing, often=processes.group is not None)
                # Metrics may be nan, as in Keras; and those of a user's method are what a validation wrote last.
                self.floats = [a.reshape(-1, order="A") for a in written if a.dtype.kind == "f"]
        self.due, self.since = -math.inf, []
        if self.given is not None:
            self.arrays = self.step.arrays(*self.given, self.settings, self.state)

    def versions(self) -> list[Any]:
        """Values that change when anything but a step changes the state, or a setting."""
        tensors = [(t._value, t.version, t.segment) for t in self.step.state]
        return [*tensors, *(s.tobytes() for s in self.settings)]

    def changed(self) -> bool:
        """Whether anything but a step has changed the state since `capture`."""
        now = self.versions()
        return len(now) != len(self.marks) or any(
            a != b if isinstance(a, bytes) else a[0] is not b[0] or a[1] != b[1] or a[2] is not b[2]
            for a, b in zip(now, self.marks, strict=True)
        )

    def begin(self, data: Data, order: Array, *, epoch: int = 0, fresh: bool = True) -> int:
        """Start a pass over the samples in this order; returns the number of steps.

        With ``fresh`` the totals start as zeros.
        """
        if not self.state:
            self.capture()
        if fresh:
            self.step.reset()
        self.given = data, order
        self.arrays = self.step.arrays(data, order, self.settings, self.state)
        self.total, self.epoch, self.fresh = len(order), epoch, fresh
        return math.ceil(self.total / self.step.batch)

    def run(self, start: int, stop: int) -> None:
        try:
            self.step.program.run(self.arrays, (), start, stop, self.total)
        except ERRORS as error:
            found = moved(error, lambda row: int(self.arrays[0][row]))  # by the order of the samples
            if found is error:
                raise
            raise found from None

    def roll_back(self) -> None:
        self.copy.restore()

    def is_finite(self) -> bool:
        """Whether the loss so far, the weights and all states are finite."""
        if not math.isfinite(self.step.totals[0]):
            return False
        with np.errstate(all="ignore"):
            # For a small array, as most are, the product with itself is the fastest check.
            total = sum([a.dot(a) if a.size <= FEW else np.add.reduce(a) for a in self.floats])
            return math.isfinite(total) or all(np.isfinite(a).all() for a in self.floats)

    def replays(self) -> Iterator[Span]:
        """Restore the copy and prepare each span since then to be run again."""
        self.roll_back()
        for span in self.since:
            self.arrays, self.total, self.epoch = span.arrays, span.total, span.epoch
            if span.fresh:
                self.step.reset()
            yield span

    def advance(self, start: int, stop: int, pace: Pace, failed: Callable[[], None] | None = None) -> None:
        """Run these steps in one call. If it raises, the state is unchanged.

        ``failed`` is called when a result is not finite.
        """
        calls.check()
        started = time.perf_counter()
        if failed is not None:
            if started > self.due:
                self.check(failed)
            fresh = self.fresh and start == 0
            self.since.append(Span(self.arrays, self.total, start, stop, fresh, self.epoch))
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
        """Run several epochs in one native call, each over its own order; returns the totals of each.

        Orders that differ are the rows of one array; a list has the same order for all. The caller checks at each epoch
        whether its totals are finite.
        """
        calls.check()
        if time.perf_counter() > self.due:
            self.check(failed)
        totals = [np.zeros((len(orders), *a.shape), a.dtype) for a in self.step.totals]
        arrays = self.step.arrays(data, orders[0], self.settings, self.state)
        per_epoch = dict(enumerate(totals, len(arrays) - len(totals)))
        if isinstance(orders, np.ndarray):
            per_epoch[0] = orders
        self.total = len(orders[0])
        steps = math.ceil(self.total / self.step.batch)
        for i, order in enumerate(orders):  # each is run again if a result is not finite
            again = [order, *arrays[1:]] if 0 in per_epoch else arrays
            self.since.append(Span(again, self.total, 0, steps, True, epoch + i))
        try:
            self.step.program.run_each(arrays, per_epoch, steps, self.total)
        except BaseException:
            self.undo(len(orders))
            raise
        return zip(*totals, strict=True)

    def chunks(self, steps: int, pace: Pace) -> Iterator[int]:
        """Run the steps of an evaluation; yields the number of steps done after each chunk."""
        done = 0
        while done < steps:
            stop = min(steps, done + pace.steps())
            self.advance(done, stop, pace)
            done = stop
            yield stop

    def check(self, failed: Callable[[], None]) -> None:
        """Check everything that changed since the last copy, and copy it if a copy is due."""
        began = time.perf_counter()
        if self.since and not self.is_finite():
            failed()
        if began > self.due:
            self.copy.save()
            self.since = []
            now = time.perf_counter()
            # Several processes go back to the same copy, whatever their clocks say: they make one each time.
            pause = max(KEPT * (now - began), self.copy.pause)
            self.due = now + pause if processes.group is None else -math.inf

    def undo(self, spans: int = 1) -> None:
        """Restore the state before the last spans."""
        last, self.since = self.since[-spans], self.since[:-spans]
        for span in self.replays():
            self.run(span.start, span.stop)
        if last.fresh:
            self.step.reset()


class Pace:
    """The number of steps of the next chunk: few at first, then as many as take a tenth of a second."""

    def __init__(self, fixed: int | None = None) -> None:
        self.next, self.fixed = 4, fixed

    def steps(self) -> int:
        return self.fixed or self.next

    def took(self, steps: int, seconds: float) -> None:
        """Learn from the last chunk; from the process that was slowest, since all run as many steps."""
        (seconds,) = largest("the end of some steps", seconds)
        wanted = int(CHUNK_SECONDS * steps / max(seconds, 1e-9))
        self.next = max(1, min(wanted, steps * GROWTH))
