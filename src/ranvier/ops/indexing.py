"""Indexing of tensors, to read and to write: by NumPy's indices and by PyTorch's functions.

NumPy works out the flat positions of the chosen elements at once; the program gathers them, so that gradients flow to
the elements.
"""

from __future__ import annotations

import inspect
import math
import weakref
from typing import Any, NamedTuple

import numpy as np

from ranvier.graph.dtypes import FLOATS, widened
from ranvier.graph.extents import ExtentError
from ranvier.ops import arrays, computed_indices
from ranvier.ops.arrays.promotion import axes_of, axis_of
from ranvier.ops.computed_indices import is_computed, places
from ranvier.ops.functional.label_checks import check_known, in_range
from ranvier.tensor import tape, trace
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import Function
from ranvier.tensor.views import become_view, root_of_gradients, write, write_part
from ranvier.tensor.writing import holds_value

INDEX = Function("index", inspect.unwrap(arrays.index_basic))  # the movement of a view by whole numbers and slices


class Ordered(NamedTuple):
    """What ``sort``, ``topk``, and ``max`` and ``min`` along a dimension return."""

    values: Tensor
    indices: Tensor


def put(self: Tensor, result: Tensor) -> Tensor:
    """Let a tensor hold the values of another from here on, and its history."""
    if result.shape != self.shape:
        raise ValueError(
            f"a tensor of shape {self.shape} cannot hold a result of shape {result.shape}. "
            "Write x = ... without an underscore instead."
        )
    if result.dtype != self.dtype:
        if result.dtype in FLOATS and self.dtype not in FLOATS:
            raise TypeError(f"a tensor of {self.dtype} cannot hold {result.dtype} results. Write x = x.float() first.")
        result = arrays.cast(result, self.dtype)
    writable(self)
    if trace.state.tracing and result.requires_grad and tape.is_owned(self):
        raise RuntimeError(
            "a buffer that a compiled step writes to keeps no gradient, and the value has one. Write value.detach() "
            "instead."
        )
    write(self, result)
    return self


def written(input: Any, result: Any, inplace: bool) -> Any:
    """``result``; with ``inplace`` it is what ``input`` holds from here on, and ``input`` is returned."""
    return put(input, result) if inplace and isinstance(input, Tensor) else result


def writable(self: Tensor) -> None:
    """Raise RuntimeError for a leaf whose gradient is asked for, or a view of one, while gradients are recorded."""
    if not trace.state.grad_enabled:
        return
    if self.is_leaf and self.requires_grad and not self.history_ended:
        raise RuntimeError(
            "a tensor that requires a gradient cannot be changed in place while gradients are recorded. "
            "Write 'with no_grad():' around the change."
        )
    root = root_of_gradients(self)
    if root is not None and root.is_leaf and root.requires_grad:
        raise RuntimeError(
            "a view of a tensor that requires a gradient cannot be changed in place while gradients are recorded. "
            "Write 'with no_grad():' around the change."
        )


def indexed(self: Tensor, index: Any) -> Any:
    """``x[index]``, by NumPy's rules. Whole numbers, slices, None and ... give a view, through which can be written.

    A tensor that holds its value and asks for no gradient is indexed at once, so that a loop over slices of a data set
    compiles nothing; not so in a model that is traced, for it may hold another value when the program runs. Of others
    the places are worked out at once and their elements gathered by the program; indices that are not computed yet
    choose along the first axis alone, where those out of range take the first or last row.

    Raises IndexError for an index out of range.
    """
    items = index if isinstance(index, tuple) else (index,)
    if (parts := _numbers_first(items)) is not None:
        return indexed(indexed(self, parts[0]), parts[1])
    at_once = not self.requires_grad and holds_value(self)
    if all(map(_is_basic, items)):
        described = tuple(map(_described, items))
        if at_once:
            part = Tensor.wrap(np.array(self.compute()[items], order="C"))
        elif _varies(self, items):
            part = _picked(self, described)
        else:
            part = arrays.index_basic(self, described)
            if (node := part.trace_node) is not None:
                node.function.makes_views = True
        become_view(part, self, ((INDEX, (("items", described),), -1),))
        return part
    if at_once:
        return Tensor.wrap(np.array(self.compute()[_known(items)], order="C"))
    chosen = items[0] if len(items) > 1 or isinstance(items[0], Tensor) else Tensor(items[0])
    whole = len(items) == 1 and chosen.dtype != "bool"
    if whole and chosen._value is None:
        rows: Any = self.shape[0]  # a Extent in a model that is traced
        return arrays.take(self, in_range(chosen, "element", rows, low=-rows) if isinstance(rows, int) else chosen)
    if not all(isinstance(extent, int) for extent in (self.shape[:1] if whole else self.shape)):
        raise ExtentError(
            f"a tensor of shape {self.shape} can be indexed by whole numbers, slices, None, ... and one integer "
            "tensor. Write where(mask, x, 0) in place of a mask, whose shape would depend on values."
        )
    if any(map(is_computed, items)):
        return arrays.take(arrays.reshape(self, (-1,)), places(self.shape, items))
    if whole:
        np.empty((self.shape[0], 0))[chosen.compute()]  # raises NumPy's error for an index out of range
        return arrays.take(self, chosen)
    return _taken(self, _places(self, items))


def _is_basic(item: Any) -> bool:
    array = isinstance(item, (np.ndarray, Tensor)) and (item.ndim > 0 or item.dtype == "bool")
    return isinstance(item, slice) or item is None or item is Ellipsis or (hasattr(item, "__index__") and not array)


def _numbers_first(items: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]] | None:
    """The indices as whole numbers, which PyTorch takes first, and the rest; None where NumPy's order is the same."""
    kinds = [not _is_basic(item) or (hasattr(item, "__index__") and not isinstance(item, slice)) for item in items]
    at = [i for i, kind in enumerate(kinds) if kind]
    if not at or all(map(_is_basic, items)) or at == list(range(at[0], at[-1] + 1)):
        return None
    numbers = [_is_basic(item) and kind for item, kind in zip(items, kinds, strict=True)]
    if not any(numbers):
        return None
    first = tuple(
        item if number or item is Ellipsis else slice(None)
        for item, number in zip(items, numbers, strict=True)
        if item is not None and not (getattr(item, "dtype", None) == "bool" and item.ndim != 1)
    )
    return first, tuple(item for item, number in zip(items, numbers, strict=True) if not number)


def _varies(self: Tensor, items: tuple[Any, ...]) -> bool:
    """Whether whole numbers stand at this place of the program that are not the same from one time to the next.

    Usually they are, and a part of the program: ``x[0]``, or ``x[i]`` for every ``i``. An action that was drawn is not.
    """
    node, segment = self.trace_node, self.segment
    if node is None or segment is None or trace.state.tracing or not all(hasattr(i, "__index__") for i in items):
        return False
    known: Any = node.seen_constants.get(indexed)
    if known is True or not all(isinstance(extent, int) for extent in self.shape):
        return known is True
    numbers = tuple(i.__index__() for i in items)
    if known is None or known[0]() is not segment:  # as many as there were before are expected again
        known = weakref.ref(segment), iter(known[2] if known else ()), []
    _, expected, found = known
    found.append(numbers)
    node.seen_constants[indexed] = known if next(expected, numbers) == numbers else True
    return node.seen_constants[indexed] is True


def _picked(self: Tensor, numbers: tuple[int, ...]) -> Any:
    """The part at these indices along the first axes, which are an input of the program."""
    extents, rest = self.shape[: len(numbers)], self.shape[len(numbers) :]
    if len(numbers) > self.ndim or any(not -e <= n < e for n, e in zip(numbers, extents, strict=True)):
        return arrays.index_basic(self, numbers)  # which raises the error
    flat = 0
    for number, extent in zip(numbers, extents, strict=True):
        flat = flat * extent + number % extent
    return arrays.take(arrays.reshape(self, (-1, *rest)), Tensor.wrap(np.asarray(flat, np.int32)))


def _described(item: Any) -> Any:
    """The item as `arrays.index_basic` takes it."""
    if isinstance(item, slice):
        return ("slice", item.start, item.stop, item.step)
    return item if item is None or item is Ellipsis else item.__index__()


def _known(items: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(i.compute() if isinstance(i, Tensor) else i for i in items)


def _places(self: Tensor, items: tuple[Any, ...]) -> Any:
    """The flat positions of the chosen elements, in their shape."""
    return np.ascontiguousarray(np.arange(self.numel(), dtype=np.int32).reshape(self.shape)[_known(items)])


def set_item(self: Tensor, index: Any, value: Any) -> None:
    """``x[index] = value``; the gradient reaches ``value``, and of ``x`` what is not overwritten."""
    items = index if isinstance(index, tuple) else (index,)
    tracked = isinstance(value, Tensor) and value.requires_grad and trace.state.grad_enabled
    writable(self)
    if (parts := _numbers_first(items)) is not None:
        set_item(indexed(self, parts[0]), parts[1], value)
        return
    if not tracked and not (self.requires_grad and trace.state.grad_enabled) and write_part(self, _known(items), value):
        return
    places = _places(self, items)
    if not places.size:  # nothing to do
        return
    given = arrays.cast(value if isinstance(value, Tensor) else Tensor(value), self.dtype)
    mask, source = np.zeros(self.numel(), bool), np.zeros(self.numel(), np.int32)
    mask[places.ravel()] = True
    source[places.ravel()] = np.arange(places.size)
    parts = arrays.take(arrays.reshape(arrays.broadcast_to(given, places.shape), (-1,)), Tensor.wrap(source))
    flat = arrays.where(Tensor.wrap(mask), parts, arrays.reshape(self, (-1,)))
    put(self, arrays.reshape(flat, self.shape))


def _taken(self: Tensor, places: Any) -> Tensor:
    """The elements at these flat positions."""
    flat: Tensor = arrays.reshape(self, (-1,))
    return arrays.take(flat, Tensor.wrap(np.asarray(places, np.int32, order="C")))


def gather(input: Tensor, dim: int, index: Any) -> Tensor:
    """``out[i][j] = input[i][index[i][j]]`` along dimension 1, and so on: an element for each index.

    Raises RuntimeError for an index out of range, and for indices that do not fit the shape.
    """
    axis = axis_of(dim, max(input.ndim, 1))
    if is_computed(index):
        return computed_indices.gather(input, axis, index)
    rows = index.compute() if isinstance(index, Tensor) else np.asarray(index)
    check_indices(np.atleast_1d(rows), input.shape or (1,), axis)
    return gather_at(input, axis, rows)


def gather_at(input: Tensor, dim: int, rows: Any) -> Tensor:
    """The same for an array of indices that fit, of which negative ones count from the end."""
    axis = axis_of(dim, max(input.ndim, 1))
    if not rows.size:
        return _taken(input, np.empty(rows.shape, np.int32))
    every = np.arange(input.numel(), dtype=np.int32).reshape(input.shape or (1,))
    places = np.atleast_1d(rows)
    every = every[tuple(slice(None if i == axis else n) for i, n in enumerate(places.shape))]
    return _taken(input, np.take_along_axis(every, places, axis).reshape(rows.shape))


def check_indices(rows: Any, shape: tuple[int, ...], axis: int) -> None:
    """Raise RuntimeError for indices along an axis of a shape that are out of range, have another number of dimensions,
    or are longer in another axis.
    """
    if not rows.size:
        return
    if rows.ndim != len(shape) or any(
        n > d for a, (n, d) in enumerate(zip(rows.shape, shape, strict=True)) if a != axis
    ):
        raise RuntimeError(
            f"indices of shape {rows.shape} along dimension {axis} of {shape}. Write as many dimensions, of which only "
            f"dimension {axis} may be longer."
        )
    check_known(rows, "gathered", shape[axis])


def index_select(input: Tensor, dim: int, index: Any) -> Any:
    """The slices along a dimension at these indices. Raises IndexError for one out of range."""
    axis = axis_of(dim, input.ndim)
    extent: Any = input.shape[axis]  # a Extent in a model that is traced
    if isinstance(extent, int) and isinstance(index, (Tensor, np.ndarray, list)):
        index = in_range(index, "element", extent)
    return indexed(input, (*(slice(None),) * axis, index))


def masked_select(input: Tensor, mask: Any) -> Any:
    """The elements where the mask holds, in order: as many as it has true ones."""
    chosen = mask.compute() if isinstance(mask, Tensor) else np.asarray(mask)
    shape = arrays.broadcast_shape(input.shape, chosen.shape) or (1,)
    both = Tensor.wrap(np.ascontiguousarray(np.broadcast_to(chosen, shape)))
    return indexed(input if input.shape == shape else arrays.broadcast_to(input, shape), both)


def masked_fill(input: Tensor, mask: Any, value: Any) -> Any:
    """``value``, a number or a tensor without dimensions, where the mask holds, else ``input``, in its dtype."""
    if getattr(value, "ndim", 0):
        raise RuntimeError(f"a value of shape {value.shape}. Write a number, or torch.where(mask, value, x), instead.")
    return arrays.cast(arrays.where(mask, value, input), input.dtype)


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The index of every element that is not zero, (elements, dimensions), int64; or a vector for each dimension."""
    if as_tuple:
        return tuple(
            Tensor.wrap(np.ascontiguousarray(part, np.int64))
            for part in np.nonzero(np.atleast_1d(widened(input.compute())))
        )
    return Tensor.wrap(np.ascontiguousarray(np.argwhere(widened(input.compute())), np.int64))


def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Ordered:
    """The elements in order along a dimension, equal ones as they were whether ``stable`` or not, and where each came
    from.
    """
    values, dim = widened(input.compute()), axis_of(dim, input.ndim)
    rows = np.argsort(-values if descending and values.dtype.kind == "f" else values, dim, kind="stable")
    if descending and values.dtype.kind != "f":
        rows = np.flip(np.argsort(np.flip(values, dim), dim, kind="stable"), dim)
        rows = values.shape[dim] - 1 - rows
    order = Tensor.wrap(np.ascontiguousarray(rows, np.int64))
    return Ordered(gather_at(input, dim, rows), order)


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """Where the elements in order along a dimension came from."""
    return sort(input, dim, descending).indices


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Ordered:
    """The ``k`` largest (or smallest) elements along a dimension, in order, and where each came from.

    Raises ValueError where there are fewer.
    """
    extent = input.shape[axis_of(dim, input.ndim)]
    if not 0 <= k <= extent:
        raise ValueError(f"the {k} largest of {extent} elements. Write a smaller k instead.")
    if input.known is None and trace.state.tracing:
        return Ordered(*computed_indices.largest(input, k, axis_of(dim, input.ndim), largest))
    order = sort(input, dim, descending=largest).indices
    rows = np.ascontiguousarray(np.take(order.compute(), np.arange(k), dim))
    return Ordered(gather_at(input, dim, rows), Tensor.wrap(rows))


CHOICES: dict[str, Any] = {  # between two neighbours
    "linear": lambda p: p, "lower": np.floor, "higher": np.ceil, "nearest": np.round,
    "midpoint": lambda p: (np.floor(p) + np.ceil(p)) / 2,
}  # fmt: skip


def quantile(x: Tensor, q: Any, axis: Any = None, keepdims: bool = False, method: str = "linear") -> Any:
    """The quantiles ``q`` along these axes, or of all elements; several quantiles along a new first axis.

    nan where an element is. Raises ValueError for shares outside of 0 to 1, for another method, and of no elements.
    """
    shares = np.asarray(q.compute() if isinstance(q, Tensor) else q, np.float64)
    if not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError(f"quantiles at q={q!r}. Write shares from 0 to 1 instead.")
    if method not in CHOICES:
        raise ValueError(f"{method!r} between neighbours. Write one of {', '.join(map(repr, CHOICES))} instead.")
    axes = axes_of(axis, x.ndim)
    rest = [a for a in range(x.ndim) if a not in axes]
    shape = tuple(x.shape[a] for a in rest)
    size = math.prod(x.shape[a] for a in axes)
    if not size:
        raise ValueError(f"a tensor of shape {x.shape} has no elements along axes {axes}, and so no quantiles.")
    values = sort(arrays.reshape(arrays.transpose(x, (*axes, *rest)), (size, *shape)), 0).values
    values = values if values.dtype in FLOATS else arrays.cast(values, get_dtype())
    places = CHOICES[method](shares.ravel() * (size - 1))
    low = np.floor(places).astype(np.int32)
    below, above = (arrays.take(values, Tensor.wrap(rows)) for rows in (low, np.ceil(places).astype(np.int32)))
    wide = (-1, *(1,) * len(shape))
    part = Tensor.wrap((places - low).reshape(wide).astype(values.dtype))
    if isinstance(q, Tensor) and q.requires_grad and method == "linear":  # the gradient reaches q, whose value this is
        moving = arrays.multiply(arrays.reshape(q, wide), size - 1)
        part = arrays.add(part, arrays.subtract(moving, arrays.stop_gradient(moving)))
    between = arrays.add(below, arrays.multiply(arrays.subtract(above, below), part))
    found = arrays.where(arrays.equal(part, 0), below, between)  # an infinity beside it is none of it
    found = arrays.where(arrays.isnan(values[size - 1]), math.nan, found)
    kept = tuple(1 if a in axes else d for a, d in enumerate(x.shape)) if keepdims else shape
    return arrays.reshape(found, (*shares.shape, *kept))
