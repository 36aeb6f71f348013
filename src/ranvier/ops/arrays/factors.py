"""Factors with pivots, and what is made of them; orthogonal matrices from Householder's reflections.

NumPy and plain loops evaluate the factors at once, and gradients go through them (`decompositions`).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ranvier.graph.node import Node, apply
from ranvier.ops.arrays import decompositions as d
from ranvier.ops.arrays import elementwise as n
from ranvier.ops.arrays.linalg import tril, triu
from ranvier.ops.arrays.products import matmul
from ranvier.ops.arrays.promotion import axis_of
from ranvier.ops.arrays.shape import concatenate, expand_dims, reshape, squeeze, swapaxes, transpose
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor, numbers_of


class PLU(NamedTuple):
    """What `lu` returns: ``A = P @ L @ U``."""

    P: Any
    L: Any
    U: Any


class PackedLU(NamedTuple):
    """What `lu_factor` returns."""

    LU: Any
    pivots: Any


class PackedLUInfo(NamedTuple):
    """What `lu_factor_ex` returns."""

    LU: Any
    pivots: Any
    info: Any


def _eliminated(A: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both factors in one matrix (the ones of L left out), and the row that changes places with each row, from 0 on.

    Partial pivoting (Golub and Van Loan, 3.4.1): the largest element of a column, the first of equal ones.
    """
    packed = np.array(A, copy=True)
    batch, (rows, columns) = packed.shape[:-2], packed.shape[-2:]
    flat = packed.reshape(math.prod(batch), rows, columns)
    pivots = np.empty((len(flat), min(rows, columns)), np.int32)
    every = np.arange(len(flat))
    for k in range(min(rows, columns)):
        chosen = k + np.abs(flat[:, k:, k]).argmax(-1)
        pivots[:, k] = chosen
        held = flat[every, chosen].copy()
        flat[every, chosen], flat[:, k] = flat[:, k].copy(), held
        pivot, below = flat[:, k, k, None], flat[:, k + 1 :, k]
        with np.errstate(all="ignore"):  # elements that are not finite make others so
            below[:] = np.divide(below, pivot, out=below.copy(), where=pivot != 0)
            flat[:, k + 1 :, k + 1 :] -= below[..., None] * flat[:, None, k, k + 1 :]
    return packed, pivots.reshape(*batch, pivots.shape[-1])


def _order(pivots: np.ndarray, rows: int) -> np.ndarray:
    """The row of A that is at each row of ``L @ U``."""
    flat = pivots.reshape(math.prod(pivots.shape[:-1]), pivots.shape[-1])
    order = np.tile(np.arange(rows), (len(flat), 1))
    every = np.arange(len(flat))
    for k in range(flat.shape[-1]):
        held = order[every, flat[:, k]].copy()
        order[every, flat[:, k]], order[:, k] = order[:, k].copy(), held
    return order.reshape(*pivots.shape[:-1], rows)


def _permutation(pivots: np.ndarray, rows: int, dtype: str) -> Tensor:
    return Tensor(np.swapaxes(np.eye(rows)[_order(pivots, rows)], -1, -2), dtype=dtype)


def _lower(packed: Any) -> Any:
    size = min(packed.shape[-2:])
    return n.add(tril(packed[..., :, :size], -1), Tensor(np.eye(packed.shape[-2], size), dtype=packed.dtype))


def _upper(packed: Any) -> Any:
    return triu(packed[..., : min(packed.shape[-2:]), :], 0)


def _factors(A: Any) -> tuple[Any, Any, np.ndarray]:
    if A.ndim < 2:
        raise RuntimeError(f"the factors L and U of shape {A.shape}. Write matrices, (..., m, n), instead.")
    array, pivots = _eliminated(d.evaluated("lu", np.asarray, A))
    packed = Tensor(array, dtype=A.dtype)
    L, U = _lower(packed), _upper(packed)
    if not d.wanted(A):
        return L, U, pivots
    rows, columns = A.shape[-2:]
    size = min(rows, columns)
    turned = swapaxes(_permutation(pivots, rows, A.dtype), -1, -2)
    moved = matmul(turned, A)
    square = moved[..., :size, :size]
    L, U = _square(L[..., :size, :], U[..., :, :size], square)
    if rows > columns:  # the first rows are square, and the others follow from them
        L = concatenate([L, matmul(moved[..., size:, :], d.inv(U))], A.ndim - 2)
    elif columns > rows:
        U = concatenate([U, matmul(d.inv(L), moved[..., :, size:])], A.ndim - 1)
    return L, U, pivots


def _square(L: Any, U: Any, A: Any) -> list[Any]:
    """The factors of square matrices without pivots, as functions of them."""

    def tangents(results: Any, changes: Any) -> Any:
        lower, upper, left, right = results
        inner = matmul(left, matmul(changes[0], right))
        more, beyond = matmul(lower, tril(inner, -1)), matmul(triu(inner, 0), upper)
        return [
            more,
            beyond,
            n.negative(matmul(left, matmul(more, left))),
            n.negative(matmul(right, matmul(beyond, right))),
        ]

    values = [L.detach(), U.detach()]
    inverses = [d.held(d.evaluated("lu", np.linalg.inv, v)) for v in values]
    return d.followed([*values, *inverses], tangents, A)[:2]


def lu(A: Any, *, pivot: bool = True) -> PLU:
    """The permutation P, the lower triangular L with ones and the upper triangular U of ``A = P @ L @ U``.

    Raises RuntimeError for ``pivot=False``.
    """
    _check_pivot(pivot)
    L, U, pivots = _factors(A)
    return PLU(_permutation(pivots, A.shape[-2], A.dtype), L, U)


def _check_pivot(pivot: bool) -> None:
    if not pivot:
        raise RuntimeError("factors without pivots are not computed on a CPU. Leave pivot=False out.")


def _zeros(x: Any) -> Tensor:
    return Tensor(np.zeros(x.shape), dtype=x.dtype)


def packed_lu(A: Any) -> PackedLU:
    """`lu_factor`, also of singular matrices."""
    L, U, pivots = _factors(A)
    size = min(A.shape[-2:])
    below, above = tril(L, -1), triu(U, 0)
    if A.shape[-2] > size:
        above = concatenate([above, _zeros(L[..., size:, :])], A.ndim - 2)
    elif A.shape[-1] > size:
        below = concatenate([below, _zeros(U[..., :, size:])], A.ndim - 1)
    return PackedLU(n.add(below, above), Tensor(pivots + 1, dtype="int32"))


def lu_factor(A: Any, *, pivot: bool = True) -> PackedLU:
    """L and U in one (the ones of L left out), and the row, from 1 on, that each row changes places with.

    Raises LinAlgError for singular matrices, which `lu` and `lu_factor_ex` take.
    """
    packed, pivots, _ = lu_factor_ex(A, pivot=pivot, check_errors=True)
    return PackedLU(packed, pivots)


def lu_factor_ex(A: Any, *, pivot: bool = True, check_errors: bool = False) -> PackedLUInfo:
    """`lu_factor`, and of each matrix the first column without a pivot, from 1 on, or 0."""
    _check_pivot(pivot)
    packed, pivots = packed_lu(A)
    info = _first(np.diagonal(numbers_of(packed), axis1=-2, axis2=-1) == 0)
    if check_errors and info.any():
        column = info[info > 0].flat[0]
        raise d.LinAlgError(
            f"linalg.lu_factor: U[{column}, {column}] (from 1 on) is 0: the matrix is singular. Write linalg.lu or "
            "linalg.lu_factor_ex to get its factors."
        )
    return PackedLUInfo(packed, pivots, Tensor(info, dtype="int32"))


def lu_unpack(LU_data: Any, LU_pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True) -> PLU:
    """P, L and U of what `lu_factor` gives; what is not unpacked is empty."""
    none = Tensor(np.empty(0), dtype=LU_data.dtype)
    rows = LU_data.shape[-2]
    P = _permutation(numbers_of(LU_pivots) - 1, rows, LU_data.dtype) if unpack_pivots else none
    return PLU(P, _lower(LU_data), _upper(LU_data)) if unpack_data else PLU(P, none, none)


def lu_solve(LU: Any, pivots: Any, B: Any, *, left: bool = True, adjoint: bool = False) -> Any:
    """The X of ``A @ X = B``, or ``X @ A = B`` unless ``left``, by `lu_factor`; of A turned if ``adjoint``."""
    P, L, U = lu_unpack(LU, pivots)
    whole = matmul(P, matmul(L, U))
    whole = swapaxes(whole, -1, -2) if adjoint == left else whole
    return d.solve(whole, B) if left else swapaxes(d.solve(whole, swapaxes(B, -1, -2)), -1, -2)


def solve_packed(b: Any, LU_data: Any, LU_pivots: Any) -> Any:
    """`lu_solve` as ``torch.lu_solve``."""
    return lu_solve(LU_data, LU_pivots, b)


# --- with a word about failure ------------------------------------------------------------------------------------


class ResultInfo(NamedTuple):
    """A result, and of each matrix 0, or the place at which it has none."""

    result: Any
    info: Any


class InverseInfo(NamedTuple):
    """What `inv_ex` returns."""

    inverse: Any
    info: Any


class CholeskyInfo(NamedTuple):
    """What `cholesky_ex` returns."""

    L: Any
    info: Any


def _places(A: Any, fails: Any) -> np.ndarray:
    """Of each matrix the least size of its first rows and columns that fail, or 0."""
    array = numbers_of(A)
    flat = array.reshape(math.prod(array.shape[:-2]), *array.shape[-2:])
    found = [next((k for k in range(1, len(m) + 1) if fails(m[:k, :k])), 0) if fails(m) else 0 for m in flat]
    return np.asarray(found, np.int32).reshape(array.shape[:-2])


def _has_no_root(m: np.ndarray) -> bool:
    try:
        np.linalg.cholesky(m)
    except np.linalg.LinAlgError:
        return True
    return False


def _guarded(name: str, A: Any, info: np.ndarray, check_errors: bool) -> Any:
    """The matrices, with that of ones on the diagonal in place of those that fail."""
    if not info.any():
        return A
    if check_errors:
        raise d.LinAlgError(
            f"linalg.{name}: a matrix fails at row {info.max()}. Write check_errors=False to get where."
        )
    return n.where(Tensor((info > 0)[..., None, None]), Tensor(np.eye(A.shape[-1]), dtype=A.dtype), A)


def _singular(A: Any) -> np.ndarray:
    packed, _ = _eliminated(numbers_of(A))
    zero = np.diagonal(packed, axis1=-2, axis2=-1) == 0
    return _first(zero)


def _first(holds: np.ndarray) -> np.ndarray:
    """The first place of each row at which it holds, from 1 on, or 0."""
    places = np.where(holds, np.arange(1, holds.shape[-1] + 1), holds.shape[-1] + 1).min(
        -1, initial=holds.shape[-1] + 1
    )
    return np.where(holds.any(-1), places, 0).astype(np.int32)


def _known(value: Any, info: np.ndarray) -> Any:
    return n.where(Tensor((info > 0)[..., None, None]), np.nan, value) if info.any() else value


def inv_ex(A: Any, *, check_errors: bool = False) -> InverseInfo:
    """The inverses, nan of singular matrices, and of each the first column without a pivot, from 1 on, or 0."""
    info = _singular(A)
    return InverseInfo(_known(d.inv(_guarded("inv_ex", A, info, check_errors)), info), Tensor(info, dtype="int32"))


def solve_ex(A: Any, B: Any, *, left: bool = True, check_errors: bool = False) -> ResultInfo:
    """The X of ``A @ X = B`` (``X @ A = B`` unless ``left``), nan where A is singular, and where, as `inv_ex`."""
    info = _singular(A)
    matrix = _guarded("solve_ex", A, info, check_errors)
    if left:
        found = d.solve(matrix, B)
    else:
        found = swapaxes(d.solve(swapaxes(matrix, -1, -2), swapaxes(B, -1, -2)), -1, -2)
    return ResultInfo(_known(found, info), Tensor(info, dtype="int32"))


def cholesky_ex(A: Any, *, upper: bool = False, check_errors: bool = False) -> CholeskyInfo:
    """The triangular factors, nan of matrices without one, and of each the least size of its first rows and columns
    that are not positive definite, or 0.
    """
    info = _places(A, _has_no_root)
    found = d.cholesky(_guarded("cholesky_ex", A, info, check_errors), upper)
    return CholeskyInfo(_known(found, info), Tensor(info, dtype="int32"))


# --- tensors as matrices, and reflections -------------------------------------------------------------------------


def tensorinv(A: Any, ind: int = 2) -> Any:
    """The inverse of a tensor as a matrix whose rows are the first ``ind`` dimensions: (*last dimensions, *first)."""
    first, last = A.shape[:ind], A.shape[ind:]
    size = int(np.prod(first))
    if ind < 1 or size != int(np.prod(last)):
        raise RuntimeError(f"tensorinv of shape {A.shape} with ind={ind}: {first} and {last} need as many elements.")
    return reshape(d.inv(reshape(A, (size, size))), (*last, *first))


def tensorsolve(A: Any, B: Any, dims: Any = None) -> Any:
    """The X whose product with A over its last dimensions is B; ``dims`` of A move to its end first."""
    if dims is not None:
        chosen = [axis_of(dim, A.ndim) for dim in dims]
        A = transpose(A, (*(i for i in range(A.ndim) if i not in chosen), *chosen))
    rest, size = A.shape[B.ndim :], int(np.prod(B.shape))
    if int(np.prod(rest)) != size:
        raise RuntimeError(
            f"tensorsolve of shapes {A.shape} and {B.shape}. Write A with {size} elements in its last dimensions."
        )
    return reshape(d.solve(reshape(A, (size, size)), reshape(B, (size, 1))), rest)


class Reflections(NamedTuple):
    """What `geqrf` returns."""

    a: Any
    tau: Any


def geqrf(input: Any) -> Reflections:
    """R, with the vectors of Householder's reflections below its diagonal, and their factors; without gradient."""
    found = d.evaluated("geqrf", np.linalg.qr, input, mode="raw")
    return Reflections(Tensor(np.ascontiguousarray(np.swapaxes(found[0], -1, -2)), dtype=input.dtype), d.held(found[1]))


def _reflected(A: Any, tau: Any, x: Any, order: Any) -> Any:
    """``x`` after the reflections ``I - tau[i] * v @ v.T``, of which v is 0, 1 and then column i of A."""
    vectors = n.add(tril(A, -1), Tensor(np.eye(*A.shape[-2:]), dtype=A.dtype))
    for i in order:
        v = expand_dims(vectors[..., :, i], -1)
        x = n.subtract(x, n.multiply(tau[..., i : i + 1, None], matmul(v, matmul(swapaxes(v, -1, -2), x))))
    return x


def householder_product(A: Any, tau: Any) -> Any:
    """The first columns of the product of the reflections that `geqrf` gives: Q of A."""
    return _reflected(A, tau, _columns(A, tau), range(tau.shape[-1] - 1, -1, -1))


@function
def _columns(A: Node, tau: Node) -> Node:
    """The first columns of the identity in the shape of A: without reflections a result that has gradients, of 0."""
    del tau
    rows, columns = (apply("iota", shape=A.shape, axis=axis, dtype="int32") for axis in (A.ndim - 2, A.ndim - 1))
    return n.cast(n.equal(rows, columns), A.dtype)


def ormqr(input: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False) -> Any:
    """The product ``Q @ other``, or ``other @ Q``, of the whole Q that `geqrf` describes, or of Q transposed."""
    if not left:
        return swapaxes(ormqr(input, tau, swapaxes(other, -1, -2), True, not transpose), -1, -2)
    steps = range(tau.shape[-1])
    return _reflected(input, tau, other, steps if transpose else reversed(steps))


def vectors_solved(solve: Any, a: Any, b: Any) -> Any:
    """What ``solve`` gives for matrices, also of vectors b: (..., m, m) and (..., m) or (..., m, k)."""
    return squeeze(solve(a, expand_dims(b, -1)), -1) if b.ndim == a.ndim - 1 else solve(a, b)
