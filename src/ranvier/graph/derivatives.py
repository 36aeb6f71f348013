"""Gradients of primitives that need more than a line, and helpers of gradients. They build ordinary graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier.graph.node import Node, apply, constant, extent, like


def where(condition: Node, yes: Node, no: Node) -> Node:
    return apply("select", condition, yes, no)


def zeros(node: Node) -> Node:
    return like(node, 0.0)


def restore(g: Node, shape: tuple[Any, ...], axes: Sequence[int]) -> Node:
    """Broadcast the gradient of a reduction over ``axes`` back to ``shape``."""
    return apply("broadcast", g, shape=shape, axes=tuple(i for i in range(len(shape)) if i not in axes))


def countdown(shape: tuple[Any, ...], axes: Sequence[int]) -> Node:
    """int32 numbers that decrease from 0 by 1 with every element along ``axes``, in row-major order."""
    total = None
    stride = 1
    for axis in reversed(axes):
        place = apply("iota", shape=shape, dtype="int32", axis=axis)
        part = place * like(place, -stride)
        total = part if total is None else total + part
        stride *= shape[axis]
    assert total is not None
    return total


def reduce_max_gradient(n: Node, g: Node) -> Sequence[Node]:
    """Split evenly among equal maxima, as jax and torch's amax do; with ``first``, all of it goes to the first."""
    (x,), axes = n.inputs, n.attrs["axes"]
    equal = apply("equal", x, restore(n, x.shape, axes))
    if n.attrs.get("first"):
        earliness = countdown(x.shape, axes)
        earliest = apply("reduce_max", where(equal, earliness, like(earliness, -(2**31))), axes=axes)
        chosen = apply("equal", earliness, restore(earliest, x.shape, axes))
        return (where(chosen, restore(g, x.shape, axes), zeros(x)),)
    hit = apply("cast", equal, dtype=x.dtype)
    count = apply("reduce_sum", hit, axes=axes)
    return (hit * restore(g / count, x.shape, axes),)


def slice_gradient(n: Node, g: Node) -> Sequence[Node]:
    widths = []
    for axis, item in enumerate(n.attrs["ranges"]):
        if item is None:
            widths.append((0, 0, 0))
        else:
            start, _, step = item
            used = start + max(0, (extent(n, axis) - 1) * step + 1)
            widths.append((start, extent(n.inputs[0], axis) - used, step - 1))
    return (apply("pad", g, constant(0, g.dtype), widths=tuple(widths)),)


def pad_gradient(n: Node, g: Node) -> Sequence[Node]:
    ranges = [
        None if width == (0, 0, 0) else (width[0], dim - width[1], width[2] + 1)
        for dim, width in zip(n.shape, n.attrs["widths"], strict=True)
    ]
    inner = apply("slice", g, ranges=tuple(ranges))
    axes = tuple(range(g.ndim))
    return inner, apply("reduce_sum", g, axes=axes) - apply("reduce_sum", inner, axes=axes)


def concatenate_gradient(n: Node, g: Node) -> Sequence[Node]:
    parts, start, axis = [], 0, n.attrs["axis"]
    for operand in n.inputs:
        stop = start + operand.shape[axis]
        parts.append(apply("slice", g, ranges=tuple((start, stop, 1) if i == axis else None for i in range(g.ndim))))
        start = stop
    return parts


def last_row(index: Node, rows: Any) -> Node:
    """The index of the last of ``rows`` rows, which may be symbolic, in the shape of ``index``."""
    if isinstance(rows, int):
        return like(index, rows - 1)
    extent = apply("extent", symbols=(rows.name,), dtype=index.dtype)
    return apply("broadcast", extent, shape=index.shape, axes=()) - like(index, 1)


def gather_gradient(n: Node, g: Node) -> Sequence[Node | None]:
    source, index = n.inputs
    rows = source.shape[n.attrs.get("batch", 0)]
    read = apply("maximum", apply("minimum", index, last_row(index, rows)), like(index, 0))
    return apply("scatter_add", read, g, rows=rows, **_batched(n)), None


def _batched(n: Node) -> dict[str, int]:
    return {"batch": n.attrs["batch"]} if "batch" in n.attrs else {}


def scatter_add_gradient(n: Node, g: Node) -> Sequence[Node | None]:
    index, updates = n.inputs
    last = last_row(index, n.attrs["rows"])
    inside = apply("logical_and", apply("less_equal", like(index, 0), index), apply("less_equal", index, last))
    if updates.ndim > index.ndim:
        inside = apply("broadcast", inside, shape=updates.shape, axes=tuple(range(index.ndim)))
    return None, where(inside, apply("gather", g, index, **_batched(n)), zeros(updates))


def power_gradient(n: Node, g: Node) -> Sequence[Node]:
    """The gradient by the exponent is zero where the base is, and nan for a negative base, as in torch; the one by the
    base is zero where the exponent is.
    """
    x, y = n.inputs
    flat = apply("equal", y, zeros(y))
    exponent = where(flat, like(y, 1.0), y)  # so that the branch not taken is finite, and its gradient too
    slope = where(flat, zeros(y), y * apply("power", x, exponent - like(y, 1.0)))
    zero = apply("equal", x, zeros(x))
    safe = where(zero, like(x, 1.0), x)
    return g * slope, where(zero, zeros(g), g * n * apply("log", safe))


def extremum_gradient(n: Node, g: Node) -> Sequence[Node]:
    """The gradient of a maximum or minimum: half of it for each operand where both are equal, as in jax and torch."""

    def of(mine: Node, other: Node) -> Node:
        tie = apply("equal", mine, other)
        return where(tie, g * like(g, 0.5), where(apply("equal", n, mine), g, zeros(g)))

    return of(*n.inputs), of(*n.inputs[::-1])
