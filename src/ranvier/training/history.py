"""What `fit` returns and whom it tells: History and callbacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ranvier.module import Module

__all__ = ["Callback", "Callbacks", "History"]

EVENTS = ("on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end")


class History:
    """``history``: a list for each of "loss", the metrics, and "val_..." of them; ``epoch``: the epochs' numbers."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []
        self.params = dict(params)

    def __repr__(self) -> str:
        last = {name: values[-1] for name, values in self.history.items() if values}
        return f"History({len(self.epoch)} epochs, last: {last})"

    def add(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Keep the results of an epoch."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)


class Callback:
    """What `fit` calls between epochs. Override the methods you need; ``self.model`` is the model.

    Set ``self.model.stop_training = True`` to stop at the end of the epoch. ``logs`` are the epoch's results.
    """

    model: Any = None
    params: Mapping[str, Any] = {}

    def set_model(self, model: Module) -> None:
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        self.params = params

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None: ...
    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None: ...
    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None: ...
    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None: ...


class Callbacks:
    """Several callbacks, called in their order. An object is one if it has one of the methods."""

    def __init__(self, callbacks: Any, model: Module, params: Mapping[str, Any]) -> None:
        given = (
            callbacks if isinstance(callbacks, (list, tuple)) else [] if callbacks is None else [callbacks]
        )
        for callback in given:
            if not any(hasattr(callback, event) for event in EVENTS):
                raise TypeError(
                    f"{callback!r} is no callback: it has none of {', '.join(EVENTS)}. Write a subclass of "
                    "ranvier.training.Callback instead."
                )
            per_batch = [
                n
                for n in dir(callback)
                if n.startswith(("on_train_batch", "on_batch", "on_test", "on_predict"))
            ]
            own = [n for n in per_batch if getattr(type(callback), n, None) is not None]
            if own and type(callback).__module__.split(".")[0] not in ("keras", "tensorflow"):
                raise TypeError(
                    f"{type(callback).__name__}.{own[0]} would never be called: many batches run in one native call. "
                    "Write on_epoch_end instead, or an explicit loop."
                )
        self.callbacks: Sequence[Any] = given
        for callback in given:
            for name, value in (("set_model", model), ("set_params", params)):
                if hasattr(callback, name):
                    getattr(callback, name)(value)

    def tell(self, event: str, *args: Any) -> None:
        """Call ``event`` on every callback that has it."""
        for callback in self.callbacks:
            method = getattr(callback, event, None)
            if method is not None:
                method(*args)
