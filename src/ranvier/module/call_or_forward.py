"""``forward`` and ``call``: the names that the two vocabularies have for what a module computes."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ranvier.module.calls import mode

if TYPE_CHECKING:
    from ranvier.module.core import Module

__all__ = ["by_either_name", "says_call"]

NAMES = ("forward", "call")


def by_either_name(cls: type[Module], by_call: Callable[..., Any]) -> None:
    """Let a class of Keras's vocabulary compute what it says by either name; ``by_call`` is a forward that calls.

    The class nearest in the order of inheritance decides, and where it says both its ``forward`` does: so a ``call``
    in a subclass of a built-in layer takes the place of that layer's ``forward``. What says ``forward`` alone has it as
    ``call`` too, for ``super().call(x, training=True)``.
    """
    said = next(name for base in cls.__mro__ for name in NAMES if inspect.isfunction(vars(base).get(name)))
    forward = inspect.getattr_static(cls, "forward")
    if said == "call":
        if forward is not by_call:
            cls.forward = by_call  # type: ignore[method-assign]  # every subclass
    elif "forward" in vars(cls) and not says_call(cls):
        cls.call = called(forward)


def says_call(cls: type) -> bool:
    """Whether the class has a ``call`` of the user's, and none that was made of a forward."""
    call = inspect.getattr_static(cls, "call", None)
    return call is not None and not hasattr(call, "forward")


def called(forward: Any) -> Any:
    """A ``forward`` as Keras's ``call``, which takes the mode as its last argument or by name."""
    code = forward.__code__
    told = "training" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    most = None if code.co_flags & inspect.CO_VARARGS else code.co_argcount - 1

    def call(self: Module, *inputs: Any, training: bool | None = None, **options: Any) -> Any:
        """What the layer computes (Keras's name for ``forward``), in its own mode unless ``training`` says another."""
        if told:
            return forward(self, *inputs, **({} if training is None else {"training": training}), **options)
        if most is not None and len(inputs) == most + 1:
            *inputs, training = inputs  # type: ignore[assignment]
        with contextlib.nullcontext() if training is None else mode(self, bool(training)):
            return forward(self, *inputs, **options)

    call.forward = forward  # type: ignore[attr-defined]
    return call
