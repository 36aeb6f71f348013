"""Classes and functions of the user's by the names that files have for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ranvier.module.core import Module
from ranvier.module.serialization import REGISTRY, register_module
from ranvier.support.custom_objects import OBJECTS, find, name_of, register


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


def get_custom_objects() -> dict[str, Any]:
    """The registered classes and functions by name: what you add to this dict files may name too. Source: Keras.

    Example:
        >>> import ranvier as rv
        >>> rv.utils.get_custom_objects()["double"] = lambda x: 2 * x
    """
    return OBJECTS


def get_registered_object(
    name: str, custom_objects: Mapping[str, Any] | None = None, module_objects: Mapping[str, Any] | None = None
) -> Any:
    """The class or function that files know by this name; None where there is none. Source: Keras.

    It is looked up in ``custom_objects``, in a `custom_object_scope`, among the registered ones, in ``module_objects``.
    """
    if name in (custom_objects or {}):
        return (custom_objects or {})[name]
    found = find(name)
    found = REGISTRY.get(name) if found is None and ">" in name else found
    return (module_objects or {}).get(name) if found is None else found
