"""The loop over time on nested tuples, lists and dicts of tensors."""

from __future__ import annotations

import contextvars
import functools
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATING
from ranvier.graph.node import Type
from ranvier.ops import arrays
from ranvier.support.tree import flatten, map_structure, map_together
from ranvier.tensor import loops
from ranvier.tensor.context import no_grad
from ranvier.tensor.tensor import Tensor

LEAST_CHUNKED = 4  # steps of a loop that is computed again in chunks
_recomputes: contextvars.ContextVar[bool] = contextvars.ContextVar("recomputes", default=False)
# The updates of running statistics in a function that PyTorch's `checkpoint` computes, and computes again.
updates: contextvars.ContextVar[list[Callable[[], None]] | None] = contextvars.ContextVar("updates", default=None)


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

    recompute = recompute or _recomputes.get()
    run = _in_chunks if recompute and first and steps >= LEAST_CHUNKED else functools.partial(_whole, recompute)
    try:
        made = run(flat, first, given, steps, axis, reverse)
    except loops.CarryError as error:  # a number may begin what is a tensor after the first step
        first = [_spread(t, wanted) for t, wanted in zip(first, error.after, strict=True)]
        made = run(flat, first, given, steps, axis, reverse)
    except _NoLoopError:
        made = None
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
            return _recomputing(f, args, kwargs)

        returned: list[Any] = []

        def body(_: Any, parts: list[Tensor]) -> tuple[Any, Any]:
            known = {id(t): part for t, part in zip(given, parts, strict=True)}
            own, named = map_structure(tree, Tensor, lambda t: known.get(id(t), t))
            returned[:] = [_recomputing(f, own, named)]
            return (), [t if t.ndim else arrays.reshape(t, (1,)) for t in flatten(returned[0], Tensor)]

        _, made = scan(body, (), [arrays.expand_dims(t, 1) for t in given], axis=1, recompute=True)
        pairs = zip(made, flatten(returned[0], Tensor), strict=True)
        return _filled(returned[0], [arrays.reshape(t, like.shape) for t, like in pairs])

    return recomputed


def repeated(update: Callable[[], None]) -> None:
    """Update running statistics, without gradients, and once more where a `checkpoint` computes them again."""
    waiting = updates.get()
    if waiting is not None:
        waiting.append(update)
    with no_grad():
        update()


def _recomputing(f: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """What ``f`` returns; the gradients of loops in it compute their steps again."""
    before = _recomputes.set(True)
    try:
        return f(*args, **kwargs)
    finally:
        _recomputes.reset(before)


def _whole(
    recompute: bool,
    body: loops.Body,
    carries: Sequence[Tensor],
    slices: Sequence[Tensor],
    length: int,
    axis: int,
    reverse: bool,
) -> tuple[list[Tensor], list[Tensor]]:
    """One loop of all steps. Raises _NoLoopError where the body does what no loop of a program does."""
    made = loops.scan(body, carries, slices, length=length, axis=axis, reverse=reverse, recompute=recompute)
    if made is None:
        raise _NoLoopError
    return made


def _in_chunks(
    body: loops.Body, carries: Sequence[Tensor], slices: Sequence[Tensor], length: int, axis: int, reverse: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """A loop over chunks of steps, of which the gradient computes one after another again; then the steps left over.

    Chen et al. 2016, "Training deep nets with sublinear memory cost".
    """
    size = math.isqrt(length - 1) + 1
    count = length // size
    left = length - count * size
    # The left-over steps come last, in the order of the loop.
    start, end = (left, length) if reverse else (0, length - left)

    def steps(x: Any, low: int, high: int) -> Any:
        return x[(*(slice(None),) * axis, slice(low, high))]

    def with_axes(x: Any, old: int, *extents: int) -> Any:
        return arrays.reshape(x, (*x.shape[:axis], *extents, *x.shape[axis + old :]))

    chunks = [with_axes(steps(x, start, end), 1, count, size) for x in slices]
    inner = functools.partial(_whole, False, body, length=size, axis=axis, reverse=reverse)
    last, found = _whole(True, inner, carries, chunks, count, axis, reverse)
    stacks = [with_axes(x, 2, count * size) for x in found]
    if not left:
        return last, stacks
    rest = [steps(x, *((0, left) if reverse else (end, length))) for x in slices]
    last, found = _whole(True, body, last, rest, left, axis, reverse)
    pairs = zip(found, stacks, strict=True) if reverse else zip(stacks, found, strict=True)
    return last, [arrays.concatenate(list(pair), axis) for pair in pairs]


class _NoLoopError(Exception):
    """The body of a loop does what no loop of a program does."""


def _spread(first: Tensor, wanted: Type) -> Any:
    """A carry's first value in the shape of the next ones, if it is one number of their dtype."""
    if first.shape or not wanted.shape or first.dtype != wanted.dtype:
        return first
    return arrays.broadcast_to(first, wanted.shape)


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
