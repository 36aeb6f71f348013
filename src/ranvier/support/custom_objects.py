"""Classes and functions of the user's in files: by name, registered or in a scope. Files hold no code."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

OBJECTS: dict[str, Any] = {}  # registered classes and functions, by their names in files


class UnknownNameError(Exception):
    """A name in a file that is neither registered nor in a scope."""


_scope: ContextVar[tuple[Mapping[str, Any], ...]] = ContextVar("custom_objects", default=())
_configurations: ContextVar[tuple[Any, ...]] = ContextVar("configurations", default=())


@contextlib.contextmanager
def custom_object_scope(*custom_objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Within this context files may name these classes and functions, though they are not registered."""
    before = _scope.set((*_scope.get(), *(known for known in custom_objects if known is not None)))
    try:
        yield
    finally:
        _scope.reset(before)


@contextlib.contextmanager
def configured_by(configuration: Any) -> Iterator[None]:
    """Within this context objects are made from a configuration, whose texts are no names of files."""
    before = _configurations.set((*_configurations.get(), configuration))
    try:
        yield
    finally:
        _configurations.reset(before)


def check_file_name(path: Any, what: str) -> None:
    """Raise ValueError for the name of a file that a configuration says, and no code: a file that is read could name
    any other, and the next file that is saved would hold its lines.
    """
    pending = list(_configurations.get())
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            pending += (*value.keys(), *value.values())
        elif isinstance(value, (list, tuple)):
            pending += value
        elif value == str(path):
            raise ValueError(
                f"{what} would be read from the file {str(path)!r}, which a configuration names, and only code may "
                "name files. Write its contents there, or name the file in code, instead."
            )


def register(registry: dict[str, Any], thing: Any, name: str) -> Any:
    """Give a class or function a name in a registry. Raises ValueError where the name is taken."""
    holder = registry.get(name)
    if holder is not None and not _same_definition(holder, thing):
        raise ValueError(
            f"the name {name!r} belongs to {holder!r}. Write register_module(name='...'), or "
            "register_keras_serializable(package='...'), with another."
        )
    registry[name] = thing
    return thing


def _same_definition(one: Any, other: Any) -> bool:
    """Whether two classes or functions have one definition. A notebook cell that runs again defines a new object."""
    return one is other or (
        (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)
        and "<lambda>" not in one.__qualname__
    )


def name_of(thing: Any) -> str | None:
    """The name by which a class or function is registered."""
    if not callable(thing) or not hasattr(thing, "__qualname__"):
        return None
    return next((name for name, known in OBJECTS.items() if _same_definition(known, thing)), None)


def file_name(function: Any) -> str | None:
    """The name of a function in files: the registered one, or its own, which `custom_objects` has then. None for a
    lambda, whose code would be in the file, and for any other object.
    """
    known = name_of(function)
    own = function.__name__ if inspect.isfunction(function) else "<lambda>"
    return own if known is None and own != "<lambda>" else known


def in_scope(name: str) -> Any:
    """The object of this name in a `custom_object_scope`, with or without its package; None where there is none."""
    spelled = (name, name.rpartition(">")[2])
    return next((known[n] for known in reversed(_scope.get()) for n in spelled if n in known), None)


def find(name: str) -> Any:
    """The class or function of a name in a file, in a scope or registered; None where there is none."""
    found = in_scope(name)
    return OBJECTS.get(name) if found is None else found


def construct(kind: Any, config: Mapping[str, Any]) -> Any:
    """An object from its class and its ``get_config()``. Raises TypeError for anything but a class."""
    if not isinstance(kind, type):
        raise TypeError(f"{kind!r} is no class")
    make: Any = getattr(kind, "from_config", None)
    return kind(**config) if make is None else make(dict(config))


def configuration(thing: Any, what: str) -> dict[str, Any]:
    """The part of an object's ``get_config()`` that its constructor takes.

    Raises ValueError with the message ``what`` where an argument is missing, so that the object could not be restored.
    """
    config = dict(thing.get_config())
    parameters = inspect.signature(type(thing)).parameters.values()
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        config = {p.name: config[p.name] for p in parameters if p.name in config}
    named = {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    if named - config.keys() - {"dtype"}:
        raise ValueError(what)
    return config
