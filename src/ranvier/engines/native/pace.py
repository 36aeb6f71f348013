"""How many threads a program runs on: as many as proved fastest while it ran. The number never changes a result."""

from __future__ import annotations

from ranvier.engines.native import runtime

TINY = 200_000  # multiply-adds of a step below which a barrier costs more than a second thread brings
LONG = 32  # steps from which on the start of the threads no longer shows
TRIALS = 2  # runs of each number of threads before the faster is preferred
AGAIN = 24  # after so many runs another number gets a turn: processors come and go


class Pace:
    """The seconds a step took, by the number of threads; for long runs and for runs of a few steps apart."""

    def __init__(self, work: float) -> None:
        self.work = work
        self._seconds: dict[tuple[bool, int], float] = {}
        self._trials: dict[tuple[bool, int], int] = {}
        self._runs = 0
        self._most = 0

    def choose(self, steps: int) -> int:
        """The number of threads for the next run of so many steps."""
        fixed = runtime.fixed_threads()
        if fixed is not None:
            return fixed
        if self.work < TINY:
            return 1
        if self._runs % AGAIN == 0:
            self._most = runtime.default_threads()
        self._runs += 1
        if self._most == 1:
            return 1
        long = steps >= LONG
        candidates = [1 << i for i in range(self._most.bit_length()) if 1 << i < self._most] + [self._most]
        for n in candidates:
            if self._trials.get((long, n), 0) < TRIALS:
                return n
        if self._runs % AGAIN == 0:
            return candidates[self._runs // AGAIN % len(candidates)]
        return min(candidates, key=lambda n: self._seconds[long, n])

    def record(self, steps: int, threads: int, seconds: float) -> None:
        """What a run took."""
        key = steps >= LONG, threads
        pace = seconds / max(steps, 1)
        known = self._seconds.get(key)
        trials = self._trials[key] = self._trials.get(key, 0) + 1
        # The first runs meet cold caches and threads that are still starting: take the best of those.
        self._seconds[key] = (
            pace if known is None else min(known, pace) if trials <= TRIALS else 0.7 * known + 0.3 * pace
        )
