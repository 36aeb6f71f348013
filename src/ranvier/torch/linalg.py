"""``torch.linalg``: norms, and NumPy's solvers and decompositions, of values at hand and without gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ranvier import numeric
from ranvier.names import missing
from ranvier.numeric.decompositions import (
    LinAlgError,
    cholesky,
    det,
    eigh,
    eigvalsh,
    inv,
    matrix_power,
    matrix_rank,
    pinv,
    qr,
    slogdet,
    solve,
    svd,
)
from ranvier.tensor import Tensor

__all__ = [
    "LinAlgError", "cholesky", "det", "eigh", "eigvalsh", "inv", "lstsq", "matmul", "matrix_norm", "matrix_power",
    "matrix_rank", "norm", "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "vector_norm",
]  # fmt: skip

matmul = numeric.matmul


def vector_norm(x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The ``ord``-norm of vectors along ``dim``, or of all elements."""
    x = x if dtype is None else numeric.cast(x, dtype)
    return numeric.norm(x, tuple(dim) if isinstance(dim, list) else dim, keepdim, ord)


def matrix_norm(A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False) -> Any:
    """The Frobenius norm of matrices, or the largest sum of sizes of a column (1) or row (inf); see also `svdvals`."""
    rows, columns = (d % A.ndim for d in dim)
    if ord == "fro":
        return numeric.norm(A, (rows, columns), keepdim)
    if abs(ord) not in (1, np.inf):
        raise ValueError(f"ord={ord!r}. Write 'fro', 1, -1, inf or -inf, or svdvals, instead.")
    inner, outer = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = numeric.sum(numeric.abs(A), inner, True)
    result = (numeric.max if ord > 0 else numeric.min)(sums, outer, True)
    return result if keepdim else numeric.squeeze(result, (rows, columns))


def norm(A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """`vector_norm` of all elements or along one dimension, `matrix_norm` along two or with the ``ord`` of a matrix."""
    A = A if dtype is None else numeric.cast(A, dtype)
    pair = isinstance(dim, (tuple, list)) and len(dim) == 2
    if ord == "fro" or (ord is not None and (pair or (dim is None and A.ndim == 2))):
        return matrix_norm(A, ord, tuple(dim) if pair else (-2, -1), keepdim)
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim)


def svdvals(A: Any) -> Tensor:
    """The singular values of matrices, the largest first. Of values at hand, without a gradient."""
    return svd(A, full_matrices=False).S


class LeastSquares(NamedTuple):
    """What `lstsq` returns."""

    solution: Tensor


def lstsq(A: Any, B: Any) -> LeastSquares:
    """The x of least ``norm(A @ x - B)``. Of values at hand, without a gradient."""
    return LeastSquares(matmul(pinv(A), B.detach()))


__getattr__, __dir__ = missing("torch.linalg", __all__)
