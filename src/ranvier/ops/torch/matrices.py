"""Products, solvers and decompositions of matrices with PyTorch's names, made of those of the table."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ranvier.ops import arrays as n
from ranvier.ops.arrays import decompositions, linalg, norms
from ranvier.ops.arrays.promotion import axis_of
from ranvier.ops.arrays.shape import diagonal as diagonal_of
from ranvier.ops.torch.reductions import combined
from ranvier.tensor.tensor import Tensor

_TERMS = 18  # of the exponential series of a matrix of norm up to 1/2, which are exact in float64


def _turned(x: Any) -> Any:
    return n.swapaxes(x, -2, -1)


def addr(input: Any, vec1: Any, vec2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * input + alpha * outer(vec1, vec2)``."""
    return combined(input, linalg.outer(vec1, vec2), beta, alpha, "addr")


def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * input + alpha *`` the sum of the products of matrices."""
    products = n.matmul(batch1, batch2)
    return combined(input, n.cast(n.sum(products, 0), products.dtype), beta, alpha)


def chain_matmul(*matrices: Any) -> Any:
    """The product of matrices, in the order of least cost."""
    return multi_dot(matrices)


def multi_dot(tensors: Sequence[Any]) -> Any:
    """The product of two matrices or more, in the order of least cost; the first and the last may be vectors."""
    given = list(tensors)
    if len(given) < 2:
        raise ValueError(f"multi_dot of {len(given)} tensors. Write two or more instead.")
    first, last = given[0].ndim == 1, given[-1].ndim == 1
    given[0] = n.expand_dims(given[0], 0) if first else given[0]
    given[-1] = n.expand_dims(given[-1], 1) if last else given[-1]
    sizes = [given[0].shape[0], *(t.shape[1] for t in given)]

    @functools.cache
    def best(i: int, j: int) -> tuple[int, int]:
        """The least cost of the product of the matrices i to j, and where to divide them."""
        if i == j:
            return 0, i
        costs = [(best(i, k)[0] + best(k + 1, j)[0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)]
        return min(costs)

    def product(i: int, j: int) -> Any:
        if i == j:
            return given[i]
        k = best(i, j)[1]
        return n.matmul(product(i, k), product(k + 1, j))

    result = product(0, len(given) - 1)
    result = n.squeeze(result, -1) if last else result
    return n.squeeze(result, 0) if first else result


def cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """The cross product of vectors of 3 along ``dim``. Raises RuntimeError for other extents or ranks."""
    axis = axis_of(dim, input.ndim)
    if input.ndim != other.ndim or {input.shape[axis], other.shape[axis]} != {3}:
        raise RuntimeError(
            f"linalg.cross of {input.shape} and {other.shape}. Write two tensors of equal rank, with 3 elements "
            f"along dimension {dim}, instead."
        )
    return linalg.cross(input, other, dim)


def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """The diagonals of matrices in the last two dimensions."""
    return diagonal_of(A, offset, dim1, dim2)


def vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """The dot products of vectors along ``dim``."""
    return n.sum(n.multiply(x, y), dim)


def _triangle(A: Any, upper: bool, unitriangular: bool) -> Any:
    if not unitriangular:
        return linalg.triu(A, 0) if upper else linalg.tril(A, 0)
    inner = linalg.triu(A, 1) if upper else linalg.tril(A, -1)
    return n.add(inner, Tensor(np.eye(A.shape[-1]), dtype=A.dtype))


def solve_triangular(A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    """The X of ``A @ X = B``, or with ``left=False`` of ``X @ A = B``, where A is triangular."""
    matrix = _triangle(A, upper, unitriangular)
    if left:
        return decompositions.solve(matrix, B)
    return _turned(decompositions.solve(_turned(matrix), _turned(B)))


class TriangularSolution(NamedTuple):
    """What `triangular_solve` returns."""

    solution: Any
    cloned_coefficient: Any


def triangular_solve(
    b: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> TriangularSolution:
    """The X of ``A @ X = b``, or with ``transpose`` of ``A.T @ X = b``, where A is triangular; and A."""
    matrix = _triangle(A, upper, unitriangular)
    return TriangularSolution(decompositions.solve(_turned(matrix) if transpose else matrix, b), A)


def cholesky(input: Any, upper: bool = False) -> Any:
    """The triangular factor of a symmetric, positive definite matrix."""
    factor = decompositions.cholesky(input)
    return _turned(factor) if upper else factor


def _whole(L: Any, upper: bool) -> Any:
    beyond = linalg.tril(L, -1) if upper else linalg.triu(L, 1)
    L = n.subtract(L, n.stop_gradient(beyond))  # the gradient is that of a whole matrix, as PyTorch's
    return n.matmul(_turned(L), L) if upper else n.matmul(L, _turned(L))


def cholesky_solve(B: Any, L: Any, upper: bool = False) -> Any:
    """The X of ``A @ X = B``, where L is the factor of A that `cholesky` gives."""
    return decompositions.solve(_whole(L, upper), B)


def cholesky_inverse(L: Any, upper: bool = False) -> Any:
    """The inverse of the matrix of which L is the factor that `cholesky` gives."""
    return decompositions.inv(_whole(L, upper))


def matrix_exp(A: Any) -> Any:
    """The exponential of square matrices: the series of ``A / 2**s``, squared s times. It needs known values."""
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise ValueError(f"matrix_exp of shape {tuple(A.shape)}. Write square matrices instead.")
    largest = float(np.abs(np.asarray(A.detach().compute(), np.float64)).sum(-2).max(initial=0))
    squarings = max(0, math.ceil(math.log2(largest / 0.5))) if largest > 0 else 0
    small = n.multiply(A, 2.0**-squarings)
    term = total = n.add(n.multiply(A, 0.0), Tensor(np.eye(A.shape[-1]), dtype=A.dtype))
    for i in range(1, _TERMS):
        term = n.multiply(n.matmul(term, small), 1.0 / i)
        total = n.add(total, term)
    for _ in range(squarings):
        total = n.matmul(total, total)
    return total


def cond(A: Any, p: Any = None) -> Any:
    """The condition number by the norm ``p``; of None and 2 the largest over the smallest singular value."""
    if p in (None, 2, -2):
        values = decompositions.svdvals(A)
        ends = values[..., 0], values[..., -1]
        return n.divide(*(reversed(ends) if p == -2 else ends))
    return n.multiply(
        norms.matrix_norm(A, p, (-2, -1), False), norms.matrix_norm(decompositions.inv(A), p, (-2, -1), False)
    )


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:  # PyTorch's name
    """The powers of the elements, of which the highest is first unless ``increasing``."""
    powers = np.arange(x.shape[-1] if N is None else N)
    columns = [n.power(x, int(p)) for p in (powers if increasing else powers[::-1])]
    return n.stack(columns, -1)


def linalg_vander(x: Any, *, N: int | None = None) -> Any:  # PyTorch's name
    """The powers of the elements, from 0 on."""
    return vander(x, N, True)


class SVD(NamedTuple):
    """What `svd` returns: ``U @ diag(S) @ V.T`` is the matrix."""

    U: Any
    S: Any
    V: Any


def svd(input: Any, some: bool = True, compute_uv: bool = True) -> SVD:
    """The singular value decomposition, whose third part is V; that of `torch.linalg.svd` is its transpose."""
    if not compute_uv:
        rows, columns = input.shape[-2:]
        zeros = [Tensor(np.zeros((*input.shape[:-2], size, size)), dtype=input.dtype) for size in (rows, columns)]
        return SVD(zeros[0], decompositions.svdvals(input), zeros[1])
    U, S, Vh = decompositions.svd(input, not some)
    return SVD(U, S, _turned(Vh))


def svd_lowrank(A: Any, q: int | None = 6, niter: int | None = 2, M: Any = None) -> SVD:
    """The ``q`` largest singular values of ``A - M`` and their vectors: exact ones, where PyTorch's are estimates."""
    del niter
    U, S, V = svd(A if M is None else n.subtract(A, M))
    return SVD(U[..., :q], S[..., :q], V[..., :q])


def pca_lowrank(A: Any, q: int | None = None, center: bool = True, niter: int = 2) -> SVD:
    """The principal components of rows, the columns of V: `svd_lowrank` of A less its mean."""
    q = min(6, *A.shape[-2:]) if q is None else q
    if not 0 <= q <= min(A.shape[-2:]):
        raise ValueError(f"q={q!r} for a matrix of shape {tuple(A.shape)}. Write a number up to {min(A.shape[-2:])}.")
    return svd_lowrank(n.subtract(A, n.mean(A, -2, True)) if center else A, q, niter)


class QR(NamedTuple):
    """What `qr` returns."""

    Q: Any
    R: Any


def qr(input: Any, some: bool = True) -> QR:
    """The orthogonal factor and the upper triangular one."""
    return QR(*decompositions.qr(input, "reduced" if some else "complete"))


def logdet(input: Any) -> Any:
    """The logarithm of the determinant; nan where that is negative."""
    sign, log = decompositions.slogdet(input)
    return n.where(n.less(sign, 0), math.nan, log)


def adjoint(input: Any) -> Any:
    """The transposes of matrices in the last two dimensions: there are no complex numbers."""
    return _turned(input)
