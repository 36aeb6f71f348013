"""The partition of a task among the threads of a running program: ranges of rows, of an axis, or of parts.

The program computes the ranges itself, since only it knows the numbers of threads and rows. They follow from these
numbers and from the tiles, and never change a result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ranvier.engines.native.codegen.builder import Function
from ranvier.engines.native.codegen.contraction.tile import narrows, nest_of, tile_of
from ranvier.engines.native.schedule.loop_nest import TILE_ROWS, Nest, tiles
from ranvier.engines.native.schedule.schedule import Schedule
from ranvier.engines.native.schedule.sparsity import interleaved_calls, skips_zeros
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.target.lanes import LANES, Scalar
from ranvier.engines.native.target.target import Target

LONG = 512  # positions of an axis whose terms a mask bounds, from which threads take pieces of it in turn
PIECES = 16
Number = Callable[[int], Scalar]


class RowParts(NamedTuple):
    """The division of a step's rows."""

    first_row_of: Callable[[Scalar], Scalar]  # of each worker
    own: tuple[Scalar, Scalar]  # this thread's rows
    workers: tuple[Scalar, Scalar] | None  # this thread's workers, if there are workers


class Partition:
    """The partition of one schedule's tasks, on a target."""

    def __init__(self, schedule: Schedule, target: Target) -> None:
        self.schedule, self.target = schedule, target

    def rows(self, f: Function, rows: Scalar) -> RowParts:
        count = self.schedule.workers
        if self.schedule.samples_adjacent:
            few = 2 * LANES
        elif count:
            few = 1 if self.schedule.block else TILE_ROWS
        else:
            # Half a tile: otherwise one thread would have a whole tile more than another.
            few = TILE_ROWS // 2
        blocks = f.floor_divide(f.add(rows, few - 1), few)

        def edge(worker: Scalar) -> Scalar:
            return f.minimum(f.mul(f.floor_divide(f.mul(blocks, worker), count), few), rows)

        if not count:
            return RowParts(edge, self.portion(f, rows, blocks, few), None)
        workers = self.portion(f, count, count, 1)
        return RowParts(edge, (edge(workers[0]), edge(workers[1])), workers)

    @staticmethod
    def portion(f: Function, extent: Scalar, blocks: Scalar, size: Scalar) -> tuple[Scalar, Scalar]:
        """This thread's range of ``extent``, in blocks of ``size``."""

        def edge(thread: Scalar) -> Scalar:
            return f.minimum(f.mul(f.op(f"udiv i64 {f.mul(blocks, thread)}, %nthreads"), size), extent)

        return edge("%tid"), edge(f.add("%tid", 1))

    @contextmanager
    def each(
        self, f: Function, task: Task, rows: tuple[Scalar, Scalar], number: Number = int
    ) -> Iterator[tuple[Scalar, Scalar]]:
        """This thread's ranges of a task, one after another; most tasks have one."""
        size = self.piece(task)
        if not size:
            yield self.range(f, task, rows, number)
            return
        extent = task.space[task.axis]
        assert isinstance(extent, int)
        with f.loop("%tid", -(-extent // size), "%nthreads") as turn:
            low = f.mul(turn.index, size)
            yield low, f.add(low, size) if extent % size == 0 else f.minimum(f.add(low, size), extent)

    def piece(self, task: Task) -> int:
        """The size of the pieces that threads take round-robin; 0 where each takes one range.

        A mask leaves some of a long axis with few terms, or with none.
        """
        extent = task.space[task.axis] if task.division == "split" else 0
        if self.is_cyclic(task):
            assert isinstance(extent, int)
            return extent // task.parts
        uneven = any(task.axis in (bound.p, bound.q) for bound in task.bounds)
        if not uneven or not isinstance(extent, int) or extent < LONG:
            return 0
        block = self.block(task)
        return -(-extent // (PIECES * block)) * block

    def is_cyclic(self, task: Task) -> bool:
        """Whether threads take a task's parts round-robin: adjacent parts, as of an image, may be equally sparse."""
        return bool(task.parts) and self.schedule.uneven

    def range(
        self, f: Function, task: Task, rows: tuple[Scalar, Scalar], number: Number = int
    ) -> tuple[Scalar, Scalar]:
        """This thread's range of a task; ``rows`` are its rows of the batch.

        ``number`` makes a value of each of the `blocks`.
        """
        if task.division == "rows":
            return rows
        if _takes_rows_by_number(task):
            return "%tid", "%nthreads"
        blocks = self.blocks(task)
        return self.portion(f, *map(number, blocks)) if blocks else (0, 0)

    def blocks(self, task: Task) -> tuple[int, ...]:
        """The extent that threads divide, the number of its blocks and their size; nothing if they divide none."""
        if task.division in ("rows", "serial", "each") or not task.space or _takes_rows_by_number(task):
            return ()
        extent = task.space[task.axis]
        assert isinstance(extent, int)
        size = extent // task.parts if task.parts else self.block(task)
        return extent, -(-extent // size), size

    def block(self, task: Task) -> int:
        """The task is divided at multiples of this number."""
        if task.kind == "contract":
            nest, height, across = self.nest(task)
            if nest.rows is not None and nest.rows.output == task.axis:
                return height
            if nest.columns is not None and nest.columns.output == task.axis:
                return (2 if narrows(height, across) else across) * LANES
            return 1
        last = task.kind in ("place", "scatter") and task.axis == len(task.space) - 1
        return LANES if len(task.space) == 1 or last else 1

    def calls(self, task: Task) -> int:
        """How often all threads together make a contraction's interleaved call."""
        nest, height, across = self.nest(task)
        if skips_zeros(task, nest, task.operands(self.schedule.view), self.schedule.batch):
            return interleaved_calls(nest, self.target, task.node.dtype)
        return tiles(nest, height, across)

    def nest(self, task: Task) -> tuple[Nest, int, int]:
        """The loop nest of a contraction, and the rows and vectors of its tiles."""
        views, batch = task.operands(self.schedule.view), self.schedule.batch
        nest = nest_of(task, task.node, views, task.stored.strides, self.target, batch)
        if nest.columns is None:
            return nest, 1, 1
        return nest, *tile_of(task, nest, self.target, task.node.dtype, batch)


def _takes_rows_by_number(task: Task) -> bool:
    """Whether a thread's own rows of a table are those that its number selects, and that of all threads."""
    return task.division == "split" and task.kind == "scatter" and bool(task.members)
