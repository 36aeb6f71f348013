"""Differences, sums and order along a dimension, and other functions of tensors with PyTorch's names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ranvier.graph.dtypes import FLOATING, STORAGE
from ranvier.graph.node import Node, constant
from ranvier.ops import arrays as n
from ranvier.ops import vocabulary
from ranvier.ops.arrays import elementary, linalg
from ranvier.ops.arrays.promotion import axis_of, floating, result_dtype
from ranvier.ops.functional.gamma import lgamma
from ranvier.ops.keras import evaluated
from ranvier.ops.torch.dtypes import dtype_name
from ranvier.tensor.attribute_types import DType
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import state

# --- of each element ------------------------------------------------------------------------------------------------


@function
def copysign(input: Node, other: Node) -> Node:
    """The magnitudes of the first with the signs of the second, also of -0."""
    x, y = n.together(floating(input), floating(other))
    size = n.abs(x)
    return n.where(elementary.signbit(y), n.negative(size), size)


@function
def ldexp(input: Node, other: Node) -> Node:
    """``input * 2 ** other``."""
    return n.multiply(floating(input), n.power(2.0, floating(other)))


def float_power(input: Any, exponent: Any) -> Any:
    """``input ** exponent`` in float64."""
    x, y = (n.cast(v, "float64") if isinstance(v, Tensor) else v for v in (input, exponent))
    return n.power(x, y)


@function
def mvlgamma(input: Node, p: int) -> Node:
    """The logarithm of the gamma function of ``p`` dimensions."""
    x = floating(input)
    total = lgamma(x)
    for j in range(1, p):
        total = n.add(total, lgamma(n.subtract(x, j / 2)))
    return n.add(total, p * (p - 1) / 4 * math.log(math.pi))


def _whole(name: str, *operands: Any) -> None:
    """Raise TypeError where an operand is no tensor, NotImplementedError where its numbers are not whole."""
    for x in operands:
        if not isinstance(x, Tensor):
            raise TypeError(f"{name} was given {x!r}. Write torch.tensor({x!r}) instead.")
        if not x.dtype.startswith(("int", "uint")):
            raise NotImplementedError(f"{name} of {x.dtype}. Write x.long() instead.")


def gcd(input: Any, other: Any) -> Tensor:
    """The greatest common divisors of tensors of whole numbers. Evaluated at once.

    Raises TypeError for what is no tensor, NotImplementedError for other numbers.
    """
    _whole("gcd", input, other)
    return evaluated.gcd(input, other)


def lcm(input: Any, other: Any) -> Tensor:
    """The least common multiples of tensors of whole numbers. Evaluated at once. Raises what `gcd` raises."""
    _whole("lcm", input, other)
    return evaluated.lcm(input, other)


def nextafter(input: Any, other: Any) -> Tensor:
    """The next float from the first toward the second. Evaluated at once."""
    return _moved(evaluated.nextafter(input, other), input, other)


@function
def _moved(result: Node, input: Node, other: Node) -> Node:
    """``result`` with a gradient of 1 by ``input`` and of 0 by ``other``."""
    del other
    return n.add(result, n.where(n.isfinite(input), n.subtract(input, n.stop_gradient(input)), 0.0))


def real(input: Any) -> Any:
    """The tensor itself: there are no complex numbers."""
    return input


conj = conj_physical = resolve_conj = resolve_neg = real


def isreal(input: Any) -> Any:
    """True everywhere: there are no complex numbers."""
    return Tensor(np.ones(input.shape, bool), dtype="bool")


@function
def angle(input: Node) -> Node:
    """0 of numbers of 0 or more, pi of negative ones."""
    x = floating(input)
    return n.where(n.less(x, 0.0), math.pi, n.where(n.isnan(x), x, 0.0))


def fill(input: Any, value: Any) -> Any:
    """A tensor of this shape and dtype that holds one value."""
    return n.cast(n.add(n.zeros_like(input), value), input.dtype)


# --- questions ------------------------------------------------------------------------------------------------------


def is_nonzero(input: Any) -> bool:
    """Whether the one element is not 0. Raises RuntimeError for another number of elements."""
    if input.numel() != 1:
        raise RuntimeError(f"is_nonzero of {input.numel()} elements. Write x.any() or x.all() instead.")
    return bool(input.item() != 0)


def is_same_size(input: Any, other: Any) -> bool:
    """Whether both have one shape."""
    return tuple(input.shape) == tuple(other.shape)


def is_signed(input: Any) -> bool:
    """Whether the dtype has negative numbers."""
    return not input.dtype.name.startswith(("uint", "bool"))


def is_conj(input: Any) -> bool:
    """False: there are no complex numbers."""
    del input
    return False


is_neg = is_conj


def is_inference(input: Any) -> bool:
    """Whether the tensor, or the one that it is a view of, was made in ``torch.inference_mode()``."""
    return bool(input.inference)


def result_type(tensor1: Any, tensor2: Any) -> Any:
    """The dtype in which two tensors or numbers meet."""
    return DType(result_dtype(tensor1, tensor2))


def promote_types(type1: Any, type2: Any) -> Any:
    """The dtype in which two dtypes meet."""
    return DType(result_dtype(*(Tensor(np.zeros(1), dtype=dtype_name(t)) for t in (type1, type2))))


def can_cast(from_: Any, to: Any) -> bool:
    """Whether PyTorch converts the first dtype to the second of its own accord: not floats to integers, for example."""
    order = ("bool", "int", "float")

    def rank(dtype: Any) -> int:
        name = str(dtype_name(dtype))
        return next((i for i, start in enumerate(order) if name.lstrip("bu").startswith(start.lstrip("b"))), 1)

    return rank(from_) <= rank(to)


# --- along a dimension ----------------------------------------------------------------------------------------------


def _at(x: Any, axis: int, start: int | None, stop: int | None) -> Any:
    return x[(*(slice(None),) * axis, slice(start, stop))]


def cumulative_trapezoid(y: Any, x: Any = None, *, dx: float | None = None, dim: int = -1) -> Any:
    """The running integrals by the trapezoidal rule, at points ``x`` or at distances ``dx``."""
    axis = axis_of(dim, y.ndim)
    areas = n.multiply(n.add(_at(y, axis, 1, None), _at(y, axis, None, -1)), 0.5)
    if x is not None:
        own = x if x.ndim == y.ndim else n.reshape(x, (*x.shape, *(1,) * (y.ndim - axis - 1)))
        steps = n.subtract(_at(own, own.ndim - y.ndim + axis, 1, None), _at(own, own.ndim - y.ndim + axis, None, -1))
        areas = n.multiply(areas, steps)
    elif dx is not None:
        areas = n.multiply(areas, dx)
    return vocabulary.find("torch", "cumsum")(areas, axis)


def gradient(input: Any, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> tuple[Any, ...]:
    """The derivatives along each dimension by differences of neighbours, of second order inside.

    ``spacing`` is a distance, one for each dimension, or tensors of coordinates. ``edge_order`` is 1 or 2.
    """
    axes = range(input.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    axes = [axis_of(a, input.ndim) for a in axes]
    several = isinstance(spacing, (list, tuple))
    spaces = list(spacing) if several else [spacing] * len(axes)
    if len(spaces) != len(axes):
        raise ValueError(f"spacing has {len(spaces)} entries for {len(axes)} dimensions. Write one for each.")
    return tuple(_slope(input, space, axis, edge_order) for space, axis in zip(spaces, axes, strict=True))


def _slope(x: Any, space: Any, axis: int, edge_order: int) -> Any:
    size = x.shape[axis]
    if edge_order not in (1, 2) or size <= edge_order:
        raise ValueError(
            f"a gradient with edge_order={edge_order!r} along {size} elements. Write more, or edge_order=1."
        )
    if isinstance(space, Tensor) and space.ndim:
        places = np.asarray(space.detach().compute(), np.float64)
    else:
        places = np.arange(size) * float(space)
    h = np.diff(places)

    def weighted(*terms: tuple[Any, int | None, int | None]) -> Any:
        total: Any = None
        for weight, start, stop in terms:
            factor = Tensor(np.reshape(weight, (-1, *(1,) * (x.ndim - axis - 1))), dtype=floating_name(x))
            part = n.multiply(_at(x, axis, start, stop), factor)
            total = part if total is None else n.add(total, part)
        return total

    a, b = h[:-1], h[1:]
    parts = []
    if edge_order == 1:
        first = weighted((-1 / h[:1], 0, 1), (1 / h[:1], 1, 2))
        last = weighted((-1 / h[-1:], -2, -1), (1 / h[-1:], -1, None))
    else:
        c, d = h[:1], h[1:2]
        first = weighted((-(2 * c + d) / (c * (c + d)), 0, 1), ((c + d) / (c * d), 1, 2), (-c / (d * (c + d)), 2, 3))
        c, d = h[-2:-1], h[-1:]
        last = weighted(
            (d / (c * (c + d)), -3, -2), (-(c + d) / (c * d), -2, -1), ((2 * d + c) / (d * (c + d)), -1, None)
        )
    parts.append(first)
    if size > 2:
        inner = weighted((-b / (a * (a + b)), None, -2), ((b - a) / (a * b), 1, -1), (a / (b * (a + b)), 2, None))
        parts.append(inner)
    return n.concatenate([*parts, last], axis)


def floating_name(x: Any) -> str:
    """The dtype of a tensor, float32 of whole numbers."""
    return x.dtype if x.dtype in FLOATING or x.dtype in STORAGE else "float32"


class Median(NamedTuple):
    """Values and where they are."""

    values: Any
    indices: Any


def _places_of_medians(x: Any, axis: int) -> Any:
    values = np.asarray(x.detach().compute(), np.float64)
    order = np.argsort(values, axis, kind="stable")  # nan last
    known = (~np.isnan(values)).sum(axis, keepdims=True)
    return np.take_along_axis(order, np.maximum(known - 1, 0) // 2, axis)


def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median of what is not nan, the lower of two; along ``dim`` also its index. It needs known values."""
    if dim is None:
        return nanmedian(n.reshape(input, (-1,)), 0).values
    axis = axis_of(dim, input.ndim)
    places = Tensor(_places_of_medians(input, axis), dtype="int64")
    values = vocabulary.find("torch", "gather")(input, axis, places)
    return Median(*(v if keepdim else n.squeeze(v, axis) for v in (values, places)))


def nanquantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Any:
    """The quantiles of what is not nan, of all elements or along ``dim``. Evaluated at once.

    Raises RuntimeError where a gradient would be recorded, ValueError for another interpolation.
    """
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise ValueError(
            f"interpolation={interpolation!r}. Write 'linear', 'lower', 'higher', 'midpoint' or 'nearest'."
        )
    given = [x for x in (input, q) if isinstance(x, Tensor)]
    if state.grad_enabled and any(x.requires_grad for x in given):
        raise RuntimeError("nanquantile has no gradient. Write x.detach(), or quantile of what is not nan, instead.")
    shares = q.compute() if isinstance(q, Tensor) else q
    return evaluated.nanquantile(input, shares, dim, interpolation, keepdim)


def msort(input: Any) -> Any:
    """The elements in order along the first dimension."""
    return vocabulary.find("torch", "sort")(input, 0)[0]


@function
def renorm(input: Node, p: float, dim: int, maxnorm: float) -> Node:
    """The slices along ``dim`` scaled down to a p-norm of ``maxnorm`` where it is larger; p may be infinite."""
    if not (p > 0 and maxnorm >= 0):
        raise RuntimeError(f"renorm with p={p}, maxnorm={maxnorm}. Write p above 0, and maxnorm=0 or more.")
    if input.ndim < 2 or input.dtype not in {*FLOATING, *STORAGE}:
        raise RuntimeError(f"renorm of {input.dtype} {input.shape}. Write floats in two dimensions or more.")
    axes = tuple(a for a in range(input.ndim) if a != axis_of(dim, input.ndim))
    size = n.norm(floating(input), axes, True, p)
    factor = n.where(n.greater(size, maxnorm), n.divide(maxnorm, n.add(size, 1e-7)), 1.0)
    return n.cast(n.multiply(input, factor), input.dtype)


# --- places and parts -----------------------------------------------------------------------------------------------


def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """The index along each dimension of places in a flat order. It needs known values."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    places = np.asarray(indices.detach().compute())
    size = math.prod(shape)
    if places.size and not -size <= places.min() <= places.max() < size:
        raise ValueError(f"an index of {int(places.max())} for a shape of {size} elements. Write indices below that.")
    return tuple(Tensor(np.asarray(i), dtype="int64") for i in np.unravel_index(places % size, shape))


def diagflat(input: Any, offset: int = 0) -> Any:
    """A matrix with all elements on a diagonal."""
    return linalg.diag(n.reshape(input, (-1,)), offset)


def dstack(tensors: Sequence[Any]) -> Any:
    """Tensors joined along the third dimension."""
    deep = vocabulary.find("torch", "atleast_3d")
    return n.concatenate([deep(t) for t in tensors], 2)


def _split_along(name: str, axis: int, least: int) -> Any:
    def split(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
        if input.ndim < least:
            raise ValueError(f"{name} of {input.ndim} dimensions. Write a tensor of {least} or more instead.")
        along = axis if input.ndim > axis else 0
        if isinstance(indices_or_sections, int) and input.shape[along] % indices_or_sections:
            raise ValueError(f"{name} of {input.shape[along]} in {indices_or_sections} equal parts. Write a divisor.")
        parts: tuple[Any, ...] = tuple(vocabulary.find("torch", "tensor_split")(input, indices_or_sections, along))
        return parts

    split.__name__ = split.__qualname__ = name
    split.__doc__ = f"Parts along dimension {axis}: so many equal ones, or at these indices."
    return split


hsplit, vsplit, dsplit = _split_along("hsplit", 1, 1), _split_along("vsplit", 0, 2), _split_along("dsplit", 2, 3)


def _placed(input: Any, index: Any, src: Any) -> Any:
    result = input.clone()
    result[index] = src
    return result


def slice_scatter(
    input: Any, src: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Any:
    """A copy with ``src`` in place of a slice along ``dim``."""
    return _placed(input, (*(slice(None),) * axis_of(dim, input.ndim), slice(start, end, step)), src)


def select_scatter(input: Any, src: Any, dim: int, index: int) -> Any:
    """A copy with ``src`` at one index along ``dim``."""
    return _placed(input, (*(slice(None),) * axis_of(dim, input.ndim), int(index)), src)


def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """A copy with ``source`` at places of the flat order, or with ``accumulate`` added there."""
    flat = n.reshape(input, (-1,))
    places = (n.reshape(index, (-1,)),)
    values = n.reshape(source, (-1,))
    result = vocabulary.find("torch", "index_put")(flat, places, values, accumulate)
    return n.reshape(result, input.shape)


def kaiser_window(window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: Any = None) -> Tensor:
    """Kaiser's window."""
    values = np.kaiser(window_length + 1, beta)[:-1] if periodic else np.kaiser(window_length, beta)
    return Tensor(values, dtype=dtype_name(dtype)) if dtype is not None else Tensor(values)


def inclusive_range(start: float = 0, end: float | None = None, step: float = 1) -> Tensor:
    """The numbers from ``start`` to ``end``, which is one of them."""
    first, last = (0.0, start) if end is None else (start, end)
    count = math.floor((last - first) / step) + 1
    return Tensor(first + step * np.arange(count), dtype="float32")


@function
def pdist(input: Node, p: float = 2.0) -> Node:
    """The p-norms of the differences of all pairs of rows, in the order of the upper triangle."""
    x = floating(input)
    first, second = np.triu_indices(int(x.shape[0]), 1)
    rows = [n.take(x, constant(np.asarray(i, np.int32), "int32")) for i in (first, second)]
    return n.norm(n.subtract(*rows), -1, False, p)
