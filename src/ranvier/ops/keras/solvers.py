"""Solvers and decompositions with arguments of Keras's own: evaluated at once, without gradients."""

from __future__ import annotations

from typing import Any

from ranvier.ops.arrays import decompositions


def qr(x: Any, mode: str = "reduced") -> Any:
    """Orthonormal columns Q and upper triangular R of ``x = Q @ R``. NumPy evaluates it at once; it has no gradient."""
    return decompositions.qr(x, mode=mode)


def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """U, S and V of ``x = U @ diag(S) @ V``, or S alone. NumPy evaluates it at once; it has no gradient."""
    found = decompositions.svd(x, full_matrices)
    return found if compute_uv else found[1]


def logdet(x: Any) -> Any:
    """The logarithm of a determinant; nan if it is negative. NumPy evaluates it at once; it has no gradient."""
    return decompositions.slogdet(x)[1]
