"""Reading at integer tensors, one-hot rows, ranges and constants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier.graph.node import GraphError, Node, apply, full
from ranvier.ops.arrays.elementwise import add, less, multiply, where
from ranvier.ops.arrays.promotion import as_node, axis_of, index_node
from ranvier.tensor.context import get_dtype
from ranvier.tensor.function import function


@function
def take(x: Node, indices: Node, axis: int = 0) -> Node:
    """The slices of ``x`` along an axis at integer indices; negative ones count from the end, others are clamped."""
    axis = axis_of(axis, x.ndim)
    index = index_node(indices)
    if isinstance(x.shape[axis], int):
        index = where(less(index, 0), add(index, x.shape[axis]), index)
    if axis == 0:
        return apply("gather", x, index)
    moved = apply("gather", apply("transpose", x, axes=(axis, *(i for i in range(x.ndim) if i != axis))), index)
    order = (*range(index.ndim, index.ndim + axis), *range(index.ndim), *range(index.ndim + axis, moved.ndim))
    return apply("transpose", moved, axes=order)


@function
def one_hot(index: Node, classes: int, dtype: str | None = None, axis: int = -1) -> Node:
    """1 at each index along a new axis, 0 elsewhere; all 0 where the index is out of range."""
    axis = axis_of(axis, index.ndim + 1)
    index = index_node(index)
    shape = (*index.shape[:axis], classes, *index.shape[axis:])
    line = apply("iota", shape=shape, axis=axis, dtype="int32")
    spread = apply("broadcast", index, shape=shape, axes=tuple(i for i in range(len(shape)) if i != axis))
    return as_node(apply("equal", line, spread), dtype or get_dtype())


@function
def take_along(x: Node, index: Node) -> Node:
    """The entry of each row (last axis) at an integer label: ``x[..., index]``, 0 where the label is out of range.

    Written as a masked sum, which fuses with what is around it and costs no random access backward.
    """
    if x.shape[:-1] != index.shape:
        raise GraphError(f"take_along needs one label for each row of {x.shape}, not labels of shape {index.shape}")
    hit = one_hot(index, x.shape[-1], "bool")
    return apply("reduce_sum", where(hit, x, full(0, x.shape, x.dtype)), axes=(x.ndim - 1,))


@function
def iota(shape: tuple[Any, ...], axis: int = -1, dtype: str = "int32") -> Node:
    """Each element's position along an axis."""
    return apply("iota", shape=tuple(shape), axis=axis_of(axis, len(shape)), dtype=dtype)


@function
def arange(start: float, stop: float | None = None, step: float = 1, dtype: str | None = None) -> Node:
    """``start, start + step, ...`` below ``stop``; from 0 when only one number is given."""
    first, last = (0, start) if stop is None else (start, stop)
    floats = float in map(type, (first, last, step))
    if not step:
        raise GraphError(f"steps of {step} from {first} never come to {last}: write one that is not 0")
    n = int(np.maximum(0, math.ceil((last - first) / step)))
    line = apply("iota", shape=(n,), axis=0, dtype="int32")
    return as_node(add(multiply(line, step), first), dtype or (get_dtype() if floats else "int32"))


@function
def filled(shape: tuple[Any, ...], value: float, dtype: str) -> Node:
    """One number everywhere, in a shape whose extents may be known only when the program runs."""
    return full(value, shape, dtype)


@function
def zeros_like(x: Node, dtype: str | None = None) -> Node:
    """Zeros in the shape of ``x``."""
    return full(0, x.shape, dtype or x.dtype)


@function
def ones_like(x: Node, dtype: str | None = None) -> Node:
    """Ones in the shape of ``x``."""
    return full(1, x.shape, dtype or x.dtype)


@function
def full_like(x: Node, value: float, dtype: str | None = None) -> Node:
    """One value in the shape of ``x``."""
    return full(value, x.shape, dtype or x.dtype)
