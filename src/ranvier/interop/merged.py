"""Tensors whose batch is not first, or is merged with other dimensions: (steps, batch, ...), (batch * heads, ...).

Programs keep the batch as the first dimension, and alone. Such a tensor is held so here, and has the dimensions that a
module sees. Operators that treat rows alike take it as it is held; reshaping takes merged dimensions apart again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ranvier.graph.extents import Extent
from ranvier.graph.node import BATCH
from ranvier.interop.foreign import ANY_BATCH, BatchSizeError, UnsupportedError
from ranvier.ops import arrays
from ranvier.ops.arrays.promotion import axes_of, axis_of
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
            raise BatchSizeError(f"it goes along dimension {dim}, in which the batch is merged with another")
        return found[0]

    def padded(self, lead: int) -> Any:
        """The tensor with so many dimensions before ``axis``: those that are missing are of extent 1."""
        shape, more = tuple(self.tensor.shape), lead - self.axis
        return arrays.reshape(self.tensor, (BATCH, *(1,) * more, *shape[1:])) if more > 0 else self.tensor

    def spread(self) -> Any:
        """The tensor with its dimensions as the module sees them. Raises UnsupportedError where they are merged."""
        if self.is_merged:
            raise BatchSizeError("the batch is merged with another dimension")
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


def shape_of(x: Any) -> tuple[Any, ...]:
    """The shape in numbers: of a batch of any size, multiples of the number that stands for it."""
    return tuple(ANY_BATCH if isinstance(n, Extent) else n for n in x.shape)


# --- shapes -------------------------------------------------------------------------------------------------------


def reshape(x: Any, size: Sequence[Any]) -> Any:
    """The same elements of a tensor with a batch in another shape, which may merge the batch or take it apart."""
    x, size, wanted = whole(x), list(size), size
    if -1 in size:
        total, rest = math.prod(shape_of(x)), math.prod(n for n in size if n != -1)
        if not rest or total % rest:
            raise _refused(x, wanted)
        size[size.index(-1)] = total // rest
    places = [i for i, n in enumerate(size) if n >= ANY_BATCH]
    if len(places) != 1:
        raise _refused(x, wanted)
    at, own = places[0], shape_of(x)
    before, after = math.prod(own[: x.axis]) * x.before, math.prod(own[x.axis + 1 :]) * x.after
    lead, rest = math.prod(size[:at]), math.prod(size[at + 1 :])
    fits = lead and rest and not before % lead and not after % rest
    if not fits or (before // lead) * (after // rest) * ANY_BATCH != size[at]:
        raise _refused(x, wanted)
    before, after = before // lead, after // rest
    parts = [n for n in (before, after) if n != 1]
    return held(arrays.reshape(x.tensor, (BATCH, *size[:at], *parts, *size[at + 1 :])), at, before, after)


def _refused(x: Any, size: Sequence[Any]) -> UnsupportedError:
    return BatchSizeError(f"{shown(x.shape)} cannot be {shown(size)} for batches of any size")


def shown(size: Sequence[Any]) -> str:
    """A shape as users read it."""
    size = [ANY_BATCH if isinstance(n, Extent) else n for n in size]
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


# --- operators --------------------------------------------------------------------------------------------------------


def merged_in(values: Any) -> list[Merged]:
    return [value for value in _leaves(list(values)) if isinstance(value, Merged)]


def has_merged(value: Any) -> bool:
    return bool(merged_in([value]))


def with_batch(values: Any) -> list[Merged]:
    """The tensors among values that have a batch. Raises UnsupportedError where it is merged in different ways."""
    found = [whole(v) for v in _leaves(list(values)) if isinstance(v, (Merged, Tensor)) and has_batch(v)]
    if any((m.before, m.after) != (found[0].before, found[0].after) for m in found):
        raise BatchSizeError("tensors in which the batch is merged with other dimensions in different ways")
    return found


def alike(function: Callable[..., Any], given: Mapping[str, Any], found: Sequence[Merged]) -> Any:
    """The result of an operator that keeps all dimensions, or broadcasts its operands."""
    first = found[0]
    if len({m.behind for m in found}) > 1:
        raise UnsupportedError("the batch is in different dimensions of its operands")
    tensors = [v for v in _leaves(list(given.values())) if isinstance(v, (Merged, Tensor))]
    lead = max(v.ndim - 1 - first.behind for v in tensors)
    plain = {name: aligned(value, first, lead) for name, value in given.items()}
    for name in ("dim", "dims"):
        dims = given.get(name)
        if isinstance(dims, (list, tuple)):
            plain[name] = [first.place(dim) for dim in dims]
        elif dims is not None:
            plain[name] = first.place(dims)
    return _wrapped(function(**plain), first, first.behind)


def along_last(
    function: Callable[..., Any],
    given: Mapping[str, Any],
    first: Merged,
    least: int,
    aligns: bool = False,
    more: int = 0,
) -> Any:
    """The result of an operator on so many of the last dimensions, which adds ``more`` behind the batch.

    Other operands without a batch are as they are unless it ``aligns`` them.
    """
    if first.behind < least:
        raise UnsupportedError("it works on the dimension of the batch")
    plain = {n: aligned(v, first, first.axis) if aligns or has_merged(v) else v for n, v in given.items()}
    return _wrapped(function(**plain), first, first.behind + more)


def product(function: Callable[..., Any], operands: Sequence[Any]) -> Any:
    """A product of matrices, the last two operands, of which the batch is among the rows of the first, or before them.

    The function takes the operands in their order.
    """
    *others, a, b = operands
    found = with_batch(operands)
    behind = {m.behind for m in found}
    rows = has_batch(a) and behind == {1} and not has_batch(b) and b.ndim == 2
    if not rows and not (len(behind) == 1 and min(behind) >= 2 and a.ndim > 1 and b.ndim > 1):
        raise UnsupportedError("the batch is in a dimension that the product sums over, or in its columns")
    lead = max(m.axis for m in found)
    plain = [*(aligned(v, found[0], lead) for v in (*others, a)), b if rows else aligned(b, found[0], lead)]
    return found[0].over(function(*plain))


def reduced(function: Callable[..., Any], given: Mapping[str, Any], first: Merged, counts: bool = False) -> Any:
    """The result of an operator that takes dimensions away. One that ``counts`` gives numbers of elements."""
    plain = {name: aligned(value, first, first.axis) for name, value in given.items()}
    dims = given.get("dim")
    if dims is None or dims == []:
        if counts:
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


def aligned(value: Any, like: Merged, lead: int) -> Any:
    """An operand in the dimensions of a tensor that is held with its batch first, ``lead`` of them before that."""
    if isinstance(value, (list, tuple)):
        return [aligned(part, like, lead) for part in value]
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
