"""Values in Keras's configurations: plain ones, and objects of the library or of the user's by their names."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from ranvier import activations, constraints, initializers, layers, losses, metrics, optimizers, regularizers
from ranvier.graph.dtypes import FLOATS
from ranvier.layers.base import SHARED
from ranvier.module import Module
from ranvier.module.serialization import REGISTRY
from ranvier.optimizers import schedules
from ranvier.support.custom_objects import find
from ranvier.support.errors import arguments

# The modules that a configuration may name, and ours of the same classes.
SPACES: dict[str, Any] = {
    "initializers": initializers, "regularizers": regularizers, "constraints": constraints, "layers": layers,
    "losses": losses, "metrics": metrics, "optimizers": optimizers, "optimizers.schedules": schedules,
}  # fmt: skip
TITLES = {"GroupedQueryAttention": "GroupQueryAttention"}  # a class that Keras exports by another name than its own
POLICIES = ("DTypePolicy", "Policy", "FloatDTypePolicy")
# Arguments of Keras's that a class here lacks, with the values that change nothing. None and False never do.
NEUTRAL: dict[str, Any] = {
    "autocast": True, "renorm_momentum": ..., "jit_compile": ..., "name": ..., "loss_scale_factor": ..., "seed": ...,
    "is_legacy_optimizer": ..., "decay": 0.0, "dtype": ..., "data_format": "channels_last",
    "vocabulary_size": ..., "oov_method": "floormod",
}  # fmt: skip
PLAIN = (str, int, float, bool, type(None))


class ConfigError(ValueError):
    """A configuration of Keras's that says what cannot be brought over."""


def value(words: Any) -> Any:
    """A value of a configuration, with the objects that it names."""
    if isinstance(words, (*PLAIN, Module)):
        return words
    if isinstance(words, (list, tuple)):
        return [value(part) for part in words]
    if not isinstance(words, Mapping):
        raise ConfigError(f"a {type(words).__name__} is no part of a configuration")
    name: Any = words.get("class_name")
    config: Any = words.get("config")
    if not isinstance(name, str):
        return {key: value(part) for key, part in words.items()}
    if name == "__tuple__":
        return tuple(value(config["value"]))
    if name == "__slice__":
        return slice(*(config[key] for key in ("start", "stop", "step")))
    if name in ("__numpy__", "__tensor__"):
        return np.array(config["value"], config["dtype"])
    if name == "__ellipsis__":
        return ...
    if name == "__lambda__":
        raise ConfigError("it holds a lambda, whose code is not run")
    if name in POLICIES:
        return dtype_of(config["name"])
    if name == "function":
        return function(str(config if isinstance(config, str) else words.get("registered_name")))
    return made(words, class_named(words))


def function(name: str) -> Any:
    """The function of this name: of the user's, or an activation of the library."""
    found = find(name)
    found = library_function(name) if found is None else found
    if found is not None:
        return found
    raise ConfigError(f"it holds the function {name!r}. Write custom_objects={{{name!r}: ...}} with it")


def library_function(name: str) -> Any:
    """An activation by its name, the name of a loss or metric as it is, None for any other name."""
    if name in dir(activations):
        return getattr(activations, name)
    return name if any(name in space.REGISTRY.names for space in (losses, metrics)) else None


def dtype_of(name: str) -> str:
    """The dtype of a policy, in which weights are held and computed with."""
    if name in FLOATS:
        return name
    if name in ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16"):
        return "float32"
    raise ConfigError(f"the dtype policy {name!r} is not one that layers here have")


def own(name: str) -> Any:
    """The class or function of the user's that has this name, in a scope or registered; None where there is none."""
    found, layer = find(name), REGISTRY.get(name)
    return layer if found is None and layer is not None and not layer.__module__.startswith("ranvier.") else found


def class_named(words: Mapping[str, Any]) -> Any:
    """The class that a configuration names: of the user's by its registered name, or one of the library's."""
    name, registered = str(words["class_name"]), words.get("registered_name")
    for title in (registered, name):
        found = own(title) if isinstance(title, str) else None
        if isinstance(found, type):
            return found
    name = name.removeprefix("Custom>")
    place, name = words.get("module"), TITLES.get(name, name)
    if isinstance(place, str):
        space = place.removeprefix("keras.src.").removeprefix("keras.").removeprefix("ranvier.")
        spaces: Iterable[Any] = [SPACES[space]] if space in SPACES else []
    else:
        spaces = SPACES.values()
    for candidate in spaces:
        if name in dir(candidate) and isinstance(getattr(candidate, name), type):
            return getattr(candidate, name)
    where = f"{place}." if isinstance(place, str) else ""
    raise ConfigError(
        f"it holds {where}{name}, which is not known here. If it is yours, write custom_objects={{{name!r}: ...}}"
    )


def made(words: Mapping[str, Any], kind: Any) -> Any:
    """An object of a class, from the configuration that Keras gives."""
    config = words.get("config") or {}
    if not isinstance(config, Mapping):
        raise ConfigError(f"{words['class_name']} has a configuration that is none")
    if not kind.__module__.startswith("ranvier."):
        decoded = {key: value(part) for key, part in config.items()}
        wanted = inspect.signature(kind).parameters.values()
        if getattr(kind, "get_config", None) is Module.get_config and not any(p.kind is p.VAR_KEYWORD for p in wanted):
            decoded = {p.name: decoded[p.name] for p in wanted if p.name in decoded}  # without the layer's name
        return kind.from_config(decoded) if hasattr(kind, "from_config") else kind(**decoded)
    return kind(**taken(kind, {key: value(part) for key, part in config.items()}, str(words["class_name"])))


def accepted(kind: Any) -> set[str]:
    """The arguments of a constructor."""
    if is_dataclass(kind):
        return {field.name for field in fields(kind) if field.init}
    known, _ = arguments(kind.__init__)
    named = {p.name for p in inspect.signature(kind.__init__).parameters.values() if p.kind is not p.VAR_KEYWORD}
    return {*known, *named, *(SHARED if issubclass(kind, Module) else ())}


def taken(kind: Any, config: dict[str, Any], title: str) -> dict[str, Any]:
    """The arguments that a class here takes. Raises ConfigError for another that changes something."""
    known, kept = accepted(kind), {}
    for key, given in config.items():
        if key in known:
            kept[key] = given
        elif given is None or given is False or (key in NEUTRAL and NEUTRAL[key] in (..., given)):
            continue
        else:
            raise ConfigError(f"{title} has {key}={given!r}, which {kind.__name__} here lacks")
    return kept
