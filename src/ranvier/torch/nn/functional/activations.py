"""Activations as ``torch.nn.functional`` names them."""

from __future__ import annotations

from typing import Any

from ranvier import functional, numeric
from ranvier.graph.node import Node
from ranvier.numeric.promotion import floating
from ranvier.recording import function


def _accepting_inplace(function: Any) -> Any:
    """A function of one tensor that takes ``inplace``, which changes nothing: no memory is written twice anyway."""

    def activation(input: Any, inplace: bool = False) -> Any:
        return function(input)

    activation.__name__, activation.__doc__ = function.__name__, function.__doc__
    return activation


relu, relu6, selu, silu, mish = (
    _accepting_inplace(f)
    for f in (functional.relu, functional.relu6, functional.selu, functional.silu, functional.mish)
)


hardsigmoid, hardswish = (_accepting_inplace(f) for f in (functional.hard_sigmoid, functional.hard_silu))


softsign = functional.softsign


logsigmoid = functional.log_sigmoid


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """``x`` where positive, else ``negative_slope * x``."""
    return functional.leaky_relu(input, negative_slope)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """``x`` where positive, else ``alpha * (exp(x) - 1)``."""
    return functional.elu(input, alpha)


def gelu(input: Any, approximate: str = "none") -> Any:
    """``x * Phi(x)``, exact, or with ``approximate="tanh"`` by the formula with tanh."""
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu knows no approximation {approximate!r}. Write 'none' or 'tanh' instead.")
    return functional.gelu(input, approximate == "tanh")


@function
def softplus(input: Node, beta: float = 1.0, threshold: float = 20.0) -> Node:
    """``log(1 + exp(beta * x)) / beta``, and ``x`` itself where ``beta * x`` is above ``threshold``."""
    x = floating(input)
    linear = numeric.less(threshold, numeric.multiply(x, beta))
    curved: Node = functional.softplus(numeric.where(linear, 0, x), beta)
    return numeric.where(linear, x, curved)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """``x`` kept within [min_val, max_val]."""
    return functional.hard_tanh(input, min_val, max_val)


def softmin(input: Any, dim: int) -> Any:
    """`softmax` of ``-x``."""
    return functional.softmax(numeric.negative(input), dim)
