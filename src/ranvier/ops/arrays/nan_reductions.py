"""Reductions that skip nan, over one axis, several, or all. If all elements are nan, sums are 0 and the rest nan."""

from __future__ import annotations

import math
from collections.abc import Callable

from ranvier.graph.node import FLOATS, Node
from ranvier.ops.arrays import elementwise as n
from ranvier.ops.arrays import reductions
from ranvier.ops.arrays.promotion import Axes
from ranvier.ops.arrays.reductions import root
from ranvier.tensor.function import function


def _counted(x: Node, axis: Axes, keepdims: bool) -> Node:
    """How many elements are not nan."""
    return reductions.sum(n.cast(n.logical_not(n.isnan(x)), "int32"), axis, keepdims)


@function
def nansum(x: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """The sum of the elements that are not nan."""
    return reductions.sum(n.where(n.isnan(x), 0, x), axis, keepdims)


@function
def nanmean(x: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """The mean of the elements that are not nan."""
    return n.divide(nansum(x, axis, keepdims), _counted(x, axis, keepdims))


@function
def nanvar(x: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """The variance of the elements that are not nan."""
    apart = n.subtract(x, nanmean(x, axis, True))
    apart = n.where(n.isnan(x), 0, apart)
    return n.divide(reductions.sum(apart * apart, axis, keepdims), _counted(x, axis, keepdims))


@function
def nanstd(x: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """The standard deviation of the elements that are not nan; the gradient at 0 is 0."""
    return root(nanvar(x, axis, keepdims), n.sqrt)


def _extreme(
    x: Node, axis: Axes, keepdims: bool, worst: float, choose: Callable[..., Node], of_none: float = math.nan
) -> Node:
    """What a reduction chooses, with the worst number in place of nan, and ``of_none`` where all are nan."""
    if x.dtype not in FLOATS:
        return choose(x, axis, keepdims)
    found = choose(n.where(n.isnan(x), worst, x), axis, keepdims)
    return n.where(n.equal(_counted(x, axis, keepdims), 0), of_none, found)


@function
def nanmax(x: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """The largest value that is not nan; equal ones share the gradient."""
    return _extreme(x, axis, keepdims, -math.inf, reductions.max)


@function
def nanmin(x: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """The smallest value that is not nan; equal ones share the gradient."""
    return _extreme(x, axis, keepdims, math.inf, reductions.min)


@function
def nanargmax(x: Node, axis: int | None = None, keepdims: bool = False) -> Node:
    """The index of the first largest value, nan as minus infinity, int32; -1 where all are nan."""
    return _extreme(x, axis, keepdims, -math.inf, reductions.argmax, -1)


@function
def nanargmin(x: Node, axis: int | None = None, keepdims: bool = False) -> Node:
    """The index of the first smallest value, nan as infinity, int32; -1 where all are nan."""
    return _extreme(x, axis, keepdims, math.inf, reductions.argmin, -1)
