"""Evaluation with moving averages of the weights in place of the weights."""

from __future__ import annotations

from typing import Any

from ranvier.training.loop.callback import Callback, Logs


class SwapEMAWeights(Callback):
    """Evaluate, validate and predict with the moving averages that an optimizer with ``use_ema=True`` keeps.

    Training continues with the weights themselves. With ``swap_on_epoch`` the model also has the averages from each
    ``on_epoch_end`` to the next ``on_epoch_begin``, so that a `ModelCheckpoint` after this callback in the list saves
    them. Raises ValueError without ``use_ema=True``.
    """

    _saved = ("_kept",)

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = swap_on_epoch
        self._kept: list[Any] | None = None  # the weights, while the model has the averages

    def _optimizer(self) -> Any:
        optimizer = getattr(self.model, "optimizer", None)
        if not getattr(optimizer, "use_ema", False):
            raise ValueError(
                "SwapEMAWeights needs the averages of an optimizer. Write compile(optimizers.Adam(use_ema=True), ...), "
                "for example."
            )
        return optimizer

    def _swap(self) -> None:
        optimizer = self._optimizer()
        if self._kept is None:
            self._kept = [p.numpy().copy() for p in optimizer.parameters]
            optimizer.finalize_variable_values()

    def _swap_back(self) -> None:
        if self._kept is not None:
            for parameter, value in zip(self._optimizer().parameters, self._kept, strict=True):
                parameter.assign(value)
            self._kept = None

    def on_train_begin(self, logs: Logs = None) -> None:
        self._kept = None
        self._optimizer()  # raises before any step

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._swap_back()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.swap_on_epoch:
            self._swap()

    def on_train_end(self, logs: Logs = None) -> None:
        self._kept = None  # the model keeps the averages

    def on_test_begin(self, logs: Logs = None) -> None:
        self._swap()

    def on_test_end(self, logs: Logs = None) -> None:
        self._swap_back()

    def on_predict_begin(self, logs: Logs = None) -> None:
        self._swap()

    def on_predict_end(self, logs: Logs = None) -> None:
        self._swap_back()
