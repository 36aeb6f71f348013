"""Calls of constructors: what does not fit is refused before the constructor runs, in the name of the class.

Constructors stay as they are written. `CheckedConstructor` is a base of the roots of the public classes; its
``__new__`` compares the arguments with the signature of a constructor that the library wrote. A constructor of yours
raises Python's own errors.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self, TypeVar

from ranvier.support.errors import argument_error, named_parameters

T = TypeVar("T", bound="CheckedConstructor")
LIBRARY = __name__.partition(".")[0] + "."
BY_NAME = 1 << 30  # the position of an argument that is given by name alone: after all positions


class Taken(NamedTuple):
    """What a constructor takes, besides ``self``."""

    least: int  # arguments by position, where none is given by name
    most: int
    positions: Mapping[str, int]  # of each argument that has a name
    needed: Sequence[tuple[str, int]]  # the names and positions of those without a default
    others: bool  # by name


_taken: dict[Any, Taken] = {}  # of the constructors of the library that were called


class ConstructorSignature:
    """What `inspect.signature` and ``help`` show of a class: its constructor's arguments, and not those of __new__."""

    def __get__(self, instance: Any, cls: Any) -> inspect.Signature:
        if instance is not None:
            raise AttributeError("__signature__")
        if cls.__init__ is object.__init__:
            return inspect.Signature()
        own = inspect.signature(cls.__init__)
        return own.replace(parameters=list(own.parameters.values())[1:], return_annotation=own.empty)


class CheckedConstructor:
    """A class whose constructor is called with arguments that fit it, or a TypeError says what to write instead."""

    __slots__ = ()
    __signature__ = ConstructorSignature()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        taken = _taken.get(cls.__init__)
        if kwargs or taken is None or not taken.least <= len(args) <= taken.most:
            check_call(cls, taken, args, kwargs)
        return super().__new__(cls)

    @classmethod
    def _blank(cls) -> Self:
        """An object whose constructor is not called, for copies and pickles."""
        return super().__new__(cls)

    def __reduce_ex__(self, protocol: Any) -> Any:
        parts = super().__reduce_ex__(protocol)
        if not isinstance(parts, tuple) or parts[1] != (type(self),):  # a class with a way of its own
            return parts
        return (blank, *parts[1:])


def blank(cls: type[T]) -> T:
    """See `CheckedConstructor._blank`."""
    return cls._blank()


def check_call(cls: type, taken: Taken | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Raise TypeError where a class is called with arguments that its constructor does not take."""
    make: Any = cls.__init__  # type: ignore[misc]  # of this very class
    if make is object.__init__:
        if args or kwargs:
            raise TypeError(f"{cls.__name__}() takes no arguments")
        return
    if not (make.__module__ or "").startswith(LIBRARY):
        return
    if taken is None:
        taken = _taken[make] = taken_by(make)
    positions, count = taken.positions, len(args)
    unknown = BY_NAME if taken.others else -1
    if (
        count > taken.most
        or [name for name in kwargs if positions.get(name, unknown) < count]
        or [name for name, position in taken.needed if position >= count and name not in kwargs]
    ):
        signature = inspect.Signature(list(inspect.signature(make).parameters.values())[1:])
        # The name of a class that users know by another is its ``_public``.
        who, hints = vars(cls).get("_public", cls.__name__), getattr(cls, "_hints", None)
        error = argument_error(who, signature, args, kwargs, passed_on(cls), hints)
        assert error is not None
        raise error


def taken_by(make: Callable[..., None]) -> Taken:
    """What a constructor takes."""
    own = list(inspect.signature(make).parameters.values())[1:]
    placed = [p for p in own if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    named = [p for p in own if p.kind is p.KEYWORD_ONLY]
    positions = {p.name: i for i, p in enumerate(placed)} | {p.name: BY_NAME for p in named}
    needed = [(p.name, positions[p.name]) for p in (*placed, *named) if p.default is p.empty]
    return Taken(
        max((position + 1 for _, position in needed), default=0),
        BY_NAME if any(p.kind is p.VAR_POSITIONAL for p in own) else len(placed),
        positions,
        needed,
        any(p.kind is p.VAR_KEYWORD for p in own),
    )


def passed_on(cls: type) -> list[str]:
    """The arguments that a class takes: its constructor's, and those that this passes on to the ones of its bases.

    What a constructor gathers as ``unknown`` it refuses.
    """
    known: dict[str, None] = {}
    for make in [vars(base)["__init__"] for base in cls.__mro__[:-1] if "__init__" in vars(base)]:
        own = list(inspect.signature(make).parameters.values())[1:]
        known |= dict.fromkeys(named_parameters(own))
        if all(p.kind is not p.VAR_KEYWORD or p.name == "unknown" for p in own):
            break
    return list(known)
