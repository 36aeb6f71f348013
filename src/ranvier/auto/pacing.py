"""How long a network is trained: batches and epochs by the number of rows, a share of the time, a cycle of the rate."""

from __future__ import annotations

import math
import threading
import time

import numpy as np

from ranvier.optimizers.schedules.cycles import anneal
from ranvier.training.loop.callback import Callback, Logs

STEPS = 6000  # of a network in one fold, at most
PATIENT_STEPS = 600  # without a better loss before it stops
EPOCHS = (12, 300)  # at least and at most
PATIENCE = (6, 40)
LONGEST = 400  # steps of an epoch: after so many the held-out rows are looked at
RISE = 0.3  # the fraction of a cycle in which the rate rises
FIRST, LAST = 25.0, 1e4  # by which the highest rate of a cycle is divided at its begin, and this again at its end


def batch_size(rows: int, most: int) -> int:
    """About forty steps an epoch, within 16 and ``most`` rows."""
    return int(np.clip(2 ** round(np.log2(max(rows / 40, 1))), 16, most))


def pace(steps: int) -> tuple[int, int, int]:
    """Of ``steps`` for all rows: epochs at most, epochs of patience, and the steps of an epoch, which may be fewer."""
    short = min(steps, LONGEST)
    epochs = int(np.clip(STEPS // short, *EPOCHS))
    return epochs, int(np.clip(PATIENT_STEPS // short, *PATIENCE)), short


def cycle(done: float) -> float:
    """The learning rate of one cycle (Smith and Topin, 2017), over its highest, as ``done`` goes from 0 to 1."""
    if done < RISE:
        return float(anneal("cos", 1 / FIRST, 1.0, done / RISE, math.cos))
    return float(anneal("cos", 1.0, 1 / FIRST / LAST, min((done - RISE) / (1 - RISE), 1.0), math.cos))


class Shares:
    """The time of ``time.perf_counter`` until which each of several trainings may last, ``threads`` at a time.

    Each that begins has an equal share of the time that is left, so that those that begin last have theirs, too.
    """

    def __init__(self, count: int, threads: int, end: float) -> None:
        self.waiting, self.threads, self.end = count, threads, end
        self._lock = threading.Lock()

    def next_end(self) -> float:
        with self._lock:
            rounds = max(1, -(-self.waiting // self.threads))
            self.waiting -= 1
        now = time.perf_counter()
        return now + (self.end - now) / rounds


class Pace(Callback):
    """Stop a training at its share of the time. With ``steps`` the rate follows one cycle that ends with them, or
    with the time, whichever is first. ``interval`` is the number of steps between looks at the clock.

    Afterwards ``hurried`` says whether the time decided anything.
    """

    _changes = False

    def __init__(self, shares: Shares, interval: int, steps: int = 0) -> None:
        self.shares, self.step_interval, self.steps = shares, interval, steps
        self.hurried, self.taken = False, 0

    def on_train_begin(self, logs: Logs = None) -> None:
        self.began, self.end = time.perf_counter(), self.shares.next_end()
        if self.steps:
            self.highest = self.model.optimizer.current_rate()
            self.model.optimizer.set_rate(self.highest * cycle(0.0))

    def on_step(self, epoch: int, step: int, logs: Logs = None) -> None:
        now = time.perf_counter()
        self.taken += self.step_interval or 1
        if now > self.end:
            self.hurried = self.model.stop_training = True
        elif self.steps:
            done, passed = self.taken / self.steps, (now - self.began) / (self.end - self.began)
            self.hurried = self.hurried or passed > done
            self.model.optimizer.set_rate(self.highest * cycle(max(done, passed)))
