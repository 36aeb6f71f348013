"""What programs written for Keras take from its ``saving``: registered classes, and architectures as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ranvier.module import Module, from_architecture, register_module
from ranvier.module.architecture import classes_of, custom_object_scope
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


def clone_model(model: Any) -> Any:
    """The same network with fresh weights. Raises TypeError naming a layer whose arguments cannot be written."""
    return from_architecture(model.architecture(), classes_of(model))


__getattr__, __dir__ = missing("ranvier.saving", __all__)
