"""Broadcasting, axes and dtype promotion: from NumPy's rules to the strict types of primitives."""

from __future__ import annotations

import builtins
import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

from ranvier.graph.dtypes import ELEMENT_TYPES, FLOATS, SIGNED, limits, merged, promote, promoted
from ranvier.graph.extents import Extent
from ranvier.graph.node import GraphError, Node, apply, constant, full
from ranvier.tensor.context import get_dtype

INTEGER = "int64"  # what a Python int makes of a bool tensor
Axes = int | Sequence[int] | None


def result_dtype(*values: Any) -> str:
    """The dtype in which these nodes and Python numbers meet.

    Of 0-d nodes beside others, and of numbers beside nodes, only a higher category counts: bool, integer, float.
    """
    nodes = [v for v in values if hasattr(v, "dtype")]
    ranked = promote(v.dtype for v in nodes if v.ndim)
    result = merged(ranked, promote(v.dtype for v in nodes if not v.ndim))
    return merged(result, promote(_dtype_of_number(v) for v in values if not hasattr(v, "dtype"))) or "bool"


def _dtype_of_number(value: Any) -> str:
    return "bool" if isinstance(value, bool) else INTEGER if isinstance(value, int) else get_dtype()


def as_node(value: Any, dtype: str) -> Node:
    """A node, array or Python number as a node of ``dtype``. Raises GraphError for an integer that does not fit it."""
    if not isinstance(value, Node):
        return _fitting(value, dtype)
    return value if value.dtype == dtype else apply("cast", value, dtype=dtype)


def _fitting(value: Any, dtype: str) -> Node:
    try:
        return constant(value, dtype)
    except OverflowError:
        low, high = limits(dtype)
        raise GraphError(
            f"the number {value} does not fit {dtype}, which holds {low} to {high}: write x.to('int64') or a number "
            "that fits"
        ) from None


def broadcast_shape(*shapes: Sequence[Any]) -> tuple[Any, ...]:
    """NumPy's rule: aligned at the right, extents are equal or 1."""
    result: list[Any] = []
    for i in range(1, builtins.max(map(len, shapes), default=0) + 1):
        dims = {s[-i] for s in shapes if len(s) >= i} - {1}
        if len(dims) > 1:
            raise GraphError(
                f"shapes {' and '.join(map(str, shapes))} do not broadcast: write shapes that are equal or 1"
            )
        result.append(dims.pop() if dims else 1)
    return tuple(reversed(result))


def expand(node: Node, shape: Sequence[Any]) -> Node:
    """Broadcast a node by NumPy's rule to ``shape``."""
    shape = tuple(shape)
    if node.shape == shape:
        return node
    lead = len(shape) - node.ndim
    kept = [i for i, d in enumerate(node.shape) if lead >= 0 and d == shape[i + lead]]
    if lead < 0 or builtins.any(d != 1 for i, d in enumerate(node.shape) if i not in kept):
        raise GraphError(f"shape {node.shape} does not broadcast to {shape}")
    if len(kept) < node.ndim:
        node = apply("reshape", node, shape=tuple(node.shape[i] for i in kept))
    return apply("broadcast", node, shape=shape, axes=tuple(i + lead for i in kept))


def together(*values: Any, dtype: str | None = None) -> list[Node]:
    """Operands at one shape and one dtype."""
    dtype = dtype or result_dtype(*values)
    nodes = [as_node(v, dtype) for v in values]
    shape = broadcast_shape(*(n.shape for n in nodes))
    return [expand(n, shape) for n in nodes]


def total_of(nodes: Sequence[Node]) -> Node:
    """The sum of nodes of one type, in their order."""
    return functools.reduce(operator.add, nodes)


def floating(x: Any) -> Node:
    """``x`` in its floating dtype, or in the default one."""
    dtype = result_dtype(x)
    return as_node(x, dtype if dtype in FLOATS else get_dtype())


def signed(x: Node) -> Node:
    return x if x.dtype in SIGNED else as_node(x, promoted(x.dtype, "int32"))


def arithmetic(x: Node) -> Node:
    """``x`` in the type in which programs compute with it: float32 for 16-bit floats."""
    return as_node(x, ELEMENT_TYPES[x.dtype].arithmetic)


def counted(x: Node) -> Node:
    """``x`` as a number: int32 for bool."""
    return as_node(x, "int32") if x.dtype == "bool" else x


def of_32_bits(x: Node) -> Node:
    """Integers of fewer bits, and bool, as int32 or, where they are unsigned, uint32: those of sums and products."""
    row = ELEMENT_TYPES[x.dtype]
    if row.category == "float" or row.bits >= 32:
        return x
    return as_node(x, "uint32" if row.category == "integer" and not row.signed else "int32")


def index_node(x: Node) -> Node:
    """Indices and labels as int32. Those of 64 bits beyond it become its largest and smallest, where no row is."""
    if x.dtype == "uint64":
        high = full(limits("int32")[1], x.shape, x.dtype)
        x = apply("select", apply("less", high, x), high, x)
    if x.dtype == "int64":
        low, high = (full(limit, x.shape, x.dtype) for limit in limits("int32"))
        x = apply("maximum", apply("minimum", x, high), low)
    return as_node(x, "int32")


class NoAxesError(GraphError):
    """Axis 0 or -1 of a value without dimensions. PyTorch's functions take it for a vector of one element then."""


def axis_of(axis: Any, ndim: int) -> int:
    """The place, from 0 on, of an axis that may be counted from the end. Raises for one that is not there."""
    try:
        place = operator.index(axis)
    except TypeError:
        raise TypeError(f"axis {axis!r} is no whole number: write one, such as 0 or -1") from None
    if not -ndim <= place < ndim:
        there = f"write {-ndim} to {ndim - 1}" if ndim else "it has none"
        kind = NoAxesError if not ndim and place in (0, -1) else GraphError
        raise kind(f"axis {place} does not exist in a tensor of {ndim} dimensions: {there}")
    return place % ndim


def axes_of(axis: Axes, ndim: int) -> tuple[int, ...]:
    """The places of one axis, several, or all, in order. Raises for one that is not there, or is there twice."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, (tuple, list, range)) else (axis,)
    axes = sorted(axis_of(a, ndim) for a in given)
    if len(set(axes)) < len(axes):
        raise GraphError(f"axes {tuple(given)} of {ndim} dimensions name an axis twice: write each once")
    return tuple(axes)


def keep(reduced: Node, shape: Sequence[Any], axes: Sequence[int], keepdims: bool) -> Node:
    kept = tuple(1 if i in axes else d for i, d in enumerate(shape))
    return apply("reshape", reduced, shape=kept) if keepdims else reduced


def count(dims: Sequence[Any], dtype: str) -> Node:
    """The product of extents, known or not, as a scalar: what a mean divides by."""
    known = constant(math.prod(d for d in dims if not isinstance(d, Extent)), dtype)
    names = tuple(d.name for d in dims if isinstance(d, Extent))
    return apply("extent", symbols=names, dtype=dtype) * known if names else known
