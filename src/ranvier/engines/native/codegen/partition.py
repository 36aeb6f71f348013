"""How the threads of a running program share a task: from which row to which, from which part to which.

The numbers are worked out by the program itself, which alone knows how many threads and rows there are; they follow
from these and from the tiles, and never change a result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ranvier.engines.native.codegen.builder import Function
from ranvier.engines.native.codegen.contraction.tile import tile_of
from ranvier.engines.native.schedule.loop_nest import TILE_ROWS, Nest, plan, tiles
from ranvier.engines.native.schedule.schedule import Schedule
from ranvier.engines.native.schedule.sparsity import interleaved_calls, skips_zeros
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import View
from ranvier.engines.native.target.lanes import LANES, Scalar
from ranvier.engines.native.target.target import Target
from ranvier.graph.node import Node


class Shares:
    """The shares of one schedule's tasks, on a target."""

    def __init__(self, schedule: Schedule, target: Target) -> None:
        self.schedule, self.target = schedule, target

    def rows(
        self, f: Function, rows: Scalar
    ) -> tuple[Callable[[Scalar], Scalar], tuple[Scalar, Scalar], tuple[Scalar, Scalar] | None]:
        """Where the rows of each worker begin, this thread's rows, and its workers, where workers share the rows."""
        count = self.schedule.workers
        if self.schedule.samples_adjacent:
            few = 2 * LANES
        elif count:
            few = 1 if self.schedule.depth else TILE_ROWS
        else:
            few = TILE_ROWS // 2  # at the seam a lower tile, rather than one thread that has a whole one more
        blocks = f.floor_divide(f.add(rows, few - 1), few)

        def edge(worker: Scalar) -> Scalar:
            return f.minimum(f.mul(f.floor_divide(f.mul(blocks, worker), count), few), rows)

        if not count:
            return edge, self.portion(f, rows, blocks, few), None
        workers = self.portion(f, count, count, 1)
        return edge, (edge(workers[0]), edge(workers[1])), workers

    @staticmethod
    def portion(f: Function, extent: Scalar, blocks: Scalar, size: int) -> tuple[Scalar, Scalar]:
        """This thread's share of ``extent``, by blocks of ``size``."""

        def edge(thread: Scalar) -> Scalar:
            return f.minimum(f.mul(f.op(f"udiv i64 {f.mul(blocks, thread)}, %nthreads"), size), extent)

        return edge("%tid"), edge(f.add("%tid", 1))

    @contextmanager
    def each(self, f: Function, task: Task, rows: tuple[Scalar, Scalar]) -> Iterator[tuple[Scalar, Scalar]]:
        """This thread's shares of a task, one after the other; for most tasks there is one."""
        if not self.in_turn(task):
            yield self.range(f, task, rows)
            return
        extent = task.space[task.axis]
        assert isinstance(extent, int)
        size = extent // task.parts
        with f.loop("%tid", task.parts, "%nthreads") as turn:
            low = f.mul(turn.index, size)
            yield low, f.add(low, size)

    def in_turn(self, task: Task) -> bool:
        """Whether threads take a task's parts in turn: parts next to each other may be alike, as of a picture."""
        return bool(task.parts) and self.schedule.uneven

    def range(self, f: Function, task: Task, rows: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
        """This thread's share of a task; ``rows`` are its rows of the batch."""
        if task.share == "rows":
            return rows
        if task.share in ("serial", "each") or not task.space:
            return 0, 0
        extent = task.space[task.axis]
        assert isinstance(extent, int)
        size = extent // task.parts if task.parts else self.block(task)
        return self.portion(f, extent, -(-extent // size), size)

    def block(self, task: Task) -> int:
        """The task is divided at multiples of this."""
        if task.kind == "contract":
            nest, height, across = self.nest(task)
            if nest.rows is not None and nest.rows.output == task.axis:
                return height
            if nest.columns is not None and nest.columns.output == task.axis:
                return across * LANES
            return 1
        return LANES if len(task.space) == 1 else 1

    def calls(self, task: Task) -> int:
        """How often all threads together call what is done beside a contraction."""
        nest, height, across = self.nest(task)
        assert task.anchor is not None
        if skips_zeros(task, nest, self._views(task.anchor), self.schedule.batch):
            return interleaved_calls(nest, self.target, task.anchor.dtype)
        return tiles(nest, height, across)

    def nest(self, task: Task) -> tuple[Nest, int, int]:
        """A contraction's loops, and the rows and vectors of its tiles."""
        assert task.anchor is not None
        stored = next(v for n, v in task.stores if n.shape == task.space)
        nest = plan(task.anchor, self._views(task.anchor), stored.strides, lambda columns: 0)
        if nest.columns is None:
            return nest, 1, 1
        return nest, *tile_of(task, nest, self.target, task.anchor.dtype, self.schedule.batch)

    def _views(self, node: Node) -> list[View]:
        """Where a contraction's operands lie."""
        return [view for i in node.inputs if (view := self.schedule.view(i)) is not None]
