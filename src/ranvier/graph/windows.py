"""Windows: all positions of a sliding window along some axes, as a view. Pooling is a reduction over them.

``axes`` holds (axis, size, stride, dilation) in the order of the axes. Such an axis becomes two: the windows, and the
places within a window; element i of window o is element ``o * stride + i * dilation`` of the axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ranvier.graph.extents import Shape
from ranvier.graph.node import GraphError, Node, Type, apply, constant, extent, extents

Attrs = dict[str, Any]
LARGE = 16  # offsets in a window from which on they are not added one by one


def windows_type(types: Sequence[Type], attrs: Attrs) -> Type:
    (given,) = types
    shape: list[Any] = []
    by_axis = {axis: rest for axis, *rest in attrs["axes"]}
    if list(by_axis) != sorted(by_axis) or len(by_axis) != len(attrs["axes"]):
        raise GraphError(f"the axes of {attrs['axes']} are not in order")
    for axis, dim in enumerate(given.shape):
        if axis not in by_axis:
            shape.append(dim)
            continue
        size, stride, dilation = by_axis.pop(axis)
        span = (size - 1) * dilation + 1
        if not isinstance(dim, int) or min(size, stride, dilation) < 1 or span > dim:
            raise GraphError(f"windows of {span} do not fit an axis of {dim}")
        shape += [(dim - span) // stride + 1, size]
    if by_axis:
        raise GraphError(f"{given} has no axes {list(by_axis)}")
    return Type(tuple(shape), given.dtype)


def windows_value(arrays: Sequence[Any], attrs: Attrs, extents: dict[str, int]) -> Any:
    (x,) = arrays
    shape, strides = [], []
    by_axis = {axis: rest for axis, *rest in attrs["axes"]}
    for axis, (dim, step) in enumerate(zip(x.shape, x.strides, strict=True)):
        if axis not in by_axis:
            shape.append(dim)
            strides.append(step)
            continue
        size, stride, dilation = by_axis[axis]
        shape += [(dim - (size - 1) * dilation - 1) // stride + 1, size]
        strides += [step * stride, step * dilation]
    return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)


def windows_gradient(n: Node, g: Node) -> tuple[Node]:
    """The sum, for each element, over all windows that contain it."""
    (x,), axes = n.inputs, n.attrs["axes"]
    if all(stride == size and dilation == 1 for _, size, stride, dilation in axes):
        covered = list(x.shape)
        for axis, size, _, _ in axes:
            covered[axis] = x.shape[axis] // size * size
        whole = apply("reshape", g, shape=tuple(covered))
        return (_padded(whole, [(0, 0, 0)] * x.ndim, x.shape),)
    places = {axis: axis + i for i, (axis, *_) in enumerate(axes)}  # the axis of g for the windows of each axis
    behind = x.shape[axes[0][0] :]
    vectors = axes[-1][0] < x.ndim - 1 and all(isinstance(dim, int) for dim in behind)
    if vectors and all(stride <= size <= LARGE and dilation == 1 for _, size, stride, dilation in axes):
        return (_by_residues(x, g, axes, places),)
    total: Node | None = None
    for groups in product(*(_offsets(*rest) for _, *rest in axes)):
        ranges: list[Any] = [None] * g.ndim
        widths = [(0, 0, 0)] * x.ndim
        kept = list(g.shape)
        spread = [(0, 0, 0)] * g.ndim
        for (axis, _, stride, dilation), (first, count) in zip(axes, groups, strict=True):
            place = places[axis]
            ranges[place + 1] = (first, first + count, 1)
            if count == 1:
                widths[axis], kept[place + 1] = (first * dilation, 0, stride - 1), 0
            else:  # windows side by side, with zeros between them where they do not touch
                spread[place + 1] = (0, stride - count, 0)
                widths[axis], kept[place], kept[place + 1] = (first, 0, 0), kept[place] * stride, 0
        part = apply("slice", g, ranges=tuple(ranges))
        if any(width != (0, 0, 0) for width in spread):
            part = apply("pad", part, constant(0, part.dtype), widths=tuple(spread))
        offsets = {place + 1 for place in places.values()}
        part = apply("reshape", part, shape=tuple(d for i, d in enumerate(kept) if i not in offsets))
        part = _padded(part, widths, x.shape)
        total = part if total is None else total + part
    assert total is not None
    return (total,)


def _by_residues(x: Node, g: Node, axes: Sequence[tuple[int, ...]], places: dict[int, int]) -> Node:
    """The same sum of windows that overlap. Elements a stride apart are at the same offsets of their windows: for each
    residue of their indices they are summed without zeros in between, and the sums are interleaved.
    """
    part_shape = list(x.shape)
    for axis, _, stride, _ in axes:
        part_shape[axis] = -(-extent(x, axis) // stride)

    def part(residues: tuple[int, ...]) -> Node:
        total: Node | None = None
        strided = [range(low, size, stride) for low, (_, size, stride, _) in zip(residues, axes, strict=True)]
        for offsets in product(*strided):
            ranges: list[Any] = [None] * g.ndim
            widths = [(0, 0, 0)] * x.ndim
            for offset, (axis, _, stride, _) in zip(offsets, axes, strict=True):
                ranges[places[axis] + 1] = (offset, offset + 1, 1)
                widths[axis] = (offset // stride, 0, 0)
            one = apply("slice", g, ranges=tuple(ranges))
            taken = {place + 1 for place in places.values()}
            one = apply("reshape", one, shape=tuple(d for i, d in enumerate(g.shape) if i not in taken))
            one = _padded(one, widths, tuple(part_shape))
            total = one if total is None else total + one
        assert total is not None
        return total

    def joined(residues: tuple[int, ...]) -> Node:
        if len(residues) == len(axes):
            return part(residues)
        axis, _, stride, _ = axes[len(residues)]
        return interleaved([joined((*residues, low)) for low in range(stride)], axis)

    result = joined(())
    ranges = [None if own == dim else (0, dim, 1) for own, dim in zip(result.shape, x.shape, strict=True)]
    return apply("slice", result, ranges=tuple(ranges)) if any(ranges) else result


def interleaved(parts: Sequence[Node], axis: int) -> Node:
    """The elements along an axis, which is not the last, of several nodes in turn."""
    if len(parts) == 1:
        return parts[0]
    shape = parts[0].shape
    flat, whole = (*shape[: axis + 1], prod(extents(parts[0], axis + 1))), extent(parts[0], axis) * len(parts)
    rows = [one if shape == flat else apply("reshape", one, shape=flat) for one in parts]
    joined = apply("concatenate", *rows, axis=axis + 1)
    return apply("reshape", joined, shape=(*shape[:axis], whole, *shape[axis + 1 :]))


def _offsets(size: int, stride: int, dilation: int) -> list[tuple[int, int]]:
    """The offsets in a window as (first, count) of those that are added at once.

    Of large windows as many as windows are apart: their elements lie side by side. Either way an element is the sum of
    its windows from the last to the first.
    """
    together = stride if dilation == 1 and size > LARGE else 1
    return [(first, min(together, size - first)) for first in range(0, size, together)]


def _padded(part: Node, widths: list[tuple[int, int, int]], shape: Shape) -> Node:
    """``part`` spread out and padded with zeros to a shape."""
    full: list[tuple[int, int, int]] = []
    for dim, wanted, (low, _, between) in zip(part.shape, shape, widths, strict=True):
        reached = low + dim + max(0, dim - 1) * between if isinstance(dim, int) else 0
        if isinstance(dim, int) and isinstance(wanted, int) and reached > wanted:  # zeros after the last window
            part = apply("slice", part, ranges=tuple(
                (0, dim - reached + wanted, 1) if axis == len(full) else None for axis in range(part.ndim)
            ))  # fmt: skip
            reached = wanted
        full.append((low, wanted - reached if isinstance(wanted, int) else 0, between))
    if all(w == (0, 0, 0) for w in full):
        return part
    return apply("pad", part, constant(0, part.dtype), widths=tuple(full))
