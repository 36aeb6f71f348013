"""The order of elements as a composition of primitives, for programs: every pair is compared."""

from __future__ import annotations

import numpy as np

from ranvier.graph.node import Node, constant
from ranvier.ops import arrays
from ranvier.ops.arrays.promotion import axis_of
from ranvier.tensor.function import function

MOST = 4096
"""Elements along an axis that are compared in pairs; more take longer than it is worth."""


@function
def places_in_order(x: Node, axis: int = -1, descending: bool = False) -> Node:
    """Where the elements in order along an axis come from, int64: equal ones as they were, NaN as the largest.

    Raises ValueError for an axis of more than `MOST` elements, or whose extent is not known.
    """
    axis = axis_of(axis, x.ndim)
    count = x.shape[axis]
    if not isinstance(count, int) or count > MOST:
        raise ValueError(f"a program orders up to {MOST} elements along an axis, and here are {count}")
    order = (*(i for i in range(x.ndim) if i != axis), axis)
    rows = arrays.transpose(x, order)
    own, other = arrays.expand_dims(rows, -1), arrays.expand_dims(rows, -2)
    # Element i comes behind as many as its place says.
    first = _before(other, own, descending)
    same = arrays.logical_not(arrays.logical_or(first, _before(own, other, descending)))
    numbers = constant(np.arange(count), "int64")
    earlier = arrays.less(arrays.expand_dims(numbers, 0), arrays.expand_dims(numbers, 1))
    counted = arrays.logical_or(first, arrays.logical_and(same, earlier))
    place = arrays.sum(arrays.cast(counted, "int64"), -1)
    # Which element has the place that is asked for.
    hit = arrays.equal(arrays.expand_dims(place, -2), arrays.expand_dims(numbers, 1))
    found = arrays.sum(arrays.multiply(arrays.cast(hit, "int64"), numbers), -1)
    back = sorted(range(x.ndim), key=order.__getitem__)
    return arrays.transpose(found, tuple(back))


def _before(a: Node, b: Node, descending: bool) -> Node:
    """Whether elements come before others."""
    nan_a, nan_b = arrays.not_equal(a, a), arrays.not_equal(b, b)
    if descending:
        return arrays.logical_or(arrays.less(b, a), arrays.logical_and(nan_a, arrays.logical_not(nan_b)))
    return arrays.logical_or(arrays.less(a, b), arrays.logical_and(nan_b, arrays.logical_not(nan_a)))
