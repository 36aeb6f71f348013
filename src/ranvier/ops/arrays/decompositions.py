"""NumPy's solvers and decompositions: their values are evaluated at once, and gradients go through them.

A result is known at one place, and its derivative is known there: a formula of the result itself. `followed` makes of
both a function of the matrix whose value, gradient and gradient of the gradient are right at this place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ranvier.ops.arrays import elementwise as n
from ranvier.ops.arrays import reductions
from ranvier.ops.arrays.linalg import tril
from ranvier.ops.arrays.products import matmul
from ranvier.ops.arrays.shape import concatenate, diagonal, expand_dims, split, squeeze, swapaxes
from ranvier.tensor import trace
from ranvier.tensor.tensor import Tensor

Tangents = Callable[[Sequence[Any], Sequence[Any]], Sequence[Any]]


class LinAlgError(RuntimeError):
    """A matrix has no inverse, factor or the like."""


def evaluated(name: str, compute: Any, *args: Any, **options: Any) -> Any:
    """What NumPy computes of the values. Raises LinAlgError where it can't."""
    given = [x.compute() if isinstance(x, Tensor) else x for x in args]
    try:
        return compute(*given, **options)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"linalg.{name}: {error}") from None


def held(array: Any) -> Tensor:
    return Tensor(array, dtype=array.dtype.name if array.dtype.kind == "f" else None)


def wanted(*args: Any) -> bool:
    """Whether a gradient may be asked for."""
    return bool(trace.state.grad_enabled) and any(isinstance(x, Tensor) and x.requires_grad for x in args)


def followed(values: Sequence[Any], tangents: Tangents, *inputs: Any) -> list[Any]:
    """Results as functions of their inputs, right up to the second derivative.

    ``tangents(results, changes)`` are the first-order changes of the results for those of the inputs. At the value of
    the inputs the changes are zero. With the mean of the tangents at both ends the second order is right too.
    """
    changes = [n.subtract(x, n.stop_gradient(x)) if isinstance(x, Tensor) else np.float32(0) for x in inputs]
    before = tangents(values, changes)
    after = tangents([n.add(v, t) for v, t in zip(values, before, strict=True)], changes)
    return [n.add(v, n.multiply(n.add(a, b), 0.5)) for v, a, b in zip(values, before, after, strict=True)]


def _turned(x: Any) -> Any:
    return swapaxes(x, -1, -2)


def _traces(x: Any) -> Any:
    return reductions.sum(diagonal(x, 0, -2, -1), -1)


def _without_slope(value: Any, source: Any) -> Any:
    """A value as a result of ``source``, to which its gradient is 0."""
    return n.where(n.equal(value, value), value, source)


def _columns(x: Any) -> Any:
    return expand_dims(x, -2)


# --- inverses -----------------------------------------------------------------------------------------------------


def _inverse_tangent(y: Any, change: Any) -> Any:
    return n.negative(matmul(y, matmul(change, y)))


def inv(A: Any) -> Any:
    """The inverses of matrices. NumPy evaluates them at once."""
    value = held(evaluated("inv", np.linalg.inv, A))
    if not wanted(A):
        return value
    return followed([value], lambda r, c: [_inverse_tangent(r[0], c[0])], A)[0]


def solve(A: Any, B: Any) -> Any:
    """The solutions x of ``A @ x = B``, of which B may be vectors. NumPy evaluates them at once."""
    vector = B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1])
    if vector:
        return squeeze(solve(A, expand_dims(B, -1)), -1)
    value = held(evaluated("solve", np.linalg.solve, A, B))
    if not wanted(A, B):
        return value

    def tangents(results: Any, changes: Any) -> Any:
        x, y = results
        return [matmul(y, n.subtract(changes[1], matmul(changes[0], x))), _inverse_tangent(y, changes[0])]

    return followed([value, held(evaluated("solve", np.linalg.inv, A))], tangents, A, B)[0]


def det(A: Any) -> Any:
    """The determinants of matrices. NumPy evaluates them at once."""
    value = held(np.asarray(evaluated("det", np.linalg.det, A)))
    if not wanted(A):
        return value

    def tangents(results: Any, changes: Any) -> Any:
        d, y = results
        return [n.multiply(d, _traces(matmul(y, changes[0]))), _inverse_tangent(y, changes[0])]

    return followed([value, held(evaluated("det", np.linalg.inv, A))], tangents, A)[0]


class SignAndLog(NamedTuple):
    """What `slogdet` returns."""

    sign: Any
    logabsdet: Any


def slogdet(A: Any) -> Any:
    """The sign and the logarithm of the size of determinants. NumPy evaluates them at once."""
    sign, size = (held(np.asarray(r)) for r in evaluated("slogdet", np.linalg.slogdet, A))
    if wanted(A):

        def tangents(results: Any, changes: Any) -> Any:
            y = results[1]
            return [_traces(matmul(y, changes[0])), _inverse_tangent(y, changes[0])]

        size = followed([size, held(evaluated("slogdet", np.linalg.inv, A))], tangents, A)[0]
        sign = _without_slope(sign, size)
    return SignAndLog(sign, size)


def _cutoffs(A: Any, atol: Any, rtol: Any) -> Any:
    """PyTorch's rule for the singular values that count as 0: (the largest ones, the smallest that counts)."""
    array = A.compute() if isinstance(A, Tensor) else np.asarray(A)
    largest = np.linalg.svd(array, compute_uv=False).max(-1, initial=0)
    least = None if atol is None else np.asarray(atol)
    share: Any = None if rtol is None else np.asarray(rtol)
    if share is None:
        share = max(array.shape[-2:]) * np.finfo(array.dtype).eps if least is None or not least.any() else 0.0
    return largest, np.maximum(0 if least is None else least, share * largest)


def pinv(A: Any, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Any:
    """The pseudoinverses of matrices (Moore and Penrose). NumPy evaluates them at once.

    Singular values up to ``atol``, or ``rtol`` times the largest, count as 0; by default up to rounding.
    """
    largest, least = _cutoffs(A, atol, rtol)
    share = np.divide(least, largest, out=np.ones(np.shape(largest)), where=largest > 0)
    value = held(evaluated("pinv", np.linalg.pinv, A, share, hermitian=hermitian))
    if not wanted(A):
        return value

    def tangents(results: Any, changes: Any) -> Any:
        (p, a), change = results, changes[0]
        across, aside = matmul(p, _turned(p)), matmul(_turned(p), p)
        right = matmul(across, _turned(change))
        left = matmul(_turned(change), aside)
        rest = n.add(n.subtract(right, matmul(right, matmul(a, p))), n.subtract(left, matmul(p, matmul(a, left))))
        return [n.add(_inverse_tangent(p, change), rest), change]

    return followed([value, A.detach()], tangents, A)[0]


def matrix_rank(A: Any, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Tensor:
    """The ranks of matrices: how many singular values are above ``atol`` and ``rtol`` times the largest; int64."""
    _, least = _cutoffs(A, atol, rtol)
    found = evaluated("matrix_rank", np.linalg.svd, A, compute_uv=False)
    return held((found > np.asarray(least)[..., None]).sum(-1))


def matrix_power(A: Any, n: int) -> Any:
    """Matrices to a whole power, negative ones of the inverse."""
    base, rest = (inv(A), -n) if n < 0 else (A, n)
    result = None
    while rest:
        if rest % 2:
            result = base if result is None else matmul(result, base)
        rest //= 2
        base = matmul(base, base) if rest else base
    if result is not None:
        return result
    return _without_slope(held(np.broadcast_to(np.eye(A.shape[-1], dtype=A.dtype), A.shape).copy()), A)


# --- factors ------------------------------------------------------------------------------------------------------


def cholesky(A: Any, upper: bool = False) -> Any:
    """The lower triangular factors L of ``A = L @ L.T``, or the ``upper`` ones L.T. NumPy evaluates them at once."""
    if upper:
        return _turned(cholesky(A))
    value = held(evaluated("cholesky", np.linalg.cholesky, A))
    if not wanted(A):
        return value

    def tangents(results: Any, changes: Any) -> Any:
        factor, inverse = results
        even = n.multiply(n.add(changes[0], _turned(changes[0])), 0.5)
        inner = matmul(inverse, matmul(even, _turned(inverse)))
        lower = n.multiply(n.add(tril(inner), tril(inner, -1)), 0.5)  # half of the diagonal
        return [matmul(factor, lower), n.negative(matmul(lower, inverse))]

    return followed([value, held(np.linalg.inv(value.compute()))], tangents, A)[0]


class Factors(NamedTuple):
    """What `qr` returns."""

    Q: Any
    R: Any


def qr(A: Any, mode: str = "reduced") -> Any:
    """Orthonormal columns Q and upper triangular R of ``A = Q @ R``. NumPy evaluates them at once.

    ``mode`` "complete" makes Q square, "r" leaves it out. Raises RuntimeError for a gradient of a complete Q that is
    not reduced.
    """
    if mode == "r":
        upper = qr(A).R
        return Factors(held(np.empty(0, upper.dtype)), upper)
    values = [held(r) for r in evaluated("qr", np.linalg.qr, A, mode=mode)]
    if wanted(A):
        rows, columns = A.shape[-2:]
        if mode == "complete" and rows > columns:
            raise RuntimeError("linalg.qr with mode='complete' has no gradient. Write mode='reduced' instead.")
        if rows < columns:  # the first columns are square, and Q is theirs
            first, rest = split(A, (rows, columns - rows), A.ndim - 1)
            q, r = qr(first)
            return Factors(q, concatenate([r, matmul(_turned(q), rest)], A.ndim - 1))

        def tangents(results: Any, changes: Any) -> Any:
            q, r, inverse = results
            along = matmul(changes[0], inverse)
            inner = matmul(_turned(q), along)
            lower = tril(inner, -1)
            turn = n.subtract(lower, _turned(lower))
            upper = matmul(n.subtract(inner, turn), r)
            return [
                n.add(matmul(q, n.subtract(turn, inner)), along), upper, _inverse_tangent(inverse, upper)
            ]  # fmt: skip

        inverse = held(evaluated("qr", np.linalg.inv, values[1]))
        values = followed([*values, inverse], tangents, A)[:2]
    return Factors(*values)


def _gaps(values: Any) -> Any:
    """``1 / (v[j] - v[i])``, and 0 where they are equal, as on the diagonal."""
    apart = n.subtract(_columns(values), expand_dims(values, -1))
    equal = n.equal(apart, 0)
    return n.where(equal, 0.0, n.divide(1.0, n.where(equal, 1.0, apart)))


def _eigen_tangents(results: Any, changes: Any) -> Any:
    values, vectors = results
    even = n.multiply(n.add(changes[0], _turned(changes[0])), 0.5)
    inner = matmul(_turned(vectors), matmul(even, vectors))
    return [diagonal(inner, 0, -2, -1), matmul(vectors, n.multiply(_gaps(values), inner))]


class Eigen(NamedTuple):
    """What `eigh` returns."""

    eigenvalues: Any
    eigenvectors: Any


def eigh(A: Any, UPLO: str = "L") -> Any:
    """The eigenvalues, in order, and eigenvectors of symmetric matrices, of which the lower triangles are read.

    ``UPLO="U"`` reads the upper ones. NumPy evaluates them at once.
    """
    results = [held(r) for r in evaluated("eigh", np.linalg.eigh, A, UPLO=UPLO)]
    return Eigen(*(followed(results, _eigen_tangents, A) if wanted(A) else results))


def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """The eigenvalues, in order, of symmetric matrices; see `eigh`."""
    if wanted(A):
        return eigh(A, UPLO).eigenvalues
    return held(evaluated("eigvalsh", np.linalg.eigvalsh, A, UPLO=UPLO))


def _svd_tangents(results: Any, changes: Any) -> Any:
    u, s, vh = results
    v, change, wide = _turned(vh), changes[0], _columns(s)
    inner = matmul(_turned(u), matmul(change, v))
    gaps, scaled, turned = _gaps(n.multiply(s, s)), n.multiply(inner, wide), n.multiply(_turned(inner), wide)
    found = []
    for own, other, moved, factor in ((u, v, change, n.add(scaled, _turned(scaled))),
                                      (v, u, _turned(change), n.add(_turned(turned), turned))):  # fmt: skip
        along = matmul(moved, other)
        rest, none = n.subtract(along, matmul(own, matmul(_turned(own), along))), n.equal(wide, 0)
        beyond = n.where(none, 0.0, n.divide(rest, n.where(none, 1.0, wide)))
        found.append(n.add(matmul(own, n.multiply(gaps, factor)), beyond))
    return [found[0], diagonal(inner, 0, -2, -1), _turned(found[1])]


class Singular(NamedTuple):
    """What `svd` returns."""

    U: Any
    S: Any
    Vh: Any


def svd(A: Any, full_matrices: bool = True) -> Any:
    """U, S and Vh of ``A = U @ diag(S) @ Vh``. NumPy evaluates them at once.

    Vectors that ``full_matrices`` has beyond those of singular values have no gradient.
    """
    u, s, vh = (held(r) for r in evaluated("svd", np.linalg.svd, A, full_matrices=full_matrices))
    if not wanted(A):
        return Singular(u, s, vh)
    last, size = A.ndim - 1, s.shape[-1]
    u, more = split(u, (size, u.shape[-1] - size), last)
    vh, below = split(vh, (size, vh.shape[-2] - size), last - 1)
    u, s, vh = followed([u, s, vh], _svd_tangents, A)
    return Singular(concatenate([u, more], last), s, concatenate([vh, below], last - 1))


def svdvals(A: Any) -> Any:
    """The singular values of matrices, the largest first."""
    return svd(A, full_matrices=False).S
