"""Images (batch, height, width, channels) read at other places: moved, turned, zoomed, each sample as its numbers say.

A geometric change is an inverse map: each pixel of the result says where it comes from, and is read there. Where all
samples change alike, as when they get another size, `ranvier.ops.functional.resizing` is faster.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ranvier.graph.node import GraphError, Node, apply, extent, extents, like
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import floating
from ranvier.tensor.function import function

FILL_MODES = ("reflect", "wrap", "constant", "nearest")
WARP_MODES = (*FILL_MODES, "mirror")
INTERPOLATIONS = ("bilinear", "nearest")


@function
def tap(at: Node, size: int, fill_mode: str) -> Node:
    """A whole number as the position in 0 to size - 1 that it is read at."""
    if fill_mode == "mirror" and size > 1:
        at = tap(at, 2 * size - 2, "wrap")
        return n.minimum(at, n.subtract(2 * size - 2.0, at))
    if fill_mode == "wrap":
        turns = n.floor(n.multiply(n.add(at, 0.5), 1 / size))
        return n.subtract(at, n.multiply(turns, float(size)))
    if fill_mode == "reflect":
        at = tap(at, 2 * size, "wrap")
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
            n.multiply(n.cast(tap(r, height, fill_mode), "int32"), width), n.cast(tap(c, width, fill_mode), "int32")
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


Map = Callable[..., tuple[Node, Node]]  # (row, column, each sample's numbers) of the result -> those that are read


def _mapped(
    x: Node, numbers: Sequence[Node], source: Map, fill_mode: str = "nearest", fill_value: float = 0.0,
    interpolation: str = "nearest", size: Sequence[int] = (), centred: bool = False,
) -> Node:  # fmt: skip
    """The images read where ``source`` says, of ``size`` or as large as they are; numbers of samples are (samples,).

    With ``centred`` rows and columns count from the images' centre.
    """
    if x.ndim != 4 or not all(isinstance(d, int) for d in x.shape[1:]):
        raise GraphError(f"images are (batch, height, width, channels), and here is {x.type}")
    size = size or extents(x, 1, 3)
    shape = (*size, extent(x, 3))

    def along(axis: int, dtype: str) -> Node:  # for each element of one result, in a line
        return apply("reshape", apply("iota", shape=shape, axis=axis, dtype=dtype), shape=(math.prod(shape),))

    places = [along(axis, floating(x).dtype) for axis in (0, 1)]
    middle = [(extent(x, axis) - 1) / 2 for axis in (1, 2)]
    if centred:
        places = list(map(n.subtract, places, middle))
    rows, columns = source(*places, *(n.reshape(v, (v.shape[0], 1)) for v in numbers))
    if centred:
        rows, columns = n.add(rows, middle[0]), n.add(columns, middle[1])
    return _read(x, rows, columns, along(2, "int32"), size, fill_mode, fill_value, interpolation == "bilinear")


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
    return _mapped(
        x, (down, right), lambda row, column, y, z: (n.subtract(row, y), n.subtract(column, z)),
        fill_mode, fill_value, interpolation,
    )  # fmt: skip


@function
def rotate(
    x: Node, angle: Node, fill_mode: str = "reflect", fill_value: float = 0.0, interpolation: str = "bilinear"
) -> Node:
    """Images turned about their centre by an angle in radians, counterclockwise, a number for each sample."""

    def turned(down: Node, right: Node, angle: Node) -> tuple[Node, Node]:
        cosine, sine = n.cos(angle), n.sin(angle)
        return (
            n.add(n.multiply(down, cosine), n.multiply(right, sine)),
            n.subtract(n.multiply(right, cosine), n.multiply(down, sine)),
        )

    return _mapped(x, (angle,), turned, fill_mode, fill_value, interpolation, centred=True)


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
    return _mapped(
        x, (vertical, horizontal), lambda down, right, y, z: (n.multiply(down, y), n.multiply(right, z)),
        fill_mode, fill_value, interpolation, centred=True,
    )  # fmt: skip


@function
def shear(
    x: Node,
    down: Node,
    right: Node,
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    interpolation: str = "bilinear",
) -> Node:
    """Images read so many columns further right in each row, and rows further down in each column."""

    def sheared(row: Node, column: Node, down: Node, right: Node) -> tuple[Node, Node]:
        return n.add(row, n.multiply(column, down)), n.add(column, n.multiply(row, right))

    return _mapped(x, (down, right), sheared, fill_mode, fill_value, interpolation)


@function
def crop_at(x: Node, top: Node, left: Node, size: tuple[int, int]) -> Node:
    """The part of ``size`` of each image whose first pixel is at these whole numbers."""
    return _mapped(x, (top, left), lambda row, column, y, z: (n.add(row, y), n.add(column, z)), size=size)


@function
def half_away(x: Node) -> Node:
    """The nearest whole number; of two, the one that is farther from 0."""
    return n.multiply(n.sign(x), n.floor(n.add(n.abs(x), 0.5)))


@function
def project(
    x: Node, transform: Node, fill_mode: str = "constant", fill_value: float = 0.0, interpolation: str = "bilinear"
) -> Node:
    """Images of which each pixel is read where a projective map says: eight numbers a sample, (samples, 8).

    ``(a0, a1, a2, b0, b1, b2, c0, c1)`` map (x, y) to ``((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k)``, where k is
    ``c0 x + c1 y + 1``.
    """
    numbers = [n.index_basic(transform, (("slice", None, None, None), i)) for i in range(8)]

    def projected(row: Node, column: Node, *m: Node) -> tuple[Node, Node]:
        def line(a: Node, b: Node, c: Node | float) -> Node:
            return n.add(n.add(n.multiply(column, a), n.multiply(row, b)), c)

        k = line(m[6], m[7], 1.0)
        return n.divide(line(m[3], m[4], m[5]), k), n.divide(line(m[0], m[1], m[2]), k)

    return _mapped(x, numbers, projected, fill_mode, fill_value, interpolation)


def _square_to(corners: Node) -> list[Node]:
    """The map of the unit square to four corners, (samples, 4, 2), as the nine numbers of a matrix (Heckbert, 1989)."""
    x, y = ([n.index_basic(corners, (("slice", None, None, None), i, axis)) for i in range(4)] for axis in (0, 1))
    (right, top), (left, bottom), (sum_x, sum_y) = (
        (x[1] - x[3], y[1] - y[3]), (x[2] - x[3], y[2] - y[3]), (x[0] - x[1] - x[2] + x[3], y[0] - y[1] - y[2] + y[3])
    )  # fmt: skip
    area = right * bottom - left * top
    g, h = (sum_x * bottom - left * sum_y) / area, (right * sum_y - sum_x * top) / area
    rows = [(v[1] - v[0] + g * v[1], v[2] - v[0] + h * v[2], v[0]) for v in (x, y)]
    return [*rows[0], *rows[1], g, h, like(g, 1.0)]


@function
def homography(start: Node, end: Node) -> Node:
    """What `project` takes, (samples, 8), to move four points (samples, 4, 2) to others, so that it reads them there.

    Of the four no three may be on a line; they go from left to right, and then below.
    """
    a, b, c, d, e, f, g, h, i = _square_to(end)
    # The adjugate is the inverse, up to a factor that leaves the map as it is.
    inverse = [
        e * i - f * h, c * h - b * i, b * f - c * e, f * g - d * i, a * i - c * g, c * d - a * f, d * h - e * g,
        b * g - a * h, a * e - b * d,
    ]  # fmt: skip
    first = _square_to(start)
    product = [
        first[3 * r] * inverse[k] + first[3 * r + 1] * inverse[3 + k] + first[3 * r + 2] * inverse[6 + k]
        for r in range(3)
        for k in range(3)
    ]
    return n.stack([v / product[8] for v in product[:8]], -1)
