"""Norms and solvers of ``torch.linalg`` whose arguments are PyTorch's own."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ranvier.ops import arrays
from ranvier.ops.arrays import norms
from ranvier.ops.arrays.decompositions import matrix_rank, pinv, svdvals
from ranvier.ops.torch.sizes import one_of
from ranvier.tensor.tensor import Tensor


def vector_norm(x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The ``ord``-norm of vectors along ``dim``, or of all elements."""
    x = x if dtype is None else arrays.cast(x, dtype)
    return arrays.norm(x, tuple(dim) if isinstance(dim, list) else dim, keepdim, ord)


def matrix_norm(A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False) -> Any:
    """The norm of matrices in two dimensions: "fro", 1, -1, inf, -inf, 2, -2 or "nuc"."""
    return norms.matrix_norm(A, ord, dim, keepdim)


def norm(A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """`vector_norm` of all elements or along one dimension, `matrix_norm` along two or with the ``ord`` of a matrix."""
    return norms.norm_of(A if dtype is None else arrays.cast(A, dtype), ord, dim, keepdim)


class LeastSquares(NamedTuple):
    """What `lstsq` returns; what a driver does not compute is empty."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


def lstsq(A: Any, B: Any, rcond: Any = None, *, driver: str | None = None) -> LeastSquares:
    """The x of least ``norm(A @ x - B)``. Singular values up to ``rcond`` times the largest count as 0.

    The driver says which of the other results there are, as in PyTorch; the solution is the same.
    """
    if A.ndim < 2 or not B.ndim:
        raise ValueError(f"least squares of shapes {A.shape} and {B.shape}. Write matrices, and vectors or matrices.")
    kind = one_of("gelsy" if driver is None else driver, "driver", DRIVERS)
    vector = B.ndim == A.ndim - 1
    right = arrays.expand_dims(B, -1) if vector else B
    x = arrays.matmul(pinv(A, rtol=rcond), right)
    none, rows, columns = arrays.reshape(A, (-1,))[:0], A.shape[-2], A.shape[-1]
    ranks = Tensor.wrap(np.empty(0, np.int64)) if kind == "gels" else matrix_rank(A.detach(), rtol=rcond)
    full = bool((matrix_rank(A.detach(), rtol=rcond).compute() == columns).all())
    known = rows > columns and full and kind != "gelsy"
    residuals = arrays.sum(arrays.square(arrays.subtract(arrays.matmul(A, x), right)), -2) if known else none
    values = svdvals(A.detach()) if kind in ("gelsd", "gelss") else none.detach()
    return LeastSquares(arrays.squeeze(x, -1) if vector else x, residuals, ranks, values)
