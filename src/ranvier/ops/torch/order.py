"""Functions of PyTorch that choose elements by their order: they look at values, and gradients reach what is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ranvier.graph.dtypes import FLOATS, widened
from ranvier.ops import arrays, indexing
from ranvier.ops.arrays.promotion import axis_of
from ranvier.ops.indexing import Ordered
from ranvier.tensor.tensor import Tensor


def _chosen(input: Tensor, axis: int, rows: Any, keepdim: bool = True) -> Ordered:
    """The elements at these indices along an axis, and the indices; without the axis if it is not kept."""
    index = Tensor.wrap(np.ascontiguousarray(rows, np.int64))
    parts = indexing.gather(input, axis, index), index
    return Ordered(*(parts if keepdim else [arrays.squeeze(part, axis) for part in parts]))


def _values(input: Tensor, dim: int) -> tuple[Any, int]:
    return widened(input.compute()), axis_of(dim, input.ndim)


def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Ordered:
    """The ``k``-th smallest element along ``dim``, from 1 on, and its index; nan is the largest. Looks at values.

    Raises RuntimeError for a ``k`` that is less than 1 or more than there are elements.
    """
    values, axis = _values(input, dim)
    extent = values.shape[axis]
    if not 1 <= k <= extent:
        raise RuntimeError(f"k={k} of {extent} elements along dimension {dim}. Write a k from 1 to {extent} instead.")
    return _chosen(input, axis, np.argsort(values, axis, kind="stable").take([k - 1], axis), keepdim)


def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Ordered:
    """The most frequent element along ``dim``, of several the smallest, and its last index. Looks at values."""
    values, axis = _values(input, dim)

    def last(row: Any) -> Any:
        found, first, counts = np.unique(row, return_index=True, return_counts=True)
        same = np.flatnonzero(row == found[counts.argmax()])
        return same[-1:] if len(same) else first[-1:]  # nan equals nothing

    return _chosen(input, axis, np.apply_along_axis(last, axis, values), keepdim)


def _running(name: str, accumulate: Any, what: str) -> Any:
    def function(input: Tensor, dim: int) -> Ordered:
        values, axis = _values(input, dim)
        best = accumulate(values, axis)
        places = np.arange(values.shape[axis]).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
        new = (values == best) | (np.isnan(best) & np.isnan(values))
        return _chosen(input, axis, np.maximum.accumulate(np.where(new, places, 0), axis))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"The {what} of each element and all before it along ``dim``, and its index, of equal ones the last. nan "
        "stays. Looks at values."
    )
    return function


cummax = _running("cummax", np.maximum.accumulate, "largest")
cummin = _running("cummin", np.minimum.accumulate, "smallest")


class Histogram(NamedTuple):
    """The counts, weights or densities of the bins, and their edges, one more."""

    hist: Tensor
    bin_edges: Tensor


def histogram(
    input: Tensor, bins: Any = 100, *, range: Sequence[float] | None = None, weight: Any = None, density: bool = False
) -> Histogram:
    """How many elements fall into each of ``bins`` equal bins, or between the edges of a tensor, and the edges.

    Bins go over ``range``, by default that of the elements. With ``weight`` each counts as much; ``density`` makes the
    integral 1. Looks at values, without a gradient. Raises RuntimeError for integers.
    """
    if input.dtype not in FLOATS:
        raise RuntimeError(
            f"a histogram of {input.dtype}. Write torch.histogram(x.float(), ...), or torch.bincount(x)."
        )
    values = input.compute()
    if isinstance(bins, Tensor):
        edges = bins.compute()
    else:
        edges = np.histogram_bin_edges(values, bins, None if range is None else (range[0], range[1])).astype(
            values.dtype
        )
    masses = None if weight is None else weight.compute().ravel().astype(np.float64)  # a sum of float32 has few digits
    counts = np.histogram(values.ravel(), edges, weights=masses, density=density)[0]
    return Histogram(Tensor.wrap(counts.astype(values.dtype)), Tensor.wrap(np.ascontiguousarray(edges)))


def masked_scatter(input: Tensor, mask: Any, source: Tensor) -> Tensor:
    """``input`` with the elements of ``source``, one after the other, where the mask holds. Looks at the mask.

    Raises RuntimeError if ``source`` has fewer elements than the mask holds.
    """
    held = mask.compute() if isinstance(mask, Tensor) else np.asarray(mask)
    shape = np.broadcast_shapes(held.shape, input.shape)
    held = np.broadcast_to(held, shape)
    wanted = int(held.sum())
    if source.numel() < wanted:
        raise RuntimeError(f"the mask holds at {wanted} places, and the source has {source.numel()} elements.")
    if not wanted:
        return arrays.broadcast_to(input, shape)
    places = np.clip(np.cumsum(held).reshape(shape) - 1, 0, None)
    moved = arrays.take(arrays.reshape(source, (-1,)), Tensor.wrap(places.astype(np.int32)))
    return arrays.where(Tensor.wrap(np.ascontiguousarray(held)), moved, input)
