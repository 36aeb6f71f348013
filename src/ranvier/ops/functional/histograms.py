"""Images equalized by the histogram of their values."""

from __future__ import annotations

import numpy as np

from ranvier.graph.node import Node, apply, extents
from ranvier.ops import arrays as n
from ranvier.ops.arrays import elementary
from ranvier.ops.arrays.linalg import running_sum
from ranvier.ops.arrays.promotion import floating
from ranvier.ops.functional.colors import scaled
from ranvier.tensor.function import function


def _hot(places: Node, levels: int) -> Node:
    """1 at each place of so many, 0 at the others, along another axis."""
    level = apply("iota", shape=(levels,), axis=0, dtype="int32")
    return n.cast(n.equal(n.expand_dims(places, -1), level), "int32")


@function
def equalize(x: Node, bins: int, low: float, high: float) -> Node:
    """Each channel with its values spread evenly: by the histogram of all images (batch, height, width, channels)."""
    y = floating(x)
    values = scaled(y, low, high, (0.0, 255.0))
    channels = extents(y, 3)[0]
    places = n.clip(n.cast(n.multiply(values, (bins - 1) / 255.0), "int32"), 0, bins - 1)
    channel = apply("iota", shape=(channels,), axis=0, dtype="int32")
    counts = n.cast(n.sum(_hot(places, bins), (0, 1, 2)), "float64")
    below = running_sum(counts, -1)
    first = n.min(n.where(n.greater(below, 0.0), below, np.inf), -1, True)
    rest = n.subtract(n.max(below, -1, True), first)
    flat = n.equal(rest, 0.0)  # one value
    table = n.divide(n.multiply(n.subtract(below, first), 255.0), n.where(flat, 1.0, rest))
    table = n.cast(n.clip(elementary.round(table), 0.0, 255.0), y.dtype)
    wanted = n.clip(n.multiply(n.divide(values, 255.0), float(bins - 1)), 0.0, float(bins - 1))
    wanted = n.add(n.cast(wanted, "int32"), n.multiply(channel, bins))
    found = apply("gather", n.reshape(table, (channels * bins,)), wanted)
    return n.where(n.reshape(flat, (channels,)), y, scaled(found, 0.0, 255.0, (low, high)))
