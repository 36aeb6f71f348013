"""Operations that move and choose elements, and that make new arrays."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ranvier.graph.dtypes import ELEMENT_TYPES, FLOATING, array_dtype, limits
from ranvier.graph.extents import Extent, ExtentError
from ranvier.ops import arrays, indexing, tensor_methods
from ranvier.ops.arrays import linalg
from ranvier.ops.arrays.promotion import axes_of, axis_of
from ranvier.ops.keras import extents
from ranvier.ops.keras.elementwise import Axes, Operand, dtype_name
from ranvier.tensor.tensor import Tensor

# --- movement -----------------------------------------------------------------------------------------------------


def reshape(x: Operand, newshape: Sequence[Any]) -> Any:
    """The same elements in another shape; one extent may be -1."""
    return arrays.reshape(x, tuple(newshape) if np.ndim(newshape) else (newshape,))


def expand_dims(x: Operand, axis: Axes) -> Any:
    """A new axis of extent 1, or several."""
    if isinstance(x, Extent):
        return extents.Extents([x])
    ndim = x.ndim + (len(axis) if isinstance(axis, (list, tuple)) else 1)
    for place in axes_of(axis, ndim):
        x = arrays.expand_dims(x, place)
    return x


def split(x: Operand, indices_or_sections: int | Sequence[int], axis: int = 0) -> Any:
    """So many equal parts along an axis, or those that begin at these indices, as NumPy's."""
    if hasattr(indices_or_sections, "__index__") and not np.ndim(indices_or_sections):
        return list(arrays.split(x, operator.index(indices_or_sections), axis))
    extent = x.shape[axis_of(axis, x.ndim)]
    stops = [0, *(slice(int(i)).indices(extent)[1] for i in np.ravel(indices_or_sections)), extent]
    return list(arrays.split(x, tuple(max(b - a, 0) for a, b in pairwise(stops)), axis))


def unstack(x: Operand, num: int | None = None, axis: int = 0) -> Any:
    """The slices along an axis."""
    parts = arrays.split(x, x.shape[axis_of(axis, x.ndim)] if num is None else num, axis)
    return [arrays.squeeze(part, axis) for part in parts]


def tile(x: Operand, repeats: int | Sequence[int]) -> Any:
    """The tensor repeated along its last axes."""
    times = extents.known(repeats)
    times = (*(1,) * (x.ndim - len(times)), *times)
    x = arrays.reshape(x, (*(1,) * (len(times) - x.ndim), *x.shape))
    for axis, n in enumerate(times):
        if isinstance(n, Extent):
            x = extents.widened(x, axis, n)
        elif n != 1:
            before, extent, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
            wide = arrays.broadcast_to(arrays.expand_dims(x, axis), (*before, n, extent, *after))
            x = arrays.reshape(wide, (*before, n * extent, *after))  # open where ``n`` is the number of rows
    return x


def repeat(x: Operand, repeats: Any, axis: int | None = None) -> Any:
    """Each element repeated ``repeats`` times in a row; ``repeats`` is one number, or one for each along the axis."""
    if axis is None:
        x, axis = arrays.reshape(x, (-1,)), 0
    axis = axis_of(axis, x.ndim)
    if isinstance(repeats, Extent):
        return extents.widened(x, axis, repeats)
    if np.ndim(repeats):
        rows = np.repeat(np.arange(x.shape[axis], dtype=np.int32), repeats)
        return arrays.take(x, rows, axis)
    if not repeats:
        return arrays.split(x, (0, x.shape[axis]), axis)[0]
    wide = arrays.stack([x] * repeats, axis + 1)
    merged = tuple(-1 if i == axis else d for i, d in enumerate(x.shape))
    return arrays.reshape(wide, merged)


def pad(x: Operand, pad_width: Any, mode: str = "constant", constant_values: float | None = None) -> Any:
    """More elements before and after each axis: ``pad_width`` holds (before, after) for each.

    They are a number, by default 0, or mirror the others: "reflect" about the first and last element, "symmetric"
    about the edges.
    """
    widths = [(int(a), int(b)) for a, b in np.broadcast_to(np.asarray(pad_width), (x.ndim, 2)).tolist()]
    if mode == "constant":
        return arrays.pad(x, tuple(widths), constant_values or 0.0)
    if mode not in ("reflect", "symmetric") or constant_values is not None:
        number = "" if constant_values is None else f", constant_values={constant_values!r}"
        raise ValueError(
            f"ops.pad(mode={mode!r}{number}). Write mode='constant' with a number, or 'reflect' or 'symmetric' without "
            "one, instead."
        )
    for axis, width in enumerate(widths):
        if any(width):
            known(x.shape[axis : axis + 1], "widths of 0 for the batch")
            x = arrays.take(x, np.pad(np.arange(x.shape[axis], dtype=np.int32), width, mode), axis)  # type: ignore[call-overload]  # one of two words
    return x


# --- choosing -----------------------------------------------------------------------------------------------------


def take(x: Operand, indices: Operand, axis: int | None = None) -> Any:
    """The slices along an axis at whole numbers; without an axis, elements."""
    if axis is None:
        x, axis = arrays.reshape(x, (-1,)), 0
    return arrays.take(x, Tensor(indices) if isinstance(indices, int) else indices, axis)


def one_hot(x: Operand, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Any:
    """1 at each class number along a new axis, 0 elsewhere."""
    no_sparse("one_hot", sparse)
    return arrays.one_hot(x, num_classes, dtype_name(dtype), axis)


def no_sparse(name: str, sparse: bool) -> None:
    """Raise ValueError where a sparse tensor is asked for."""
    if sparse:
        raise ValueError(f"ops.{name}: there are no sparse tensors. Leave sparse=True out.")


def einsum(subscripts: str, *operands: Operand) -> Any:
    """Einstein's summation over any number of operands."""
    return arrays.einsum(subscripts, *wide_products(*operands))


def matmul(x1: Operand, x2: Operand) -> Any:
    """The matrix product with NumPy's rules: matrices in the last two axes, those before broadcast, 1-D is a vector."""
    return arrays.matmul(*wide_products(x1, x2))


def wide_products(*operands: Any) -> tuple[Any, ...]:
    """The operands of sums of products: those of int8 alone as int32, in which their sums fit."""
    if all(getattr(x, "dtype", None) == "int8" for x in operands):
        return tuple(arrays.cast(x, "int32") for x in operands)
    return operands


def dot(x1: Operand, x2: Operand) -> Any:
    """NumPy's dot product, over the last axis of x1 and the last but one of x2 (the only one of a vector); of numbers,
    the product.
    """
    if not (np.ndim(x1) and np.ndim(x2)):
        return arrays.multiply(x1, x2)
    if max(x1.ndim, x2.ndim) <= 2:
        return arrays.matmul(x1, x2)
    return linalg.tensordot(x1, x2, [[-1], [-2 if x2.ndim > 1 else -1]])


def _ordered(x: Any, axis: int | None) -> indexing.Ordered:
    x = convert_to_tensor(x)
    return indexing.sort(arrays.reshape(x, (-1,)), 0) if axis is None else indexing.sort(x, axis)


def sort(x: Any, axis: int | None = -1) -> Tensor:
    """The elements in order along an axis, with None those of the flat tensor. Evaluated at once."""
    return _ordered(x, axis).values


def argsort(x: Any, axis: int | None = -1) -> Tensor:
    """Where the elements in order along an axis came from, with None in the flat tensor. Evaluated at once."""
    return arrays.cast(_ordered(x, axis).indices, "int32")


def top_k(x: Any, k: int, sorted: bool = True) -> Any:
    """The ``k`` largest along the last axis, and where they are. Evaluated at once."""
    values, places = indexing.topk(convert_to_tensor(x), k)
    return indexing.Ordered(values, arrays.cast(places, "int32"))


# --- kinds and new values -----------------------------------------------------------------------------------------


def cast(x: Operand, dtype: Any) -> Any:
    """In another dtype."""
    if isinstance(x, Extent):
        return extents.number((x,), dtype_name(dtype))
    return arrays.cast(x, dtype_name(dtype))


def limits_of(dtype: str) -> tuple[Any, Any]:
    """The smallest and the largest number of a dtype."""
    if dtype not in FLOATING:
        return limits(dtype)
    largest = (2 - 2**-7) * 2.0**127 if dtype == "bfloat16" else float(np.finfo(dtype).max)
    return -largest, largest


def saturate_cast(x: Operand, dtype: Any) -> Any:
    """In another dtype, what it does not hold as the nearest that it holds."""
    name = dtype_name(dtype)
    if x.dtype != "bool":
        (low, high), (least, most) = limits_of(x.dtype), limits_of(name)
        x = arrays.clip(x, max(low, least), min(high, most))
    return arrays.cast(x, name)


def zeros_like(x: Operand, dtype: Any = None) -> Any:
    """Zeros in the shape of ``x``."""
    return arrays.zeros_like(x, None if dtype is None else dtype_name(dtype))


def ones_like(x: Operand, dtype: Any = None) -> Any:
    """Ones in the shape of ``x``."""
    return arrays.ones_like(x, None if dtype is None else dtype_name(dtype))


def empty_like(x: Operand, dtype: Any = None) -> Any:
    """Zeros in the shape of ``x``: uninitialized memory would make results vary."""
    return zeros_like(x, dtype)


def full_like(x: Operand, fill_value: float, dtype: Any = None) -> Any:
    """A number, or an array that is broadcast, in the shape of ``x``."""
    name = x.dtype if dtype is None else dtype_name(dtype)
    if np.ndim(fill_value):
        return arrays.broadcast_to(arrays.cast(fill_value, name), x.shape)
    return arrays.full_like(x, fill_value, name)


def zeros(shape: Any, dtype: Any = None) -> Tensor:
    """Zeros."""
    return full(shape, 0, dtype)


def ones(shape: Any, dtype: Any = None) -> Tensor:
    """Ones."""
    return full(shape, 1, dtype)


def empty(shape: Any, dtype: Any = None) -> Tensor:
    """Zeros: uninitialized memory would make results vary."""
    return full(shape, 0, dtype)


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """One number everywhere. The rows of a batch may be among the extents."""
    name = dtype_name(dtype)
    extents = tuple(shape) if isinstance(shape, (list, tuple)) else (shape,)
    if any(isinstance(d, Extent) for d in extents):
        return arrays.filled(extents, fill_value, name)
    return Tensor(np.full(shape, fill_value, array_dtype(ELEMENT_TYPES[name].arithmetic)), dtype=name)


def known(extents: Any, instead: str) -> None:
    """Raise ExtentError for extents that are known only when the program runs."""
    if any(isinstance(d, Extent) for d in extents):
        raise ExtentError(
            f"the shape {tuple(extents)} is known only when the program runs: it holds the rows of a batch. Write "
            f"{instead} instead."
        )


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:  # Keras's names
    """Ones on the diagonal."""
    return Tensor(np.eye(N, M, k), dtype=dtype_name(dtype))


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Tensor:
    """Numbers in equal steps, int32 where all are whole."""
    values = np.arange(start, stop, step) if stop is not None else np.arange(0, start, step)
    default = "int32" if values.dtype.kind in "iu" else None
    return Tensor(values, dtype=default if dtype is None else dtype_name(dtype))


def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0
) -> Any:
    """``num`` evenly spaced numbers from ``start`` to ``stop``, or between the elements of arrays along a new axis.

    With ``retstep`` also the step.
    """
    values, step = np.linspace(np.asarray(start), np.asarray(stop), num, endpoint=endpoint, retstep=True, axis=axis)
    spaced = _of_numpy(values, dtype)
    return (spaced, _of_numpy(np.asarray(step), None)) if retstep else spaced


def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: float = 10, dtype: Any = None, axis: int = 0
) -> Tensor:
    """``base`` to the power of ``num`` evenly spaced numbers; see `linspace`."""
    return _of_numpy(np.logspace(np.asarray(start), np.asarray(stop), num, endpoint, base, axis=axis), dtype)


def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Tensor:
    """``num`` numbers from ``start`` to ``stop`` with a constant ratio; see `linspace`."""
    return _of_numpy(np.geomspace(np.asarray(start), np.asarray(stop), num, endpoint, axis=axis), dtype)


def _of_numpy(values: Any, dtype: Any) -> Tensor:
    """A tensor of doubles; of integers rounded down, as NumPy's functions round theirs."""
    name = dtype_name(dtype)
    return Tensor(values if name in FLOATING else np.floor(values), dtype=name)


def convert_to_tensor(x: Any, dtype: Any = None) -> Tensor:
    """A tensor of any array; floats take the default dtype."""
    if isinstance(x, Tensor):
        return x if dtype is None else arrays.cast(x, dtype_name(dtype))
    return Tensor(x, dtype=None if dtype is None else dtype_name(dtype))


def array(x: Any, dtype: Any = None) -> Tensor:
    """A tensor of its own of any array; floats take the default dtype."""
    copied: Tensor = tensor_methods.copied(convert_to_tensor(x, dtype))
    return copied


def convert_to_numpy(x: Any) -> Any:
    """The values as a NumPy array of their own."""
    return np.array(x)


def dtype(x: Any) -> str:
    """The dtype's name."""
    found = x.dtype if hasattr(x, "dtype") else Tensor(x).dtype
    return str(getattr(found, "name", found))


def get_item(x: Any, key: Any) -> Any:
    """``x[key]``."""
    return convert_to_tensor(x)[key] if isinstance(x, (list, tuple, np.ndarray)) else x[key]


def is_tensor(x: Any) -> bool:
    """Whether this is a tensor."""
    return isinstance(x, Tensor)


def shape(x: Any) -> tuple[Any, ...]:
    """The shape; the batch of a traced tensor is a symbol."""
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def ndim(x: Any) -> int:
    """The number of axes."""
    return len(shape(x))


def size(x: Any) -> int:
    """The number of elements. Raises ValueError where it is known only when the program runs."""
    known(shape(x), "ops.sum(ops.ones_like(x)), or ops.mean(x),")
    return math.prod(shape(x))
