"""Per-thread modes: the floating dtype, and whether gradients are recorded."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, Self, TypeVar, cast, overload

from ranvier.graph.node import FLOATS
from ranvier.tensor import trace

F = TypeVar("F", bound=Callable[..., Any])

_dtype = "float32"


def set_dtype(name: str) -> None:
    """The floating dtype of new parameters and of data: "float32", or "float64" for checking."""
    global _dtype
    _check(name)
    if name != _dtype:
        _dtype = str.__str__(name)  # not as a dtype of PyTorch's vocabulary
        trace.clear_caches()


def get_dtype() -> str:
    """The floating dtype of new parameters and of data."""
    return trace.state.dtype or _dtype


@contextlib.contextmanager
def dtype_scope(name: str) -> Iterator[None]:
    """Within this context this thread computes in the floating dtype ``name``, in place of `get_dtype`'s."""
    _check(name)
    before = trace.state.dtype
    trace.state.dtype = str.__str__(name)
    try:
        yield
    finally:
        trace.state.dtype = before


def _check(name: str) -> None:
    if name not in FLOATS:
        raise ValueError(f"dtype {name!r} is not one to compute in. Write 'float32' or 'float64'.")


def _generator_in(context: Callable[[], GradMode], function: Callable[..., Any]) -> Callable[..., Any]:
    """A generator function whose body runs within a new context after each resumption; its caller runs outside."""

    @functools.wraps(function)
    def generator(*args: Any, **kwargs: Any) -> Iterator[Any]:
        running = function(*args, **kwargs)
        resume, sent = running.send, None
        while True:
            try:
                with context():
                    value = resume(sent)
            except StopIteration as end:
                return end.value
            try:
                resume, sent = running.send, (yield value)
            except GeneratorExit:
                with context():
                    running.close()
                raise
            except BaseException as error:  # noqa: BLE001  # thrown into the generator: pass it on
                resume, sent = running.throw, error

    return generator


class GradMode(contextlib.ContextDecorator):
    """A context that sets whether gradients are recorded; also a decorator of functions and generators."""

    before: int

    def __enter__(self) -> None:
        """Set the mode and keep the previous one in ``before``. Subclasses implement it."""
        raise NotImplementedError

    def __call__(self, func: F) -> F:
        if inspect.isgeneratorfunction(func):
            return cast("F", _generator_in(self._recreate_cm, func))
        return super().__call__(func)

    def _recreate_cm(self) -> Self:  # a decorated function may call itself
        return type(self)()

    def __exit__(self, *error: object) -> None:
        trace.state.grad_enabled = self.before


class no_grad(GradMode):  # noqa: N801  # PyTorch's name
    """Within this context results require no gradient. It also decorates functions and generators, with or without
    brackets.
    """

    _records = False

    @overload
    def __new__(cls, function: None = None) -> Self: ...
    @overload
    def __new__(cls, function: F) -> F: ...  # type: ignore[misc]  # a decorator without brackets
    def __new__(cls, function: Any = None) -> Any:
        context = super().__new__(cls)
        return context if function is None else context(function)

    def __enter__(self) -> None:
        self.before = trace.state.grad_enabled
        trace.state.grad_enabled = self._records
