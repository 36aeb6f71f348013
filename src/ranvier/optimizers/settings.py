"""Checks of an optimizer's settings: bounds of numbers, choices, and the learning rate."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from ranvier.optimizers import schedules
from ranvier.optimizers.schedules import LearningRateSchedule
from ranvier.support.validation import whole
from ranvier.tensor.results import FloatResult
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import StepTrace, state

BELOW_ONE = 0.0, math.nextafter(1.0, 0.0), "in [0, 1)"
USUAL = 0.0, math.inf, "of 0 or more"
BOUNDS = {  # of numbers: the least, the most, and the words for both
    **dict.fromkeys(("beta_1", "beta_2", "adam_beta_1", "adam_beta_2", "rho", "ema_momentum"), BELOW_ONE),
    **dict.fromkeys(("muon_a", "muon_b", "muon_c"), (-math.inf, math.inf, "of any size")),
    "beta_2_decay": (-math.inf, 0.0, "of 0 or less"),
    "momentum": (0.0, 1.0, "from 0 to 1"),
    "learning_rate_power": (-math.inf, 0.0, "of 0 or less"),
}
COUNTS = {"ema_overwrite_frequency": 1, "gradient_accumulation_steps": 2}  # and their least values
CHOICES = {"formula": ("keras", "torch")}
REFUSED = {
    "loss_scale_factor": "gradients are float32 or float64, in which small ones do not vanish. Leave it out instead."
}


class Rate(FloatResult):
    """An optimizer's learning rate: a float that you can assign to, and that then reads the current rate (Keras)."""

    __slots__ = ("optimizer",)
    optimizer: Any

    @classmethod
    def of(cls, value: float, optimizer: Any) -> Rate:
        """The learning rate of an optimizer."""
        rate = cls(value)
        rate.optimizer = optimizer
        return rate

    def assign(self, value: Any) -> None:
        """Set the optimizer's learning rate."""
        self.optimizer.learning_rate = value

    def numpy(self) -> Any:
        """The optimizer's current learning rate."""
        return np.float64(self.optimizer.current_rate())

    def item(self) -> float:
        """The optimizer's current learning rate."""
        return float(self.optimizer.current_rate())

    @property
    def value(self) -> float:
        """The optimizer's current learning rate (Keras)."""
        return self.item()


def number(kind: str, name: str, value: Any) -> float:
    """A setting as a float. Raises TypeError for a value that is no number, ValueError for one out of bounds."""
    if isinstance(value, (Tensor, np.ndarray)) and value.shape == ():
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        or_schedule = " or a schedule" if name in ("learning_rate", "lr") else ""
        raise TypeError(
            f"{kind}({name}={value!r}): this is a number{or_schedule}. Write a float, and to change it while training "
            f"set optimizer.{name} between epochs, instead."
        )
    result = float(value)
    least, most, words = BOUNDS.get(name, USUAL)
    if not least <= result <= most or math.isinf(result):
        raise ValueError(f"{kind}({name}={result!r}): write a number {words} instead.")
    return result


def setting(kind: str, name: str, of: str, value: Any) -> Any:
    """A setting as its field stores it; ``of`` is the field's type. Raises TypeError or ValueError for wrong values."""
    if value is None and of.endswith("None"):
        return None
    if name in REFUSED:
        raise ValueError(f"{kind}({name}={value!r}): {REFUSED[name]}")
    if name in CHOICES and value not in CHOICES[name]:
        words = " or ".join(map(repr, CHOICES[name]))
        raise ValueError(f"{name} {value!r} does not exist. Write {words} instead.")
    if of == "bool":
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{kind}({name}={value!r}): write True or False instead.")
        return bool(value)
    if of.startswith("int"):
        return whole(name, value, COUNTS.get(name, 0), kind)
    return number(kind, name, value) if of.startswith("float") else value


@functools.cache
def types_of(kind: Any) -> Mapping[str, str]:
    """The types of an optimizer's settings by name, without that of the learning rate."""
    declared = {field.name: field.type for field in fields(kind) if field.name != "learning_rate"}
    return {name: of if isinstance(of, str) else getattr(of, "__name__", str(of)) for name, of in declared.items()}


def as_rate(kind: str, value: Any, name: str = "learning_rate") -> float | LearningRateSchedule:
    """The learning rate as a float or a schedule; a schedule may be given as `schedules.describe` returns it."""
    if type(value) is float and 0.0 <= value < math.inf:
        return value
    if isinstance(value, (LearningRateSchedule, dict, type)):
        return schedules.get(value)
    of = type(value).__name__
    if of in schedules.base.REGISTRY.classes and hasattr(value, "get_config"):
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
    """Set a scalar that programs read to a value; it is written only if it differs."""
    if leaf._value != leaf._value.dtype.type(value):
        if isinstance(state.tracing, StepTrace):  # at once, and not in each step
            leaf._value[...] = value
            leaf.version += 1
        else:
            leaf.assign(value)
    return leaf
