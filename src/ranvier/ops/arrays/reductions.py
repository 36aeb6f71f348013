"""Sums, means, extrema and reductions composed of them."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence

from ranvier.graph.dtypes import FLOATS, limits
from ranvier.graph.node import Node, apply, like
from ranvier.ops.arrays import elementwise as n
from ranvier.ops.arrays.promotion import (
    Axes,
    as_node,
    axes_of,
    axis_of,
    count,
    counted,
    expand,
    floating,
    keep,
    of_32_bits,
)
from ranvier.ops.arrays.shape import reshape, squeeze
from ranvier.tensor.function import function


@function
def sum(x: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """The sum over one axis, several, or all; of integers below 32 bits int32, of uint8 uint32."""
    axes = axes_of(axis, x.ndim)
    x = of_32_bits(x)
    return keep(apply("reduce_sum", x, axes=axes), x.shape, axes, keepdims)


@function
def mean(x: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """The mean over one axis, several, or all."""
    axes = axes_of(axis, x.ndim)
    x = floating(x)
    total = sum(x, axes, keepdims)
    return total / expand(count([x.shape[a] for a in axes], x.dtype), total.shape)


@function
def var(x: Node, axis: Axes = None, keepdims: bool = False, ddof: int = 0) -> Node:
    """The mean squared distance from the mean, dividing by n - ddof; nan where that is not above 0."""
    axes = axes_of(axis, x.ndim)
    centred = n.subtract(x, mean(x, axes, True))
    if not ddof:
        return mean(centred * centred, axes, keepdims)
    size = count([x.shape[a] for a in axes], centred.dtype)
    return n.divide(sum(centred * centred, axes, keepdims), n.maximum(n.subtract(size, ddof), 0))


def root(x: Node, function: Callable[[Node], Node]) -> Node:
    """A root of a non-negative value with gradient 0 at 0, as PyTorch has it for norms and deviations."""
    at_zero = n.equal(x, 0)
    return n.where(at_zero, 0, function(n.where(at_zero, 1, x)))


@function
def std(x: Node, axis: Axes = None, keepdims: bool = False, ddof: int = 0) -> Node:
    """The square root of `var`; the gradient at 0 is 0."""
    return root(var(x, axis, keepdims, ddof), n.sqrt)


@function
def max(x: Node, axis: Axes = None, keepdims: bool = False, first: bool = False) -> Node:
    """The largest value; equal ones share the gradient, or the ``first`` of them has it."""
    axes = axes_of(axis, x.ndim)
    way = {"first": True} if first else {}
    return as_node(keep(apply("reduce_max", counted(x), axes=axes, **way), x.shape, axes, keepdims), x.dtype)


def _mirrored(x: Node) -> Node:
    """Numbers in the opposite order, from which the same leads back: of integers those of the opposite bits, for
    -(-2**31) is no int32.
    """
    return -x if x.dtype in FLOATS else like(x, builtins.sum(limits(x.dtype))) - x


@function
def min(x: Node, axis: Axes = None, keepdims: bool = False, first: bool = False) -> Node:
    """The smallest value; equal ones share the gradient, or the ``first`` of them has it."""
    return as_node(_mirrored(max(_mirrored(counted(x)), axis, keepdims, first)), x.dtype)


@function
def ptp(x: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """The largest value less the smallest."""
    return n.subtract(max(x, axis, keepdims), min(x, axis, keepdims))


@function
def count_nonzero(x: Node, axis: Axes = None) -> Node:
    """How many elements are not zero, int32."""
    return sum(as_node(n.not_equal(x, 0), "int32"), axis)


def _some(x: Node, axes: Sequence[int]) -> bool:
    """Whether there are elements along these axes."""
    return 0 not in [x.shape[a] for a in axes]


@function
def any(x: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """Whether some element is true; of none, False."""
    axes = axes_of(axis, x.ndim)
    over = max if _some(x, axes) else sum
    return n.less(0, over(as_node(n.truth(x), "int32"), axes, keepdims))


@function
def all(x: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """Whether every element is true; of none, True."""
    return n.logical_not(any(n.logical_not(x), axis, keepdims))


@function
def argmax(x: Node, axis: int | None = None, keepdims: bool = False) -> Node:
    """The index of the first largest value along an axis, or in the flattened tensor; int32."""
    x = counted(x)
    if axis is None:
        flat = apply("argmax", reshape(x, (-1,)), axis=0)
        return keep(flat, x.shape, range(x.ndim), keepdims)
    axis = axis_of(axis, x.ndim)
    return keep(apply("argmax", x, axis=axis), x.shape, (axis,), keepdims)


@function
def argmin(x: Node, axis: int | None = None, keepdims: bool = False) -> Node:
    """The index of the first smallest value along an axis, or in the flattened tensor; int32."""
    return argmax(_mirrored(counted(x)), axis, keepdims)


@function
def logsumexp(x: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """``log(sum(exp(x)))``, stable for any finite x, and minus infinity where all x are, or where there are none."""
    x = floating(x)
    axes = axes_of(axis, x.ndim)
    if not _some(x, axes):
        return n.log(sum(x, axes, keepdims))
    top = apply("stop_gradient", max(x, axes, True))
    top = n.where(n.isfinite(top), top, 0)
    result = n.log(sum(n.exp(n.subtract(x, top)), axes, True)) + top
    return result if keepdims else squeeze(result, axes)


@function
def norm(x: Node, axis: Axes = None, keepdims: bool = False, ord: float = 2) -> Node:
    """The p-norm, ``sum(abs(x) ** ord) ** (1 / ord)``, of vectors along the axes; the gradient at 0 is 0.

    With infinity the largest size, with minus infinity the smallest, with 0 the number of elements that are not 0.
    """
    x = floating(x)
    if ord == 2:
        return root(sum(x * x, axis, keepdims), n.sqrt)
    size = apply("abs", x)
    if ord == 1:
        return sum(size, axis, keepdims)
    if ord in (math.inf, -math.inf):
        return (max if ord > 0 else min)(size, axis, keepdims)
    if ord == 0:
        return sum(as_node(n.not_equal(x, 0), x.dtype), axis, keepdims)
    if ord < 0:  # a single zero outweighs all else
        zero = n.equal(size, 0)
        powers = n.power(n.where(zero, 1, size), float(ord))
        return n.where(any(zero, axis, keepdims), 0, n.power(sum(powers, axis, keepdims), 1 / ord))
    powers = n.power(size, float(ord)) if ord > 1 else root(size, lambda v: n.power(v, float(ord)))
    return root(sum(powers, axis, keepdims), lambda v: n.power(v, 1 / ord))
