"""Threads of a network of one hidden layer: each takes its own hidden units (`passes/split_units.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ranvier.engines.native.passes.split_units import PARTS, unit_axes
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import Buffer, View
from ranvier.graph.extents import size
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node

SMALL = 1 << 13  # elements that every thread may compute for itself


def assign(graph: Graph, tasks: Sequence[Task], view: Callable[[Node], View | None], batch: int) -> dict[Buffer, Task]:
    """Give each thread its units, and let every thread compute small values for itself.

    Returns the values that each thread has its own copy of, with the tasks that compute them.
    """
    marked = [t.anchor for t in tasks if t.anchor is not None and t.anchor.attrs.get("of") == "units"]
    if not marked:
        return {}
    axes = unit_axes(graph, next(node for node in marked if "parts" not in node.attrs))
    for task in tasks:
        places = {axes.get(node) if node.shape == task.space else None for node in task.nodes}
        axis = places.pop() if len(places) == 1 else None
        if axis is not None and task.kind in ("map", "contract", "reduce"):
            task.division, task.axis, task.parts = "split", axis, PARTS
    readers: dict[Buffer, list[Task]] = {}
    for task in tasks:
        for source in [*map(view, task.reads), *(task.copy or ())[:1]]:
            if source is not None:
                readers.setdefault(source.buffer, []).append(task)
    replicated: dict[Buffer, Task] = {}
    for task in tasks:
        stored = [target.buffer for _, target in task.stores]
        others = [reader for buffer in stored for reader in readers.get(buffer, ()) if reader is not task]
        if not task.parts and others and _small(task, batch) and _is_replicable(task):
            task.division = "each"
        # Otherwise threads would fetch each other's cache lines, since processors fetch adjacent lines together.
        elif not task.parts or not others or not all(other.parts for other in others):
            continue
        replicated |= dict.fromkeys(stored, task)
    return replicated


def _small(task: Task, batch: int) -> bool:
    """Whether a task is so cheap that every thread may do it."""
    summed = task.anchor if task.kind == "reduce" else None
    return size(task.space if summed is None else summed.inputs[0].shape, batch) <= SMALL


def _is_replicable(task: Task) -> bool:
    """Whether a task computes values of each sample for other tasks, or new weights."""
    kinds = {view.buffer.kind for _, view in task.stores}
    of_samples = task.kind == "map" and task.space[:1] == (BATCH,) and kinds == {"scratch"}
    return of_samples or (task.kind in ("map", "reduce") and kinds == {"input"})
