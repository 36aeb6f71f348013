"""Schedulers made of schedulers: in sequence, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ranvier.torch.optim.lr_scheduler.base import LRScheduler, checked
from ranvier.torch.optim.lr_scheduler.plateau import ReduceLROnPlateau
from ranvier.torch.optim.optimizer import Optimizer


def members(kind: str, schedulers: Sequence[Any], optimizer: Any) -> list[LRScheduler]:
    """The schedulers, all of this optimizer. Raises TypeError or ValueError for those that cannot be combined."""
    if not schedulers:
        raise ValueError(f"{kind} was given no schedulers. Write a list of one or more instead.")
    for i, scheduler in enumerate(schedulers):
        if isinstance(scheduler, ReduceLROnPlateau):
            raise ValueError(
                f"{kind} cannot hold ReduceLROnPlateau (number {i}), whose step needs a value. Write its step(value) "
                "beside this one's instead."
            )
        if not isinstance(scheduler, LRScheduler):
            raise TypeError(
                f"{kind} takes schedulers, and number {i} is {scheduler!r}. Write StepLR(...), say, instead."
            )
        if scheduler.optimizer is not optimizer:
            raise ValueError(
                f"{kind} changes the rates of one optimizer, and scheduler {i}, {type(scheduler).__name__}, has "
                "another. Write schedulers of one optimizer instead."
            )
    return list(schedulers)


class SequentialLR(LRScheduler):
    """Schedulers in sequence: at each of the ``milestones`` the next one starts."""

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        self.optimizer = checked(optimizer, "SequentialLR")
        self._schedulers = members("SequentialLR", schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR of {len(schedulers)} schedulers has {len(milestones)} milestones. Write "
                f"{len(schedulers) - 1}, where the next takes over, instead."
            )
        self._milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        for group in self.optimizer.param_groups:  # the rates before the schedulers made their first steps
            group["lr"] = group["initial_lr"]
        rewind(self)
        self._current()._start()
        self._last_lr = self._current().get_last_lr()

    def _current(self) -> LRScheduler:
        return self._schedulers[bisect_right(self._milestones, self.last_epoch)]

    def _start(self) -> None:
        self.last_epoch = 0
        self._current()._start()
        self._last_lr = self._rates()

    def step(self, epoch: int | None = None) -> None:
        """Step the current scheduler, or start it."""
        if epoch is not None:
            raise TypeError("SequentialLR.step() takes no epoch. Write step() instead.")
        self.last_epoch += 1
        scheduler = self._current()
        if self.last_epoch in self._milestones:
            scheduler._set(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def _set(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._current()._set(epoch)
        self._last_lr = self._rates()


class ChainedScheduler(LRScheduler):
    """Several schedulers that step together, each from the rate that the one before it sets."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        first = optimizer if optimizer is not None or not schedulers else getattr(schedulers[0], "optimizer", None)
        self._schedulers = members("ChainedScheduler", schedulers, first)
        self.optimizer = checked(first, "ChainedScheduler")
        self._last_lr = self._rates()

    def _start(self) -> None:
        for scheduler in self._schedulers:
            scheduler._start()
        self._last_lr = self._rates()

    def step(self, epoch: int | None = None) -> None:
        """Step all of them."""
        for scheduler in self._schedulers:
            scheduler.step(epoch)
        self._last_lr = self._rates()

    def _set(self, epoch: int | None = None) -> None:
        for scheduler in self._schedulers:
            scheduler._set(epoch)
        self._last_lr = self._rates()


def rewind(scheduler: LRScheduler) -> None:
    """Undo the step that a scheduler's constructor made."""
    if isinstance(scheduler, (SequentialLR, ChainedScheduler)):
        for inner in scheduler._schedulers:
            rewind(inner)
    else:
        scheduler.last_epoch -= 1
