"""The tasks of a step: calls of their kernels, for each thread's part of each task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import NamedTuple

from ranvier.engines.native.codegen import prefetch
from ranvier.engines.native.codegen.builder import Function
from ranvier.engines.native.codegen.layout import Layout
from ranvier.engines.native.codegen.partition import Partition
from ranvier.engines.native.codegen.prefetch import Prefetch
from ranvier.engines.native.runtime.context import CLOCK, PRIVATE, SCRATCH, SYNC, TOTAL, WORDS
from ranvier.engines.native.schedule.memory_planning import round_up
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import Buffer
from ranvier.engines.native.target.lanes import ELEMENT, SIZE, Scalar, literal
from ranvier.graph.extents import extent, extents
from ranvier.graph.node import BATCH, Node, Symbol

Range = tuple[Scalar, Scalar]


class Call(NamedTuple):
    """A kernel's name, and what it is given beside its range."""

    kernel: str
    buffers: list[Buffer]
    numbers: list[Node]  # integer constants


class Group(NamedTuple):
    """Tasks that are divided among threads in the same way."""

    division: str
    whole: bool
    tasks: list[Task]


@dataclass(frozen=True)
class Program:
    """The parts of a program that its entry puts together."""

    layout: Layout
    partition: Partition
    symbols: tuple[str, ...]
    calls: Mapping[str, Call]  # of each task's kernels
    clocks: Mapping[str, int]
    prefetched: Prefetch | None


class StepWriter:
    """Writes tasks of a step into a function, whose parameters begin with %tid, %nthreads and %ctx.

    With a ``table``, offsets of arrays and other numbers of a single task are not part of the text: they are appended
    to the table, and the function reads them from %table.
    """

    def __init__(self, program: Program, f: Function, table: list[int | str] | None = None) -> None:
        self.program, self.f, self.table = program, f, table
        self.layout, self.partition, self.schedule = program.layout, program.partition, program.layout.schedule
        self.clocks, self.prefetched = program.clocks, program.prefetched
        self.arrays: dict[Buffer, str] = {}  # addresses of the caller's arrays that are at hand
        self.pointers: dict[Buffer, str] = {}  # addresses of this step that are at hand
        self.block: Scalar | None = None  # the first row of the block at hand
        self.backward = False  # whether the next phase takes the samples from the last to the first
        self._read_context()

    def _read_context(self) -> None:
        f, layout = self.f, self.layout
        self.words = [f.op(f"load i64, ptr {f.pointer('%ctx', i, 'i64')}, align 8") for i in range(WORDS)]
        self.sync, self.scratch = (f.op(f"inttoptr i64 {self.words[i]} to ptr") for i in (SYNC, SCRATCH))
        own = f.add(self.words[PRIVATE], f.mul("%tid", layout.private))
        self.private = f.op(f"inttoptr i64 {own} to ptr")
        self.work = f.pointer(self.private, layout.workspace_at, "i8")
        self.local = f.pointer(self.work, round_up(layout.workspace), "i8")
        self.clock = f.pointer(self.private, layout.clocks_at, "i8")
        self.extents: dict[str, Scalar] = {}
        for i, symbol in enumerate(self.program.symbols):
            if symbol != BATCH.name:
                self.extents[symbol] = f.op(f"load i64, ptr {f.pointer('%ctx', WORDS + i, 'i64')}, align 8")

    def begin(self, step: Scalar) -> None:
        """Compute the rows of a step, and this thread's part of them."""
        f, batch = self.f, self.schedule.batch
        self.step, self.start = step, f.mul(step, batch)
        self.rows = f.minimum(f.sub(self.words[TOTAL], self.start), batch)
        self.extents[BATCH.name] = self.rows
        self.first_row_of, self.own_rows, self.workers = self.partition.rows(f, self.rows)
        self.odd = f.op(f"and i64 {step}, 1") if self.schedule.double_buffered else 0

    # --- tasks -----------------------------------------------------------------------------------------------------

    def run_group(self, group: Group) -> None:
        """Tasks of one phase that are divided in the same way."""
        f, depth, tasks, division = self.f, self.schedule.block, group.tasks, group.division
        if group.whole or division == "each":
            self._run(tasks, self.own_rows)
        elif division == "serial":
            self._run_serial(tasks)
        elif division == "rows" and self.workers is not None and depth:
            self._run_workers_in_blocks(tasks, self.workers)
        elif division == "rows" and self.workers is not None:  # all tasks on one worker's rows, then the next's
            with f.loop(*self.workers) as turn:
                rows = self.first_row_of(turn.index), self.first_row_of(f.add(turn.index, 1))
                self._run(tasks, rows, turn.index)
        elif division == "rows" and depth:
            self._run_in_blocks(tasks, *self.own_rows, (0, 0))
        else:
            self._run(tasks, self.own_rows)

    def _run_serial(self, tasks: Sequence[Task]) -> None:
        for turn, own in groupby(tasks, key=lambda t: t.turn):
            with self._turn(turn):
                self._run(list(own), self.own_rows)

    def _turn(self, turn: Scalar) -> AbstractContextManager[None]:
        """What the thread does whose turn it is."""
        return self.f.when(self.f.op(f"icmp eq i64 %tid, {self.f.op(f'urem i64 {turn}, %nthreads')}"))

    def _run_workers_in_blocks(self, tasks: Sequence[Task], workers: Range) -> None:
        """The samples of this thread's workers, a block at a time; several workers together where each has few."""
        f = self.f
        self._start(tasks, workers)
        most = f.floor_divide(f.add(self.rows, self.schedule.workers - 1), self.schedule.workers)
        together = f.maximum(f.floor_divide(self.schedule.block, most), 1)
        with f.loop(*workers, together) as turn:
            end = f.minimum(f.add(turn.index, together), workers[1])
            some: Range = (turn.index, end)
            if self.backward:  # as far from the last worker as these are from the first
                both = f.add(*workers)
                some = f.sub(both, end), f.sub(both, turn.index)
            self._run_in_blocks(tasks, self.first_row_of(some[0]), self.first_row_of(some[1]), some)
        self.backward = not self.backward

    def _start(self, tasks: Sequence[Task], workers: Range) -> None:
        for task in tasks:
            if task.accumulates:
                self.start_task(task, workers)

    def start_task(self, task: Task, workers: Range) -> None:
        """Initialize the partial sums of these workers."""
        with self.f.loop(*workers) as turn:
            self.call(f"start{task.number}", 0, 0, turn.index)

    def _run_in_blocks(self, tasks: Sequence[Task], low: Scalar, high: Scalar, workers: Range) -> None:
        """All tasks on a block of samples, then on the next; a partial sum adds to the row of each block's worker."""
        f, depth = self.f, self.schedule.block
        with f.loop(low, high, depth) as block:
            self.block = block.index
            end = f.minimum(f.add(block.index, depth), high)
            self._run(tasks, (block.index, end), workers=workers)
        self.block = None

    def _run(self, tasks: Sequence[Task], rows: Range, worker: Scalar = 0, workers: Range = (0, 0)) -> None:
        for task in tasks:
            self.run_task(task, rows, worker, workers)

    def run_task(self, task: Task, rows: Range, worker: Scalar, workers: Range) -> None:
        """A task on these rows; in a block, a partial sum over each worker's own rows in turn."""
        if self.block is None or task.kind != "partial":
            self._run_part(task, rows, worker)
            return
        f = self.f
        with f.loop(*workers) as turn:
            first = f.maximum(rows[0], self.first_row_of(turn.index))
            end = f.minimum(rows[1], self.first_row_of(f.add(turn.index, 1)))
            with f.when(f.op(f"icmp slt i64 {first}, {end}")):
                self._run_part(task, (first, end), turn.index)

    def _run_part(self, task: Task, rows: Range, worker: Scalar) -> None:
        with self.partition.each(self.f, task, rows) as own:
            if self.prefetched is not None and task is self.prefetched.product:
                self._prefetch_next(self.prefetched, own)
            mark = self.step if task.kind == "fault" else worker
            self.call(f"k{task.number}", *own, mark)

    def call(self, name: str, low: Scalar, high: Scalar, worker: Scalar = 0) -> None:
        call, f = self.program.calls[name], self.f
        given = [f"i64 {low}", f"i64 {high}", f"i64 {worker}", f"ptr {self.work}"]
        given += [f"i64 {self.extents[s]}" for s in self.program.symbols]
        given += [f"ptr {self.pointer(b)}" for b in call.buffers]
        for node in call.numbers:
            type_, value = ELEMENT[node.dtype], self.number(node.attrs["value"].item())
            if isinstance(value, str) and type_ != "i64":
                value = f.op(f"trunc i64 {value} to {type_}")
            given.append(f"{type_} {literal(value, type_) if isinstance(value, int) else value}")
        with self._timed(name):
            f.emit(f"call void @{call.kernel}({', '.join(given)})")

    def barrier(self) -> None:
        with self._timed("barrier"):
            self.f.emit(f"call void @rv.barrier(ptr {self.sync}, i64 %nthreads)")

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        """Add the cycles that the body takes to the clock of this name, if there are clocks."""
        if name not in self.clocks:
            yield
            return
        f = self.f
        before = f.op("call i64 @llvm.readcyclecounter()")
        yield
        took = f.sub(f.op("call i64 @llvm.readcyclecounter()"), before)
        at = f.pointer(self.clock, self.number(CLOCK * self.clocks[name]), "i8")
        total = f.add(f.op(f"load i64, ptr {at}, align {CLOCK}"), took)
        f.emit(f"store i64 {total}, ptr {at}, align {CLOCK}")

    def _prefetch_next(self, found: Prefetch, own: Range) -> None:
        """Have the rows prefetched from now on that this thread gathers in the next step.

        ``own`` is this thread's part of the product that the prefetching is interleaved with.
        """
        f, work, total = self.f, self.work, self.words[TOTAL]
        start = f.add(self.start, self.schedule.batch)
        source, order = (self.schedule.views[node].buffer for node in found.gather.inputs)
        samples = found.gather.inputs[0].shape[0]
        count = f.maximum(f.minimum(f.sub(total, start), self.schedule.batch), 0)
        parts, is_cyclic = found.task.parts, self.partition.is_cyclic(found.product)
        features = self.partition.range(f, found.task, (0, 0)) if parts else (0, extent(found.gather, 1))
        prefetch.prepare(
            f,
            work,
            found,
            order=f.pointer(self.array(order), start, "i32"),
            source=self.array(source),
            last=f.sub(self.extents[samples.name] if isinstance(samples, Symbol) else samples, 1),
            rows=(0, count) if parts or found.task.division == "each" else self.partition.rows(f, count)[1],
            features=own if is_cyclic else features,
            tiles=f.floor_divide(
                self.partition.calls(found.product), found.product.parts if is_cyclic else "%nthreads"
            ),
        )

    # --- addresses -------------------------------------------------------------------------------------------------

    def number(self, value: int) -> Scalar:
        """A number of a single task: with a table, it is read from there."""
        if self.table is None:
            return value
        self.table.append(value)
        return self.f.op(f"load i64, ptr {self.f.pointer('%table', len(self.table) - 1, 'i64')}, align 8")

    def array(self, buffer: Buffer) -> str:
        """The address of one of the caller's arrays."""
        if buffer in self.arrays:
            return self.arrays[buffer]
        word = WORDS + len(self.program.symbols) + buffer.number
        word += len(self.schedule.graph.inputs) if buffer.kind == "output" else 0
        return self.f.op(f"load ptr, ptr {self.f.pointer('%ctx', self.number(word), 'i64')}, align 8")

    def pointer(self, buffer: Buffer) -> str:
        return self.pointers[buffer] if buffer in self.pointers else self.address(buffer)

    def address(self, buffer: Buffer) -> str:
        """The address of a value; of a block's values as if row 0 of the batch were in the block."""
        f, graph, layout = self.f, self.schedule.graph, self.layout
        if buffer.kind == "private":
            return f.pointer(self.private, self.number(buffer.number), "i8")
        if buffer in layout.copies.offsets:
            return f.pointer(self.private, self.number(layout.copies.offsets[buffer]), "i8")
        if buffer in self.schedule.local:
            assert self.block is not None
            row = self.schedule.local[buffer] * SIZE[buffer.dtype]
            back = f.add(f.mul(self.block, -row), self.number(layout.offsets[buffer]))
            return f.op(f"getelementptr i8, ptr {self.local}, i64 {back}")
        if buffer.kind == "scratch":
            offset = self.number(layout.offsets[buffer])
            if buffer in (self.schedule.double_buffered or ()):
                offset = f.add(offset, f.mul(self.odd, self.number(layout.sizes[buffer] // 2)))
            return f.pointer(self.scratch, offset, "i8")
        if buffer.kind == "constant":
            return f"@c.{buffer.number}"
        pointer = self.array(buffer)
        node = (graph.inputs if buffer.kind == "input" else graph.outputs)[buffer.number]
        if node.attrs["windowed"] if buffer.kind == "input" else node.shape[:1] == (BATCH,):
            row = SIZE[buffer.dtype] * prod(extents(node, 1))
            return f.pointer(pointer, f.mul(self.start, row), "i8")
        return pointer


def _division(task: Task) -> tuple[int, str, bool]:
    """The stage of a task, and how it is divided among threads."""
    return task.stage, task.division, task.whole


def groups_of(phase: Iterable[Task]) -> Iterator[Group]:
    """The groups of a phase's tasks, which do not wait for each other."""
    for (_, division, whole), tasks in groupby(sorted(phase, key=_division), key=_division):
        own = list(tasks)
        yield Group(division, whole, sorted(own, key=lambda t: t.turn) if division == "serial" else own)
