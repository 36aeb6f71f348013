"""Keras's ``ops.linalg``: NumPy's solvers and decompositions, of values at hand and without gradients; and norms."""

from __future__ import annotations

from typing import Any

from ranvier.ops.arrays import decompositions
from ranvier.ops.arrays.decompositions import cholesky, det, eigh, inv, matrix_rank, pinv, slogdet, solve
from ranvier.ops.keras.elementwise import OPERATIONS
from ranvier.support.errors import missing

__all__ = [
    "cholesky", "det", "eigh", "inv", "matrix_rank", "norm", "pinv", "qr", "slogdet", "solve", "svd",
]  # fmt: skip

norm = OPERATIONS["norm"]


def qr(x: Any, mode: str = "reduced") -> Any:
    """Orthonormal columns Q and upper triangular R of ``x = Q @ R``. Of values at hand, without a gradient."""
    return decompositions.qr(x, mode=mode)


def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """U, S and V of ``x = U @ diag(S) @ V``, or S alone. Of values at hand, without a gradient."""
    found = decompositions.svd(x, full_matrices)
    return found if compute_uv else found[1]


def logdet(x: Any) -> Any:
    """The logarithm of the determinant of a matrix; of a negative one nan. Of values at hand, without a gradient."""
    return slogdet(x)[1]


NEW: tuple[Any, ...] = (cholesky, det, eigh, inv, logdet, matrix_rank, pinv, qr, slogdet, solve, svd)

__getattr__, __dir__ = missing(globals(), "ranvier.ops.linalg", __all__)
