"""``torch.optim``: PyTorch's names, arguments and defaults for the rules of `ranvier.optimizers`."""

from __future__ import annotations

from inspect import Parameter
from typing import Any

from ranvier import optimizers
from ranvier.support.errors import missing
from ranvier.support.function_classes import class_of, option
from ranvier.torch.optim import lr_scheduler, swa_utils
from ranvier.torch.optim.lbfgs import LBFGS
from ranvier.torch.optim.optimizer import Optimizer
from ranvier.torch.optim.optimizer_adapter import EXECUTION, OptimizerAdapter

__all__ = [
    "ASGD", "LBFGS", "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Muon", "NAdam", "Optimizer",
    "RAdam", "RMSprop", "Rprop", "SparseAdam", "lr_scheduler", "swa_utils",
]  # fmt: skip

_MOMENTS: dict[str, Any] = {"betas": (0.9, 0.999), "eps": 1e-8}


def _optimizer(
    name: str,
    rule: type[optimizers.Optimizer],
    doc: str,
    /,
    *,
    coupled: bool = True,
    further: bool = True,
    **defaults: Any,
) -> type[OptimizerAdapter]:
    """The class of a rule, with PyTorch's arguments in its order and its defaults.

    ``further``: it takes ``maximize``, and how it is executed.
    """
    pair = "tuple[float, float]"
    kinds = {
        "ns_coefficients": "tuple[float, float, float]",
        "adjust_lr_fn": "str | None",
        "betas": pair,
        "etas": pair,
        "step_sizes": pair,
        "lr": "float | Tensor | LearningRateSchedule",
    }
    arguments = [Parameter("params", Parameter.POSITIONAL_OR_KEYWORD, annotation="Iterable[Any]")]
    kinds |= {"eps": "tuple[float | None, float]"} if isinstance(defaults.get("eps"), tuple) else {}
    arguments += [option(n, v, kinds.get(n, type(v).__name__)) for n, v in defaults.items()]
    if further:
        arguments += [option("maximize", False, "bool", by_name=True)]
        arguments += [option(n, None, "bool | None", by_name=True) for n in EXECUTION]
    return class_of(OptimizerAdapter, name, arguments, __doc__=doc, __module__=__name__, rule=rule, coupled=coupled)


SGD = _optimizer(
    "SGD", optimizers.SGD, "Gradient descent, with momentum or Nesterov's.",
    lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False,
)  # fmt: skip
Adam = _optimizer(
    "Adam", optimizers.Adam, "Adam (Kingma and Ba, 2014).",
    lr=1e-3, **_MOMENTS, weight_decay=0.0, amsgrad=False,
)  # fmt: skip
SparseAdam = _optimizer(
    "SparseAdam", optimizers.SparseAdam, "Adam on the rows whose gradient is not 0.", lr=1e-3, **_MOMENTS
)
AdamW = _optimizer(
    "AdamW", optimizers.AdamW, "Adam with decoupled weight decay (Loshchilov and Hutter, 2017).",
    coupled=False, lr=1e-3, **_MOMENTS, weight_decay=1e-2, amsgrad=False,
)  # fmt: skip
Adamax = _optimizer(
    "Adamax", optimizers.Adamax, "Adam's variant for the infinity norm.", lr=2e-3, **_MOMENTS, weight_decay=0.0
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
RAdam = _optimizer(
    "RAdam", optimizers.RAdam, "Adam whose first steps do without the squares of gradients (Liu et al., 2019).",
    lr=1e-3, **_MOMENTS, weight_decay=0.0, decoupled_weight_decay=False,
)  # fmt: skip
Rprop = _optimizer(
    "Rprop", optimizers.Rprop, "Steps by the signs of gradients (Riedmiller and Braun, 1993).",
    lr=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0),
)  # fmt: skip
ASGD = _optimizer(
    "ASGD", optimizers.ASGD, "Gradient descent, and the mean of the weights (Polyak and Juditsky, 1992).",
    lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0.0,
)  # fmt: skip
Muon = _optimizer(
    "Muon", optimizers.Muon, "Steps of matrices by their momentum, made nearly orthogonal (Jordan et al., 2024).",
    coupled=False, further=False, lr=1e-3, weight_decay=0.1, momentum=0.95, nesterov=True,
    ns_coefficients=(3.4445, -4.775, 2.0315), eps=1e-7, ns_steps=5, adjust_lr_fn=None,
)  # fmt: skip
Adafactor = _optimizer(
    "Adafactor", optimizers.Adafactor, "Second moments of rows and columns (Shazeer and Stern, 2018).",
    coupled=False, lr=1e-2, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0,
)  # fmt: skip

__getattr__, __dir__ = missing("torch.optim", __all__)
