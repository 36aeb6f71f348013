"""Windows: all positions of a sliding window along some axes, as a view. Pooling is a reduction over them.

``axes`` holds (axis, size, stride, dilation) in the order of the axes. Such an axis becomes two: the windows, and the
places within a window; element i of window o is element ``o * stride + i * dilation`` of the axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from ranvier.graph.node import GraphError, Node, Type, apply, constant

Attrs = dict[str, Any]


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
        return (_padded(whole, [(0, 0, 0)] * x.ndim, x),)
    places = {axis: axis + i for i, (axis, *_) in enumerate(axes)}  # the axis of g for the windows of each axis
    total: Node | None = None
    for offsets in product(*(range(size) for _, size, _, _ in axes)):
        ranges: list[Any] = [None] * g.ndim
        widths = [(0, 0, 0)] * x.ndim
        for (axis, _, stride, dilation), i in zip(axes, offsets, strict=True):
            ranges[places[axis] + 1] = (i, i + 1, 1)
            widths[axis] = (i * dilation, 0, stride - 1)
        kept = [d for place, d in enumerate(g.shape) if place - 1 not in places.values()]
        part = apply("reshape", apply("slice", g, ranges=tuple(ranges)), shape=tuple(kept))
        part = _padded(part, widths, x)
        total = part if total is None else total + part
    assert total is not None
    return (total,)


def _padded(part: Node, widths: list[tuple[int, int, int]], like: Node) -> Node:
    """``part`` spread out and padded with zeros to the shape of ``like``."""
    full = []
    for dim, wanted, (low, _, between) in zip(part.shape, like.shape, widths, strict=True):
        reached = low + dim + max(0, dim - 1) * between if isinstance(dim, int) else 0
        full.append((low, wanted - reached if isinstance(wanted, int) else 0, between))
    if all(w == (0, 0, 0) for w in full):
        return part
    return apply("pad", part, constant(0, part.dtype), widths=tuple(full))
