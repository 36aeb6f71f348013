"""Operations that run along axes: products, running sums, weighted means, quantiles, sums of products."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier import numeric, selecting
from ranvier.numeric import matrices
from ranvier.numeric.promotion import axes_of, axis_of
from ranvier.ops.elementwise import Axes, Operand, dtype_name, operation
from ranvier.tensor import Tensor


@operation
def prod(x: Operand, axis: Axes = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The product along these axes, or of all elements."""
    x = x if dtype is None else numeric.cast(x, dtype_name(dtype))
    axes = axes_of(axis, x.ndim)
    rest = [a for a in range(x.ndim) if a not in axes]
    merged = numeric.transpose(x, (*rest, *axes))
    flat = numeric.reshape(merged, (*(x.shape[a] for a in rest), -1))
    result = matrices.product(flat, len(rest))
    return (
        numeric.reshape(result, tuple(1 if a in axes else d for a, d in enumerate(x.shape)))
        if keepdims
        else result
    )


def _running(x: Any, axis: int | None, dtype: Any, run: Any) -> Any:
    x = x if dtype is None else numeric.cast(x, dtype_name(dtype))
    return run(numeric.reshape(x, (-1,)), 0) if axis is None else run(x, axis)


@operation
def cumsum(x: Operand, axis: int | None = None, dtype: Any = None) -> Any:
    """The sum of each element with all before it along an axis, or of all elements in order."""
    return _running(x, axis, dtype, matrices.running_sum)


@operation
def cumprod(x: Operand, axis: int | None = None, dtype: Any = None) -> Any:
    """The product of each element with all before it along an axis, or of all elements in order."""
    return _running(x, axis, dtype, matrices.running_product)


@operation
def diff(a: Operand, n: int = 1, axis: int = -1) -> Any:
    """The differences of neighbours along an axis, ``n`` times."""
    for _ in range(n):
        at = axis_of(axis, a.ndim)
        first, last = (numeric.split(a, sizes, at) for sizes in ((1, a.shape[at] - 1), (a.shape[at] - 1, 1)))
        a = numeric.subtract(first[1], last[0])
    return a


@operation
def average(x: Operand, axis: int | None = None, weights: Operand = None) -> Any:
    """The mean, weighted by numbers in the shape of ``x`` or, along an axis, one for each of its slices."""
    if weights is None:
        return numeric.mean(x, axis)
    if axis is not None and np.ndim(weights) == 1 and x.ndim > 1:
        place = axis_of(axis, x.ndim)
        weights = numeric.reshape(weights, tuple(-1 if i == place else 1 for i in range(x.ndim)))
    spread = numeric.broadcast_to(weights, x.shape)
    return numeric.divide(numeric.sum(numeric.multiply(x, spread), axis), numeric.sum(spread, axis))


@operation
def tensordot(x1: Operand, x2: Operand, axes: Any = 2) -> Any:
    """The sum of products over the last ``axes`` axes of x1 and the first of x2, or over two lists of axes."""
    if not isinstance(axes, int):
        axes = [[a] if isinstance(a, int) else list(a) for a in axes]
    return matrices.tensordot(x1, x2, axes)


def quantile(x: Any, q: Any, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Any:
    """What shares ``q`` of the elements lie below, a list of shares along a new first axis; needs values.

    Between neighbours "linear" interpolates; "lower", "higher", "nearest" and "midpoint" choose as NumPy does. Raises
    ValueError for shares outside of 0 to 1.
    """
    return selecting.quantile(x if isinstance(x, Tensor) else Tensor(x), q, axis, keepdims, method)


def median(x: Any, axis: Axes = None, keepdims: bool = False) -> Any:
    """The middle element, of two the mean, along these axes or of all; needs values."""
    return quantile(x, 0.5, axis, keepdims=keepdims)


NEW: tuple[Any, ...] = (median, quantile)
