"""Whether threads may go from one step to the next without waiting for each other.

Between two steps lies no barrier where nothing that a thread does before the next barrier meets what others may still
do of the step before: each goes on with what is its own. A value that is made anew while others may still read the old
one takes turns between two places.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import Buffer, View
from ranvier.graph.node import Node

__all__ = ["turns"]


def turns(
    order: Sequence[Task], view: Callable[[Node], View | None], copied: Collection[Buffer]
) -> set[Buffer] | None:
    """The values that take turns between two places; None where threads must meet after a step.

    Of ``copied`` values each thread has its own.
    """
    last = max((task.phase for task in order), default=0)
    if not last:  # without a barrier within a step nothing would hold a thread back
        return None
    first, end = ([task for task in order if task.phase == phase] for phase in (0, last))
    result = set[Buffer]()
    for before in end:
        made, used = _stores(before), _reads(before, view)
        for after in first:
            if _one_thread(before, after):
                continue
            anew = _stores(after)
            if made & (anew | _reads(after, view)) - set(copied):
                return None
            result |= used & anew - set(copied)
    return result if all(buffer.kind == "scratch" for buffer in result) else None


def _stores(task: Task) -> set[Buffer]:
    return {view.buffer for _, view in task.stores} | {view.buffer for view in (task.copy or ())[1:]}


def _reads(task: Task, view: Callable[[Node], View | None]) -> set[Buffer]:
    found = {source.buffer for node in task.reads if (source := view(node)) is not None}
    return found | {source.buffer for source in (task.copy or ())[:1]}


def _one_thread(before: Task, after: Task) -> bool:
    """Whether what one task leaves is the other's own thread's: however many rows a step has."""
    if before.share == after.share == "serial":
        return before.turn == after.turn
    return before.parts == after.parts > 0
