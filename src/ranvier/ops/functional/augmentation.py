"""Random changes of images (batch, height, width, channels): what each sample's random numbers make of it.

Functions of the seed and stream that `ranvier.tensor.rng.draw` gives: the same pair always makes the same change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ranvier.graph.node import GraphError, Node, apply, extents
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import floating
from ranvier.ops.arrays.shape import with_ones
from ranvier.ops.functional.noise import standard_normal
from ranvier.tensor.function import function


@function
def uniform(x: Node, seed: Node, stream: Node, low: float = 0.0, high: float = 1.0) -> Node:
    """A uniform number from low to high for each sample of ``x``, (samples,) in its floating dtype."""
    drawn = apply("random", seed, stream, shape=x.shape[:1], dtype=floating(x).dtype)
    return n.add(n.multiply(drawn, float(high - low)), float(low))


@function
def flip_some(x: Node, seed: Node, stream: Node, axis: int) -> Node:
    """``x`` with the order along an axis reversed in every second sample, on average."""
    x = floating(x)
    chosen = n.less(uniform(x, seed, stream), 0.5)
    return n.where(with_ones(chosen, x.ndim), n.flip(x, axis), x)


@function
def brighten(x: Node, amount: Node, low: float, high: float) -> Node:
    """``x`` plus that share of the whole range, a number for each sample, kept within the range."""
    x = floating(x)
    more = n.multiply(amount, float(high - low))
    return n.clip(n.add(x, with_ones(more, x.ndim)), float(low), float(high))


@function
def contrast(x: Node, factor: Node, low: float, high: float) -> Node:
    """Each channel's distances from its mean times a factor, a number for each sample, kept within the range."""
    x = floating(x)
    mean = n.mean(x, axis=(1, 2), keepdims=True)
    y = n.add(n.multiply(n.subtract(x, mean), with_ones(factor, x.ndim)), mean)
    return n.clip(y, float(low), float(high))


@function
def within(x: Node, top: Node, bottom: Node, left: Node, right: Node) -> Node:
    """Where an element lies in a box of pixels, (samples, height, width, 1) bool; numbers of samples, ends excluded."""
    height, width = x.shape[1:3]
    row = apply("iota", shape=(1, height, width, 1), axis=1, dtype=top.dtype)
    column = apply("iota", shape=(1, height, width, 1), axis=2, dtype=top.dtype)
    top, bottom, left, right = (with_ones(v, 4) for v in (top, bottom, left, right))
    rows = n.logical_and(n.greater_equal(row, top), n.less(row, bottom))
    return n.logical_and(rows, n.logical_and(n.greater_equal(column, left), n.less(column, right)))


@function
def erase(
    x: Node, draws: Sequence[Node], scale: tuple[float, float], chance: tuple[float, float],
    low: float, high: float, value: float | tuple[float, ...] | None,
) -> Node:  # fmt: skip
    """A box of each image filled with a value, or with noise, if chance so has it.

    ``draws`` holds the seeds and streams of six numbers a sample, then of the noise. The box takes a share of the
    height and of the width whose squares are uniform in ``scale``, and lies anywhere.
    """
    x = floating(x)
    numbers = [uniform(x, draws[i], draws[i + 1]) for i in range(0, 12, 2)]
    ends: list[Node] = []
    for size, share, place in zip(extents(x, 1, 3), numbers[:2], numbers[2:4], strict=True):
        wide = n.multiply(n.sqrt(n.add(n.multiply(share, scale[1] - scale[0]), scale[0])), float(size))
        start = n.multiply(place, n.subtract(float(size), wide))
        ends += [start, start + wide]
    likely = n.add(n.multiply(numbers[4], chance[1] - chance[0]), chance[0])
    hit = n.logical_and(within(x, *ends), with_ones(n.less(numbers[5], likely), 4))
    filling: Any
    if value is None:
        noise = n.reshape(standard_normal(n.reshape(x, (x.shape[0], -1)), *draws[12:]), x.shape)
        filling = n.clip(n.multiply(noise, float(high)), float(low), float(high))
    elif isinstance(value, tuple):
        if len(value) != x.shape[3]:
            raise GraphError(f"fill_value={value} has {len(value)} numbers for the {x.shape[3]} channels")
        channel = apply("iota", shape=(x.shape[3],), axis=0, dtype="int32")
        filling = float(value[-1])
        for i, number in enumerate(value[:-1]):
            filling = n.where(n.equal(channel, i), float(number), filling)
    else:
        filling = float(value)
    return n.where(hit, filling, x)


@function
def boxes(x: Node, share: Node, vertical: Node, horizontal: Node) -> tuple[Node, ...]:
    """Boxes of pixels for CutMix: top, bottom, left, right, and the share of the image that each leaves, (samples,).

    A box of a share ``1 - share`` of the image, its centre at these shares of height and width, cut off at the edges.
    """
    if x.ndim != 4:
        raise GraphError(
            f"CutMix pastes images, (batch, height, width, channels), and here is {x.type}. Write MixUp instead"
        )
    height, width = extents(x, 1, 3)
    half = n.multiply(n.sqrt(n.maximum(n.subtract(1.0, share), 0.0)), 0.5)
    ends: list[Node] = []
    for size, centre in zip((height, width), (vertical, horizontal), strict=True):
        sides = (n.clip(side, 0.0, 1.0) for side in (n.subtract(centre, half), n.add(centre, half)))
        ends += [n.floor(n.add(n.multiply(side, float(size)), 0.5)) for side in sides]
    top, bottom, left, right = ends
    left_over = n.subtract(1.0, n.multiply((bottom - top) * (right - left), 1.0 / (height * width)))
    return (*ends, left_over)


@function
def paste(x: Node, other: Node, top: Node, bottom: Node, left: Node, right: Node) -> Node:
    """``x`` with the other's pixels within a box of each sample."""
    if x.ndim != 4:
        raise GraphError(f"CutMix pastes images, (batch, height, width, channels), and here is {x.type}")
    return n.where(within(x, top, bottom, left, right), other, x)


@function
def mask_bands(
    x: Node, draws: Sequence[Node], axes: Sequence[int], widths: Sequence[float], value: float | None
) -> Node:
    """Bands of each sample filled with a value, or with the sample's mean: one along each of ``axes``.

    ``draws`` holds the seeds and streams of two numbers for each band. Its width is uniform up to that share of the
    dimension, and it lies anywhere.
    """
    x = floating(x)
    hit: Node | None = None
    for i, (axis, width) in enumerate(zip(axes, widths, strict=True)):
        size = extents(x, axis, axis + 1)[0]
        share, place = (uniform(x, *draws[4 * i + k : 4 * i + k + 2]) for k in (0, 2))
        wide = n.multiply(share, float(width * size))
        start = n.multiply(place, n.subtract(float(size), wide))
        position = apply("iota", shape=tuple(size if a == axis else 1 for a in range(x.ndim)), axis=axis, dtype=x.dtype)
        first, last = (with_ones(v, x.ndim) for v in (start, start + wide))
        within_band = n.logical_and(n.greater_equal(position, first), n.less(position, last))
        hit = within_band if hit is None else n.logical_or(hit, within_band)
    filling = n.mean(x, tuple(range(1, x.ndim)), keepdims=True) if value is None else value
    return x if hit is None else n.where(hit, filling, x)


@function
def noise_at(x: Node, ratio: Node, seed: Node, stream: Node) -> Node:
    """``x`` plus normal noise that is ``ratio`` decibels below each sample's mean power, a number for each sample."""
    x = floating(x)
    power = n.mean(n.square(x), tuple(range(1, x.ndim)))
    deviation = n.sqrt(n.multiply(power, n.exp(n.multiply(ratio, -math.log(10) / 10))))
    return x + n.multiply(standard_normal(x, seed, stream), with_ones(deviation, x.ndim))


@function
def one_uniform(x: Node, seed: Node, stream: Node) -> Node:
    """A uniform number from 0 to 1 for all samples, in the floating dtype of ``x``."""
    return apply("random", seed, stream, shape=(), dtype=floating(x).dtype)


@function
def where_some(x: Node, changed: Node, more: Node) -> Node:
    """``changed`` for each sample whose number is above 0, else ``x``."""
    return n.where(with_ones(n.greater(more, 0.0), x.ndim), changed, floating(x))
