"""Operations on matrices, decompositions too, and on grids, and those that join, roll and choose by index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier.ops import arrays
from ranvier.ops.arrays import decompositions, factors, linalg
from ranvier.ops.arrays.promotion import axis_of
from ranvier.ops.computed_indices import along
from ranvier.ops.keras.arrays import split
from ranvier.ops.keras.elementwise import Operand, dtype_name
from ranvier.support.tree import map_together
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import state


def hstack(xs: Sequence[Operand]) -> Any:
    """Joined along the second axis; vectors along their only one."""
    return arrays.concatenate(list(xs), 0 if np.ndim(xs[0]) < 2 else 1)


def vstack(xs: Sequence[Operand]) -> Any:
    """Joined along the first axis; vectors are rows."""
    return arrays.concatenate([arrays.reshape(x, (1, -1)) if np.ndim(x) < 2 else x for x in xs], 0)


def dstack(xs: Sequence[Operand]) -> Any:
    """Joined along the third axis; vectors are rows, and matrices have one of extent 1."""
    wide = [arrays.reshape(x, (1, -1)) if np.ndim(x) < 2 else x for x in xs]
    return arrays.concatenate([arrays.expand_dims(x, 2) if x.ndim < 3 else x for x in wide], 2)


def append(x1: Operand, x2: Operand, axis: int | None = None) -> Any:
    """Joined along an axis, or all elements of both in one."""
    parts = [x if isinstance(x, Tensor) else Tensor(x) for x in (x1, x2)]
    if axis is None:
        parts = [arrays.reshape(x, (-1,)) for x in parts]
    return arrays.concatenate(parts, axis or 0)


def array_split(x: Operand, indices_or_sections: Any, axis: int = 0) -> Any:
    """So many parts along an axis, the first ones larger by 1 where it does not divide; or parts between indices."""
    extent, sections = x.shape[axis_of(axis, x.ndim)], indices_or_sections
    if not np.ndim(sections):
        size, more = divmod(extent, sections)
        sections = [size * i + min(i, more) for i in range(1, sections)]
    return split(x, sections, axis)


def hsplit(x: Operand, indices_or_sections: Any) -> Any:
    """`split` along the second axis, of vectors along their only one."""
    return split(x, indices_or_sections, 0 if x.ndim < 2 else 1)


def vsplit(x: Operand, indices_or_sections: Any) -> Any:
    """`split` along the first axis."""
    return split(x, indices_or_sections, 0)


def dsplit(x: Operand, indices_or_sections: Any) -> Any:
    """`split` along the third axis."""
    return split(x, indices_or_sections, 2)


def diagflat(x: Operand, k: int = 0) -> Any:
    """A matrix with all elements on a diagonal and 0 elsewhere."""
    return linalg.diag(arrays.reshape(x, (-1,)), k)


def select(condlist: Sequence[Operand], choicelist: Sequence[Operand], default: Operand = 0) -> Any:
    """The choice of the first condition that holds, and ``default`` where none does."""
    if len(condlist) != len(choicelist):
        raise ValueError(
            f"ops.select of {len(condlist)} conditions and {len(choicelist)} choices. Write one of each instead."
        )
    chosen = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        chosen = arrays.where(condition, choice, chosen)
    return chosen


def take_along_axis(x: Operand, indices: Operand, axis: int | None = None) -> Any:
    """Of each row along an axis the elements at its own whole numbers; without an axis, of the flat tensor."""
    if axis is None:
        x, axis = arrays.reshape(x, (-1,)), 0
    return along(x, indices, axis_of(axis, x.ndim))


def slice(inputs: Operand, start_indices: Sequence[int], shape: Sequence[int]) -> Any:
    """A block of this shape that begins at these indices; a size of -1 is the rest of its axis.

    Raises ValueError for a block that is not within ``inputs``.
    """
    starts, sizes, extents = tuple(map(int, start_indices)), tuple(map(int, shape)), tuple(inputs.shape)
    if not len(starts) == len(sizes) == len(extents):
        raise ValueError(
            f"ops.slice of {extents} at {starts} of shape {sizes}. Write a start and a size for each axis instead."
        )
    items: list[Any] = []
    for start, size, extent in zip(starts, sizes, extents, strict=True):
        rest = size == -1
        if not isinstance(extent, int):
            inside = start == 0 and rest
        else:
            inside = 0 <= start <= extent and (rest or 0 <= size <= extent - start)
        if not inside:
            raise ValueError(
                f"ops.slice of {extents} at {starts} of shape {sizes} is not within it. Write starts from 0 on and "
                "sizes that end within the axes, or -1 for the rest, instead."
            )
        items.append(("slice", start, None if rest else start + size, 1))
    return arrays.index_basic(inputs, tuple(items))


def meshgrid(*x: Any, indexing: str = "xy") -> list[Any]:
    """The coordinates of a grid: vectors each repeated along the others; "ij" keeps their order of axes."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"indexing={indexing!r}. Write 'xy' or 'ij' instead.")
    vectors = [arrays.reshape(v if isinstance(v, Tensor) else Tensor(v), (-1,)) for v in x]
    shape = tuple(v.shape[0] for v in vectors)
    grids = [
        arrays.broadcast_to(arrays.reshape(v, tuple(-1 if i == k else 1 for i in range(len(shape)))), shape)
        for k, v in enumerate(vectors)
    ]
    return [arrays.swapaxes(g, 0, 1) for g in grids] if indexing == "xy" and len(grids) > 1 else grids


def identity(n: int, dtype: Any = None) -> Tensor:
    """Ones on the diagonal of a square."""
    return Tensor(np.eye(n, dtype=dtype_name(dtype)))


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """The result of ``true_fn`` where ``pred`` holds, else of ``false_fn``.

    A compiled model computes both and selects one, so their results need equal shapes.
    """
    if isinstance(pred, Tensor) and state.tracing:
        return choose(pred, true_fn(), false_fn())
    return true_fn() if bool(np.asarray(pred)) else false_fn()


def choose(pred: Tensor, yes: Any, no: Any) -> Any:
    """Of each part of two results the one or the other."""
    return map_together((yes, no), lambda a, b: arrays.where(pred, a, b))


def qr(x: Any, mode: str = "reduced") -> Any:
    """Orthonormal columns Q and upper triangular R of ``x = Q @ R``. NumPy evaluates it at once."""
    return decompositions.qr(x, mode=mode)


def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """U, S and V of ``x = U @ diag(S) @ V``, or S alone. NumPy evaluates it at once."""
    found = decompositions.svd(x, full_matrices)
    return found if compute_uv else found[1]


def pinv(x: Any, rcond: Any = None) -> Any:
    """The pseudoinverses of matrices; singular values up to ``rcond`` of the largest count as 0. Evaluated at once."""
    return decompositions.pinv(x, rtol=rcond)


def matrix_rank(x: Any, tol: Any = None) -> Any:
    """How many singular values are above ``tol``, by default above rounding; int32. NumPy evaluates it at once."""
    return arrays.cast(decompositions.matrix_rank(x, atol=tol), "int32")


def logdet(x: Any) -> Any:
    """The logarithm of a determinant; nan if it is negative. NumPy evaluates it at once."""
    return decompositions.slogdet(x)[1]


def lu_factor(x: Any) -> Any:
    """L and U of matrices in one, and the row, from 0 on, that each row changes places with. Evaluated at once."""
    packed, pivots = factors.packed_lu(x if isinstance(x, Tensor) else Tensor(x))
    return packed, arrays.subtract(pivots, 1)


def solve_triangular(a: Any, b: Any, lower: bool = False) -> Any:
    """The x of ``a @ x = b`` of which ``a`` is triangular; ``b`` may be vectors. NumPy evaluates it at once."""
    matrix = linalg.tril(a, 0) if lower else linalg.triu(a, 0)
    return factors.vectors_solved(decompositions.solve, matrix, b)


def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """The x of least ``norm(a @ x - b)``, of several the shortest. Singular values up to ``rcond`` times the largest
    count as 0. NumPy evaluates it at once.
    """
    return arrays.matmul(decompositions.pinv(a, rtol=rcond), b)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:  # Keras's names
    """Ones on and below a diagonal, 0 above."""
    return Tensor(np.tri(N, M, k), dtype=dtype_name(dtype))
