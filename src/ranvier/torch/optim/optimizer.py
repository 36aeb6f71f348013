"""What the optimizers of the PyTorch vocabulary share: parameters in groups, each group with settings of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ranvier import optimizers, tape
from ranvier.module import Module
from ranvier.optimizers.settings import as_rate
from ranvier.tensor import Tensor

_NAMES = {"lr": "learning_rate", "eps": "epsilon", "alpha": "rho"}
# What a group may have beside its settings: its name, and what schedulers keep there, to go on where one stopped.
_KEPT = ("name", "initial_lr", "max_lr", "min_lr", "swa_lr", "max_momentum", "base_momentum")


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
        elif new != getattr(rule, setting):
            rule.vary(setting, new)


class Optimizer:
    """What all optimizers share, and what an optimizer of one's own derives from.

    ``params`` is an iterable of parameters, or of dicts with settings for each group; ``defaults`` the settings of
    groups that have none of their own. A subclass writes ``step``, which goes over ``param_groups``, changes ``p.data``
    (or ``p`` under ``no_grad``) and may keep what it likes of each parameter in ``state[p]``.
    """

    _stepped = True  # what a subclass does in its step is not known here

    def __init__(self, params: Iterable[Any], defaults: Mapping[str, Any]) -> None:
        self.defaults = dict(defaults)
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        if isinstance(params, Tensor):
            raise TypeError(
                f"{type(self).__name__} takes a list of parameters. Write model.parameters() or [w] instead."
            )
        if isinstance(params, Module):
            raise TypeError(
                f"{type(self).__name__} takes parameters, and here is a {type(params).__name__}. Write "
                "net.parameters() instead."
            )
        if callable(params):
            raise TypeError(
                f"{type(self).__name__} takes parameters, and here is a function. Write net.parameters() instead of "
                "net.parameters."
            )
        groups = list(params)
        if not groups:
            raise ValueError(f"{type(self).__name__} got an empty list of parameters. Is the model built?")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add parameters, with settings of their own where the mapping holds some."""
        chosen = param_group["params"]
        params = [chosen] if isinstance(chosen, Tensor) else list(chosen)
        for p in params:
            if not isinstance(p, Tensor) or not p.is_leaf:
                raise TypeError(f"an optimizer changes leaves, such as model.parameters(), not {p!r}.")
        known = {id(p) for group in self.param_groups for p in group["params"]}
        if len({*map(id, params)} | known) < len(params) + len(known):
            raise ValueError("a parameter appears twice in the optimizer's parameters.")
        self.param_groups.append({**self.defaults, **param_group, "params": params})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or with ``set_to_none=False`` fill them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None if set_to_none or p.grad is None else Tensor.wrap(np.zeros(p.shape, p.dtype))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; ``closure`` computes the loss again and is called first."""
        raise NotImplementedError(
            f"{type(self).__name__} does not say what a step is. Write: def step(self, closure=None)"
        )

    @property
    def stepped(self) -> bool:
        """Whether a step was made, as far as that is known."""
        return self._stepped

    @property
    def momentum_name(self) -> str | None:
        """The setting that holds the momentum: "momentum", "betas" (the first of them), or None."""
        return next((name for name in ("betas", "momentum") if name in self.defaults), None)

    def set_momentums(self, values: Iterable[float]) -> None:
        """Set each group's momentum, or first beta."""
        name = self.momentum_name
        if name is None:
            raise ValueError(
                f"{type(self).__name__} has neither momentum nor betas. Write cycle_momentum=False instead."
            )
        for group, value in zip(self.param_groups, values, strict=True):
            group[name] = (value, *group[name][1:]) if name == "betas" else value

    def _numbered(self) -> list[dict[str, Any]]:
        """The groups with the parameters as numbers, counted through all groups."""
        groups, start = [], 0
        for group in self.param_groups:
            numbers = list(range(start, start + len(group["params"])))
            groups.append({**{k: v for k, v in group.items() if k != "params"}, "params": numbers})
            start += len(numbers)
        return groups

    def _load_groups(self, theirs: Sequence[Mapping[str, Any]]) -> None:
        sizes = [len(g["params"]) for g in self.param_groups]
        if [len(g["params"]) for g in theirs] != sizes:
            raise ValueError(
                f"the state is of groups of {[len(g['params']) for g in theirs]} parameters; here are {sizes}."
            )
        for group, saved in zip(self.param_groups, theirs, strict=True):
            group.update({k: v for k, v in saved.items() if k != "params"})

    def state_dict(self) -> dict[str, Any]:
        """What ``state`` holds of each parameter, by its number, and the settings of every group."""
        params = [p for group in self.param_groups for p in group["params"]]
        return {
            "state": {i: dict(self.state[p]) for i, p in enumerate(params) if p in self.state},
            "param_groups": self._numbered(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave. Raises ValueError where groups differ."""
        self._load_groups(state_dict["param_groups"])
        params = [p for group in self.param_groups for p in group["params"]]
        self.state.clear()
        for i, kept in state_dict["state"].items():
            self.state[params[i]] = {
                k: v.detach().clone() if isinstance(v, Tensor) else v for k, v in kept.items()
            }

    def __repr__(self) -> str:
        lines = [
            f"  group {i}: " + ", ".join(f"{k}={v}" for k, v in group.items() if k != "params")
            for i, group in enumerate(self.param_groups)
        ]
        return f"{type(self).__name__}(\n" + "\n".join(lines) + "\n)"


class RuledOptimizer(Optimizer):
    """An optimizer of the library: a rule of `ranvier.optimizers` for each group.

    The settings in ``param_groups`` may be changed at any time. A changed ``lr`` compiles nothing anew; a changed
    ``momentum`` or ``betas[0]`` does the first time, and never again. ``lr`` may be a schedule of
    `ranvier.optimizers.schedules`.
    """

    rule: type[optimizers.Optimizer]
    coupled = True

    def __init__(self, params: Iterable[Any], settings: Mapping[str, Any]) -> None:
        self._rules: list[optimizers.Optimizer] = []
        self._applied: list[list[Any]] = []  # of each group the settings that its rule has
        self._stepped = False
        super().__init__(
            params,
            {
                name: as_rate(type(self).__name__, v, "lr") if name == "lr" else v
                for name, v in settings.items()
            },
        )

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        unknown = param_group.keys() - self.defaults.keys() - {"params", *_KEPT}
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no settings {sorted(unknown)}; it has {sorted(self.defaults)}."
            )
        super().add_param_group(param_group)
        group = self.param_groups.pop()  # which it is only where the rule takes its settings
        own = {name: group[name] for name in self.defaults}
        rule = self.rule(**{"coupled": self.coupled, "formula": "torch", **_options(own)})
        rule.attach(group["params"])
        rule.sync = self._apply  # for `fit`, which knows the rule alone
        self.param_groups.append(group)
        self._rules.append(rule)
        self._applied.append(list(own.values()))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; all that is pending and the update run as one program."""
        loss = None if closure is None else closure()
        self._stepped = True
        self._apply()
        segments = [rule.record() for rule in self._rules]
        for segment in segments:
            if segment is not None:
                tape.flush(segment)
        return loss

    @property
    def stepped(self) -> bool:
        """Whether a step was made, here or within `fit`."""
        return self._stepped or any(rule.iterations.item() for rule in self._rules)

    def _apply(self) -> None:
        """Give the rules the settings that were changed in their groups."""
        for group, rule, applied in zip(self.param_groups, self._rules, self._applied, strict=True):
            now = [group[name] for name in self.defaults]
            if now == applied:
                continue
            for name, old, new in zip(self.defaults, applied, now, strict=True):
                if old != new:
                    change(rule, name, new)
            applied[:] = now

    def set_momentums(self, values: Iterable[float]) -> None:
        """Set each group's momentum, or first beta, to a value that will change again: an input of the program."""
        given = list(values)
        super().set_momentums(given)
        setting = "beta_1" if self.momentum_name == "betas" else "momentum"
        for rule, value in zip(self._rules, given, strict=True):
            if setting not in rule.varied:
                rule.vary(setting, value)

    def state_dict(self) -> dict[str, Any]:
        """The state of every group, as arrays by name, and its settings, with the parameters as numbers."""
        return {
            "state": {i: rule.state() for i, rule in enumerate(self._rules)},
            "param_groups": self._numbered(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave. Raises ValueError where groups or shapes differ."""
        self._load_groups(state_dict["param_groups"])
        self._apply()
        for i, rule in enumerate(self._rules):
            rule.set_state(state_dict["state"][i])
