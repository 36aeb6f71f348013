"""Activation functions by their Keras names."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable
from typing import Any

from ranvier.functional import (
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
from ranvier.graph.node import Node
from ranvier.recording import function

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
    if callable(activation):
        return activation
    if not isinstance(activation, str):
        raise TypeError(
            f"an activation is a name or a function, not {activation!r}. Write 'relu', for example."
        )
    known = names()
    if activation not in known:
        near = difflib.get_close_matches(activation.lower(), known, 1, 0.4) or ["relu"]
        raise ValueError(f"activation {activation!r} does not exist. Write {near[0]!r} instead?")
    return known[activation]


@functools.cache
def _face() -> Any:
    from ranvier.module.names import missing  # which stands above this part

    return missing("ranvier.activations", __all__)


def __getattr__(name: str) -> Any:
    return _OTHER_NAMES[name] if name in _OTHER_NAMES else _face()[0](name)


def __dir__() -> list[str]:
    return sorted(__all__)
