"""From a graph to tasks: which nodes one kernel computes together, what is stored, who runs it, and when."""

from __future__ import annotations

from collections import Counter

from ranvier.engines.native.grouping import Groups
from ranvier.engines.native.ordering import in_order, share_out
from ranvier.engines.native.placing import Places
from ranvier.graph.graph import Graph


class Schedule:
    """The tasks of a graph, and in ``order`` as they run. ``batch`` is the most rows that a step sees.

    With ``samples_adjacent`` the rows of the batch lie feature by feature, see workers.py.
    """

    def __init__(self, graph: Graph, batch: int, samples_adjacent: bool = False) -> None:
        self.graph, self.batch, self.samples_adjacent = graph, batch, samples_adjacent
        operands = (operand for node in graph.nodes() for operand in node.inputs)
        self.uses = Counter((*operands, *graph.roots()))
        groups = Groups(graph)
        places = Places(groups, batch, samples_adjacent)
        self.tasks, self.buffers, self.private = groups.tasks, places.buffers, places.private
        self.views, self.view = places.views, places.view
        share_out(self.tasks, batch)
        self.order = in_order(self.tasks, groups.home, places.after)

    def __str__(self) -> str:
        """A line for each task, in the order in which they run, and a line where a barrier is."""
        lines, phase = [], 0
        for task in self.order:
            if task.phase != phase:
                lines.append("barrier")
                phase = task.phase
            made = [n.op.name for n in ([task.anchor] if task.anchor else []) + task.members]
            stored = [f"{v.buffer.kind} {v.buffer.number}" for _, v in task.stores]
            space = ", ".join(map(str, task.space))
            lines.append(
                f"k{task.number}: {task.kind} ({space}) by {task.share}: {' '.join(made)} -> {', '.join(stored)}"
            )
        return "\n".join(lines)
