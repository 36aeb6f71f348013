"""Extents that may be any, of inputs whose size differs from batch to batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from ranvier.graph.extents import Dim, Extent
from ranvier.graph.node import BATCH, Type

ANY = 6464  # the number that stands for an extent that may be any: few data have it, and it can be halved six times


ANY_ROWS = 3360  # the same for the rows of a batch, where a network computes with their number
HALF = ANY_ROWS // 2  # rows of a second trace, whose open extents are halved too: what does not change is a constant


class OpenExtent(int):
    """An extent that may be any, such as the width of `Input((None, None, 3))`: a number while shapes are inferred.

    Extents computed from it are open too. Each size that comes then has a program of its own.
    """

    halved: int  # in a trace for `HALF` of the rows; half of the number, if left out

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
    """The type for a batch of so many rows; for `HALF` of `ANY_ROWS`, with the open extents of that trace."""
    if rows is BATCH:
        return type_
    extents = map(_halved, type_.shape) if rows == HALF else type_.shape
    return Type(tuple(rows if d is BATCH else d for d in extents), type_.dtype)


def with_batch(type_: Type, halved: Type) -> Type:
    """The type for batches of any size, from those of two traces, for `ANY_ROWS` rows and for `HALF` of them.

    An extent that differs is the batch, or open. One that does not is a number, also where it is that of the rows.
    """

    def joined(one: Dim, two: Dim) -> Dim:
        if isinstance(one, Extent) or isinstance(two, Extent) or one == two:
            return one if isinstance(one, Extent) else int(one)
        if (one, two) == (ANY_ROWS, HALF):
            return BATCH
        extent = OpenExtent(one)
        extent.halved = int(two)
        return extent

    return Type(tuple(map(joined, type_.shape, halved.shape)), type_.dtype)


def joins_rows(shape: Sequence[Any]) -> bool:
    """Whether a shape has an extent that the rows of a batch are a factor of."""
    return any(type(d) is OpenExtent and not (d % ANY_ROWS or _halved(d) % HALF) and 2 * _halved(d) <= d for d in shape)


def _halved(extent: Any) -> Any:
    """An extent in the trace for `HALF` of the rows."""
    return getattr(extent, "halved", extent // 2) if type(extent) is OpenExtent else extent
