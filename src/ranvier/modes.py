"""What this thread computes in, and whether it records gradients."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ranvier import entries
from ranvier.graph.node import FLOATS

_dtype = "float32"


def set_dtype(name: str) -> None:
    """The floating dtype of new parameters and of data: "float32", or "float64" for checking."""
    global _dtype
    _check(name)
    if name != _dtype:
        _dtype = name
        entries.forget()


def get_dtype() -> str:
    """The floating dtype of new parameters and of data."""
    return entries.state.dtype or _dtype


@contextlib.contextmanager
def computing_in(name: str) -> Iterator[None]:
    """Within this context this thread computes in a floating dtype of its own, whatever `set_dtype` says."""
    _check(name)
    before = entries.state.dtype
    entries.state.dtype = name
    try:
        yield
    finally:
        entries.state.dtype = before


def _check(name: str) -> None:
    if name not in FLOATS:
        raise ValueError(f"dtype {name!r} is not one to compute in. Write 'float32' or 'float64'.")


class no_grad(contextlib.ContextDecorator):  # noqa: N801  # PyTorch's name
    """Within this context (or a function decorated with it, with brackets or without) results require no gradient."""

    _records = False

    def __new__(cls, function: Any = None) -> Any:
        context = super().__new__(cls)
        return context if function is None else context(function)

    def _recreate_cm(self) -> no_grad:  # a function may call itself
        return type(self)()

    def __enter__(self) -> None:
        self.before = entries.state.grad_enabled
        entries.state.grad_enabled = self._records

    def __exit__(self, *error: object) -> None:
        entries.state.grad_enabled = self.before
