"""Learning rates that are set between epochs. A schedule sets the rate of each step, and costs nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np

from ranvier.callbacks.monitor import Monitor, check_counts, check_numbers
from ranvier.training.loop.callback import Callback, Logs


class LearningRateScheduler(Callback):
    """At the start of every epoch, set the learning rate to ``schedule(epoch, current rate)``.

    Raises TypeError if the optimizer's rate is a schedule, or if ``schedule`` does not return a number.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule, self.verbose = schedule, verbose
        self._takes_rate = takes_rate(schedule)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        optimizer = self.model.optimizer
        given = (epoch, optimizer.current_rate()) if self._takes_rate else (epoch,)
        rate = self.schedule(*given)
        if isinstance(rate, bool) or np.ndim(rate) or not isinstance(rate, (int, float, np.number, np.ndarray)):
            raise TypeError(
                f"the schedule of LearningRateScheduler returned {rate!r} for epoch {epoch}. Return a float instead."
            )
        optimizer.set_rate(float(rate), "LearningRateScheduler")
        if self.verbose > 0:
            self.say(f"Epoch {epoch + 1}: LearningRateScheduler sets the learning rate to {float(rate):g}")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if isinstance(logs, dict):
            logs["learning_rate"] = self.model.optimizer.current_rate()


def takes_rate(schedule: Callable[..., float]) -> bool:
    """Whether a schedule takes (epoch, rate), as in Keras, or the epoch alone, as in its older versions."""
    try:
        inspect.signature(schedule).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # a built-in without a signature
        return True
    return True


class ReduceLROnPlateau(Monitor):
    """Multiply the learning rate by ``factor`` when ``monitor`` has not improved by more than ``min_delta`` for
    ``patience`` epochs, down to ``min_lr``; then wait ``cooldown`` epochs before counting again.

    Raises TypeError if the optimizer's rate is a schedule.
    """

    _saved = ("best", "wait", "cooldown_counter")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        check_numbers("ReduceLROnPlateau", factor=factor, min_lr=min_lr)
        check_counts("ReduceLROnPlateau", patience=patience, cooldown=cooldown)
        if not 0 <= factor < 1:
            raise ValueError(f"ReduceLROnPlateau(factor={factor}): write a factor below 1, such as 0.1, instead.")
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self.on_train_begin()

    def on_train_begin(self, logs: Logs = None) -> None:
        self.best: float | None = None
        self.wait = self.cooldown_counter = 0
        if self.model is not None:
            optimizer = self.model.optimizer
            optimizer.set_rate(optimizer.current_rate(), "ReduceLROnPlateau")  # raises now, for a schedule

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if isinstance(logs, dict):
            logs["learning_rate"] = self.model.optimizer.current_rate()
        current = self.value(logs)
        if current is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.improves(current, self.best):
            self.best, self.wait = current, 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self.reduce(epoch)

    def reduce(self, epoch: int) -> None:
        optimizer = self.model.optimizer
        old = optimizer.current_rate()
        if old <= self.min_lr:
            return
        new = max(old * self.factor, self.min_lr)
        optimizer.set_rate(new, "ReduceLROnPlateau")
        self.cooldown_counter, self.wait = self.cooldown, 0
        if self.verbose > 0:
            self.say(f"Epoch {epoch + 1}: ReduceLROnPlateau reduces the learning rate to {new:g}")

    def in_cooldown(self) -> bool:
        return self.cooldown_counter > 0
