"""Operations that run along axes: products, running sums, weighted means, quantiles, sums of products."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATING, STORAGE
from ranvier.graph.node import Node
from ranvier.ops import arrays, indexing
from ranvier.ops.arrays import linalg, shape
from ranvier.ops.arrays.promotion import axes_of, axis_of, of_32_bits
from ranvier.ops.keras.arrays import known
from ranvier.ops.keras.elementwise import Axes, Operand, dtype_name, last
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor


def max(x: Operand, axis: Axes = None, keepdims: bool = False, initial: Any = None) -> Any:
    """The largest value along these axes, or of all elements, and ``initial`` if that is larger; equal ones share the
    gradient.
    """
    return _extreme(x, axis, keepdims, initial, arrays.max, arrays.maximum)


def min(x: Operand, axis: Axes = None, keepdims: bool = False, initial: Any = None) -> Any:
    """The smallest value along these axes, or of all elements, and ``initial`` if that is smaller; see `max`."""
    return _extreme(x, axis, keepdims, initial, arrays.min, arrays.minimum)


def _extreme(x: Any, axis: Axes, keepdims: bool, initial: Any, reduce: Any, choose: Any) -> Any:
    if initial is None:
        return reduce(x, axis, keepdims)
    initial = bool(initial) if x.dtype == "bool" else initial
    if 0 in x.shape:
        return arrays.full_like(arrays.sum(x, axis, keepdims), initial, x.dtype)
    return choose(reduce(x, axis, keepdims), initial)


def prod(x: Operand, axis: Axes = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The product along these axes, or of all elements."""
    return _product(_accumulated(x) if dtype is None else arrays.cast(x, dtype_name(dtype)), axis, keepdims)


def nanprod(x: Operand, axis: Axes = None, keepdims: bool = False) -> Any:
    """The product of the elements that are not nan."""
    return _product(_accumulated(_or(x, 1)), axis, keepdims)


def nansum(x: Operand, axis: Axes = None, keepdims: bool = False) -> Any:
    """The sum of the elements that are not nan."""
    return arrays.sum(_or(x, 0), axis, keepdims)


def _or(x: Any, instead: int) -> Any:
    """A number in place of nan; integers and bool have none."""
    return arrays.where(arrays.isnan(x), instead, x) if x.dtype in FLOATING else x


@function
def _accumulated(x: Node) -> Node:
    """``x`` in the dtype of its product."""
    return of_32_bits(x)


def _product(x: Any, axis: Axes, keepdims: bool) -> Any:
    axes = axes_of(axis, x.ndim)
    rest = [a for a in range(x.ndim) if a not in axes]
    merged = arrays.transpose(x, (*rest, *axes))
    flat = arrays.reshape(merged, (*(x.shape[a] for a in rest), -1))
    result = linalg.product(flat, len(rest))
    return arrays.reshape(result, tuple(1 if a in axes else d for a, d in enumerate(x.shape))) if keepdims else result


def _running(x: Any, axis: int | None, dtype: Any, run: Any) -> Any:
    x = x if dtype is None else arrays.cast(x, dtype_name(dtype))
    return run(arrays.reshape(x, (-1,)), 0) if axis is None else run(x, axis)


def cumsum(x: Operand, axis: int | None = None, dtype: Any = None) -> Any:
    """The sum of each element with all before it along an axis, or of all elements in order."""
    return _running(x, axis, dtype, linalg.running_sum)


def cumprod(x: Operand, axis: int | None = None, dtype: Any = None) -> Any:
    """The product of each element with all before it along an axis, or of all elements in order."""
    return _running(x, axis, dtype, linalg.running_product)


def nancumsum(x: Operand, axis: int | None = None, dtype: Any = None) -> Any:
    """`cumsum` with 0 in place of nan."""
    return _running(_or(x, 0), axis, dtype, linalg.running_sum)


def nancumprod(x: Operand, axis: int | None = None, dtype: Any = None) -> Any:
    """`cumprod` with 1 in place of nan."""
    return _running(_or(x, 1), axis, dtype, linalg.running_product)


def average(x: Operand, axis: int | None = None, weights: Operand = None) -> Any:
    """The mean, weighted by numbers in the shape of ``x`` or, along an axis, one for each of its slices."""
    if weights is None:
        return arrays.mean(x, axis)
    if axis is not None and np.ndim(weights) == 1 and x.ndim > 1:
        place = axis_of(axis, x.ndim)
        weights = arrays.reshape(weights, tuple(-1 if i == place else 1 for i in range(x.ndim)))
    spread = arrays.broadcast_to(weights, x.shape)
    return arrays.divide(arrays.sum(arrays.multiply(x, spread), axis), arrays.sum(spread, axis))


def tensordot(x1: Operand, x2: Operand, axes: Any = 2) -> Any:
    """The sum of products over the last ``axes`` axes of x1 and the first of x2, or over two lists of axes."""
    if not isinstance(axes, int):
        axes = [[a] if isinstance(a, int) else list(a) for a in axes]
    return linalg.tensordot(x1, x2, axes)


def cross(x1: Operand, x2: Operand, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """The cross product of vectors of three elements along an axis of each, and where they are in the result."""
    first, second, into = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    return shape.moveaxis(linalg.cross(last(first, x1)[0], last(second, x2)[0]), -1, into)


def correlate(x1: Operand, x2: Operand, mode: str = "valid") -> Any:
    """The sums of the products of two vectors at each offset of the second, as NumPy's.

    ``mode``: "valid" offsets at which the shorter is within the longer, "full" all at which they meet, or of these the
    middle "same" as many as the longer has elements.
    """
    if mode not in ("valid", "same", "full"):
        raise ValueError(f"mode={mode!r}. Write 'valid', 'same' or 'full' instead.")
    if x1.ndim != 1 or x2.ndim != 1:
        raise ValueError(f"ops.correlate of shapes {x1.shape} and {x2.shape}. Write two vectors instead.")
    size, width = x1.shape[0], x2.shape[0]
    known((size, width), "ops.conv")
    if size < width:
        return arrays.flip(correlate(x2, x1, mode), 0)
    if x1.dtype not in FLOATING and x2.dtype not in FLOATING:
        x1 = arrays.multiply(x1, 1.0)
    before = {"valid": 0, "same": width // 2, "full": width - 1}[mode]
    rows = {"valid": size - width + 1, "same": size, "full": size + width - 1}[mode]
    padded = arrays.pad(x1, ((before, rows + width - 1 - before - size),))
    places = np.add.outer(np.arange(rows), np.arange(width)).astype(np.int32)
    return arrays.matmul(arrays.take(padded, places), x2)


def vander(x: Operand, N: int | None = None, increasing: bool = False) -> Any:  # Keras's names
    """The powers of a vector's elements as ``N`` columns, by default as many as elements, the highest first."""
    columns = [arrays.ones_like(x)]
    while len(columns) < (x.shape[0] if N is None else N):
        columns.append(arrays.multiply(columns[-1], x))
    columns = columns[: x.shape[0] if N is None else N]
    return arrays.stack(columns if increasing else columns[::-1], 1)


def percentile(x: Any, q: Any, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Any:
    """`quantile` of shares in percent. Evaluated at once."""
    return quantile(x, np.asarray(q) / 100, axis, method, keepdims)


def quantile(x: Any, q: Any, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Any:
    """The quantiles ``q`` of the elements, a list of them along a new first axis. Evaluated at once.

    Between neighbours "linear" interpolates; "lower", "higher", "nearest" and "midpoint" choose as NumPy does. Raises
    ValueError for shares outside of 0 to 1.
    """
    x = x if isinstance(x, Tensor) else Tensor(x)
    found = indexing.quantile(x, q, axis, keepdims, method)
    return arrays.cast(found, x.dtype) if x.dtype in STORAGE else found


def median(x: Any, axis: Axes = None, keepdims: bool = False) -> Any:
    """The middle element, of two the mean, along these axes or of all. Evaluated at once."""
    return quantile(x, 0.5, axis, keepdims=keepdims)
