"""Values of which an axis is as long as a multiple of the batch, which no tensor of a program has.

PyTorch's exporter joins the batch with the steps before a product of matrices, and with the heads of attention, and
takes them apart afterwards. Such a value is a tensor of more axes here, and `Reshape` finds them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier import ops as o
from ranvier.graph.node import BATCH, Symbol
from ranvier.interop.foreign import refuse
from ranvier.interop.onnx.values import ANY_BATCH, Context, known, tensor
from ranvier.tensor.tensor import Tensor

Dims = list[Any]


class Merged:
    """A value each of whose axes is made of ``groups`` of axes of a tensor, which are in their order."""

    def __init__(self, whole: Tensor, groups: Sequence[Sequence[int]]) -> None:
        self.whole, self.groups = whole, [tuple(group) for group in groups]
        self.dtype = whole.dtype

    @property
    def ndim(self) -> int:
        return len(self.groups)

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents as the operator Shape gives them."""
        sizes = _sizes(self.whole)
        return tuple(math.prod(sizes[axis] for axis in group) for group in self.groups)

    def like(self, whole: Tensor) -> Merged:
        """Another value of the same axes."""
        return Merged(whole, self.groups)


def _sizes(x: Any) -> Dims:
    return [ANY_BATCH if isinstance(n, Symbol) else int(n) for n in x.shape]


def reshaped(x: Any, target: Sequence[int], allowzero: bool = False) -> Any:
    """A value in another shape, in which the batch may be a factor. Raises UnsupportedError where it cannot be."""
    shape = x.shape if isinstance(x, Merged) else _sizes(x)
    wanted = [int(shape[i]) if n == 0 and not allowzero else int(n) for i, n in enumerate(target)]
    whole = x.whole if isinstance(x, Merged) else x
    sizes = _sizes(whole)
    if -1 in wanted:
        rest = math.prod(n for n in wanted if n != -1)
        total, unit = math.prod(sizes), ANY_BATCH if ANY_BATCH in sizes and rest % ANY_BATCH else 1
        if not rest or (total // unit) % rest:
            raise refuse(f"{_shown(shape)} cannot be {_shown(wanted)}")
        wanted[wanted.index(-1)] = total // unit // rest * unit
    if math.prod(sizes) != math.prod(wanted):
        raise refuse(f"{_shown(shape)} cannot be {_shown(wanted)}")
    if ANY_BATCH not in sizes or 0 in sizes:
        return o.reshape(whole, tuple(BATCH if n == ANY_BATCH else n for n in wanted))
    return _regrouped(whole, sizes, wanted)


def _regrouped(whole: Any, sizes: Dims, wanted: Dims) -> Any:
    """The tensor whose axes make up the wanted ones: the batch is an axis of its own."""
    pieces = _pieces(sizes, wanted)
    dims: Dims = []
    groups: list[tuple[int, ...]] = []
    for parts in pieces:  # the numbers of an axis are one, those before the batch and those after it
        at = parts.index(ANY_BATCH) if ANY_BATCH in parts else None
        own = [math.prod(parts)] if at is None else [math.prod(parts[:at]), ANY_BATCH, math.prod(parts[at + 1 :])]
        own = own if at is None else [n for n in own if n != 1]
        groups.append(tuple(range(len(dims), len(dims) + len(own))))
        dims += own
    before, after = sizes.index(ANY_BATCH), dims.index(ANY_BATCH)
    first = o.transpose(whole, axes=(before, *(n for n in range(len(sizes)) if n != before))) if before else whole
    made = o.reshape(first, (BATCH, *dims[:after], *dims[after + 1 :]))
    order = [*range(1, after + 1), 0, *range(after + 1, len(dims))]
    made = o.transpose(made, axes=tuple(order)) if after else made
    return made if all(len(group) == 1 for group in groups) else Merged(made, groups)


def _pieces(sizes: Dims, wanted: Dims) -> list[Dims]:
    """For each wanted extent its factors, of which the given extents consist too, in their order."""
    found: list[Dims] = []
    left = iter(sizes)
    a = 1
    for extent in wanted:
        parts, b = list[Any](), extent
        while b != 1:
            while a == 1:
                a = next(left)
            common = _common(a, b)
            if common == 1:
                raise refuse(f"{_shown(sizes)} cannot be {_shown(wanted)} for batches of any size")
            parts.append(common)
            a, b = a // common, b // common
        found.append(parts)
    return found


def _common(a: int, b: int) -> int:
    """The factor that the front parts of two extents have in common: one of both, or 1. The first is a tensor's."""
    if a == ANY_BATCH:
        return a if b % a == 0 else 1
    number = b // ANY_BATCH if b % ANY_BATCH == 0 else b
    if number % a == 0:
        return a
    return b if a % b == 0 else 1


def _shown(dims: Sequence[int]) -> str:
    """Extents for an error."""
    words = [str(n) if n < ANY_BATCH // 2 else "batch" if n == ANY_BATCH else f"{n // ANY_BATCH} * batch" for n in dims]
    return f"({', '.join(words)})"


# --- operators ----------------------------------------------------------------------------------------------------

EACH = frozenset({
    "Abs", "Add", "Cast", "CastLike", "Celu", "Clip", "Cos", "Div", "Dropout", "Elu", "Erf", "Exp", "Gelu",
    "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log", "Max", "Min", "Mish", "Mul", "Neg", "Not", "Pow",
    "Reciprocal", "Relu", "Selu", "Sigmoid", "Sin", "Softplus", "Softsign", "Sqrt", "Sub", "Swish", "Tanh", "Where",
})  # fmt: skip
"""Operators on each element."""
LAST = frozenset({"Softmax", "LogSoftmax", "LayerNormalization", "RMSNormalization"})
"""Operators along the last axis."""


def compute(
    op: str, context: Context, given: Sequence[Any], attributes: dict[str, Any], run: Callable[..., Any]
) -> Any:
    """What an operator gives for values of which one has such an axis. ``run`` computes it for tensors."""
    x = next(value for value in given if isinstance(value, Merged))
    if op == "Reshape":
        return reshaped(x, [int(n) for n in np.ravel(known(given[1], "the shape"))], bool(attributes.get("allowzero")))
    if op == "Shape":
        return np.array(x.shape[attributes.get("start", 0) : attributes.get("end")], np.int64)
    if op == "Transpose":
        return _transposed(x, attributes.get("perm"))
    if op in EACH:
        return x.like(run(op, context, [_aligned(value, x) for value in given], attributes))
    if op in LAST and attributes.get("axis", -1) in (-1, x.ndim - 1) and len(x.groups[-1]) == 1 and given[0] is x:
        return x.like(run(op, context, [x.whole, *given[1:]], {**attributes, "axis": -1}))
    if op in ("MatMul", "Gemm") and len(x.groups[-1]) == 1:
        made = _product(op, context, given, attributes, run)
        if made is not None:
            return made
    raise refuse(f"an axis of {_shown(x.shape)} is a multiple of the batch")


def _transposed(x: Merged, perm: Sequence[int] | None) -> Merged:
    order = list(perm) if perm is not None else list(range(x.ndim))[::-1]
    axes = [axis for place in order for axis in x.groups[place]]
    ends = np.cumsum([0, *(len(x.groups[place]) for place in order)]).tolist()
    return Merged(o.transpose(x.whole, axes=tuple(axes)), [range(i, j) for i, j in itertools.pairwise(ends)])


def _aligned(value: Any, x: Merged) -> Any:
    """An operand with the axes of the tensor of ``x``."""
    if value is None or value is x:
        return value if value is None else x.whole
    if isinstance(value, Merged):
        if value.groups == x.groups and _sizes(value.whole) == _sizes(x.whole):
            return value.whole
        raise refuse("operands whose axes are multiples of the batch in different ways")
    dims: Dims = []
    for n, group in zip(reversed(tuple(value.shape)), reversed(x.groups), strict=False):
        if len(group) > 1 and n != 1:
            raise refuse("an operand as long as a multiple of the batch")
        dims = [n, *dims] if len(group) == 1 else [*[1] * len(group), *dims]
    if value.ndim > x.ndim:
        raise refuse("an operand of more axes than one that is a multiple of the batch")
    return o.reshape(tensor(value), tuple(dims))


def _product(
    op: str, context: Context, given: Sequence[Any], attributes: dict[str, Any], run: Callable[..., Any]
) -> Merged | None:
    """A product of matrices, of rows that are a multiple of the batch or of as many pairs; None for others."""
    x, y = given[:2]
    if not isinstance(x, Merged) or attributes.get("transA"):
        return None
    if isinstance(y, Merged):
        alike = x.ndim == y.ndim and [len(group) for group in y.groups[-2:]] == [1, 1] == [
            len(group) for group in x.groups[-2:]
        ]
        if not alike or x.groups[:-2] != y.groups[:-2]:
            return None
        return x.like(run(op, context, [x.whole, y.whole], attributes))
    if len(y.shape) != 2:
        return None
    if op == "MatMul":
        return x.like(run(op, context, [x.whole, y], attributes))
    if len(given) > 2 and given[2] is not None and len(given[2].shape) > 1:
        return None
    return x.like(run(op, context, [x.whole, *given[1:]], attributes))
