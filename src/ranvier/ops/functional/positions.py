"""Encodings of positions, for attention, which does not see the order of its inputs."""

from __future__ import annotations

import math
from typing import Any

from ranvier.graph.node import GraphError, Node, apply, extent
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import axis_of, floating
from ranvier.tensor.function import function


def _positions(count: Any, start: Any, dtype: str) -> Node:
    """``count`` positions from ``start`` on, (count,)."""
    row = apply("iota", shape=(count,), dtype="int32", axis=0)
    return n.cast(n.add(row, start), dtype)


def _angles(positions: Node, features: int, max_wavelength: float) -> Node:
    """The angles of positions at frequencies from 1 down to ``1 / max_wavelength``: (count, features)."""
    place = n.cast(apply("iota", shape=(features,), dtype="int32", axis=0), positions.dtype)
    frequencies = n.exp(n.multiply(place, -math.log(max_wavelength) / features))
    return n.multiply(n.expand_dims(positions, 1), frequencies)


@function
def sine_positions(x: Node, start: Node | int = 0, max_wavelength: float = 10000.0) -> Node:
    """Sines and cosines of the positions, in turn, at falling frequencies: in the shape of x, (..., length, features).

    (Vaswani et al., 2017, section 3.5.)
    """
    x = floating(x)
    length, features = x.shape[-2], extent(x, -1)
    half = (features + 1) // 2
    angles = _angles(_positions(length, start, x.dtype), half, max_wavelength ** (2 * half / features))
    pairs = n.reshape(n.stack([n.sin(angles), n.cos(angles)], 2), (length, 2 * half))
    if features % 2:
        pairs = n.index_basic(pairs, (Ellipsis, ("slice", 0, features, 1)))
    return n.broadcast_to(pairs, x.shape)


@function
def rotate_by_position(
    x: Node,
    start: Node | int = 0,
    max_wavelength: float = 10000.0,
    scaling_factor: float = 1.0,
    sequence_axis: int = 1,
    feature_axis: int = -1,
) -> Node:
    """Each feature of the first half, and its partner in the second, turned by an angle that grows with the position.

    Products of two so turned vectors depend on the difference of their positions alone. ``scaling_factor`` divides the
    positions. Raises GraphError for an odd number of features. (Su et al., 2021.)
    """
    x = floating(x)
    along, across = axis_of(sequence_axis, x.ndim), axis_of(feature_axis, x.ndim)
    length, features = x.shape[along], x.shape[across]
    if not isinstance(features, int) or features % 2:
        raise GraphError(f"rotary positions turn pairs of features, and x has {features}: write an even number")
    positions = n.divide(_positions(length, start, x.dtype), scaling_factor)
    angles = _angles(positions, features // 2, max_wavelength)
    order = angles if along < across else n.transpose(angles, (1, 0))
    shape = tuple(length if i == along else features // 2 if i == across else 1 for i in range(x.ndim))
    cosine, sine = (n.reshape(f(order), shape) for f in (n.cos, n.sin))
    first, second = n.split(x, 2, across)
    turned = n.subtract(n.multiply(first, cosine), n.multiply(second, sine))
    return n.concatenate([turned, n.add(n.multiply(second, cosine), n.multiply(first, sine))], across)
