"""Functions of PyTorch that choose, count and write by index. Values of indices are looked at when they are called."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier.graph.dtypes import dtype_of
from ranvier.graph.node import Node, apply
from ranvier.ops import arrays, indexing
from ranvier.ops.arrays.promotion import axis_of
from ranvier.ops.computed_indices import along_places, is_computed, written
from ranvier.ops.functional.label_checks import check_known
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor, numbers_of


def _known(array: Any, dtype: str | None = None) -> Tensor:
    return Tensor(array, dtype=dtype or dtype_of(array))


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """``input`` where the condition holds, else ``other``; with the condition alone the places where it holds."""
    if input is None and other is None:
        return indexing.nonzero(condition).unbind(1) if condition.ndim else indexing.nonzero(condition)
    return arrays.where(condition, input, other)


def take(input: Any, index: Any) -> Any:
    """The elements of the flat tensor at indices."""
    return arrays.reshape(input, (-1,))[index]


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """An element for each index along ``dim``, as `gather`; without ``dim`` of the flat tensor."""
    if dim is None:
        return take(input, arrays.reshape(indices, (-1,)))
    shape = list(
        np.broadcast_shapes(
            *(tuple(1 if i == axis_of(dim, t.ndim) else d for i, d in enumerate(t.shape)) for t in (input, indices))
        )
    )
    spread = []
    for t in (input, indices):
        shape[axis_of(dim, t.ndim)] = t.shape[dim]
        spread.append(arrays.broadcast_to(t, tuple(shape)))
    return indexing.gather_at(spread[0], dim, numbers_of(spread[1]))


# --- writing ------------------------------------------------------------------------------------------------------


def grid_of(input: Tensor, dim: int, index: Any) -> tuple[Any, ...]:
    """The places ``[i][index[i][j]]`` along dimension 1, and so on, as NumPy's indices."""
    rows, axis = numbers_of(index), axis_of(dim, input.ndim)
    if not rows.size:
        return (np.empty(0, np.int64),) * input.ndim
    indexing.check_indices(rows, input.shape, axis)
    places: list[Any] = list(np.indices(rows.shape, sparse=True))
    places[axis] = rows
    return tuple(places)


def part_of(source: Any, shape: tuple[int, ...]) -> Any:
    """As much of a source as there are indices."""
    if not isinstance(source, Tensor):
        return source
    return source if source.shape == shape else source[tuple(slice(0, d) for d in shape)]


def check_source(input: Tensor, source: Any) -> None:
    if isinstance(source, Tensor) and source.dtype != input.dtype:
        raise RuntimeError(
            f"{source.dtype} values scattered into a tensor of {input.dtype}. Write src.to({input.dtype!r}) instead."
        )


def scatter(
    input: Tensor, dim: int, index: Any, src: Any = None, reduce: str | None = None, *, value: Any = None
) -> Tensor:
    """A copy of ``input`` with ``src`` (a tensor or a number) written at ``[i][index[i][j]]`` for dimension 1."""
    result: Tensor = input.clone()
    return scatter_(result, dim, index, src, reduce, value=value)


def scatter_(
    self: Tensor, dim: int, index: Any, src: Any = None, reduce: str | None = None, *, value: Any = None
) -> Tensor:
    """The same written into the tensor. ``reduce`` may be "add" or "multiply", the latter without a gradient."""
    source = value if src is None else src
    check_source(self, source)
    if is_computed(index) and reduce is None:
        return indexing.put(self, written(self, axis_of(dim, self.ndim), index, source))
    if reduce == "add" and self.dtype != "bool":
        shape = index.shape if is_computed(index) else numbers_of(index).shape
        given = source if isinstance(source, Tensor) else _known(np.full(shape, source, self.dtype))
        return indexing.put(self, scatter_add(self, dim, index, given))
    if reduce in ("add", "multiply"):
        result, combine = np.array(self.detach().compute()), np.add if reduce == "add" else np.multiply
        combine.at(result, grid_of(self, dim, index), np.asarray(part_of(source, numbers_of(index).shape)))
        return indexing.put(self, _known(result))
    if reduce is not None:
        raise ValueError(f"reduce={reduce!r}. Write 'add' or 'multiply', or leave it out, instead.")
    indexing.set_item(self, grid_of(self, dim, index), part_of(source, numbers_of(index).shape))
    return self


@function
def _added(x: Node, places: Node, updates: Node) -> Node:
    """A flat tensor with each update added at its place."""
    number = "int32" if x.dtype == "bool" else x.dtype
    added = apply("scatter_add", places, arrays.cast(updates, number), rows=x.shape[0])
    return arrays.cast(arrays.add(arrays.cast(x, number), added), x.dtype)


def add_at(input: Tensor, places: Any, source: Any) -> Any:
    """``input`` with elements added where ``places`` say among all."""
    flat = arrays.reshape(input, (-1,))
    known = not isinstance(places, Tensor)
    rows = Tensor.wrap(np.ascontiguousarray(places.ravel(), np.int32)) if known else arrays.reshape(places, (-1,))
    return arrays.reshape(_added(flat, rows, arrays.reshape(source, (-1,))), input.shape)


def flat_places(input: Tensor) -> Any:
    return np.arange(input.numel(), dtype=np.int32).reshape(input.shape)


def scatter_add(input: Tensor, dim: int, index: Any, src: Tensor) -> Any:
    """``input`` with ``src`` added at ``[i][index[i][j]]`` for dimension 1; several may meet at a place."""
    check_source(input, src)
    if is_computed(index):
        places: Any = along_places(input.shape, axis_of(dim, input.ndim), index)
    else:
        places = flat_places(input)[grid_of(input, dim, index)]
    return add_at(input, places, part_of(src, places.shape))


def index_add(input: Tensor, dim: int, index: Any, source: Tensor, *, alpha: float = 1) -> Any:
    """``input`` with each slice of ``source`` along ``dim`` added at its index; several may meet at one."""
    axis, rows = axis_of(dim, input.ndim), numbers_of(index)
    check_known(rows, "gathered", input.shape[axis])
    places = np.take(flat_places(input), rows, axis)
    return add_at(input, places, source if alpha == 1 else arrays.multiply(source, alpha))


def index_fill(input: Tensor, dim: int, index: Any, value: Any) -> Any:
    """``input`` with a number in the slices along ``dim`` at indices."""
    axis = axis_of(dim, input.ndim)
    chosen = np.zeros(input.shape[axis], bool)
    chosen[numbers_of(index)] = True
    mask = chosen.reshape([-1 if i == axis else 1 for i in range(input.ndim)])
    number = arrays.reshape(value, ()) if isinstance(value, Tensor) else value
    return indexing.masked_fill(input, Tensor.wrap(mask), number)


def index_copy(input: Tensor, dim: int, index: Any, source: Tensor) -> Tensor:
    """``input`` with the slices of ``source`` along ``dim`` written at indices."""
    result: Tensor = input.clone()
    axis, rows = axis_of(dim, input.ndim), numbers_of(index)
    check_known(rows, "element", input.shape[axis])
    places = (*(slice(None),) * axis, rows)
    indexing.set_item(result, places, source)
    return result


# --- counting -----------------------------------------------------------------------------------------------------


def unique(
    input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The distinct elements (or slices along ``dim``), sorted; the index of each element among them; their counts."""
    found = np.unique(numbers_of(input), return_inverse=True, return_counts=True, axis=dim)
    values, inverse, counts = found
    inverse = inverse.reshape(input.shape if dim is None else (-1,))
    results = [
        _known(values, getattr(input, "dtype", None)),
        *([_known(inverse)] if return_inverse else []),
        *([_known(counts)] if return_counts else []),
    ]
    return results[0] if len(results) == 1 else tuple(results)


def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The flat elements, or the slices along ``dim``, without repeats in a row; the index of each among them; their
    counts.
    """
    array = numbers_of(input)
    slices = array.ravel() if dim is None else np.moveaxis(array, axis_of(dim, input.ndim), 0)
    rows = slices.reshape(len(slices), math.prod(slices.shape[1:]))
    first = np.concatenate([np.ones(len(rows[:1]), bool), (rows[1:] != rows[:-1]).any(1)])
    inverse = np.cumsum(first) - 1
    kept = slices[first]
    results = [
        _known(
            kept if dim is None else np.ascontiguousarray(np.moveaxis(kept, 0, axis_of(dim, input.ndim))),
            getattr(input, "dtype", None),
        ),
        _known(inverse.reshape(input.shape) if dim is None else inverse),
        _known(np.bincount(inverse) if len(rows) else inverse),
    ]
    chosen = [r for r, wanted in zip(results, (True, return_inverse, return_counts), strict=True) if wanted]
    return chosen[0] if len(chosen) == 1 else tuple(chosen)


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Tensor:
    """The count of each whole number in a vector, or the sum of its weights."""
    if weights is None:
        return _known(np.bincount(numbers_of(input), None, minlength))
    masses = numbers_of(weights)
    sums = np.bincount(numbers_of(input), masses, minlength)  # in float64
    return _known(sums.astype(np.float32) if masses.dtype == np.float32 else sums)


def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """The number of elements in each of ``bins`` equal bins from ``min`` to ``max``, by default of all elements."""
    array = numbers_of(input)
    low, high = (array.min(), array.max()) if min == max == 0 and array.size else (min, max)
    return _known(np.histogram(array, bins, (low, high))[0], getattr(input, "dtype", None))


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Which elements are among others."""
    return _known(np.isin(numbers_of(elements), numbers_of(test_elements), invert=invert))


def searchsorted(
    sorted_sequence: Any,
    values: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Tensor:
    """Where each value belongs in a vector that is in order, or in each row of (..., n) for values (..., m): before
    equal ones, or after them with ``right`` or ``side="right"``. ``sorter`` is the order of an unsorted sequence.

    Raises ValueError for rows that do not match, and for another ``side``.
    """
    if side not in (None, "left", "right") or (right and side == "left"):
        raise ValueError(f"side={side!r} with right={right}. Write side='left' or side='right' alone instead.")
    rows, wanted = numbers_of(sorted_sequence), numbers_of(values)
    if sorter is not None:
        rows = np.take_along_axis(rows, numbers_of(sorter), -1)
    place: Any = side or ("right" if right else "left")
    if rows.ndim == 1:
        return _found(np.searchsorted(rows, wanted, place), out_int32)
    if rows.shape[:-1] != wanted.shape[:-1]:
        raise ValueError(
            f"rows {rows.shape} and values {wanted.shape} do not match. Write values of shape "
            f"{(*rows.shape[:-1], 'm')}, or one vector in order."
        )
    if not wanted.size:
        return _found(np.empty(wanted.shape), out_int32)
    found = [
        np.searchsorted(row, some, place)
        for row, some in zip(rows.reshape(-1, rows.shape[-1]), wanted.reshape(-1, wanted.shape[-1]), strict=True)
    ]
    return _found(np.array(found, np.int64).reshape(wanted.shape), out_int32)


def _found(places: Any, out_int32: bool) -> Tensor:
    return _known(np.asarray(places, np.int32 if out_int32 else np.int64))


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the bucket, between boundaries in order, of each element."""
    return searchsorted(boundaries, input, right=right, out_int32=out_int32)
