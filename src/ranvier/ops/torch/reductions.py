"""Products, running sums, order statistics and distances: PyTorch's names, made of `numeric`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ranvier.ops import arrays as n
from ranvier.ops import indexing
from ranvier.ops.arrays import nan_reductions
from ranvier.ops.arrays.linalg import (
    cdist,
    corrcoef,
    cov,
    cross,
    kron,
    product,
    running_product,
    running_sum,
    tensordot,
    trapezoid,
)
from ranvier.ops.arrays.promotion import axis_of
from ranvier.ops.indexing import Ordered
from ranvier.tensor.function import renamed
from ranvier.tensor.tensor import Tensor

__all__ = [
    "addmm", "addmv", "aminmax", "baddbmm", "cdist", "corrcoef", "count_nonzero", "cov", "cross", "cumprod", "cumsum",
    "dist", "inner", "kron", "median", "nanmean", "nansum", "prod", "quantile", "std_mean", "tensordot", "trapezoid",
    "trapz", "var_mean",
]  # fmt: skip


nansum, nanmean = (
    renamed(f, "input", "dim", "keepdim") for f in (nan_reductions.nansum, nan_reductions.nanmean)
)


def _converted(x: Any, dtype: Any) -> Any:
    return x if dtype is None else n.cast(x, dtype)


def cumsum(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """The running sum along ``dim``."""
    return running_sum(_converted(input, dtype), dim)


def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """The running product along ``dim``."""
    return running_product(_converted(input, dtype), dim)


def prod(input: Any, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The product of all elements, or of those along ``dim``."""
    x = _converted(input, dtype)
    if dim is None:
        return product(n.reshape(x, (-1,)), 0)
    result = product(x, dim)
    return n.expand_dims(result, axis_of(dim, x.ndim)) if keepdim else result


def count_nonzero(input: Any, dim: Any = None) -> Any:
    """How many elements are not 0, of all or along ``dim``."""
    return n.sum(n.cast(n.not_equal(input, 0), "int32"), tuple(dim) if isinstance(dim, list) else dim)


def _with_mean(spread: Any) -> Any:
    def function(input: Any, dim: Any = None, *, correction: int = 1, keepdim: bool = False) -> Any:
        return spread(input, dim, keepdim, correction), n.mean(input, dim, keepdim)

    return function


var_mean, std_mean = _with_mean(n.var), _with_mean(n.std)
var_mean.__doc__ = "The variance, dividing by n - ``correction``, and the mean."
std_mean.__doc__ = "The standard deviation, dividing by n - ``correction``, and the mean."


def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element, of two the smaller, nan where there is one; along ``dim`` (values, indices). Looks at values.

    Raises ValueError of no elements.
    """
    if dim is None:
        return median(n.reshape(input, (-1,)), 0).values
    axis = axis_of(dim, input.ndim)
    extent = input.shape[axis]
    if not extent:
        raise ValueError(
            f"a tensor of shape {input.shape} has no elements along dimension {dim}, and so no median."
        )
    values, order = input.compute(), indexing.argsort(input, axis).compute()
    middle = np.where(np.isnan(values).any(axis, keepdims=True), extent - 1, (extent - 1) // 2)
    rows = Tensor.wrap(np.ascontiguousarray(np.take_along_axis(order, middle, axis)))
    parts = indexing.gather(input, axis, rows), rows
    return Ordered(*(parts if keepdim else [n.squeeze(part, axis) for part in parts]))


def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Any:
    """What shares ``q`` of the elements lie below, of all or along ``dim``; several shares along a new first dimension.

    Between neighbours "linear" interpolates; "lower", "higher", "nearest" and "midpoint" choose. Looks at values.
    Raises ValueError for shares outside of 0 to 1.
    """
    return indexing.quantile(input, q, dim, keepdim, interpolation)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * input + alpha * (mat1 @ mat2)``."""
    product = n.matmul(mat1, mat2)
    return n.add(
        input if beta == 1 else n.multiply(input, beta), product if alpha == 1 else n.multiply(product, alpha)
    )


def addmv(input: Any, mat: Any, vec: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * input + alpha * (mat @ vec)``."""
    return addmm(input, mat, vec, beta=beta, alpha=alpha)


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """`addmm` of the matrices of two batches."""
    return addmm(input, batch1, batch2, beta=beta, alpha=alpha)


def inner(input: Any, other: Any) -> Any:
    """The sums of products along the last dimensions of both."""
    return tensordot(input, other, ([-1], [-1]))


def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of the difference."""
    return n.norm(n.subtract(input, other), None, False, float(p))


class Extremes(NamedTuple):
    """The smallest and the largest element."""

    min: Any
    max: Any


def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> Extremes:
    """The smallest and the largest element, of all or along ``dim``."""
    return Extremes(n.min(input, dim, keepdim), n.max(input, dim, keepdim))


trapz = trapezoid
