"""Keras's loops and branches. In a compiled model the number of steps is a constant."""

from __future__ import annotations

import builtins
import functools
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier.ops import arrays as numeric
from ranvier.ops import loops
from ranvier.ops.arrays.promotion import axis_of
from ranvier.ops.keras.arrays import convert_to_tensor, known
from ranvier.ops.keras.placing import choose
from ranvier.support.tree import flatten, map_structure, map_together
from ranvier.tensor import trace
from ranvier.tensor.tensor import Tensor


def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: int | None = None
) -> Any:
    """Apply ``body`` to the variables while ``cond`` of them holds. Evaluated at once."""
    several, rounds = isinstance(loop_vars, (list, tuple)), 0
    values = tuple(loop_vars) if several else (loop_vars,)
    while rounds != maximum_iterations and bool(np.asarray(cond(*values))):
        after = body(*values)
        values, rounds = tuple(after) if several else (after,), rounds + 1
    return values if several else values[0]


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[int, Any], Any], init_val: Any) -> Any:
    """What ``body_fun(i, value)`` makes of a value for each whole number from ``lower`` to below ``upper``."""
    value = init_val
    for i in builtins.range(int(lower), int(upper)):
        value = body_fun(i, value)
    return value


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """What ``f`` makes of each slice along the first axis, stacked. ``xs`` may be arrays in a tuple, list or dict."""
    arrays = map_structure(xs, np.ndarray, convert_to_tensor)
    extents = {x.shape[0] for x in flatten(arrays, Tensor)}
    known(extents, "an operation of all samples at once")
    if len(extents) != 1:
        raise ValueError(f"arrays of {sorted(extents)} rows. Write arrays (tensors, or NumPy's) of one length instead.")
    return loops.scan(lambda nothing, x: (nothing, f(x)), (), arrays)[1]


def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """`map`; an operation of all samples at once does the same in less time."""
    return map(function, elements)


def scan(
    f: Callable[[Any, Any], Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int = 1,
) -> tuple[Any, Any]:
    """``carry, y = f(carry, x)`` for each slice along the first axis, or ``length`` times: the last carry, and every y
    stacked. With ``reverse`` from the last slice to the first. ``f`` is called once, as in Keras on JAX: the loop is a
    part of the compiled program, whatever ``unroll`` is.
    """
    if xs is None and length is None:
        raise ValueError("ops.scan(f, init) has no end. Write xs=, or length=, too.")
    init, xs = (map_structure(tree, np.ndarray, convert_to_tensor) for tree in (init, xs))
    return loops.scan(f, init, xs, length=length, reverse=reverse)


def associative_scan(f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """What ``f`` makes of the elements along an axis up to each: ``[a, f(a, b), f(f(a, b), c), ...]``.

    ``f(before, after)`` gets many elements along the axis at once, and has to be associative: it is called about
    ``log2(n)`` times for n elements. ``elems`` may be arrays in a tuple, list or dict. With ``reverse`` the last
    element comes first.
    """
    values = map_structure(elems, (np.ndarray, int, float), convert_to_tensor)
    every = list(flatten(values, Tensor))
    places = [axis_of(axis, x.ndim) for x in every]
    extents = {x.shape[place] for x, place in zip(every, places, strict=True)}
    known(extents, "an operation of all samples at once")
    if len(extents) != 1:
        raise ValueError(f"elements along axis {axis} of {sorted(extents)}. Write arrays of one extent instead.")

    def part(x: Tensor, start: int, stop: int) -> Any:
        return x[(builtins.slice(None),) * axis_of(axis, x.ndim) + (builtins.slice(start, stop),)]

    def joined(pair: Any, x: Any) -> Any:
        return numeric.concatenate([pair, x], axis_of(axis, x.ndim))

    (size,), shift = extents, 1
    while shift < size:
        if reverse:
            first, rest, kept = (shift, size), (0, size - shift), (size - shift, size)
        else:
            first, rest, kept = (0, size - shift), (shift, size), (0, shift)
        ends = [map_structure(values, Tensor, functools.partial(part, start=a, stop=b)) for a, b in (first, rest, kept)]
        changed = f(ends[0], ends[1])
        pairs = (changed, ends[2]) if reverse else (ends[2], changed)
        values, shift = map_together(pairs, joined), shift * 2
    return values


def vectorize(pyfunc: Callable[..., Any], *, excluded: Any = None, signature: str | None = None) -> Callable[..., Any]:
    """``pyfunc`` for each element of its arguments, which are broadcast; or, by a ``signature`` such as
    ``"(m,n),(n)->(m)"``, for each slice of so many last dimensions. Arguments at the places in ``excluded`` stay whole.
    """
    left = [] if signature is None else re.findall(r"\(([^()]*)\)", signature.partition("->")[0])
    cores = [len([name for name in part.split(",") if name.strip()]) for part in left]

    @functools.wraps(pyfunc)
    def vectorized(*args: Any) -> Any:
        places = [i for i in builtins.range(len(args)) if i not in (excluded or ())]
        if signature is not None and len(cores) != len(places):
            raise ValueError(f"signature {signature!r} is of {len(cores)} arguments, and here are {len(places)}.")
        given = [convert_to_tensor(args[i]) for i in places]
        inner = [x.shape[x.ndim - core :] for x, core in zip(given, cores or [0] * len(given), strict=True)]
        outer = np.broadcast_shapes(*(x.shape[: x.ndim - len(s)] for x, s in zip(given, inner, strict=True)))
        if not outer:
            return pyfunc(*(given[places.index(i)] if i in places else a for i, a in enumerate(args)))
        rows = [
            numeric.reshape(numeric.broadcast_to(x, (*outer, *s)), (math.prod(outer), *s))
            for x, s in zip(given, inner, strict=True)
        ]

        def one(parts: Any) -> Any:
            return pyfunc(*(parts[places.index(i)] if i in places else a for i, a in enumerate(args)))

        return map_structure(map(one, rows), Tensor, lambda y: numeric.reshape(y, (*outer, *y.shape[1:])))

    return vectorized


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """The result of branch ``index`` for the operands; an index out of range takes the nearest branch.

    A compiled model computes all branches and selects one, so their results need equal shapes.
    """
    if not (isinstance(index, Tensor) and trace.state.tracing):
        return branches[min(max(int(np.asarray(index)), 0), len(branches) - 1)](*operands)
    *before, chosen = (branch(*operands) for branch in branches)
    for i in reversed(builtins.range(len(before))):
        chosen = choose(numeric.less_equal(index, i), before[i], chosen)
    return chosen
