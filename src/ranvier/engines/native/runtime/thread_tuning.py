"""The number of threads of a program: the fastest, as measured while it runs. It never changes a result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import NamedTuple

from ranvier.engines.native.runtime import threads
from ranvier.engines.native.runtime.object_cache import ObjectCache

TINY = 50_000  # multiply-adds of a step below which a barrier costs more than a second thread gains
LITTLE = 100_000  # multiply-adds of a run below which timing costs more than threads gain
HEAVY = 2_000_000  # multiply-adds of a step from which on the first guess is all threads: 0.1 ms of one
PROBE = 16  # steps of a sample at most, and of the first one, while nothing is known
SAMPLE = 2e-4  # seconds of a sample at least, where that are no more steps than PROBE
SAMPLES, FEW_SAMPLES = 3, 2  # of a number in a round of trials; fewer where each takes LONG
LONG = 1e-3  # seconds after which the time that threads take to wake does not count
PIECE = 2e-2  # seconds of a piece at most: then the clock is read again
HOPELESS = 1.5  # a number this much slower than another needs no second sample
BETTER = 0.97  # another number is chosen from this fraction of the seconds on
SLOWER = 1.2  # pieces this much slower than before, several in a row, make all numbers be tried again
SLOW_PIECES, SLOW_SECONDS = 3, 5e-3
# Seconds between two runs after which threads sleep and caches hold something else, and seconds of steps that take
# longer therefore and do not count. Where pauses follow each other so closely, some do: OFTEN of so many in a row.
PAUSE, SETTLING, OFTEN, PAUSES = 1e-2, 5e-3, 2, 16
# Seconds until more threads are tried again, since processors come; until fewer are; and how many times as long as
# what the last trials lost, against the number that was chosen, this is at least.
MORE, FEWER, SHARE = 0.08, 2.0, 40

Piece = tuple[int, int, int]


class Remembered(NamedTuple):
    """Where the choice is kept for the next process: beside the compiled program."""

    cache: ObjectCache
    key: str

    def get(self) -> int | None:
        data = self.cache.get(self.key)
        return int(data) if data is not None and data.isdigit() else None

    def put(self, number: int) -> None:
        self.cache.put(self.key, str(number).encode())


class ThreadTuner:
    """Chooses the number of threads for each run of a program, by the time of its earlier steps.

    The program starts on the number that an earlier process found, or on a guess. A round of trials follows: a few
    samples of each number, without the first steps, which find memory untouched and threads asleep. Then it goes on
    with the fastest, until its steps take longer for some time, or more threads are due to be tried. The first steps
    after a pause are no samples: the number that is tried first would seem slow.
    """

    def __init__(self, work: float, remembered: Remembered | None = None) -> None:
        self.work, self.remembered = work, remembered
        self.best = 0  # the number that is chosen; 0 before the first run
        self._step = 0.0  # seconds of a step on it; 0 before the first piece
        self._least = 0.0  # the fewest since the last round
        self._last = 0  # the number of the last piece
        self._kept: int | None = None  # the number that is remembered
        self._trials: list[int] = []  # numbers that are still to be tried in this round
        self._round: dict[int, float] = {}  # seconds of a step that the round has found
        self._taken: list[tuple[float, int]] = []  # the seconds and the steps of all of its samples
        self._count = 0  # samples of the first of the trials
        self._slow, self._slow_seconds = 0, 0.0  # slow pieces in a row
        self._more = self._fewer = float("inf")  # when other numbers are tried again
        self._ended, self._busy = 0.0, SETTLING  # when the last piece ended; seconds of steps since the last pause
        self._pauses = 0  # in a row, with fewer seconds of steps between
        self._most = 0  # the most threads, when they were last counted

    def pieces(self, start: int, stop: int) -> Iterable[Piece]:
        """The steps of a run as (first, end, number of threads). Each piece must run before the next is taken."""
        fixed = threads.fixed_threads()
        if fixed is not None or self.work < TINY or self.work * (stop - start) < LITTLE:
            return ((start, stop, fixed or 1),)
        return self._pieces(start, stop)

    def _pieces(self, start: int, stop: int) -> Iterator[Piece]:
        began = perf_counter()
        if not self.best:
            self._guess()
        elif began - self._ended > PAUSE:
            self._pauses = self._pauses + 1 if self._busy < SETTLING else 0
            self._busy = 0.0
        while start < stop:
            settling = self._busy < SETTLING and self._pauses % PAUSES < PAUSES - OFTEN
            if not self._trials and not settling and began >= min(self._more, self._fewer):
                self._begin_due(began)
            trials = [] if settling else self._trials  # other threads may run the program too
            n = trials[0] if trials else self.best
            end = min(stop, start + self._size(bool(trials)))
            yield start, end, n
            now = perf_counter()
            self._ended, self._busy = now, self._busy + now - began
            if not self._step:
                self._begin_all(now)  # the first steps of all find memory untouched
                self._step = self._least = (now - began) / (end - start)
            elif trials:
                self._sample(n, now - began, end - start, now)
            elif not settling:
                self._watch(now - began, end - start, now)
            self._last, start, began = n, end, now

    def _size(self, trial: bool) -> int:
        """The steps of the next piece."""
        if not self._step:
            return max(1, min(PROBE, int(HEAVY / self.work)))
        if trial:
            return max(1, min(PROBE, int(SAMPLE / self._step)))
        return max(1, int(PIECE / self._step))

    def _candidates(self) -> list[int]:
        self._most = most = threads.default_threads()
        return [*(1 << i for i in range(most.bit_length()) if 1 << i < most), most]

    def _guess(self) -> None:
        candidates = self._candidates()
        self._kept = self.remembered.get() if self.remembered is not None and len(candidates) > 1 else None
        guess = candidates[-1] if self.work >= HEAVY else 1
        self.best = self._kept if self._kept in candidates else guess

    def _begin(self, trials: list[int]) -> None:
        """Begin a round of trials."""
        self._trials, self._round, self._taken, self._count = trials, {}, [], 0

    def _begin_all(self, now: float) -> None:
        candidates = self._candidates()
        if candidates == [self.best]:
            self._more, self._fewer = now + MORE, float("inf")
            return
        self._begin(sorted(candidates, key=lambda n: (n != self.best, -n)))

    def _begin_due(self, now: float) -> None:
        """Try more threads, or the next smaller number, whichever is due."""
        candidates, trials = self._candidates(), []
        if self.best not in candidates:  # processors went
            self.best = candidates[-1]
        if now >= self._more:
            trials += [n for n in candidates if n > self.best]
            self._more = now + MORE
        if now >= self._fewer:
            trials += [n for n in candidates if n < self.best][-1:]
            self._fewer = now + FEWER
        if trials:
            self._begin(trials)
            self._round[self.best] = self._least

    def _sample(self, n: int, took: float, steps: int, now: float) -> None:
        """Note a sample of a trial; after the last one, choose."""
        self._taken.append((took, steps))
        if n != self._last and took < LONG:
            return  # its threads were waking
        pace = took / steps
        self._round[n] = min(self._round.get(n, pace), pace)
        self._count += 1
        hopeless = pace > HOPELESS * min(self._round.values(), default=pace)
        if self._count < (FEW_SAMPLES if took > LONG else SAMPLES) and not hopeless:
            return
        self._trials, self._count = self._trials[1:], 0
        if not self._trials:
            self._choose(now)

    def _choose(self, now: float) -> None:
        found = {self.best: float("inf")} | self._round
        fastest = min(found, key=lambda n: found[n])
        if found[fastest] < BETTER * found[self.best]:
            self.best = fastest
        self._step = self._least = found[self.best]
        self._slow, self._slow_seconds = 0, 0.0
        rest = SHARE * sum(max(0.0, took - steps * self._step) for took, steps in self._taken)
        self._more, self._fewer = now + max(MORE, rest), now + max(FEWER, rest)
        if self.remembered is not None and self._most > 1 and self.best != self._kept:
            self._kept = self.best
            self.remembered.put(self.best)

    def _watch(self, took: float, steps: int, now: float) -> None:
        """Note a piece on the chosen number. Several slow ones in a row make all numbers be tried again."""
        pace = took / steps
        if pace <= SLOWER * self._step:
            self._slow, self._slow_seconds = 0, 0.0
            self._step += (pace - self._step) / 8
            self._least = min(self._least, pace)
            return
        if self._last != self.best and took < LONG:
            return  # its threads were waking
        self._slow += 1
        self._slow_seconds += took
        if self._slow >= SLOW_PIECES and self._slow_seconds >= SLOW_SECONDS:
            self._begin_all(now)
            self._slow, self._slow_seconds = 0, 0.0
