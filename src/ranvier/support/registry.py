"""Objects that users name: what ``get`` of regularizers and constraints does, and Keras's names for their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Self

from ranvier.support.errors import no_such, snake_case

__all__ = ["Configured", "get", "held", "lazy", "names"]


class Configured:
    """An object that `config` says how to make again, by Keras's names too."""

    __slots__ = ()

    def config(self) -> dict[str, Any]:
        """The constructor's arguments; of a class of yours that is no dataclass, none."""
        own: Any = self
        return {f.name: getattr(own, f.name) for f in fields(own)} if is_dataclass(own) else {}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as plain values that ``from_config`` takes."""
        return self.config()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """An object from what ``get_config()`` returned."""
        return cls(**config)


def names(classes: Mapping[str, type]) -> dict[str, type]:
    """The classes under their own names and under Keras's in snake_case: ``MaxNorm`` and ``max_norm``."""
    return {**classes, **{snake_case(name): kind for name, kind in classes.items()}}


def lazy(module: str, classes: Mapping[str, type]) -> dict[str, str]:
    """Where the classes are to be found by Keras's snake_case names too: ``max_norm`` is ``MaxNorm``."""
    return {name: f"{module}:{kind.__name__}" for name, kind in names(classes).items()}


def get(value: Any, kind: str, base: type, classes: Mapping[str, type], example: str) -> Any:
    """The object of this name or class, or of ``{"class_name": ..., "config": {...}}``; None and callables stay.

    Raises ValueError naming the nearest name that exists, TypeError for anything else.
    """
    if value is None:
        return None
    if isinstance(value, type) and issubclass(value, base):
        return value()
    if callable(value):
        return value
    if isinstance(value, Mapping) and isinstance(value.get("class_name"), str):
        return _named(value["class_name"], kind, classes)(**value.get("config", {}))
    if isinstance(value, str):
        return _named(value, kind, classes)()
    raise TypeError(f"{value!r} is no {kind}. Write a name or an object, such as {example}, instead.")


def _named(name: str, kind: str, classes: Mapping[str, type]) -> Any:
    known = names(classes)
    if name not in known:
        raise no_such(kind, name, known)
    return known[name]


def held(function: Any) -> tuple[Any, ...]:
    """What a compiled program knows of a function or an object: itself, and what its attributes hold.

    Raises TypeError for one that cannot be told from another.
    """
    try:
        hash(function)
    except TypeError:
        raise TypeError(
            f"{function!r} has no hash, so that no program can be known by it. Write @dataclass(frozen=True) above its "
            "class, or leave __eq__ out."
        ) from None
    own = getattr(function, "__dict__", {})
    return function, *((name, _known(value)) for name, value in own.items())


def _known(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return repr(value) if isinstance(value, (list, dict, set)) else id(value)
    return value
