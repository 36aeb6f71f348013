"""Schedulers that multiply the current rate, so that several can act on one optimizer; and the cosine.

The closed formula is that of the same function in `ranvier.optimizers.schedules`, if there is one.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ranvier.optimizers import schedules
from ranvier.torch.optim.lr_scheduler.base import FunctionLR, LRScheduler, Rates
from ranvier.torch.optim.optimizer import Optimizer


class FactorLR(LRScheduler):
    """A scheduler that multiplies the rate of each group by one factor a step."""

    def multiplier(self) -> float:
        """The factor from the rates before ``last_epoch`` to those at it."""
        raise NotImplementedError

    def closed(self, base: float) -> float:
        """The rate at ``last_epoch``, from the initial one."""
        raise NotImplementedError

    def get_lr(self) -> Rates:
        multiplier = self.multiplier()
        return [rate * multiplier for rate in self._rates()]

    def closed_lr(self) -> Rates:
        return [self.closed(base) for base in self.base_lrs]


class StepLR(FactorLR):
    """The rate times ``gamma`` every ``step_size`` epochs."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size, self.gamma = at_least("StepLR", "step_size", step_size, 1), gamma
        super().__init__(optimizer, last_epoch)

    def multiplier(self) -> float:
        return self.gamma if self.last_epoch and self.last_epoch % self.step_size == 0 else 1.0

    def closed(self, base: float) -> float:
        return schedules.StepDecay(base, self.step_size, self.gamma)(self.last_epoch)


class MultiStepLR(FactorLR):
    """The rate times ``gamma`` at each of the ``milestones``."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones: Counter[int] = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def multiplier(self) -> float:
        times = self.milestones.get(self.last_epoch, 0)  # type: ignore[call-overload]  # a float that is a whole number
        return self.gamma**times if times else 1.0

    def closed(self, base: float) -> float:
        return base * self.gamma ** bisect_right(sorted(self.milestones.elements()), self.last_epoch)


class ConstantLR(FactorLR):
    """The rate times ``factor`` until ``total_iters`` epochs are over."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        self.factor = within("ConstantLR", "factor", factor)
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def multiplier(self) -> float:
        if self.last_epoch == 0:
            return self.factor
        return 1.0 / self.factor if self.last_epoch == self.total_iters else 1.0

    def closed(self, base: float) -> float:
        return base if self.last_epoch >= self.total_iters else base * self.factor


class LinearLR(FactorLR):
    """From ``start_factor`` to ``end_factor`` times the rate, in a line over ``total_iters`` epochs."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor = within("LinearLR", "start_factor", start_factor)
        self.end_factor = within("LinearLR", "end_factor", end_factor, zero=True)
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def multiplier(self) -> float:
        if self.last_epoch == 0:
            return self.start_factor
        if self._initial or self.last_epoch > self.total_iters:
            return 1.0
        rise = self.end_factor - self.start_factor
        return 1.0 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise)

    def closed(self, base: float) -> float:
        line = schedules.WarmUp(base * self.end_factor, self.total_iters, base * self.start_factor)
        return line(self.last_epoch)


class ExponentialLR(FactorLR):
    """The rate times ``gamma`` every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def multiplier(self) -> float:
        return 1.0 if self._initial else self.gamma

    def closed(self, base: float) -> float:
        return schedules.ExponentialDecay(base, 1, self.gamma)(self.last_epoch)


class PolynomialLR(FactorLR):
    """``(1 - epoch / total_iters) ** power`` times the rate, 0 from ``total_iters`` on."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters, self.power = at_least("PolynomialLR", "total_iters", total_iters, 1), power
        super().__init__(optimizer, last_epoch)

    def multiplier(self) -> float:
        if self._initial or self.last_epoch > self.total_iters:
            return 1.0
        left, before = (1.0 - e / self.total_iters for e in (self.last_epoch, self.last_epoch - 1))
        return (left / before) ** self.power

    def closed(self, base: float) -> float:
        return schedules.PolynomialDecay(base, self.total_iters, 0.0, self.power)(self.last_epoch)


class MultiplicativeLR(FunctionLR):
    """The rate times a function of the epoch; ``lr_lambda`` may be a list, one for each group."""

    def get_lr(self) -> Rates:
        if self._initial:
            return self._rates()
        return [rate * f(self.last_epoch) for f, rate in zip(self.lr_lambdas, self._rates(), strict=True)]


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the rate to ``eta_min`` over ``T_max`` epochs, and up again over as many (SGDR, 2016).

    It continues from the current rate, so it can be chained.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max, self.eta_min = at_least("CosineAnnealingLR", "T_max", T_max, 1), eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> Rates:
        epoch, low = self.last_epoch, self.eta_min
        if self._initial:
            return self._rates()
        if self._step_count == 1 and epoch > 0:
            return self.closed_lr()
        if (epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # at the bottom there is no height to multiply
            first = (1.0 - math.cos(math.pi / self.T_max)) / 2.0
            return [rate + (base - low) * first for rate, base in zip(self._rates(), self.base_lrs, strict=True)]
        height, before = (1.0 + math.cos(math.pi * e / self.T_max) for e in (epoch, epoch - 1))
        return [height / before * (rate - low) + low for rate in self._rates()]

    def closed_lr(self) -> Rates:
        height = (1.0 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2.0
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]


def at_least(kind: str, name: str, value: Any, least: int) -> Any:
    if value < least:
        raise ValueError(f"{kind}({name}={value!r}): write a number of {least} or more instead.")
    return value


def within(kind: str, name: str, value: float, *, zero: bool = False) -> float:
    """A factor up to 1. A factor of 0 could not be undone by multiplying."""
    if not (0 <= value <= 1 if zero else 0 < value <= 1):
        raise ValueError(f"{kind}({name}={value!r}): write a number {'from' if zero else 'above'} 0 to 1 instead.")
    return value
