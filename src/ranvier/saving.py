"""What programs written for Keras take from its ``saving``: registered classes, and architectures as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ranvier.layers import Input
from ranvier.module import Module, Sequential, from_architecture, register_module
from ranvier.module.architecture import classes_of, custom_object_scope
from ranvier.module.functional import Functional
from ranvier.names import missing
from ranvier.training import load_model, save

__all__ = [
    "CustomObjectScope", "clone_model", "custom_object_scope", "get_registered_name", "load_model", "model_from_json",
    "register_keras_serializable", "save_model",
]  # fmt: skip

save_model = save
CustomObjectScope = custom_object_scope


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Any], Any]:
    """Let models with this class be saved and loaded: `ranvier.register_module`, written as Keras does.

    Files hold no functions: of one, and of any class that is no module, nothing is registered.
    """

    def decorate(thing: Any) -> Any:
        if isinstance(thing, type) and issubclass(thing, Module):
            register_module(thing, name=name or thing.__name__)
        return thing

    return decorate


def get_registered_name(obj: Any) -> str:
    """The name by which files know a class."""
    return str(vars(obj).get("_registered") or obj.__name__)


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
    if isinstance(model, Functional) and not model._own_arguments:
        config = model.config()
        twin = Functional.from_config({**config, "layers": list(map(clone, config["layers"]))})
        twin.name = model.name
        return twin
    raise TypeError(
        f"clone_function is given the layers of a Sequential or of rv.Model(inputs, outputs), and {model.name!r} is a "
        f"{type(model).__name__}. Write clone_model(model), or make the network anew, instead."
    )


__getattr__, __dir__ = missing("ranvier.saving", __all__)
