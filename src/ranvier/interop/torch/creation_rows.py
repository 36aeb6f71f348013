"""Operators that make tensors, of a batch of any size too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier.graph.node import BATCH
from ranvier.interop import merged
from ranvier.interop.foreign import ANY_BATCH, UnsupportedError
from ranvier.interop.torch.merged import RowNumbers
from ranvier.interop.torch.table import row, sized, vocabulary_function


def _made(name: str, size: Sequence[Any], *values: Any, dtype: Any = None) -> Any:
    """A tensor of a shape. In one whose batch is merged, the rows of a sample are next to each other."""
    function, size = vocabulary_function(name), list(size)
    at = next((i for i, n in enumerate(size) if n >= ANY_BATCH), None)
    if at is not None:
        after = size[at] // ANY_BATCH
        shape = (BATCH, *size[:at], *([after] if after != 1 else []), *size[at + 1 :])
        return merged.held(function(shape, *values, dtype=dtype), at, 1, after)
    return function(tuple(sized(size)), *values, dtype=dtype)


def _creator(name: str) -> None:
    @row(name, merged=True)
    def create(size: Sequence[Any], dtype: Any = None) -> Any:
        return _made(name, size, dtype=dtype)

    @row(f"new_{name}", merged=True)
    def create_like(self: Any, size: Sequence[Any], dtype: Any = None) -> Any:
        return _made(name, size, dtype=dtype or self.dtype)


for _name in ("zeros", "ones", "empty", "rand", "randn"):
    _creator(_name)


@row("full", merged=True)
def full(size: Sequence[Any], fill_value: Any, dtype: Any = None) -> Any:
    if dtype is None and not isinstance(fill_value, float):
        dtype = "bool" if isinstance(fill_value, bool) else "int64" if isinstance(fill_value, int) else None
    return _made("full", size, fill_value, dtype=dtype)


@row("new_full", merged=True)
def new_full(self: Any, size: Sequence[Any], fill_value: Any, dtype: Any = None) -> Any:
    return _made("full", size, fill_value, dtype=dtype or self.dtype)


@row("scalar_tensor")
def scalar_tensor(s: Any, dtype: Any = None) -> Any:
    return full((), s, dtype or "float32")


@row("arange", merged=True)
def arange(end: Any = None, start: Any = 0, step: Any = 1, dtype: Any = None) -> Any:
    if max(abs(n) for n in (start, end, step)) < ANY_BATCH // 2:
        return vocabulary_function("arange")(start, end, step, dtype=dtype)
    if start != 0 or end != step * ANY_BATCH:
        raise UnsupportedError("numbers up to the size of the batch that are not one for each row")
    return RowNumbers(step)
