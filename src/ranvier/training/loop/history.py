"""What `fit` returns: the results of every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ranvier.training.loop.callback import Callback, Logs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ranvier.pictures.style import Target


class History(Callback):
    """``history`` has a list for "loss", each metric, and each "val_..." result; ``epoch`` has the epochs' numbers.

    `fit` returns one, which is also ``model.history``.
    """

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self.params = dict(params or {})

    def __repr__(self) -> str:
        last = {name: values[-1] for name, values in self.history.items() if values}
        return f"History({len(self.epoch)} epochs, last: {last})"

    def _repr_html_(self) -> str:
        from ranvier.pictures.html import history_html

        return history_html(self)

    def plot(self, path: Target = None, *, title: str | None = None) -> Figure:
        """Draw every result by epoch, and write the picture to ``path`` if given: see `ranvier.pictures.curves`.

        Returns the figure, which a notebook shows.
        """
        from ranvier.pictures import curves

        return curves(self, path, title=title)

    def add(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Keep the results of an epoch."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)

    def on_train_begin(self, logs: Logs = None) -> None:
        self.history, self.epoch = {}, []

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self.add(epoch, logs or {})

    def state(self) -> dict[str, Any]:
        return {"epoch": list(self.epoch), "history": {n: list(v) for n, v in self.history.items()}}

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.epoch, self.history = list(state["epoch"]), {n: list(v) for n, v in state["history"].items()}
