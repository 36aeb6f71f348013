"""Keras's solvers and decompositions whose arguments are Keras's own, of values at hand and without gradients."""

from __future__ import annotations

from typing import Any

from ranvier.ops.arrays import decompositions


def qr(x: Any, mode: str = "reduced") -> Any:
    """Orthonormal columns Q and upper triangular R of ``x = Q @ R``. Of values at hand, without a gradient."""
    return decompositions.qr(x, mode=mode)


def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """U, S and V of ``x = U @ diag(S) @ V``, or S alone. Of values at hand, without a gradient."""
    found = decompositions.svd(x, full_matrices)
    return found if compute_uv else found[1]


def logdet(x: Any) -> Any:
    """The logarithm of the determinant of a matrix; of a negative one nan. Of values at hand, without a gradient."""
    return decompositions.slogdet(x)[1]
