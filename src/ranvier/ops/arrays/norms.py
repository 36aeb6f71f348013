"""Norms of matrices, and which norm is meant where vectors and matrices share a function."""

from __future__ import annotations

import math
from typing import Any

from ranvier.ops.arrays import reductions
from ranvier.ops.arrays import shape as shapes
from ranvier.ops.arrays.decompositions import svdvals
from ranvier.ops.arrays.promotion import axis_of

SUMS = (1, -1, math.inf, -math.inf)  # the largest or smallest sum of sizes of a column, or of a row
SINGULAR = {2: reductions.max, -2: reductions.min, "nuc": reductions.sum}  # the reduction of the singular values


def matrix_norm(x: Any, ord: Any = "fro", axes: Any = (-2, -1), keepdims: bool = False) -> Any:
    """The norm of matrices in two axes: "fro", the root of the sum of squares; 1 and -1, the largest and the smallest
    sum of sizes of a column, inf and -inf of a row; 2, -2 and "nuc", the largest singular value, the smallest and their
    sum, which are evaluated at once.

    Raises ValueError for another ``ord``.
    """
    rows, columns = (axis_of(a, x.ndim) for a in axes)
    if rows == columns:
        raise ValueError(f"a matrix has two axes, and here are {tuple(axes)}. Write two that differ instead.")
    if ord in ("fro", None):
        return reductions.norm(x, (rows, columns), keepdims)
    if ord in SUMS:
        inner, outer = (rows, columns) if abs(ord) == 1 else (columns, rows)
        result = (reductions.max if ord > 0 else reductions.min)(reductions.norm(x, inner, True, 1), outer, True)
    elif ord in SINGULAR:
        others = [i for i in range(x.ndim) if i not in (rows, columns)]
        values = svdvals(shapes.transpose(x, (*others, rows, columns)))
        shape = tuple(1 if i in (rows, columns) else d for i, d in enumerate(x.shape))
        result = shapes.reshape(SINGULAR[ord](values, -1), shape)
    else:
        raise ValueError(f"ord={ord!r} of a matrix. Write 'fro', 'nuc', 1, -1, 2, -2, inf or -inf instead.")
    return result if keepdims else shapes.squeeze(result, (rows, columns))


def norm_of(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """NumPy's rule: the norm of vectors along one axis, of matrices in two; without axes the length of all elements, or
    with ``ord`` the norm of a vector or a matrix.

    Raises ValueError for another number of axes, and for an ``ord`` that vectors do not have.
    """
    if axis is None and ord is None:
        return reductions.norm(x, None, keepdims)
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    if len(axes) == 2:
        return matrix_norm(x, ord, axes, keepdims)
    if len(axes) != 1 or isinstance(ord, str):
        raise ValueError(
            f"ord={ord!r} of {len(axes)} axes of a tensor of shape {tuple(x.shape)}. Write a number for ord and one "
            "axis (axis=, dim=), or two axes for the norm of matrices, instead."
        )
    return reductions.norm(x, tuple(axes), keepdims, 2 if ord is None else ord)
