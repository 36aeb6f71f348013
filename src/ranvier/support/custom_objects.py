"""What files may name besides layers: objects and functions of the user's, registered or given by name. No code."""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = [
    "OBJECTS", "UnknownNameError", "configuration", "custom_object_scope", "find", "given", "made", "name_of",
    "register",
]  # fmt: skip

OBJECTS: dict[str, Any] = {}  # classes and functions, by the names that files have for them


class UnknownNameError(Exception):
    """A name in a file that is neither known nor given."""


class _Scope(threading.local):
    def __init__(self) -> None:
        self.known: list[Mapping[str, Any]] = []


_scope = _Scope()


@contextlib.contextmanager
def custom_object_scope(*custom_objects: Mapping[str, Any]) -> Iterator[None]:
    """Within this context files may hold these classes and functions, by their names here, though they are not
    registered.
    """
    before, _scope.known = _scope.known, [*_scope.known, *custom_objects]
    try:
        yield
    finally:
        _scope.known = before


def register(registry: dict[str, Any], thing: Any, name: str) -> Any:
    """Give a class or function a name in a registry. Raises ValueError where it is another one's."""
    holder = registry.get(name)
    if holder is not None and not _same(holder, thing):
        raise ValueError(
            f"the name {name!r} belongs to {holder!r}. Write register_module(name='...'), or "
            "register_keras_serializable(package='...'), with another."
        )
    registry[name] = thing
    return thing


def _same(one: Any, other: Any) -> bool:
    """Whether two classes or functions are one: by where they stand, as a notebook makes its own anew."""
    return one is other or (
        (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)
        and "<lambda>" not in one.__qualname__
    )


def name_of(thing: Any) -> str | None:
    """The name by which a class or function is registered."""
    if not callable(thing) or not hasattr(thing, "__qualname__"):
        return None
    return next((name for name, known in OBJECTS.items() if _same(known, thing)), None)


def given(name: str) -> Any:
    """What a `custom_object_scope` has by this name, with or without its package; None where nothing is."""
    spelled = (name, name.rpartition(">")[2])
    return next((known[n] for known in reversed(_scope.known) for n in spelled if n in known), None)


def find(name: str) -> Any:
    """The class or function that a file names, given or registered; None where nothing is."""
    found = given(name)
    return OBJECTS.get(name) if found is None else found


def made(kind: Any, config: Mapping[str, Any]) -> Any:
    """An object from what its ``get_config()`` returned. Raises TypeError for what is no class."""
    if not isinstance(kind, type):
        raise TypeError(f"{kind!r} is no class")
    make: Any = getattr(kind, "from_config", None)
    return kind(**config) if make is None else make(dict(config))


def configuration(thing: Any, what: str) -> dict[str, Any]:
    """The ``get_config()`` of an object, cut to the arguments of its constructor.

    Raises ValueError, which names ``what``, where it lacks some of them, so that it would not make the same again.
    """
    config = dict(thing.get_config())
    parameters = inspect.signature(type(thing)).parameters.values()
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        config = {p.name: config[p.name] for p in parameters if p.name in config}
    named = {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    if named - config.keys() - {"dtype"}:
        raise ValueError(what)
    return config
