"""What may be given for a setting of an optimizer: numbers within bounds, and for the learning rate schedules too."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier.optimizers import schedules
from ranvier.optimizers.schedules import LearningRateSchedule
from ranvier.tensor import Number, Tensor

_BELOW_ONE = ("beta_1", "beta_2", "rho", "ema_momentum")


class Rate(Number):
    """An optimizer's learning rate: a float that can be assigned to, and then reads as what it is now (Keras)."""

    __slots__ = ("optimizer",)
    optimizer: Any

    @classmethod
    def of(cls, value: float, optimizer: Any) -> Rate:
        """The rate of an optimizer."""
        rate = cls(value)
        rate.optimizer = optimizer
        return rate

    def assign(self, value: Any) -> None:
        """Set the optimizer's learning rate."""
        self.optimizer.learning_rate = value

    def numpy(self) -> Any:
        """The optimizer's learning rate now."""
        return np.float64(self.optimizer.current_rate())

    def item(self) -> float:
        """The optimizer's learning rate now."""
        return float(self.optimizer.current_rate())


def number(kind: str, name: str, value: Any) -> float:
    """A setting as a float. Raises TypeError for what is no number, ValueError for one that is out of bounds."""
    if isinstance(value, (Tensor, np.ndarray)) and value.shape == ():
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        or_schedule = " or a schedule" if name in ("learning_rate", "lr") else ""
        raise TypeError(
            f"{kind}({name}={value!r}): this is a number{or_schedule}. Write a float, and to change it while training "
            f"set optimizer.{name} between epochs, instead."
        )
    result = float(value)
    limit = 1.0 if name in _BELOW_ONE else math.inf
    if not 0.0 <= result < limit:
        allowed = "in [0, 1)" if limit == 1.0 else "of 0 or more"
        raise ValueError(f"{kind}({name}={result}): write a number {allowed} instead.")
    return result


def whole(kind: str, name: str, value: Any, least: int) -> int:
    """A setting that counts. Raises ValueError for less than ``least``, or what is no whole number."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value.__index__() < least:
        raise ValueError(f"{kind}({name}={value!r}): write a whole number of {least} or more instead.")
    return int(value.__index__())


def as_rate(kind: str, value: Any, name: str = "learning_rate") -> float | LearningRateSchedule:
    """What a learning rate is set to: a float, or a schedule, which may be given as `schedules.describe` writes it."""
    if type(value) is float and 0.0 <= value < math.inf:
        return value
    if isinstance(value, (LearningRateSchedule, dict, type)):
        return schedules.get(value)
    of = type(value).__name__
    if of in schedules.CLASSES and hasattr(value, "get_config"):
        raise TypeError(
            f"{kind}({name}={value!r}): this is a schedule of Keras's. Write "
            f"rv.optimizers.schedules.{of}(**schedule.get_config()) instead."
        )
    if callable(value) and not isinstance(value, Tensor):
        raise TypeError(
            f"{kind}({name}={value!r}): this is a number or a schedule, and a function is neither. Write it as "
            "rate(self, step) of a class derived from optimizers.schedules.LearningRateSchedule, or give it to "
            "callbacks.LearningRateScheduler, instead."
        )
    return number(kind, name, value)


def follow(leaf: Tensor, value: float) -> Tensor:
    """A scalar that programs read, set to what it is now."""
    if leaf._value != leaf._value.dtype.type(value):
        leaf.assign(value)
    return leaf
