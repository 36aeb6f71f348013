"""Operators that order elements, and that put them at computed places, as programs compute them."""

from __future__ import annotations

from typing import Any

from ranvier.interop.foreign import UnsupportedError
from ranvier.interop.torch.table import row
from ranvier.ops import arrays
from ranvier.ops.arrays.promotion import axis_of
from ranvier.ops.functional.order import places_in_order
from ranvier.ops.keras.placing import take_along_axis


@row("sort")
def sort(self: Any, dim: int = -1, descending: bool = False, stable: bool | None = None) -> Any:
    places = places_in_order(self, dim, descending)
    return take_along_axis(self, places, dim), places


@row("argsort")
def argsort(self: Any, dim: int = -1, descending: bool = False, stable: bool | None = None) -> Any:
    return sort(self, dim, descending)[1]


@row("topk")
def topk(self: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    first = (*[slice(None)] * axis_of(dim, self.ndim), slice(0, k))
    return tuple(part[first] for part in sort(self, dim, largest))


@row("kthvalue")
def kthvalue(self: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    axis = axis_of(dim, self.ndim)
    chosen = (*[slice(None)] * axis, slice(k - 1, k) if keepdim else k - 1)
    return tuple(part[chosen] for part in sort(self, axis))


@row("bucketize.Tensor")
def bucketize(self: Any, boundaries: Any, out_int32: bool = False, right: bool = False) -> Any:
    x = arrays.expand_dims(self, -1)
    below = arrays.less_equal(boundaries, x) if right else arrays.less(boundaries, x)
    return arrays.sum(arrays.cast(below, "int32" if out_int32 else "int64"), -1)


def _hits(self: Any, dim: int, index: Any) -> tuple[Any, Any]:
    """Whether each index along the last axis is that of an element, and the axes that put that axis last."""
    axis = axis_of(dim, self.ndim)
    rest = [i for i in range(self.ndim) if i != axis]
    if any(self.shape[i] != index.shape[i] for i in rest):
        raise UnsupportedError("indices of another shape than the tensor along other dimensions")
    order = (*rest, axis)
    places = arrays.arange(self.shape[axis], dtype="int64")
    return arrays.equal(arrays.expand_dims(arrays.transpose(index, order), -2), arrays.expand_dims(places, 1)), order


def _put_back(x: Any, order: Any) -> Any:
    return arrays.transpose(x, tuple(order.index(i) for i in range(len(order))))


@row("scatter_add")
def scatter_add(self: Any, dim: int, index: Any, src: Any) -> Any:
    hit, order = _hits(self, dim, index)
    given = arrays.expand_dims(arrays.transpose(src[_cut(index)], order), -2)
    return self + _put_back(arrays.sum(arrays.where(hit, given, 0), -1), order)


@row("scatter.value", "scatter.src")
def scatter(self: Any, dim: int, index: Any, src: Any = None, value: Any = None) -> Any:
    hit, order = _hits(self, dim, index)
    if src is None:
        return arrays.where(_put_back(arrays.any(hit, -1), order), value, self)
    numbers = arrays.arange(hit.shape[-1], dtype="int64")
    last = arrays.max(arrays.where(hit, numbers, -1), -1)  # of those that are written to one place
    given = arrays.transpose(src[_cut(index)], order)
    found = take_along_axis(given, arrays.maximum(last, 0), -1)
    return arrays.where(_put_back(arrays.greater_equal(last, 0), order), _put_back(found, order), self)


def _cut(index: Any) -> tuple[slice, ...]:
    """The part of values that indices are for: they may be fewer."""
    return tuple(slice(0, n) if isinstance(n, int) else slice(None) for n in index.shape)
