"""``forward`` and ``call``: the names that the two vocabularies have for what a module computes."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

from ranvier.module.calls import mode
from ranvier.module.members import ModuleBase
from ranvier.module.properties import OverridableProperty

__all__ = ["by_call", "by_either_name", "says_call"]

NAMES = ("forward", "call")


def by_either_name(cls: type[Any], calling: Callable[..., Any]) -> None:
    """Let a class of Keras's vocabulary compute what it says by either name. ``calling`` is a forward that calls.

    The class nearest in the order of inheritance decides, and where it says both its ``forward`` does: so a ``call``
    in a subclass of a built-in layer takes the place of that layer's ``forward``. What says ``forward`` alone has it as
    ``call`` too, for ``super().call(x, training=True)``.
    """
    said = next(name for base in cls.__mro__ for name in NAMES if inspect.isfunction(vars(base).get(name)))
    forward = inspect.getattr_static(cls, "forward")
    if said == "call":
        if forward is not calling:
            cls.forward = calling
    elif "forward" in vars(cls) and not says_call(cls):
        cls.call = by_call(forward)


def says_call(cls: type) -> bool:
    """Whether the class has a ``call`` of the user's, and none that was made of a forward."""
    call = inspect.getattr_static(cls, "call", None)
    return not isinstance(call, OverridableProperty) and not hasattr(call, "forward")


def by_call(forward: Any) -> Any:
    """A ``forward`` as Keras's ``call``, which takes the mode as its last argument or by name."""
    code = forward.__code__
    takes_training = "training" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    most = None if code.co_flags & inspect.CO_VARARGS else code.co_argcount - 1

    def call(self: ModuleBase, *inputs: Any, training: bool | None = None, **options: Any) -> Any:
        """What the layer computes (Keras's name for ``forward``), in its own mode unless ``training`` says another."""
        if takes_training:
            return forward(self, *inputs, **({} if training is None else {"training": training}), **options)
        if most is not None and len(inputs) == most + 1:
            *inputs, training = inputs  # type: ignore[assignment]
        with contextlib.nullcontext() if training is None else mode(self, bool(training)):
            return forward(self, *inputs, **options)

    call.forward = forward  # type: ignore[attr-defined]
    return call
