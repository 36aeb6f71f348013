"""Extents that may be any, of inputs whose size differs from batch to batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from ranvier.graph.node import BATCH, Dim, Type

ANY = 6464  # the number that stands for an extent that may be any: few data have it, and it can be halved six times


ANY_ROWS = 1680  # the same for the rows of a batch, where a network computes with their number


class OpenExtent(int):
    """An extent that may be any, such as the width of `Input((None, None, 3))`: a number while shapes are inferred.

    Extents computed from it are open too. Each size that comes then has a program of its own.
    """

    def _open(self, result: Any) -> Any:
        return type(self)(result) if type(result) is int else result

    def __add__(self, other: Any) -> Any:
        return self._open(int.__add__(self, other))

    def __sub__(self, other: Any) -> Any:
        return self._open(int.__sub__(self, other))

    def __rsub__(self, other: Any) -> Any:
        return self._open(int.__rsub__(self, other))

    def __mul__(self, other: Any) -> Any:
        return self._open(int.__mul__(self, other))

    def __floordiv__(self, other: Any) -> Any:
        return self._open(int.__floordiv__(self, other))

    def __neg__(self) -> Self:
        return type(self)(int.__neg__(self))

    __radd__, __rmul__ = __add__, __mul__


def opened(size: Any) -> int:
    """A size as an extent: None may be any, as what is open already."""
    return OpenExtent(ANY) if size is None else size if isinstance(size, OpenExtent) else int(size)


def is_open(shape: Sequence[Any]) -> bool:
    """Whether a shape has an extent that may be any."""
    return any(type(extent) is OpenExtent for extent in shape)


def fits(given: Sequence[Any], wanted: Sequence[Any]) -> bool:
    """Whether a shape is the wanted one, whose open extents may be any."""
    if len(given) != len(wanted):
        return False
    return all(type(w) is OpenExtent or g == w for g, w in zip(given, wanted, strict=True))


def with_rows(type_: Type, rows: Dim) -> Type:
    """The type for a batch of so many rows."""
    return type_ if rows is BATCH else Type(tuple(rows if d == BATCH else d for d in type_.shape), type_.dtype)


def with_batch(type_: Type) -> Type:
    """A type that was found for an open number of rows, for batches of any size. Multiples of it stay open."""
    shape = tuple(
        BATCH if d == ANY_ROWS and (not axis or type(d) is OpenExtent) else d for axis, d in enumerate(type_.shape)
    )
    return Type(shape, type_.dtype)


def joins_rows(shape: Sequence[Any]) -> bool:
    """Whether a shape has an extent that the rows of a batch are a part of."""
    return any(type(d) is OpenExtent and not d % ANY_ROWS for d in shape)
