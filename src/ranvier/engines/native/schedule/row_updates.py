"""Updates of a table of which a step changes only the rows that it used.

The gradient of a table by the rows that were looked up is zero in all other rows, where descent without momentum leaves
the weights as they are: ``p - rate * 0``. Such an update is computed with the sum of the gradient's rows, for these
rows alone, and the gradient is never in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ranvier.engines.native.schedule.task import Task
from ranvier.graph.extents import size
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, FLOATS, Node

REPEATS = 4  # how often a row may be used on average: above this, most rows are, and their sums are made in the cache


def row_updates(graph: Graph, batch: int) -> dict[Node, Node]:
    """The new values of tables that differ from the old ones in the used rows alone, each with the sum by rows."""
    readers = graph.readers()
    wanted = Counter(value for _, value in graph.updates)
    found = {}
    for target, value in graph.updates:
        if value in graph.outputs or wanted[value] > 1 or value.op.name not in ("add", "sub"):
            continue
        table, change = value.inputs
        sums = _sums_in(change, readers)
        if table is target and sums is not None and _fits(sums, batch):
            found[value] = sums
    return found


def not_overwritten(tables: Mapping[Node, Node], tasks: Sequence[Task]) -> set[Node]:
    """Those of the new tables that are not written over the old ones, whose other rows would be missing."""
    written = {
        node
        for task in tasks
        if task.kind == "scatter"
        for node, view in task.stores
        if view.buffer.kind == "input" and len(task.stores) == 1
    }
    return set(tables) - written


def _sums_in(change: Node, readers: Mapping[Node, Sequence[Node]]) -> Node | None:
    """The sum by rows that a change is, or a multiple of; None for anything else, and where something else reads it."""
    while len(readers.get(change, ())) == 1:
        if change.op.name == "scatter_add":
            return change
        if change.op.name != "mul":
            return None
        factors = [i for i in change.inputs if i.op.name == "broadcast" and not i.inputs[0].shape]
        factors += [i for i in change.inputs if i.op.name == "constant"]
        if len(factors) != 1:
            return None
        change = change.inputs[change.inputs[0] is factors[0]]
    return None


def _fits(sums: Node, batch: int) -> bool:
    """Whether the rows are matrices' rows, and more than are used."""
    index, _ = sums.inputs
    known = all(isinstance(extent, int) for extent in sums.shape) and BATCH not in index.shape[1:]
    if sums.ndim != 2 or sums.dtype not in FLOATS or sums.attrs.get("batch", 0) or not index.ndim or not known:
        return False
    return size(index.shape, batch) <= REPEATS * size(sums.shape[:1], batch)
