"""``forward`` and ``call``: the names that the two vocabularies have for what a module computes."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

from ranvier.module.calls import mode
from ranvier.module.members import ModuleBase
from ranvier.module.properties import OverridableProperty

NAMES = ("forward", "call")


def by_either_name(cls: type[Any], calling: Callable[..., Any]) -> None:
    """Give a class of Keras's vocabulary both names. ``calling`` is a ``forward`` that calls ``call``.

    The first class in the method resolution order that defines one decides, and ``forward`` where it defines both: a
    ``call`` in a subclass of a built-in layer replaces that layer's ``forward``. A class that defines ``forward`` alone
    gets a ``call`` too, for ``super().call(x, training=True)``.
    """
    defined = next(name for base in cls.__mro__ for name in NAMES if inspect.isfunction(vars(base).get(name)))
    forward = inspect.getattr_static(cls, "forward")
    if defined == "call":
        if forward is not calling:
            cls.forward = calling
    elif "forward" in vars(cls) and not defines_call(cls):
        cls.call = by_call(forward)


def defines_call(cls: type) -> bool:
    """Whether the class has a ``call`` that was written, and not made of a ``forward``."""
    call = inspect.getattr_static(cls, "call", None)
    return not isinstance(call, OverridableProperty) and not hasattr(call, "forward")


def by_call(forward: Any) -> Any:
    """A ``forward`` as Keras's ``call``, which takes the mode as its last argument or by name."""
    code = forward.__code__
    takes_training = "training" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    most = None if code.co_flags & inspect.CO_VARARGS else code.co_argcount - 1

    def call(self: ModuleBase, *inputs: Any, training: bool | None = None, **options: Any) -> Any:
        """Keras's name for ``forward``; ``training`` sets the mode of this call."""
        if takes_training:
            return forward(self, *inputs, **({} if training is None else {"training": training}), **options)
        if most is not None and len(inputs) == most + 1:
            *inputs, training = inputs  # type: ignore[assignment]
        with contextlib.nullcontext() if training is None else mode(self, bool(training)):
            return forward(self, *inputs, **options)

    call.forward = forward  # type: ignore[attr-defined]
    return call
