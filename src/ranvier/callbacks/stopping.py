"""Stopping when a result no longer improves."""

from __future__ import annotations

from typing import Any

from ranvier.callbacks.monitor import Monitor, check_counts, check_numbers
from ranvier.training.loop.callback import Logs


class EarlyStopping(Monitor):
    """Stop training when ``monitor`` has not improved for ``patience`` epochs (Prechelt, 1998).

    ``min_delta``: a smaller change is no improvement. ``mode``: "min", "max", or "auto" by the name. ``baseline``: an
    improvement counts only if it is better than this value. ``restore_best_weights``: end with the weights of the best
    epoch instead of the last. ``start_from_epoch``: earlier epochs are ignored.

    Afterwards read ``stopped_epoch`` (0 if it did not stop), ``best_epoch`` (from 0) and ``best``.
    """

    _saved = ("wait", "stopped_epoch", "best_epoch", "best", "best_weights")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        check_numbers("EarlyStopping", baseline=baseline)
        check_counts("EarlyStopping", patience=patience, start_from_epoch=start_from_epoch)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self.on_train_begin()

    def on_train_begin(self, logs: Logs = None) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best: float | None = None
        self.best_weights: list[Any] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        current = self.value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        improved = self.improves(current, self.best)
        if improved or (self.restore_best_weights and self.best_weights is None):
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
        self.wait += 1
        if improved:
            self.best = current
            if self.baseline is None or self.improves(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            self.say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                self.say(f"Restoring the weights of the best epoch: {self.best_epoch + 1}")
            self.model.set_weights(self.best_weights)
