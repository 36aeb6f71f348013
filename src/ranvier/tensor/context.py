"""What this thread computes in, and whether it records gradients."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, Self

from ranvier.graph.node import FLOATS
from ranvier.tensor import trace

_dtype = "float32"


def set_dtype(name: str) -> None:
    """The floating dtype of new parameters and of data: "float32", or "float64" for checking."""
    global _dtype
    _check(name)
    if name != _dtype:
        _dtype = name
        trace.forget()


def get_dtype() -> str:
    """The floating dtype of new parameters and of data."""
    return trace.state.dtype or _dtype


@contextlib.contextmanager
def computing_in(name: str) -> Iterator[None]:
    """Within this context this thread computes in a floating dtype of its own, whatever `set_dtype` says."""
    _check(name)
    before = trace.state.dtype
    trace.state.dtype = name
    try:
        yield
    finally:
        trace.state.dtype = before


def _check(name: str) -> None:
    if name not in FLOATS:
        raise ValueError(f"dtype {name!r} is not one to compute in. Write 'float32' or 'float64'.")


def resumed(context: Callable[[], Recording], function: Callable[..., Any]) -> Callable[..., Any]:
    """A generator function each of whose resumptions runs within a context of its own, what lies between outside."""

    @functools.wraps(function)
    def generator(*args: Any, **kwargs: Any) -> Iterator[Any]:
        running = function(*args, **kwargs)
        resume, given = running.send, None
        while True:
            try:
                with context():
                    value = resume(given)
            except StopIteration as end:
                return end.value
            try:
                resume, given = running.send, (yield value)
            except GeneratorExit:
                with context():
                    running.close()
                raise
            except BaseException as error:  # noqa: BLE001  # what is thrown into it is its own
                resume, given = running.throw, error

    return generator


class Recording(contextlib.ContextDecorator):
    """What turns the recording of gradients on or off: a context, and a decorator of functions and of generators."""

    before: bool

    def __enter__(self) -> None:
        """Set the mode, and keep in ``before`` what it was: what a subclass is for."""
        raise NotImplementedError

    def __call__(self, func: Any) -> Any:
        if inspect.isgeneratorfunction(func):
            return resumed(self._recreate_cm, func)
        return super().__call__(func)

    def _recreate_cm(self) -> Self:  # a function may call itself
        return type(self)()

    def __exit__(self, *error: object) -> None:
        trace.state.grad_enabled = self.before


class no_grad(Recording):  # noqa: N801  # PyTorch's name
    """Within this context (or a function or generator decorated with it, with brackets or without) results require no
    gradient.
    """

    _records = False

    def __new__(cls, function: Any = None) -> Any:
        context = super().__new__(cls)
        return context if function is None else context(function)

    def __enter__(self) -> None:
        self.before = trace.state.grad_enabled
        trace.state.grad_enabled = self._records
