"""A pass for large samples: convolutions of 3 x 3 weights with four ninths of the products.

A tile of 2 x 2 results needs 36 products of each channel, or 16 once the 4 x 4 places that it reads and the weights are
transformed, by sums alone. Where many channels are summed, the transforms cost little beside. Source: Lavin and Gray
2016, "Fast Algorithms for Convolutional Neural Networks", F(2 x 2, 3 x 3), whose rounding errors are of the size of a
plain sum's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from ranvier.engines.native.layout import LAID
from ranvier.engines.native.workers import spatial
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, apply, constant, like

CHANNELS = 64  # on both sides, from which on that pays
Sums = Sequence[Sequence[tuple[int, float]]]  # each transformed value: of which given ones, times what
PLACES: Sums = (((0, 1), (2, -1)), ((1, 1), (2, 1)), ((2, 1), (1, -1)), ((1, 1), (3, -1)))
WEIGHTS: Sums = (((0, 1),), ((0, 0.5), (1, 0.5), (2, 0.5)), ((0, 0.5), (1, -0.5), (2, 0.5)), ((2, 1),))
RESULTS: Sums = (((0, 1), (1, 1), (2, 1)), ((1, 1), (2, -1), (3, -1)))


@dataclass(frozen=True)
class Convolution:
    """Of images (batch, height, width, channels) by a kernel (3, 3, channels, filters)."""

    images: Node
    kernel: Node
    height: int
    width: int  # of the result
    above: int  # zeros around the images
    left: int
    below: int
    right: int
    turned: bool  # the weights run backward, as in a gradient


def transform(graph: Graph, batch: int) -> Graph:
    """The graph with its larger convolutions done so, where several samples are taken at a time."""
    if not spatial(graph) or batch == 1:
        return graph

    def change(node: Node, old: Node) -> Node:
        found = _convolution(node) if node.op.name == "contract" else None
        return node if found is None else _transformed(found)

    return graph.changed(change)


def _convolution(node: Node) -> Convolution | None:
    """A contraction as such a convolution; None if it is none, or too small."""
    loops, rank = node.attrs["loops"], node.attrs["rank"]
    (images, weights), (at, by) = node.inputs, node.attrs["index"]
    if len(loops) != 7 or rank != 4 or loops[0] != BATCH or images.ndim != 4 or weights.ndim != 4:
        return None
    filters, channel = loops[3], at[3][0][0][0]
    if at[0] != (((0, 1),), 0) or at[3] != (((channel, 1),), 0) or min(filters, loops[channel]) < CHANNELS:
        return None
    images, front = _without_zeros(images)
    taps, around, turned = [], [], set()
    for axis in (1, 2):
        terms, offset = at[axis]
        outer, inner = (*sorted(terms), (0, 0))[:2]
        if (
            len(terms) != 2
            or outer != (axis, 1)
            or inner[0] < rank
            or abs(inner[1]) != 1
            or loops[inner[0]] != 3
        ):
            return None
        before = front[axis] - offset + (2 if inner[1] < 0 else 0)
        after = 2 * -(-loops[axis] // 2) + 2 - before - images.shape[axis]
        taps.append(inner[0])
        around += [before, after]
        turned.add(inner[1] < 0)
    axes = [
        place for loop in (*taps, channel, 3) for place, read in enumerate(by) if read == (((loop, 1),), 0)
    ]
    if len(axes) != 4 or len(turned) != 1 or min(around) < 0:
        return None
    if axes != [0, 1, 2, 3]:
        order = apply("transpose", weights, axes=tuple(axes))
        weights = Node(LAID, (order,), {}, order.type)
    above, below, left, right = around
    return Convolution(images, weights, loops[1], loops[2], above, left, below, right, turned == {True})


def _without_zeros(images: Node) -> tuple[Node, tuple[int, ...]]:
    """What was padded, and the zeros in front of it along each dimension; the images as they are if it is not plain."""
    if (
        images.op.name == "pad"
        and images.inputs[1].op.name == "constant"
        and not images.inputs[1].attrs["value"]
    ):
        widths = images.attrs["widths"]
        if not any(between for _, _, between in widths) and {*widths[0], *widths[3]} == {0}:
            return images.inputs[0], tuple(before for before, _, _ in widths)
    return images, (0,) * images.ndim


def _transformed(c: Convolution) -> Node:
    """(batch, height, width, filters)."""
    channels, filters = (int(extent) for extent in c.kernel.shape[2:])  # type: ignore[arg-type]  # weights' are known
    high, wide = -(-c.height // 2), -(-c.width // 2)  # tiles
    widths = ((0, 0, 0), (c.above, c.below, 0), (c.left, c.right, 0), (0, 0, 0))
    padded = apply("pad", c.images, constant(0, c.images.dtype), widths=widths)
    kernel = apply("reshape", c.kernel, shape=(9 * channels, filters))

    def place(i: int, j: int) -> Node:
        """Of each tile, what it reads there."""
        ranges = (None, (i, i + 2 * high - 1, 2), (j, j + 2 * wide - 1, 2), None)
        return apply("slice", padded, ranges=ranges)

    def weight(i: int, j: int) -> Node:
        at = (3 * (2 - i) + 2 - j if c.turned else 3 * i + j) * channels
        return apply("slice", kernel, ranges=((at, at + channels, 1), None))

    places = apply("concatenate", *_sums(PLACES, place), axis=1)
    weights = apply("concatenate", *_sums(WEIGHTS, weight), axis=0)
    products = apply(
        "contract",
        apply("reshape", places, shape=(BATCH, 16, high * wide, channels)),
        apply("reshape", weights, shape=(16, channels, filters)),
        index=(_plain(0, 1, 2, 4), _plain(1, 4, 3)), loops=(BATCH, 16, high * wide, filters, channels), rank=4,
    )  # fmt: skip
    products = apply("reshape", products, shape=(BATCH, 16 * high, wide, filters))

    def made(i: int, j: int) -> Node:
        at = (4 * i + j) * high
        return apply("slice", products, ranges=(None, (at, at + high, 1), None, None))

    # The two places of a tile's row lie next to each other, and then its two rows.
    parts = _sums(RESULTS, made)
    rows = [apply("concatenate", *parts[at : at + 2], axis=3) for at in (0, 2)]
    flat = [apply("reshape", row, shape=(BATCH, high, 2 * wide * filters)) for row in rows]
    result = apply("reshape", apply("concatenate", *flat, axis=2), shape=(BATCH, 2 * high, 2 * wide, filters))
    if (c.height, c.width) == (2 * high, 2 * wide):
        return result
    return apply("slice", result, ranges=(None, (0, c.height, 1), (0, c.width, 1), None))


def _plain(*loops: int) -> tuple[tuple[tuple[tuple[int, int], ...], int], ...]:
    return tuple((((loop, 1),), 0) for loop in loops)


def _sums(table: Sums, value: Callable[[int, int], Node]) -> list[Node]:
    """The table's sums of a plane's values along both of its axes, row by row."""
    return [
        _sum([(factor, _sum([(other, value(i, j)) for j, other in across])) for i, factor in down])
        for down, across in product(table, repeat=2)
    ]


def _sum(terms: Sequence[tuple[float, Node]]) -> Node:
    """Of nodes times numbers, the first of which is not negative."""
    scaled = [
        (number, node if abs(number) == 1 else node * like(node, abs(number))) for number, node in terms
    ]
    total = scaled[0][1]
    for number, node in scaled[1:]:
        total = total + node if number > 0 else total - node
    return total
