"""What the optimizers of the library share in the PyTorch vocabulary: a rule of `ranvier.optimizers` for each group."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import is_not
from typing import Any

import numpy as np

from ranvier import optimizers
from ranvier.optimizers.settings import as_rate
from ranvier.support.errors import unknown_keyword
from ranvier.tensor import tape
from ranvier.tensor.tensor import Tensor
from ranvier.torch.autograd import enable_grad
from ranvier.torch.optim.optimizer import Optimizer, leaves
from ranvier.torch.optim.state import STEP, State, States, copied

__all__ = ["RuledOptimizer", "change"]

_NAMES = {"lr": "learning_rate", "eps": "epsilon", "alpha": "rho"}
_BETAS = {"beta_1": "betas[0]", "beta_2": "betas[1]"}
# What a group has beside its settings: names, and what schedulers keep there, to go on where one stopped.
_KEPT = (
    "params", "name", "param_names", "initial_lr", "max_lr", "min_lr", "swa_lr", "max_momentum", "base_momentum",
)  # fmt: skip
_STEPS = "iterations"  # in a saved group: the steps of its rule, which a schedule reads


def _options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a group as arguments of the rule."""
    result = {_NAMES.get(name, name): value for name, value in settings.items()}
    if "betas" in result:
        betas = result.pop("betas")
        if not isinstance(betas, Sequence) or len(betas) != 2:
            raise TypeError(f"betas={betas!r}: write a pair, such as betas=(0.9, 0.999), instead.")
        result["beta_1"], result["beta_2"] = betas
    if "weight_decay" in result:
        result["weight_decay"] = result["weight_decay"] or None
    if "decoupled_weight_decay" in result:
        result["coupled"] = not result.pop("decoupled_weight_decay")
    return result


def change(rule: optimizers.Optimizer, name: str, value: Any) -> None:
    """Give a rule a setting that was changed in its group."""
    if name == "lr":  # rounding may leave a rate that was computed down to 0 just below it
        rule.learning_rate = 0.0 if isinstance(value, float) and -1e-12 < value < 0 else value
        return
    for setting, new in _options({name: value}).items():
        if setting not in rule.variable:
            setattr(rule, setting, new)
            rule.complete()
        elif new != getattr(rule, setting):
            rule.vary(setting, new)


@dataclass
class Held:
    """A group, its rule, and the settings that the rule has."""

    group: dict[str, Any]
    rule: optimizers.Optimizer
    applied: list[Any]


class RuledOptimizer(Optimizer):
    """An optimizer of the library: a rule of `ranvier.optimizers` for each group.

    The settings and parameters in ``param_groups``, and the groups, may be changed at any time, and so may what
    ``state`` holds of a parameter. A changed ``lr`` compiles nothing anew; a changed ``momentum`` or ``betas[0]`` does
    the first time, and never again. ``lr`` may be a schedule of `ranvier.optimizers.schedules`.
    """

    rule: type[optimizers.Optimizer]
    coupled = True

    def __init__(self, params: Iterable[Any], settings: Mapping[str, Any]) -> None:
        self._held: list[Held] = []
        self._places: dict[Tensor, tuple[optimizers.Optimizer, int]] = {}
        self._states = States(self._places)
        self._stepped = False
        super().__init__(
            params,
            {
                name: as_rate(type(self).__name__, v, "lr") if name == "lr" else v
                for name, v in settings.items()
            },
        )

    @property
    def _rules(self) -> list[optimizers.Optimizer]:
        return [held.rule for held in self._held]

    # --- groups ---------------------------------------------------------------------------------------------------

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add parameters, with settings of their own where the mapping holds some.

        What else it holds is left there. Raises TypeError for a name that is nearly one of a setting.
        """
        for name in param_group.keys() - self.defaults.keys() - {*_KEPT}:
            error = unknown_keyword(name, list(self.defaults), f"a group of {type(self).__name__}")
            if "instead" in str(error):
                raise error
        super().add_param_group(param_group)
        held = self._hold(self.param_groups.pop())  # which it is only where the rule takes its settings
        self.param_groups.append(held.group)
        self._held.append(held)
        self._settle({})

    def _hold(self, group: dict[str, Any]) -> Held:
        """A rule for a group."""
        for name, value in self.defaults.items():
            group.setdefault(name, value)
        with self._worded():
            group["lr"] = as_rate(self.rule.__name__, group["lr"])  # a number, where it is in a tensor
            own = {name: group[name] for name in self.defaults}
            rule = self.rule(**{"coupled": self.coupled, "formula": "torch", **_options(own)})
        if group["params"]:
            rule.attach(group["params"])
        rule.sync = self._apply  # for `fit`, which knows the rule alone
        return Held(group, rule, list(own.values()))

    def _settle(self, left: Mapping[Tensor, dict[str, Any]]) -> None:
        """Find the parameters where they are now.

        What was held of those that ``left`` a rule is kept, and goes to the rule of those that come.
        """
        known = {p: rule for p, (rule, _) in self._places.items() if p not in left}
        for p, content in left.items():
            if content or p in self._states.held:
                self._states[p].kept = content
        self._places.clear()
        self._places.update(
            {p: (held.rule, i) for held in self._held for i, p in enumerate(held.rule.parameters)}
        )
        states = {p: state for p, state in self._states.held.items() if p in self._places}
        for p in states.keys() - known.keys():
            states[p].arrive()
        fits = not any(state.kept and state.misfits for state in states.values())
        self._states.settled = len(self._held) if fits else -1

    def _rearrange(self) -> None:
        """Have a rule for each group that there is now, for the parameters that it has now."""
        leaves([p for group in self.param_groups for p in group["params"]])
        rules = {id(held.group): held for held in self._held}
        stay = {p: rules[id(g)].rule for g in self.param_groups if id(g) in rules for p in g["params"]}
        gone = [p for p, (rule, _) in self._places.items() if stay.get(p) is not rule]
        left = {p: self.state[p].content if p in self.state else {} for p in gone}
        self._held = [rules.get(id(group)) or self._hold(group) for group in self.param_groups]
        for held in self._held:
            if held.rule.parameters:
                held.rule.take(held.group["params"])
            elif held.group["params"]:
                held.rule.attach(held.group["params"])
        self._settle(left)
        for p, state in self._states.held.items():
            for name, shape in state.misfits.items():
                raise ValueError(
                    f"{name} of parameter {list(self._places).index(p)} has shape {np.shape(state[name])} in the state "
                    f"of this {type(self).__name__} instead of {shape}. Put the parameter that it is for "
                    f"into param_groups, or set one of shape {shape}, before the next step."
                )

    def _apply(self) -> None:
        """Give the rules what was changed in the groups: settings, parameters, groups."""
        if self._states.settled != len(self.param_groups):
            self._rearrange()
        for group, held in zip(self.param_groups, self._held, strict=True):
            rule, applied = held.rule, held.applied
            params, known = group["params"], rule.parameters
            if group is not held.group or len(params) != len(known) or any(map(is_not, params, known)):
                self._rearrange()
                return self._apply()
            now = [group[name] for name in self.defaults]
            if now == applied:
                continue
            for name, old, new in zip(self.defaults, applied, now, strict=True):
                if old != new:
                    with self._worded():
                        change(rule, name, new)
            if isinstance(group["lr"], (Tensor, np.ndarray)):
                group["lr"] = now[list(self.defaults).index("lr")] = float(rule.learning_rate)
            applied[:] = now
        return None

    @contextlib.contextmanager
    def _worded(self) -> Iterator[None]:
        """Within this context what a rule says of a setting it says in PyTorch's words."""
        try:
            yield
        except (TypeError, ValueError) as error:
            words = {own: name for name, own in _NAMES.items() if name in self.defaults}
            words |= _BETAS if "betas" in self.defaults else {}
            text = re.sub(r"set optimizer\.(\w+)", r"set optimizer.param_groups[0]['\1']", str(error))
            text = re.sub(r"\w+", lambda word: words.get(word[0], word[0]), text)
            raise type(error)(text) from None

    def set_momentums(self, values: Iterable[float]) -> None:
        """Set each group's momentum, or first beta, to a value that will change again: an input of the program."""
        given = list(values)
        super().set_momentums(given)
        setting = "beta_1" if self.momentum_name == "betas" else "momentum"
        for rule, value in zip(self._rules, given, strict=True):
            if setting not in rule.varied:
                rule.vary(setting, value)

    # --- steps ----------------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; all that is pending and the update run as one program."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self._stepped = True
        self._apply()
        segments = [held.rule.record() for held in self._held if held.rule.parameters]
        for segment in segments:
            if segment is not None:
                tape.flush(segment)
        return loss

    @property
    def stepped(self) -> bool:
        """Whether a step was made, here or within `fit`."""
        return self._stepped or any(rule.iterations.item() for rule in self._rules)

    # --- state ----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> States:
        """What is held of each parameter that has been through a step: a dict of dicts with PyTorch's names."""
        return self._states

    @state.setter
    def state(self, value: Mapping[Any, Any]) -> None:
        if value is self._states:
            return
        # Tensors of the rules, which may be among what is given, begin anew with those that held them.
        given = {
            key: of if isinstance(of, State) and of.states in (None, self._states) else copied(of)
            for key, of in value.items()
        }
        self._states.leave()
        self._states = States(self._places)
        self._states.update(given)

    def state_dict(self) -> dict[str, Any]:
        """What ``state`` holds of each parameter, by its number, and the settings of every group; all as copies."""
        self._apply()
        params = [p for group in self.param_groups for p in group["params"]]
        groups = self._numbered()
        for group, rule in zip(groups, self._rules, strict=True):
            group[_STEPS] = int(rule.iterations.item())
        found = ((i, self.state[p].copy()) for i, p in enumerate(params))
        return {"state": {i: kept for i, kept in found if kept}, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave, or PyTorch's. Raises ValueError where groups or shapes differ."""
        params = [p for group in self.param_groups for p in group["params"]]
        kept: dict[int, dict[str, Any]] = {int(i): dict(of) for i, of in state_dict["state"].items()}
        for i, of in kept.items():
            slots = self.state[params[i]].slots if i < len(params) else {}
            for name in slots.keys() & of.keys():
                if of[name] is not None and np.shape(of[name]) != slots[name].shape:
                    raise ValueError(
                        f"the state does not fit this {type(self).__name__}: {name} of parameter {i} has shape "
                        f"{np.shape(of[name])} instead of {slots[name].shape}."
                    )
        theirs = [dict(group) for group in state_dict["param_groups"]]
        counts = [group.pop(_STEPS, None) for group in theirs]
        self._load_groups(theirs)
        for (
            state
        ) in self._states.held.values():  # of which a step would complain, and which nothing needs now
            for name in state.misfits:
                del state.kept[name]
        self._apply()
        for key in self._states.held.keys() - self._places.keys():
            del self._states[key]
        start = 0
        for rule, count in zip(self._rules, counts, strict=True):
            numbers = range(len(rule.parameters))
            of_each = [kept.get(start + i, {}) for i in numbers]
            # SGD keeps no count: what it holds of a parameter says that there was a step.
            steps = [int(of.pop(STEP, max(1, count or 0) if of else 0)) for of in of_each]
            rule.iterations.assign(max(steps, default=0) if count is None else count)
            for p, of in zip(rule.parameters, of_each, strict=True):
                self.state[p].reset()
                self.state[p].update({name: value for name, value in of.items() if value is not None})
            rule.set_steps(numbers, steps)
            start += len(rule.parameters)
