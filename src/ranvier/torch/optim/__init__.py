"""``torch.optim``: PyTorch's names, arguments and defaults over `ranvier.optimizers`, which holds the rules."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from ranvier import optimizers
from ranvier.support.errors import missing
from ranvier.torch.optim import lr_scheduler, swa_utils
from ranvier.torch.optim.optimizer import Optimizer
from ranvier.torch.optim.optimizer_adapter import RuledOptimizer

__all__ = [
    "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "Optimizer", "RMSprop", "lr_scheduler",
    "swa_utils",
]  # fmt: skip

_MOMENTS: dict[str, Any] = {"betas": (0.9, 0.999), "eps": 1e-8}
# PyTorch's choices of how a step is executed; here every step is one program.
_EXECUTION = ("foreach", "capturable", "differentiable", "fused")


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

    signature = inspect.Signature(arguments)

    def construct(self: Any, params: Iterable[Any], *args: Any, **kwargs: Any) -> None:
        given = signature.bind(self, params, *args, **kwargs)
        given.apply_defaults()
        RuledOptimizer.__init__(self, params, {n: v for n, v in given.arguments.items() if n in defaults})

    construct.__signature__ = signature  # type: ignore[attr-defined]  # what inspect reads
    body = {
        "__doc__": doc, "__init__": construct, "__module__": __name__,
        "rule": rule, "coupled": coupled,
    }  # fmt: skip
    return type(name, (RuledOptimizer,), body)


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

__getattr__, __dir__ = missing(globals(), "torch.optim", __all__)
