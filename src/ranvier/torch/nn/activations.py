"""Activation functions as modules: one row each, with PyTorch's arguments and defaults."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ranvier.module import Module, register_module
from ranvier.ops.torch import arguments as operations
from ranvier.torch.nn import functional as F
from ranvier.torch.nn.functional.activations import usual_dim

__all__ = [
    "CELU", "ELU", "GELU", "GLU", "SELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity",
    "LeakyReLU", "LogSigmoid", "LogSoftmax", "Mish", "ReLU", "ReLU6", "SiLU", "Sigmoid", "Softmax", "Softmin",
    "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink", "Threshold",
]  # fmt: skip


class _Activation(Module):
    """One function of one tensor; what it was constructed with are attributes, which may be changed."""

    function: Callable[..., Any]
    defaults: dict[str, Any]
    passed: tuple[str, ...]
    inplace = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        signature = inspect.signature(type(self).__init__)
        given = signature.bind(self, *args, **kwargs)
        given.apply_defaults()
        self.__dict__.update({name: given.arguments[name] for name in self.passed})
        if "inplace" in given.arguments:
            self.inplace = given.arguments["inplace"]

    @property
    def options(self) -> dict[str, Any]:
        """What the function is called with."""
        options = {name: getattr(self, name) for name in self.passed}
        return {**options, "inplace": True} if self.inplace else options

    def forward(self, input: Any) -> Any:
        if self.passed or self.inplace:
            return type(self).function(input, **self.options)
        return type(self).function(input)

    def extra_repr(self) -> str:
        told = self.options
        return ", ".join(f"{name}={value!r}" for name, value in told.items())


def _activation(name: str, function: Any, doc: str, *inplace: str, **defaults: Any) -> Any:
    """The class of a row; its arguments go to the function, which may take "inplace" too."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    arguments = [inspect.Parameter(n, kind, default=v) for n, v in defaults.items()]
    arguments += [inspect.Parameter(n, kind, default=False) for n in inplace]

    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        _Activation.__init__(self, *args, **kwargs)

    construct.__signature__ = inspect.Signature([inspect.Parameter("self", kind), *arguments])  # type: ignore[attr-defined]  # what inspect reads
    body = {
        "__doc__": doc, "__init__": construct, "__module__": __name__,
        "function": staticmethod(function), "defaults": defaults, "passed": tuple(defaults),
    }  # fmt: skip
    return register_module(type(name, (_Activation,), body), name=f"torch.{name}")


def _last(function: Any) -> Any:
    """PyTorch's rule for a ``dim`` that was left out: 0 for 0, 1 and 3 dimensions, else 1."""

    def along(input: Any, dim: int | None) -> Any:
        return function(input, usual_dim(input) if dim is None else dim)

    return along


ReLU = _activation("ReLU", F.relu, "``max(x, 0)``.", "inplace")
ReLU6 = _activation("ReLU6", F.relu6, "``max(x, 0)``, at most 6.", "inplace")
LeakyReLU = _activation(
    "LeakyReLU",
    F.leaky_relu,
    "``x`` where positive, else ``negative_slope * x``.",
    "inplace",
    negative_slope=0.01,
)
ELU = _activation("ELU", F.elu, "``x`` where positive, else ``alpha * (exp(x) - 1)``.", "inplace", alpha=1.0)
SELU = _activation("SELU", F.selu, "The self-normalizing ELU (Klambauer et al., 2017).", "inplace")
GELU = _activation("GELU", F.gelu, "``x * Phi(x)``, exact or with tanh.", approximate="none")
SiLU = _activation("SiLU", F.silu, "``x * sigmoid(x)``.", "inplace")
Mish = _activation("Mish", F.mish, "``x * tanh(softplus(x))``.", "inplace")
Sigmoid = _activation("Sigmoid", F.sigmoid, "``1 / (1 + exp(-x))``.")
LogSigmoid = _activation("LogSigmoid", F.logsigmoid, "``log(sigmoid(x))``, stable.")
Tanh = _activation("Tanh", F.tanh, "The hyperbolic tangent.")
Softplus = _activation(
    "Softplus",
    F.softplus,
    "``log(1 + exp(beta * x)) / beta``, and ``x`` where ``beta * x`` is above ``threshold``.",
    beta=1.0,
    threshold=20.0,
)
Softsign = _activation("Softsign", F.softsign, "``x / (1 + |x|)``.")
Hardsigmoid = _activation("Hardsigmoid", F.hardsigmoid, "``relu6(x + 3) / 6``.", "inplace")
Hardswish = _activation("Hardswish", F.hardswish, "``x * hardsigmoid(x)``.", "inplace")
Hardtanh = _activation(
    "Hardtanh", F.hardtanh, "``x`` kept within [min_val, max_val].", "inplace", min_val=-1.0, max_val=1.0
)
Softmax = _activation(
    "Softmax", _last(operations.softmax), "``exp(x) / sum(exp(x))`` along ``dim``.", dim=None
)
LogSoftmax = _activation("LogSoftmax", _last(operations.log_softmax), "The logarithm of softmax.", dim=None)
CELU = _activation(
    "CELU", F.celu, "``x`` where positive, else ``alpha * (exp(x / alpha) - 1)``.", "inplace", alpha=1.0
)
GLU = _activation("GLU", F.glu, "The first half along ``dim`` times the sigmoid of the second.", dim=-1)
Softshrink = _activation("Softshrink", F.softshrink, "``x`` moved toward 0 by ``lambd``.", lambd=0.5)
Hardshrink = _activation(
    "Hardshrink", F.hardshrink, "``x``, and 0 where it is within ``lambd`` of 0.", lambd=0.5
)
Threshold = _activation(
    "Threshold", F.threshold, "``x`` where it is above the threshold, else ``value``.", "inplace",
    threshold=inspect.Parameter.empty, value=inspect.Parameter.empty,
)  # fmt: skip
Tanhshrink = _activation("Tanhshrink", F.tanhshrink, "``x - tanh(x)``.")
Softmin = _activation("Softmin", _last(F.softmin), "Softmax of ``-x``.", dim=None)


@register_module(name="torch.Identity")
class Identity(Module):
    """``x`` itself, whatever it was constructed with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        del args, kwargs
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input
