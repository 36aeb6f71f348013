"""What programs written for Keras take from its ``saving``: registered classes, and architectures as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ranvier.interop.files import load_model, load_weights, save, save_weights
from ranvier.layers import Input
from ranvier.module import Functional, Module, Sequential, from_architecture
from ranvier.module.registered import (
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from ranvier.module.serialization import classes_of
from ranvier.support.custom_objects import custom_object_scope
from ranvier.support.errors import missing
from ranvier.support.serialized import deserialize_keras_object, serialize_keras_object

__all__ = [
    "CustomObjectScope", "clone_model", "custom_object_scope", "deserialize_keras_object", "get_custom_objects",
    "get_registered_name", "get_registered_object", "load_model", "load_weights", "model_from_json",
    "register_keras_serializable", "save_model", "save_weights", "serialize_keras_object",
]  # fmt: skip

save_model = save
CustomObjectScope = custom_object_scope


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The network that ``model.to_json()`` describes, with fresh weights. Raises ValueError for any other text."""
    return from_architecture(json.loads(json_string), custom_objects)


def clone_model(model: Any, clone_function: Callable[[Any], Any] | None = None) -> Any:
    """The same network with fresh weights, of what ``clone_function`` returns for each layer where it is given.

    Raises TypeError naming a layer whose arguments cannot be written, and for a function where the network is no
    Sequential and not described by its inputs and outputs.
    """
    if clone_function is None:
        return from_architecture(model.architecture(), classes_of(model))

    def clone(layer: Any) -> Any:
        if isinstance(layer, Input):
            return Input(batch_shape=layer.shape, dtype=layer.dtype, name=layer.name)
        return clone_function(layer)

    if isinstance(model, Sequential):
        known = model._input_type
        start: list[Any] = [] if known is None else [Input(known.shape[1:], known.dtype)]  # type: ignore[arg-type]
        return Sequential([*start, *map(clone, model)], name=model.name)
    if isinstance(model, Module) and model._recorded is not None and not model._own_arguments:
        config = model.config()
        copy = Functional.from_config({**config, "layers": list(map(clone, config["layers"]))})
        copy.name = model.name
        return copy
    raise TypeError(
        f"clone_function is given the layers of a Sequential or of rv.Model(inputs, outputs), and {model.name!r} is a "
        f"{type(model).__name__}. Write clone_model(model), or make the network anew, instead."
    )


__getattr__, __dir__ = missing("ranvier.saving", __all__)
