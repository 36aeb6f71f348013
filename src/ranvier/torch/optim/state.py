"""``optimizer.state``: the state that rules hold of each parameter, under PyTorch's names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import numpy as np

from ranvier import optimizers
from ranvier.tensor import Tensor

__all__ = ["State", "States"]

STEP = "step"
# PyTorch's names of a rule's slots. All but SGD count steps there too.
NAMES: dict[type[optimizers.Optimizer], dict[str, str]] = {
    optimizers.SGD: {"momentum_buffer": "momentum"},
    optimizers.Adam: {"exp_avg": "momentum", "exp_avg_sq": "velocity", "max_exp_avg_sq": "velocity_max"},
    optimizers.Adamax: {"exp_avg": "momentum", "exp_inf": "norm"},
    optimizers.NAdam: {"mu_product": "product", "exp_avg": "momentum", "exp_avg_sq": "velocity"},
    optimizers.RMSprop: {"square_avg": "velocity", "momentum_buffer": "momentum", "grad_avg": "average"},
    optimizers.Adagrad: {"sum": "accumulator"},
    optimizers.Adadelta: {"square_avg": "velocity", "acc_delta": "delta"},
}


class State(MutableMapping[str, Any]):
    """What is held of one parameter: empty before its first step.

    The tensors are those that steps read and write, so that changing them in place, or setting them, changes the next
    step. ``step`` is a copy, to be set. What else a program keeps there is kept.
    """

    def __init__(self, rule: optimizers.Optimizer, number: int, kept: dict[str, Any]) -> None:
        self.rule, self.number, self.kept = rule, number, kept
        names = next(names for kind, names in NAMES.items() if isinstance(rule, kind))
        self.slots = {
            name: rule.slots[number][own] for name, own in names.items() if own in rule.slots[number]
        }
        self.own = names

    @property
    def counted(self) -> bool:
        """Whether there is a ``step``."""
        return not isinstance(self.rule, optimizers.SGD)

    def restart(self, name: str) -> None:
        """Let a slot hold what it does before the first step."""
        slot = self.slots[name]
        slot.assign(np.full(slot.shape, self.rule.all_starts[self.own[name]], slot.dtype))

    def __iter__(self) -> Iterator[str]:
        if self.rule.steps_of(self.number):
            yield from (STEP,) if self.counted else ()
            yield from self.slots
        yield from self.kept

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __getitem__(self, name: str) -> Any:
        if name in self.kept:
            return self.kept[name]
        if name not in iter(self):
            raise KeyError(name)
        if name != STEP:
            return self.slots[name]
        steps = self.rule.steps_of(self.number)
        return Tensor.wrap(np.asarray(steps, np.float32 if steps < 2**24 else np.float64))  # exactly

    def __setitem__(self, name: str, value: Any) -> None:
        if name == STEP and self.counted:
            self.rule.set_steps([self.number], [int(value)])
        elif name not in self.slots:
            self.kept[name] = value
        elif value is None:  # as PyTorch has it before the first step
            del self[name]
        else:
            if value is not self.slots[name]:
                self.slots[name].assign(value if isinstance(value, Tensor) else np.asarray(value))
            if not self.counted:
                self.rule.set_steps([self.number], [max(1, self.rule.steps_of(self.number))])

    def __delitem__(self, name: str) -> None:
        if name in self.kept:
            del self.kept[name]
        elif name not in {STEP, *self.slots}:
            raise KeyError(name)
        else:
            if name != STEP:
                self.restart(name)
            if name == STEP or not self.counted:
                self.rule.set_steps([self.number], [0])

    def clear(self) -> None:
        """Begin anew: what the rule holds is what it is before the first step."""
        self.reset()
        self.rule.set_steps([self.number], [0])

    def reset(self) -> None:
        """The same but for the count of steps."""
        self.kept.clear()
        for name in self.slots:
            self.restart(name)

    def copy(self) -> dict[str, Any]:
        """As a dict, with tensors of its own."""
        return {k: Tensor.wrap(v.numpy()) if isinstance(v, Tensor) else v for k, v in self.items()}

    def __repr__(self) -> str:
        return repr(dict(self))


class States(MutableMapping[Any, Any]):
    """The state of all parameters, as a dict of dicts that makes those that are asked for.

    Keys that are no parameters may be set too, as in any dict.
    """

    def __init__(self, places: Mapping[Tensor, tuple[optimizers.Optimizer, int]]) -> None:
        self.places = places
        self.kept: dict[Any, dict[str, Any]] = {}

    def __iter__(self) -> Iterator[Any]:
        yield from (p for p in self.places if len(self[p]))
        yield from (key for key in self.kept if key not in self.places)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, key: object) -> bool:
        return bool(len(self[key])) if key in self.places else key in self.kept

    def __getitem__(self, key: Any) -> Any:
        kept = self.kept.setdefault(key, {})
        if key not in self.places:
            return kept
        rule, number = self.places[key]
        return State(rule, number, kept)

    def __setitem__(self, key: Any, value: Mapping[str, Any]) -> None:
        if key not in self.places:
            self.kept[key] = dict(value)
            return
        state, given = self[key], dict(value)
        if not isinstance(value, State) or value.rule is not state.rule or value.number != state.number:
            state.clear()
            state.update(given)

    def __delitem__(self, key: Any) -> None:
        if key in self.places:
            self[key].clear()
        self.kept.pop(key, None)

    def clear(self) -> None:
        """Begin anew with every parameter."""
        for key in [*self.places, *self.kept]:
            del self[key]

    def __repr__(self) -> str:
        return repr(dict(self))
