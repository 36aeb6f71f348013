"""The base of all schedulers: they count their steps and set the rate of each group of an optimizer."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ranvier.optimizers.schedules import LearningRateSchedule
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.source_lines import warn
from ranvier.torch.optim.optimizer import Optimizer

Rates = list[float]


def checked(optimizer: Any, kind: str) -> Optimizer:
    """The optimizer, if a scheduler can set its rates. Raises TypeError otherwise."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"{kind} sets the rates of an optimizer of torch.optim, and this is {optimizer!r}. Write "
            f"{kind}(torch.optim.Adam(model.parameters()), ...), or a schedule of rv.optimizers.schedules as the "
            "optimizer's learning_rate, instead."
        )
    for i, group in enumerate(optimizer.param_groups):
        if isinstance(group["lr"], LearningRateSchedule):
            raise TypeError(
                f"{kind} would overwrite the rate of group {i}, which the schedule {group['lr']} computes. Write a "
                "number for lr, or no scheduler, instead."
            )
    return optimizer


def by_group(name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """A setting for each group: one for all, or a list. Raises ValueError for a list of another length."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{name} has {len(value)} values for {count} groups of parameters. Write {count} instead.")
    return list(value)


class LRScheduler(CheckedConstructor):
    """The base of all schedulers. Call ``step()`` once an epoch, or once a batch, after ``optimizer.step()``.

    ``last_epoch`` is the number of steps minus 1 (-1 before the first); ``get_last_lr()`` returns the current rates.
    Subclasses define `get_lr`, the rates for ``last_epoch``.
    """

    _initial = False  # True while the constructor makes the first step

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = checked(optimizer, type(self).__name__)
        for i, group in enumerate(self.optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"group {i} has no 'initial_lr', and last_epoch={last_epoch} means that training goes on. Write "
                    "optimizer.load_state_dict(...) before, or leave last_epoch out, instead."
                )
        self.base_lrs: Rates = [group["initial_lr"] for group in self.optimizer.param_groups]
        self.last_epoch: float = last_epoch
        self._start()

    def _start(self) -> None:
        self._step_count = 0
        self._initial = True
        try:
            self.step()
        finally:
            del self._initial

    def get_lr(self) -> Rates:
        """The rates for ``last_epoch``."""
        raise NotImplementedError(f"{type(self).__name__} has no method get_lr(self). Write one.")

    def closed_lr(self) -> Rates:
        """The rates for ``last_epoch``, independent of the current ones, if there is a formula."""
        return self.get_lr()

    def get_last_lr(self) -> Rates:
        """The rates that were set last, one for each group."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Set the rates of the next epoch, or of the given one."""
        self._check_order()
        self._step_count += 1
        self._set(epoch)

    def _check_order(self) -> None:
        if self._step_count == 1 and not self.optimizer.stepped:
            warn(
                f"{type(self).__name__}.step() before optimizer.step(): the first rate is never used. Write "
                "optimizer.step() first, then scheduler.step()."
            )

    def _set(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._assign(self.get_lr() if epoch is None else self.closed_lr())

    def _assign(self, rates: Iterable[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = self._rates()

    def _rates(self) -> Rates:
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All attributes except the optimizer. Functions are left out; callable objects are saved by attributes."""
        return {name: portable(value) for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned. Raises ValueError for the state of another kind of scheduler."""
        own = vars(self).keys() - {"optimizer"}
        unknown, missing = sorted(state_dict.keys() - own), sorted(own - state_dict.keys())
        if unknown or missing:
            raise ValueError(
                f"this is not the state of a {type(self).__name__}: it has {unknown} and lacks {missing}. Write the "
                "scheduler that was saved instead."
            )
        for name, value in state_dict.items():
            setattr(self, name, restored(getattr(self, name), value))


def portable(value: Any) -> Any:
    """A value without functions; a scheduler or a callable object as its own state."""
    if isinstance(value, list):
        return [portable(v) for v in value]
    if isinstance(value, LRScheduler):
        return value.state_dict()
    if callable(value):
        return None if isinstance(value, types.FunctionType) else dict(getattr(value, "__dict__", {}))
    return value


def restored(own: Any, saved: Any) -> Any:
    """Put what `portable` returned into the value that is there."""
    if isinstance(own, LRScheduler):
        own.load_state_dict(saved)
        return own
    if callable(own):
        if saved:
            vars(own).update(saved)
        return own
    if isinstance(own, list) and any(callable(v) or isinstance(v, LRScheduler) for v in own):
        return [restored(a, b) for a, b in zip(own, saved, strict=True)]
    return saved


class FunctionLR(LRScheduler):
    """A scheduler by a function of the epoch, or a list of them, one for each group."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        kind = type(self).__name__
        self.lr_lambdas = by_group("lr_lambda", lr_lambda, checked(optimizer, kind))
        for f in self.lr_lambdas:
            if not callable(f):
                raise TypeError(
                    f"{kind}(lr_lambda={f!r}): write a function such as lambda epoch: 0.95 ** epoch instead."
                )
        super().__init__(optimizer, last_epoch)


class LambdaLR(FunctionLR):
    """The initial rate times a function of the epoch; ``lr_lambda`` may be a list, one for each group."""

    def get_lr(self) -> Rates:
        return [base * f(self.last_epoch) for f, base in zip(self.lr_lambdas, self.base_lrs, strict=True)]
