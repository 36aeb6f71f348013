"""A model as Keras's description of it, and the tree of its weights."""

from __future__ import annotations

from typing import Any

from ranvier.interop.keras import describe, training, weights
from ranvier.interop.keras.hdf5 import Tree
from ranvier.interop.keras.values import ConfigError
from ranvier.module import Module

VERSION = "3.8.0"  # of Keras, whose files these are like


def configuration(model: Module, include_optimizer: bool) -> tuple[dict[str, Any], Tree]:
    """Keras's description of a model, and the tree of its weights. Raises TypeError naming a layer that Keras lacks."""
    try:
        words = describe.network(model)
    except ConfigError as error:
        raise TypeError(f"{model.name!r} cannot be written as a model of Keras: {error}.") from None
    settings, variables = training.described(model) if include_optimizer else ({}, [])
    tree = weights.collected(model)
    for i, array in enumerate(variables):
        tree.arrays[f"optimizer/vars/{i}"] = array
    if variables:
        tree.attributes["optimizer/vars"] = {"name": settings["optimizer"]["config"]["name"]}
    return words | ({"compile_config": settings} if settings else {}), tree
