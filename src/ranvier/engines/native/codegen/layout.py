"""Where each value of a program is in memory: in scratch that threads share, or in each thread's own memory."""

from __future__ import annotations

from ranvier.engines.native.codegen import prefetch
from ranvier.engines.native.codegen.partition import Partition
from ranvier.engines.native.codegen.thread_private import Copies
from ranvier.engines.native.runtime.context import CLOCK
from ranvier.engines.native.schedule.memory_planning import LINE, pack, round_up
from ranvier.engines.native.schedule.schedule import Schedule
from ranvier.engines.native.schedule.view import Buffer, View
from ranvier.engines.native.target.lanes import SIZE
from ranvier.graph.node import Node


class Layout:
    """The memory of one schedule.

    A thread's own memory holds, in this order: scalars that every thread keeps for itself, its copies of shared values,
    what prefetching needs, the workspace of kernels, the values of the samples at hand, and clocks.
    """

    def __init__(self, schedule: Schedule, partition: Partition, prefetches: bool, clocks: int) -> None:
        self.schedule, self.prefetches, self.clocks = schedule, prefetches, clocks
        # One vector more than the values: rows are stored whole where nothing follows them.
        self.sizes = {
            b: round_up(b.elements * SIZE[b.dtype] + LINE) * (2 if b in (schedule.double_buffered or ()) else 1)
            for b in schedule.buffers
            if b.kind == "scratch" and b not in schedule.local and b not in schedule.replicated
        }
        offsets, self.scratch = pack(self.sizes, schedule.phase_lives)
        own = {b: n * schedule.block * SIZE[b.dtype] + LINE for b, n in schedule.local.items()}
        local, self.local = pack(own, schedule.order_lives)
        self.offsets: dict[Buffer, int] = offsets | local
        self.scalars: dict[Node, int] = {node: LINE * i for i, node in enumerate(schedule.private)}
        self.given: dict[Node, Buffer] = {}  # the caller's copy of each such scalar
        for node, offset in self.scalars.items():
            self.given[node] = schedule.views[node].buffer
            schedule.views[node] = View(Buffer("private", offset, node.dtype, 1), (), ())
        self.copies = Copies(schedule, partition, LINE * len(self.scalars))
        self.workspace = 0  # bytes; the kernels' largest

    @property
    def private(self) -> int:
        """Bytes of each thread's own memory."""
        return self.clocks_at + round_up(CLOCK * self.clocks)

    @property
    def clocks_at(self) -> int:
        return self.workspace_at + round_up(self.workspace) + round_up(self.local)

    @property
    def workspace_at(self) -> int:
        return self.copies.end + (prefetch.BYTES if self.prefetches else 0)
