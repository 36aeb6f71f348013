"""Tensors whose batch is not first, or is merged with other dimensions: (steps, batch, ...), (batch * heads, ...).

Programs keep the batch as the first dimension, and alone. Such a tensor is held so here, and has the dimensions that a
module sees. Operators that treat rows alike take it as it is held; reshaping takes merged dimensions apart again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ranvier.graph.node import BATCH, Symbol
from ranvier.interop.foreign import ANY_BATCH, UnsupportedError
from ranvier.ops import arrays, vocabulary
from ranvier.ops.arrays.promotion import axes_of, axis_of
from ranvier.ops.table import activations, elementwise
from ranvier.support.tree import map_structure
from ranvier.tensor.tensor import Tensor


@dataclass(frozen=True, eq=False)
class Merged:
    """A tensor of which dimension ``axis`` is ``before * batch * after``.

    In ``tensor`` the batch is first, and the other extents follow in their order: those before ``axis``, ``before`` and
    ``after`` where they are not 1, and those behind.
    """

    tensor: Any
    axis: int
    before: int
    after: int

    @property
    def count(self) -> int:
        """The extents that dimension ``axis`` is made of."""
        return 1 + (self.before != 1) + (self.after != 1)

    @property
    def ndim(self) -> int:
        return int(self.tensor.ndim) - self.count + 1

    @property
    def behind(self) -> int:
        """The dimensions behind ``axis``."""
        return self.ndim - 1 - self.axis

    @property
    def shape(self) -> tuple[Any, ...]:
        rest = tuple(self.tensor.shape)[1:]
        return (*rest[: self.axis], self.before * ANY_BATCH * self.after, *rest[self.axis + self.count - 1 :])

    @property
    def dtype(self) -> Any:
        return self.tensor.dtype

    @property
    def is_merged(self) -> bool:
        return self.count > 1

    def over(self, tensor: Any, behind: int | None = None) -> Any:
        """A result with the same rows, so many dimensions before the last."""
        behind = self.behind if behind is None else behind
        return held(tensor, tensor.ndim - self.count - behind, self.before, self.after)

    def places(self, dim: int) -> list[int]:
        """The dimensions of the tensor that are a dimension: of ``axis`` what is before the batch, it, and after it."""
        dim = axis_of(dim, self.ndim)
        if dim != self.axis:
            return [dim + 1 if dim < self.axis else dim + self.count - 1]
        first = self.axis + 1
        return [*([first] if self.before != 1 else []), 0, *([first + (self.before != 1)] if self.after != 1 else [])]

    def place(self, dim: int) -> int:
        """The same for an operator that goes along a dimension. Raises UnsupportedError for the merged one."""
        found = self.places(dim)
        if len(found) > 1:
            raise UnsupportedError(f"it goes along dimension {dim}, in which the batch is merged with another")
        return found[0]

    def padded(self, lead: int) -> Any:
        """The tensor with so many dimensions before ``axis``: those that are missing are of extent 1."""
        shape, more = tuple(self.tensor.shape), lead - self.axis
        return arrays.reshape(self.tensor, (BATCH, *(1,) * more, *shape[1:])) if more > 0 else self.tensor

    def spread(self) -> Any:
        """The tensor with its dimensions as the module sees them. Raises UnsupportedError where they are merged."""
        if self.is_merged:
            raise UnsupportedError("the batch is merged with another dimension")
        order = (*range(1, self.axis + 1), 0, *range(self.axis + 1, self.ndim))
        return arrays.transpose(self.tensor, order)


def held(tensor: Any, axis: int, before: int = 1, after: int = 1) -> Any:
    """A tensor whose batch is first, as `Merged`; itself where the module sees it so."""
    return Merged(tensor, axis, before, after) if axis or before != 1 or after != 1 else tensor


def has_batch(x: Any) -> bool:
    return isinstance(x, Merged) or BATCH in x.shape


def whole(x: Any) -> Merged:
    """A tensor that has a batch, as `Merged`."""
    return x if isinstance(x, Merged) else Merged(x, 0, 1, 1)


def settled(result: Any) -> Any:
    """Results whose batch is not first, with it first."""

    def settle(y: Any) -> Any:
        at = y.shape.index(BATCH) if BATCH in y.shape else 0
        return held(arrays.transpose(y, (at, *(i for i in range(y.ndim) if i != at))), at) if at else y

    return map_structure(result, Tensor, settle)


def spread(value: Any) -> Any:
    """An argument with the dimensions of tensors as the module sees them."""
    return map_structure(value, Merged, Merged.spread)


@dataclass(frozen=True, eq=False)
class RowNumbers:
    """What ``arange(rows)`` is for a batch of any size: multiples of ``step`` along ``axis``, others being of extent 1.

    Programs do not number the rows of a batch. It chooses elements of each row, ``x[arange(rows), index]``.
    """

    step: int
    axis: int = 0
    ndim: int = 1
    dtype = "int64"

    @property
    def shape(self) -> tuple[Any, ...]:
        return tuple(BATCH if i == self.axis else 1 for i in range(self.ndim))


def shape_of(x: Any) -> tuple[Any, ...]:
    """The shape in numbers: of a batch of any size, multiples of the number that stands for it."""
    return tuple(ANY_BATCH if isinstance(n, Symbol) else n for n in x.shape)


# --- shapes -------------------------------------------------------------------------------------------------------


def reshape(x: Any, size: Sequence[Any]) -> Any:
    """The same elements of a tensor with a batch in another shape, which may merge the batch or take it apart."""
    x, size = whole(x), list(size)
    if -1 in size:
        total, rest = math.prod(shape_of(x)), math.prod(n for n in size if n != -1)
        if not rest or total % rest:
            raise UnsupportedError(f"{shown(x.shape)} does not take the shape {shown(size)}")
        size[size.index(-1)] = total // rest
    places = [i for i, n in enumerate(size) if n >= ANY_BATCH]
    if len(places) != 1:
        raise UnsupportedError(f"the shape {shown(size)} of {shown(x.shape)} has no dimension for the batch")
    at, own = places[0], shape_of(x)
    before, after = math.prod(own[: x.axis]) * x.before, math.prod(own[x.axis + 1 :]) * x.after
    lead, rest = math.prod(size[:at]), math.prod(size[at + 1 :])
    fits = lead and rest and not before % lead and not after % rest
    if not fits or (before // lead) * (after // rest) * ANY_BATCH != size[at]:
        raise UnsupportedError(f"the shape {shown(size)} of {shown(x.shape)} divides the batch")
    before, after = before // lead, after // rest
    parts = [n for n in (before, after) if n != 1]
    return held(arrays.reshape(x.tensor, (BATCH, *size[:at], *parts, *size[at + 1 :])), at, before, after)


def shown(size: Sequence[Any]) -> str:
    """A shape as users read it."""
    size = [ANY_BATCH if isinstance(n, Symbol) else n for n in size]
    words = ["batch" if n == ANY_BATCH else f"{n // ANY_BATCH} * batch" if n > ANY_BATCH else str(n) for n in size]
    return f"({', '.join(words)})"


def permute(x: Any, dims: Sequence[int]) -> Any:
    x = whole(x)
    places = [place for dim in dims for place in x.places(dim) if place]
    at = [axis_of(dim, x.ndim) for dim in dims].index(x.axis)
    return held(arrays.transpose(x.tensor, (0, *places)), at, x.before, x.after)


def unsqueeze(x: Any, dim: int) -> Any:
    x = whole(x)
    dim = axis_of(dim, x.ndim + 1)
    inner = dim <= x.axis
    return x.over(arrays.expand_dims(x.tensor, dim + 1 if inner else dim + x.count - 1), x.behind + (not inner))


def squeeze(x: Merged, dims: Sequence[int] | None) -> Any:
    gone = [dim for dim in axes_of(dims, x.ndim) if dim != x.axis and x.shape[dim] == 1]
    tensor = arrays.squeeze(x.tensor, tuple(x.place(dim) for dim in gone)) if gone else x.tensor
    return x.over(tensor, x.behind - sum(dim > x.axis for dim in gone))


def broadcast(x: Any, size: Sequence[Any]) -> Any:
    """`expand` to a shape with a batch: -1 keeps an extent."""
    own = [1] * (len(size) - x.ndim) + list(shape_of(x))
    size = [had if n == -1 else n for n, had in zip(size, own, strict=True)]
    at = next(i for i, n in enumerate(size) if n >= ANY_BATCH)
    if has_batch(x):
        x = whole(x)
        if len(size) - 1 - at != x.behind or size[at] != own[at]:
            raise UnsupportedError(f"{shown(own)} does not take the shape {shown(size)}")
        before, after, tensor = x.before, x.after, x.padded(at)
    else:
        before, after, tensor = 1, size[at] // ANY_BATCH, x
        lead = at - (len(size) - x.ndim)
        if own[at] != 1:
            raise UnsupportedError(f"{shown(own)} does not take the shape {shown(size)}")
        if lead >= 0:
            shape = tuple(x.shape)
            tensor = arrays.reshape(x, (*shape[:lead], *([1] if after != 1 else []), *shape[lead + 1 :]))
    parts = [n for n in (before, after) if n != 1]
    return held(arrays.broadcast_to(tensor, (BATCH, *size[:at], *parts, *size[at + 1 :])), at, before, after)


# --- operators ----------------------------------------------------------------------------------------------------


def _names(rows: Sequence[Any]) -> set[str]:
    found = {name for row in rows for names, _ in vocabulary.entries(row, "torch") for name in names}
    return {name.rpartition(".")[2].rstrip("_") for name in found}


# Operators that give a tensor of the same dimensions, of which each row depends on that row of the inputs.
ALIKE = {
    *_names(elementwise.ROWS), *_names(activations.ROWS), "dropout", "alpha_dropout", "native_dropout", "clone", "copy",
    "to", "_to_copy", "type_as", "detach", "alias", "contiguous", "lift_fresh_copy", "masked_fill", "cumsum", "cumprod",
    "sort", "argsort", "topk", "flip", "roll", "narrow", "gather", "split", "split_with_sizes", "chunk", "cat", "rsub",
    "_softmax", "_log_softmax", "log_sigmoid", "bernoulli", "uniform", "normal_functional", "fill", "zero", "rand_like",
    "randn_like", "zeros_like", "ones_like", "full_like", "empty_like", "__and__", "__or__", "__xor__",
} - {"equal", "prelu"}  # fmt: skip
# Operators that take dimensions away.
REDUCED = {
    "sum", "mean", "any", "all", "argmax", "argmin", "logsumexp", "max", "min", "amax", "amin", "var", "std", "norm",
    "linalg_vector_norm", "prod", "var_mean", "std_mean", "median", "select", "unbind", "count_nonzero",
}  # fmt: skip
# The dimension along which operators go that are not given one.
ALONG = {
    "glu": -1,
    "sort": -1,
    "argsort": -1,
    "topk": -1,
    "split": 0,
    "split_with_sizes": 0,
    "chunk": 0,
    "cat": 0,
    "unbind": 0,
}
# How many of the last dimensions operators work on, of which the batch must not be one; None: those of a shape given.
LAST = {
    "linear": 1, "scaled_dot_product_attention": 2, "embedding": 0, "tril": 2, "triu": 2, "layer_norm": None,
    "rms_norm": None, "native_layer_norm": None,
}  # fmt: skip


def _sum_of_product(self: Any, a: Any, b: Any, beta: float = 1, alpha: float = 1) -> Any:
    total = arrays.matmul(a, b)
    return (total if alpha == 1 else total * alpha) + (self if beta == 1 else self * beta)


# Products: what computes them on any number of dimensions before those of the matrices, and the names of its arguments.
PRODUCTS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "matmul": (arrays.matmul, ("self", "other")),
    "mm": (arrays.matmul, ("self", "mat2")),
    "bmm": (arrays.matmul, ("self", "mat2")),
    "addmm": (_sum_of_product, ("self", "mat1", "mat2")),
    "baddbmm": (_sum_of_product, ("self", "batch1", "batch2")),
}


def _product(base: str, given: Mapping[str, Any], found: Sequence[Merged]) -> Any:
    """A product of matrices of which the batch is among the rows of the first, or in what is before them."""
    function, names = PRODUCTS[base]
    *others, a, b = (given[name] for name in names)
    behind = {m.behind for m in found}
    rows = has_batch(a) and behind == {1} and not has_batch(b) and b.ndim == 2
    if not rows and not (len(behind) == 1 and min(behind) >= 2 and a.ndim > 1 and b.ndim > 1):
        raise UnsupportedError("the batch is in a dimension that the product sums over, or in its columns")
    lead = max(m.axis for m in found)
    operands = [*(_aligned(v, found[0], lead) for v in (*others, a)), b if rows else _aligned(b, found[0], lead)]
    options = {name: value for name, value in given.items() if name not in names}
    return found[0].over(function(*operands, **options))


def merged_in(values: Any) -> list[Merged]:
    return [value for value in _leaves(list(values)) if isinstance(value, Merged)]


def has_merged(value: Any) -> bool:
    return bool(merged_in([value]))


def compute(op: str, function: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """What an operator gives for arguments of which some are `Merged`. Raises UnsupportedError where it mixes rows."""
    base = op.partition(".")[0]
    found = [whole(v) for v in _leaves(list(given.values())) if isinstance(v, (Merged, Tensor)) and has_batch(v)]
    first = found[0]
    if any((m.before, m.after) != (first.before, first.after) for m in found):
        raise UnsupportedError("tensors in which the batch is merged with other dimensions in different ways")
    if base in PRODUCTS:
        return _product(base, given, found)
    if base in LAST:
        least = len(given["normalized_shape"]) if LAST[base] is None else LAST[base]
        if first.behind < least or (given.get("enable_gqa") and first.behind == 2):  # type: ignore[operator]  # a number
            raise UnsupportedError("it works on the dimension of the batch")
        attends = base == "scaled_dot_product_attention"
        plain = {n: _aligned(v, first, first.axis) if attends or has_merged(v) else v for n, v in given.items()}
        return _wrapped(function(**plain), first, first.behind + (base == "embedding"))
    if base not in ALIKE and base not in REDUCED:
        raise UnsupportedError("the batch is merged with another dimension, which this operator does not take apart")
    if len({m.behind for m in found}) > 1:
        raise UnsupportedError("the batch is in different dimensions of its operands")
    if base in ALONG:
        given = {**given, "dim": given.get("dim", ALONG[base])}
    reduces = base in REDUCED and "other" not in given
    return _reduced(base, function, given, first) if reduces else _alike(function, given, found)


def _alike(function: Callable[..., Any], given: Mapping[str, Any], found: Sequence[Merged]) -> Any:
    """The result of an operator that keeps all dimensions, or broadcasts its operands."""
    first = found[0]
    tensors = [v for v in _leaves(list(given.values())) if isinstance(v, (Merged, Tensor))]
    lead = max(v.ndim - 1 - first.behind for v in tensors)
    plain = {name: _aligned(value, first, lead) for name, value in given.items()}
    for name in ("dim", "dims"):
        dims = given.get(name)
        if isinstance(dims, (list, tuple)):
            plain[name] = [first.place(dim) for dim in dims]
        elif dims is not None:
            plain[name] = first.place(dims)
    return _wrapped(function(**plain), first, first.behind)


def _reduced(base: str, function: Callable[..., Any], given: Mapping[str, Any], first: Merged) -> Any:
    """The result of an operator that takes dimensions away."""
    plain = {name: _aligned(value, first, first.axis) for name, value in given.items()}
    dims = given.get("dim")
    if dims is None or dims == []:
        if base in ("argmax", "argmin"):
            raise UnsupportedError("it counts the elements of a whole batch")
        return function(**plain)
    gone = axes_of(dims, first.ndim)
    several = isinstance(dims, (list, tuple))
    plain["dim"] = [place for dim in gone for place in first.places(dim)] if several else first.place(dims)
    if first.axis in gone:
        if given.get("keepdim"):
            raise UnsupportedError("it keeps the dimension of a batch whose rows it adds up")
        return function(**plain)
    kept = given.get("keepdim")
    return _wrapped(function(**plain), first, first.behind - (0 if kept else sum(dim > first.axis for dim in gone)))


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [leaf for part in value for leaf in _leaves(part)]
    return [value]


def _wrapped(result: Any, like: Merged, behind: int) -> Any:
    return map_structure(result, Tensor, lambda y: like.over(y, behind))


def _aligned(value: Any, like: Merged, lead: int) -> Any:
    """An operand in the dimensions of a tensor that is held with its batch first, ``lead`` of them before that."""
    if isinstance(value, (list, tuple)):
        return [_aligned(part, like, lead) for part in value]
    if not isinstance(value, (Merged, Tensor)):
        return value
    if has_batch(value):
        return whole(value).padded(lead)
    if value.ndim <= like.behind:
        return value
    shape, at = tuple(value.shape), value.ndim - 1 - like.behind
    if shape[at] != 1:
        raise UnsupportedError(f"an operand of shape {shape} and one of {shown(like.shape)}")
    return arrays.reshape(value, (*shape[:at], *(1,) * (like.count - 1), *shape[at + 1 :]))
