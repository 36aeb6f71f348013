"""A pass for images: convolutions of few pixels by large weights become products of patches.

Where the weights exceed a second-level cache and the images have few pixels, the images' patches are laid out first, a
row for each pixel of the result. All samples then pass over each block of the weights (`schedule/blocking.py`), which
each sample would read anew otherwise. Sums keep their order: row and column of the patch, then channel. Zeros around
the images are terms of it, which change no sum while weights are finite.
"""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.engines.native.passes.primitives import packed
from ranvier.engines.native.passes.wide_products import ALONG_OUTPUTS, JOINED, few_places, is_large
from ranvier.engines.native.target.lanes import LANES
from ranvier.graph.contraction import Affine, is_spatial, plain
from ranvier.graph.extents import Dim, size
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, apply

FEW_TERMS = 256  # that a gradient sums, below which reading and writing the weights takes longer
WINDOW = (1, 2)  # the axes of images along which a kernel moves


def patches(graph: Graph, batch: int) -> Graph:
    """Turn such convolutions, and gradients by such weights, into products."""
    if not is_spatial(graph):
        return graph

    def change(node: Node, old: Node) -> Node:
        for changed in (_product, _gradient, _pixel_gradient):
            product = changed(node, batch)
            if product is not node:
                return product
        return node

    return graph.changed(change, "contract")


def _product(node: Node, batch: int) -> Node:
    """The convolution as a product of patches; the node itself if it is none, or would not gain."""
    loops, rank = node.attrs["loops"], node.attrs["rank"]
    (images, weights), (at, by) = node.inputs, node.attrs["index"]
    if len(loops) != 7 or rank != 4 or loops[0] != BATCH or images.ndim != 4 or weights.ndim != 4:
        return node
    _, height, width, filters, *_ = loops
    if BATCH in weights.shape or not is_large(weights) or not few_places(batch * height * width, filters):
        return node
    taps = [next((loop for loop, _ in at[axis][0] if loop >= rank), None) for axis in WINDOW]
    channel = next((loop for loop in range(rank, 7) if at[3] == (((loop, 1),), 0)), None)
    order = [place for loop in (*taps, channel, 3) for place, read in enumerate(by) if read == (((loop, 1),), 0)]
    if at[0] != (((0, 1),), 0) or len({*taps, channel}) != 3 or sorted(order) != [0, 1, 2, 3]:
        return node
    found = _patches(images, at, WINDOW, taps, loops)
    if found is None:
        return node
    if batch == 1 and order == [0, 1, 3, 2] and filters > 2 * LANES:  # fewer would be dot products
        return _of_weights_as_they_lie(node, found)
    terms = size([loops[loop] for loop in (*taps, channel)], batch)
    rows = apply("reshape", found, shape=(BATCH, height * width, terms))
    columns = weights if order == [0, 1, 2, 3] else packed(weights, tuple(order))
    product = apply(
        "contract", rows, apply("reshape", columns, shape=(terms, filters)),
        index=(plain(0, 1, 3), plain(3, 2)), loops=(BATCH, height * width, filters, terms), rank=3,
    )  # fmt: skip
    return apply("reshape", product, shape=node.shape)


def _of_weights_as_they_lie(node: Node, found: Node) -> Node:
    """The product with weights (height, width, result's channels, channels), of which it transposes panels itself."""
    (_, weights), (_, height, width, filters, *_) = node.inputs, node.attrs["loops"]
    taps, channels = weights.shape[0] * weights.shape[1], weights.shape[3]
    rows = apply("reshape", found, shape=(BATCH, height * width, taps, channels))
    product = apply(
        "contract", rows, apply("reshape", weights, shape=(taps, filters, channels)), of=ALONG_OUTPUTS,
        index=(plain(0, 1, 3, 4), plain(3, 2, 4)), loops=(BATCH, height * width, filters, taps, channels), rank=3,
    )  # fmt: skip
    return apply("reshape", product, shape=node.shape)


def _gradient(node: Node, batch: int) -> Node:
    """The gradient by the weights (height, width, channels, filters) of few pixels as a product of patches: the
    update of the weights takes as long as such short sums. The node itself if it is none.
    """
    loops, rank, index = node.attrs["loops"], node.attrs["rank"], node.attrs["index"]
    images_each = all(operand.ndim == 4 for operand in node.inputs)
    if len(loops) != 7 or rank != 4 or not images_each or loops.count(BATCH) != 1 or not is_large(node):
        return node
    for side in (0, 1):
        images, gradient, at, by = node.inputs[1 - side], node.inputs[side], index[1 - side], index[side]
        places = [terms[0][0] if terms else 0 for terms, _ in by[:3]]
        if by != plain(*places, 3) or at[0] != by[0] or at[3] != plain(2)[0]:
            continue
        sample, *pixels = places
        if loops[sample] != BATCH or min(pixels) < rank or batch * size([loops[i] for i in pixels], 1) > FEW_TERMS:
            continue
        found = _patches(images, at, pixels, (0, 1), loops)
        if found is not None:
            count = size([loops[i] for i in pixels], 1)
            rows = apply("reshape", found, shape=(BATCH, count, *loops[:3]))
            columns = apply("reshape", gradient, shape=(BATCH, count, loops[3]))
            return apply(
                "contract", rows, columns, index=(plain(4, 5, 0, 1, 2), plain(4, 5, 3)), of=JOINED,
                loops=(*loops[:4], BATCH, count), rank=rank,
            )  # fmt: skip
    return node


def _pixel_gradient(node: Node, batch: int) -> Node:
    """The same for weights (channels, filters), of a convolution of one tap: its patches are every so many pixels."""
    loops, rank, index = node.attrs["loops"], node.attrs["rank"], node.attrs["index"]
    terms = [terms for side in index for terms, _ in side]
    images_each = all(operand.ndim == 4 for operand in node.inputs) and all(len(own) == 1 for own in terms)
    if len(loops) != 5 or rank != 2 or not images_each or not is_large(node):
        return node
    sample, *pixels = (own[0][0] for own in terms[:3])
    if loops[sample] != BATCH or min(pixels) < rank or batch * size([loops[i] for i in pixels], 1) > FEW_TERMS:
        return node
    places = tuple(plain(sample, *pixels, side[3][0][0][0]) for side in index)
    operands = []
    for images, at, place in zip(node.inputs, index, places, strict=True):
        loop_of = [terms[0][0] for terms, _ in at]
        if (at[0], at[3], loop_of[1:3]) != (place[0], place[3], pixels) or min(c for ((_, c),), _ in at) < 1:
            return node
        ranges = [(low, low + stride * (size([loops[i]], 1) - 1) + 1, stride) for ((i, stride),), low in at[1:3]]
        strided = apply("slice", images, ranges=(None, *ranges, None))
        operands.append(images if at == place else packed(strided, (0, 1, 2, 3)))
    return apply("contract", *operands, index=places, loops=loops, rank=rank, of=JOINED)


def _patches(
    images: Node, at: Sequence[Affine], pixels: Sequence[int], taps: Sequence[int | None], loops: Sequence[Dim]
) -> Node | None:
    """For each pixel of the result the elements of the images that a kernel meets there: (batch, height, width, rows
    and columns of the kernel, channels). None if kernels do not move so. Loops ``pixels`` and ``taps`` index both.
    """
    ranges, windows, reversed_axes = [], [], []
    for axis, pixel, tap in zip(WINDOW, pixels, taps, strict=True):
        terms, offset = at[axis]
        factors = dict(terms)
        if len(terms) != 2 or tap not in factors or factors.get(pixel, 0) < 1:
            return None
        stride, step, count = factors[pixel], factors[tap], size([loops[tap]], 1)
        low = offset + min(0, step * (count - 1))
        ranges.append((low, low + stride * (size([loops[pixel]], 1) - 1) + abs(step) * (count - 1) + 1, 1))
        windows.append((axis, count, stride, abs(step)))
        if step < 0:
            reversed_axes.append(2 * axis)
    found = apply("windows", apply("slice", images, ranges=(None, *ranges, None)), axes=tuple(windows))
    if reversed_axes:
        found = apply("reverse", found, axes=tuple(reversed_axes))
    return packed(found, (0, 1, 3, 2, 4, 5))
