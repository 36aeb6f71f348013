"""Extents as numbers: of dimensions that must be known, and of shapes with a symbolic batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ranvier.graph.node import ExtentError, GraphExtentError, Node, Symbol


def extent(node: Node, axis: int) -> int:
    """The extent of one dimension. Raises GraphExtentError if it is symbolic, like the batch."""
    found = node.shape[axis]
    if not isinstance(found, int):
        raise GraphExtentError(
            f"dimension {axis % node.ndim} of the result of {node.op.name}, {node.type}, is known only when the "
            f"program runs ({found}), and what reads it takes a number. Write an extent that is known instead."
        )
    return found


def extents(node: Node, start: int = 0, stop: int | None = None) -> tuple[int, ...]:
    """`extent` of the dimensions from start up to stop, counted as in a slice of the shape."""
    return tuple(extent(node, axis) for axis in range(node.ndim)[start:stop])


def size(shape: Sequence[int | Symbol], batch: int) -> int:
    """The number of elements of a shape, at most ``batch`` along a symbolic dimension."""
    return math.prod(batch if isinstance(d, Symbol) else d for d in shape)


def needs_number(error: BaseException | None) -> bool:
    """Whether an error comes from an extent that was symbolic, so that another trace, with a number, may succeed."""
    while error is not None and not isinstance(error, ExtentError):
        error = error.__cause__ or error.__context__
    return error is not None
