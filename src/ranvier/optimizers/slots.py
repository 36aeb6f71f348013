"""The parameters that an optimizer updates, and the state (slots) of each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Self

import numpy as np

from ranvier.graph.dtypes import as_array
from ranvier.optimizers.counts import STEP, Counts
from ranvier.optimizers.parameter_options import DecayExclusions, ParameterOptions
from ranvier.optimizers.schedules import LearningRateSchedule
from ranvier.optimizers.settings import follow, number
from ranvier.support.aligned_memory import aligned_like
from ranvier.support.registry import object_key
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tensor import Tensor

SUM, AVERAGE = "gradient_sum", "moving_average"  # slots that any rule may have besides its own


class StepCount(Tensor):
    """The number of steps of a group of parameters, which each step changes."""

    __slots__ = ()


class ParameterState:
    """The state of an optimizer: its parameters, and the slots of each."""

    scalar: ClassVar[frozenset[str]] = frozenset()  # slots that hold one number for each parameter
    copied: ClassVar[frozenset[str]] = frozenset()  # slots that begin as the parameter's value
    chooses_slots: ClassVar[bool]  # whether the class overrides `slots_of`
    variable: ClassVar[frozenset[str]] = frozenset()  # settings that `vary` takes: numbers or nodes
    learning_rate: Any  # `Optimizer` has these settings
    formula: str
    use_ema: bool
    gradient_accumulation_steps: int | None
    _excluded: DecayExclusions

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.chooses_slots = cls.slots_of is not ParameterState.slots_of

    def reset(self) -> None:
        """Forget all parameters and their state."""
        self.parameters: list[Tensor] = []
        self.slots: list[dict[str, Tensor]] = []
        self.iterations: Tensor = StepCount(np.zeros((), np.uint32))
        self.counts = Counts(self.iterations)
        self._varied: dict[str, Tensor] = {}  # settings that are inputs of the program
        # Called before a step, to synchronize with settings stored elsewhere: PyTorch's groups.
        self.sync: Callable[[], None] | None = None

    # --- what the settings decide ---------------------------------------------------------------------------------

    @property
    def slot_starts(self) -> dict[str, float]:
        """The state of each parameter: the names of its slots, and their values before the first step."""
        return {}

    @property
    def slot_shapes(self) -> Mapping[str, Callable[[tuple[int, ...]], tuple[int, ...]]]:
        """The shape of a slot, from that of its parameter, for slots that have another than the parameter."""
        return {}

    def slots_of(self, parameter: Tensor) -> dict[str, float]:
        """`slot_starts` of one parameter. A rule that depends on a parameter's rank or name overrides this."""
        del parameter
        return self.slot_starts

    def starts_of(self, parameter: Tensor) -> dict[str, float]:
        """`slots_of` and the slots that settings of any rule add: accumulated gradients, averaged weights."""
        sums = {SUM: 0.0} if self.gradient_accumulation_steps else {}
        return {**self.slots_of(parameter), **sums, **({AVERAGE: 0.0} if self.use_ema else {})}

    @property
    def torch(self) -> bool:
        return self.formula == "torch"

    @property
    def reads_count(self) -> bool:
        """Whether the rule reads the number of steps."""
        return True

    @property
    def counting(self) -> bool:
        """Whether the rule reads the number of steps of each parameter, as PyTorch's do."""
        return self.torch and self.reads_count and not self.gradient_accumulation_steps

    @property
    def schedule(self) -> LearningRateSchedule | None:
        """The schedule that computes the learning rate, None if it is a number."""
        return self.learning_rate if isinstance(self.learning_rate, LearningRateSchedule) else None

    def parameter_options(self, parameters: Sequence[Tensor]) -> tuple[ParameterOptions, ...]:
        """The options of each of these parameters; empty if none has any."""
        constraints = [getattr(p, "constraint", None) for p in parameters]
        if not self._excluded and not any(constraints) and not self.chooses_slots:
            return ()
        return tuple(
            ParameterOptions(
                p not in self._excluded,
                constraint,
                key=() if constraint is None else object_key(constraint),
                slots=tuple(self.slots_of(p)) if self.chooses_slots else (),
            )
            for p, constraint in zip(parameters, constraints, strict=True)
        )

    # --- state ----------------------------------------------------------------------------------------------------

    def attach(self, parameters: Iterable[Tensor]) -> Self:
        """Create the state of these parameters, which ``step`` then updates, or keep it. Returns the optimizer.

        Raises ValueError for no parameters, and if the optimizer already has others.
        """
        given = list(parameters)
        if not given:
            raise ValueError(
                f"{type(self).__name__} got no parameters. Write model.parameters() of a built model instead."
            )
        if self.parameters:
            if len(given) != len(self.parameters) or any(
                a is not b for a, b in zip(given, self.parameters, strict=True)
            ):
                raise ValueError(
                    f"this {type(self).__name__} already trains {len(self.parameters)} other parameters and holds "
                    "their state. Write a new optimizer for this model instead."
                )
            return self
        self._excluded = self._excluded.resolve(given)
        self.set_parameters(given)
        self._rate = Tensor(np.zeros((), get_dtype()))
        kind: Any = type(self)
        self._settings = list(settings_of(kind))
        return self

    def build(self, variables: Iterable[Tensor]) -> None:
        """`attach` under Keras's name."""
        self.attach(variables)

    def set_parameters(self, parameters: Sequence[Tensor]) -> None:
        """Replace the parameters. Parameters that stay keep their state."""
        places = {id(p): i for i, p in enumerate(self.parameters)}
        before = [places.get(id(p)) for p in parameters]
        steps = [0 if i is None else self.steps_of(i) for i in before]
        held = [{} if i is None else self.slots[i] for i in before]
        if self.parameters:
            self.counts.assign(steps if self.counting else ())
        self.parameters, self.slots = list(parameters), held
        self.update_slots()

    def update_slots(self) -> None:
        """Add the slots that the settings need to each parameter, and remove the others.

        Slots of a parameter that was empty, as those of PyTorch's lazy modules are, are made again.
        """
        self.slots = [
            {n: old[n] if n in old and old[n].numel() else self.new_slot(n, p) for n in self.starts_of(p)}
            for p, old in zip(self.parameters, self.slots, strict=True)
        ]

    def steps_of(self, number: int) -> int:
        """The number of steps of a parameter; that of the group if the rule does not count by parameter."""
        return self.counts.steps_of(number)

    def set_steps(self, numbers: Iterable[int], steps: Iterable[int]) -> None:
        """Set the numbers of steps of parameters, if the rule counts by parameter."""
        if self.counting:
            known = [self.steps_of(i) for i in range(len(self.parameters))]
            for number, n in zip(numbers, steps, strict=True):
                known[number] = n
            self.counts.assign(known)

    def new_slot(self, name: str, parameter: Tensor) -> Tensor:
        """A slot of a parameter as it is before the first step."""
        value = as_array(self.starts_of(parameter)[name], parameter.dtype)
        if name in self.scalar:
            return Tensor.wrap(np.array(value))
        if name in self.slot_shapes:
            return Tensor.wrap(np.full(self.slot_shapes[name](parameter.shape), value))
        array = aligned_like(parameter.compute())  # in the parameter's memory order
        if name in self.copied:
            array[...] = parameter.compute()
        else:
            array.fill(value)
        return Tensor.wrap(array)

    def rate(self) -> Tensor:
        """The learning rate as an input of programs, set to the current ``learning_rate``; unused with a schedule."""
        rate = self.learning_rate
        return follow(self._rate, rate) if isinstance(rate, float) else self._rate

    @property
    def variables(self) -> list[Tensor]:
        """The number of steps, and the state of each parameter."""
        return [self.iterations, *(slot for slots in self.slots for slot in slots.values())]

    def state(self) -> dict[str, Any]:
        """The state as arrays: ``"iterations"``, and ``"0.momentum"`` for the slot of parameter 0.

        Parameters that were not updated in every step have ``"0.step"`` too.
        """
        named = {f"{i}.{name}": slot for i, slots in enumerate(self.slots) for name, slot in slots.items()}
        named |= self.counts.state()
        return {name: np.array(tensor) for name, tensor in {"iterations": self.iterations, **named}.items()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned. Raises ValueError naming every array that is missing, unknown or misshapen."""
        named = {f"{i}.{name}": slot for i, slots in enumerate(self.slots) for name, slot in slots.items()}
        named["iterations"] = self.iterations
        steps = {f"{i}.{STEP}" for i in range(len(self.parameters))}
        wrong = [f"{n} is missing" for n in sorted(named.keys() - state.keys())]
        wrong += [f"{n} is unknown" for n in sorted(state.keys() - named.keys() - steps)]
        wrong += [
            f"{n} has shape {np.shape(state[n])} instead of {t.shape}"
            for n, t in named.items()
            if n in state and np.shape(state[n]) != t.shape
        ]
        if wrong:
            raise ValueError(f"the state does not fit this {type(self).__name__}: {'; '.join(wrong)}.")
        for name, tensor in named.items():
            tensor.assign(np.asarray(state[name]))
        self.counts.set_state(state, len(self.parameters))

    # --- settings that are inputs of the program -----------------------------------------------------------------

    def vary(self, name: str, value: float) -> None:
        """Set one of the settings in `variable`, and make it an input of the step's program, as the learning rate is.

        One more program is compiled the first time, and none for later values.
        """
        if name not in self.variable:
            raise ValueError(
                f"{type(self).__name__} has no setting {name!r} that varies. It has {sorted(self.variable)}."
            )
        value = number(type(self).__name__, name, value)
        if self.parameters and name not in self._varied:
            self._varied[name] = Tensor(np.asarray(value, get_dtype()))
            self._settings.remove(name)
            self.update_slots()  # a momentum that varies needs its slot, even if it is 0 now
        setattr(self, name, value)

    @property
    def varied(self) -> tuple[str, ...]:
        """The settings that `vary` made inputs of the program."""
        return tuple(self._varied)

    def uses(self, name: str) -> bool:
        """Whether a setting is not 0, or may become so."""
        return name in self._varied or bool(getattr(self, name))

    def inputs(self) -> dict[str, Tensor]:
        """The settings that `vary` made inputs of the program, set to their current values."""
        return {name: follow(leaf, getattr(self, name)) for name, leaf in self._varied.items()}


@functools.cache
def settings_of(kind: Any) -> tuple[str, ...]:
    """The names of an optimizer's settings except the learning rate; cached, since each epoch reads them."""
    return tuple(field.name for field in fields(kind) if field.name not in ("learning_rate", "name"))
