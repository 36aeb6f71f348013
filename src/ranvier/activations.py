"""Activation functions by their Keras names: the rows of the table of operations that are one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.ops import vocabulary
from ranvier.support.errors import missing
from ranvier.support.registry import Registry
from ranvier.support.serialized import deserializer, serialize_keras_object

_FUNCTIONS = {name: vocabulary.find("activation", name) for name in vocabulary.names("activation")}

REGISTRY = Registry(
    "activation",
    None,
    tuple(function for name, function in _FUNCTIONS.items() if name == function.__name__),
    aliases={name: function for name, function in _FUNCTIONS.items() if name != function.__name__},
    callables=True,
    form="a name or a function",
    example="'relu' or activations.relu",
)
__all__ = sorted(["deserialize", "get", "serialize", *(name for name in _FUNCTIONS if name not in REGISTRY.aliases)])  # noqa: PLE0605 - the table's


def get(activation: str | Callable[..., Any] | None) -> Callable[..., Any]:
    """The activation of this name; a function is returned as it is, None is `linear`.

    Raises ValueError naming the nearest name that exists, TypeError for anything else.
    """
    if activation is None:
        return REGISTRY.find("linear")
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


deserialize = deserializer(get)


def serialize(activation: Callable[..., Any]) -> Any:
    """The name of an activation of the library; a description of another function that is registered, or of a layer."""
    name = getattr(activation, "__name__", "")
    return name if _FUNCTIONS.get(name) is activation else serialize_keras_object(activation)


__getattr__, __dir__ = missing(
    "ranvier.activations",
    __all__,
    {name: f"ranvier.activations:{function.__name__}" for name, function in REGISTRY.aliases.items()},
    made=lambda name: _FUNCTIONS[name],
)
