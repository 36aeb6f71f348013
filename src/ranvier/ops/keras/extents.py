"""Shapes that programs put together by operations, where the batch is known only when the program runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from ranvier.graph.extents import Extent, ExtentError
from ranvier.graph.node import Node
from ranvier.ops import arrays
from ranvier.ops.arrays.promotion import count
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor


class Extents(Sequence[Any]):
    """A vector of extents, such as ``expand_dims(shape(x)[0], -1)``: `concatenate` joins it with known numbers.

    `tile` and `broadcast_to` take it as a shape.
    """

    def __init__(self, extents: Sequence[Any]) -> None:
        self._extents = tuple(extents)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: Any) -> Any:
        found = self._extents[index]
        return Extents(found) if isinstance(index, slice) else found

    def __len__(self) -> int:
        return len(self._extents)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._extents)

    def __tensor_function__(self, called: Any, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        if getattr(called, "__name__", "") == "concatenate":
            return Extents([extent for part in (arguments or tuple(options.values()))[0] for extent in known(part)])
        plain = [tuple(a) if isinstance(a, Extents) else a for a in arguments]
        return called(*plain, **{n: tuple(o) if isinstance(o, Extents) else o for n, o in options.items()})


def known(extents: Any) -> tuple[Any, ...]:
    """Extents as Python's numbers and symbols: those of a tensor whose values are known, or one alone."""
    values = extents.compute().tolist() if isinstance(extents, Tensor) else extents
    return (values,) if isinstance(values, (int, Extent)) else tuple(values)


def widened(x: Any, axis: int, times: Extent) -> Any:
    """An axis of extent 1 with as many equal elements as there are samples. Raises ExtentError for another extent."""
    if x.shape[axis] != 1:
        raise ExtentError(
            f"axis {axis} of {tuple(x.shape)} repeated {times!r} times. Write an axis of extent 1 instead."
        )
    return arrays.broadcast_to(x, tuple(times if i == axis else d for i, d in enumerate(x.shape)))


@function
def number(extents: tuple[Any, ...], dtype: str) -> Node:
    """The product of extents as a scalar, which is known when the program runs."""
    return count(extents, dtype)
