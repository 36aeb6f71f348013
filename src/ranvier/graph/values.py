"""The values of primitives that are not a single NumPy function."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier.graph.dtypes import ELEMENT_TYPES, as_array, limits, widened
from ranvier.graph.extents import shape_at
from ranvier.graph.node import GraphError
from ranvier.graph.random import threefry
from ranvier.graph.type_rules import Attrs


def sigmoid_value(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e)).astype(x.dtype)


erf_double = np.vectorize(math.erf, otypes=[np.float64])


def cast_value(arrays: Any, attrs: Attrs, extents: Any) -> Any:
    x, target = widened(arrays[0]), ELEMENT_TYPES[attrs["dtype"]]
    if x.dtype.kind == "f" and target.category == "integer":  # toward zero, saturating, nan to 0, on every processor
        low, high = limits(target.name)
        wide = np.trunc(x.astype(np.float64))
        above = wide >= float(high)  # float(high) may be above high, as 2**63 is
        inside = np.where(np.isnan(wide) | above, 0, np.maximum(wide, low)).astype(target.array)
        return np.where(above, np.asarray(high, target.array), inside)
    if target.is_storage:
        return as_array(x.astype(target.arithmetic), target.name)
    return x.astype(target.array)


def quotient_value(x: Any, y: Any) -> Any:
    """Whole quotients, rounded toward minus infinity; of a division by 0, 0. The smallest number by -1 is itself."""
    return np.where(y == 0, 0, np.floor_divide(x, np.where(y == 0, 1, y))).astype(x.dtype)


def iota_value(arrays: Any, attrs: Attrs, extents: dict[str, int]) -> Any:
    shape = shape_at(attrs["shape"], extents)
    line = np.arange(shape[attrs["axis"]], dtype=attrs["dtype"])
    return np.broadcast_to(line.reshape([-1 if i == attrs["axis"] else 1 for i in range(len(shape))]), shape)


def random_value(arrays: Any, attrs: Attrs, extents: dict[str, int]) -> Any:
    shape = shape_at(attrs["shape"], extents)
    counters = np.arange(math.prod(shape), dtype=np.uint64)
    bits = threefry(int(arrays[0]), int(arrays[1]), counters)
    return ((bits >> np.uint32(8)).astype(attrs["dtype"]) * np.asarray(2.0**-24, attrs["dtype"])).reshape(shape)


def broadcast_value(arrays: Any, attrs: Attrs, extents: dict[str, int]) -> Any:
    shape = shape_at(attrs["shape"], extents)
    view = [1] * len(shape)
    for dim, axis in zip(arrays[0].shape, attrs["axes"], strict=True):
        view[axis] = dim
    return np.broadcast_to(arrays[0].reshape(view), shape)


def slice_value(arrays: Any, attrs: Attrs, extents: Any) -> Any:
    return arrays[0][tuple(slice(None) if r is None else slice(*r) for r in attrs["ranges"])]


def pad_value(arrays: Any, attrs: Attrs, extents: Any) -> Any:
    x, value = arrays
    widths = attrs["widths"]
    shape = [lo + d + max(0, d - 1) * mid + hi for d, (lo, hi, mid) in zip(x.shape, widths, strict=True)]
    result = np.full(shape, value, x.dtype)
    result[tuple(slice(lo, s - hi, mid + 1) for s, (lo, hi, mid) in zip(shape, widths, strict=True))] = x
    return result


def scatter_add_value(arrays: Any, attrs: Attrs, extents: dict[str, int]) -> Any:
    index, updates = arrays
    batch = attrs.get("batch", 0)
    (rows,) = shape_at((attrs["rows"],), extents)
    result = np.zeros((*index.shape[:batch], rows, *updates.shape[index.ndim :]), updates.dtype)
    valid = (index >= 0) & (index < rows)
    parts = [np.broadcast_to(at, index.shape)[valid] for at in parts_of(index, batch)]
    np.add.at(result, (*parts, index[valid]), updates[valid])
    return result


def parts_of(index: Any, batch: int) -> list[Any]:
    """For each of the first ``batch`` axes of the indices, their positions along it."""
    return [
        np.arange(size).reshape([-1 if a == axis else 1 for a in range(len(index.shape))])
        for axis, size in enumerate(index.shape[:batch])
    ]


def gather_value(arrays: Any, attrs: Attrs, extents: Any) -> Any:
    source, index = arrays
    batch = attrs.get("batch", 0)
    return source[(*parts_of(index, batch), np.clip(index, 0, source.shape[batch] - 1))]


def of_operands(function: Any) -> Callable[..., Any]:
    """The value, or an engine's row, that is a function of the operands alone."""
    return lambda arrays, attrs, extents: function(*arrays)


def input_value(arrays: Any, attrs: Attrs, extents: Any) -> Any:
    raise GraphError(f"input {attrs['name']!r} was not given")
