"""What programs written for Keras take from its ``saving``: registered classes, and architectures as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ranvier.layers import Input
from ranvier.module import Functional, Module, Sequential, from_architecture, register_module
from ranvier.module.serialization import classes_of
from ranvier.support.custom_objects import OBJECTS, custom_object_scope, name_of, register
from ranvier.support.errors import missing
from ranvier.support.serialized import deserialize_keras_object, serialize_keras_object
from ranvier.training import load_model, save

__all__ = [
    "CustomObjectScope", "clone_model", "custom_object_scope", "deserialize_keras_object", "get_registered_name",
    "load_model", "model_from_json", "register_keras_serializable", "save_model", "serialize_keras_object",
]  # fmt: skip

save_model = save
CustomObjectScope = custom_object_scope


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Any], Any]:
    """Let models with this class or function be saved and loaded, by the name ``package>name``, as Keras does.

    A layer or model needs nothing else (it is `ranvier.register_module`). A regularizer, constraint, initializer, loss,
    metric or learning rate schedule needs a ``get_config`` with its constructor's arguments, where it is no dataclass.
    Files hold the names: where they are loaded, the same is registered, or given as ``custom_objects``. Raises
    ValueError where another class or function of the package has the name, TypeError for anything else.
    """

    def decorate(thing: Any) -> Any:
        if not callable(thing) or not hasattr(thing, "__qualname__"):
            raise TypeError(f"{thing!r} is neither a class nor a function, and only those have names in files.")
        known = f"{package}>{name or thing.__name__}"
        if isinstance(thing, type) and issubclass(thing, Module):
            return register_module(thing, name=known)
        return register(OBJECTS, thing, known)

    return decorate


def get_registered_name(obj: Any) -> str:
    """The name by which files know a class or function. Raises TypeError for anything else."""
    if not callable(obj) or not hasattr(obj, "__qualname__"):
        raise TypeError(f"get_registered_name({obj!r}): write a class or a function instead.")
    return str(vars(obj).get("_registered") or name_of(obj) or obj.__name__)


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
        twin = Functional.from_config({**config, "layers": list(map(clone, config["layers"]))})
        twin.name = model.name
        return twin
    raise TypeError(
        f"clone_function is given the layers of a Sequential or of rv.Model(inputs, outputs), and {model.name!r} is a "
        f"{type(model).__name__}. Write clone_model(model), or make the network anew, instead."
    )


__getattr__, __dir__ = missing("ranvier.saving", __all__)
