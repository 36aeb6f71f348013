"""The base class of callbacks: one method for each event of training, evaluation and prediction."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ranvier.module import Module
from ranvier.support.constructors import CheckedConstructor

Logs = Mapping[str, Any] | None


class Callback(CheckedConstructor):
    """The base of objects whose methods `fit` calls. Override the ones you need; ``self.model`` is the model.

    ``logs`` are results by name, as in the history. Set ``self.model.stop_training = True`` to stop: at the end of the
    epoch, or after the batch in an ``on_train_batch_*`` method or ``on_step``.

    The methods of an epoch cost some microseconds an epoch. The methods of a batch (``on_train_batch_begin`` and
    ``_end``, ``on_test_batch_*``, ``on_predict_batch_*``) are called at every step, so that each step is a separate
    native call; one that is not overridden costs nothing. ``on_step`` is called after every ``step_interval``-th step
    of this fit, counted across epochs, and the steps between run together: use it for work every n steps.

    A backup holds the ``state`` of each callback, and gives it to ``set_state`` when the run is resumed.
    """

    model: Module = None  # type: ignore[assignment]  # until `set_model`
    params: Mapping[str, Any] = {}
    step_interval: int | None = None
    _last = False  # whether it is called after all others, with everything that they have changed
    _saved: tuple[str, ...] = ()  # the attributes that continue after a stop
    _changes = True  # whether it may change weights or settings between epochs; if none may, they are not read again
    _say: Callable[[str], None] | None = None

    def set_model(self, model: Module) -> None:
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        self.params = params

    def state(self) -> dict[str, Any]:
        """What the callback needs to continue after a stop: plain values, lists, dicts, NumPy arrays."""
        return {name.lstrip("_"): getattr(self, name) for name in self._saved}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned; called after ``on_train_begin``."""
        for name in self._saved:
            setattr(self, name, state[name.lstrip("_")])

    def writes_to(self) -> str | Path | None:
        """The file or folder that the callback writes; two models that train at the same time must not share one."""
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
        """Called after Ctrl-C or SIGTERM, at the end of a step.

        `fit` then raises KeyboardInterrupt, or the process ends. Without this method SIGTERM ends the process at once.
        """

    def on_nonfinite(self, error: FloatingPointError) -> bool:
        """Called when the loss is no longer finite. Return True to end training without raising ``error``."""
        return False


EVENTS = tuple(name for name in vars(Callback) if name.startswith("on_"))
