"""Indexing where a model that is traced computes the indices: the program finds the elements.

Outside of a trace the values of indices are known when they are used: see `indexing`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.graph.extents import ExtentError
from ranvier.graph.node import Node, apply
from ranvier.ops import arrays
from ranvier.ops.functional.label_checks import in_range
from ranvier.tensor import trace
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor

MOST = 64  # writes along an axis, each of which is a pass over the tensor


def is_computed(index: Any) -> bool:
    """Whether these are whole numbers that a traced model computes, so that their values are not known."""
    pending = isinstance(index, Tensor) and index.known is None and index.dtype != "bool"
    return pending and bool(trace.state.tracing)


@function
def along(x: Node, indices: Node, axis: int) -> Node:
    """Of each row along an axis the elements at its own whole numbers; the other axes are broadcast."""
    order = (*(i for i in range(x.ndim) if i != axis), axis)
    rows, wanted = arrays.transpose(x, order), arrays.transpose(arrays.cast(indices, "int32"), order)
    shared = arrays.broadcast_shape(rows.shape[:-1], wanted.shape[:-1])
    rows = arrays.broadcast_to(rows, (*shared, rows.shape[-1]))
    wanted = arrays.broadcast_to(wanted, (*shared, wanted.shape[-1]))
    wanted = arrays.where(arrays.less(wanted, 0), arrays.add(wanted, rows.shape[-1]), wanted)
    found = apply("gather", rows, wanted, batch=len(shared))
    return arrays.transpose(found, tuple(order.index(i) for i in range(x.ndim)))


def checked(index: Tensor, shape: Sequence[Any], axis: int) -> Any:
    """Indices along an axis of a shape, which the program checks. Raises RuntimeError where shapes do not fit."""
    given: Sequence[Any] = index.shape
    numbers = [isinstance(n, int) and isinstance(d, int) for n, d in zip(given, shape, strict=False)]
    longer = [n > d if known else n != d for n, d, known in zip(given, shape, numbers, strict=False)]
    if index.ndim != len(shape) or any(is_longer for a, is_longer in enumerate(longer) if a != axis):
        raise RuntimeError(
            f"indices of shape {index.shape} along dimension {axis} of {tuple(shape)}. Write as many dimensions, of "
            f"which only dimension {axis} may be longer."
        )
    extent = shape[axis]
    return in_range(index, "gathered", extent) if isinstance(extent, int) else index


def gather(input: Tensor, axis: int, index: Tensor) -> Any:
    """``out[i][j] = input[i][index[i][j]]`` along dimension 1, and so on."""
    index = checked(index, input.shape, axis)
    cut = tuple(
        slice(None) if a == axis or n == d else slice(0, n)
        for a, (n, d) in enumerate(zip(index.shape, input.shape, strict=True))
    )
    return along(input[cut] if any(c != slice(None) for c in cut) else input, index, axis)


def places(shape: Sequence[Any], items: Sequence[Any]) -> Any:
    """The flat positions of what indices choose of a shape, by NumPy's rules."""
    extents = _numbers(shape)
    used = sum(item is not None and item is not Ellipsis for item in items)
    items = list(items) if Ellipsis in map(_plain, items) else [*items, Ellipsis]
    at = next(i for i, item in enumerate(items) if item is Ellipsis)
    items[at : at + 1] = [slice(None)] * (len(extents) - used)
    chosen = [i for i, item in enumerate(items) if not (item is None or isinstance(item, slice))]
    apart = chosen != list(range(chosen[0], chosen[-1] + 1))
    given = [items[i] if isinstance(items[i], Tensor) else Tensor(items[i], dtype="int32") for i in chosen]
    common = max(index.ndim for index in given)
    rank = len(items) - len(chosen) + common
    first = 0 if apart else chosen[0]
    total, axis, place = Tensor.wrap(np.zeros((1,) * rank, np.int32)), 0, common if apart else 0
    rest = iter(given)
    for i, item in enumerate(items):
        if i == first and not apart:
            place += common
        if item is None:
            place += 1
            continue
        stride = math.prod(extents[axis + 1 :])
        if isinstance(item, slice):
            numbers = np.arange(extents[axis], dtype=np.int32)[item] * stride
            part = Tensor.wrap(np.ascontiguousarray(numbers.reshape([-1 if a == place else 1 for a in range(rank)])))
            place += 1
        else:
            index = next(rest)
            index = in_range(index, "element", extents[axis], low=-extents[axis])
            index = arrays.where(arrays.less(index, 0), arrays.add(index, extents[axis]), index)
            wide = (*(1,) * (first + common - index.ndim), *index.shape, *(1,) * (rank - first - common))
            part = arrays.multiply(arrays.reshape(arrays.cast(index, "int32"), wide), stride)
        total, axis = arrays.add(total, part), axis + 1
    return total


def along_places(shape: Sequence[Any], axis: int, index: Tensor) -> Any:
    """The flat positions ``[i][index[i][j]]`` along dimension 1, and so on."""
    index = checked(index, shape, axis)
    grid = np.indices(_numbers(index.shape), sparse=True, dtype=np.int32)
    return places(shape, [index if a == axis else Tensor.wrap(np.array(g)) for a, g in enumerate(grid)])


def written(input: Tensor, axis: int, index: Tensor, source: Any) -> Any:
    """``input`` with ``source``, a tensor or a number, at ``[i][index[i][j]]``: where several meet, the last."""
    index, rows = checked(index, input.shape, axis), _numbers(index.shape)
    if any(n != d for a, (n, d) in enumerate(zip(rows, input.shape, strict=True)) if a != axis) or rows[axis] > MOST:
        raise ValueError(
            f"computed indices of shape {rows} write into {input.shape} along dimension {axis}, which takes as many in "
            f"other dimensions and {MOST} along this one at most while a model is traced. Write scatter_add, or "
            "F.one_hot of the indices, instead."
        )
    numbers = _counted(input, axis)
    for j in range(rows[axis]):
        part = tuple(slice(j, j + 1) if a == axis else slice(None) for a in range(input.ndim))
        value = source[part] if isinstance(source, Tensor) and source.ndim else source
        input = arrays.where(arrays.equal(index[part], numbers), value, input)
    return input


def largest(input: Tensor, k: int, axis: int, largest: bool) -> tuple[Any, Any]:
    """The ``k`` largest (or smallest) along an axis, in order, and where each came from; equal ones in their order."""
    if k > MOST:
        raise ValueError(f"the {k} largest while a model is traced. Write {MOST} at most instead.")
    numbers = _counted(input, axis)
    left, places = input.detach() if largest else -input.detach(), []
    for _ in range(k):
        places.append(arrays.argmax(left, axis, True))
        left = arrays.where(arrays.equal(places[-1], numbers), -np.inf, left)
    order = arrays.concatenate(places, axis)
    return along(input, order, axis), order


def _counted(input: Tensor, axis: int) -> Tensor:
    """The numbers of the positions along an axis, with as many dimensions."""
    numbers = np.arange(input.shape[axis], dtype=np.int32)
    return Tensor.wrap(numbers.reshape([-1 if a == axis else 1 for a in range(input.ndim)]))


def _plain(item: Any) -> Any:
    return None if isinstance(item, (Tensor, np.ndarray)) else item


def _numbers(shape: Sequence[Any]) -> tuple[int, ...]:
    """The extents as numbers. Raises ExtentError if one is symbolic."""
    if not all(isinstance(d, int) for d in shape):
        raise ExtentError(f"computed indices choose of {tuple(shape)}, of which all extents have to be known")
    return tuple(shape)
