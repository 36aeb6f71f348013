"""Schedules that fall once, with the formulas, names and defaults of Keras 3; and StepDecay and Constant."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ranvier.ops import arrays as rn
from ranvier.optimizers.schedules.base import REGISTRY, Settings, look_up, named, passed
from ranvier.tensor.tensor import Tensor


@REGISTRY.register
@dataclass(frozen=True, repr=False)
class Constant(Settings):
    """A constant rate: the schedule of a plain number."""

    learning_rate: float

    def rate(self, step: Tensor) -> Any:
        return rn.full_like(step, self.learning_rate)


@REGISTRY.register
@dataclass(frozen=True, repr=False)
class ExponentialDecay(Settings):
    """``initial_learning_rate * decay_rate ** (step / decay_steps)``; ``staircase`` rounds the exponent down."""

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False
    name: str = named("ExponentialDecay")

    def rate(self, step: Tensor) -> Any:
        done = finished(step, self.decay_steps, self.staircase)
        return self.initial_learning_rate * rn.power(self.decay_rate, done)


@REGISTRY.register
@dataclass(frozen=True, repr=False)
class StepDecay(Settings):
    """The rate times ``decay_rate`` after every ``decay_steps`` steps (PyTorch's StepLR)."""

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float = 0.1

    def rate(self, step: Tensor) -> Any:
        return ExponentialDecay(self.initial_learning_rate, self.decay_steps, self.decay_rate, True).rate(step)


@REGISTRY.register
@dataclass(frozen=True, repr=False)
class InverseTimeDecay(Settings):
    """``initial_learning_rate / (1 + decay_rate * step / decay_steps)``; ``staircase`` rounds the quotient down."""

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False
    name: str = named("InverseTimeDecay")

    def rate(self, step: Tensor) -> Any:
        done = finished(step, self.decay_steps, self.staircase)
        return self.initial_learning_rate / (1.0 + self.decay_rate * done)


@REGISTRY.register
@dataclass(frozen=True, repr=False)
class PiecewiseConstantDecay(Settings):
    """``values[0]`` up to and including step ``boundaries[0]``, then ``values[1]`` up to ``boundaries[1]``, and so on.

    Raises ValueError unless there is one value more than boundaries, and boundaries rise.
    """

    boundaries: tuple[float, ...]
    values: tuple[float, ...]
    name: str = named("PiecewiseConstant")

    def __post_init__(self) -> None:
        super().__post_init__()
        marks, count = list(self.boundaries), len(self.boundaries) + 1
        if len(self.values) != count:
            raise ValueError(
                f"PiecewiseConstantDecay was given {len(marks)} boundaries and {len(self.values)} values. Write "
                f"{count} value{'s' * (count > 1)}, one for each stretch, instead."
            )
        if sorted(set(marks)) != marks:
            raise ValueError(f"PiecewiseConstantDecay(boundaries={marks}): write boundaries that rise instead.")

    def rate(self, step: Tensor) -> Any:
        return look_up(self.values, passed(self.boundaries, step, rn.less))


@REGISTRY.register
@dataclass(frozen=True, repr=False)
class PolynomialDecay(Settings):
    """From ``initial_learning_rate`` to ``end_learning_rate`` as ``(1 - step / decay_steps) ** power``, then constant.

    With ``cycle`` the decay never ends: it is stretched to the next whole multiple of ``decay_steps``.
    """

    initial_learning_rate: float
    decay_steps: float
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False
    name: str = named("PolynomialDecay")

    def rate(self, step: Tensor) -> Any:
        if self.cycle:
            done = step / (self.decay_steps * rn.maximum(rn.ceil(step / self.decay_steps), 1.0))
        else:
            done = rn.minimum(step, self.decay_steps) / self.decay_steps
        span = self.initial_learning_rate - self.end_learning_rate
        return span * rn.power(1.0 - done, self.power) + self.end_learning_rate


@REGISTRY.register
@dataclass(frozen=True, repr=False)
class CosineDecay(Settings):
    """Half a cosine down to ``alpha`` times the rate, over ``decay_steps`` (Loshchilov and Hutter, 2016).

    With ``warmup_target`` the rate first rises in a line from the initial rate to the target, over ``warmup_steps``,
    and the cosine starts there.
    """

    initial_learning_rate: float
    decay_steps: float
    alpha: float = 0.0
    name: str = named("CosineDecay")
    warmup_target: float | None = None
    warmup_steps: float = 0.0

    def rate(self, step: Tensor) -> Any:
        start, target = self.initial_learning_rate, self.warmup_target
        if target is None or self.warmup_steps == 0:
            done = rn.minimum(step, self.decay_steps) / self.decay_steps
            return cosine(start if target is None else target, done, self.alpha)
        after = CosineDecay(target, self.decay_steps, self.alpha)
        line = (target - start) * (step / self.warmup_steps) + start
        waited = rn.maximum(step - self.warmup_steps, 0.0)
        return rn.where(step < self.warmup_steps, line, after.rate(waited))


def finished(step: Tensor, steps: float, staircase: bool) -> Any:
    return rn.floor(step / steps) if staircase else step / steps


def cosine(top: float, done: Any, alpha: float, height: Any = 1.0) -> Any:
    """From ``top * height`` to ``top * alpha`` along half a cosine, as ``done`` goes from 0 to 1."""
    return top * ((1.0 - alpha) * (0.5 * height * (1.0 + rn.cos(math.pi * done))) + alpha)
