"""Norms and solvers of ``torch.linalg`` whose arguments are PyTorch's own."""

from __future__ import annotations

from typing import Any, NamedTuple

from ranvier.ops import arrays
from ranvier.ops.arrays import norms
from ranvier.ops.arrays.decompositions import pinv, svd
from ranvier.tensor.tensor import Tensor


def vector_norm(x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The ``ord``-norm of vectors along ``dim``, or of all elements."""
    x = x if dtype is None else arrays.cast(x, dtype)
    return arrays.norm(x, tuple(dim) if isinstance(dim, list) else dim, keepdim, ord)


def matrix_norm(A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False) -> Any:
    """The norm of matrices in two dimensions: "fro", 1, -1, inf or -inf; or 2, -2 or "nuc", without a gradient."""
    return norms.matrix_norm(A, ord, dim, keepdim)


def norm(A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """`vector_norm` of all elements or along one dimension, `matrix_norm` along two or with the ``ord`` of a matrix."""
    return norms.norm_of(A if dtype is None else arrays.cast(A, dtype), ord, dim, keepdim)


def svdvals(A: Any) -> Tensor:
    """The singular values of matrices, the largest first. NumPy evaluates it at once; it has no gradient."""
    return svd(A, full_matrices=False).S


class LeastSquares(NamedTuple):
    """What `lstsq` returns."""

    solution: Tensor


def lstsq(A: Any, B: Any) -> LeastSquares:
    """The x of least ``norm(A @ x - B)``. NumPy evaluates it at once; it has no gradient."""
    return LeastSquares(arrays.matmul(pinv(A), B.detach()))
