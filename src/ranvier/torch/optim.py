"""``torch.optim``: PyTorch's names, arguments and defaults over `ranvier.optimizers`, which holds the rules."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ranvier import optimizers, tape
from ranvier.module.names import missing
from ranvier.tensor import Tensor

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "Optimizer", "RMSprop"]

_MOMENTS: dict[str, Any] = {"betas": (0.9, 0.999), "eps": 1e-8}
# PyTorch's choices of how a step is executed; here every step is one program.
_EXECUTION = ("foreach", "capturable", "differentiable", "fused")
_NAMES = {"lr": "learning_rate", "eps": "epsilon", "alpha": "rho"}


def _options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A group's settings as the arguments of the rule."""
    result = {_NAMES.get(name, name): value for name, value in settings.items() if name != "params"}
    if "betas" in result:
        result["beta_1"], result["beta_2"] = result.pop("betas")
    result["weight_decay"] = result["weight_decay"] or None
    if "decoupled_weight_decay" in result:
        result["coupled"] = not result.pop("decoupled_weight_decay")
    return result


class Optimizer:
    """What all optimizers share. ``params`` is an iterable of parameters, or of dicts with settings for each group.

    The settings in ``param_groups`` may be changed at any time; a changed ``lr`` compiles nothing anew.
    """

    rule: type[optimizers.Optimizer]
    defaults: dict[str, Any] = {}  # noqa: RUF012  # one for each class, never changed
    coupled = True

    def __init__(self, params: Iterable[Any], *args: Any, **kwargs: Any) -> None:
        signature = inspect.signature(type(self).__init__)
        given = signature.bind(self, params, *args, **kwargs)
        given.apply_defaults()
        self.settings = {
            name: float(v) if name == "lr" else v
            for name, v in given.arguments.items()
            if name in self.defaults
        }
        self.param_groups: list[dict[str, Any]] = []
        self._rules: list[optimizers.Optimizer] = []
        self._applied: list[tuple[Any, ...]] = []
        if isinstance(params, Tensor):
            raise TypeError(
                f"{type(self).__name__} takes a list of parameters. Write model.parameters() or [w] instead."
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
        unknown = param_group.keys() - self.settings.keys() - {"params"}
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no settings {sorted(unknown)}; it has {sorted(self.settings)}."
            )
        group = {"params": params, **self.settings, **{k: v for k, v in param_group.items() if k != "params"}}
        rule = self.rule(**{"coupled": self.coupled, "formula": "torch", **_options(group)})
        rule.attach(params)
        self.param_groups.append(group)
        self._rules.append(rule)
        self._applied.append(tuple(group.values()))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or with ``set_to_none=False`` fill them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None if set_to_none or p.grad is None else Tensor.wrap(np.zeros(p.shape, p.dtype))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; all that is pending and the update run as one program."""
        loss = None if closure is None else closure()
        segments = []
        for i, (group, rule) in enumerate(zip(self.param_groups, self._rules, strict=True)):
            settings = tuple(group.values())
            if settings != self._applied[i]:
                for name, value in _options(group).items():
                    setattr(rule, name, value)
                self._applied[i] = settings
            segments.append(rule.record())
        for segment in segments:
            if segment is not None:
                tape.flush(segment)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The state of every group, as arrays by name, and its settings, with the parameters as numbers."""
        groups, start = [], 0
        for group in self.param_groups:
            numbers = list(range(start, start + len(group["params"])))
            groups.append({**{k: v for k, v in group.items() if k != "params"}, "params": numbers})
            start += len(numbers)
        return {"state": {i: rule.state() for i, rule in enumerate(self._rules)}, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` gave. Raises ValueError where groups or shapes differ."""
        theirs = state_dict["param_groups"]
        sizes = [len(g["params"]) for g in self.param_groups]
        if [len(g["params"]) for g in theirs] != sizes:
            raise ValueError(
                f"the state is of groups of {[len(g['params']) for g in theirs]} parameters; here are {sizes}."
            )
        for i, (group, saved) in enumerate(zip(self.param_groups, theirs, strict=True)):
            group.update({k: v for k, v in saved.items() if k != "params"})
            self._rules[i].set_state(state_dict["state"][i])

    def __repr__(self) -> str:
        lines = [
            f"  group {i}: " + ", ".join(f"{k}={v}" for k, v in group.items() if k != "params")
            for i, group in enumerate(self.param_groups)
        ]
        return f"{type(self).__name__}(\n" + "\n".join(lines) + "\n)"


def _optimizer(
    name: str, rule: type[optimizers.Optimizer], doc: str, /, *, coupled: bool = True, **defaults: Any
) -> Any:
    """The class of a row: PyTorch's arguments in its order with its defaults, over a rule."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    only = inspect.Parameter.KEYWORD_ONLY
    defaults = {**defaults, "maximize": False}
    arguments = [inspect.Parameter(n, kind) for n in ("self", "params")]
    arguments += [inspect.Parameter(n, kind, default=v) for n, v in defaults.items() if n != "maximize"]
    arguments += [inspect.Parameter("maximize", only, default=False)]
    arguments += [inspect.Parameter(n, only, default=None) for n in _EXECUTION]

    def construct(self: Any, params: Iterable[Any], *args: Any, **kwargs: Any) -> None:
        Optimizer.__init__(self, params, *args, **kwargs)

    construct.__signature__ = inspect.Signature(arguments)  # type: ignore[attr-defined]
    body = {
        "__doc__": doc, "__init__": construct, "__module__": __name__,
        "rule": rule, "defaults": defaults, "coupled": coupled,
    }  # fmt: skip
    return type(name, (Optimizer,), body)


SGD = _optimizer(
    "SGD", optimizers.SGD, "Gradient descent, with momentum or Nesterov's.",
    lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False,
)  # fmt: skip
Adam = _optimizer(
    "Adam",
    optimizers.Adam,
    "Adam (Kingma and Ba, 2014).",
    lr=1e-3,
    **_MOMENTS,
    weight_decay=0.0,
    amsgrad=False,
)
AdamW = _optimizer(
    "AdamW", optimizers.AdamW, "Adam with decoupled weight decay (Loshchilov and Hutter, 2017).",
    coupled=False, lr=1e-3, **_MOMENTS, weight_decay=1e-2, amsgrad=False,
)  # fmt: skip
Adamax = _optimizer(
    "Adamax",
    optimizers.Adamax,
    "Adam's variant for the infinity norm.",
    lr=2e-3,
    **_MOMENTS,
    weight_decay=0.0,
)
NAdam = _optimizer(
    "NAdam", optimizers.NAdam, "Adam with Nesterov momentum (Dozat, 2016).",
    lr=2e-3, **_MOMENTS, weight_decay=0.0, momentum_decay=4e-3, decoupled_weight_decay=False,
)  # fmt: skip
RMSprop = _optimizer(
    "RMSprop", optimizers.RMSprop, "Gradients over the root of their running mean square.",
    lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False,
)  # fmt: skip
Adagrad = _optimizer(
    "Adagrad", optimizers.Adagrad, "Gradients over the root of the sum of their squares (Duchi et al., 2011).",
    lr=1e-2, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10,
)  # fmt: skip
Adadelta = _optimizer(
    "Adadelta", optimizers.Adadelta, "Adadelta (Zeiler, 2012).", lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.0
)

__getattr__ = missing("torch.optim", __all__)
