"""Pooling: reductions over sliding windows of the spatial dimensions, channels last."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ranvier.graph.dtypes import FLOATS, limits
from ranvier.graph.node import Node, apply, constant, extent, extents, like
from ranvier.graph.open_extents import is_open
from ranvier.ops.arrays.elementwise import add, divide, maximum
from ranvier.ops.arrays.promotion import floating, keep
from ranvier.ops.arrays.shape import reshape
from ranvier.ops.functional.convolution import Pairs, channels_first, channels_last, padded, padding_of
from ranvier.ops.functional.resizing import weighed
from ranvier.tensor.function import function


def _windows(
    x: Node, size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[Node, tuple[int, ...]]:
    """The windows, and the axes of places within them."""
    axes = tuple((1 + i, *of) for i, of in enumerate(zip(size, stride, dilation, strict=True)))
    return apply("windows", x, axes=axes), tuple(2 + 2 * i for i in range(len(size)))


def _lowest(x: Node) -> float:
    return -math.inf if x.dtype in FLOATS else limits(x.dtype)[0]


@function
def max_pool(x: Node, size: Sequence[int], stride: Sequence[int], padding: Pairs, dilation: Sequence[int]) -> Node:
    """The largest value of each window of (batch, spatial..., channels); the first of equal ones has the gradient.

    Padding never wins.
    """
    windows, axes = _windows(padded(x, padding, _lowest(x)), size, stride, dilation)
    return apply("reduce_max", windows, axes=axes, first=True)


@function
def max_places(x: Node, size: Sequence[int], stride: Sequence[int], padding: Pairs, dilation: Sequence[int]) -> Node:
    """Where `max_pool` found each value: its position among the spatial ones of a sample in row-major order, int64."""
    windows, axes = _windows(padded(x, padding, _lowest(x)), size, stride, dilation)
    others = tuple(a for a in range(windows.ndim) if a not in axes)
    cells = apply("transpose", windows, axes=(*others, *axes))
    shape = tuple(windows.shape[a] for a in others)
    cell = apply("argmax", apply("reshape", cells, shape=(*shape, math.prod(size))), axis=len(shape))
    steps = [apply("iota", shape=shape, axis=1 + i, dtype="int32") * like(cell, s) for i, s in enumerate(stride)]
    firsts = [at - like(at, low) for at, (low, _) in zip(steps, padding, strict=True)]
    return _flat_place(cell, size, firsts, dilation, extents(x, 1, -1))


def _flat_place(
    cell: Node, size: Sequence[int], firsts: Sequence[Node], dilation: Sequence[int], dims: Sequence[int]
) -> Node:
    """The position in row-major order of a cell of a window, given where the window begins in each dimension."""
    flat = like(cell, 0)
    for i, (first, d) in enumerate(zip(firsts, dims, strict=True)):
        rows = apply("quotient", cell, like(cell, math.prod(size[i + 1 :])))
        within = rows - apply("quotient", rows, like(cell, size[i])) * like(cell, size[i])
        flat = flat * like(cell, d) + first + within * like(cell, dilation[i])
    return apply("cast", flat, dtype="int64")


@function
def average_pool(
    x: Node,
    size: Sequence[int],
    stride: Sequence[int],
    padding: Pairs,
    count_padding: bool = False,
    beyond: Sequence[int] = (),
    divisor: float | None = None,
) -> Node:
    """The mean of each window of (batch, spatial..., channels), of its values alone or with the padding's zeros.

    ``beyond`` is how far the last windows reach past the padding, which is never counted. With ``divisor`` sums are
    divided by it instead.
    """
    x = floating(x)
    beyond = beyond or (0,) * len(size)
    reached = tuple((low, high + more) for (low, high), more in zip(padding, beyond, strict=True))
    windows, axes = _windows(padded(x, reached), size, stride, [1] * len(size))
    total = apply("reduce_sum", windows, axes=axes)
    if divisor is not None:
        return total * like(total, 1.0 / divisor)
    cells = np.ones((1,) * len(size))
    for i, (k, s, (low, high)) in enumerate(zip(size, stride, padding, strict=True)):
        n = extent(x, 1 + i)
        start = np.arange(0, low + n + high + beyond[i] - k + 1, s)  # in the padded dimension
        first, end = (0, low + n + high) if count_padding else (low, low + n)
        seen = np.minimum(start + k, end) - np.maximum(start, first)
        cells = cells * seen.reshape([-1 if j == i else 1 for j in range(len(size))])
    if (cells == cells.flat[0]).all():
        return total * like(total, 1.0 / cells.flat[0])
    counts = constant(cells, total.dtype)
    return total / apply("broadcast", counts, shape=total.shape, axes=tuple(range(1, total.ndim - 1)))


@function
def pool(
    x: Node,
    size: Sequence[int],
    stride: Sequence[int],
    padding: str = "valid",
    largest: bool = True,
    first: bool = False,
) -> Node:
    """`max_pool` or, unless ``largest``, `average_pool` (of values alone) with padding by name, as a layer."""
    x = channels_last(x) if first else x
    ones = (1,) * len(size)
    pairs = padding_of(padding, extents(x, 1, -1), size, stride, ones)
    y = max_pool(x, size, stride, pairs, ones) if largest else average_pool(x, size, stride, pairs)
    return channels_first(y) if first else y


@function
def global_pool(x: Node, largest: bool = False, keepdims: bool = False, first: bool = False) -> Node:
    """The mean of each channel of each sample, or its ``largest`` value: (batch, channels)."""
    axes = tuple(range(2, x.ndim) if first else range(1, x.ndim - 1))
    if largest:
        y = apply("reduce_max", x, axes=axes)
    else:
        x = floating(x)
        y = apply("reduce_sum", x, axes=axes)
        y = y * like(y, 1.0 / math.prod(extent(x, a) for a in axes))
    return keep(y, x.shape, axes, keepdims)


def _parts(n: int, parts: int) -> list[tuple[int, int]]:
    """[start, end) of each of so many parts of n positions, as near to equal as they can be; they may overlap."""
    return [(i * n // parts, -(-(i + 1) * n // parts)) for i in range(parts)]


@function
def adaptive_pool(x: Node, shape: Sequence[int | None], largest: bool = False, first: bool = False) -> Node:
    """The mean, or the ``largest`` value, of each of ``shape`` parts of the spatial dimensions (None: one each)."""
    x = channels_last(x) if first else x
    x = x if largest else floating(x)
    dims = extents(x, 1, -1)
    parts = [n if m is None else m for n, m in zip(dims, shape, strict=True)]
    if all(n % m == 0 for n, m in zip(dims, parts, strict=True)):
        size = tuple(n // m for n, m in zip(dims, parts, strict=True))
        y = pool(x, size, size, "valid", largest)
        if is_open(y.shape[1:-1]):  # the number of parts is known, whatever the size
            y = apply("reshape", y, shape=(y.shape[0], *parts, y.shape[-1]))
    else:
        y = _largest_parts(x, parts) if largest else _mean_parts(x, parts)
    return channels_first(y) if first else y


def _mean_parts(x: Node, parts: Sequence[int]) -> Node:
    """Dimension by dimension, as a product with the matrix of shares."""
    for i, m in enumerate(parts, 1):
        n = extent(x, i)
        shares = np.zeros((m, n))
        for row, (start, end) in enumerate(_parts(n, m)):
            shares[row, start:end] = 1 / (end - start)
        x = weighed(x, i, shares)
    return x


def _largest_parts(x: Node, parts: Sequence[int], axis: int = 1) -> Node:
    """Part by part: they are few, and of different sizes."""
    if axis > len(parts):
        y = apply("reduce_max", x, axes=tuple(range(1, x.ndim - 1)), first=True)
        return keep(y, x.shape, range(1, x.ndim - 1), True)
    pieces = []
    for start, end in _parts(extent(x, axis), parts[axis - 1]):
        ranges = tuple((start, end, 1) if a == axis else None for a in range(x.ndim))
        pieces.append(_largest_parts(apply("slice", x, ranges=ranges), parts, axis + 1))
    return pieces[0] if len(pieces) == 1 else apply("concatenate", *pieces, axis=axis)


@function
def adaptive_places(x: Node, shape: Sequence[int | None], first: bool = False) -> Node:
    """Where `adaptive_pool` found each largest value, as `max_places` has it."""
    x = channels_last(x) if first else x
    dims = extents(x, 1, -1)
    parts = [n if m is None else m for n, m in zip(dims, shape, strict=True)]
    if all(n % m == 0 for n, m in zip(dims, parts, strict=True)):
        size = tuple(n // m for n, m in zip(dims, parts, strict=True))
        y = max_places(x, size, size, ((0, 0),) * len(size), (1,) * len(size))
    else:
        y = _places_in_parts(x, dims, parts, ())
    return channels_first(y) if first else y


def _places_in_parts(x: Node, dims: Sequence[int], parts: Sequence[int], starts: tuple[int, ...]) -> Node:
    """`_largest_parts` for places; ``starts`` is where the part begins in the dimensions that are cut already."""
    axis = 1 + len(starts)
    if axis > len(parts):
        size = extents(x, 1, -1)
        last = apply("transpose", x, axes=(0, x.ndim - 1, *range(1, x.ndim - 1)))
        cell = apply("argmax", apply("reshape", last, shape=(*last.shape[:2], math.prod(size))), axis=2)
        found = _flat_place(cell, size, [like(cell, at) for at in starts], (1,) * len(size), dims)
        return apply("reshape", found, shape=(x.shape[0], *(1,) * len(size), x.shape[-1]))
    pieces = []
    for start, end in _parts(extent(x, axis), parts[axis - 1]):
        ranges = tuple((start, end, 1) if a == axis else None for a in range(x.ndim))
        pieces.append(_places_in_parts(apply("slice", x, ranges=ranges), dims, parts, (*starts, start)))
    return pieces[0] if len(pieces) == 1 else apply("concatenate", *pieces, axis=axis)


@function
def max_unpool(x: Node, places: Node, shape: Sequence[int]) -> Node:
    """The values of (batch, channels, positions...) at their `max_places` in a spatial shape, and 0 elsewhere.

    Of values that meet at a place, which are equal where `max_pool` gave them, each has the whole gradient.
    """
    images = x.shape[0] * x.shape[1]  # the batch is known: `scatter_add` needs it
    size = math.prod(shape)
    rows = apply("reshape", places, shape=(images, math.prod(extents(x, 2, x.ndim))))
    first = apply("iota", shape=rows.shape, axis=0, dtype="int64") * like(rows, size)
    flat = reshape(add(rows, first), (-1,))
    total, counts = (apply("scatter_add", flat, reshape(v, (-1,)), rows=images * size) for v in (x, like(x, 1)))
    value = apply("stop_gradient", divide(total, maximum(counts, 1)) - total)
    return apply("reshape", total + value, shape=(*x.shape[:2], *shape))
