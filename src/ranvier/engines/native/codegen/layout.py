"""Where each value of a program is in memory: in scratch that threads share, or in each thread's own memory.

Replicated values have a copy in each thread's; the caller's arrays among them are copied in and out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ranvier.engines.native.codegen import prefetch
from ranvier.engines.native.codegen.builder import Function
from ranvier.engines.native.codegen.partition import Partition
from ranvier.engines.native.runtime.context import CLOCK
from ranvier.engines.native.schedule.memory_planning import LINE, pack, round_up
from ranvier.engines.native.schedule.schedule import Schedule
from ranvier.engines.native.schedule.view import Buffer, View
from ranvier.engines.native.target.lanes import SIZE, Scalar, memory_type
from ranvier.graph.extents import size
from ranvier.graph.node import Node

COPY = "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"


class Copies:
    """The copies of one schedule, in each thread's own memory from the byte ``start`` on."""

    def __init__(self, schedule: Schedule, partition: Partition, start: int) -> None:
        self.schedule, self.partition = schedule, partition
        self.offsets: dict[Buffer, int] = {}
        self.end = round_up(start)
        for buffer in schedule.replicated:
            self.offsets[buffer] = self.end
            self.end += round_up(self._bytes(buffer))

    def _bytes(self, buffer: Buffer) -> int:
        if buffer.kind == "scratch":
            return buffer.elements * SIZE[buffer.dtype] + LINE  # rows are stored as whole vectors
        return size(self.schedule.graph.inputs[buffer.number].shape, 1) * SIZE[buffer.dtype]

    def take(self, f: Function, given: Callable[[Buffer], str], private: str) -> None:
        """Copy the caller's arrays, whose addresses ``given`` has, into a thread's memory."""
        for buffer, offset in self.offsets.items():
            if buffer.kind == "input":
                _copy(f, f.pointer(private, offset, "i8"), given(buffer), self._bytes(buffer))

    def give_back(self, f: Function, given: Callable[[Buffer], str], private: str) -> None:
        """Copy this thread's results to the caller's arrays: all of a copy, or the thread's own part."""
        for buffer, offset in self.offsets.items():
            if buffer.kind != "input":
                continue
            task, pointer, copy = self.schedule.replicated[buffer], given(buffer), f.pointer(private, offset, "i8")
            if task.division == "each":
                with f.when(f.op("icmp eq i64 %tid, 0")):
                    _copy(f, pointer, copy, self._bytes(buffer))
                continue
            shape, element = task.space, memory_type(buffer.dtype)
            pitch, inner = size(shape[task.axis :], 1), size(shape[task.axis + 1 :], 1)
            low, high = self.partition.range(f, task, (0, 0))
            many = f.mul(f.sub(high, low), inner * SIZE[buffer.dtype])
            with f.loop(0, size(shape[: task.axis], 1)) as row:
                at = f.add(f.mul(row.index, pitch), f.mul(low, inner))
                _copy(f, f.pointer(pointer, at, element), f.pointer(copy, at, element), many)


def _copy(f: Function, to: str, source: str, count: Scalar) -> None:
    f.emit(f"call void @llvm.memcpy.p0.p0.i64(ptr {to}, ptr {source}, i64 {count}, i1 false)")


class Layout:
    """The memory of one schedule.

    A thread's own memory holds, in this order: scalars that every thread keeps for itself, its copies of shared values,
    what prefetching needs, the workspace of kernels, the values of the samples at hand, and clocks. ``loops`` are the
    bytes that the bodies of loops take.
    """

    def __init__(
        self, schedule: Schedule, partition: Partition, prefetches: bool, clocks: int, loops: Mapping[Buffer, int]
    ) -> None:
        self.schedule, self.prefetches, self.clocks = schedule, prefetches, clocks
        apart = {*schedule.local, *schedule.of_part, *schedule.replicated}
        # One vector more than the values: rows are stored whole where nothing follows them.
        self.sizes = {
            b: round_up(b.elements * SIZE[b.dtype] + LINE) * (2 if b in (schedule.double_buffered or ()) else 1)
            for b in schedule.buffers
            if b.kind == "scratch" and b not in apart
        }
        self.sizes.update(loops)
        offsets, self.scratch = pack(self.sizes, schedule.phase_lives)
        own = {b: n * schedule.block * SIZE[b.dtype] + LINE for b, n in schedule.local.items()}
        local, self.local = pack(own, schedule.order_lives)
        own = {b: b.elements * SIZE[b.dtype] + LINE for b in schedule.of_part}
        parts, self.of_part = pack(own, schedule.order_lives)
        self.offsets: dict[Buffer, int] = offsets | local | parts
        self.scalars: dict[Node, int] = {node: LINE * i for i, node in enumerate(schedule.private)}
        self.given: dict[Node, Buffer] = {}  # the caller's copy of each such scalar
        for node, offset in self.scalars.items():
            self.given[node] = schedule.views[node].buffer
            schedule.views[node] = View(Buffer("private", offset, node.dtype, 1), (), ())
        self.copies = Copies(schedule, partition, LINE * len(self.scalars))
        self.workspace = 0  # bytes; the kernels' largest, and behind it, in the body of a loop, the values of a part
        self.of_part_at = 0

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
