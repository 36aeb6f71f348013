"""What all optimizers share: settings, and the update of a whole step as graph."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any, ClassVar, Self

from ranvier.graph.node import Node, apply, like
from ranvier.graph.tiny import snapped
from ranvier.ops.arrays import equal, floor_divide
from ranvier.ops.arrays.promotion import as_node, together, total_of
from ranvier.optimizers import schedules
from ranvier.optimizers.arithmetic import Slots, Updated, chosen, scaled, shrink, sqrt, squares, toward
from ranvier.optimizers.explicit_step import ExplicitLoop
from ranvier.optimizers.parameter_options import Excluded, Treatment
from ranvier.optimizers.schedules import LearningRateSchedule
from ranvier.optimizers.settings import Rate, as_rate, setting, types_of
from ranvier.optimizers.slots import settings_of
from ranvier.support.errors import KEYWORDS
from ranvier.support.registry import Configured, held
from ranvier.tensor.tensor import Tensor

SUM, AVERAGE = "gradient_sum", "moving_average"  # slots that any rule may have besides its own
CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")
_RULE = (
    "Write rule(self, p, g, slots, lr, t), which returns the new parameter and a dict of its slots, all of them nodes "
    "of the step's graph, and slot_starts, a dict of what each slot begins as (see optimizers.Adam),"
)
UNCALLED = dict.fromkeys(
    ("update_step", "build", "apply", "apply_gradients", "step"), _RULE
)  # what `fit` never calls


@dataclass(eq=False, repr=False)
class Optimizer(ExplicitLoop, Configured):
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
    _hints: ClassVar[Mapping[str, str]] = {
        "decay": "Write learning_rate=rv.optimizers.schedules.InverseTimeDecay(rate, 1, decay) instead: it divides the "
        "rate by 1 + decay * steps."
    }

    def __post_init__(self) -> None:
        self.refuse_own(name for name in UNCALLED if not hasattr(Optimizer, name))
        if self.name is None:
            self.name = type(self).__name__.lower()
        self._excluded = Excluded()
        self.begin()

    def __setattr__(self, name: str, value: Any) -> None:
        kind: Any = type(self)
        types = types_of(kind)
        if name == "learning_rate":
            value = as_rate(kind.__name__, value)
            value = Rate.of(value, self) if isinstance(value, float) else value
        elif name in types:
            value = setting(kind.__name__, name, types[name], value)
            clips = [n for n in CLIPS if (value if n == name else getattr(self, n)) is not None]
            if name in CLIPS and len(clips) > 1:
                raise ValueError(
                    f"{kind.__name__} was given {' and '.join(clips)}. Write only one of them instead."
                )
        elif KEYWORDS.get(name) in (*types, "learning_rate") and not hasattr(kind, name):
            raise AttributeError(
                f"{kind.__name__} has no setting {name!r}. "
                + self._hints.get(name, f"Write optimizer.{KEYWORDS[name]} = {value!r} instead.")
            )
        object.__setattr__(self, name, value)

    @classmethod
    def refuse_own(cls, names: Iterable[str] = UNCALLED) -> None:
        """Raise TypeError where the class has a method of its own that is never called, naming what is."""
        for name in names:
            own = getattr(cls, name, None)
            if own is not None and own is not getattr(Optimizer, name, None):
                raise TypeError(
                    f"{cls.__name__} has {'an' if name[0] in 'aeiou' else 'a'} {name} of its own, which the compiled "
                    f"step would not call. {UNCALLED[name]} instead."
                )

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

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as plain values that ``from_config`` takes, a schedule among them too."""
        config = self.config()
        if self.schedule is not None:
            config["learning_rate"] = schedules.describe(self.schedule)
        return config

    def fresh(self) -> Optimizer:
        """An optimizer with the same settings that has trained nothing yet."""
        twin = copy.copy(self)
        twin.begin()
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
                f"{type(self).__name__}({self.schedule.peak():.3g}), or leave {who} out, instead."
            )
        self.learning_rate = rate

    def program_key(self) -> tuple[Any, ...]:
        """What the program of a step depends on: all settings but the numbers that are inputs of it."""
        if self.sync is not None:
            self.sync()
        inputs = self.inputs()
        kind: Any = type(self)
        names = [name for name in settings_of(kind) if name not in inputs]
        return (
            type(self), self.schedule, *inputs, *names, *(getattr(self, name) for name in names), self.counts.key,
        )  # fmt: skip

    @property
    def reads_count(self) -> bool:
        """Whether the rule reads the number of steps."""
        return True

    @property
    def counting(self) -> bool:
        """Whether the rule reads the number of steps, and each parameter's own, as PyTorch's."""
        return self.torch and self.reads_count and not self.gradient_accumulation_steps

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

    def rule(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        """The new parameter and slots, from the gradient ``g``; ``lr`` and ``t`` (1 at the first step) are scalars."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its step is. {_RULE} instead.")

    def update(
        self,
        params: Sequence[Node],
        grads: Sequence[Node],
        slots: Sequence[Slots],
        lr: Node,
        counts: Sequence[Node],
        varied: Mapping[str, Node] | None = None,
        treatments: Sequence[Treatment] = (),
        whose: Sequence[int] = (),
    ) -> tuple[list[Node], list[Slots], list[Node]]:
        """New parameters, slots and step counts of one whole step; ``counts`` (uint32) are those of the steps before.

        The first of them is the group's, the others those of parameters that were not in every step: ``whose`` says
        which each parameter has, where not all have the group's.
        ``lr`` is not read where a schedule makes the rate; ``varied`` are settings that are inputs of the program;
        ``treatments`` are those of the parameters, where some has one of its own.
        """
        treatments = treatments or [Treatment()] * len(params)
        count = counts[0]
        ticked = [c + like(c, 1) for c in counts]
        batches = ticked[0]
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
        steps = [ticked[i] if i else count for i in whose] or [count] * len(params)
        for old, total, g, s, own, n in zip(
            params, grads, self.clip(means), slots, treatments, steps, strict=True
        ):
            p = old
            rate, t = (apply("cast", x, dtype=p.dtype) for x in (lr, n))
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
        return [p for p, _ in results], after, ticked

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
            total = total_of(together(*map(squares, grads)))  # in the widest dtype among the weights'
            scale = shrink(sqrt(total), self.global_clipnorm)
            return [scaled(g, as_node(scale, g.dtype)) for g in grads]
        return grads

    def snap(self, name: str, x: Node) -> Node:
        if name in self.lasting or name in self.scalar or name == AVERAGE:
            return x
        return snapped(x)
