"""A pass for images: convolutions of few pixels by large weights become products of patches.

Where the weights exceed a second-level cache and the images have few pixels, the images' patches are laid out first, a
row for each pixel of the result. All samples then pass over each block of the weights (`schedule/blocking.py`), which
each sample would read anew otherwise. Sums keep their order: row and column of the patch, then channel. Zeros around
the images are terms of it, which change no sum while weights are finite.
"""

from __future__ import annotations

from ranvier.engines.native.passes.primitives import packed
from ranvier.engines.native.passes.virtual_workers import is_spatial
from ranvier.engines.native.passes.wide_products import few_places, is_large
from ranvier.graph.contraction import plain
from ranvier.graph.extents import size
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, apply

WINDOW = (1, 2)  # the axes of images along which a kernel moves


def patches(graph: Graph, batch: int) -> Graph:
    """Turn such convolutions into products."""
    if not is_spatial(graph):
        return graph
    return graph.changed(lambda node, old: _product(node, batch), "contract")


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
    ranges, windows, reversed_axes = [], [], []
    for axis, tap in zip(WINDOW, taps, strict=True):
        (terms, offset), count = at[axis], loops[tap]
        factors = dict(terms)
        if len(terms) != 2 or factors.get(axis, 0) < 1:
            return node
        stride, step = factors[axis], factors[tap]
        low = offset + min(0, step * (count - 1))
        ranges.append((low, low + stride * (loops[axis] - 1) + abs(step) * (count - 1) + 1, 1))
        windows.append((axis, count, stride, abs(step)))
        if step < 0:
            reversed_axes.append(2 * axis)
    found = apply("windows", apply("slice", images, ranges=(None, *ranges, None)), axes=tuple(windows))
    if reversed_axes:
        found = apply("reverse", found, axes=tuple(reversed_axes))
    terms = size([loops[loop] for loop in (*taps, channel)], batch)
    rows = apply("reshape", packed(found, (0, 1, 3, 2, 4, 5)), shape=(BATCH, height * width, terms))
    columns = weights if order == [0, 1, 2, 3] else packed(weights, tuple(order))
    product = apply(
        "contract", rows, apply("reshape", columns, shape=(terms, filters)),
        index=(plain(0, 1, 3), plain(3, 2)), loops=(BATCH, height * width, filters, terms), rank=3,
    )  # fmt: skip
    return apply("reshape", product, shape=node.shape)
