"""The base of callbacks that watch one result: whether lower or higher is better, and whether it improved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.support.errors import nearest
from ranvier.support.results import infer, metric_of, number_of
from ranvier.support.source_lines import warn
from ranvier.support.validation import whole
from ranvier.training.loop.callback import Callback, Logs


def check_numbers(who: str, **settings: Any) -> None:
    """Raise TypeError for the first setting that is neither a number nor None."""
    for name, value in settings.items():
        if value is not None and not isinstance(value, (int, float, np.integer, np.floating)):
            raise TypeError(f"{who}({name}={value!r}): this is a number. Write it without quotes instead.")


def check_counts(who: str, **settings: Any) -> None:
    """Raise for the first setting that is no whole number of 0 or more: TypeError for no number, else ValueError."""
    check_numbers(who, **settings)
    for name, value in settings.items():
        whole(name, value, 0, who)


class Monitor(Callback):
    """Watches the result ``monitor`` of each epoch; with ``mode`` "min" lower is better, with "max" higher.

    "auto" infers the mode. A change of less than ``min_delta`` is no improvement; ``best`` is the best value so far,
    None before there is one.
    """

    def __init__(
        self, monitor: str = "val_loss", mode: str = "auto", baseline: float | None = None, min_delta: float = 0.0
    ) -> None:
        check_numbers(type(self).__name__, baseline=baseline, min_delta=min_delta)
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{type(self).__name__}(mode={mode!r}): write 'min', 'max' or 'auto' instead.")
        self.monitor, self.mode, self.best, self.min_delta = monitor, mode, baseline, abs(min_delta)
        self._better: str | None = None if mode == "auto" else mode
        self._warned = False

    def better(self) -> str:
        """The mode, "min" or "max". Raises ValueError if it cannot be inferred from the name."""
        if self._better is None:
            metrics = getattr(getattr(self.model, "_compiled", None), "metrics", ())
            self._better = infer(self.monitor, metric_of(self.monitor, metrics))
        if self._better is None:
            raise ValueError(
                f"{type(self).__name__} cannot infer from the name {self.monitor!r} whether lower or higher is better. "
                "Write mode='min' or mode='max'."
            )
        return self._better

    def improves(self, value: float, on: float | None) -> bool:
        if on is None:
            return True
        gain = on - value if self.better() == "min" else value - on
        return bool(gain > self.min_delta)

    def _hint(self, results: Sequence[str]) -> str:
        """What to write for a result that does not exist: the nearest name, or validation data."""
        held_out = self.monitor.startswith("val_")
        near = nearest(self.monitor, [name for name in results if name.startswith("val_") or not held_out])
        return f"watch {near!r}" if near else "give validation_data"

    def value(self, logs: Logs) -> float | None:
        """The result that is watched; None, with a warning the first time, if it is not in the logs.

        Of a result with a number for each class it is their mean. Raises ValueError for arrays of more dimensions.
        """
        found = (logs or {}).get(self.monitor)
        if found is None:
            known = self.params.get("metrics", ())
            if self.monitor not in known and not self._warned:
                self._warned = True
                results = ", ".join(logs or ()) or "there are none"
                warn(
                    f"{type(self).__name__} watches {self.monitor!r}, which is not among the results: "
                    f"{results}. It does nothing; {self._hint((*known, *(logs or ())))} instead."
                )
            return None
        number = number_of(found)
        if number is None:
            raise ValueError(
                f"{type(self).__name__} watches {self.monitor!r}, which is an array of shape "
                f"{np.shape(found)}. Write the name of a result that is one number instead."
            )
        return float(number)
