"""Elements in another place or shape, taken from a diagonal or repeated, where the meaning is PyTorch's own."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.graph.node import GraphError, Node, apply, constant
from ranvier.ops import arrays as n
from ranvier.ops import indexing, shape_methods
from ranvier.ops.arrays import shape as movement
from ranvier.ops.arrays.promotion import axis_of
from ranvier.ops.torch.device import check_device
from ranvier.ops.torch.dtypes import dtype_name
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor


def broadcast_to(input: Any, size: Sequence[int]) -> Any:
    """``input`` repeated to a shape, in which -1 keeps an extent."""
    return input.expand(*size)


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """All repeated to the one shape that they have together."""
    shape = n.broadcast_shape(*(t.shape for t in tensors))
    return tuple(n.broadcast_to(t, shape) for t in tensors)


def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """``length`` slices along ``dim`` from ``start`` on. Raises IndexError for more than there are."""
    axis = axis_of(dim, input.ndim)
    if getattr(start, "ndim", 0):
        raise ValueError(f"a start of shape {start.shape}. Write a number, or a tensor without dimensions, instead.")
    extent = input.shape[axis]
    first = int(start) + (extent if start < 0 else 0)
    if not 0 <= first <= first + length <= extent:
        raise IndexError(f"{length} slices from {start} on of {extent}. Write fewer, or an earlier start.")
    return input[(*(slice(None),) * axis, slice(first, first + length))]


def select(input: Any, dim: int, index: int) -> Any:
    """The slice along ``dim`` at one index."""
    return input[(*(slice(None),) * axis_of(dim, input.ndim), int(index))]


def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """One dimension made several, one of which may be -1."""
    axis = axis_of(dim, input.ndim)
    known = math.prod(s for s in sizes if s != -1)
    whole = [input.shape[axis] // known if s == -1 else s for s in sizes]
    return n.reshape(input, (*input.shape[:axis], *whole, *input.shape[axis + 1 :]))


@function
def _windows(x: Node, axis: int, size: int, step: int) -> Node:
    """Windows along an axis, whose elements are in a new last axis."""
    found = apply("windows", x, axes=((axis, size, step, 1),))
    return movement.moveaxis(found, axis + 1, -1)


def unfold(self: Tensor, dimension: int, size: int, step: int) -> Any:
    """Windows along a dimension, each ``step`` after the one before; their elements are a new last dimension."""
    axis = axis_of(dimension, self.ndim)
    if size > self.shape[axis] or step < 1:
        raise RuntimeError(f"windows of {size} by steps of {step} do not fit {self.shape[axis]} slices.")
    return _windows(self, axis, size, step)


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The axes from ``start_dim`` to ``end_dim`` made one; the tensor itself where they are one axis."""
    if isinstance(input, Tensor):
        axes = len(input.spec.shape)
        if -axes <= start_dim < axes and -axes <= end_dim < axes and (start_dim - end_dim) % axes == 0:
            return input
    return n.flatten(input, start_dim, end_dim)


@function
def t(input: Node) -> Node:
    """A matrix transposed; vectors and numbers as they are."""
    if input.ndim > 2:
        raise GraphError(f"t of {input.shape}: write transpose(0, 1), or mT for each matrix")
    return n.transpose(input)


def tile(input: Any, dims: Sequence[int]) -> Any:
    """``input`` repeated along its last dimensions."""
    return shape_methods.tiled(input, tuple(dims))


def repeat_interleave(input: Any, repeats: Any, dim: int | None = None, *, output_size: int | None = None) -> Any:
    """Each slice along ``dim`` that many times, one after the other; ``repeats`` may be a tensor, one for each."""
    x = n.reshape(input, (-1,)) if dim is None else input
    axis = axis_of(0 if dim is None else dim, x.ndim)
    if not isinstance(repeats, int):
        counts = repeats.compute() if isinstance(repeats, Tensor) else np.asarray(repeats)
        rows = np.repeat(np.arange(x.shape[axis], dtype=np.int32), counts)
        return indexing.index_select(x, axis, Tensor.wrap(rows))
    shape = x.shape
    apart = n.expand_dims(x, axis + 1)
    wide = n.broadcast_to(apart, (*shape[: axis + 1], repeats, *shape[axis + 1 :]))
    return n.reshape(wide, (*shape[:axis], shape[axis] * repeats, *shape[axis + 1 :]))


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """The coordinates of a grid: vectors each repeated along the others; "xy" exchanges the first two dimensions."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    if indexing not in ("ij", "xy"):
        raise ValueError(f"indexing={indexing!r}. Write 'ij' or 'xy' instead.")
    shape = tuple(t.numel() for t in given)
    grids = [
        n.broadcast_to(n.reshape(t, tuple(-1 if i == k else 1 for i in range(len(given)))), shape)
        for k, t in enumerate(given)
    ]
    swap = indexing == "xy" and len(given) > 1
    return tuple(n.swapaxes(g, 0, 1) for g in grids) if swap else tuple(grids)


def _triangle(name: str, places: Any, where: str) -> Any:
    def function(
        row: int, col: int, offset: int = 0, *, dtype: Any = "int64", device: Any = None, layout: Any = None
    ) -> Tensor:
        check_device(device)
        return Tensor(np.stack(places(row, offset, col)), dtype=dtype_name(dtype))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The indices of the elements on and {where} a diagonal: (2, elements), int64."
    return function


tril_indices = _triangle("tril_indices", np.tril_indices, "below")
triu_indices = _triangle("triu_indices", np.triu_indices, "above")


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that tensors of these shapes have together; a number is a shape of one dimension."""
    return n.broadcast_shape(*((s,) if isinstance(s, int) else tuple(s) for s in shapes))


def column_stack(tensors: Sequence[Any]) -> Any:
    """Columns beside each other; vectors are columns."""
    return n.concatenate([n.reshape(t, (-1, 1)) if t.ndim < 2 else t for t in tensors], 1)


def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """That many parts along ``dim``, the first ones larger by 1 where it does not divide; or parts between indices."""
    extent, given = input.shape[axis_of(dim, input.ndim)], indices_or_sections
    given = given.tolist() if isinstance(given, Tensor) else given
    if isinstance(given, int):
        if given < 1:
            raise ValueError(f"{given} parts along dimension {dim}. Write 1 or more instead.")
        size, more = divmod(extent, given)
        ends = [size * i + min(i, more) for i in range(given + 1)]
    else:
        ends = [0, *(min(max(i + extent if i < 0 else i, 0), extent) for i in given), extent]
    return tuple(input.narrow(dim, a, max(b - a, 0)) for a, b in itertools.pairwise(ends))


@function
def _on_diagonal(x: Node, offset: int) -> Node:
    """(..., n) on a diagonal of matrices (..., n + abs(offset), n + abs(offset))."""
    extent, after = x.shape[-1], abs(offset)
    row, column = (apply("iota", shape=(extent, extent), axis=axis, dtype="int32") for axis in (0, 1))
    diagonal = n.equal(row, column)
    square = n.where(diagonal, n.expand_dims(x, -1), constant(0, x.dtype))
    before = ((0, after), (after, 0)) if offset >= 0 else ((after, 0), (0, after))
    return n.pad(square, (*((0, 0),) * (x.ndim - 1), *before))


def block_diag(*tensors: Any) -> Any:
    """Matrices on the diagonal of one, and 0 elsewhere; vectors and numbers are rows."""
    parts = [t if t.ndim == 2 else n.reshape(t, (1, -1)) for t in tensors]
    width, before, rows = sum(part.shape[1] for part in parts), 0, []
    for part in parts:
        after = width - before - part.shape[1]
        rows.append(n.pad(part, ((0, 0), (before, after))))
        before += part.shape[1]
    return n.concatenate(rows, 0)


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices along ``dim1`` and ``dim2`` with the last dimension of ``input`` on a diagonal, and 0 elsewhere."""
    return movement.moveaxis(_on_diagonal(input, offset), (-2, -1), (dim1, dim2))


def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """The combinations of ``r`` elements of a vector, in rows: (combinations, r)."""
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = np.array(list(choose(range(input.shape[0]), r)), np.int32).reshape(-1, r)
    return input[places]


def cartesian_prod(*tensors: Any) -> Any:
    """All choices of one element from each vector, in rows; of one vector itself."""
    if len(tensors) == 1:
        return tensors[0]
    grids = meshgrid(*tensors, indexing="ij")
    return n.stack([n.reshape(grid, (-1,)) for grid in grids], 1)


def vstack(tensors: Sequence[Any]) -> Any:
    """Rows below each other; vectors are rows."""
    return n.concatenate([n.reshape(t, (1, -1)) if t.ndim < 2 else t for t in tensors], 0)


def hstack(tensors: Sequence[Any]) -> Any:
    """Tensors beside each other, along the second dimension; vectors one after the other."""
    rows = [n.reshape(t, (1,)) if not t.ndim else t for t in tensors]
    return n.concatenate(rows, 0 if not rows or rows[0].ndim < 2 else 1)


def _at_least(dimensions: int, place: Any) -> Any:
    def function(*tensors: Any) -> Any:
        given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
        found = tuple(n.reshape(t, place(t.shape)) if t.ndim < dimensions else t for t in given)
        return found[0] if given is tensors and len(tensors) == 1 else found

    function.__name__ = function.__qualname__ = f"atleast_{dimensions}d"
    function.__doc__ = f"A tensor, or each of several, with {dimensions} dimensions or more; new ones have one element."
    return function


atleast_1d = _at_least(1, lambda shape: (1,))
atleast_2d = _at_least(2, lambda shape: (1, *(shape or (1,))))
atleast_3d = _at_least(3, lambda shape: (*((1,) * (2 - len(shape)) if len(shape) < 2 else ()), *shape, 1))
