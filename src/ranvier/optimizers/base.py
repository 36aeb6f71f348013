"""The base of all optimizers: settings, and the update of a whole step as graph."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from functools import cache
from typing import Any, ClassVar, Self

from ranvier.graph.node import Node, apply, like
from ranvier.graph.tiny import snapped
from ranvier.ops.arrays import equal, floor_divide
from ranvier.ops.arrays.promotion import arithmetic, as_node, together, total_of
from ranvier.optimizers import schedules
from ranvier.optimizers.arithmetic import Slots, Updated, clip_factor, lerp, scaled, select, sqrt, sum_of_squares
from ranvier.optimizers.explicit_step import ExplicitLoop
from ranvier.optimizers.mapped_rule import MappedRule
from ranvier.optimizers.parameter_options import DecayExclusions, ParameterOptions
from ranvier.optimizers.settings import Rate, as_rate, setting, types_of
from ranvier.optimizers.slots import AVERAGE, SUM, settings_of
from ranvier.support.errors import KEYWORDS
from ranvier.support.registry import Configured
from ranvier.tensor.layout import reverse_axes
from ranvier.tensor.tensor import Tensor

CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")
_RULE = (
    "Write rule(self, p, g, slots, lr, t), which returns the new parameter and a dict of its slots, all of them nodes "
    "of the step's graph, and slot_starts, a dict of what each slot begins as (see optimizers.Adam),"
)
# methods that `fit` never calls
UNCALLED = dict.fromkeys(("update_step", "build", "apply", "apply_gradients", "step"), _RULE)


@dataclass(eq=False, repr=False)
class Optimizer(ExplicitLoop, Configured):
    """The base of all optimizers: clipping, weight decay, state, and the step of an explicit loop.

    ``weight_decay`` subtracts ``learning_rate * weight_decay`` times the parameter before the step; with
    ``coupled=True`` it is added to the gradient instead (PyTorch's L2 penalty). You may give one of ``clipnorm`` (the
    norm of each gradient), ``global_clipnorm`` (the norm of all gradients together) and ``clipvalue`` (each element).
    ``maximize`` maximizes the loss.

    ``learning_rate`` is a number, or a schedule (`ranvier.optimizers.schedules`) that computes it from the number of
    steps within the step's program. You may set either at any time. A new number compiles nothing; a new schedule
    compiles a new program.

    ``use_ema`` keeps a moving average of the weights, with decay ``ema_momentum``. The average replaces the weights at
    the end of `fit` (`finalize_variable_values`) and every ``ema_overwrite_frequency`` steps.
    ``gradient_accumulation_steps`` makes one step from the mean gradient of that many batches; ``iterations`` counts
    batches.
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

    lasting: ClassVar[frozenset[str]] = frozenset()  # slots that `snap` leaves as they are
    reads_axes: ClassVar[bool] = False  # whether the rule tells one axis of a parameter from another
    elementwise: ClassVar[bool] = False  # whether it computes each element on its own, by operations that all share
    _hints: ClassVar[Mapping[str, str]] = {
        "decay": "Write learning_rate=rv.optimizers.schedules.InverseTimeDecay(rate, 1, decay) instead: it divides the "
        "rate by 1 + decay * steps."
    }

    def __post_init__(self) -> None:
        self.refuse_own(name for name in UNCALLED if not hasattr(Optimizer, name))
        if self.name is None:
            self.name = type(self).__name__.lower()
        self._excluded = DecayExclusions()
        self.reset()

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
                raise ValueError(f"{kind.__name__} was given {' and '.join(clips)}. Write only one of them instead.")
        elif KEYWORDS.get(name) in (*types, "learning_rate") and not hasattr(kind, name):
            raise AttributeError(
                f"{kind.__name__} has no setting {name!r}. "
                + self._hints.get(name, f"Write optimizer.{KEYWORDS[name]} = {value!r} instead.")
            )
        object.__setattr__(self, name, value)

    @classmethod
    def refuse_own(cls, names: Iterable[str] = UNCALLED) -> None:
        """Raise TypeError if the class overrides a method that is never called, and name the method that is."""
        for name in names:
            own = getattr(cls, name, None)
            if own is not None and own is not getattr(Optimizer, name, None):
                raise TypeError(
                    f"{cls.__name__} has {'an' if name[0] in 'aeiou' else 'a'} {name} of its own, which the compiled "
                    f"step would not call. {UNCALLED[name]} instead."
                )

    def __copy__(self) -> Self:
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__)
        if isinstance(self.learning_rate, float):
            copied.learning_rate = float(self.learning_rate)  # a `Rate` holds its optimizer
        return copied

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
        """The constructor's arguments as plain values that ``from_config`` takes; a schedule is described too."""
        config = self.config()
        if self.schedule is not None:
            config["learning_rate"] = schedules.describe(self.schedule)
        return config

    def fresh(self) -> Optimizer:
        """An untrained optimizer with the same settings."""
        copied = copy.copy(self)
        copied.reset()
        return copied

    # --- the learning rate ----------------------------------------------------------------------------------------

    def current_rate(self) -> float:
        """The learning rate of the next step as a number."""
        if self.sync is not None:
            self.sync()
        rate = self.learning_rate
        if isinstance(rate, float):
            return float(rate)
        return float(rate.at(self.iterations.item() // (self.gradient_accumulation_steps or 1)))

    def set_rate(self, rate: float, who: str = "this") -> None:
        """Set the learning rate to a number. Raises TypeError if a schedule computes it: the schedule would be lost.

        ``who`` is named in the error, for example a callback. To end a schedule, write ``learning_rate = 0.1``.
        """
        if self.schedule is not None:
            raise TypeError(
                f"{who} sets the learning rate, which the schedule {self.schedule} computes. Write "
                f"{type(self).__name__}({self.schedule.peak():.3g}), or leave {who} out, instead."
            )
        self.learning_rate = rate

    def program_key(self) -> tuple[Any, ...]:
        """What the program of a step depends on: all settings except the numbers that are its inputs."""
        if self.sync is not None:
            self.sync()
        inputs = self.inputs()
        kind: Any = type(self)
        names = [name for name in settings_of(kind) if name not in inputs]
        return (
            type(self), self.schedule, *inputs, *names, *(getattr(self, name) for name in names), self.counts.key,
        )  # fmt: skip

    # --- the rule, on nodes ---------------------------------------------------------------------------------------

    def rule(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        """The new parameter and slots, from the gradient ``g``; ``lr`` and ``t`` (1 at the first step) are scalars."""
        raise NotImplementedError(f"{type(self).__name__} has no rule. {_RULE} instead.")

    def update(
        self,
        params: Sequence[Node],
        grads: Sequence[Node],
        slots: Sequence[Slots],
        lr: Node,
        counts: Sequence[Node],
        varied: Mapping[str, Node] | None = None,
        options: Sequence[ParameterOptions] = (),
        count_indices: Sequence[int] = (),
    ) -> tuple[list[Node], list[Slots], list[Node]]:
        """The new parameters, slots and step counts of one whole step; ``counts`` (uint32) are those before the step.

        The first count is the group's. The others belong to parameters that were not updated in every step;
        ``count_indices`` gives the index of each parameter's count, and is empty if all have the group's. ``lr`` is not
        read if a schedule computes the rate. ``varied`` are settings that are inputs of the program. ``options`` are
        empty if no parameter has any.
        """
        options = options or [ParameterOptions()] * len(params)
        stored = [(p.dtype, {n: x.dtype for n, x in s.items()}) for p, s in zip(params, slots, strict=True)]
        params, grads = [[arithmetic(x) for x in nodes] for nodes in (params, grads)]
        slots = [{n: arithmetic(x) for n, x in s.items()} for s in slots]
        count = counts[0]
        new_counts = [c + like(c, 1) for c in counts]
        batches = new_counts[0]
        every, due = self.gradient_accumulation_steps, None
        if every:
            count = floor_divide(count, every)
            due = equal(batches, (count + like(count, 1)) * like(count, every))
            grads = [s[SUM] + g for s, g in zip(slots, grads, strict=True)]
        if self.schedule is not None:
            lr = self.schedule.node(count, schedules.base.WIDE)
        before, count = count, count + like(count, 1)
        cast = cache(lambda x, dtype: apply("cast", x, dtype=dtype))  # once for all parameters
        results = []
        means = [scaled(g, 1 / every) for g in grads] if every else grads
        steps = [new_counts[i] if i else count for i in count_indices] or [count] * len(params)
        maps = MappedRule(self._rule_and_snap) if self.elementwise and due is None and not varied else None
        for old, total, g, s, own, n in zip(params, grads, self.clip(means), slots, options, steps, strict=True):
            p = old
            rate, t = cast(lr, p.dtype), cast(n, p.dtype)
            if self.maximize:
                g = -g
            decay = self.decay_of(s) if own.decays else None
            if decay and self.coupled:
                g = g + scaled(p, decay)
            elif decay and self.decays_first:
                p = p - scaled(p, scaled(rate, decay))
            settings = {name: apply("cast", x, dtype=p.dtype) for name, x in (varied or {}).items()}
            rule = (self._with(settings) if settings else self)._rule_of(own)
            is_mapped = maps is not None and p.shape != () and all(x.shape == p.shape for x in s.values())
            p, new = (maps if maps is not None and is_mapped else rule)(p, g, s, rate, t)
            if decay and not self.coupled and not self.decays_first:
                p = p - scaled(old, scaled(rate, decay))
            if due is not None:
                p, new = select(due, p, old), {n: select(due, x, s[n]) for n, x in new.items()}
                new[SUM] = select(due, like(total, 0.0), total)
            if self.use_ema:
                p, new[AVERAGE] = self.averaged(p, s[AVERAGE], before)
            results.append((own.finish(p), new if is_mapped else self.snapped(new)))
        after = [
            {n: as_node(x, kinds[n]) for n, x in s.items()} for (_, s), (_, kinds) in zip(results, stored, strict=True)
        ]
        return [as_node(p, kind) for (p, _), (kind, _) in zip(results, stored, strict=True)], after, new_counts

    @property
    def decays_first(self) -> bool:
        """Whether the rule reads the parameter after its weight decay."""
        return True

    def decay_of(self, slots: Slots) -> float | None:
        """The weight decay of the parameter that has these slots."""
        del slots
        return self.weight_decay

    def _rule_of(self, own: ParameterOptions) -> Callable[..., Updated]:
        """`rule`, on nodes whose axes are those of the parameter if it tells one from another."""
        if not (own.reversed and self.reads_axes):
            return self.rule
        kept = {*self.scalar, *self.slot_shapes}  # slots that are not in the parameter's memory order

        def turned(slots: Slots) -> Slots:
            return {name: x if name in kept else reverse_axes(x) for name, x in slots.items()}

        def rule(p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
            p, new = self.rule(reverse_axes(p), reverse_axes(g), turned(slots), lr, t)
            return reverse_axes(p), turned(new)

        return rule

    def averaged(self, p: Node, average: Node, before: Node) -> tuple[Node, Node]:
        """The parameter, overwritten if it is time, and its moving average, which starts as the parameter."""
        average = select(equal(before, 0), p, lerp(average, p, 1.0 - self.ema_momentum))
        often = self.ema_overwrite_frequency
        if often:
            count = before + like(before, 1)
            p = select(equal(count, floor_divide(count, often) * like(count, often)), average, p)
        return p, average

    def finalize_variable_values(self, var_list: Iterable[Tensor] | None = None) -> None:
        """Replace the parameters, or these of them, by their moving averages; does nothing without ``use_ema``.

        `fit` calls this at its end, as Keras's does.
        """
        if not self.use_ema or not self.iterations.item():
            return
        wanted = None if var_list is None else {id(v) for v in var_list}
        for parameter, slots in zip(self.parameters, self.slots, strict=True):
            if parameter.requires_grad and (wanted is None or id(parameter) in wanted):
                parameter.assign(slots[AVERAGE].numpy())

    def _with(self, settings: Mapping[str, Any]) -> Optimizer:
        copied = copy.copy(self)
        copied.__dict__.update(settings)
        return copied

    def exclude_from_weight_decay(
        self, var_list: Iterable[Tensor] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Exclude parameters from weight decay: the given ones, and those whose name contains one of ``var_names``.

        ``["bias", "gamma", "beta"]`` excludes all biases, and the scales and offsets of normalizations.
        """
        self._excluded = DecayExclusions(var_list or (), var_names or ())

    def clip(self, grads: Sequence[Node]) -> Sequence[Node]:
        if self.clipvalue is not None:
            low, high = -self.clipvalue, self.clipvalue
            return [apply("minimum", apply("maximum", g, like(g, low)), like(g, high)) for g in grads]
        if self.clipnorm is not None:
            return [scaled(g, clip_factor(sqrt(sum_of_squares(g)), self.clipnorm)) for g in grads]
        if self.global_clipnorm is not None and grads:
            total = total_of(together(*map(sum_of_squares, grads)))  # in the widest dtype of the weights
            scale = clip_factor(sqrt(total), self.global_clipnorm)
            return [scaled(g, as_node(scale, g.dtype)) for g in grads]
        return grads

    def _rule_and_snap(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        p, new = self.rule(p, g, slots, lr, t)
        return p, self.snapped(new)

    def snapped(self, slots: Slots) -> Slots:
        return {name: self.snap(name, x) for name, x in slots.items()}

    def snap(self, name: str, x: Node) -> Node:
        if name in self.lasting or name in self.scalar or name == AVERAGE:
            return x
        return snapped(x)
