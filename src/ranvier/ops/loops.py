"""The loop over time on nested tuples, lists and dicts of tensors."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATING
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
    of their slices. With ``recompute`` the gradient computes the steps again, which saves memory: of n steps, about the
    root of n are kept.

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


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f``, a function or a layer, whose gradient computes it again instead of keeping what it computes on the way.

    So a step of training takes less memory and more time. Loops over time in ``f``, such as recurrent layers, are
    computed again in chunks: of n steps, about the root of n are kept. Tensors that ``f`` takes by other means than its
    arguments, such as weights, are kept. `Keras's name <https://keras.io/api/ops/core>`_ for what PyTorch calls
    ``torch.utils.checkpoint.checkpoint``.

    For example ``rv.remat(rv.layers.LSTM(64))(x)``, or ``rv.remat(self.block)(x)`` in a ``call`` of yours.
    """

    @functools.wraps(f, updated=())
    def recomputed(*args: Any, **kwargs: Any) -> Any:
        tree = (args, kwargs)
        given = [t for t in flatten(tree, Tensor) if t.ndim and t.dtype in FLOATING and t.shape[0] != 0]
        if not given:
            with loops.recomputing():
                return f(*args, **kwargs)

        returned: list[Any] = []

        def body(_: Any, parts: list[Tensor]) -> tuple[Any, Any]:
            known = {id(t): part for t, part in zip(given, parts, strict=True)}
            own, named = map_structure(tree, Tensor, lambda t: known.get(id(t), t))
            with loops.recomputing():
                returned[:] = [f(*own, **named)]
            return (), [t if t.ndim else reshaped(t, (1,)) for t in flatten(returned[0], Tensor)]

        _, made = scan(body, (), [reshaped(t, (t.shape[0], 1, *t.shape[1:])) for t in given], axis=1, recompute=True)
        pairs = zip(made, flatten(returned[0], Tensor), strict=True)
        return _filled(returned[0], [reshaped(t, like.shape) for t, like in pairs])

    return recomputed


def _spread(first: Tensor, wanted: Type) -> Tensor:
    """A carry's first value in the shape of the next ones, if it is one number of their dtype."""
    if first.shape or not wanted.shape or first.dtype != wanted.dtype:
        return first
    spread: Tensor = spread_to(first, wanted.shape)
    return spread


@function
def reshaped(x: Node, shape: tuple[Any, ...]) -> Node:
    """The same elements in another shape, which may have a symbol."""
    return apply("reshape", x, shape=shape)


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
