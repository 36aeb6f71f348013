"""How many threads a program runs on: as many as prove fastest while it runs. The number never changes a result."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from ranvier.engines.native import runtime

TINY = 200_000  # multiply-adds of a step below which a barrier costs more than a second thread brings
PROBE = 24  # steps that tell how fast a number of threads is
LONG = 8 * PROBE  # a run of so many steps tries the numbers for some of them and goes on with the fastest
REST = 0.3  # seconds after which the others are tried again: processors come and go
PIECES = 3  # parts of a long run, each on the number that is fastest by then
TRIALS = 2  # shorter runs take one number each; so many runs of each before the faster is preferred
AGAIN = 64  # and after so many, another gets a turn


class Pace:
    """The seconds that a step took, by the number of threads; for long runs and for short ones apart."""

    def __init__(self, work: float) -> None:
        self.work = work
        self._seconds: dict[tuple[bool, int], float] = {}
        self._trials: dict[tuple[bool, int], int] = {}
        self._runs = 0
        self._probed = float("-inf")
        self._candidates = [1]

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """The steps of a run as (first, end, number of threads). After each, `record` must be told what it took."""
        fixed = runtime.fixed_threads()
        if fixed is not None or self.work < TINY:
            yield start, stop, fixed or 1
            return
        if self._runs % AGAIN == 0:
            most = runtime.default_threads()
            self._candidates = [1 << i for i in range(most.bit_length()) if 1 << i < most] + [most]
        self._runs += 1
        if stop - start < LONG or len(self._candidates) == 1:
            yield start, stop, self._turn()
            return
        now = perf_counter()
        due = now - self._probed > REST
        self._probed = now if due else self._probed
        for n in self._candidates:
            if (True, n) not in self._seconds or (due and n != self._fastest(True)):
                yield start, start + PROBE, n
                start += PROBE
        size = -(-(stop - start) // PIECES)
        while start < stop:
            end = min(start + size, stop)
            yield start, end, self._fastest(True)
            start = end

    def _fastest(self, long: bool) -> int:
        return min(self._candidates, key=lambda n: self._seconds.get((long, n), float("inf")))

    def _turn(self) -> int:
        """The number of threads for a short run."""
        for n in self._candidates:
            if self._trials.get((False, n), 0) < TRIALS:
                return n
        if self._runs % AGAIN == 0:
            return self._candidates[self._runs // AGAIN % len(self._candidates)]
        return self._fastest(False)

    def record(self, steps: int, threads: int, seconds: float) -> None:
        """What some steps took. The first meet cold caches and threads that are starting: their best counts."""
        key = steps >= PROBE, threads
        pace = seconds / max(steps, 1)
        known = self._seconds.get(key, pace)
        trials = self._trials[key] = self._trials.get(key, 0) + 1
        self._seconds[key] = min(known, pace) if trials <= TRIALS else (known + pace) / 2
