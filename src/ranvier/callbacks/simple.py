"""Callbacks of a few lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ranvier.support.errors import nearest
from ranvier.training.loop.callback import EVENTS, Callback, Logs
from ranvier.training.loop.callback_list import check_signature


class LambdaCallback(Callback):
    """A callback made of functions, each by the name of its event: ``on_epoch_end=lambda epoch, logs: ...``.

    The events are those of `Callback`; ``on_epoch_*`` take (epoch, logs), ``on_*_batch_*`` (batch, logs), the others
    (logs). Raises TypeError with the nearest name for an event that does not exist.
    """

    def __init__(self, **functions: Callable[..., Any] | None) -> None:
        for event, function in functions.items():
            if event not in EVENTS:
                raise TypeError(
                    f"LambdaCallback({event}=...): there is no such event. The nearest is {nearest(event, EVENTS)}."
                )
            if function is not None:
                if not callable(function):
                    raise TypeError(f"LambdaCallback({event}={function!r}): write a function instead.")
                check_signature(function, f"LambdaCallback({event}=...)", event, "lambda {}: ...")
                setattr(self, event, function)


class TerminateOnNaN(Callback):
    """End training without an error when the loss is no longer finite.

    Without it `fit` raises `NonFiniteLoss`, which names the step, the layer and the first operation whose result is not
    finite. With it `fit` prints one line, stops, and returns the history of the whole epochs; ``error`` has the
    details. In both cases the model keeps the last finite weights. ``raise_error=True`` raises as without it.
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error
        self.error: FloatingPointError | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        self.error = None

    def on_nonfinite(self, error: FloatingPointError) -> bool:
        self.error = error
        if not self.raise_error:
            self.say(f"Training ends: {error}")
        return not self.raise_error
