"""The library's optimizers in PyTorch's vocabulary: each group of parameters has a rule of `ranvier.optimizers`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import is_not
from typing import Any

import numpy as np

from ranvier import optimizers
from ranvier.optimizers.explicit_step import warn_without_gradients
from ranvier.optimizers.settings import as_rate
from ranvier.support.errors import unknown_keyword
from ranvier.support.source_lines import warn
from ranvier.tensor import tape
from ranvier.tensor.tensor import Tensor
from ranvier.torch.autograd import enable_grad
from ranvier.torch.optim.optimizer import Optimizer, leaves
from ranvier.torch.optim.state import STEP, State, States, copied

# PyTorch's choices of how a step is executed, which change nothing here: every step is one program.
EXECUTION = ("foreach", "capturable", "differentiable", "fused")

_NAMES = {"lr": "learning_rate", "eps": "epsilon", "alpha": "rho", "beta2_decay": "beta_2_decay", "d": "clip_threshold"}
# Settings that are tuples: what is in them, and an example.
_TUPLES = {
    "betas": (("beta_1", "beta_2"), "a pair, such as betas=(0.9, 0.999),"),
    "eps": (("epsilon_1", "epsilon_2"), "a pair, such as eps=(None, 0.001),"),
    "ns_coefficients": (("muon_a", "muon_b", "muon_c"), "three numbers, such as ns_coefficients=(3.4, -4.8, 2.0),"),
}
# Keys of a group that are no settings: names, and what schedulers store there to resume.
_RESERVED = (
    "params", "name", "param_names", "initial_lr", "max_lr", "min_lr", "swa_lr", "max_momentum", "base_momentum",
)  # fmt: skip
_STEPS = "iterations"  # key of a saved group: the number of steps of its rule, which a schedule reads


def _is_tuple(name: str, kind: Any) -> bool:
    """Whether a setting has several numbers for a rule."""
    return name in _TUPLES and (name != "eps" or issubclass(kind, optimizers.Adafactor))


def _options(settings: Mapping[str, Any], kind: Any) -> dict[str, Any]:
    """The settings of a group as arguments of its rule, which is of this class."""
    result = {_NAMES.get(name, name): value for name, value in settings.items() if not _is_tuple(name, kind)}
    for name, value in settings.items():
        if _is_tuple(name, kind):
            parts, example = _TUPLES[name]
            if not isinstance(value, Sequence) or len(value) != len(parts):
                raise TypeError(f"{name}={value!r}: write {example} instead.")
            result |= dict(zip(parts, value, strict=True))
    if "weight_decay" in result:
        result["weight_decay"] = result["weight_decay"] or None
    if "decoupled_weight_decay" in result:
        result["coupled"] = not result.pop("decoupled_weight_decay")
    return result


def change(rule: optimizers.Optimizer, name: str, value: Any) -> None:
    """Pass a setting that was changed in a group on to its rule."""
    if name == "lr":  # rounding may put a rate that is computed down to 0 just below it
        rule.learning_rate = 0.0 if isinstance(value, float) and -1e-12 < value < 0 else value
        return
    for setting, new in _options({name: value}, type(rule)).items():
        if setting not in rule.variable:
            setattr(rule, setting, new)
            rule.update_slots()
        elif new != getattr(rule, setting):
            rule.vary(setting, new)


@dataclass
class GroupRule:
    """A group, its rule, and the settings that the rule has now."""

    group: dict[str, Any]
    rule: optimizers.Optimizer
    applied: list[Any]


class OptimizerAdapter(Optimizer):
    """An optimizer of the library: a rule of `ranvier.optimizers` for each group.

    You may change ``param_groups``, their settings and parameters, and the ``state`` of a parameter at any time. A new
    ``lr`` compiles nothing. A new ``momentum`` or ``betas[0]`` compiles one program the first time and none after.
    ``lr`` may be a schedule of `ranvier.optimizers.schedules`.
    """

    rule: type[optimizers.Optimizer]
    coupled = True

    def __init__(self, params: Iterable[Any], **settings: Any) -> None:
        self._group_rules: list[GroupRule] = []
        self._locations: dict[Tensor, tuple[optimizers.Optimizer, int]] = {}
        self._states = States(self._locations)
        self._stepped = False
        used = {name: value for name, value in settings.items() if name not in EXECUTION}
        super().__init__(params, {**used, "lr": as_rate(type(self).__name__, used["lr"], "lr")})

    @property
    def _rules(self) -> list[optimizers.Optimizer]:
        return [entry.rule for entry in self._group_rules]

    # --- groups ---------------------------------------------------------------------------------------------------

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a group: its parameters, and the settings that differ from the defaults.

        Other keys stay in the group. Raises TypeError for a key that is nearly the name of a setting.
        """
        for name in param_group.keys() - self.defaults.keys() - {*_RESERVED}:
            error = unknown_keyword(name, list(self.defaults), f"a group of {type(self).__name__}")
            if "instead" in str(error):
                raise error
        super().add_param_group(param_group)
        entry = self._make_rule(self.param_groups.pop())  # added only if the rule accepts its settings
        self.param_groups.append(entry.group)
        self._group_rules.append(entry)
        self._locate({})

    def _make_rule(self, group: dict[str, Any]) -> GroupRule:
        """Make the rule of a group."""
        for name, value in self.defaults.items():
            group.setdefault(name, value)
        with self._in_torch_words():
            group["lr"] = as_rate(self.rule.__name__, group["lr"])  # a number, if it was a tensor
            own = {name: group[name] for name in self.defaults}
            rule = self.rule(**{"coupled": self.coupled, "formula": "torch", **_options(own, self.rule)})
        if group["params"]:
            rule.attach(group["params"])
        rule.sync = self._synchronize  # `fit` calls it: it knows the rule only
        return GroupRule(group, rule, list(own.values()))

    def _locate(self, left: Mapping[Tensor, dict[str, Any]]) -> None:
        """Update the rule and index of each parameter.

        ``left`` holds the state of parameters that left a rule. It goes to the rule that has them now, or is stored.
        """
        known = {p: rule for p, (rule, _) in self._locations.items() if p not in left}
        for p, content in left.items():
            if content or p in self._states.held:
                self._states[p].stored = content
        self._locations.clear()
        self._locations.update(
            {p: (entry.rule, i) for entry in self._group_rules for i, p in enumerate(entry.rule.parameters)}
        )
        states = {p: state for p, state in self._states.held.items() if p in self._locations}
        for p in states.keys() - known.keys():
            states[p].attach()
        fits = not any(state.stored and state.misshapen for state in states.values())
        fits = fits and all(p.numel() for p in self._locations)  # those of lazy modules get their sizes later
        self._states.synchronized = len(self._group_rules) if fits else -1

    def _rebuild_rules(self) -> None:
        """Make the rules match the groups and their parameters."""
        leaves([p for group in self.param_groups for p in group["params"]])
        rules = {id(entry.group): entry for entry in self._group_rules}
        stay = {p: rules[id(g)].rule for g in self.param_groups if id(g) in rules for p in g["params"]}
        gone = [p for p, (rule, _) in self._locations.items() if stay.get(p) is not rule]
        left = {p: self.state[p].snapshot if p in self.state else {} for p in gone}
        self._group_rules = [rules.get(id(group)) or self._make_rule(group) for group in self.param_groups]
        for entry in self._group_rules:
            if entry.rule.parameters:
                entry.rule.set_parameters(entry.group["params"])
            elif entry.group["params"]:
                entry.rule.attach(entry.group["params"])
        self._locate(left)
        for p, state in self._states.held.items():
            for name, shape in state.misshapen.items():
                raise ValueError(
                    f"{name} of parameter {list(self._locations).index(p)} has shape {np.shape(state[name])} in the "
                    f"state of this {type(self).__name__} instead of {shape}. Put the parameter that it is for "
                    f"into param_groups, or set one of shape {shape}, before the next step."
                )

    def _synchronize(self) -> None:
        """Pass on to the rules what was changed in the groups: settings, parameters, the groups themselves."""
        if self._states.synchronized != len(self.param_groups):
            self._rebuild_rules()
        for group, entry in zip(self.param_groups, self._group_rules, strict=True):
            rule, applied = entry.rule, entry.applied
            params, known = group["params"], rule.parameters
            if group is not entry.group or len(params) != len(known) or any(map(is_not, params, known)):
                self._rebuild_rules()
                return self._synchronize()
            now = [group[name] for name in self.defaults]
            if now == applied:
                continue
            for name, old, new in zip(self.defaults, applied, now, strict=True):
                if old != new:
                    with self._in_torch_words():
                        change(rule, name, new)
            if isinstance(group["lr"], (Tensor, np.ndarray)):
                group["lr"] = now[list(self.defaults).index("lr")] = float(rule.learning_rate)
            applied[:] = now
        return None

    @contextlib.contextmanager
    def _in_torch_words(self) -> Iterator[None]:
        """A context in which a rule's errors name settings as PyTorch does."""
        try:
            yield
        except (TypeError, ValueError) as error:
            words = {own: name for name, own in _NAMES.items() if name in self.defaults}
            for name in self.defaults:
                if _is_tuple(name, self.rule):
                    words |= {own: f"{name}[{i}]" for i, own in enumerate(_TUPLES[name][0])}
            text = re.sub(r"set optimizer\.(\w+)", r"set optimizer.param_groups[0]['\1']", str(error))
            text = re.sub(r"\w+", lambda word: words.get(word[0], word[0]), text)
            raise type(error)(text) from None

    def set_momentums(self, values: Iterable[float]) -> None:
        """Set each group's momentum, or first beta, and make it an input of the program, since it will change again."""
        given = list(values)
        super().set_momentums(given)
        setting = "beta_1" if self.momentum_name == "betas" else "momentum"
        for rule, value in zip(self._rules, given, strict=True):
            if setting not in rule.varied:
                rule.vary(setting, value)

    # --- steps ----------------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient. Pending operations and the update run as one program."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self._synchronize()
        if not self._stepped:
            self._stepped = True
            self._warn_of_settings()
        segments = [entry.rule.record() for entry in self._group_rules if entry.rule.parameters]
        recorded = [segment for segment in segments if segment is not None]
        for segment in recorded:
            tape.flush(segment)
        if not recorded:
            warn_without_gradients(self)
        return loss

    def _warn_of_settings(self) -> None:
        """Warn, at the first step, of a rate of 0 that no scheduler changes, and of an eps of 0."""
        who = type(self).__name__
        for group, rule in ((entry.group, entry.rule) for entry in self._group_rules if entry.rule.parameters):
            if rule.schedule is None and group["lr"] == 0 and "initial_lr" not in group:
                warn(f"{who}(lr=0).step() changes no weight. Write a rate such as lr=0.001 instead.")
            if group.get("eps") == 0:
                warn(
                    f"{who}(eps=0): a weight without a gradient so far is divided by 0 and becomes NaN. Write "
                    "eps=1e-8, or leave it out, instead."
                )

    @property
    def stepped(self) -> bool:
        """Whether a step was made, by `step` or by `fit`."""
        return self._stepped or any(rule.iterations.item() for rule in self._rules)

    # --- state ----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> States:
        """The state of each parameter that was updated: a dict of dicts with PyTorch's names."""
        return self._states

    @state.setter
    def state(self, value: Mapping[Any, Any]) -> None:
        if value is self._states:
            return
        # ``value`` may hold tensors of the rules, which `detach` resets: copy them first.
        given = {
            key: of if isinstance(of, State) and of.states in (None, self._states) else copied(of)
            for key, of in value.items()
        }
        self._states.detach()
        self._states = States(self._locations)
        self._states.update(given)

    def state_dict(self) -> dict[str, Any]:
        """The state of each parameter, by its index, and the settings of every group, all copied."""
        self._synchronize()
        params = [p for group in self.param_groups for p in group["params"]]
        groups = self._numbered()
        for group, rule in zip(groups, self._rules, strict=True):
            group[_STEPS] = int(rule.iterations.item())
        found = ((i, self.state[p].copy()) for i, p in enumerate(params))
        return {"state": {i: kept for i, kept in found if kept}, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned, or PyTorch's. Raises ValueError if groups or shapes differ."""
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
        for state in self._states.held.values():  # state of another shape, which the next step would refuse
            for name in state.misshapen:
                del state.stored[name]
        self._synchronize()
        for key in self._states.held.keys() - self._locations.keys():
            del self._states[key]
        start = 0
        for rule, count in zip(self._rules, counts, strict=True):
            numbers = range(len(rule.parameters))
            of_each = [kept.get(start + i, {}) for i in numbers]
            # SGD stores no count: a parameter that has state was updated once or more.
            steps = [int(of.pop(STEP, max(1, count or 0) if of else 0)) for of in of_each]
            rule.iterations.assign(max(steps, default=0) if count is None else count)
            for p, of in zip(rule.parameters, of_each, strict=True):
                self.state[p].reset()
                self.state[p].update({name: value for name, value in of.items() if value is not None})
            rule.set_steps(numbers, steps)
            start += len(rule.parameters)
