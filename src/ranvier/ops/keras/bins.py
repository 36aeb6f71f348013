"""Operations that count, sort into bins and segments, and write at indices.

What is evaluated at once cannot be part of a compiled model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATS, NUMBERS, STORAGE, dtype_of, widened
from ranvier.graph.node import Node, apply
from ranvier.ops import arrays, indexing
from ranvier.ops.arrays import linalg
from ranvier.ops.arrays.promotion import index_node, signed
from ranvier.ops.arrays.shape import with_ones
from ranvier.ops.keras.arrays import convert_to_tensor, known
from ranvier.ops.keras.elementwise import Operand
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor

# --- bins ---------------------------------------------------------------------------------------------------------


@function
def _place(bins: Node, x: Node, after: bool) -> Node:
    """The number of edges below each element, or ``after`` also of equal ones; for nan, of all edges."""
    each = arrays.expand_dims(x, x.ndim)
    beyond = arrays.less(each, bins) if after else arrays.less_equal(each, bins)
    return arrays.sum(arrays.cast(arrays.logical_not(beyond), "int32"), -1)


def digitize(x: Operand, bins: Operand) -> Any:
    """The number of the bin of each element, int32: 0 below the first of the edges, which are in order."""
    return _place(bins, x, True)


def searchsorted(sorted_sequence: Operand, values: Operand, side: str = "left") -> Any:
    """Where each value belongs in a vector that is in order, int32: before equal ones, or after them ("right")."""
    if side not in ("left", "right"):
        raise ValueError(f"side={side!r}. Write 'left' or 'right' instead.")
    if np.ndim(sorted_sequence) != 1:
        raise ValueError(
            f"ops.searchsorted in {tuple(sorted_sequence.shape)}. Write one vector in order, and ops.vectorized_map "
            "for several, instead."
        )
    return _place(sorted_sequence, values, side == "right")


def isin(x1: Operand, x2: Operand, assume_unique: bool = False, invert: bool = False) -> Any:
    """Which elements of ``x1`` are among those of ``x2``, or with ``invert`` are not."""
    flat, each = (arrays.reshape(convert_to_tensor(x), (*np.shape(x)[:n], -1)) for x, n in ((x2, 0), (x1, np.ndim(x1))))
    found = arrays.any(arrays.equal(each, flat), -1)
    return arrays.logical_not(found) if invert else found


def in_top_k(targets: Operand, predictions: Operand, k: int) -> Any:
    """Whether each row's class number is among its ``k`` largest predictions, with all that are as large."""
    own = arrays.take_along(predictions, targets)
    own = arrays.where(arrays.isnan(own), -math.inf, own)
    larger = arrays.cast(arrays.greater(predictions, arrays.expand_dims(own, 1)), "int32")
    return arrays.less(arrays.sum(larger, -1), k)


def bincount(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> Tensor:
    """The count of each whole number in a vector or in each row, or the sum of its weights. Evaluated at once."""
    if sparse:
        raise ValueError("there are no sparse tensors. Leave sparse=True out instead.")
    rows = np.atleast_2d(np.asarray(x))
    rows = rows.astype(np.int64) if rows.dtype.kind == "u" else rows  # NumPy counts signed ones alone
    masses: Any = [None] * len(rows)
    if weights is not None:
        weights = weights if hasattr(weights, "dtype") else Tensor(weights)
        masses = np.atleast_2d(widened(np.asarray(weights)))
    size = max(minlength, int(rows.max(initial=-1)) + 1)
    counts = np.stack([np.bincount(r, w, size) for r, w in zip(rows, masses, strict=True)])
    dtype = "bool" if weights is None else dtype_of(np.asarray(weights))
    return Tensor(
        counts if np.ndim(x) > 1 else counts[0], dtype=dtype if dtype in NUMBERS or dtype in STORAGE else "int32"
    )


def histogram(x: Any, bins: int = 10, range: Any = None) -> tuple[Tensor, Tensor]:
    """The number of elements in each of ``bins`` equal bins, and the edges. Evaluated at once."""
    counts, edges = np.histogram(np.asarray(x), bins, range)
    return Tensor(counts.astype(np.int32)), Tensor(edges)


def nonzero(x: Any) -> tuple[Tensor, ...]:
    """The indices of the elements that are not zero, a vector for each axis, int32. Evaluated at once."""
    return tuple(arrays.cast(part, "int32") for part in indexing.nonzero(convert_to_tensor(x), as_tuple=True))


# --- segments -----------------------------------------------------------------------------------------------------


@function
def _added(places: Node, updates: Node, rows: int) -> Node:
    """Zeros with each update added at its row; updates of other rows are dropped."""
    return apply("scatter_add", index_node(places), signed(updates), rows=rows)


@function
def _spread(data: Node, ids: Node, segments: int, other: float) -> Node:
    """For each segment the data (rows, ...), with ``other`` in the rows of the other segments."""
    own = arrays.one_hot(ids, segments, "bool", 0)
    return arrays.where(with_ones(own, data.ndim + 1), arrays.expand_dims(data, 0), other)


def _worst(dtype: str, largest: bool) -> Any:
    if dtype in FLOATS:
        return -math.inf if largest else math.inf
    info = np.iinfo(dtype)
    return int(info.min if largest else info.max)


# By name, what joins two values, and the reduction of data (rows, ...) to so many segments, whose numbers are given.
REDUCTIONS: dict[str, tuple[Callable[..., Any], Callable[[Any, Any, int], Any]]] = {
    "add": (arrays.add, lambda data, ids, size: _added(ids, data, size)),
    "max": (arrays.maximum, lambda data, ids, size: arrays.max(_spread(data, ids, size, _worst(data.dtype, True)), 1)),
    "min": (arrays.minimum, lambda data, ids, size: arrays.min(_spread(data, ids, size, _worst(data.dtype, False)), 1)),
    "mul": (arrays.multiply, lambda data, ids, size: linalg.product(_spread(data, ids, size, 1), 1)),
}


def _reduced(reduction: str, data: Any, ids: Any, size: int | None) -> Any:
    """Of each segment the rows reduced to one; of so many segments as there are numbers, if no ``size`` is given."""
    size = int(np.max(np.asarray(ids), initial=-1)) + 1 if size is None else size
    return REDUCTIONS[reduction][1](data, ids, size)


def segment_sum(data: Operand, segment_ids: Operand, num_segments: int | None = None, sorted: bool = False) -> Any:
    """The sum of the rows of each segment, 0 of none. Rows of numbers from ``num_segments`` on are left out."""
    return _reduced("add", data, segment_ids, num_segments)


def segment_max(data: Operand, segment_ids: Operand, num_segments: int | None = None, sorted: bool = False) -> Any:
    """The largest of the rows of each segment, minus infinity of none; see `segment_sum`."""
    return _reduced("max", data, segment_ids, num_segments)


def segment_min(data: Operand, segment_ids: Operand, num_segments: int | None = None, sorted: bool = False) -> Any:
    """The smallest of the rows of each segment, infinity of none; see `segment_sum`."""
    return _reduced("min", data, segment_ids, num_segments)


def segment_prod(data: Operand, segment_ids: Operand, num_segments: int | None = None, sorted: bool = False) -> Any:
    """The product of the rows of each segment, 1 of none; see `segment_sum`."""
    return _reduced("mul", data, segment_ids, num_segments)


# --- at indices ---------------------------------------------------------------------------------------------------


@function
def _flat(indices: Node, extents: tuple[int, ...]) -> Node:
    """The flat position of each index (..., axes), -1 out of range; negative indices count from the end."""
    parts = arrays.split(arrays.cast(indices, "int32"), len(extents), -1)
    flat, inside = arrays.zeros_like(parts[0]), arrays.ones_like(parts[0], "bool")
    for part, extent in zip(parts, extents, strict=True):
        place = arrays.where(arrays.less(part, 0), arrays.add(part, extent), part)
        within = arrays.logical_and(arrays.less_equal(0, place), arrays.less(place, extent))
        flat = arrays.add(arrays.multiply(flat, extent), place)
        inside = arrays.logical_and(inside, within)
    return arrays.squeeze(arrays.where(inside, flat, -1), -1)


@function
def _last_ones(places: Node) -> Node:
    """Places (updates,), -1 for what another update of the same place follows."""
    size = places.shape[0]
    order = [apply("iota", shape=(size, size), axis=axis, dtype="int32") for axis in (0, 1)]
    same = arrays.equal(arrays.expand_dims(places, 1), arrays.expand_dims(places, 0))
    followed = arrays.any(arrays.logical_and(same, arrays.less(order[0], order[1])), 1)
    return arrays.where(followed, -1, places)


def scatter(indices: Operand, values: Operand, shape: Sequence[int]) -> Any:
    """Zeros of a shape with values added at the indices (..., axes); those out of range are left out."""
    axes = indices.shape[-1]
    whole = (*indices.shape[:-1], *shape[axes:])
    places = _flat(indices, tuple(shape[:axes]))
    added = _added(places, arrays.broadcast_to(values, whole), math.prod(shape[:axes]))
    return arrays.reshape(added, tuple(shape))


def scatter_update(inputs: Operand, indices: Operand, updates: Operand, reduction: str | None = None) -> Any:
    """``inputs`` with updates at the indices (updates, axes), of several at one place the last; with ``reduction``
    "add", "max", "min" or "mul" with all of them and with what is there. Indices out of range are left out.
    """
    if reduction not in (None, *REDUCTIONS):
        raise ValueError(
            f"reduction={reduction!r}. Write one of {', '.join(map(repr, REDUCTIONS))}, or leave it out, instead."
        )
    axes = indices.shape[-1]
    extents, rest = inputs.shape[:axes], inputs.shape[axes:]
    known(extents, "ops.where(mask, updates, x)")
    places = arrays.reshape(_flat(indices, tuple(extents)), (-1,))
    updates = arrays.broadcast_to(arrays.cast(updates, inputs.dtype), (*indices.shape[:-1], *rest))
    updates = arrays.reshape(updates, (-1, *rest))
    rows = arrays.reshape(inputs, (math.prod(extents), *rest))
    if reduction is None:
        places = _last_ones(places)
        hit = arrays.less(0, _added(places, arrays.ones_like(places), rows.shape[0]))
        rows = arrays.where(with_ones(hit, rows.ndim), _added(places, updates, rows.shape[0]), rows)
    else:
        join, reduce = REDUCTIONS[reduction]
        rows = join(rows, reduce(updates, places, rows.shape[0]))
    return arrays.reshape(rows, inputs.shape)


def slice_update(inputs: Operand, start_indices: Sequence[int], updates: Operand) -> Any:
    """``inputs`` with a block that begins at these indices written over, moved back where it would not end within."""
    widths = []
    for start, size, extent in zip(map(int, start_indices), updates.shape, inputs.shape, strict=True):
        if size == extent:
            widths.append((0, 0))
            continue
        known((size, extent), "a block that takes the whole batch")
        if size > extent:
            raise ValueError(
                f"a block of {tuple(updates.shape)} is not within {tuple(inputs.shape)}. Write a smaller one instead."
            )
        begin = min(max(start, 0), extent - size)
        widths.append((begin, extent - size - begin))
    block = arrays.pad(arrays.cast(updates, inputs.dtype), tuple(widths))
    inside = arrays.pad(arrays.ones_like(updates, "int32"), tuple(widths))
    return arrays.where(arrays.equal(inside, 1), block, inputs)


def unravel_index(indices: Operand, shape: Sequence[int]) -> Any:
    """The index along each axis of flat positions in a tensor of this shape."""
    rest = arrays.where(arrays.less(indices, 0), arrays.add(indices, math.prod(shape)), indices)
    found: list[Any] = []
    for extent in reversed(shape):
        found.insert(0, arrays.remainder(rest, extent))
        rest = arrays.floor_divide(rest, extent)
    return tuple(found)
