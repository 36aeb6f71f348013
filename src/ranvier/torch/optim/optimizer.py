"""The base of the optimizers in PyTorch's vocabulary: parameters in groups, each group with its settings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ranvier.module import Module
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.foreign import check_own
from ranvier.tensor.tensor import Tensor, clear_gradients


def in_order(params: Any) -> None:
    """Raise TypeError for a set of parameters: the state depends on their order."""
    if isinstance(params, (set, frozenset)):
        raise TypeError("the parameters are a set, which has no order. Write a list instead.")


def listed(chosen: Any) -> tuple[list[Any], dict[str, Any]]:
    """The parameters of a group, and their names if they were given."""
    in_order(chosen)
    params = [chosen] if isinstance(chosen, Tensor) else list(chosen)
    if params and all(isinstance(p, tuple) and len(p) == 2 for p in params):
        return [p for _, p in params], {"param_names": [name for name, _ in params]}
    return params, {}


def leaves(params: Sequence[Any]) -> None:
    """Raise TypeError for a tensor that is no leaf, and ValueError for a parameter that occurs twice."""
    for p in params:
        if not isinstance(p, Tensor) or not p.is_leaf:
            check_own(p)
            raise TypeError(f"an optimizer changes leaves, such as model.parameters(), not {p!r}.")
    if len({*map(id, params)}) < len(params):
        raise ValueError("a parameter appears twice in the optimizer's parameters.")


class Optimizer(CheckedConstructor):
    """The base of all optimizers, and of your own.

    ``params`` is an iterable of parameters, or of dicts with settings for each group; ``defaults`` are the settings of
    groups that do not give them. A subclass defines ``step``, which goes over ``param_groups``, changes ``p.data`` (or
    ``p`` under ``no_grad``) and may store values of each parameter in ``state[p]``.
    """

    state: Any  # a dict for each parameter
    _stepped = True  # whether a step was made; unknown for a subclass

    def __init__(self, params: Iterable[Any], defaults: Mapping[str, Any]) -> None:
        self.defaults = dict(defaults)
        self.state = defaultdict(dict)
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
        in_order(params)
        groups = list(params)
        if not groups:
            raise ValueError(
                f"{type(self).__name__} got no parameters. Where all are frozen, write requires_grad_(True) for "
                "those to train; where the model has none yet, call it once on a batch before."
            )
        for i, group in enumerate(groups if isinstance(groups[0], Mapping) else [{"params": groups}]):
            if not isinstance(group, Mapping):
                raise TypeError(
                    f"group {i} of {type(self).__name__} is a {type(group).__name__}. Write {{'params': [...]}}, as of "
                    "the groups before it, instead."
                )
            self.add_param_group(group)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a group: its parameters, and the settings that differ from the defaults.

        The names of pairs ``(name, parameter)``, as `named_parameters` returns them, are stored in ``param_names``.
        """
        params, names = listed(param_group["params"])
        leaves([*(p for group in self.param_groups for p in group["params"]), *params])
        self.param_groups.append({**self.defaults, **param_group, **names, "params": params})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients, or with ``set_to_none=False`` fill them with zeros."""
        for group in self.param_groups:
            clear_gradients(group["params"], set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; ``closure``, which computes the loss again, is called first."""
        raise NotImplementedError(f"{type(self).__name__} has no method step. Write: def step(self, closure=None)")

    @property
    def stepped(self) -> bool:
        """Whether a step was made, as far as is known."""
        return self._stepped

    @property
    def momentum_name(self) -> str | None:
        """The name of the momentum setting: "momentum", "betas" (the first of them), or None."""
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
        """The groups with parameters replaced by indices, counted through all groups."""
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
        """The state of each parameter, by its index, and the settings of every group."""
        params = [p for group in self.param_groups for p in group["params"]]
        return {
            "state": {i: dict(self.state[p]) for i, p in enumerate(params) if p in self.state},
            "param_groups": self._numbered(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned. Raises ValueError if groups differ."""
        self._load_groups(state_dict["param_groups"])
        params = [p for group in self.param_groups for p in group["params"]]
        self.state.clear()
        for i, kept in state_dict["state"].items():
            self.state[params[i]] = {k: v.detach().clone() if isinstance(v, Tensor) else v for k, v in kept.items()}

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines += [
                f"Parameter Group {i}",
                *(f"    {key}: {group[key]}" for key in sorted(group) if key != "params"),
                "",
            ]
        return f"{type(self).__name__} (\n" + "\n".join(lines[:-1]) + "\n)"
