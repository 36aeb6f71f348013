"""Activation functions by their Keras names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.graph.node import Node
from ranvier.ops.functional import activations as bodies
from ranvier.ops.functional.activations import *  # noqa: F403 - its __all__ is part of this one
from ranvier.support.errors import missing
from ranvier.support.registry import Registry
from ranvier.tensor.function import function

__all__ = ["get", "linear"]
__all__ += bodies.__all__


@function
def linear(x: Node) -> Node:
    """``x`` itself."""
    return x


REGISTRY = Registry(
    "activation",
    None,
    (globals()[name] for name in __all__ if name != "get"),
    aliases={"swish": "silu", "hard_swish": "hard_silu"},
    callables=True,
    form="a name or a function",
    example="'relu' or activations.relu",
)  # fmt: skip


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
    return REGISTRY.find(activation) if isinstance(activation, str) else REGISTRY.get(activation)


__getattr__, __dir__ = missing(
    globals(), "ranvier.activations", __all__, REGISTRY.lazy("ranvier.activations")
)
