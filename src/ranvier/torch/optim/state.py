"""``optimizer.state``: the slots of each parameter under PyTorch's names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier import optimizers
from ranvier.tensor.tensor import Tensor

STEP = "step"
# PyTorch's names of a rule's slots. All rules but those of `UNCOUNTED` also have a "step".
UNCOUNTED = optimizers.SGD, optimizers.Muon
NAMES: dict[type[optimizers.Optimizer], dict[str, str]] = {
    optimizers.SGD: {"momentum_buffer": "momentum"},
    optimizers.Adam: {"exp_avg": "momentum", "exp_avg_sq": "velocity", "max_exp_avg_sq": "velocity_max"},
    optimizers.SparseAdam: {"exp_avg": "momentum", "exp_avg_sq": "velocity"},
    optimizers.Adamax: {"exp_avg": "momentum", "exp_inf": "norm"},
    optimizers.NAdam: {"mu_product": "product", "exp_avg": "momentum", "exp_avg_sq": "velocity"},
    optimizers.RMSprop: {"square_avg": "velocity", "momentum_buffer": "momentum", "grad_avg": "average"},
    optimizers.Adagrad: {"sum": "accumulator"},
    optimizers.Adadelta: {"square_avg": "velocity", "acc_delta": "delta"},
    optimizers.RAdam: {"exp_avg": "momentum", "exp_avg_sq": "velocity"},
    optimizers.Rprop: {"prev": "previous", "step_size": "size"},
    optimizers.Muon: {"momentum_buffer": "momentum"},
    optimizers.Adafactor: {"row_var": "row", "col_var": "column", "variance": "velocity"},
    optimizers.ASGD: {"eta": "eta", "mu": "mu", "ax": "mean"},
}


def names_of(rule: optimizers.Optimizer) -> dict[str, str]:
    """PyTorch's names of a rule's slots, mapped to the rule's own."""
    return next(names for kind, names in NAMES.items() if isinstance(rule, kind))


def copied(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """A dict of the same content with copies of the tensors."""
    return {k: Tensor.wrap(np.array(v)) if isinstance(v, Tensor) else v for k, v in snapshot.items()}


if TYPE_CHECKING:
    _Base = dict[Any, Any]
else:  # a dict for `isinstance`; MutableMapping derives all other methods from the few defined here

    class _Base(MutableMapping, dict):
        pass


class Live(_Base):
    """A dict that computes its content at each access; the underlying dict stays empty."""

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
        """A plain dict of the same content."""
        return dict(self)

    def __copy__(self) -> dict[Any, Any]:
        return self.copy()

    def __reduce_ex__(self, protocol: Any) -> Any:  # without the items, which would be set a second time
        return super().__reduce_ex__(protocol)[:3]

    def __repr__(self) -> str:
        return repr(dict(self))


class State(Live):
    """The state of one parameter, empty before its first step.

    Its tensors are the slots that steps read and write: assign to them, or change them in place, and the next step uses
    the new values. ``step`` is a copy; assign to change it. Other keys are stored as they are, and so is a tensor of
    another shape than the parameter's, for a parameter that takes over this state later.

    A state that was removed from ``optimizer.state``, or whose key is no parameter, is a plain dict.
    """

    def __init__(self, states: States, key: Any) -> None:
        self.states: States | None = states  # None once it is removed
        self.key = key
        self.stored: dict[str, Any] = {}

    @property
    def location(self) -> tuple[optimizers.Optimizer, int] | None:
        """The rule that updates the parameter, and the parameter's index there; None if there is none."""
        return None if self.states is None else self.states.locations.get(self.key)

    @property
    def slots(self) -> dict[str, Tensor]:
        """The tensors that steps read and write, by PyTorch's names."""
        if self.location is None:
            return {}
        rule, number = self.location
        return {n: rule.slots[number][own] for n, own in names_of(rule).items() if own in rule.slots[number]}

    @property
    def counted(self) -> bool:
        """Whether the state has a ``step``."""
        return self.location is not None and not isinstance(self.location[0], UNCOUNTED)

    @property
    def steps(self) -> int:
        """The number of steps that updated the parameter."""
        return 0 if self.location is None else self.location[0].steps_of(self.location[1])

    @steps.setter
    def steps(self, value: int) -> None:
        if self.location is not None:
            rule, number = self.location
            rule.set_steps([number], [value])

    @property
    def misshapen(self) -> dict[str, tuple[int, ...]]:
        """The names of stored values of the wrong shape, and the shape that steps need."""
        return {name: slot.shape for name, slot in self.slots.items() if name in self.stored}

    def reset_slot(self, name: str) -> None:
        """Set a slot to its value before the first step."""
        if self.location is not None:
            rule, slot = self.location[0], self.slots[name]
            slot.assign(rule.new_slot(names_of(rule)[name], self.key))

    def __iter__(self) -> Iterator[str]:
        held = [*((STEP,) if self.counted else ()), *self.slots] if self.steps else []
        yield from dict.fromkeys([*held, *self.stored])

    def __getitem__(self, name: str) -> Any:
        if name in self.stored:
            return self.stored[name]
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
            self.stored[name] = value
        elif value is None:  # PyTorch has None before the first step
            del self[name]
        elif np.shape(value) != slot.shape:
            self.stored[name] = value
            if self.states is not None:
                self.states.synchronized = -1
        else:
            self.stored.pop(name, None)
            if value is not slot:
                slot.assign(value if isinstance(value, Tensor) else np.asarray(value))
            if not self.counted:
                self.steps = max(1, self.steps)

    def __delitem__(self, name: str) -> None:
        slot = name in self.slots
        if name not in self.stored and not slot and not (name == STEP and self.counted):
            raise KeyError(name)
        self.stored.pop(name, None)
        if slot:
            self.reset_slot(name)
        if name == STEP if self.counted else slot:
            self.steps = 0

    def clear(self) -> None:
        """Reset the state to that before the first step."""
        self.reset()
        self.steps = 0

    def reset(self) -> None:
        """Reset all but the number of steps."""
        self.stored.clear()
        for name in self.slots:
            self.reset_slot(name)

    def copy(self) -> dict[str, Any]:
        """A dict of the same content with copies of the tensors."""
        return copied(self)

    @property
    def snapshot(self) -> dict[str, Any]:
        """A plain dict that later steps do not change."""
        return self.copy() | self.stored

    def detach(self) -> None:
        """Become a plain dict; the rule resets the state of the parameter."""
        snapshot = self.snapshot
        self.clear()
        self.states, self.stored = None, snapshot

    def attach(self) -> None:
        """Pass the stored values on to the rule that updates the parameter."""
        kept, self.stored = self.stored, {}
        self.update(kept)


class States(Live):
    """The states of all parameters: a dict that creates each `State` when it is first looked up.

    You may also set keys that are no parameters, as in any dict.
    """

    def __init__(self, locations: Mapping[Tensor, tuple[optimizers.Optimizer, int]]) -> None:
        self.locations = locations
        self.held: dict[Any, State] = {}  # the states that were looked up
        # The number of groups when rules and states were last synchronized; -1 where a state must be checked again.
        self.synchronized = -1

    def __iter__(self) -> Iterator[Any]:
        yield from [p for p in self.locations if p in self]
        yield from [key for key in self.held if key not in self.locations]

    def __contains__(self, key: object) -> bool:
        state = self.held.get(key)
        return len(State(self, key) if state is None else state) > 0 if key in self.locations else state is not None

    def __getitem__(self, key: Any) -> State:
        if key not in self.held:
            self.held[key] = State(self, key)
        return self.held[key]

    # Look-ups of keys that may be missing create no state.

    def get(self, key: Any, default: Any = None) -> Any:
        """The state of a parameter, ``default`` if it has none."""
        if key not in self:
            return default
        return self[key]

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The state of a parameter, set to ``default`` if it has none."""
        if key not in self and default is not None:
            self[key] = default
        return self[key]

    def pop(self, key: Any, *default: Any) -> Any:
        """Remove and return the state of a parameter, with its content. Raises KeyError if it has none."""
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
        if isinstance(value, State) and value.states is None:  # removed before: it becomes the state of this key
            state = value
        else:
            state = State(self, key)
            own = {id(slot) for slot in state.slots.values()}  # `_drop` resets these
            snapshot = value.snapshot if isinstance(value, State) else dict(value)
            state.stored = {k: Tensor.wrap(np.array(v)) if id(v) in own else v for k, v in snapshot.items()}
        self._drop(key)
        state.states, state.key = self, key
        self.held[key] = state
        state.attach()

    def _drop(self, key: Any) -> None:
        state = self.held.pop(key, None)
        if state is None:
            State(self, key).clear()  # not looked up: only the slots are reset
        else:
            state.detach()

    def __delitem__(self, key: Any) -> None:
        if key not in self.locations and key not in self.held:
            raise KeyError(key)
        self._drop(key)

    def clear(self) -> None:
        """Reset the state of every parameter."""
        for key in {**self.locations, **self.held}:
            self._drop(key)

    def detach(self) -> None:
        """Become a plain dict of plain dicts; the rules reset the state of every parameter."""
        held = {key: self[key] for key in self}
        self.clear()
        self.locations, self.held = {}, held
