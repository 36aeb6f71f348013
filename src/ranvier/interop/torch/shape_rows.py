"""Operators that move elements: shapes, parts, indices, and those that make tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier.graph.node import BATCH, Node, apply
from ranvier.interop import merged
from ranvier.interop.foreign import ANY_BATCH, FAR, UnsupportedError
from ranvier.interop.merged import Merged
from ranvier.interop.torch.merged import RowNumbers, compute
from ranvier.interop.torch.table import row, sized, vocabulary_function
from ranvier.ops import arrays
from ranvier.ops.arrays.promotion import axis_of
from ranvier.ops.keras.placing import take_along_axis
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor


@row("sym_size", merged=True)
def sym_size(self: Any, dim: int) -> int:
    return merged.shape_of(self)[dim]


@row("sym_numel", "numel", merged=True)
def sym_numel(self: Any) -> int:
    total = 1
    for n in merged.shape_of(self):
        total *= n
    return total


@row("view.default", "reshape", "_unsafe_view", "view_copy", merged=True)
def view(self: Any, size: Any = (), shape: Any = None) -> Any:
    size = list(size if shape is None else shape)
    if merged.has_batch(self):
        return merged.reshape(self, size)
    return vocabulary_function("reshape")(self, tuple(size))


@row("view_as", "reshape_as", merged=True)
def view_as(self: Any, other: Any) -> Any:
    return view(self, merged.shape_of(other))


@row("flatten.using_ints", merged=True)
def flatten(self: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    if not merged.has_batch(self):
        return vocabulary_function("flatten")(self, start_dim, end_dim)
    shape = merged.shape_of(self)
    start, end = axis_of(start_dim, len(shape)), axis_of(end_dim, len(shape))
    size = 1
    for n in shape[start : end + 1]:
        size *= n
    return view(self, (*shape[:start], size, *shape[end + 1 :]))


@row("unflatten.int", merged=True)
def unflatten(self: Any, dim: int, sizes: Sequence[int]) -> Any:
    shape, sizes = merged.shape_of(self), list(sizes)
    dim = axis_of(dim, len(shape))
    if -1 in sizes:
        rest = 1
        for n in sizes:
            rest *= n if n != -1 else 1
        sizes[sizes.index(-1)] = shape[dim] // rest
    return view(self, (*shape[:dim], *sizes, *shape[dim + 1 :]))


@row("permute", "permute_copy", merged=True)
def permute(self: Any, dims: Sequence[int]) -> Any:
    if merged.has_batch(self):
        return merged.permute(self, dims)
    return vocabulary_function("permute")(self, tuple(dims))


@row("transpose.int", "swapaxes", "swapdims", merged=True)
def transpose(
    self: Any, dim0: int | None = None, dim1: int | None = None, axis0: int | None = None, axis1: int | None = None
) -> Any:
    a, b = (axis0, axis1) if dim0 is None else (dim0, dim1)
    if not merged.has_batch(self):
        return vocabulary_function("transpose")(self, a, b)
    order = list(range(self.ndim))
    order[a], order[b] = order[b], order[a]  # type: ignore[index]  # one pair is given
    return permute(self, order)


@row("t", "numpy_T", "mT", "adjoint", merged=True)
def matrix_transpose(self: Any) -> Any:
    return self if self.ndim < 2 else transpose(self, -2, -1)


@row("movedim", "moveaxis", merged=True)
def movedim(self: Any, source: Any, destination: Any) -> Any:
    if not merged.has_batch(self):
        return vocabulary_function("movedim")(self, source, destination)
    sources, places = ([v] if isinstance(v, int) else list(v) for v in (source, destination))
    sources, places = ([axis_of(dim, self.ndim) for dim in dims] for dims in (sources, places))
    order = [i for i in range(self.ndim) if i not in sources]
    for place, s in sorted(zip(places, sources, strict=True)):
        order.insert(place, s)
    return permute(self, order)


@row("unsqueeze", merged=True)
def unsqueeze(self: Any, dim: int) -> Any:
    if isinstance(self, RowNumbers):
        dim = axis_of(dim, self.ndim + 1)
        return RowNumbers(self.step, self.axis + (dim <= self.axis), self.ndim + 1)
    return merged.unsqueeze(self, dim) if merged.has_batch(self) else vocabulary_function("unsqueeze")(self, dim)


@row("squeeze", merged=True)
def squeeze(self: Any, dim: Any = None) -> Any:
    if isinstance(self, Merged):
        return merged.squeeze(self, [dim] if isinstance(dim, int) else dim)
    if dim is None:
        return vocabulary_function("squeeze")(self)
    return vocabulary_function("squeeze")(self, tuple(dim) if isinstance(dim, list) else dim)


@row("expand", "broadcast_to", "expand_copy", merged=True)
def expand(self: Any, size: Sequence[Any]) -> Any:
    if merged.has_batch(self) or any(n >= ANY_BATCH for n in size):
        return merged.broadcast(self, size)
    return vocabulary_function("expand", "method")(self, sized(list(size)))


@row("expand_as", merged=True)
def expand_as(self: Any, other: Any) -> Any:
    return expand(self, merged.shape_of(other))


@row("repeat", "tile", merged=True)
def repeat(self: Any, repeats: Any = None, dims: Any = None) -> Any:
    times = list(dims if repeats is None else repeats)
    if isinstance(self, Merged):
        if any(n != 1 for n in times):
            raise UnsupportedError("it repeats a tensor in which the batch is merged with another dimension")
        return self
    large = [i for i, n in enumerate(times) if n >= ANY_BATCH]
    if not large:
        return vocabulary_function("tile")(self, tuple(times))
    shape = [1] * (len(times) - self.ndim) + list(merged.shape_of(self))
    at = large[0]
    if shape[at] != 1:
        raise UnsupportedError("it repeats rows as often as the batch is large")
    rest = [1 if i == at else n for i, n in enumerate(times)]
    y = vocabulary_function("tile")(self, tuple(rest)) if any(n != 1 for n in rest) else self
    return expand(
        view(y, shape) if y.ndim < len(shape) else y, [times[at] if i == at else -1 for i in range(len(shape))]
    )


@row("slice", "slice_copy", merged=True)
def slice_(self: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Any:
    start = 0 if start is None else start
    size = self.shape[dim]
    whole = end is None or end >= FAR or (end >= ANY_BATCH and (not isinstance(size, int) or end >= size))
    if start == 0 and step == 1 and (whole or (isinstance(size, int) and end == size)):
        return self
    index = slice(start, None if whole else end, step)
    if isinstance(self, Merged):
        place = self.place(dim)
        return self.over(self.tensor[(*[slice(None)] * place, index)])
    return self[(*[slice(None)] * axis_of(dim, self.ndim), index)]


@row("select.int", "select_copy")
def select(self: Any, dim: int, index: Any) -> Any:
    if isinstance(index, Tensor):
        return vocabulary_function("index_select")(self, dim, index.reshape(1)).squeeze(dim)
    return self[(*[slice(None)] * axis_of(dim, self.ndim), index)]


@row("index.Tensor", "_unsafe_index", merged=True)
def index(self: Any, indices: Sequence[Any]) -> Any:
    places = [i for i, part in enumerate(indices) if part is not None]
    if isinstance(indices[0], RowNumbers):
        return _of_each_row(self, indices[0], indices[1:])
    if merged.has_merged([self, *indices]):
        return _of_merged(self, indices, places)
    if any(indices[i].dtype == "bool" for i in places):
        return self[tuple(slice(None) if i is None else i for i in indices)]
    x, flat, at = _flattened(self, indices, places)
    return _taken(x, flat, at)


def _taken(x: Any, index: Any, axis: int) -> Any:
    """The elements at an index along a dimension. Where the batch is first it stays there, as programs need it."""
    if not axis or BATCH not in x.shape or BATCH in index.shape:
        return arrays.take(x, index, axis)
    return _of_rows(x, index, axis=axis)


@function
def _of_rows(x: Node, index: Node, axis: int) -> Node:
    rows = arrays.transpose(x, (0, axis, *(i for i in range(1, x.ndim) if i != axis)))
    index = arrays.cast(index, "int64")
    index = arrays.where(arrays.less(index, 0), arrays.add(index, rows.shape[1]), index)
    wanted = arrays.broadcast_to(index, (x.shape[0], *index.shape))
    found = apply("gather", rows, wanted, batch=1)
    rest = range(1 + index.ndim, found.ndim)
    return arrays.transpose(found, (0, *rest[: axis - 1], *range(1, 1 + index.ndim), *rest[axis - 1 :]))


def _of_merged(x: Any, indices: Sequence[Any], places: Sequence[int]) -> Any:
    """The elements at one index, where that or the tensor has a dimension in which the batch is merged with others."""
    at, index = places[0], indices[places[0]]
    if len(places) > 1 or (isinstance(index, Merged) and (at or merged.has_batch(x))):
        raise UnsupportedError("the batch is merged with another dimension of what is indexed, or of an index")
    behind = x.ndim - 1 - at
    if isinstance(index, Merged):
        return index.over(arrays.take(x, index.tensor, at), index.behind + behind)
    grown = index.ndim - 1 if at > x.axis else 0
    return x.over(_taken(x.tensor, index, x.place(at)), x.behind + grown)


def _of_each_row(x: Any, rows: RowNumbers, indices: Sequence[Any]) -> Any:
    """The elements of each row of a batch at indices, which may be others in each row."""
    strange = not indices or any(i is None for i in indices) or merged.has_merged([x, *indices])
    if rows.step != 1 or strange or BATCH in x.shape[1:]:
        raise UnsupportedError("it is indexed by the numbers of the rows in another way than x[arange(rows), index]")
    x, flat, _ = _flattened(x, [None, *indices], range(1, len(indices) + 1))
    ndim = max(rows.ndim, flat.ndim)
    flat = view(flat, (*[1] * (ndim - flat.ndim), *merged.shape_of(flat)))
    at = ndim - rows.ndim + rows.axis
    if flat.shape[at] == 1:
        found = _taken(x, squeeze(flat, at), 1)
    else:
        flat, rest = movedim(flat, at, 0), merged.shape_of(x)[2:]
        wide = view(x, (*merged.shape_of(x)[:2], -1))
        found = take_along_axis(wide, view(flat, (ANY_BATCH, -1, 1)), 1)
        found = view(found, (*merged.shape_of(flat), *rest))
    return movedim(found, 0, at)


@row("gather")
def gather(self: Any, dim: int, index: Any, sparse_grad: bool = False) -> Any:
    dim = axis_of(dim, self.ndim)
    shapes = zip(self.shape, index.shape, strict=True)
    cut = [slice(None) if i == dim or had == n or n == BATCH else slice(0, n) for i, (had, n) in enumerate(shapes)]
    return take_along_axis(self[tuple(cut)], index, dim)


def _flattened(x: Any, indices: Sequence[Any], places: Sequence[int]) -> tuple[Any, Any, int]:
    """A tensor with the dimensions of several indices as one, the index into that, and its dimension."""
    sizes = [x.shape[i] for i in places]
    if not all(isinstance(n, int) for n in sizes):
        raise UnsupportedError("it is indexed by several tensors, one of them by rows of the batch")
    if list(places) != list(range(places[0], places[-1] + 1)):  # NumPy's rule: the result begins with that dimension
        x = permute(x, [*places, *(i for i in range(x.ndim) if i not in places)])
        places = range(len(places))
        indices = [i for i in indices if i is not None]
    flat: Any = 0
    for i, n in zip(places, sizes, strict=True):
        index = indices[i]
        flat = flat * n + vocabulary_function("where")(index < 0, index + n, index)
    shape = merged.shape_of(x)
    total = 1
    for n in sizes:
        total *= n
    return view(x, (*shape[: places[0]], total, *shape[places[-1] + 1 :])), flat, places[0]


@row("index_put", "_unsafe_index_put", "_index_put_impl")
def index_put(self: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    if accumulate:
        raise UnsupportedError("it adds up values at indices that are equal")
    result = vocabulary_function("clone", "method")(self)
    result[tuple(slice(None) if i is None else i for i in indices)] = values
    return result


@row("select_scatter")
def select_scatter(self: Any, src: Any, dim: int, index: int) -> Any:
    result = vocabulary_function("clone", "method")(self)
    result[(*[slice(None)] * axis_of(dim, self.ndim), index)] = src
    return result


@row("slice_scatter")
def slice_scatter(
    self: Any, src: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Any:
    result = vocabulary_function("clone", "method")(self)
    stop = None if end is None or end >= ANY_BATCH else end
    result[(*[slice(None)] * axis_of(dim, self.ndim), slice(start, stop, step))] = src
    return result


@row("cat", "concat", "concatenate")
def cat(tensors: Sequence[Any], dim: int = 0, axis: int | None = None) -> Any:
    kept = [t for t in tensors if tuple(t.shape) != (0,)] or list(tensors)[:1]  # as there, empty ones are left out
    return vocabulary_function("cat")(kept, dim if axis is None else axis)


@row("stack", merged=True)
def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    if not any(map(merged.has_batch, tensors)):
        return vocabulary_function("stack")(list(tensors), dim)
    dim = axis_of(dim, tensors[0].ndim + 1)
    parts = [unsqueeze(t, dim) for t in tensors]
    return compute("cat", cat, {"tensors": parts, "dim": dim})


@row("split_with_sizes", "split_copy", "unsafe_split", "unsafe_split_with_sizes")
def split_with_sizes(self: Any, split_sizes: Any = None, dim: int = 0, split_size: Any = None) -> Any:
    return vocabulary_function("split")(self, split_size if split_sizes is None else list(split_sizes), dim)


@row("tensor_split")
def tensor_split(
    self: Any, sections: int | None = None, dim: int = 0, indices: Any = None, tensor_indices_or_sections: Any = None
) -> Any:
    given = next(v for v in (sections, indices, tensor_indices_or_sections) if v is not None)
    return vocabulary_function("tensor_split")(self, given, dim)


@row("einsum")
def einsum(equation: str, tensors: Sequence[Any], path: Any = None) -> Any:
    return vocabulary_function("einsum")(equation, *tensors)


@row("tensordot")
def tensordot(self: Any, other: Any, dims_self: Sequence[int], dims_other: Sequence[int]) -> Any:
    return vocabulary_function("tensordot")(self, other, (list(dims_self), list(dims_other)))


# --- copies ------------------------------------------------------------------------------------------------------


@row("lift_fresh_copy", "lift_fresh", "alias", "contiguous", "resolve_conj", "resolve_neg")
def same(self: Any) -> Any:
    return self


@row("clone")
def clone(self: Any) -> Any:
    return vocabulary_function("clone", "method")(self)


@row("copy")
def copy(self: Any, src: Any) -> Any:
    value = src if src.dtype == self.dtype else to(src, dtype=self.dtype)
    return value if tuple(value.shape) == tuple(self.shape) else expand(value, merged.shape_of(self))


@row("fill")
def fill(self: Any, value: Any) -> Any:
    return vocabulary_function("full_like")(self, value) if not isinstance(value, Tensor) else copy(self, value)


@row("zero")
def zero(self: Any) -> Any:
    return vocabulary_function("zeros_like")(self)


@row("to", "_to_copy", "type_as")
def to(self: Any, dtype: Any = None, other: Any = None) -> Any:
    wanted = other.dtype if other is not None else dtype
    return self if wanted is None or wanted == self.dtype else vocabulary_function("to", "method")(self, wanted)
