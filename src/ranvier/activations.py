"""Activation functions by their Keras names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.graph.node import Node
from ranvier.ops.functional import (
    celu,
    elu,
    exponential,
    gelu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softmax,
    softplus,
    softsign,
    squareplus,
    tanh,
    tanh_shrink,
)
from ranvier.support.errors import missing, no_such
from ranvier.tensor.function import function

__all__ = [
    "celu",
    "elu",
    "exponential",
    "gelu",
    "get",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "squareplus",
    "tanh",
    "tanh_shrink",
]


@function
def linear(x: Node) -> Node:
    """``x`` itself."""
    return x


_OTHER_NAMES = {"swish": silu, "hard_swish": hard_silu}


def names() -> dict[str, Callable[..., Any]]:
    """Every name that `get` knows, and its function."""
    return {name: globals()[name] for name in __all__ if name != "get"} | _OTHER_NAMES


def get(activation: Any) -> Callable[..., Any]:
    """The activation of this name; a function is returned as it is, None is `linear`.

    Raises ValueError naming the nearest name that exists, TypeError for anything else.
    """
    if activation is None:
        return linear
    if isinstance(activation, type):
        raise TypeError(
            f"an activation is a name or a function, and {activation.__name__} is a class. Write "
            f"{activation.__name__}() instead."
        )
    if isinstance(activation, np.ufunc):
        raise TypeError(
            f"np.{activation.__name__} computes with numbers, and an activation with tensors. Write a function of one "
            f"tensor, with rv.ops.{activation.__name__}, or a name such as 'relu', instead."
        )
    if callable(activation):
        return activation
    if not isinstance(activation, str):
        raise TypeError(
            f"an activation is a name or a function, not {activation!r}. Write 'relu', for example."
        )
    known = names()
    if activation not in known:
        raise no_such("activation", activation, known)
    return known[activation]


__getattr__, __dir__ = missing(
    globals(),
    "ranvier.activations",
    __all__,
    {other: f"ranvier.activations:{function.__name__}" for other, function in _OTHER_NAMES.items()},
)
