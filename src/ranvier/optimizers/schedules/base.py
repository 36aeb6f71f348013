"""The base of all schedules: the rate as graph and as a number, checks of settings, and tables in programs."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, fields, is_dataclass
from typing import Any, ClassVar, Self

import numpy as np

from ranvier.engines.reference import ReferenceProgram
from ranvier.graph.extents import symbol
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import Node, Type, apply, constant
from ranvier.graph.simplify import simplify
from ranvier.ops import arrays as rn
from ranvier.support.custom_objects import UnknownNameError, configuration, find, name_of
from ranvier.support.errors import likely, nearest
from ranvier.support.registry import Configured, Registry
from ranvier.tensor import tape, trace
from ranvier.tensor.call_state import isolated_tape
from ranvier.tensor.tensor import Tensor, leaves_of

WIDE = "float64"  # the dtype of rates: it holds every number of steps exactly


class LearningRateSchedule(Configured):
    """The learning rate as a function of the step, which is 0 for the first.

    To write your own, derive a class with ``rate(step)`` from it, written with tensor operations: ``step`` is a float64
    tensor, and the result has its shape. (You may also override ``__call__``, as in Keras.) Its attributes must not
    change once it is used; ``@dataclass(frozen=True)`` ensures that. Call a schedule with a number, or with an array of
    numbers, to get the rate there, computed by the reference engine.
    """

    def __repr__(self) -> str:
        # No address: a backup compares runs by this text.
        words = [f"{name}={short(value)}" for name, value in vars(self).items()]
        return f"{type(self).__name__}({', '.join(words)})"

    def rate(self, step: Tensor) -> Tensor:
        """The learning rate at ``step``, by tensor operations."""
        raise NotImplementedError(f"{type(self).__name__} has no method rate(self, step). Write one.")

    def node(self, count: Node, dtype: str, called: bool = True) -> Node:
        """The learning rate as graph, from the node that counts the steps before.

        ``called=False`` uses ``rate`` and not a subclass's ``__call__``. Raises TypeError if the rate is no tensor of
        the step's shape.
        """
        step = apply("cast", count, dtype=WIDE)
        with isolated_tape():
            given = Tensor.placeholder(Type(step.shape, WIDE))
            rate: Any = (self if called else self.rate)(given)
            if not isinstance(rate, Tensor) or rate.shape != given.shape:
                got = rate.spec if isinstance(rate, Tensor) else repr(rate)
                raise TypeError(
                    f"{type(self).__name__}.rate(step) gives {got}, and step is {given.spec}. Write a tensor "
                    "computed from step, such as 0.1 / (1 + step), instead."
                )
            segment = tape.segment_of([rate])
            node = segment.node_of(rate)
        leaves = {
            i: step if leaf is given else constant(leaf.compute(), leaf.dtype)
            for i, leaf in enumerate(leaves_of(segment))
        }
        return apply("cast", trace.lower([node], leaves)[0], dtype=dtype)

    def at(self, step: Any) -> Any:
        """The rate at a step as a float, or at each of an array of steps. Raises ValueError for a step below 0."""
        return self._at(step, True)

    def _at(self, step: Any, called: bool) -> Any:
        steps = np.asarray(step, WIDE)
        if not (steps >= 0).all():
            raise ValueError(f"{type(self).__name__} at step {step!r}: write a step of 0 or more instead.")
        flat = steps.reshape(-1) if steps.ndim else steps
        result = np.empty(flat.shape, WIDE)
        _program(self, flat.ndim, called).run([flat], [result])
        return result.reshape(steps.shape) if steps.ndim else result.item()

    def __call__(self, step: Any) -> Any:
        """The rate at a step, by ``rate``: a subclass's own ``__call__`` may change it."""
        if isinstance(step, Tensor) and trace.state.tracing:  # in a subclass's ``__call__``, while it is traced
            return self.rate(step)
        return self._at(step, False)

    def peak(self) -> float:
        """The largest of the rates at 400 steps spread over the first million."""
        return float(np.max(self.at(np.unique(np.geomspace(1, 1e6, 400).astype(np.int64)) - 1)))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments in plain values, as Keras's `from_config` takes them.

        Raises NotImplementedError for a class that is no dataclass and has no get_config of its own.
        """
        given: Any = self
        if not is_dataclass(given):
            raise NotImplementedError(
                f"{type(self).__name__} has no method get_config(self). Write one that returns a dict of the "
                "constructor's arguments, or @dataclass(frozen=True) above the class."
            )
        held = {f.name: getattr(self, f.name) for f in fields(given)}
        return {k: describe(v) if isinstance(v, LearningRateSchedule) else v for k, v in held.items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A schedule from what `get_config` returned, or Keras's class of the same name."""
        schedule: Self = made(cls, config)
        return schedule

    def __float__(self) -> float:
        """Raises TypeError: the rate depends on the step, which the optimizer counts."""
        raise TypeError(
            f"{type(self).__name__} has a different rate at each step. Write optimizer.current_rate() for that of the "
            "next step, or schedule(step), instead."
        )


def hashable(schedule: LearningRateSchedule) -> LearningRateSchedule:
    """The schedule, if it can be part of a program's key. Raises TypeError if its settings may change."""
    try:
        hash(schedule)
    except TypeError as error:
        raise TypeError(
            f"{type(schedule).__name__} has no hash ({error}), and programs are known by their schedules. Write "
            "@dataclass(frozen=True) above the class, and tuples for lists and arrays, instead."
        ) from None
    return schedule


@functools.lru_cache(256)
def _program(schedule: LearningRateSchedule, ndim: int, called: bool) -> ReferenceProgram:
    count = input_node("step", (symbol("steps"),) * ndim, WIDE)
    return ReferenceProgram(simplify(Graph((count,), (schedule.node(count, WIDE, called),))))


# --- by name and in files -----------------------------------------------------------------------------------------

REGISTRY = Registry("schedule", LearningRateSchedule, example="CosineDecay(0.01, 1000)")
DEEPEST = 16  # nested schedules; a hostile file must not reach Python's recursion limit


def get(schedule: Any, depth: int = 0) -> LearningRateSchedule:
    """A schedule from itself, from a number, or from ``{"class_name": ..., "config": {...}}``.

    Classes are those of this module, and your own that are registered or in a `custom_object_scope`. Raises ValueError
    naming the nearest name that exists, UnknownNameError for a registered name that is not there, TypeError for
    anything else.
    """
    if isinstance(schedule, LearningRateSchedule):
        return hashable(schedule)
    if isinstance(schedule, dict) and "class_name" in schedule:
        kind, config = class_of(str(schedule["class_name"])), schedule.get("config", {})
        if depth > DEEPEST:
            raise ValueError(f"schedules are nested more than {DEEPEST} deep.")
        known = kind in REGISTRY.classes.values()
        return hashable(made(kind, config, depth) if known else kind.from_config(config))
    if isinstance(schedule, type) and issubclass(schedule, LearningRateSchedule):
        name = schedule.__name__
        raise TypeError(f"{name} is a class. Write {name}(...), with its arguments, instead.")
    if isinstance(schedule, str) or schedule is None:
        near = likely(schedule, REGISTRY.classes) if schedule else None
        fix = "a number, or one such as CosineDecay(0.01, 1000)," if near is None else f"{near}(...)"
        raise TypeError(f"{schedule!r} is no schedule. Write {fix} instead.")
    constant: LearningRateSchedule = REGISTRY.find("Constant")(schedule)
    return constant


def class_of(name: str) -> type[LearningRateSchedule]:
    """The schedule class of a name: one of this module, or your own that is registered or in a scope.

    Raises UnknownNameError if a registered name is not there, ValueError for any other name.
    """
    kind = REGISTRY.classes.get(name) or find(name)
    if isinstance(kind, type) and issubclass(kind, LearningRateSchedule):
        return kind
    if kind is None and ">" in name:
        raise UnknownNameError(name)
    raise ValueError(f"schedule {name!r} does not exist. Write {nearest(name, REGISTRY.classes)!r} instead.")


def made(kind: type[Any], config: Mapping[str, Any], depth: int = 0) -> Any:
    """A schedule of this class from its arguments; schedules among them may be described."""
    return kind(**{k: get(v, depth + 1) if isinstance(v, dict) else v for k, v in config.items()})


def describe(schedule: LearningRateSchedule) -> dict[str, Any]:
    """What `get` makes this schedule from again, in plain values.

    Your own class is written by its registered name. Raises ValueError if it has none, or if its ``get_config()`` lacks
    arguments of its constructor or holds values that JSON cannot.
    """
    kind, name = type(schedule), type(schedule).__name__
    if REGISTRY.known(schedule):
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
    except (NotImplementedError, TypeError) as error:  # no get_config of its own, or values that JSON cannot hold
        raise ValueError(what) from error


# --- settings -----------------------------------------------------------------------------------------------------

Limit = tuple[Callable[[float], bool], str]
_ABOVE_ZERO: Limit = (lambda v: v > 0, "above 0")
_USUAL: Limit = (lambda v: v >= 0, "of 0 or more")
_LIMITS: dict[str, Limit] = {
    "decay_steps": _ABOVE_ZERO,
    "first_decay_steps": _ABOVE_ZERO,
    "steps": _ABOVE_ZERO,
    "div_factor": _ABOVE_ZERO,
    "final_div_factor": _ABOVE_ZERO,
    "t_mul": (lambda v: v >= 1, "of 1 or more"),
    "pct_start": (lambda v: 0 < v < 1, "between 0 and 1"),
    "alpha": (lambda v: 0 <= v <= 1, "from 0 to 1"),
}


def number(kind: str, name: str, value: Any) -> float:
    """A setting as a float. Raises TypeError for a value that is no number, ValueError for one out of bounds."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{kind}({name}={value!r}): this is a number. Write one, such as 0.1, instead.")
    fits, words = _LIMITS.get(name, _USUAL)
    if not (math.isfinite(value) and fits(float(value))):
        raise ValueError(f"{kind}({name}={value!r}): write a finite number {words} instead.")
    return float(value)


class Settings(LearningRateSchedule):
    """Checks the fields of a dataclass, and stores them as floats and tuples of floats."""

    choices: ClassVar[dict[str, tuple[str, ...]]] = {}

    def __repr__(self) -> str:
        changed = [f for f in fields(self) if f.compare and getattr(self, f.name) != f.default]  # type: ignore[arg-type]
        words = [f"{f.name}={short(getattr(self, f.name))}" for f in changed]
        return f"{type(self).__name__}({', '.join(words)})"

    def __post_init__(self) -> None:
        kind = type(self).__name__
        for f in fields(self):  # type: ignore[arg-type]  # only dataclasses derive from this
            value = getattr(self, f.name)
            if f.name in self.choices:
                if value not in self.choices[f.name]:
                    words = " or ".join(map(repr, self.choices[f.name]))
                    raise ValueError(f"{kind}({f.name}={value!r}): write {words} instead.")
            elif f.type in ("float", "float | None") and value is not None:
                object.__setattr__(self, f.name, number(kind, f.name, value))
            elif f.type == "tuple[float, ...]":
                if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
                    raise TypeError(f"{kind}({f.name}={value!r}): write a list of numbers instead.")
                object.__setattr__(self, f.name, tuple(number(kind, f.name, v) for v in value))


def short(value: Any) -> str:
    """A setting as you would write it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(short, value))}]"
    return repr(int(value) if isinstance(value, float) and value.is_integer() and value < 1e15 else value)


def named(default: str) -> Any:
    """Keras's argument ``name``, which is stored and does not affect equality."""
    return field(default=default, compare=False, repr=False)


# --- tables in programs -------------------------------------------------------------------------------------------


def passed(boundaries: Sequence[float], step: Tensor, compare: Callable[..., Any]) -> Any:
    """The number of rising boundaries that the step has passed; ``compare`` is ``rn.less`` or ``rn.less_equal``."""
    return rn.sum(rn.cast(compare(table(boundaries), rn.expand_dims(step, -1)), "int32"), axis=-1)


def look_up(values: Sequence[float], index: Any) -> Any:
    return rn.take(table(values), index)


def table(values: Sequence[float]) -> Tensor:
    return Tensor.wrap(np.asarray(values, WIDE))
