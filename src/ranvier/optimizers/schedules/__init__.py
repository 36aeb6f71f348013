"""Learning rates that change from step to step: Keras 3's schedules, and StepDecay, OneCycle, WarmUp and Constant.

A schedule is part of the step's program, which counts the steps itself: a new rate needs neither Python nor a new
program. It is computed in double precision from the exact number of steps, up to 2**32 - 1, and rounded once to the
dtype of the weights. (float32 holds numbers of steps exactly only up to 2**24.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ranvier.optimizers.schedules.base import LearningRateSchedule, describe, get
from ranvier.optimizers.schedules.cycles import CosineDecayRestarts, OneCycle, WarmUp
from ranvier.optimizers.schedules.decays import (
    Constant,
    CosineDecay,
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
    StepDecay,
)
from ranvier.support.errors import missing

__all__ = [
    "Constant", "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "LearningRateSchedule",
    "OneCycle", "PiecewiseConstantDecay", "PolynomialDecay", "StepDecay", "WarmUp", "describe", "deserialize", "get",
    "serialize",
]  # fmt: skip


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """`describe` under Keras's name."""
    return describe(learning_rate_schedule)


def deserialize(config: Any) -> LearningRateSchedule:
    """A schedule from what `serialize` returned, or Keras's function of that name. Raises as `get` does."""
    if not isinstance(config, Mapping) or "class_name" not in config:
        raise TypeError(f"deserialize({config!r}): write what serialize(schedule) returned instead.")
    return get(dict(config))


__getattr__, __dir__ = missing("ranvier.optimizers.schedules", __all__)
