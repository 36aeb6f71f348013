"""NumPy's solvers and decompositions: evaluated at once, without gradients."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np

from ranvier.tensor import trace
from ranvier.tensor.tensor import Tensor


class LinAlgError(RuntimeError):
    """A matrix has no inverse, factor or the like."""


def made(name: str, doc: str, *fields: str) -> Any:
    """A function of ``numpy.linalg`` on values; ``fields`` name the results where there are several."""
    compute = getattr(np.linalg, name)
    several: Any = namedtuple(name, fields) if fields else None  # noqa: PYI024  # its fields are an argument

    def function(*args: Any, **options: Any) -> Any:
        for x in args:
            if isinstance(x, Tensor) and x.requires_grad and trace.state.grad_enabled:
                raise RuntimeError(
                    f"linalg.{name} has no gradient here. Write x.detach(), or no_grad around it, instead."
                )
        given = [x.compute() if isinstance(x, Tensor) else x for x in args]
        try:
            result = compute(*given, **options)
        except np.linalg.LinAlgError as error:
            raise LinAlgError(f"linalg.{name}: {error}") from None
        if several is not None:
            return several(*(_held(r) for r in result))
        return _held(result)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{doc} NumPy evaluates it at once; it has no gradient."
    return function


def _held(array: Any) -> Tensor:
    return Tensor(array, dtype=array.dtype.name if array.dtype.kind == "f" else None)


inv = made("inv", "The inverses of matrices.")
pinv = made("pinv", "The pseudoinverses of matrices (Moore and Penrose).")
det = made("det", "The determinants of matrices.")
slogdet = made("slogdet", "The sign and the logarithm of the size of determinants.", "sign", "logabsdet")
solve = made("solve", "The solutions x of ``A @ x = B``.")
cholesky = made("cholesky", "The lower triangular factors L of ``A = L @ L.T``.")
matrix_rank = made("matrix_rank", "The ranks of matrices.")
matrix_power = made("matrix_power", "Matrices to a whole power.")
qr = made("qr", "Orthonormal columns Q and upper triangular R of ``A = Q @ R``.", "Q", "R")
eigh = made("eigh", "The eigenvalues, in order, and eigenvectors of symmetric matrices.", "eigenvalues", "eigenvectors")
eigvalsh = made("eigvalsh", "The eigenvalues, in order, of symmetric matrices.")
_svd = made("svd", "", "U", "S", "Vh")


def svd(A: Any, full_matrices: bool = True) -> Any:
    """U, S and Vh of ``A = U @ diag(S) @ Vh``. NumPy evaluates it at once; it has no gradient."""
    return _svd(A, full_matrices=full_matrices)
