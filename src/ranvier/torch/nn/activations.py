"""Activation functions as modules, with PyTorch's arguments and defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ranvier.module import Module, register_module
from ranvier.ops.torch.activations import usual_dim
from ranvier.support.function_classes import class_of, options_of
from ranvier.torch.nn import functional as F


class _Activation(Module):
    """A function of one tensor; the constructor's arguments are attributes, which you may change."""

    function: Callable[..., Any]
    passed: tuple[str, ...]
    inplace = False

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.__dict__.update(options)

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the function."""
        options = {name: getattr(self, name) for name in self.passed}
        return {**options, "inplace": True} if self.inplace else options

    def forward(self, input: Any) -> Any:
        if self.passed or self.inplace:
            return self.function(input, **self.options)
        return self.function(input)

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())


def _activation(name: str, function: Callable[..., Any]) -> type[_Activation]:
    """A class made from a function of one tensor, with the function's other arguments and docstring."""
    options = options_of(function, 1)
    passed = tuple(option for option in options if option != "inplace")
    members = {"__doc__": function.__doc__, "__module__": __name__, "function": staticmethod(function)}
    made = class_of(_Activation, name, options.values(), passed=passed, **members)
    register_module(made, name=f"torch.{name}")
    return made


def _with_usual_dim(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function along ``dim``, by default PyTorch's choice: 0 for 0, 1 and 3 dimensions, else 1."""

    def activation(input: Any, dim: int | None = None) -> Any:
        return function(input, usual_dim(input) if dim is None else dim)

    activation.__doc__ = function.__doc__
    return activation


ReLU = _activation("ReLU", F.relu)
ReLU6 = _activation("ReLU6", F.relu6)
LeakyReLU = _activation("LeakyReLU", F.leaky_relu)
ELU = _activation("ELU", F.elu)
SELU = _activation("SELU", F.selu)
CELU = _activation("CELU", F.celu)
GELU = _activation("GELU", F.gelu)
SiLU = _activation("SiLU", F.silu)
Mish = _activation("Mish", F.mish)
GLU = _activation("GLU", F.glu)
Sigmoid = _activation("Sigmoid", F.sigmoid)
LogSigmoid = _activation("LogSigmoid", F.logsigmoid)
Tanh = _activation("Tanh", F.tanh)
Softplus = _activation("Softplus", F.softplus)
Softsign = _activation("Softsign", F.softsign)
Softshrink = _activation("Softshrink", F.softshrink)
Softmax = _activation("Softmax", _with_usual_dim(F.softmax))
LogSoftmax = _activation("LogSoftmax", _with_usual_dim(F.log_softmax))
Softmin = _activation("Softmin", _with_usual_dim(F.softmin))
Hardsigmoid = _activation("Hardsigmoid", F.hardsigmoid)
Hardswish = _activation("Hardswish", F.hardswish)
Hardtanh = _activation("Hardtanh", F.hardtanh)
Hardshrink = _activation("Hardshrink", F.hardshrink)
Tanhshrink = _activation("Tanhshrink", F.tanhshrink)
Threshold = _activation("Threshold", F.threshold)


@register_module(name="torch.Identity")
class Identity(Module):
    """``x`` itself; all arguments of the constructor are ignored."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        del args, kwargs
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


@register_module(name="torch.RReLU")
class RReLU(Module):
    """`ReLU` with a slope below 0: random from ``lower`` to ``upper`` while training, else their mean."""

    _shown = "lower={lower}, upper={upper}"

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Any) -> Any:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)
