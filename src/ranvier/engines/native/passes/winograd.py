"""A pass for images: convolutions of 3 x 3 weights with four ninths of the products.

A tile of 2 x 2 results needs 36 products for each channel, or 16 once the 4 x 4 inputs that it reads and the weights
are transformed, by additions alone. Where many channels are summed, the transforms cost little in comparison. The
gradient by the weights sums the same products over the tiles, of all samples at once where weights are large. Source:
Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks", F(2 x 2, 3 x 3), whose rounding errors are of
the size of a plain sum's. An infinite input makes the whole tile nan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, reduce
from itertools import pairwise
from math import prod
from typing import Any

from ranvier.engines.native.passes.clip_padding import is_zero
from ranvier.engines.native.passes.primitives import STRIPS, packed
from ranvier.engines.native.passes.virtual_workers import stays_whole
from ranvier.engines.native.passes.wide_products import few_places, is_large
from ranvier.engines.native.target.lanes import LANES, SIZE
from ranvier.graph.contraction import is_spatial, plain
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import BATCH, PRIMITIVES, Node, Type, apply, constant, extent, extents, full

STRIP_BYTES = 1 << 19  # of transformed values at a time: half of a second-level cache
GRADIENT_STRIP_BYTES = 1 << 22  # in a gradient by weights, where the sums are read again for each strip
MAX_RELATIVE_COST = 0.75  # beside the plain convolution, by the estimate in `_pays`
WEIGHTS_COST = 88  # cycles to transform 3 x 3 vectors of weights
# Cycles to store 4 x 4 vectors of products and transform them to a gradient by weights: once, in memory, or once for
# each sample.
GRADIENT_COST, SAMPLE_GRADIENT_COST = 384, 48
MAX_APART = 0.9  # of the products: with more, tiles that are cut off are computed as others are
Sums = Sequence[Sequence[tuple[int, float]]]  # a transform: for each output, the inputs and factors that it sums
INPUTS: Sums = (((0, 1), (2, -1)), ((1, 1), (2, 1)), ((2, 1), (1, -1)), ((1, 1), (3, -1)))
WEIGHTS: Sums = (((0, 1),), ((0, 0.5), (1, 0.5), (2, 0.5)), ((0, 0.5), (1, -0.5), (2, 0.5)), ((2, 1),))
RESULTS: Sums = (((0, 1), (1, 1), (2, 1)), ((1, 1), (2, -1), (3, -1)))


def _transposed(sums: Sums) -> Sums:
    """The transposed transform, which a gradient applies."""
    size = 1 + max(i for terms in sums for i, _ in terms)
    return [[(to, factor) for to, terms in enumerate(sums) for i, factor in terms if i == at] for at in range(size)]


@dataclass(frozen=True)
class Convolution:
    """Of images (batch, height, width, channels) by a kernel (3, 3, channels, filters)."""

    images: Node
    kernel: Node
    height: int
    width: int  # of the result
    around: tuple[int, ...]  # zeros above, below, left and right of the images
    flipped: bool  # the kernel is flipped in height and width, as in a gradient


@dataclass(frozen=True)
class WeightGradient:
    """The gradient of such a convolution by its kernel: (3, 3, channels, filters), with the axes in ``order``."""

    images: Node
    gradient: Node  # by the convolution's result: (batch, height, width, filters)
    around: tuple[int, ...]  # zeros above, below, left and right of the images
    order: tuple[int, ...]
    strips: int  # of a sample, each of which is transformed on its own


def winograd(graph: Graph, batch: int) -> Graph:
    """Transform the larger convolutions and their gradients by weights."""
    if not is_spatial(graph):
        return graph

    template = cache(_template)  # for this graph alone: a template is thousands of nodes

    def written(transformed: Callable[..., Node], found: Convolution | WeightGradient, *further: Any) -> Node:
        """What replaces a convolution or a gradient: it is made once for all of one shape, and then copied."""
        kind: Any = type(found)
        one, other, *rest = vars(found).values()
        (node,) = template(transformed, kind, one.type, other.type, *rest, *further).on((one, other))
        return node

    def change(node: Node, old: Node) -> Node:
        found, weights = _convolution(node, batch), _weight_gradient(node, batch)
        if found is not None:
            return written(_transformed, found, batch)
        return written(_transformed_gradient, weights) if weights is not None else node

    return graph.changed(change, "contract")


def _template(transformed: Callable[..., Node], kind: type, one: Type, other: Type, *rest: Any) -> Graph:
    nodes = [input_node(name, type_.shape, type_.dtype) for name, type_ in (("one", one), ("other", other))]
    count = len(fields(kind)) - len(nodes)
    return Graph(tuple(nodes), (transformed(kind(*nodes, *rest[:count]), *rest[count:]),))


def is_transformed(node: Node) -> bool:
    """Whether a contraction is one that the pass may transform."""
    some = GRADIENT_COST // SAMPLE_GRADIENT_COST  # samples
    return _weight_gradient(node, some) is not None or _convolution(node, some) is not None


def _pays(result: Sequence[int], given: Sequence[int], products: int, channels: int, filters: int, extra: int) -> bool:
    """Whether the tiles' products and transforms cost clearly less than the plain products, by measured cycles.

    ``result`` and ``given`` are heights and widths; ``products`` is the number of places in the tiles of a sample,
    ``extra`` how many further vectors each sample reads and writes.
    """
    vectors = -(-filters // LANES)
    plain = prod(map(min, result, given)) * 9 * channels * vectors / 2 / 0.95
    moved = 3.5 * products * (-(-channels // LANES) + vectors) + extra
    return products * channels * vectors / 2 / 0.87 + moved < MAX_RELATIVE_COST * plain


def _convolution(node: Node, batch: int) -> Convolution | None:
    """A contraction as such a convolution; None if it is no such convolution, or too small to gain."""
    loops, rank = node.attrs["loops"], node.attrs["rank"]
    (images, weights), (at, by) = node.inputs, node.attrs["index"]
    if len(loops) != 7 or rank != 4 or loops[0] != BATCH or images.ndim != 4 or weights.ndim != 4:
        return None
    channel = at[3][0][0][0] if at[3][0] else 0
    if at[0] != (((0, 1),), 0) or at[3] != (((channel, 1),), 0):
        return None
    images, front = _without_padding(images)
    taps, around, flipped = [], [], set()
    for axis in (1, 2):
        terms, offset = at[axis]
        outer, inner = (*sorted(terms), (0, 0))[:2]
        if len(terms) != 2 or outer != (axis, 1) or inner[0] < rank or abs(inner[1]) != 1 or loops[inner[0]] != 3:
            return None
        before = front[axis] - offset + (2 if inner[1] < 0 else 0)
        after = 2 * -(-loops[axis] // 2) + 2 - before - images.shape[axis]
        taps.append(inner[0])
        around += [before, after]
        flipped.add(inner[1] < 0)
    axes = [place for loop in (*taps, channel, 3) for place, read in enumerate(by) if read == (((loop, 1),), 0)]
    if len(axes) != 4 or len(flipped) != 1 or min(around) < 0:
        return None
    vectors = -(-loops[3] // LANES)
    extra = 8 * loops[1] * loops[2] * vectors
    if batch == 1 or is_large(weights):  # few samples pay for the transformed weights
        extra += WEIGHTS_COST * loops[channel] * vectors // batch
    places = 16 * -(-loops[1] // 2) * -(-loops[2] // 2)
    if not _pays(loops[1:3], extents(images, 1, 3), places, loops[channel], loops[3], extra):
        return None
    if axes != [0, 1, 2, 3]:
        weights = packed(weights, tuple(axes))
    return Convolution(images, weights, loops[1], loops[2], tuple(around), flipped == {True})


def _weight_gradient(node: Node, batch: int) -> WeightGradient | None:
    """A contraction as such a gradient by weights; None if it is no such gradient, or too small to gain."""
    loops, rank = node.attrs["loops"], node.attrs["rank"]
    if len(loops) != 7 or rank != 4 or loops.count(BATCH) != 1:
        return None
    for side in (0, 1):
        gradient, images = node.inputs[side], node.inputs[1 - side]
        by, at = node.attrs["index"][side], node.attrs["index"][1 - side]
        read = [terms[0][0] for terms, _ in by if terms]
        if len(read) != 4 or by != plain(*read) or loops[read[0]] != BATCH or read[3] >= rank or min(read[:3]) < rank:
            continue
        if images.ndim != 4 or at[0] != by[0] or len(at[3][0]) != 1 or at[3] != plain(at[3][0][0][0])[0]:
            continue
        images, front = _without_padding(images)
        taps, around = [], []
        for axis in (1, 2):
            terms, offset = at[axis]
            tap = next((loop for loop, _ in terms if loop < rank), rank)
            if sorted(terms) != [(tap, 1), (read[axis], 1)] or loops[tap] != 3:
                break
            before = front[axis] - offset
            taps.append(tap)
            around += [before, 2 * -(-loops[read[axis]] // 2) + 2 - before - images.shape[axis]]
        channel, filters = at[3][0][0][0], read[3]
        if len(taps) != 2 or {*taps, channel, filters} != {0, 1, 2, 3} or min(around) < 0:
            continue
        result: tuple[int, int] = loops[read[1]], loops[read[2]]
        vectors = loops[channel] * -(-loops[filters] // LANES)
        reads = batch * prod(-(-n // 2) for n in result) * (loops[channel] + loops[filters])
        whole = stays_whole(loops[channel] * loops[filters], reads, batch)
        extra = vectors * (GRADIENT_COST // batch if whole else SAMPLE_GRADIENT_COST)
        places = sum(piece.products for piece in _pieces(*result))
        if _pays(result, extents(images, 1, 3), places, loops[channel], loops[filters], extra):
            order = [*taps, channel, filters]
            strips = 1 if whole else _strips(*result, batch, loops[channel], loops[filters])
            return WeightGradient(images, gradient, tuple(around), tuple(order.index(i) for i in range(4)), strips)
    return None


def _strips(height: int, width: int, batch: int, channels: int, filters: int) -> int:
    """Into how many strips the gradient by weights divides a sample; of equal heights, if there are few more then."""
    high, wide = -(-height // 2), -(-width // 2)
    row = wide * (channels + filters)  # elements at one place of a row of tiles
    most = next((n for n in range(high, 1, -1) if not stays_whole(channels * filters, batch * (high // n) * row)), 1)
    count = min(-(-high * row * 16 * SIZE["float32"] // GRADIENT_STRIP_BYTES), most)
    if count == 1 or len(_pieces(height, width)) > 1:
        return 1
    return next((equal for equal in range(count, min(2 * count - 1, most) + 1) if high % equal == 0), count)


def _without_padding(images: Node) -> tuple[Node, tuple[int, ...]]:
    """The images without their padding of zeros, and the zeros before them in each dimension."""
    if images.op.name == "pad" and is_zero(images.inputs[1]):
        widths = images.attrs["widths"]
        if not any(between for _, _, between in widths) and {*widths[0], *widths[3]} == {0}:
            return images.inputs[0], tuple(before for before, _, _ in widths)
    return images, (0,) * images.ndim


def _padded(images: Node, around: tuple[int, ...]) -> Node:
    above, below, left, right = around
    widths = ((0, 0, 0), (above, below, 0), (left, right, 0), (0, 0, 0))
    return apply("pad", images, constant(0, images.dtype), widths=widths)


@dataclass(frozen=True)
class Piece:
    """Some of the 4 x 4 places in a tile, and the tiles that have them: those in the first ``high`` x ``wide``."""

    rows: Sequence[int]
    columns: Sequence[int]
    high: int
    wide: int

    @property
    def places(self) -> list[tuple[int, int]]:
        return [(i, j) for i in self.rows for j in self.columns]

    @property
    def products(self) -> int:
        """For each channel and filter."""
        return len(self.places) * self.high * self.wide


def _pieces(height: int, width: int) -> list[Piece]:
    """The places in the tiles of a result. Where a tile is cut off after its first row or column, the last is zero."""
    high, wide, every = -(-height // 2), -(-width // 2), range(4)
    apart = [
        Piece(range(3), range(3), high, wide), Piece(range(3), (3,), high, width // 2),
        Piece((3,), every, height // 2, wide),
    ]  # fmt: skip
    products = sum(piece.products for piece in apart)
    pays = min(height, width) > 1 and products <= MAX_APART * 16 * high * wide
    return apart if pays else [Piece(every, every, high, wide)]


def _tiles(padded: Node, first: int, piece: Piece) -> Node:
    """The transformed inputs of the tiles in some rows of tiles: (batch, places, tiles, channels)."""
    high, wide = piece.high, piece.wide

    def tile_input(i: int, j: int) -> Node:
        """Input (i, j) of each tile."""
        ranges = (None, (2 * first + i, 2 * (first + high) + i - 1, 2), (j, j + 2 * wide - 1, 2), None)
        return apply("slice", padded, ranges=ranges)

    return _joined(INPUTS, tile_input, piece)


def _joined(table: Sums, value: Callable[[int, int], Node], piece: Piece) -> Node:
    """The transformed values of each tile: (batch, places, tiles, channels)."""
    sums = _sums(table, value)
    transformed = apply("concatenate", *(sums[4 * i + j] for i, j in piece.places), axis=1)
    shape = BATCH, len(piece.places), piece.high * piece.wide, transformed.shape[-1]
    return apply("reshape", transformed, shape=shape)


def _transformed_gradient(g: WeightGradient) -> Node:
    """The gradient by weights: the transposed transforms of the convolution, in reverse order."""
    (height, width, filters), channels = extents(g.gradient, 1), extent(g.images, 3)
    gradient = _padded(g.gradient, (0, height % 2, 0, width % 2)) if height % 2 or width % 2 else g.gradient
    padded, found = _padded(g.images, g.around), dict[tuple[int, int], Node]()

    def products_of(first: int, piece: Piece) -> Node:
        """The sums of some rows of tiles: (places, channels, filters)."""
        high, wide = piece.high, piece.wide

        def result(i: int, j: int) -> Node:
            ranges = (None, (2 * first + i, 2 * (first + high) + i - 1, 2), (j, j + 2 * wide - 1, 2), None)
            return apply("slice", gradient, ranges=ranges)

        tiles = _tiles(padded, first, piece) if g.strips == 1 else _tiles(_strip(g, first, high), 0, piece)
        return apply(
            "contract", tiles, _joined(_transposed(RESULTS), result, piece),
            index=(plain(3, 0, 4, 1), plain(3, 0, 4, 2)), rank=3,
            loops=(len(piece.places), channels, filters, BATCH, high * wide),
        )  # fmt: skip

    for piece in _pieces(height, width):
        edges = [piece.high * i // g.strips for i in range(g.strips + 1)]
        strips = (products_of(first, replace(piece, high=end - first)) for first, end in pairwise(edges))
        products = reduce(_sum_of_strips, strips)
        for at, place in enumerate(piece.places):
            found[place] = apply("slice", products, ranges=((at, at + 1, 1), None, None))

    weights = apply("concatenate", *_sums(_transposed(WEIGHTS), lambda i, j: found[i, j]), axis=0)
    weights = apply("reshape", weights, shape=(3, 3, channels, filters))
    return weights if g.order == (0, 1, 2, 3) else apply("transpose", weights, axes=g.order)


def _strip(g: WeightGradient, first: int, high: int) -> Node:
    """The padded rows of images that some rows of tiles read."""
    above, _, left, right = g.around
    low, end, height = 2 * first - above, 2 * (first + high) + 2 - above, extent(g.images, 1)
    images = apply("slice", g.images, ranges=(None, (max(low, 0), min(end, height), 1), None, None))
    return _padded(images, (max(-low, 0), max(end - height, 0), left, right))


def _sum_of_strips(one: Node, other: Node) -> Node:
    return Node(PRIMITIVES["add"], (one, other), {STRIPS: True}, one.type)


def _transformed(c: Convolution, batch: int) -> Node:
    """(batch, height, width, filters)."""
    channels, filters = extents(c.kernel, 2)
    high, wide = -(-c.height // 2), -(-c.width // 2)
    kernel = apply("reshape", c.kernel, shape=(9, channels, filters))

    def weight(i: int, j: int) -> Node:
        at = 3 * (2 - i) + 2 - j if c.flipped else 3 * i + j
        return apply("slice", kernel, ranges=((at, at + 1, 1), None, None))

    transformed, padded = _sums(WEIGHTS, weight), _padded(c.images, c.around)

    def weights_of(piece: Piece) -> Node:
        return apply("concatenate", *(transformed[4 * i + j] for i, j in piece.places), axis=0)

    def strip(first: int, pieces: Sequence[tuple[Piece, Node]]) -> Node:
        """The upper and the lower row of results of some rows of tiles: (batch, rows, 4 * tiles * filters)."""
        rows = pieces[0][0].high
        found = dict[tuple[int, int], Node]()
        for piece, weights in pieces:
            count, tiles = len(piece.places), piece.high * piece.wide
            products = apply(
                "contract", _tiles(padded, first, piece), weights, rank=4,
                index=(plain(0, 1, 2, 4), plain(1, 4, 3)), loops=(BATCH, count, tiles, filters, channels),
            )  # fmt: skip
            # The tiles without these places have zeros there.
            across, down = (count * piece.high, piece.wide, wide), (count, piece.high * wide, rows * wide)
            for number, length, whole in (across, down):
                if length < whole:
                    products = apply("reshape", products, shape=(BATCH, number, length * filters))
                    widths = (0, 0, 0), (0, 0, 0), (0, (whole - length) * filters, 0)
                    products = apply("pad", products, constant(0, products.dtype), widths=widths)
            products = apply("reshape", products, shape=(BATCH, count * rows, wide, filters))
            for at, place in enumerate(piece.places):
                found[place] = apply("slice", products, ranges=(None, (at * rows, (at + 1) * rows, 1), None, None))

        parts = _sums(RESULTS, lambda i, j: found[i, j])
        pairs = (apply("concatenate", *parts[at : at + 2], axis=3) for at in (0, 2))
        lines = (apply("reshape", pair, shape=(BATCH, rows, 2 * wide * filters)) for pair in pairs)
        return apply("concatenate", *lines, axis=2)

    # A thread takes some samples, strip by strip. Threads that divide a sample, or the filters, take it whole.
    every = Piece(range(4), range(4), high, wide)
    weights = weights_of(every)
    divided = is_large(weights) and few_places(batch * high * wide, filters)
    row = wide * 16 * (channels + filters) * SIZE[c.kernel.dtype]
    # A strip has at least one row of tiles.
    count = 1 if batch == 1 or divided else min(high, -(-high * row // STRIP_BYTES))
    pieces = [(piece, weights_of(piece)) for piece in _pieces(c.height, c.width)]
    if divided and batch > 1 and all(is_large(own) for _, own in pieces):
        strips = [strip(0, pieces)]
    else:
        edges = [high * i // count for i in range(count + 1)]
        strips = [strip(first, [(replace(every, high=end - first), weights)]) for first, end in pairwise(edges)]
    result = strips[0] if count == 1 else apply("concatenate", *strips, axis=1)
    result = apply("reshape", result, shape=(BATCH, 2 * high, 2 * wide, filters))
    if (c.height, c.width) == (2 * high, 2 * wide):
        return result
    return apply("slice", result, ranges=(None, (0, c.height, 1), (0, c.width, 1), None))


def _sums(table: Sums, value: Callable[[int, int], Node]) -> list[Node]:
    """The transform of a plane of values along both of its axes, row by row."""
    value = cache(value)
    rows = {i for terms in table for i, _ in terms}
    rows_of = {i: [_sum([(factor, value(i, j)) for j, factor in across]) for across in table] for i in rows}
    return [_sum([(factor, rows_of[i][place]) for i, factor in down]) for down in table for place in range(len(table))]


@cache
def _factor(number: float, type_: Type) -> Node:
    """A number as a value of a type; one node for all transforms."""
    return full(number, type_.shape, type_.dtype)


def _sum(terms: Sequence[tuple[float, Node]]) -> Node:
    """The sum of nodes times factors."""
    scaled = [
        (number > 0, node if abs(number) == 1 else node * _factor(abs(number), node.type)) for number, node in terms
    ]
    total = scaled[0][1] if scaled[0][0] else -scaled[0][1]
    for positive, node in scaled[1:]:
        total = total + node if positive else total - node
    return total
