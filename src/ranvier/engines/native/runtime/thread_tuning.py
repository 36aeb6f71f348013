"""The number of threads of a program: the fastest, as measured while it runs. It never changes a result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from time import perf_counter

from ranvier.engines.native.runtime import threads

TINY = 50_000  # multiply-adds of a step below which a barrier costs more than a second thread gains
LITTLE = 100_000  # multiply-adds of a run below which timing costs more than threads gain
# A probe, which measures a number of threads, is of 16 steps; or of as many as take 0.2 ms at least, since threads are
# waking, and 1 ms at most.
PROBE, SHORT, ENOUGH = 16, 2e-4, 1e-3
LONG = 12 * PROBE  # steps of a run that tries all numbers of threads
PIECES = 3  # parts of a long run, each on the number that is fastest so far
TURNS = 3  # shorter runs that try one number in a row, since the first wakes the threads
PATIENCE = 17 / 16  # at most this much slower does one short run make a number look
# Seconds until all numbers are tried again: soon after the first time, when memory was untouched; then regularly, since
# processors come and go, but not before SHARE times as long as the last trials took.
SOON, REST, SHARE = 0.01, 0.1, 40

Piece = tuple[int, int, int]
Seconds = dict[int, float]  # that a step took, by the number of threads


class ThreadTuner:
    """Chooses the number of threads for each run of a program, by the time of its earlier steps."""

    def __init__(self, work: float) -> None:
        self.work = work
        self._seconds: Seconds = {}
        self._trials: list[int] = []  # numbers that the next short runs try
        self._next = float("-inf")  # when all are tried again
        self._candidates = [1]
        self._step = 0.0  # seconds of a step at the last measurement, on any number; 0 before

    def pieces(self, start: int, stop: int) -> Iterable[Piece]:
        """The steps of a run as (first, end, number of threads). Each piece must run before the next is taken."""
        fixed = threads.fixed_threads()
        if fixed is not None or self.work < TINY or self.work * (stop - start) < LITTLE:
            return ((start, stop, fixed or 1),)
        return self._short_run(start, stop) if stop - start < LONG else self._long_run(start, stop)

    def _due(self) -> bool:
        """Whether to try all numbers, for the first time or again. Updates the candidates."""
        now = perf_counter()
        if now < self._next and (self._seconds or self._trials):
            return False
        self._next = now + (REST if self._seconds else SOON)
        most = threads.default_threads()
        self._candidates = [1 << i for i in range(most.bit_length()) if 1 << i < most] + [most]
        return len(self._candidates) > 1

    def _probe(self) -> int:
        """The steps of a probe."""
        if not self._step:
            return PROBE
        return max(1, min(max(PROBE, int(SHORT / self._step)), int(ENOUGH / self._step)))

    def _tried(self, took: float) -> None:
        """Postpone the next trials by the time of this one. The first one would have run anyway."""
        self._next += SHARE * took if self._step else 0.0

    def _fastest(self) -> int:
        return min(self._candidates, key=lambda n: self._seconds.get(n, float("inf")))

    def _long_run(self, start: int, stop: int) -> Iterator[Piece]:
        seconds = self._seconds
        if self._due() or self._trials:
            self._trials = []
            found: Seconds = {}
            for n in self._candidates[: (stop - start) // (2 * PROBE)]:
                size = max(1, min(self._probe(), (stop - start) // 4))
                for _ in range(2):
                    began = perf_counter()
                    yield start, start + size, n
                    took = perf_counter() - began
                    self._tried(took)
                    self._step = took / size
                    found[n] = min(found.get(n, self._step), self._step)
                    start += size
                    if n == 1 or found[n] <= min(found.values()):
                        break  # otherwise try once more: the threads may have been waking
            seconds.update(found)
        size = -(-(stop - start) // PIECES)
        while start < stop:
            end, n = min(start + size, stop), self._fastest()
            began = perf_counter()
            yield start, end, n
            pace = (perf_counter() - began) / (end - start)
            seconds[n] = (seconds.get(n, pace) + pace) / 2
            start = end

    def _short_run(self, start: int, stop: int) -> Iterator[Piece]:
        seconds = self._seconds
        if self._due():
            self._trials = [n for n in self._candidates for _ in range(TURNS)]
            seconds.clear()
        while start < stop:
            trial = self._trials.pop() if self._trials else None
            end = stop if trial is None else min(stop, start + self._probe())
            n = trial or self._fastest()
            began = perf_counter()
            yield start, end, n
            took = perf_counter() - began
            pace = took / (end - start)
            # One trial is enough, except for the first one, which finds memory untouched.
            if self._step and pace > ENOUGH:
                self._trials = [other for other in self._trials if other != n]
            if trial:
                self._tried(took)
            self._step = pace
            known = seconds.get(n, pace)
            # Another process may have delayed a single run. Only several in a row change the choice.
            seconds[n] = min(known, pace) if trial else min((known + pace) / 2, known * PATIENCE)
            start = end
