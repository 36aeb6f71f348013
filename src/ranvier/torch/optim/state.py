"""``optimizer.state``: the state that rules hold of each parameter, under PyTorch's names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier import optimizers
from ranvier.tensor.tensor import Tensor

__all__ = ["STEP", "State", "States", "copied"]

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


def names_of(rule: optimizers.Optimizer) -> dict[str, str]:
    """PyTorch's names of a rule's slots, and the rule's own."""
    return next(names for kind, names in NAMES.items() if isinstance(rule, kind))


def copied(content: Mapping[str, Any]) -> dict[str, Any]:
    """As a dict, with tensors of its own."""
    return {k: Tensor.wrap(v.numpy()) if isinstance(v, Tensor) else v for k, v in content.items()}


if TYPE_CHECKING:
    _Base = dict[Any, Any]
else:  # a dict for `isinstance`, of which MutableMapping makes all methods from those that are written here

    class _Base(MutableMapping, dict):
        pass


class Live(_Base):
    """A dict that looks up what it holds at each access; nothing is stored in the dict that it is itself."""

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __or__(self, other: Any) -> Any:
        return dict(self) | dict(other)

    def __ror__(self, other: Any) -> Any:
        return dict(other) | dict(self)

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def __reversed__(self) -> Iterator[Any]:
        return reversed(list(iter(self)))

    def copy(self) -> dict[Any, Any]:
        """As a dict of its own."""
        return dict(self)

    def __copy__(self) -> dict[Any, Any]:
        return self.copy()

    def __reduce_ex__(self, protocol: Any) -> Any:  # not as a dict, whose entries would be set once more
        return super().__reduce_ex__(protocol)[:3]

    def __repr__(self) -> str:
        return repr(dict(self))


class State(Live):
    """What is held of one parameter: empty before its first step.

    The tensors are those that steps read and write, so that changing them in place, or setting them, changes the next
    step. ``step`` is a copy, to be set. What else a program keeps there is kept, and so is a tensor of another shape
    than the parameter's, for the parameter that will have this state next.

    One that was taken out of ``optimizer.state``, or whose key is no parameter, is a dict of its own.
    """

    def __init__(self, states: States, key: Any) -> None:
        self.states: States | None = states  # None where it was taken out
        self.key = key
        self.kept: dict[str, Any] = {}

    @property
    def place(self) -> tuple[optimizers.Optimizer, int] | None:
        """The rule that holds the parameter now, and the parameter's number there."""
        return None if self.states is None else self.states.places.get(self.key)

    @property
    def slots(self) -> dict[str, Tensor]:
        """The tensors that steps read and write."""
        if self.place is None:
            return {}
        rule, number = self.place
        return {n: rule.slots[number][own] for n, own in names_of(rule).items() if own in rule.slots[number]}

    @property
    def counted(self) -> bool:
        """Whether the rule gives a ``step``."""
        return self.place is not None and not isinstance(self.place[0], optimizers.SGD)

    @property
    def steps(self) -> int:
        """How many steps the parameter has been through."""
        return 0 if self.place is None else self.place[0].steps_of(self.place[1])

    @steps.setter
    def steps(self, value: int) -> None:
        if self.place is not None:
            rule, number = self.place
            rule.set_steps([number], [value])

    @property
    def misfits(self) -> dict[str, tuple[int, ...]]:
        """What is held in another shape than steps need, and the shape that they need."""
        return {name: slot.shape for name, slot in self.slots.items() if name in self.kept}

    def restart(self, name: str) -> None:
        """Let a slot hold what it does before the first step."""
        if self.place is not None:
            rule, slot = self.place[0], self.slots[name]
            slot.assign(np.full(slot.shape, rule.all_starts[names_of(rule)[name]], slot.dtype))

    def __iter__(self) -> Iterator[str]:
        held = [*((STEP,) if self.counted else ()), *self.slots] if self.steps else []
        yield from dict.fromkeys([*held, *self.kept])

    def __getitem__(self, name: str) -> Any:
        if name in self.kept:
            return self.kept[name]
        if name not in iter(self):
            raise KeyError(name)
        if name != STEP:
            return self.slots[name]
        steps = self.steps
        return Tensor.wrap(np.asarray(steps, np.float32 if steps < 2**24 else np.float64))  # exactly

    def __setitem__(self, name: str, value: Any) -> None:
        slot = self.slots.get(name)
        if name == STEP and self.counted:
            self.steps = int(value)
        elif slot is None:
            self.kept[name] = value
        elif value is None:  # as PyTorch has it before the first step
            del self[name]
        elif np.shape(value) != slot.shape:
            self.kept[name] = value
            if self.states is not None:
                self.states.settled = -1
        else:
            self.kept.pop(name, None)
            if value is not slot:
                slot.assign(value if isinstance(value, Tensor) else np.asarray(value))
            if not self.counted:
                self.steps = max(1, self.steps)

    def __delitem__(self, name: str) -> None:
        slot = name in self.slots
        if name not in self.kept and not slot and not (name == STEP and self.counted):
            raise KeyError(name)
        self.kept.pop(name, None)
        if slot:
            self.restart(name)
        if name == STEP if self.counted else slot:
            self.steps = 0

    def clear(self) -> None:
        """Begin anew: what the rule holds is what it is before the first step."""
        self.reset()
        self.steps = 0

    def reset(self) -> None:
        """The same but for the count of steps."""
        self.kept.clear()
        for name in self.slots:
            self.restart(name)

    def copy(self) -> dict[str, Any]:
        """As a dict, with tensors of its own."""
        return copied(self)

    @property
    def content(self) -> dict[str, Any]:
        """As a dict that steps do not change."""
        return self.copy() | self.kept

    def leave(self) -> None:
        """Be a dict of its own from here on; the rule begins anew with the parameter."""
        content = self.content
        self.clear()
        self.states, self.kept = None, content

    def arrive(self) -> None:
        """Give the rule that holds the parameter now what was kept for it."""
        kept, self.kept = self.kept, {}
        self.update(kept)


class States(Live):
    """The state of all parameters, as a dict of dicts that makes those that are asked for.

    Keys that are no parameters may be set too, as in any dict.
    """

    def __init__(self, places: Mapping[Tensor, tuple[optimizers.Optimizer, int]]) -> None:
        self.places = places
        self.held: dict[Any, State] = {}  # those that were asked for
        # How many groups there were when rules and states were last brought together; -1 where a state needs a look.
        self.settled = -1

    def __iter__(self) -> Iterator[Any]:
        yield from [p for p in self.places if p in self]
        yield from [key for key in self.held if key not in self.places]

    def __contains__(self, key: object) -> bool:
        state = self.held.get(key)
        return (
            len(State(self, key) if state is None else state) > 0 if key in self.places else state is not None
        )

    def __getitem__(self, key: Any) -> State:
        if key not in self.held:
            self.held[key] = State(self, key)
        return self.held[key]

    # Those that ask for what may not be there make nothing.

    def get(self, key: Any, default: Any = None) -> Any:
        """The state of a parameter, ``default`` where nothing is held of it."""
        if key not in self:
            return default
        return self[key]

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The state of a parameter, which is set to ``default`` where nothing is held of it."""
        if key not in self and default is not None:
            self[key] = default
        return self[key]

    def pop(self, key: Any, *default: Any) -> Any:
        """Take out the state of a parameter, which keeps what it holds. Raises KeyError where there is none."""
        if key not in self:
            if not default:
                raise KeyError(key)
            return default[0]
        state = self[key]
        del self[key]
        return state

    def __setitem__(self, key: Any, value: Mapping[str, Any]) -> None:
        before = self.held.get(key)
        if value is before:
            return
        if isinstance(value, State) and value.states is None:  # moved: the state of this key from here on
            state = value
        else:
            state = State(self, key)
            own = {id(slot) for slot in state.slots.values()}  # are about to begin anew
            content = value.content if isinstance(value, State) else dict(value)
            state.kept = {k: Tensor.wrap(v.numpy()) if id(v) in own else v for k, v in content.items()}
        self._drop(key)
        state.states, state.key = self, key
        self.held[key] = state
        state.arrive()

    def _drop(self, key: Any) -> None:
        state = self.held.pop(key, None)
        if state is None:
            State(self, key).clear()  # nobody has it
        else:
            state.leave()

    def __delitem__(self, key: Any) -> None:
        if key not in self.places and key not in self.held:
            raise KeyError(key)
        self._drop(key)

    def clear(self) -> None:
        """Begin anew with every parameter."""
        for key in {**self.places, **self.held}:
            self._drop(key)

    def leave(self) -> None:
        """Be a dict of dicts of its own from here on; the rules begin anew with every parameter."""
        held = {key: self[key] for key in self}
        self.clear()
        self.places, self.held = {}, held
