"""Activations whose formula or arguments are those of ``torch.nn.functional``."""

from __future__ import annotations

import warnings
from typing import Any

from ranvier.graph.node import GraphError, Node, like
from ranvier.ops import arrays, functional
from ranvier.ops.arrays.promotion import floating
from ranvier.tensor.function import function


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


def usual_dim(input: Any) -> int:
    """PyTorch's rule for a ``dim`` that was left out: 0 for 0, 1 and 3 dimensions, else 1."""
    return 0 if input.ndim in (0, 1, 3) else 1


def _along(compute: Any, name: str) -> Any:
    """A function along a dimension, which is chosen, with PyTorch's warning, where it is left out."""

    def activation(
        input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None, *, axis: int | None = None
    ) -> Any:
        dim = axis if dim is None else dim
        if dim is None:
            dim = usual_dim(input)
            warnings.warn(
                f"{name} without a dimension: it is {dim} here. Write dim={dim} instead.",
                UserWarning,
                stacklevel=_stacklevel - 1,
            )
        return compute(input if dtype is None else arrays.cast(input, dtype), dim)

    activation.__name__ = activation.__qualname__ = name
    activation.__doc__ = compute.__doc__
    return activation


def _softmin(x: Any, dim: int) -> Any:
    """`softmax` of ``-x``."""
    return functional.softmax(arrays.negative(x), dim)


softmax, log_softmax = _along(functional.softmax, "softmax"), _along(functional.log_softmax, "log_softmax")
softmin = _along(_softmin, "softmin")


@function
def prelu(input: Node, weight: Node) -> Node:
    """``x`` where positive, else ``weight * x``: one weight, or one for each channel (dimension 1)."""
    x = floating(input)
    channels: Any = x.shape[1] if x.ndim > 1 else 1
    if weight.ndim > 1 or weight.shape not in ((), (1,), (channels,)):
        raise GraphError(f"prelu of {x.shape} needs a weight for each channel in dimension 1, or one for all")
    if weight.shape == (channels,) and x.ndim > 1:
        weight = arrays.reshape(weight, (channels, *(1,) * (x.ndim - 2)))
    elif weight.ndim:
        weight = arrays.reshape(weight, ())
    return arrays.where(arrays.less(0, x), x, arrays.multiply(x, weight))


@function
def celu(input: Node, alpha: float = 1.0) -> Node:
    """``x`` where positive, else ``alpha * (exp(x / alpha) - 1)`` (Barron, 2017)."""
    x = floating(input)
    below = arrays.expm1(arrays.divide(arrays.where(arrays.less(0, x), 0, x), alpha))
    return arrays.where(arrays.less(0, x), x, below * like(x, alpha))


@function
def softshrink(input: Node, lambd: float = 0.5) -> Node:
    """``x`` moved toward 0 by ``lambd``, and 0 where it is nearer than that."""
    if lambd < 0:
        raise GraphError(f"lambd={lambd}: write 0 or more")
    x = floating(input)
    low, high = arrays.less(x, -lambd), arrays.less(lambd, x)
    return arrays.where(high, arrays.subtract(x, lambd), arrays.where(low, arrays.add(x, lambd), 0.0))


@function
def hardshrink(input: Node, lambd: float = 0.5) -> Node:
    """``x``, and 0 where it is not farther from 0 than ``lambd``."""
    x = floating(input)
    return arrays.where(arrays.less(lambd, arrays.abs(x)), x, 0.0)
