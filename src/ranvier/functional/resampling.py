"""Images (batch, height, width, channels) read at other places: moved, turned, zoomed, each sample as its numbers say.

A geometric change is an inverse map: each pixel of the result says where it comes from, and is read there. Where all
samples change alike, as when they get another size, `ranvier.functional.resizing` is faster.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ranvier import numeric as n
from ranvier.graph.extents import extent, extents
from ranvier.graph.node import GraphError, Node, apply
from ranvier.numeric.promotion import floating
from ranvier.tensor import function

__all__ = ["FILL_MODES", "INTERPOLATIONS", "crop_at", "rotate", "translate", "zoom"]

FILL_MODES = ("reflect", "wrap", "constant", "nearest")
INTERPOLATIONS = ("bilinear", "nearest")


def _grid(x: Node, size: Sequence[int]) -> tuple[Node, Node, Node]:
    """Row and column (floats) and channel (int32) of each element of one result, in a line."""
    shape = (*size, extent(x, 3))
    line = (math.prod(shape),)

    def along(axis: int, dtype: str) -> Node:
        return apply("reshape", apply("iota", shape=shape, axis=axis, dtype=dtype), shape=line)

    return along(0, floating(x).dtype), along(1, floating(x).dtype), along(2, "int32")


def _tap(at: Node, size: int, fill_mode: str) -> Node:
    """A whole number as the position in 0 to size - 1 that it is read at."""
    if fill_mode == "wrap":
        turns = n.floor(n.multiply(n.add(at, 0.5), 1 / size))
        return n.subtract(at, n.multiply(turns, float(size)))
    if fill_mode == "reflect":
        at = _tap(at, 2 * size, "wrap")
        return n.minimum(at, n.subtract(2 * size - 1.0, at))
    return n.clip(at, 0.0, size - 1.0)


def _read(
    x: Node, row: Node, column: Node, channel: Node, size: Sequence[int], fill_mode: str, fill_value: float,
    smooth: bool,
) -> Node:  # fmt: skip
    """The images at these rows and columns, (samples, elements of one result) each."""
    height, width, channels = extents(x, 1)
    source = n.reshape(x, (x.shape[0], height * width * channels))

    def value(r: Node, c: Node) -> Node:
        pixel = n.add(
            n.multiply(n.cast(_tap(r, height, fill_mode), "int32"), width),
            n.cast(_tap(c, width, fill_mode), "int32"),
        )
        place = n.add(n.multiply(pixel, channels), channel)
        found = floating(apply("gather", source, place, batch=1))
        if fill_mode != "constant":
            return found
        known = n.logical_and(
            n.logical_and(n.greater_equal(r, 0.0), n.less(r, float(height))),
            n.logical_and(n.greater_equal(c, 0.0), n.less(c, float(width))),
        )
        return n.where(known, found, float(fill_value))

    if smooth:
        top, left = n.floor(row), n.floor(column)
        down, right = row - top, column - left
        below, beyond = n.add(top, 1.0), n.add(left, 1.0)
        upper, lower = (
            first + (second - first) * right
            for first, second in ((value(r, left), value(r, beyond)) for r in (top, below))
        )
        result = upper + (lower - upper) * down
    else:
        result = value(n.floor(n.add(row, 0.5)), n.floor(n.add(column, 0.5)))
    return n.reshape(result, (x.shape[0], *size, channels))


def _wide(x: Node, *parameters: Node) -> list[Node]:
    """Numbers of samples, (samples,), as columns."""
    if x.ndim != 4 or not all(isinstance(d, int) for d in x.shape[1:]):
        raise GraphError(f"images are (batch, height, width, channels), and here is {x.type}")
    return [n.reshape(p, (p.shape[0], 1)) for p in parameters]


@function
def translate(
    x: Node,
    down: Node,
    right: Node,
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    interpolation: str = "bilinear",
) -> Node:
    """Images moved by so many pixels, a number for each sample."""
    down, right = _wide(x, down, right)
    size = extents(x, 1, 3)
    row, column, channel = _grid(x, size)
    return _read(
        x, n.subtract(row, down), n.subtract(column, right), channel, size, fill_mode, fill_value,
        interpolation == "bilinear",
    )  # fmt: skip


@function
def rotate(
    x: Node,
    angle: Node,
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    interpolation: str = "bilinear",
) -> Node:
    """Images turned about their centre by an angle in radians, counterclockwise, a number for each sample."""
    (angle,) = _wide(x, angle)
    size = extents(x, 1, 3)
    row, column, channel = _grid(x, size)
    y, z = ((s - 1) / 2 for s in size)
    u, v = n.subtract(row, y), n.subtract(column, z)
    cosine, sine = n.cos(angle), n.sin(angle)
    rows = n.add(n.add(n.multiply(u, cosine), n.multiply(v, sine)), y)
    columns = n.add(n.subtract(n.multiply(v, cosine), n.multiply(u, sine)), z)
    return _read(x, rows, columns, channel, size, fill_mode, fill_value, interpolation == "bilinear")


@function
def zoom(
    x: Node,
    vertical: Node,
    horizontal: Node,
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    interpolation: str = "bilinear",
) -> Node:
    """Images zoomed about their centre: those factors as much is seen, a number for each sample; 1 changes nothing."""
    vertical, horizontal = _wide(x, vertical, horizontal)
    size = extents(x, 1, 3)
    row, column, channel = _grid(x, size)
    y, z = ((s - 1) / 2 for s in size)
    rows = n.add(n.multiply(n.subtract(row, y), vertical), y)
    columns = n.add(n.multiply(n.subtract(column, z), horizontal), z)
    return _read(x, rows, columns, channel, size, fill_mode, fill_value, interpolation == "bilinear")


@function
def crop_at(x: Node, top: Node, left: Node, size: tuple[int, int]) -> Node:
    """The part of ``size`` of each image whose first pixel is at these whole numbers."""
    top, left = _wide(x, top, left)
    row, column, channel = _grid(x, size)
    return _read(x, n.add(row, top), n.add(column, left), channel, size, "nearest", 0.0, False)
