"""Losses and metrics that you wrote, in files: by the names of functions and classes, since files hold no code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ranvier import losses, metrics
from ranvier.module.serialization import encode
from ranvier.support.custom_objects import UnknownNameError, configuration, construct, find, name_of


def described(thing: Any, what: str) -> dict[str, Any]:
    """A function by its name, an object by the name of its class and its ``get_config()``: {"class_name", "config"}.

    Raises ValueError naming ``what`` for an object without a name, or whose configuration lacks arguments of its
    constructor.
    """
    kind = thing if hasattr(thing, "__qualname__") else type(thing)
    name = name_of(kind) or kind.__name__
    if not name.rpartition(">")[2].isidentifier() or is_known(name):
        raise ValueError(what)
    if kind is thing:
        return {"class_name": name, "config": None}
    config = configuration(thing, what)
    try:
        return {"class_name": name, "config": {k: encode(v, what) for k, v in config.items()}}
    except TypeError:
        raise ValueError(what) from None


def is_known(name: str) -> bool:
    """Whether a class of the library has this name."""
    return name.startswith("torch.") or name in losses.REGISTRY.names or name in metrics.REGISTRY.classes


def found(value: Any) -> Any:
    """The object of a description. Raises UnknownNameError for a name that is neither registered nor given."""
    if not isinstance(value, Mapping) or (value["config"] is not None and is_known(value["class_name"])):
        return value
    thing = find(str(value["class_name"]))
    if thing is None:
        raise UnknownNameError(value["class_name"])
    return thing if value["config"] is None else construct(thing, value["config"])
