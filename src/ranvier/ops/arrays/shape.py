"""The same elements in another shape or order; parts, joins and basic indexing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.graph.extents import Extent
from ranvier.graph.node import GraphError, GraphExtentError, Node, apply, constant
from ranvier.ops.arrays.promotion import Axes, as_node, axes_of, axis_of, expand, result_dtype
from ranvier.tensor.function import function, joining


@function
def reshape(x: Node, shape: Any) -> Node:
    """The same elements in another shape; one extent may be -1. Symbols stay whole."""
    dims: list[Any] = [shape] if isinstance(shape, (int, Extent)) else list(shape)
    if dims.count(-1) > 1:
        raise GraphError(f"shape {tuple(dims)} leaves two extents open: write -1 once")
    if -1 in dims:
        rest = [d for d in dims if d != -1]
        symbols = [d for d in x.shape if isinstance(d, Extent)]
        for d in rest:
            if isinstance(d, Extent) and d in symbols:
                symbols.remove(d)
        size = math.prod(d for d in x.shape if not isinstance(d, Extent))
        known = math.prod(d for d in rest if not isinstance(d, Extent))
        if not known and not symbols:
            raise GraphError(f"an extent of -1 in {tuple(dims)} could be any: write the number")
        if known and size % known and not symbols:
            raise unfitting(x.shape, dims, f"{size} elements are no multiple of {known}")
        missing: Any = size // known if known else 0
        if symbols and missing == 1 and size == known:
            missing = symbols[0]
        elif symbols:
            apart = ", ".join(["shape(x)[0]", *map(str, dims)])
            raise GraphExtentError(
                f"cannot reshape {tuple(x.shape)} to {tuple(dims)}: {symbols[0]!r} is known only in the program, and "
                f"is no part of another extent. Write ({apart}), which keeps it, instead."
            )
        dims[dims.index(-1)] = missing
    if not any(isinstance(d, Extent) for d in (*x.shape, *dims)):
        held, asked = elements(x.shape), elements(dims)
        if held != asked:
            raise unfitting(x.shape, dims, f"{held} elements are not {asked}")
    return x if tuple(dims) == x.shape else apply("reshape", x, shape=tuple(dims))


def elements(shape: Sequence[Any]) -> int:
    return math.prod(map(int, shape))


def unfitting(shape: Sequence[Any], dims: Sequence[Any], why: str) -> GraphError:
    """The error for a shape of another number of elements: it gives the nearest last extent that fits."""
    size, last = elements(shape), dims[-1] if dims and dims[-1] > 0 else 1
    fits = next((d for i in range(last) for d in (last - i, last + i) if size % d == 0), 1)
    return GraphError(
        f"cannot reshape {tuple(shape)} to {tuple(dims)}: {why}. Write (-1, {fits}) for rows of {fits}, in which -1 is "
        "the extent that follows, instead"
    )


def with_ones(x: Any, ndim: int) -> Any:
    """``x`` with axes of extent 1 added at the end, up to ``ndim``."""
    return reshape(x, (*x.shape, *(1,) * (ndim - x.ndim)))


@function
def flatten(x: Node, start_dim: int = 0, end_dim: int = -1) -> Node:
    """The axes from ``start_dim`` to ``end_dim`` made one."""
    if x.ndim == 0:
        return apply("reshape", x, shape=(1,))
    start, end = axis_of(start_dim, x.ndim), axis_of(end_dim, x.ndim)
    if start >= end:
        return x
    joined = x.shape[start : end + 1]
    size = math.prod(joined) if all(isinstance(d, int) for d in joined) else -1  # which no elements would leave open
    return reshape(x, (*x.shape[:start], size, *x.shape[end + 1 :]))


@function
def ravel(x: Node) -> Node:
    """All elements in one axis."""
    return reshape(x, (-1,))


@function
def transpose(x: Node, axes: tuple[int, ...] | None = None) -> Node:
    """The axes in another order; reversed when left out."""
    order = tuple(reversed(range(x.ndim))) if axes is None else tuple(axis_of(a, x.ndim) for a in axes)
    return x if order == tuple(range(x.ndim)) else apply("transpose", x, axes=order)


@function
def moveaxis(x: Node, source: Any, destination: Any) -> Node:
    """Axes at other places, one or several; the rest stays in order."""
    from_, to = (v if isinstance(v, (tuple, list)) else (v,) for v in (source, destination))
    if len(from_) != len(to) or len(axes_of(from_, x.ndim)) != len(axes_of(to, x.ndim)):
        raise GraphError(f"axes {source} cannot move to {destination}: write one place for each")
    pairs = sorted((axis_of(b, x.ndim), axis_of(a, x.ndim)) for a, b in zip(from_, to, strict=True))
    order = [i for i in range(x.ndim) if i not in {a for _, a in pairs}]
    for place, axis in pairs:
        order.insert(place, axis)
    return transpose(x, tuple(order))


@function
def swapaxes(x: Node, a: int, b: int) -> Node:
    """Two axes exchanged."""
    order = list(range(x.ndim))
    a, b = axis_of(a, x.ndim), axis_of(b, x.ndim)
    order[a], order[b] = b, a
    return apply("transpose", x, axes=tuple(order))


@function
def expand_dims(x: Node, axis: int) -> Node:
    """A new axis of extent 1."""
    at = axis_of(axis, x.ndim + 1)
    return apply("reshape", x, shape=(*x.shape[:at], 1, *x.shape[at:]))


@function
def squeeze(x: Node, axis: Axes = None) -> Node:
    """Without the given axes of extent 1, or without all such."""
    axes = axes_of(axis, x.ndim)
    if axis is not None and [a for a in axes if x.shape[a] != 1]:
        raise GraphError(f"only axes of extent 1 can be squeezed; shape {x.shape}, axis {axis}")
    return apply("reshape", x, shape=tuple(d for i, d in enumerate(x.shape) if not (d == 1 and i in axes)))


@function
def broadcast_to(x: Node, shape: tuple[Any, ...]) -> Node:
    """``x`` repeated by NumPy's rule."""
    return expand(x, shape)


@joining(np.concatenate)
def concatenate(tensors: Sequence[Node], axis: int = 0) -> Node:
    """Tensors joined along an axis that exists. One of shape (0,), where a loop may begin, adds nothing to others."""
    if not tensors:
        raise GraphError("there is nothing to join: write one tensor or more")
    dtype = result_dtype(*tensors)
    nodes = [as_node(t, dtype) for t in tensors]
    nodes = [x for x in nodes if x.shape != (0,)] or nodes[:1]
    if len({x.ndim for x in nodes}) > 1:
        given = " and ".join(str(x.shape) for x in nodes)
        raise GraphError(f"shapes {given} do not join: write as many dimensions for each (reshape), or stack")
    return apply("concatenate", *nodes, axis=axis_of(axis, nodes[0].ndim))


@joining(np.stack)
def stack(tensors: Sequence[Node], axis: int = 0) -> Node:
    """Tensors of one shape joined along a new axis."""
    return concatenate([expand_dims(t, axis) for t in tensors], axis)


def part(x: Node, axis: int, start: int, stop: int, step: int = 1) -> Node:
    return apply("slice", x, ranges=tuple((start, stop, step) if i == axis else None for i in range(x.ndim)))


@function
def split(x: Node, sections: int | tuple[int, ...], axis: int = 0) -> tuple[Node, ...]:
    """Equal parts when ``sections`` is their number, else parts of the given sizes."""
    axis = axis_of(axis, x.ndim)
    extent = x.shape[axis]
    if not isinstance(extent, int):
        raise GraphExtentError(f"axis {axis} of {x.shape} is known only at run time and can't be split")
    if isinstance(sections, int) and sections < 1:
        raise GraphError(f"an axis of {extent} does not split into {sections} parts: write 1 or more")
    sizes = (extent // sections,) * sections if isinstance(sections, int) else sections
    if math.fsum(sizes) != extent:
        raise GraphError(f"an axis of {extent} does not split into {sections}: write sizes that add up to it")
    stops = np.cumsum(sizes).tolist()
    return tuple(part(x, axis, stop - size, stop) for size, stop in zip(sizes, stops, strict=True))


@function
def pad(x: Node, widths: tuple[tuple[int, int], ...], value: float = 0.0) -> Node:
    """Constant values before and after each axis: ``widths`` holds (before, after) for each."""
    return apply("pad", x, constant(value, x.dtype), widths=tuple((a, b, 0) for a, b in widths))


@function
def flip(x: Node, axis: Axes = None) -> Node:
    """The order of elements along the axes reversed."""
    return apply("reverse", x, axes=axes_of(axis, x.ndim))


@function
def fliplr(x: Node) -> Node:
    """The order along the second axis reversed."""
    return flip(x, 1)


@function
def flipud(x: Node) -> Node:
    """The order along the first axis reversed."""
    return flip(x, 0)


@function
def diagonal(x: Node, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Node:
    """A diagonal of the matrices in two axes, as the last axis; ``offset`` counts to the right of the main one."""
    first, second = axis_of(dim1, x.ndim), axis_of(dim2, x.ndim)
    rest = tuple(i for i in range(x.ndim) if i not in (first, second))
    rows, columns = x.shape[first], x.shape[second]
    if not isinstance(rows, int) or not isinstance(columns, int):
        raise GraphExtentError(f"a diagonal of {x.shape} needs extents that are known")
    flat = reshape(transpose(x, (*rest, first, second)), (*(x.shape[i] for i in rest), rows * columns))
    count = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    start = offset if offset >= 0 else -offset * columns
    stop = start + (count - 1) * (columns + 1) + 1 if count else start
    return index_basic(flat, (Ellipsis, ("slice", start, stop, columns + 1)))


@function
def index_basic(x: Node, items: tuple[Any, ...]) -> Node:
    """``x[items]`` for whole numbers, ("slice", start, stop, step), None and ...; steps are not 0."""
    items = items if Ellipsis in items else (*items, Ellipsis)
    used = len([i for i in items if i is not None and i is not Ellipsis])
    if used > x.ndim:
        raise GraphError(f"too many indices for shape {x.shape}")
    ranges: list[Any] = []
    shape: list[Any] = []
    backward: list[int] = []
    for item in items:
        axis = len(ranges)
        if item is None:
            shape.append(1)
        elif item is Ellipsis:
            rest = x.shape[axis : axis + x.ndim - used]
            ranges += [None] * len(rest)
            shape += rest
        elif isinstance(item, tuple) and item[1:] == (None, None, None):
            ranges.append(None)
            shape.append(x.shape[axis])
        else:
            extent = x.shape[axis]
            if not isinstance(extent, int):
                raise GraphExtentError(f"axis {axis} of {x.shape} is known only at run time: write ':' for it")
            if isinstance(item, tuple):
                chosen = range(extent)[slice(*item[1:])]
                if chosen.step < 0:
                    backward.append(axis)
                    chosen = chosen[::-1]
                last = chosen[-1] + 1 if len(chosen) else chosen.start
                ranges.append((chosen.start if len(chosen) else 0, last if len(chosen) else 0, chosen.step))
                shape.append(len(chosen))
            else:
                if not -extent <= item < extent:
                    raise IndexError(f"index {item} is outside axis {axis} of {extent}")
                ranges.append((item % extent, item % extent + 1, 1))
    if [r for r in ranges if r is not None]:
        x = apply("slice", x, ranges=tuple(ranges))
    if backward:
        x = apply("reverse", x, axes=tuple(backward))
    return x if x.shape == tuple(shape) else apply("reshape", x, shape=tuple(shape))
