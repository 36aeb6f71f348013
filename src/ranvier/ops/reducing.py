"""Operations that run along axes: products, running sums, weighted means, quantiles, sums of products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier import numeric, selecting
from ranvier.numeric import matrices
from ranvier.ops.elementwise import Axes, array, dtype_name, moved, operation
from ranvier.tensor import Tensor


def flat_at(x: Any, axis: Axes, keepdims: bool = False) -> tuple[Any, tuple[int, ...]]:
    """The axes (all where none are given) merged into one, the last; and the shape that keeps them, of extent 1."""
    given = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    axes = sorted(a % x.ndim for a in given)
    rest = [a for a in range(x.ndim) if a not in axes]
    merged = numeric.transpose(x, (*rest, *axes))
    shape = tuple(x.shape[a] for a in rest)
    if any(not isinstance(x.shape[a], int) for a in axes):
        return numeric.reshape(merged, (*shape, -1)), ()
    flat = numeric.reshape(merged, (*shape, math.prod(x.shape[a] for a in axes)))
    return flat, tuple(1 if a in axes else d for a, d in enumerate(x.shape)) if keepdims else shape


@operation
def prod(x: Any, axis: Axes = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The product along these axes, or of all elements."""
    x = array(x) if dtype is None else numeric.cast(array(x), dtype_name(dtype))
    flat, shape = flat_at(x, axis, keepdims)
    return numeric.reshape(matrices.product(flat, flat.ndim - 1), shape)


def _running(x: Any, axis: int | None, dtype: Any, run: Any) -> Any:
    x = x if dtype is None else numeric.cast(x, dtype_name(dtype))
    return run(numeric.reshape(x, (-1,)), 0) if axis is None else run(x, axis)


@operation
def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """The sum of each element with all before it along an axis, or of all elements in order."""
    return _running(x, axis, dtype, matrices.running_sum)


@operation
def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """The product of each element with all before it along an axis, or of all elements in order."""
    return _running(x, axis, dtype, matrices.running_product)


@operation
def diff(a: Any, n: int = 1, axis: int = -1) -> Any:
    """The differences of neighbours along an axis, ``n`` times."""
    for _ in range(n):
        at = axis % a.ndim
        first, last = (numeric.split(a, sizes, at) for sizes in ((1, a.shape[at] - 1), (a.shape[at] - 1, 1)))
        a = numeric.subtract(first[1], last[0])
    return a


@operation
def average(x: Any, axis: int | None = None, weights: Any = None) -> Any:
    """The mean, weighted by numbers in the shape of ``x`` or, along an axis, one for each of its slices."""
    if weights is None:
        return numeric.mean(x, axis)
    if axis is not None and np.ndim(weights) == 1 and x.ndim > 1:
        weights = numeric.reshape(weights, tuple(-1 if i == axis % x.ndim else 1 for i in range(x.ndim)))
    spread = numeric.broadcast_to(weights, x.shape)
    return numeric.divide(numeric.sum(numeric.multiply(x, spread), axis), numeric.sum(spread, axis))


@operation
def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Any:
    """The sum of products over the last ``axes`` axes of x1 and the first of x2, or over two lists of axes."""
    if not isinstance(axes, int):
        axes = [[a] if isinstance(a, int) else list(a) for a in axes]
    return matrices.tensordot(x1, x2, axes)


def quantile(x: Any, q: Any, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Any:
    """What shares ``q`` of the elements lie below, a list of shares along a new first axis; needs values.

    Between neighbours "linear" interpolates; "lower", "higher", "nearest" and "midpoint" choose as NumPy does.
    """
    flat, shape = flat_at(x if isinstance(x, Tensor) else Tensor(x), axis, keepdims)
    shares = np.asarray(q, np.float64)
    size = flat.shape[-1]
    places = shares.ravel() * (size - 1)
    choices: dict[str, Any] = {
        "linear": lambda p: p, "lower": np.floor, "higher": np.ceil, "nearest": np.round,
        "midpoint": lambda p: (np.floor(p) + np.ceil(p)) / 2,
    }  # fmt: skip
    if method not in choices:
        raise ValueError(f"method={method!r}. Write one of {', '.join(map(repr, choices))} instead.")
    places = choices[method](places)
    low = np.floor(places).astype(np.int32)
    part = (places - low).astype(flat.dtype if flat.dtype.startswith("float") else "float32")
    values = selecting.sort(flat, -1).values
    below, above = (numeric.take(values, rows, -1) for rows in (low, np.minimum(low + 1, size - 1)))
    found = numeric.add(below, numeric.multiply(numeric.subtract(above, below), part))
    if not shares.ndim:
        return numeric.reshape(found, shape)
    return numeric.reshape(numeric.transpose(found, moved(found.ndim, -1, 0)), (len(places), *shape))


def median(x: Any, axis: Axes = None, keepdims: bool = False) -> Any:
    """The middle element, of two the mean, along these axes or of all; needs values."""
    return quantile(x, 0.5, axis, keepdims=keepdims)


NEW: tuple[Any, ...] = (median, quantile)
