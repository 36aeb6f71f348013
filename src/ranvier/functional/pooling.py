"""Pooling: reductions over sliding windows of the spatial dimensions, channels last."""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.functional.convolution import Pairs, padded
from ranvier.graph.node import FLOATS, Node, apply, full, like
from ranvier.tensor import function

__all__ = ["average_pool", "max_pool"]


def _windows(
    x: Node, size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[Node, tuple[int, ...]]:
    """The windows, and the axes of places within them."""
    axes = tuple((1 + i, *of) for i, of in enumerate(zip(size, stride, dilation, strict=True)))
    return apply("windows", x, axes=axes), tuple(2 + 2 * i for i in range(len(size)))


@function
def max_pool(
    x: Node, size: Sequence[int], stride: Sequence[int], padding: Pairs, dilation: Sequence[int]
) -> Node:
    """The largest value of each window of (batch, spatial..., channels); the first of equal ones has the gradient.

    Padding never wins.
    """
    lowest = float("-inf") if x.dtype in FLOATS else {"int32": -(2**31)}.get(x.dtype, 0)
    windows, axes = _windows(padded(x, padding, lowest), size, stride, dilation)
    return apply("reduce_max", windows, axes=axes, first=True)


@function
def average_pool(
    x: Node, size: Sequence[int], stride: Sequence[int], padding: Pairs, count_padding: bool = False
) -> Node:
    """The mean of each window of (batch, spatial..., channels), of its values alone or with the padding's zeros."""
    windows, axes = _windows(padded(x, padding), size, stride, [1] * len(size))
    total = apply("reduce_sum", windows, axes=axes)
    if count_padding or all(pair == (0, 0) for pair in padding):
        cells = 1
        for k in size:
            cells *= k
        return total * like(total, 1.0 / cells)
    ones = full(1.0, (1, *x.shape[1:-1], 1), x.dtype)
    seen, axes = _windows(padded(ones, padding), size, stride, [1] * len(size))
    cells_seen = apply("reshape", apply("reduce_sum", seen, axes=axes), shape=total.shape[1:-1])
    return total / apply("broadcast", cells_seen, shape=total.shape, axes=tuple(range(1, total.ndim - 1)))
