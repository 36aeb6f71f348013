"""The base class of callbacks: one method for each event of training, evaluation and prediction."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from ranvier.module import Module
from ranvier.support.constructors import CheckedConstructor

__all__ = ["EVENTS", "Callback", "Logs"]

Logs = Mapping[str, Any] | None


class Callback(CheckedConstructor):
    """What is called while a model trains. Override the methods you need; ``self.model`` is the model.

    ``logs`` are results by name, as in the history. Set ``self.model.stop_training = True`` to stop: at the end of the
    epoch, from an ``on_train_batch_*`` hook or ``on_step`` after that batch.

    Epoch hooks cost some microseconds an epoch. A batch hook (``on_train_batch_begin`` and ``_end``,
    ``on_test_batch_*``, ``on_predict_batch_*``) is called at every step, so that each step is a native call of its
    own; one that is not overridden costs nothing. ``on_step`` is called after every ``step_interval``-th step of this
    fit, counted across epochs, and the steps between run together: the cheap way to do something now and then.

    ``state`` and ``set_state`` make a callback survive a stop: what they give and take is part of a backup.
    """

    model: Any = None
    params: Mapping[str, Any] = {}
    step_interval: int | None = None
    _last = False  # whether it hears of things after all others, when they have changed what they change
    _changes = True  # whether it may change weights or settings between epochs; if none may, nothing is looked at again
    _say: Callable[[str], None] | None = None

    def set_model(self, model: Module) -> None:
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        self.params = params

    def state(self) -> dict[str, Any]:
        """What the callback must remember to go on after a stop: plain values, lists, dicts, NumPy arrays."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave; called after ``on_train_begin``."""

    def writes_to(self) -> Any:
        """The file or folder that the callback writes, None for none: no two models that train at a time share one."""
        return None

    def say(self, text: str) -> None:
        """Print a line, above the progress bar if there is one."""
        if self._say is not None:
            self._say(text)
        else:
            sys.stdout.write(f"{text}\n")

    def on_train_begin(self, logs: Logs = None) -> None: ...
    def on_train_end(self, logs: Logs = None) -> None: ...
    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None: ...
    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None: ...
    def on_step(self, epoch: int, step: int, logs: Logs = None) -> None: ...
    def on_batch_begin(self, batch: int, logs: Logs = None) -> None: ...
    def on_batch_end(self, batch: int, logs: Logs = None) -> None: ...
    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None: ...
    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None: ...
    def on_test_begin(self, logs: Logs = None) -> None: ...
    def on_test_end(self, logs: Logs = None) -> None: ...
    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None: ...
    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None: ...
    def on_predict_begin(self, logs: Logs = None) -> None: ...
    def on_predict_end(self, logs: Logs = None) -> None: ...
    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None: ...
    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None: ...

    def on_interrupt(self) -> None:
        """Ctrl-C was pressed, or the process was sent SIGTERM; training stands at the end of a step.

        `fit` is about to raise KeyboardInterrupt, or to let the process end. Without this hook SIGTERM ends it at once.
        """

    def on_nonfinite(self, error: FloatingPointError) -> bool:
        """The loss is not finite any more. Return True to end training quietly instead of raising ``error``."""
        return False


EVENTS = tuple(name for name in vars(Callback) if name.startswith("on_"))
