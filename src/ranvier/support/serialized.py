"""Objects as plain values in Keras's form, ``{"module": ..., "class_name": ..., "config": ...}``, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ranvier.support import rows
from ranvier.support.custom_objects import configured_by, construct, custom_object_scope, find, name_of

FUNCTIONS = ("activations", "losses", "metrics", "ops")  # the modules whose functions have names, in this order


def serialize_keras_object(obj: Any) -> Any:
    """An object as plain values: its class, and what its ``get_config`` returns; of a function its name.

    Numbers, text and None stay; lists, tuples, dicts, arrays and slices are taken apart. Raises TypeError for any other
    object, and for a function of yours that is not registered.
    """
    if obj is None or isinstance(obj, (bool, int, float, str)):
        return obj
    if isinstance(obj, np.generic):
        return obj.item()
    if isinstance(obj, tuple):
        return _described("__tuple__", value=[serialize_keras_object(part) for part in obj])
    if isinstance(obj, list):
        return [serialize_keras_object(part) for part in obj]
    if isinstance(obj, Mapping):
        return {key: serialize_keras_object(part) for key, part in obj.items()}
    if isinstance(obj, slice):
        return _described("__slice__", start=obj.start, stop=obj.stop, step=obj.step)
    if isinstance(obj, np.ndarray):
        return _described("__numpy__", value=obj.tolist(), dtype=obj.dtype.name)
    if hasattr(obj, "get_config") and not isinstance(obj, type):
        kind = type(obj)
        own = kind.__module__.partition(".")[0] != "ranvier"
        return {
            "module": _place_of(kind),
            "class_name": kind.__name__,
            "config": serialize_keras_object(obj.get_config()),
            "registered_name": (vars(kind).get("_registered") or name_of(kind)) if own else None,
        }
    if callable(obj) and hasattr(obj, "__name__"):
        return _described_function(obj)
    raise TypeError(
        f"{obj!r} is no plain value and has no get_config. Write a class with a get_config that returns its "
        "constructor's arguments instead."
    )


def deserialize_keras_object(
    config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True
) -> Any:
    """The object of which `serialize_keras_object` made ``config``; what is no description stays.

    ``custom_objects`` are classes and functions of yours by name, where they are not registered. ``safe_mode`` has no
    effect: nothing is executed or imported in either. Raises ValueError for a name that is not known.
    """
    with custom_object_scope(custom_objects or {}), configured_by(config):
        return _restored(config)


def deserializer(get: Callable[[Any], Any]) -> Callable[..., Any]:
    """`deserialize_keras_object` for one kind of objects, of which ``get`` knows those that have names."""

    def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The object of which ``serialize`` made ``config``, or the one of this name."""
        if isinstance(config, Mapping) and "module" in config:
            return deserialize_keras_object(config, custom_objects)
        with custom_object_scope(custom_objects or {}):
            known = find(config) if isinstance(config, str) else None
            return get(config) if known is None else known

    return deserialize


def _described(kind: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": config}


def _described_function(function: Any) -> dict[str, Any]:
    registered, name = name_of(function), function.__name__
    if registered is None and _named_function(name) is not function:
        raise TypeError(
            f"{function!r} has no name in files. Write @rv.saving.register_keras_serializable() above the function."
        )
    return {"module": "builtins", "class_name": "function", "config": registered or name, "registered_name": registered}


def _place_of(kind: type) -> str:
    """The public module of a class, or the one that defines it."""
    first, _, rest = kind.__module__.partition(".")
    if first != "ranvier":
        return kind.__module__
    space = next((name for name in rows.names("serialized") if rest == name or rest.startswith(f"{name}.")), rest)
    return f"{first}.{'models' if space == 'module' else space}"


def _named_function(name: str) -> Any:
    """The function of the library of this name; None where there is none."""
    spaces = (rows.look_up("serialized", space) for space in FUNCTIONS)
    return next((getattr(space, name) for space in spaces if name in dir(space)), None)


def _restored(config: Any) -> Any:
    if isinstance(config, list):
        return [_restored(part) for part in config]
    if not isinstance(config, Mapping):
        return config
    name: Any = config.get("class_name")
    inner: Any = config.get("config")
    if name == "__tuple__":
        return tuple(_restored(part) for part in inner["value"])
    if name == "__slice__":
        return slice(inner["start"], inner["stop"], inner["step"])
    if name == "__numpy__":
        return np.array(inner["value"], inner["dtype"])
    if not isinstance(name, str) or "module" not in config:
        return {key: _restored(part) for key, part in config.items()}
    if name == "function":
        return _known(str(inner), find(inner) or _named_function(inner))
    registered = config.get("registered_name") or name
    return construct(
        _known(name, find(registered) or find(name) or _class(config["module"], registered)), _restored(inner)
    )


def _known(name: str, found: Any) -> Any:
    if found is None:
        raise ValueError(
            f"{name!r} is not known. If it is of yours, put @rv.saving.register_keras_serializable() above it, or "
            f"write custom_objects={{{name!r}: ...}}."
        )
    return found


def _class(module: str, name: str) -> Any:
    """The class of this name in a public module, or among the registered layers and models."""
    space = module.partition(".")[2]
    if space in rows.names("serialized"):
        holder = rows.look_up("serialized", space)
        if name in dir(holder):
            return getattr(holder, name)
    return rows.look_up("serialized", "")(name)
