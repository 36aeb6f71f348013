"""The schedule of a graph: its tasks, their order, and the memory of their values."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

from ranvier.engines.native.passes.primitives import continued
from ranvier.engines.native.passes.sparse_updates import updates_of
from ranvier.engines.native.schedule import split_features, split_units
from ranvier.engines.native.schedule.buffers import Buffers, Interface
from ranvier.engines.native.schedule.fusion import Fusion
from ranvier.engines.native.schedule.gather_in_place import in_place_gathers, not_in_place
from ranvier.engines.native.schedule.joined_parts import join_parts, keep_parts
from ranvier.engines.native.schedule.loop import body_graph, interface_of, packed_inputs, stored_results
from ranvier.engines.native.schedule.loop_nest import TILE_ROWS
from ranvier.engines.native.schedule.mask_bounds import given_bounds, mask_bounds
from ranvier.engines.native.schedule.memory_planning import Life, pack
from ranvier.engines.native.schedule.ordering import divide_tasks, fault_task, in_order, work
from ranvier.engines.native.schedule.row_updates import not_overwritten, row_updates
from ranvier.engines.native.schedule.step_overlap import double_buffered
from ranvier.engines.native.schedule.symbolic_rows import symbolic_rows
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import Buffer, View
from ranvier.engines.native.target.lanes import LANES, SIZE
from ranvier.graph.contraction import is_spatial
from ranvier.graph.extents import size
from ranvier.graph.graph import Graph
from ranvier.graph.maps import operations
from ranvier.graph.node import BATCH, INSTRUCTION, Node, extent
from ranvier.graph.scan import operands

LARGE_WEIGHTS = 1 << 18  # bytes of weights that are better read once than for each block of samples
# Bytes of all partial sums that fit in no cache, and of one that is worth a store of its own.
BEYOND_CACHES, LONG_RESULT = 1 << 24, 1 << 18
BLOCK_BYTES = 1 << 20  # of the values of a block of samples, most of which are used once


class Schedule:
    """The tasks of a graph, and in ``order`` as they run. ``batch`` is the most rows that a step sees.

    With ``samples_adjacent`` a batch is stored feature by feature (`passes/virtual_workers.py`). ``interface`` is that
    of the body of a loop.
    """

    def __init__(
        self, graph: Graph, batch: int, samples_adjacent: bool = False, interface: Interface | None = None
    ) -> None:
        self.graph, self.batch, self.samples_adjacent, self.interface = graph, batch, samples_adjacent, interface
        self.uses = Counter(chain(chain.from_iterable([node.inputs for node in graph.nodes()]), graph.roots()))
        candidates = in_place_gathers(graph, batch) if interface is None else set[Node]()
        tables = row_updates(graph, batch) if interface is None else {}
        self.bounds = mask_bounds(graph)  # of products, by masks that compare positions
        fusion, buffers = self._make_tasks(candidates, tables)
        copied, elsewhere = not_in_place(candidates, self.tasks, self.view, batch), not_overwritten(tables, self.tasks)
        if copied or elsewhere:
            tables = {value: sums for value, sums in tables.items() if value not in elsewhere}
            fusion, buffers = self._make_tasks(candidates - copied, tables)
        # The number of virtual workers; 0 if sums over the samples are not split.
        self.workers = next((extent(t.anchor, 0) for t in self.tasks if t.anchor and t.kind == "partial"), 0)
        large = is_spatial(graph) and interface is None
        for task in self.tasks:
            task.whole = large and _is_dense(task, batch)
        self.order = in_order(self.tasks, fusion.task_of, buffers.after, batch)
        # Samples of a block: all tasks by rows run on one block after another, while its values are in the cache. 0 if
        # samples are small: then a task takes all its rows, and weights are read once.
        self.block = 0
        # Values that are live only within a block, in each thread's own memory, with the elements of one sample.
        self.local: dict[Buffer, int] = {}
        # Slices of a loop's steps, which no step before has read.
        self.unread = {self.views[graph.inputs[i]].buffer for i in interface.slices} if interface else set[Buffer]()
        # When each buffer is in use: by phases, and by positions in the order.
        self.phase_lives: dict[Buffer, Life] = {}
        self.order_lives: dict[Buffer, Life] = {}
        if interface is not None:
            self._prefetch_slices(interface)
        self.loops = {task: self._loop(task) for task in self.order if task.kind == "loop"}
        self._note_lives()
        if large:
            self._use_blocks()
        self._stream_partial_sums()
        # Values that are double-buffered from step to step; None if a barrier follows every step.
        self.fault = fault_task(self.tasks)
        overlaps = not (self.block or self.loops or interface) and self.fault is None
        self.double_buffered = double_buffered(self.order, self.view, self.replicated) if overlaps else None
        if self.double_buffered is not None:
            self._overlap()

    def _make_tasks(self, in_place: set[Node], tables: Mapping[Node, Node]) -> tuple[Fusion, Buffers]:
        """Fuse nodes into tasks, allocate their values and divide them among threads."""
        fusion = Fusion(self.graph, in_place, tables)
        for task in fusion.tasks if self.bounds else ():
            task.bounds = given_bounds(self.bounds.get(task.anchor, ()), fusion.task_of) if task.anchor else ()
        buffers = Buffers(fusion, self.batch, self.samples_adjacent, self.interface)
        self.tasks, self.buffers, self.private = fusion.tasks, buffers.buffers, buffers.private
        self.views, self.view = buffers.views, buffers.view
        divide_tasks(self.tasks, self.batch, self.batch == 1, self.interface is not None)
        # Values that their own part of a task alone reads, in each thread's own memory: the stride along their parts.
        self.of_part: dict[Buffer, int] = {}
        if self.interface is not None and (joined := join_parts(self.tasks, fusion.task_of)):
            self.of_part = keep_parts(joined, self.tasks, self.graph, self.buffers, self.views)
        # Whether parts of the features may take different times.
        self.uneven = split_features.assign(self.graph, self.tasks, self.batch)
        # Values that each thread has its own copy of, and the tasks that compute them.
        self.replicated = split_units.assign(self.graph, self.tasks, self.view, self.batch)
        return fusion, buffers

    def _loop(self, task: Task) -> Loop:
        """The loop of a task, with memory for its body's values."""
        interface = interface_of(task.node, self.view, stored_results(task))
        memory = Buffer("scratch", len(self.buffers), "float32")
        self.buffers.append(memory)
        graph, rows = body_graph(task.node), None
        varying = len(graph.inputs) - len(operands(task.node).constants)
        if (known := symbolic_rows(graph, varying)) is not None:
            graph, rows = known
        body = packed_inputs(graph, interface)
        return Loop(task.node, Schedule(body, rows or self.batch, interface=interface), memory, rows)

    def _prefetch_slices(self, interface: Interface) -> None:
        """Have the largest product of a loop's step, which leaves the memory idle, prefetch what other tasks read and
        write after it, in this step or in the next one. Tasks that compute long functions do not wait for memory.
        """
        products = [t for t in self.order if t.kind == "contract" and t.division == "rows" and len(t.space) == 2]
        if not products:
            return
        beside = max(products, key=lambda task: work(task, self.batch))
        later, ahead = False, dict[Buffer, tuple[View, int]]()
        for task in self.order:
            later = later or task is beside
            if task is beside or any(node.op.cost > INSTRUCTION for node in task.members):
                continue
            read = [view for node in task.reads if (view := self.view(node)) is not None]
            for view in (*read, *(view for _, view in task.stores)):
                step = interface.ahead.get((view.buffer.kind, view.buffer.number))
                if step is not None and view.shape[:1] == (BATCH,) and view.strides[0] < abs(step):
                    ahead.setdefault(view.buffer, (view, 0 if later else step))
        beside.ahead = tuple(ahead.values())

    def _note_lives(self) -> None:
        for place, task in enumerate(self.order):
            views = [view for node in task.reads if (view := self.view(node)) is not None]
            own = [self.loops[task].memory] if task in self.loops else []
            stored = [view.buffer for view in (*views, *(view for _, view in task.stores), *(task.copy or ()))]
            for buffer in (*stored, *own):
                for lives, at in ((self.phase_lives, task.phase), (self.order_lives, place)):
                    lives[buffer] = lives[buffer][0] if buffer in lives else at, at

    def _overlap(self) -> None:
        """What the first tasks of a step write must not overlap what other threads may still read of the last one."""
        last = self.order[-1].phase
        for task in self.order:
            for _, view in task.stores if task.phase == 0 else ():
                self.phase_lives[view.buffer] = 0, last

    def _use_blocks(self) -> None:
        makers = {
            view.buffer: (task, view)
            for task in self.tasks
            for _, view in task.stores
            if task.division == "rows" and task.kind != "partial" and view.buffer.kind == "scratch"
        }
        lasting = set()
        for task in self.tasks:
            for node in task.reads:
                view = self.view(node)
                maker = None if view is None else makers.get(view.buffer)
                together = maker is not None and (task.phase, task.stage) == (maker[0].phase, maker[0].stage)
                if maker is not None and not (together and task.division == "rows" and not task.whole):
                    lasting.add(view.buffer)  # type: ignore[union-attr]  # checked above
        self.local = {b: view.strides[0] for b, (_, view) in makers.items() if b not in lasting}
        a_sample = pack({b: n * SIZE[b.dtype] for b, n in self.local.items()}, self.order_lives)[1]
        a_sample += sum(makers[b][1].strides[0] * SIZE[b.dtype] for b in lasting)
        rows = max(1, BLOCK_BYTES // max(1, a_sample))
        self.block = rows - rows % TILE_ROWS if rows > TILE_ROWS else rows
        once = self.workers and -(-self.batch // self.workers) <= self.block  # a worker's samples come in one call
        for task in self.tasks:
            if task.kind == "partial":
                task.starts = continued(task.node) is None
                task.accumulates = not (task.starts and once) or updates_of(task.node.attrs["inner"]) is not None

    def _stream_partial_sums(self) -> None:
        """Have partial sums of products bypass the caches where all of them exceed these.

        None is read before the last one is written, and an ordinary store reads the line that it overwrites. The
        barrier before they are read waits for such stores too.
        """
        added_to = {continued(task.node) for task in self.tasks if task.kind == "partial"}
        partial = [task for task in self.tasks if task.kind == "partial" and task.node not in added_to]
        products = [task for task in partial if task.node.attrs["inner"].op.name == "contract"]
        written = {task: size(task.stored.shape, self.batch) * SIZE[task.node.dtype] for task in products}
        for task, bytes_ in written.items() if sum(written.values()) > BEYOND_CACHES else ():
            *strides, last = task.stored.strides
            aligned = last == 1 and not any(stride % LANES for stride in (*strides, task.stored.offset))
            task.streams = not task.accumulates and aligned and bytes_ >= LONG_RESULT

    def __str__(self) -> str:
        """A line for each task, in the order in which they run, and a line where a barrier is."""
        lines, phase = [], 0
        for task in self.order:
            if task.phase != phase:
                lines.append("barrier")
                phase = task.phase
            made = [name for node in task.nodes for name in operations(node)]
            stored = [f"{v.buffer.kind} {v.buffer.number}" for _, v in task.stores]
            space = ", ".join(map(str, task.space))
            lines.append(
                f"k{task.number}: {task.kind} ({space}) by {task.division}: {' '.join(made)} -> {', '.join(stored)}"
            )
            lines += textwrap.indent(str(self.loops[task].schedule), "  ").split("\n") if task in self.loops else []
        return "\n".join(lines)


@dataclass(eq=False)
class Loop:
    """A loop over time: its node, the schedule of its body, and the memory of the body's values."""

    node: Node
    schedule: Schedule
    memory: Buffer
    rows: int | None = None  # of its steps, if these are not those of the program

    @property
    def carries(self) -> int:
        return len(self.node.attrs["body"].updates)

    @property
    def joins_steps(self) -> bool:
        """Whether a barrier must follow each step: whether a thread reads of a step what another one wrote."""
        order = self.schedule.order
        carries = set(self.schedule.graph.inputs[: self.carries])
        alone = all(task.division == "rows" and task.phase == order[0].phase for task in order)
        return not alone or any(not row for task in order for node, row in task.reads.items() if node in carries)


def _is_dense(task: Task, batch: int) -> bool:
    """Whether a task multiplies rows of features with weights that are better read once."""
    if task.kind != "contract" or len(task.space) != 2 or task.space[0] != BATCH:
        return False
    weights = [node for node in task.node.inputs if BATCH not in node.shape]
    return any(size(node.shape, batch) * SIZE[node.dtype] > LARGE_WEIGHTS for node in weights)
