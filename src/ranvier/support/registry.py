"""Objects that users name: `Registry` finds them by name, `Configured` gives their settings."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Self, TypeVar

from ranvier.support.constructors import CheckedConstructor
from ranvier.support.errors import no_such, snake_case
from ranvier.support.foreign import check_own

AnyClass = TypeVar("AnyClass", bound=type)


def decorator_of(table: dict[str, Any]) -> Callable[..., Callable[[Any], Any]]:
    """A decorator with names, under which it adds a function to a table.

    >>> row = decorator_of(ROWS)
    >>> @row("Add", "Sum")
    """

    def named(*names: str) -> Callable[[Any], Any]:
        def add(function: Any) -> Any:
            table.update(dict.fromkeys(names, function))
            return function

        return add

    return named


class Configured(CheckedConstructor):
    """An object that can be made again from its `config`, which Keras calls ``get_config``."""

    __slots__ = ()

    def config(self) -> dict[str, Any]:
        """The constructor's arguments; none for your own class that is no dataclass."""
        own: Any = self
        return {f.name: getattr(own, f.name) for f in fields(own)} if is_dataclass(own) else {}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as plain values that ``from_config`` takes."""
        return self.config()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """An object from what ``get_config()`` returned."""
        return cls(**config)


class Registry:
    """The classes (or functions) of one kind, by all the names that users may write for them.

    ``classes`` maps their own names, which files hold. ``names`` has short names too: Keras's (``MaxNorm`` is
    ``max_norm``), or those that ``short`` makes; a class whose constructor needs arguments has none. ``aliases`` maps
    further names to class names, or to functions that make an object, and ``normalize`` other spellings to known ones.
    With ``callables`` any function is an object of this kind. ``form`` and ``example`` tell users in messages what to
    write: "a name or an object", and ``'l2' or regularizers.L2(0.01)``.
    """

    def __init__(
        self,
        kind: str,
        base: type | None,
        classes: Iterable[Any] = (),
        *,
        example: str,
        form: str = "a name or an object",
        callables: bool = False,
        aliases: Mapping[str, Any] | None = None,
        short: Callable[[Any], str] = lambda cls: snake_case(cls.__name__),
        normalize: Callable[[str], str] = str,
    ) -> None:
        self.kind, self.base, self.example, self.form = kind, base, example, form
        self.callables, self.aliases, self.short, self.normalize = callables, aliases or {}, short, normalize
        self.classes: dict[str, Any] = {cls.__name__: cls for cls in classes}

    def register(self, cls: AnyClass) -> AnyClass:
        """Add a class: a decorator."""
        self.classes[cls.__name__] = cls
        self.__dict__.pop("names", None)  # computed again with the class
        return cls

    @functools.cached_property
    def names(self) -> dict[str, Any]:
        """All names, mapped to classes, or to functions that make an object."""
        short = {self.short(cls): cls for cls in self.classes.values() if not missing_arguments(cls)}
        others = {name: self.classes.get(made, made) for name, made in self.aliases.items()}
        return {**self.classes, **short, **others}

    def find(self, name: str) -> Any:
        """The class or maker of a name. Raises ValueError naming the nearest name that exists."""
        found = self.names.get(name, self.names.get(self.normalize(name)))
        if found is None:
            raise no_such(self.kind, name, self.names)
        return found

    def get(self, value: Any, **options: Any) -> Any:
        """The object of this name or class, or of ``{"class_name": ..., "config": {...}}``; an object stays.

        ``options`` go to the constructor where ``value`` is a name. Raises ValueError naming the nearest name that
        exists, TypeError for anything else.
        """
        if isinstance(value, str):
            return self.make(self.find(value), **options)
        if isinstance(value, Mapping) and isinstance(value.get("class_name"), str):
            return self.find(value["class_name"])(**value.get("config", {}))
        if self.base is not None and isinstance(value, self.base):
            return value
        if self.base is not None and isinstance(value, type) and issubclass(value, self.base):
            return self.make(value)
        check_own(value)
        if self.callables and callable(value):
            return value
        raise TypeError(f"{value!r} is no {self.kind}. Write {self.form}, such as {self.example}, instead.")

    def make(self, cls: Any, **options: Any) -> Any:
        """An object of a class with its defaults. Raises TypeError naming the arguments that have none."""
        needed = [f"{name}=..." for name in missing_arguments(cls)]
        if needed:
            name = cls.__name__
            raise TypeError(f"the {self.kind} {name} needs arguments. Write {name}({', '.join(needed)}) instead.")
        return cls(**options)

    def known(self, value: Any) -> bool:
        """Whether an object is an instance of one of these classes, and not of your own subclass."""
        return self.classes.get(type(value).__name__) is type(value)

    def describe(self, value: Any) -> dict[str, Any]:
        """A description from which `get` makes the object again. Raises ValueError for your own classes."""
        name = type(value).__name__
        if not self.known(value):
            raise ValueError(f"the {self.kind} {name} is not one of Ranvier's and cannot be saved.")
        return {"class_name": name, "config": value.config()}

    def lazy(self, module: str) -> dict[str, str]:
        """Lazy names for a module: its classes and functions under all their names."""
        return {name: f"{module}:{value.__name__}" for name, value in self.names.items()}


def missing_arguments(cls: Any) -> list[str]:
    """The arguments of a constructor that have no defaults."""
    if not isinstance(cls, type):
        return []
    return [
        p.name
        for p in inspect.signature(cls).parameters.values()
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    ]


def object_key(function: Any) -> tuple[Any, ...]:
    """The part of a program's key that a function or an object is: itself, and the values of its attributes.

    Raises TypeError for an object without a hash.
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
