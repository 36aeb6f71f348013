"""The tasks of a step: calls of their kernels, for each thread's part of each task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from itertools import groupby

from ranvier.engines.native.codegen import prefetch
from ranvier.engines.native.codegen.builder import Function
from ranvier.engines.native.codegen.partition import RowParts
from ranvier.engines.native.codegen.prefetch import Prefetch
from ranvier.engines.native.codegen.program import Group, Program, groups_of
from ranvier.engines.native.runtime.context import CLOCK, PRIVATE, SCRATCH, SYNC, TOTAL, WORDS
from ranvier.engines.native.schedule.carries import added_in_place
from ranvier.engines.native.schedule.memory_planning import round_up
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import Buffer, View
from ranvier.engines.native.target.lanes import ELEMENT, SIZE, Scalar, literal
from ranvier.graph.extents import Extent
from ranvier.graph.node import BATCH, extent
from ranvier.graph.scan import Operands

Range = tuple[Scalar, Scalar]


class StepWriter:
    """Writes tasks of a step into a function, whose parameters begin with %tid, %nthreads and %ctx.

    With a ``table``, offsets of arrays and other numbers of a single task are not part of the text: they are appended
    to the table, and the function reads them from %table.
    """

    def __init__(
        self, program: Program, f: Function, step: Scalar | None = None, table: list[int | str] | None = None
    ) -> None:
        self.program, self.f, self.table = program, f, table
        self.layout, self.partition, self.schedule = program.layout, program.partition, program.layout.schedule
        self.clocks, self.prefetched = program.clocks, program.prefetched
        self.arrays: dict[Buffer, str] = {}  # addresses of the caller's arrays that are at hand
        self.pointers: dict[Buffer, str] = {}  # addresses of this step that are at hand
        self.block: Scalar | None = None  # the first row of the block at hand
        self.backward = False  # whether the next phase takes the samples from the last to the first
        self.is_parameter = step is not None
        if step is not None:
            self.step = step

    def begin(self, step: Scalar) -> None:
        """Begin a step of the entry. Elsewhere the step is a parameter, and its values are computed if needed."""
        self.step = step
        _ = self.rows, self.parts, self.odd

    # --- values of a run and of a step -----------------------------------------------------------------------------

    def word(self, number: int) -> str:
        """A word of the context."""
        with self.f.at_entry():
            return self.f.op(f"load i64, ptr {self.f.pointer('%ctx', number, 'i64')}, align 8")

    def _memory(self, word: int, offset: Scalar = 0) -> str:
        with self.f.at_entry():
            return self.f.op(f"inttoptr i64 {self.f.add(self.word(word), offset)} to ptr")

    def _own(self, offset: int) -> str:
        with self.f.at_entry():
            return self.f.pointer(self.private, offset, "i8")

    @cached_property
    def sync(self) -> str:
        return self._memory(SYNC)

    @cached_property
    def scratch(self) -> str:
        return self._memory(SCRATCH)

    @cached_property
    def private(self) -> str:
        with self.f.at_entry():
            return self._memory(PRIVATE, self.f.mul("%tid", self.layout.private))

    @cached_property
    def work(self) -> str:
        return self._own(self.layout.workspace_at)

    @cached_property
    def local(self) -> str:
        return self._own(self.layout.workspace_at + round_up(self.layout.workspace))

    @cached_property
    def clock(self) -> str:
        return self._own(self.layout.clocks_at)

    @cached_property
    def extents(self) -> dict[str, Scalar]:
        """The extent of each symbol."""
        symbols = enumerate(self.program.symbols)
        return {name: self.rows if name == BATCH.name else self.word(WORDS + i) for i, name in symbols}

    def _at_step(self) -> AbstractContextManager[None]:
        """Where values of a step are computed: at the function's beginning if the step is a parameter, else here."""
        return self.f.at_entry() if self.is_parameter else nullcontext()

    @cached_property
    def start(self) -> Scalar:
        """The first row of the step."""
        with self._at_step():
            return self.f.mul(self.step, self.schedule.batch)

    @cached_property
    def rows(self) -> Scalar:
        with self._at_step():
            return self.f.minimum(self.f.sub(self.word(TOTAL), self.start), self.schedule.batch)

    @cached_property
    def parts(self) -> RowParts:
        """The division of the rows among threads and workers."""
        with self._at_step():
            return self.partition.rows(self.f, self.rows)

    @cached_property
    def odd(self) -> Scalar:
        """Which of two copies of a double-buffered value the step writes."""
        with self._at_step():
            return self.f.op(f"and i64 {self.step}, 1") if self.schedule.double_buffered else 0

    # --- tasks -----------------------------------------------------------------------------------------------------

    def run_group(self, group: Group) -> None:
        """Tasks of one phase that are divided in the same way."""
        f, depth, tasks, division = self.f, self.schedule.block, group.tasks, group.division
        if group.part:
            self._run_in_parts(tasks, group.part)
        elif division == "loop":
            for task in tasks:
                LoopWriter(self, task).write()
        elif group.whole or division == "each":
            self._run(tasks, self.parts.own)
        elif division == "serial":
            self._run_serial(tasks)
        elif division == "rows" and self.parts.workers is not None and depth:
            self._run_workers_in_blocks(tasks, self.parts.workers)
        elif division == "rows" and self.parts.workers is not None:  # all tasks on one worker's rows, then the next's
            with f.loop(*self.parts.workers) as turn:
                rows = self.parts.first_row_of(turn.index), self.parts.first_row_of(f.add(turn.index, 1))
                self._run(tasks, rows, turn.index)
        elif division == "rows" and depth:
            self._run_in_blocks(tasks, *self.parts.own, (0, 0))
        else:
            self._run(tasks, self.parts.own)

    def _run_in_parts(self, tasks: Sequence[Task], part: int) -> None:
        """All tasks on one part, of so many positions, then on the next; threads take parts round-robin."""
        f, before = self.f, self.pointers
        with f.loop("%tid", tasks[0].parts, "%nthreads") as turn:
            low, high = (f.mul(f.add(turn.index, more), part) for more in (0, 1))
            self.pointers = dict(before)
            for buffer, stride in self.schedule.of_part.items():  # as if they were of all parts
                back = f.mul(low, -stride * SIZE[buffer.dtype])
                self.pointers[buffer] = f.op(f"getelementptr i8, ptr {before[buffer]}, i64 {back}")
            for task in tasks:
                self.call(f"k{task.number}", low, high)
        self.pointers = before

    def _run_serial(self, tasks: Sequence[Task]) -> None:
        for turn, own in groupby(tasks, key=lambda t: t.turn):
            with self._turn(turn):
                self._run(list(own), self.parts.own)

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
            self._run_in_blocks(tasks, self.parts.first_row_of(some[0]), self.parts.first_row_of(some[1]), some)
        self.backward = not self.backward

    def _start(self, tasks: Sequence[Task], workers: Range) -> None:
        for task in tasks:
            if task.starts:
                self.start_task(task, workers)

    def start_task(self, task: Task, workers: Range) -> None:
        """Initialize the partial sums of these workers; if none adds to its own, of those without samples."""
        f = self.f
        with f.loop(*workers) as turn:
            rows = (self.parts.first_row_of(f.add(turn.index, more)) for more in (0, 1))
            empty = "true" if task.accumulates else f.op("icmp eq i64 {}, {}".format(*rows))
            with f.when(empty):
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
            first = f.maximum(rows[0], self.parts.first_row_of(turn.index))
            end = f.minimum(rows[1], self.parts.first_row_of(f.add(turn.index, 1)))
            with f.when(f.op(f"icmp slt i64 {first}, {end}")):
                self._run_part(task, (first, end), turn.index)

    def _run_part(self, task: Task, rows: Range, worker: Scalar) -> None:
        with self.partition.each(self.f, task, rows, self.number) as own:
            if self.prefetched is not None and task is self.prefetched.product:
                self._prefetch_next(self.prefetched, own)
            mark = self.step if task.kind == "fault" else worker
            self.call(f"k{task.number}", *own, mark)

    def call(self, name: str, low: Scalar, high: Scalar, worker: Scalar = 0) -> None:
        call, f = self.program.calls[name], self.f
        kernel = f"@{call.kernel}"
        if self.table is not None:
            kernel = f.op(f"inttoptr i64 {self.number(address_of(call.kernel))} to ptr")
        given = [f"i64 {low}", f"i64 {high}", f"i64 {worker}", f"ptr {self.work}"]
        given += [f"i64 {self.extents[s]}" for s in self.program.symbols]
        given += [f"ptr {self.pointer(b)}" for b in call.buffers]
        for node in call.numbers:
            type_, value = ELEMENT[node.dtype], self.number(node.attrs["value"].item())
            if isinstance(value, str) and type_ != "i64":
                value = f.op(f"trunc i64 {value} to {type_}")
            given.append(f"{type_} {literal(value, type_) if isinstance(value, int) else value}")
        with self._timed(name):
            f.emit(f"call void {kernel}({', '.join(given)})")

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
        f, work, total = self.f, self.work, self.word(TOTAL)
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
            last=f.sub(self.extents[samples.name] if isinstance(samples, Extent) else samples, 1),
            rows=(0, count) if parts or found.task.division == "each" else self.partition.rows(f, count).own,
            features=own if is_cyclic else features,
            tiles=f.floor_divide(
                self.partition.calls(found.product), found.product.parts if is_cyclic else "%nthreads"
            ),
        )

    # --- addresses -------------------------------------------------------------------------------------------------

    def number(self, value: int | str) -> Scalar:
        """A number of a single task: with a table, it is read from there."""
        if self.table is None:
            return value
        self.table.append(value)
        return self.f.op(f"load i64, ptr {self.f.pointer('%table', len(self.table) - 1, 'i64')}, align 8")

    def array(self, buffer: Buffer) -> str:
        """The address of one of the caller's arrays."""
        found = self.arrays.get(buffer)
        return found or self._array(self.number(self.program.word_of(buffer)))

    def _array(self, word: Scalar) -> str:
        return self.f.op(f"load ptr, ptr {self.f.pointer('%ctx', word, 'i64')}, align 8")

    def pointer(self, buffer: Buffer) -> str:
        return self.pointers.get(buffer) or self.address(buffer)

    def address(self, buffer: Buffer) -> str:
        """The address of a value; of a block's values as if row 0 of the batch were in the block."""
        f, place = self.f, self.program.place(buffer)
        if place.memory == "constant":
            return f"@c.{place.row}"
        if place.memory == "array":
            return f.pointer(self.array(buffer), f.mul(self.start, place.row) if place.row else 0, "i8")
        offset, *second = map(self.number, place.numbers)
        if place.memory == "private":
            return f.pointer(self.private, offset, "i8")
        if place.memory == "local":
            assert self.block is not None
            return f.op(f"getelementptr i8, ptr {self.local}, i64 {f.add(f.mul(self.block, -place.row), offset)}")
        return f.pointer(self.scratch, f.add(offset, f.mul(self.odd, second[0])) if second else offset, "i8")


def address_of(function: str) -> str:
    return f"ptrtoint (ptr @{function} to i64)"


class LoopWriter(StepWriter):
    """Writes a loop over time into the function of ``outer``: the tasks of its body, for each step."""

    def __init__(self, outer: StepWriter, task: Task) -> None:
        super().__init__(outer.program.loops[task], outer.f, outer.step)
        self.outer, self.loop, self.task = outer, outer.schedule.loops[task], task
        self.time: Scalar = 0
        self.is_parameter = outer.is_parameter
        self.sync, self.work, self.rows = outer.sync, outer.work, self.loop.rows or outer.rows
        if self.clocks:
            self.clock = outer.clock
        self.in_place = added_in_place(self.loop.node)
        self.bases: dict[Buffer, str] = {}  # addresses that are the same in all steps

    def write(self) -> None:
        f, attrs = self.f, self.loop.node.attrs
        _ = self.parts
        self.bases = {buffer: self._base(buffer) for buffer in self.schedule.buffers}
        with f.loop(0, attrs["length"]) as turn:
            self.time = f.sub(attrs["length"] - 1, turn.index) if attrs["reverse"] else turn.index
            odd = f.op(f"and i64 {turn.index}, 1")
            self.pointers = {buffer: self._in_step(buffer, odd) for buffer in self.schedule.buffers}
            for number, (_, tasks) in enumerate(groupby(self.schedule.order, key=lambda t: t.phase)):
                if number:
                    self.barrier()
                for group in groups_of(tasks):
                    self.run_group(group)
            if self.loop.joins_steps:
                self.barrier()

    def _outside(self, buffer: Buffer) -> View:
        """Where an input or an output of the body is in the outer program."""
        node, carries = self.loop.node, self.loop.carries
        if buffer.kind == "output" and buffer.number >= carries:
            return next(view for result, view in self.task.stores if result.attrs["index"] == buffer.number)
        found = self.outer.schedule.view(node.inputs[buffer.number])
        assert found is not None
        return found

    def _base(self, buffer: Buffer) -> str:
        if buffer.kind == "constant":
            return f"@{self.program.name}c.{buffer.number}"
        if buffer in self.schedule.of_part:
            return self.f.pointer(self.work, self.layout.of_part_at + self.layout.offsets[buffer], "i8")
        if buffer.kind == "scratch":
            return self.f.pointer(self.outer.pointer(self.loop.memory), self.layout.offsets[buffer], "i8")
        return self.outer.pointer(self._outside(buffer).buffer)

    def _in_step(self, buffer: Buffer, odd: str) -> str:
        """The address of a value in the step at hand; ``odd`` tells which of a carry's two places is written."""
        f, base = self.f, self.bases[buffer]
        if buffer.kind not in ("input", "output"):
            return base
        size, place = SIZE[buffer.dtype], self._outside(buffer)
        if buffer.number < self.loop.carries:
            if buffer.number in self.in_place:
                return base
            half = place.buffer.elements // 2 * size
            written = odd if buffer.kind == "input" else f.sub(1, odd)
            return f.pointer(base, f.mul(written, half), "i8")
        body = self.loop.node.attrs["body"]
        slices = Operands(range(len(body.inputs)), body, self.loop.node.attrs["slices"]).slices
        if buffer.kind == "input" and buffer.number not in slices:
            return base
        return f.pointer(base, f.mul(self.time, place.strides[self.loop.node.attrs["axis"]] * size), "i8")
