"""The stopping rule of scikit-learn, for the training loss or a validation score."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.training import Callback


def release(callbacks: Sequence[Any]) -> None:
    """Remove references to the network and the run from callbacks, which are cloned and pickled as parameters."""
    for callback in callbacks:
        for name in ("model", "_run", "_say"):
            if name in getattr(callback, "__dict__", ()):
                setattr(callback, name, None)


class Scoring(Callback):
    """Add the validation score to the logs as "val_score", before other callbacks run."""

    _changes = False
    _saved = ("value",)

    def __init__(self, score: Callable[[], float]) -> None:
        self.score = score
        self.value = 0.0

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.value = self.score()
        if isinstance(logs, dict):
            logs["val_score"] = self.value


class Stopping(Callback):
    """Stop after more than ``patience`` epochs in a row without an improvement by ``tol``, and record the curves.

    The training loss must decrease, or with ``restore`` the score of ``scoring`` must increase; then the weights of the
    best score are restored at the end. ``tol=None`` never stops.
    """

    _changes = False  # weights change only at the end of training
    _saved = ("losses", "scores", "best_loss", "best_score", "best", "since", "stopped")

    def __init__(
        self, tol: float | None, patience: float, scoring: Scoring | None = None, restore: bool = False
    ) -> None:
        self.tol, self.patience, self.scoring, self.restore = tol, patience, scoring, restore
        self.losses: list[float] = []
        self.scores: list[float] = []
        self.best_loss, self.best_score = np.inf, -np.inf
        self.best: list[Any] | None = None
        self.since = 0
        self.stopped = False

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        loss = float((logs or {})["loss"])
        self.losses.append(loss)
        better = loss <= self.best_loss - (self.tol or 0.0)
        self.best_loss = min(self.best_loss, loss)
        if self.scoring is not None:
            score = self.scoring.value
            self.scores.append(score)
            if self.restore:
                better = score >= self.best_score + (self.tol or 0.0)
            if score > self.best_score:
                self.best_score = score
                if self.restore:
                    self.best = self.model.get_weights()
        self.since = 0 if better else self.since + 1
        if self.tol is not None and self.since > self.patience:
            self.stopped = self.model.stop_training = True

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if self.best is not None:
            self.model.set_weights(self.best)
