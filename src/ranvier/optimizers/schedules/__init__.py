"""Learning rates that change from step to step: Keras 3's schedules, and StepDecay, OneCycle, WarmUp and Constant.

A schedule is graph: it is part of the step's program, which counts the steps itself, so it costs no call of Python and
no new program. It is computed in double precision from the exact count of steps, a whole number up to 2**32 - 1, and
rounded once to the dtype of the weights. (In float32 a count of steps is exact up to 2**24 only.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ranvier.optimizers.schedules.base import LearningRateSchedule, lasting
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
from ranvier.support.custom_objects import UnknownNameError, configuration, find, name_of
from ranvier.support.errors import likely, missing, nearest

__all__ = [
    "Constant", "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "LearningRateSchedule",
    "OneCycle", "PiecewiseConstantDecay", "PolynomialDecay", "StepDecay", "WarmUp", "describe", "deserialize", "get",
    "serialize",
]  # fmt: skip

CLASSES: dict[str, type[LearningRateSchedule]] = {
    c.__name__: c
    for c in (
        Constant, CosineDecay, CosineDecayRestarts, ExponentialDecay, InverseTimeDecay, OneCycle,
        PiecewiseConstantDecay, PolynomialDecay, StepDecay, WarmUp,
    )
}  # fmt: skip


DEEPEST = 16  # schedules within schedules; a hostile file must not reach Python's recursion limit


def get(schedule: Any, depth: int = 0) -> LearningRateSchedule:
    """A schedule from itself, from a number, or from ``{"class_name": ..., "config": {...}}``.

    Classes are those of this module, and those of the user's that are registered or given. Raises ValueError naming the
    nearest that exists, UnknownNameError for a registered one that is not there, TypeError for anything else.
    """
    if isinstance(schedule, LearningRateSchedule):
        return lasting(schedule)
    if isinstance(schedule, dict) and "class_name" in schedule:
        kind, config = class_of(str(schedule["class_name"])), schedule.get("config", {})
        if depth > DEEPEST:
            raise ValueError(f"schedules stand within schedules, more than {DEEPEST} deep.")
        known = kind in CLASSES.values()
        return lasting(made(kind, config, depth) if known else kind.from_config(config))
    if isinstance(schedule, type) and issubclass(schedule, LearningRateSchedule):
        name = schedule.__name__
        raise TypeError(f"{name} is a class. Write {name}(...), with its arguments, instead.")
    if isinstance(schedule, str) or schedule is None:
        near = likely(schedule, CLASSES) if schedule else None
        fix = "a number, or one such as CosineDecay(0.01, 1000)," if near is None else f"{near}(...)"
        raise TypeError(f"{schedule!r} is no schedule. Write {fix} instead.")
    return Constant(schedule)


def class_of(name: str) -> type[LearningRateSchedule]:
    """The schedule of a name: one of these, or a class of the user's that is registered or given.

    Raises UnknownNameError where a registered one is not there, ValueError for any other name.
    """
    kind = CLASSES.get(name) or find(name)
    if isinstance(kind, type) and issubclass(kind, LearningRateSchedule):
        return kind
    if kind is None and ">" in name:
        raise UnknownNameError(name)
    raise ValueError(f"schedule {name!r} does not exist. Write {nearest(name, CLASSES)!r} instead.")


def made(kind: type[Any], config: Mapping[str, Any], depth: int = 0) -> Any:
    """A schedule of this class from its arguments, among them schedules as `describe` writes them."""
    return kind(**{k: get(v, depth + 1) if isinstance(v, dict) else v for k, v in config.items()})


def describe(schedule: LearningRateSchedule) -> dict[str, Any]:
    """What `get` makes this schedule from again, in plain values.

    A class of yours is written by the name that it is registered by. Raises ValueError for one that has none, or whose
    ``get_config()`` lacks arguments of its constructor or holds what no file can.
    """
    kind, name = type(schedule), type(schedule).__name__
    if CLASSES.get(name) is kind:
        return {"class_name": name, "config": schedule.get_config()}
    registered = name_of(kind)
    if registered is None:
        raise ValueError(
            f"the schedule {name} is not one of Ranvier's, and a file holds no code: it cannot be saved. Write "
            "@rv.saving.register_keras_serializable() above the class."
        )
    what = (
        f"the schedule {name} cannot be saved. Write a get_config(self) that returns a dict of all arguments of its "
        "constructor, in plain values."
    )
    try:
        config = configuration(schedule, what)
        return {"class_name": registered, "config": json.loads(json.dumps(config))}
    except (NotImplementedError, TypeError) as error:  # no get_config of its own, or one of what is no JSON
        raise ValueError(what) from error


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """The same under Keras's name."""
    return describe(learning_rate_schedule)


def deserialize(config: Any) -> LearningRateSchedule:
    """A schedule from what `serialize` returned, or Keras's function of that name. Raises as `get` does."""
    if not isinstance(config, Mapping) or "class_name" not in config:
        raise TypeError(f"deserialize({config!r}): write what serialize(schedule) returned instead.")
    return get(dict(config))


__getattr__, __dir__ = missing(globals(), "ranvier.optimizers.schedules", __all__)
