"""What all optimizers share: clipping, weight decay, state, and the step of an explicit loop."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np

from ranvier import tape
from ranvier.by_name import held
from ranvier.entries import Function, intern
from ranvier.graph.node import Node, apply, like
from ranvier.modes import get_dtype
from ranvier.module.names import Told
from ranvier.numeric import equal, floor_divide
from ranvier.optimizers import schedules
from ranvier.optimizers.nodes import Slots, Updated, chosen, scaled, shrink, sqrt, squares, toward
from ranvier.optimizers.recorded import Recorded
from ranvier.optimizers.schedules import LearningRateSchedule
from ranvier.optimizers.settings import Rate, as_rate, follow, number, whole
from ranvier.optimizers.treatment import Excluded, Treatment
from ranvier.tensor import Tensor

# State that decays toward zero (the momentum of a dead input) would spend its last thousands of steps as denormals,
# which some processors compute a hundred times slower. Below these it is nothing next to epsilon: it becomes zero.
_TINY = {"float32": 1e-30, "float64": 1e-290}

SUM, AVERAGE = "gradient_sum", "moving_average"  # slots that any rule may have besides its own
COUNTS = {
    "ema_overwrite_frequency": 1,
    "gradient_accumulation_steps": 2,
}  # settings, and the least that they may be
UNCHECKED = ("formula", "learning_rate", "name", "loss_scale_factor")


@dataclass(eq=False, repr=False)
class Optimizer(Told):
    """What all optimizers share: clipping, weight decay, state, and the step of an explicit loop.

    ``weight_decay`` shrinks each parameter by ``learning_rate * weight_decay`` of itself before the step, or with
    ``coupled=True`` is added to the gradient (PyTorch's L2 penalty). At most one may be given of ``clipnorm`` (each
    gradient's norm), ``global_clipnorm`` (the norm of all together) and ``clipvalue`` (each element). ``maximize`` goes
    uphill.

    ``learning_rate`` is a number, or a schedule (`ranvier.optimizers.schedules`), which makes it from the count of
    steps within the step's program. Either may be set at any time. Another number compiles nothing anew, another
    schedule does.

    With ``use_ema`` the moving average of the weights is kept beside them, ``ema_momentum`` of it staying at each step:
    it takes their place at the end of `fit` (`finalize_variable_values`), and every ``ema_overwrite_frequency`` steps.
    ``gradient_accumulation_steps`` makes one step of the mean gradient of so many batches, which
    ``iterations`` counts.
    """

    learning_rate: Any = 0.01  # a float or a LearningRateSchedule, once set
    _: KW_ONLY
    weight_decay: float | None = None
    clipnorm: float | None = None
    clipvalue: float | None = None
    global_clipnorm: float | None = None
    coupled: bool = False
    maximize: bool = False
    formula: str = "keras"
    name: str | None = None
    use_ema: bool = False
    ema_momentum: float = 0.99
    ema_overwrite_frequency: int | None = None
    gradient_accumulation_steps: int | None = None
    loss_scale_factor: float | None = None

    lasting: ClassVar[frozenset[str]] = frozenset()  # slots that do not decay
    scalar: ClassVar[frozenset[str]] = frozenset()  # slots that hold one number for each parameter
    variable: ClassVar[frozenset[str]] = frozenset()  # settings that `vary` takes: numbers or nodes

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in COUNTS and value is not None:
                setattr(self, field.name, whole(type(self).__name__, field.name, value, COUNTS[field.name]))
            elif not (isinstance(value, bool) or value is None or field.name in UNCHECKED):
                setattr(self, field.name, number(type(self).__name__, field.name, value))
        kind = type(self).__name__
        clips = [n for n in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, n) is not None]
        if len(clips) > 1:
            raise ValueError(f"{kind} was given {' and '.join(clips)}. Write only one of them instead.")
        if self.loss_scale_factor is not None:
            raise ValueError(
                f"{kind}(loss_scale_factor={self.loss_scale_factor!r}): gradients are float32 or float64, in which "
                "small ones do not vanish. Leave it out instead."
            )
        if self.name is None:
            self.name = kind.lower()
        if self.formula not in ("keras", "torch"):
            raise ValueError(f"formula {self.formula!r} does not exist. Write 'keras' or 'torch' instead.")
        self.parameters: list[Tensor] = []
        self.slots: list[dict[str, Tensor]] = []
        self.iterations: Tensor = Tensor(np.zeros((), np.uint32))
        self._excluded = Excluded()
        self._varied: dict[str, Tensor] = {}  # settings that are inputs of the program
        self.sync: Callable[[], None] | None = (
            None  # takes over what was set elsewhere: in groups of parameters
        )

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "learning_rate":
            value = as_rate(type(self).__name__, value)
            value = Rate.of(value, self) if isinstance(value, float) else value
        object.__setattr__(self, name, value)

    def __copy__(self) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        if isinstance(self.learning_rate, float):
            twin.learning_rate = float(self.learning_rate)  # which knows whose it is
        return twin

    def __repr__(self) -> str:
        kept = type(self).__name__.lower(), self.name
        changed = [f for f in fields(self) if getattr(self, f.name) != f.default or f.name == "learning_rate"]
        changed = [f for f in changed if f.name != "name" or kept[0] != kept[1]]
        return f"{type(self).__name__}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in changed)})"

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: float(v) if isinstance(v, Rate) else v for name, v in values.items()}

    def fresh(self) -> Optimizer:
        """An optimizer with the same settings that has trained nothing yet."""
        twin = self._with({"parameters": [], "slots": [], "_varied": {}, "sync": None})
        twin.iterations = Tensor(np.zeros((), np.uint32))
        return twin

    @property
    def torch(self) -> bool:
        return self.formula == "torch"

    # --- the learning rate ----------------------------------------------------------------------------------------

    @property
    def schedule(self) -> LearningRateSchedule | None:
        """The schedule that makes the learning rate, None where it is a number."""
        return self.learning_rate if isinstance(self.learning_rate, LearningRateSchedule) else None

    def current_rate(self, back: int = 0) -> float:
        """The learning rate of the next step, as a number; or of what was the next one ``back`` steps ago."""
        if self.sync is not None:
            self.sync()
        rate = self.learning_rate
        if isinstance(rate, float):
            return float(rate)
        return float(rate.at((self.iterations.item() - back) // (self.gradient_accumulation_steps or 1)))

    def set_rate(self, rate: float, who: str = "this") -> None:
        """Set the learning rate to a number. Raises TypeError where a schedule makes it, which would be lost.

        ``who`` is named in the error: a callback, say. Whoever means to end a schedule writes ``learning_rate = 0.1``.
        """
        if self.schedule is not None:
            raise TypeError(
                f"{who} sets the learning rate, and here the schedule {self.schedule} makes it. Write "
                f"{type(self).__name__}({self.current_rate():g}), or leave {who} out, instead."
            )
        self.learning_rate = rate

    def program_key(self) -> tuple[Any, ...]:
        """What the program of a step depends on: all settings but the numbers that are inputs of it."""
        if self.sync is not None:
            self.sync()
        inputs = self.inputs()
        kind: Any = type(self)
        names = [name for name in _settings(kind) if name not in inputs]
        return (type(self), self.schedule, *inputs, *names, *(getattr(self, name) for name in names))

    def inputs(self) -> dict[str, Tensor]:
        """The settings that `vary` made inputs of the program, set to what they are now."""
        return {name: follow(leaf, getattr(self, name)) for name, leaf in self._varied.items()}

    # --- the rule, on nodes ---------------------------------------------------------------------------------------

    @property
    def slot_starts(self) -> dict[str, float]:
        """The state that each parameter has: the names of the slots, and what they hold before the first step."""
        return {}

    @property
    def all_starts(self) -> dict[str, float]:
        """The same, with what every rule may be given besides: the sum of gradients, and the weights' average."""
        sums = {SUM: 0.0} if self.gradient_accumulation_steps else {}
        return {**self.slot_starts, **sums, **({AVERAGE: 0.0} if self.use_ema else {})}

    @property
    def slot_names(self) -> tuple[str, ...]:
        return tuple(self.all_starts)

    @property
    def variables(self) -> list[Tensor]:
        """The count of steps, and the state of each parameter."""
        return [self.iterations, *(slot for slots in self.slots for slot in slots.values())]

    def rule(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        """The new parameter and slots, from the gradient ``g``; ``lr`` and ``t`` (1 at the first step) are scalars."""
        raise NotImplementedError

    def update(
        self,
        params: Sequence[Node],
        grads: Sequence[Node],
        slots: Sequence[Slots],
        lr: Node,
        count: Node,
        varied: Mapping[str, Node] | None = None,
        treatments: Sequence[Treatment] = (),
    ) -> tuple[list[Node], list[Slots], Node]:
        """New parameters, slots and step count of one whole step; ``count`` (uint32) is that of the steps before.

        ``lr`` is not read where a schedule makes the rate; ``varied`` are settings that are inputs of the program;
        ``treatments`` are those of the parameters, where some has one of its own.
        """
        treatments = treatments or [Treatment()] * len(params)
        batches = count + like(count, 1)
        every, due = self.gradient_accumulation_steps, None
        if every:
            count = floor_divide(count, every)
            due = equal(batches, (count + like(count, 1)) * like(count, every))
            grads = [s[SUM] + g for s, g in zip(slots, grads, strict=True)]
        if self.schedule is not None:
            lr = self.schedule.node(count, schedules.base.WIDE)
        before, count = count, count + like(count, 1)
        results = []
        means = [scaled(g, 1 / every) for g in grads] if every else grads
        for old, total, g, s, own in zip(params, grads, self.clip(means), slots, treatments, strict=True):
            p = old
            rate, t = (apply("cast", x, dtype=p.dtype) for x in (lr, count))
            if self.maximize:
                g = -g
            if self.weight_decay and own.decays and self.coupled:
                g = g + scaled(p, self.weight_decay)
            elif self.weight_decay and own.decays:
                p = p - scaled(p, scaled(rate, self.weight_decay))
            settings = {name: apply("cast", x, dtype=p.dtype) for name, x in (varied or {}).items()}
            p, new = (self._with(settings) if settings else self).rule(p, g, s, rate, t)
            if due is not None:
                p, new = chosen(due, p, old), {n: chosen(due, x, s[n]) for n, x in new.items()}
                new[SUM] = chosen(due, like(total, 0.0), total)
            if self.use_ema:
                p, new[AVERAGE] = self.averaged(p, s[AVERAGE], before)
            results.append((own.finish(p), new))
        after = [{n: self.snap(n, x) for n, x in s.items()} for _, s in results]
        return [p for p, _ in results], after, batches

    def averaged(self, p: Node, average: Node, before: Node) -> tuple[Node, Node]:
        """A parameter, perhaps overwritten, and its moving average, which begins as the parameter."""
        average = chosen(equal(before, 0), p, toward(average, p, 1.0 - self.ema_momentum))
        often = self.ema_overwrite_frequency
        if often:
            count = before + like(before, 1)
            p = chosen(equal(count, floor_divide(count, often) * like(count, often)), average, p)
        return p, average

    def finalize_variable_values(self, var_list: Iterable[Tensor] | None = None) -> None:
        """Let the moving averages take the place of the parameters, or of these; nothing without ``use_ema``.

        `fit` does so at its end, as Keras's does.
        """
        if not self.use_ema or not self.iterations.item():
            return
        wanted = None if var_list is None else {id(v) for v in var_list}
        for parameter, slots in zip(self.parameters, self.slots, strict=True):
            if parameter.requires_grad and (wanted is None or id(parameter) in wanted):
                parameter.assign(slots[AVERAGE].numpy())

    def _with(self, settings: Mapping[str, Any]) -> Optimizer:
        twin = copy.copy(self)
        twin.__dict__.update(settings)
        return twin

    def exclude_from_weight_decay(
        self, var_list: Iterable[Tensor] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Leave parameters out of the weight decay: these, and those whose name one of ``var_names`` is found in.

        ``["bias", "gamma", "beta"]`` leaves out all biases and what normalization scales and shifts by.
        """
        self._excluded = Excluded(var_list or (), var_names or ())

    def treatments(self, parameters: Sequence[Tensor]) -> tuple[Treatment, ...]:
        """What each of these parameters asks for; nothing at all where none asks for anything."""
        constraints = [getattr(p, "constraint", None) for p in parameters]
        if not self._excluded and not any(constraints):
            return ()
        return tuple(
            Treatment(
                p not in self._excluded, constraint, held=() if constraint is None else held(constraint)
            )
            for p, constraint in zip(parameters, constraints, strict=True)
        )

    def clip(self, grads: Sequence[Node]) -> Sequence[Node]:
        if self.clipvalue is not None:
            low, high = -self.clipvalue, self.clipvalue
            return [apply("minimum", apply("maximum", g, like(g, low)), like(g, high)) for g in grads]
        if self.clipnorm is not None:
            return [scaled(g, shrink(sqrt(squares(g)), self.clipnorm)) for g in grads]
        if self.global_clipnorm is not None and grads:
            total = squares(grads[0])
            for g in grads[1:]:
                total = total + squares(g)
            return [scaled(g, shrink(sqrt(total), self.global_clipnorm)) for g in grads]
        return grads

    def snap(self, name: str, x: Node) -> Node:
        if name in self.lasting or name in self.scalar or name == AVERAGE:
            return x
        small = apply("less", apply("abs", x), like(x, _TINY[x.dtype]))
        return apply("select", small, like(x, 0.0), x)

    # --- state and the explicit loop ------------------------------------------------------------------------------

    def attach(self, parameters: Iterable[Tensor]) -> Optimizer:
        """Make (or keep) the state for these parameters, which ``step`` then updates. Returns the optimizer.

        Raises ValueError for none, or when the optimizer already belongs to other parameters.
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
        self.parameters = given
        self._excluded = self._excluded.among(given)
        self.slots = [{n: self._slot(n, start, p) for n, start in self.all_starts.items()} for p in given]
        self._rate = Tensor(np.zeros((), get_dtype()))
        kind: Any = type(self)
        self._settings = list(_settings(kind))
        return self

    def _slot(self, name: str, start: float, parameter: Tensor) -> Tensor:
        if name in self.scalar:
            return Tensor.wrap(np.full((), start, parameter.dtype))
        return Tensor.wrap(np.full_like(parameter.compute(), start))  # in the parameter's memory order

    def rate(self) -> Tensor:
        """The learning rate as a leaf of programs, set to what ``learning_rate`` is now; unused with a schedule."""
        rate = self.learning_rate
        return follow(self._rate, rate) if isinstance(rate, float) else self._rate

    def vary(self, name: str, value: float) -> None:
        """Set a setting of `variable` that will change again: from here on it is an input of the step's program, as the
        learning rate is, so that one more program is compiled and none after.
        """
        if name not in self.variable:
            raise ValueError(
                f"{type(self).__name__} has no setting {name!r} that varies. It has {sorted(self.variable)}."
            )
        value = number(type(self).__name__, name, value)
        if self.parameters and name not in self._varied:
            self._varied[name] = Tensor(np.asarray(value, get_dtype()))
            self._settings.remove(name)
            starts = self.all_starts  # momentum has state where it varies, whatever it is now
            self.slots = [
                {n: old[n] if n in old else self._slot(n, start, p) for n, start in starts.items()}
                for p, old in zip(self.parameters, self.slots, strict=True)
            ]
        setattr(self, name, value)

    @property
    def varied(self) -> tuple[str, ...]:
        """The settings that `vary` made inputs of the program."""
        return tuple(self._varied)

    def uses(self, name: str) -> bool:
        """Whether a setting is other than 0, or may become so."""
        return name in self._varied or bool(getattr(self, name))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters:
            p.grad = None if set_to_none or p.grad is None else Tensor.wrap(np.zeros(p.shape, p.dtype))

    def step(self) -> None:
        """Update every parameter that has a gradient, together with all that is pending, as one program."""
        segment = self.record()
        if segment is not None:
            tape.flush(segment)

    def record(self) -> tape.Segment | None:
        """Record the step without running it; returns the segment of the tape, None where nothing has a gradient."""
        if not self.parameters:
            raise RuntimeError(
                f"{type(self).__name__}.step() before attach(parameters): there is nothing to update."
            )
        chosen = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        if not chosen:
            return None
        params = [self.parameters[i] for i in chosen]
        state = [slot for i in chosen for slot in self.slots[i].values()]
        targets = [*params, *state, self.iterations]
        operands: list[Any] = [*(p.grad for p in params), *targets, self.rate(), *self.inputs().values()]
        segment = tape.segment_of(operands)
        children = tuple([x.entry if x.entry is not None else segment.leaf(x) for x in operands])
        entries = intern(self._function(self.treatments(params), len(params)), children, (), False)
        ordinals, assigns = segment.ordinals, segment.assigns
        for target, entry in zip(targets, entries, strict=True):  # Segment.assign, of leaves that are known
            assigns[ordinals[id(target)]] = entry
            target.segment = segment
        return segment

    def _function(self, treatments: tuple[Treatment, ...], n: int) -> Function:
        key = (
            type(self),
            n,
            treatments,
            self.schedule,
            *self._varied,
            *[getattr(self, name) for name in self._settings],
        )
        known = _FUNCTIONS.get(key)
        if known is None:
            known = _FUNCTIONS[key] = Function(type(self).__name__, Recorded(copy.copy(self), n, treatments))
        return known

    def state(self) -> dict[str, Any]:
        """The state as arrays: ``"iterations"`` and ``"0.momentum"`` for each parameter's number and slot."""
        named = {f"{i}.{name}": slot for i, slots in enumerate(self.slots) for name, slot in slots.items()}
        return {name: tensor.numpy() for name, tensor in {"iterations": self.iterations, **named}.items()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave. Raises ValueError naming every array that is missing, extra or misshapen."""
        named = {f"{i}.{name}": slot for i, slots in enumerate(self.slots) for name, slot in slots.items()}
        named["iterations"] = self.iterations
        wrong = [f"{n} is missing" for n in sorted(named.keys() - state.keys())]
        wrong += [f"{n} is unknown" for n in sorted(state.keys() - named.keys())]
        wrong += [
            f"{n} has shape {np.shape(state[n])} instead of {t.shape}"
            for n, t in named.items()
            if n in state and np.shape(state[n]) != t.shape
        ]
        if wrong:
            raise ValueError(f"the state does not fit this {type(self).__name__}: {'; '.join(wrong)}.")
        for name, tensor in named.items():
            tensor.assign(np.asarray(state[name]))


_FUNCTIONS: dict[Any, Function] = {}


@functools.cache
def _settings(kind: Any) -> tuple[str, ...]:
    """The names of an optimizer's settings but the learning rate; they are asked for between every two epochs."""
    return tuple(field.name for field in fields(kind) if field.name not in ("learning_rate", "name"))
