"""The loop over time on nested tuples, lists and dicts of tensors."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ranvier.graph.node import Node, Type, apply
from ranvier.ops import arrays
from ranvier.support.tree import flatten, map_structure, map_together
from ranvier.tensor import loops
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor


def scan(
    body: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    slices: Any,
    *,
    length: int | None = None,
    axis: int = 0,
    reverse: bool = False,
    recompute: bool = False,
) -> tuple[Any, Any]:
    """The last carry, and the results stacked along ``axis``, of ``carry, result = body(carry, slice)`` for each slice.

    ``carry``, ``slices`` (None for none, then ``length`` is needed) and the results are tensors, also in tuples, lists
    and dicts. The body is called once, on tensors without values, and becomes a loop of the compiled program: what it
    reads besides is the same in all steps. With ``reverse`` the last slice comes first, and results stay at the places
    of their slices. With ``recompute`` the gradient computes each step again from its carries, which saves memory.

    Raises ValueError for slices of different lengths and TypeError for a carry whose type changes.
    """
    carry, slices = (map_structure(tree, (np.ndarray, int, float), Tensor) for tree in (carry, slices))
    first, given = list(flatten(carry, Tensor)), list(flatten(slices, Tensor))
    lengths = {x.shape[axis] for x in given}
    if len(lengths) > 1:
        raise ValueError(f"slices along axis {axis} of {sorted(lengths)} steps. Write tensors of one length instead.")
    steps = lengths.pop() if lengths else length
    if not isinstance(steps, int):
        raise ValueError(f"a loop of {steps} steps. Write length=, or slices of a known length, instead.")
    structure: list[Any] = []

    def flat(carries: list[Tensor], parts: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        following, result = body(_filled(carry, carries), _filled(slices, parts))
        following, result = (map_structure(tree, (np.ndarray, int, float), Tensor) for tree in (following, result))
        structure[:] = [result]
        return list(flatten(following, Tensor)), list(flatten(result, Tensor))

    try:
        made = loops.scan(flat, first, given, length=steps, axis=axis, reverse=reverse, recompute=recompute)
    except loops.CarryError as error:  # a number may begin what is a tensor after the first step
        first = [_spread(t, wanted) for t, wanted in zip(first, error.after, strict=True)]
        made = loops.scan(flat, first, given, length=steps, axis=axis, reverse=reverse, recompute=recompute)
    if made is None:
        return _in_python(body, carry, slices, steps, axis, reverse)
    return _filled(carry, made[0]), _filled(structure[0], made[1])


def _spread(first: Tensor, wanted: Type) -> Tensor:
    """A carry's first value in the shape of the next ones, if it is one number of their dtype."""
    if first.shape or not wanted.shape or first.dtype != wanted.dtype:
        return first
    spread: Tensor = spread_to(first, wanted.shape)
    return spread


@function
def spread_to(x: Node, shape: tuple[Any, ...]) -> Node:
    """One number in a shape, which may have a symbol."""
    return apply("broadcast", x, shape=shape, axes=())


def _filled(tree: Any, values: list[Tensor]) -> Any:
    rest: Iterator[Tensor] = iter(values)
    return map_structure(tree, Tensor, lambda _: next(rest))


def _in_python(
    body: Callable[[Any, Any], tuple[Any, Any]], carry: Any, slices: Any, steps: int, axis: int, reverse: bool
) -> tuple[Any, Any]:
    """The same loop, step by step, for bodies with gradients of the user's own."""
    results = []
    for t in reversed(range(steps)) if reverse else range(steps):
        part = map_structure(slices, Tensor, operator.itemgetter((slice(None),) * axis + (t,)))
        carry, result = body(carry, part)
        results.append(result)
    ordered = results[::-1] if reverse else results
    return carry, map_together(ordered, lambda *parts: arrays.stack(list(parts), axis)) if results else None
