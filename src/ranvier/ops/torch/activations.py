"""Activations as ``torch.nn.functional`` names them."""

from __future__ import annotations

import warnings
from typing import Any

from ranvier.graph.node import GraphError, Node, like
from ranvier.ops import arrays, functional
from ranvier.ops.arrays.promotion import floating
from ranvier.ops.torch import arguments
from ranvier.ops.torch.inplace import changing, written
from ranvier.tensor.function import function, renamed


def _with_inplace(function: Any, name: str = "") -> Any:
    """A function of one tensor that takes PyTorch's ``inplace``, under its name there."""

    def activation(input: Any, inplace: bool = False) -> Any:
        result = function(input)
        return written(input, result, inplace) if inplace else result

    activation.__name__, activation.__doc__ = name or function.__name__, function.__doc__
    return activation


relu, relu6, selu, silu, mish = (
    _with_inplace(f)
    for f in (functional.relu, functional.relu6, functional.selu, functional.silu, functional.mish)
)


hardsigmoid = _with_inplace(functional.hard_sigmoid, "hardsigmoid")
hardswish = _with_inplace(functional.hard_silu, "hardswish")


softsign = renamed(functional.softsign, "input")


logsigmoid = renamed(functional.log_sigmoid, "input")


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """``x`` where positive, else ``negative_slope * x``."""
    return written(input, functional.leaky_relu(input, negative_slope), inplace)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """``x`` where positive, else ``alpha * (exp(x) - 1)``."""
    return written(input, functional.elu(input, alpha), inplace)


def gelu(input: Any, approximate: str = "none") -> Any:
    """``x * Phi(x)``, exact, or with ``approximate="tanh"`` by the formula with tanh."""
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu knows no approximation {approximate!r}. Write 'none' or 'tanh' instead.")
    return functional.gelu(input, approximate == "tanh")


@function
def softplus(input: Node, beta: float = 1.0, threshold: float = 20.0) -> Node:
    """``log(1 + exp(beta * x)) / beta``, and ``x`` itself where ``beta * x`` is above ``threshold``."""
    x = floating(input)
    linear = arrays.less(threshold, arrays.multiply(x, beta))
    curved: Node = functional.softplus(arrays.where(linear, 0, x), beta)
    return arrays.where(linear, x, curved)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """``x`` kept within [min_val, max_val]."""
    return written(input, functional.hard_tanh(input, min_val, max_val), inplace)


def usual_dim(input: Any) -> int:
    """PyTorch's rule for a ``dim`` that was left out: 0 for 0, 1 and 3 dimensions, else 1."""
    return 0 if input.ndim in (0, 1, 3) else 1


def _along(operation: Any) -> Any:
    """A function along a dimension, which is chosen, with PyTorch's warning, where it is left out."""

    def activation(
        input: Any,
        dim: int | None = None,
        _stacklevel: int = 3,
        dtype: Any = None,
        *,
        axis: int | None = None,
    ) -> Any:
        dim = axis if dim is None else dim
        if dim is None:
            dim = usual_dim(input)
            warnings.warn(
                f"{operation.__name__} without a dimension: it is {dim} here. Write dim={dim} instead.",
                UserWarning,
                stacklevel=_stacklevel - 1,
            )
        return operation(input, dim, dtype)

    activation.__name__, activation.__doc__ = operation.__name__, operation.__doc__
    return activation


def _softmin(input: Any, dim: int, dtype: Any = None) -> Any:
    """`softmax` of ``-x``."""
    return arguments.softmax(arrays.negative(input), dim, dtype)


_softmin.__name__ = "softmin"
softmax, log_softmax, softmin = map(_along, (arguments.softmax, arguments.log_softmax, _softmin))


@function
def prelu(input: Node, weight: Node) -> Node:
    """``x`` where positive, else ``weight * x``: a weight (1,), or one for each channel (dimension 1)."""
    x = floating(input)
    if weight.shape != (1,):
        if x.ndim < 2 or weight.shape != (x.shape[1],):
            raise GraphError(
                f"prelu of {x.shape} needs a weight for each channel in dimension 1, or one for all"
            )
        weight = arrays.reshape(weight, (weight.shape[0], *(1,) * (x.ndim - 2)))
    return arrays.where(arrays.less(0, x), x, arrays.multiply(x, weight))


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """``x`` where positive, else ``alpha * (exp(x / alpha) - 1)`` (Barron, 2017)."""
    return written(input, _celu(input, alpha), inplace)


@function
def _celu(x: Node, alpha: float) -> Node:
    x = floating(x)
    below = arrays.expm1(arrays.divide(arrays.where(arrays.less(0, x), 0, x), alpha))
    return arrays.where(arrays.less(0, x), x, below * like(x, alpha))


@function
def softshrink(input: Node, lambd: float = 0.5) -> Node:
    """``x`` moved toward 0 by ``lambd``, and 0 where it is nearer than that."""
    x = floating(input)
    low, high = arrays.less(x, -lambd), arrays.less(lambd, x)
    return arrays.where(high, arrays.subtract(x, lambd), arrays.where(low, arrays.add(x, lambd), 0.0))


@function
def hardshrink(input: Node, lambd: float = 0.5) -> Node:
    """``x``, and 0 where it is not farther from 0 than ``lambd``."""
    x = floating(input)
    return arrays.where(arrays.less(lambd, arrays.abs(x)), x, 0.0)


@function
def tanhshrink(input: Node) -> Node:
    """``x - tanh(x)``."""
    x = floating(input)
    return x - arrays.tanh(x)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """``x`` where it is above the threshold, else ``value``."""
    above = arrays.where(arrays.greater(input, threshold), input, value)
    return written(input, above, inplace)


relu_, selu_, elu_, celu_, leaky_relu_, hardtanh_, threshold_ = (
    changing(f) for f in (relu, selu, elu, celu, leaky_relu, hardtanh, threshold)
)
