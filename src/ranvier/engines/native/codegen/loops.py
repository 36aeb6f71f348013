"""Loops over a task's space: 16 indices at a time, masks, and what is done at each index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ranvier.engines.native.codegen.kernel import At, Index, Kernel
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.target.lanes import LANES, Scalar, lane_constants, tail_mask, vector

Body = Callable[[Index], None]


def shared(k: Kernel, task: Task, axis: int) -> tuple[Scalar, Scalar]:
    """The range of an axis of the task's space that this call computes."""
    if task.division in ("serial", "each") or axis != task.axis:
        return 0, k.extent(task.space[axis])
    return "%lo", "%hi"


@contextmanager
def masked(k: Kernel, mask: str | None) -> Iterator[None]:
    before, k.mask = k.mask, mask
    try:
        yield
    finally:
        k.mask = before


@contextmanager
def scope(k: Kernel) -> Iterator[None]:
    k.scopes.append({})
    try:
        yield
    finally:
        k.scopes.pop()


def along(k: Kernel, low: Scalar, high: Scalar, body: Callable[[At], None], *, once: bool = False) -> None:
    """Run ``body`` for 16 indices at a time from low to high, the last ones masked.

    ``once`` masks every iteration, so the body is emitted once instead of twice.
    """
    f = k.function
    if once:
        with f.loop(low, high, LANES) as loop, masked(k, dynamic_mask(k, f.sub(high, loop.index))), scope(k):
            body(At(loop.index, 1))
        return
    if isinstance(low, int) and isinstance(high, int):
        end = low + (high - low) // LANES * LANES
        if end - low == LANES:
            with scope(k):
                body(At(low, 1))
        elif end > low:
            with f.loop(low, end, LANES) as loop, scope(k):
                body(At(loop.index, 1))
        if high > end:
            with scope(k), masked(k, tail_mask(high - end)):
                body(At(end, 1))
        return
    full = f.add(low, f.multiple(f.sub(high, low), LANES))
    with f.loop(low, full, LANES) as loop, scope(k):
        body(At(loop.index, 1))
    rest = f.sub(high, full)
    with f.when(f.op(f"icmp sgt i64 {rest}, 0")), scope(k), masked(k, dynamic_mask(k, rest)):
        body(At(full, 1))


def carried(
    k: Kernel, low: Scalar, high: Scalar, carry: list[tuple[str, str]], body: Callable[[Scalar, list[str]], list[str]]
) -> list[str]:
    """The values of ``carry``, (type, first value) of each, after 16 indices at a time, the last ones masked."""
    f, values = k.function, [value for _, value in carry]
    extent = f.sub(high, low)
    whole = f.multiple(extent, LANES)
    full = f.add(low, whole)
    if whole != 0:
        with f.loop(low, full, LANES, carry=carry) as loop, scope(k):
            loop.next = body(loop.index, loop.values)
        values = loop.results
    if whole == extent:
        return values
    rest = f.sub(high, full)
    mask = tail_mask(rest) if isinstance(rest, int) else dynamic_mask(k, rest)
    with masked(k, mask), scope(k):  # an empty mask changes nothing
        return body(full, values)


def panels(k: Kernel, low: int, high: int, wide: int, body: Callable[[Scalar, int], None], fewer: int = 0) -> None:
    """Run ``body`` for the start and the columns of each whole panel of ``wide`` columns, then of what is left.

    ``fewer`` of the whole panels are left to the last one.
    """
    full = low + ((high - low) // wide - fewer) * wide
    if full - low == wide:
        body(low, wide)
    elif full > low:
        with k.function.loop(low, full, wide) as turn, scope(k):
            body(turn.index, wide)
    if high > full:
        with scope(k):
            body(full, high - full)


def dynamic_mask(k: Kernel, count: Scalar) -> str:
    f = k.function
    lanes = lane_constants(range(LANES), "i64")
    return f.op(f"icmp slt {vector('i64')} {lanes}, {f.splat(str(count), 'i64')}")


def nest(
    k: Kernel, ranges: Sequence[tuple[Scalar, Scalar]], body: Body, outer: Index = (), *, wide: bool, once: bool = False
) -> None:
    """Nested loops over ``ranges``; the innermost takes 16 indices at a time if ``wide``. ``once``: see `along`.

    ``outer`` is the index along the first ranges, inside their loops. (A closure that called itself would be a cycle
    that keeps the kernel, and with it the schedule, in memory.)
    """
    depth = len(outer)
    if depth == len(ranges):
        body(outer)
        return
    low, high = ranges[depth]
    if wide and depth == len(ranges) - 1:
        along(k, low, high, lambda at: body((*outer, at)), once=once)
    elif isinstance(low, int) and high == low + 1:
        nest(k, ranges, body, (*outer, At(low)), wide=wide, once=once)
    else:
        with k.function.loop(low, high) as loop, scope(k):
            nest(k, ranges, body, (*outer, At(loop.index)), wide=wide, once=once)


def finish(k: Kernel, task: Task, index: Index) -> None:
    """Compute the members at an index of the space, and store results."""
    for node in task.members:
        k.value(node, index)
    for node, view in task.stores:
        k.store(view, index, k.value(node, index))
