"""Whether threads may start the next step without waiting for each other.

There is no barrier between two steps if nothing that a thread does before the next barrier conflicts with what other
threads may still do in the step before. A value that is computed again while others may still read the old one is
double-buffered.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import Buffer, View
from ranvier.graph.node import Node


def double_buffered(
    order: Sequence[Task], view: Callable[[Node], View | None], replicated: Collection[Buffer]
) -> set[Buffer] | None:
    """The values that are double-buffered; None where a barrier must follow each step.

    Each thread has its own copy of ``replicated`` values.
    """
    last = max((task.phase for task in order), default=0)
    if not last:  # without a barrier in a step, a thread could be several steps ahead
        return None
    first, end = ([task for task in order if task.phase == phase] for phase in (0, last))
    result = set[Buffer]()
    for before in end:
        written, read = _stores(before), _reads(before, view)
        for after in first:
            if _same_thread(before, after):
                continue
            rewritten = _stores(after)
            if written & (rewritten | _reads(after, view)) - set(replicated):
                return None
            result |= read & rewritten - set(replicated)
    return result if all(buffer.kind == "scratch" for buffer in result) else None


def _stores(task: Task) -> set[Buffer]:
    return {view.buffer for _, view in task.stores} | {view.buffer for view in (task.copy or ())[1:]}


def _reads(task: Task, view: Callable[[Node], View | None]) -> set[Buffer]:
    found = {source.buffer for node in task.reads if (source := view(node)) is not None}
    return found | {source.buffer for source in (task.copy or ())[:1]}


def _same_thread(before: Task, after: Task) -> bool:
    """Whether one thread computes and reads the same part in both tasks, however many rows a step has."""
    if before.division == after.division == "serial":
        return before.turn == after.turn
    return before.parts == after.parts > 0
