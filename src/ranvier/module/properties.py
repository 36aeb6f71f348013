"""What the bases of Module are written with: properties that attributes may override, and Module's name in messages."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")
Class = TypeVar("Class", bound=type)


class OverridableProperty:
    """See `overridable_property`."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function, self.__doc__ = function, function.__doc__

    def __get__(self, module: Any, owner: Any = None) -> Any:
        return self if module is None else self.function(module)


def overridable_property(function: Callable[[Any], T]) -> T:
    """A property that an attribute of the same name overrides: many networks have a ``self.layers`` of their own.

    A type checker takes it for an attribute of the type that the function returns, Any where networks likely have
    another of the name.
    """
    return cast("T", OverridableProperty(function))


def part_of_module(cls: Class) -> Class:
    """Name the methods of a base of Module as those of Module, which is the class that users know, in messages."""
    for function in vars(cls).values():
        if inspect.isfunction(function):
            function.__qualname__ = f"Module.{function.__name__}"
    return cls
