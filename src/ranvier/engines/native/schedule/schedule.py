"""From a graph to tasks: which nodes one kernel computes together, what is stored, who runs it, and when."""

from __future__ import annotations

from collections import Counter

from ranvier.engines.native.passes.virtual_workers import is_spatial
from ranvier.engines.native.schedule import split_features, split_units
from ranvier.engines.native.schedule.buffers import Places
from ranvier.engines.native.schedule.fusion import Groups
from ranvier.engines.native.schedule.gather_in_place import picked, unfit
from ranvier.engines.native.schedule.loop_nest import TILE_ROWS
from ranvier.engines.native.schedule.memory_planning import Life, pack
from ranvier.engines.native.schedule.ordering import in_order, share_out
from ranvier.engines.native.schedule.step_overlap import turns
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import Buffer
from ranvier.engines.native.target.extents import size
from ranvier.engines.native.target.lanes import SIZE
from ranvier.graph.extents import extent
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node

DENSE = 1 << 18  # bytes of weights from which on to read them once is worth more than to keep samples at hand
CACHE = 1 << 19  # bytes that values of the samples at hand may take: half of a second-level cache


class Schedule:
    """The tasks of a graph, and in ``order`` as they run. ``batch`` is the most rows that a step sees.

    With ``samples_adjacent`` the rows of the batch lie feature by feature, see workers.py.
    """

    def __init__(self, graph: Graph, batch: int, samples_adjacent: bool = False) -> None:
        self.graph, self.batch, self.samples_adjacent = graph, batch, samples_adjacent
        operands = (operand for node in graph.nodes() for operand in node.inputs)
        self.uses = Counter((*operands, *graph.roots()))
        candidates = picked(graph, batch)
        groups, places = self._divide(candidates)
        if laid := unfit(candidates, self.tasks, self.view, batch):
            groups, places = self._divide(candidates - laid)
        # Among how many virtual workers sums over the samples are split; 0 where they are not.
        self.workers = next((extent(t.anchor, 0) for t in self.tasks if t.anchor and t.kind == "partial"), 0)
        large = is_spatial(graph)
        for task in self.tasks:
            task.whole = large and _is_dense(task, batch)
        self.order = in_order(self.tasks, groups.home, places.after, batch)
        # Depth first: so many samples at a time go through all tasks by rows, while their values are in the cache. 0
        # where samples are small: a task takes all its rows, so that weights are read once.
        self.depth = 0
        # Values that only live while their samples are at hand, each thread's own, and the elements of one sample.
        self.local: dict[Buffer, int] = {}
        # When each buffer is in use: by phases, and by places in the order.
        self.phases: dict[Buffer, Life] = {}
        self.places: dict[Buffer, Life] = {}
        self._live()
        if large:
            self._deepen()
        # Values that take turns between two places from step to step; None where threads meet after every step.
        self.turns = turns(self.order, self.view, self.copied) if not self.depth else None
        if self.turns is not None:
            self._overlap()

    def _divide(self, picked: set[Node]) -> tuple[Groups, Places]:
        """Make the tasks, and say where their values lie and who runs them; ``picked`` rows are not laid out."""
        groups = Groups(self.graph, picked)
        places = Places(groups, self.batch, self.samples_adjacent)
        self.tasks, self.buffers, self.private = groups.tasks, places.buffers, places.private
        self.views, self.view = places.views, places.view
        share_out(self.tasks, self.batch, alone=self.batch == 1 and not self.graph.updates)
        # Whether parts of the features may take different times.
        self.uneven = split_features.assign(self.graph, self.tasks, self.batch)
        # Values of which each thread has a copy, and the tasks that make them.
        self.copied = split_units.assign(self.graph, self.tasks, self.view, self.batch)
        return groups, places

    def _live(self) -> None:
        def use(lives: dict[Buffer, Life], buffer: Buffer, at: int) -> None:
            first, last = lives.get(buffer, (at, at))
            lives[buffer] = min(first, at), max(last, at)

        for place, task in enumerate(self.order):
            views = [view for node in task.reads if (view := self.view(node)) is not None]
            for view in (*views, *(view for _, view in task.stores), *(task.copy or ())):
                use(self.phases, view.buffer, task.phase)
                use(self.places, view.buffer, place)

    def _overlap(self) -> None:
        """What the first tasks of a step make must not lie where others may still read of the step before."""
        last = self.order[-1].phase
        for task in self.order:
            for _, view in task.stores if task.phase == 0 else ():
                self.phases[view.buffer] = 0, last

    def _deepen(self) -> None:
        makers = {
            view.buffer: (task, view)
            for task in self.tasks
            for _, view in task.stores
            if task.share == "rows" and task.kind != "partial" and view.buffer.kind == "scratch"
        }
        lasting = set()
        for task in self.tasks:
            for node in task.reads:
                view = self.view(node)
                maker = None if view is None else makers.get(view.buffer)
                together = maker is not None and (task.phase, task.stage) == (maker[0].phase, maker[0].stage)
                if maker is not None and not (together and task.share == "rows" and not task.whole):
                    lasting.add(view.buffer)  # type: ignore[union-attr]  # checked above
        for task in self.tasks:
            task.adds = task.kind == "partial"
        self.local = {b: view.strides[0] for b, (_, view) in makers.items() if b not in lasting}
        a_sample = pack({b: n * SIZE[b.dtype] for b, n in self.local.items()}, self.places)[1]
        a_sample += sum(makers[b][1].strides[0] * SIZE[b.dtype] for b in lasting)
        depth = max(1, CACHE // max(1, a_sample))
        self.depth = depth - depth % TILE_ROWS if depth > TILE_ROWS else depth

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


def _is_dense(task: Task, batch: int) -> bool:
    """Whether a task is the product of rows of features with weights so large that they are better read once."""
    if task.kind != "contract" or len(task.space) != 2 or task.space[0] != BATCH:
        return False
    assert task.anchor is not None
    weights = [node for node in task.anchor.inputs if BATCH not in node.shape]
    return any(size(node.shape, batch) * SIZE[node.dtype] > DENSE for node in weights)
