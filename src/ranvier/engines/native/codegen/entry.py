"""The entry: the function in which every thread runs a program's tasks, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from math import prod

from ranvier.engines.native.codegen import prefetch
from ranvier.engines.native.codegen.builder import Function
from ranvier.engines.native.codegen.layout import Layout
from ranvier.engines.native.codegen.partition import Partition
from ranvier.engines.native.codegen.prefetch import Prefetch
from ranvier.engines.native.runtime.context import CLOCK, FAULT, PRIVATE, SCRATCH, START, STOP, SYNC, TOTAL, WORDS
from ranvier.engines.native.schedule.memory_planning import round_up
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import Buffer
from ranvier.engines.native.target.lanes import SIZE, Scalar, memory_type
from ranvier.graph.extents import extent, extents
from ranvier.graph.node import BATCH, Node, Symbol

# Buffers above which kernels' calls read addresses from the context: LLVM is slow with that many values live at once.
MAX_LIVE_BUFFERS = 512
Range = tuple[Scalar, Scalar]


class Addresses(dict[tuple[str, int], str]):
    """The addresses of the caller's arrays, by kind and number; those that are not kept are read each time."""

    def __init__(self, read: Callable[[str, int], str]) -> None:
        super().__init__()
        self.read = read

    def __missing__(self, key: tuple[str, int]) -> str:
        return self.read(*key)


class EntryWriter:
    """Writes the entry. ``names`` maps each kernel to the one that is equal to it; ``clocks`` numbers the clocks."""

    def __init__(
        self, layout: Layout, partition: Partition, symbols: tuple[str, ...], names: Mapping[str, str],
        clocks: Mapping[str, int], prefetched: Prefetch | None,
    ) -> None:  # fmt: skip
        self.layout, self.partition, self.symbols, self.names = layout, partition, symbols, names
        self.clocks, self.prefetched, self.schedule = clocks, prefetched, layout.schedule
        self.deep = len(self.schedule.buffers) > MAX_LIVE_BUFFERS
        self.f = Function("entry", ["i64 %tid", "i64 %nthreads", "ptr %ctx"], linkage="")
        self.extents: dict[str, Scalar] = {}
        self.pointers: dict[Buffer, str] = {}  # of this step; stays empty in a deep program
        # Addresses of the block's values, as if row 0 of the batch were in the block.
        self.at_hand: dict[Buffer, str] = {}

    def write(self, update: tuple[str, list[Buffer]] | None) -> str:
        """The text. ``update`` is the kernel that updates private scalars after each step, and its buffers."""
        self._read_context()
        copied = self._take_private()
        with self.f.loop(self.words[START], self.words[STOP]) as step:
            self._step(step.index, step.done)
            if update is not None:
                self._call(update[0], 0, 0, update[1])
            if self.schedule.double_buffered is None:
                self._barrier()
        self._give_back_private(copied)
        return self.f.text("noinline optnone nounwind " if self.deep else "nounwind ")

    def _read_context(self) -> None:
        f, layout = self.f, self.layout
        self.words = [f.op(f"load i64, ptr {f.pointer('%ctx', i, 'i64')}, align 8") for i in range(WORDS)]
        self.sync, self.scratch = (f.op(f"inttoptr i64 {self.words[i]} to ptr") for i in (SYNC, SCRATCH))
        own = f.add(self.words[PRIVATE], f.mul("%tid", layout.private))
        self.private = f.op(f"inttoptr i64 {own} to ptr")
        self.work = f.pointer(self.private, layout.workspace_at, "i8")
        self.local = f.pointer(self.work, round_up(layout.workspace), "i8")
        for i, symbol in enumerate(self.symbols):
            if symbol != BATCH.name:
                self.extents[symbol] = f.op(f"load i64, ptr {f.pointer('%ctx', WORDS + i, 'i64')}, align 8")
        first, inputs = WORDS + len(self.symbols), len(self.schedule.graph.inputs)

        def read(kind: str, number: int) -> str:
            word = first + number + (inputs if kind == "output" else 0)
            return f.op(f"load ptr, ptr {f.pointer('%ctx', word, 'i64')}, align 8")

        self.arrays = Addresses(read)
        if not self.deep:
            for buffer in self.schedule.buffers:
                if buffer.kind in ("input", "output"):
                    self.arrays[buffer.kind, buffer.number] = self.arrays[buffer.kind, buffer.number]

    def _take_private(self) -> dict[Buffer, str]:
        """Copy the caller's private scalars and copied values into the thread's own memory; set its clocks to 0."""
        f, layout = self.f, self.layout
        for node, offset in layout.scalars.items():
            kind, size = memory_type(node.dtype), SIZE[node.dtype]
            value = f.op(f"load {kind}, ptr {self.arrays['input', layout.given[node].number]}, align {size}")
            f.emit(f"store {kind} {value}, ptr {f.pointer(self.private, offset, 'i8')}, align {size}")
        copied = layout.copies.take(f, self.arrays, self.private)
        self.clock = f.pointer(self.private, layout.clocks_at, "i8")
        for i in range(len(self.clocks)):
            f.emit(f"store i64 0, ptr {f.pointer(self.clock, CLOCK * i, 'i8')}, align {CLOCK}")
        return copied

    def _give_back_private(self, copied: dict[Buffer, str]) -> None:
        f, layout = self.f, self.layout
        with f.when(f.op("icmp eq i64 %tid, 0")):
            for node, offset in layout.scalars.items():
                kind, size = memory_type(node.dtype), SIZE[node.dtype]
                value = f.op(f"load {kind}, ptr {f.pointer(self.private, offset, 'i8')}, align {size}")
                given = self.arrays["input", layout.given[node].number]
                f.emit(f"store {kind} {value}, ptr {given}, align {size}")
        layout.copies.give_back(f, copied, self.arrays)

    # --- a step ----------------------------------------------------------------------------------------------------

    def _step(self, step: Scalar, end: str) -> None:
        """All phases of a step, with a barrier between two of them.

        The run goes to the label ``end`` where a check has failed, before anything is written to the caller's arrays.

        Every other phase takes the samples from the last to the first: those that the phase before took last are still
        in the cache.
        """
        f, batch, fault = self.f, self.schedule.batch, self.schedule.fault
        self.step, self.start = step, f.mul(step, batch)
        self.rows = f.minimum(f.sub(self.words[TOTAL], self.start), batch)
        self.extents[BATCH.name] = self.rows
        self.first_row_of, self.own_rows, self.workers = self.partition.rows(f, self.rows)
        self.odd = f.op(f"and i64 {step}, 1") if self.schedule.double_buffered else 0
        self.backward = False
        self._read_pointers()
        for number, (phase, group) in enumerate(groupby(self.schedule.order, key=lambda t: t.phase)):
            if number:
                self._barrier()
            if fault is not None and phase > fault.phase:  # no thread examines values before all have seen this
                self._stop_at_fault(fault, end)
                fault = None
            # Tasks of one phase that are divided in different ways do not wait for each other.
            for (_, division, whole), tasks in groupby(sorted(group, key=_division), key=_division):
                self._run_divided(list(tasks), division, whole)

    def _stop_at_fault(self, task: Task, end: str) -> None:
        f = self.f
        words = self._pointer(task.stores[0][1].buffer)
        found = f.op(f"load i64, ptr {f.pointer(words, FAULT, 'i64')}, align 8")
        f.count += 1
        following = f"sound{f.count}"
        f.emit(f"br i1 {f.op(f'icmp ne i64 {found}, 0')}, label %{end}, label %{following}")
        f.label(following)

    def _run_divided(self, tasks: list[Task], division: str, whole: bool) -> None:
        """Tasks of one phase that are divided in the same way."""
        f, depth = self.f, self.schedule.block
        if whole or division == "each":
            self._run(tasks, self.own_rows)
        elif division == "serial":
            for turn, own in groupby(sorted(tasks, key=lambda t: t.turn), key=lambda t: t.turn):
                with f.when(f.op(f"icmp eq i64 %tid, {f.op(f'urem i64 {turn}, %nthreads')}")):
                    self._run(own, self.own_rows)
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

    def _run_workers_in_blocks(self, tasks: list[Task], workers: Range) -> None:
        """The samples of this thread's workers, a block at a time; several workers together where each has few."""
        f = self.f
        for task in tasks:
            if task.accumulates:
                stores = [view.buffer for _, view in task.stores]
                with f.loop(*workers) as turn:
                    self._call(f"start{task.number}", 0, 0, stores, turn.index)
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

    def _run_in_blocks(self, tasks: list[Task], low: Scalar, high: Scalar, workers: Range) -> None:
        """All tasks on a block of samples, then on the next; a partial sum adds to the row of each block's worker."""
        f, depth = self.f, self.schedule.block
        with f.loop(low, high, depth) as block:
            for buffer, elements in self.schedule.local.items():
                back = f.add(f.mul(block.index, -elements * SIZE[buffer.dtype]), self.layout.offsets[buffer])
                self.at_hand[buffer] = f.op(f"getelementptr i8, ptr {self.local}, i64 {back}")
            end = f.minimum(f.add(block.index, depth), high)
            for task in tasks:
                if task.kind == "partial":
                    self._run_by_worker(task, block.index, end, workers)
                else:
                    self._run([task], (block.index, end))
        self.at_hand.clear()

    def _run_by_worker(self, task: Task, low: Scalar, high: Scalar, workers: Range) -> None:
        """A partial sum over these rows, each worker's own in turn."""
        f = self.f
        with f.loop(*workers) as turn:
            first = f.maximum(low, self.first_row_of(turn.index))
            end = f.minimum(high, self.first_row_of(f.add(turn.index, 1)))
            with f.when(f.op(f"icmp slt i64 {first}, {end}")):
                self._run([task], (first, end), turn.index)

    def _run(self, tasks: Iterable[Task], rows: Range, worker: Scalar = 0) -> None:
        for task in tasks:
            with self.partition.each(self.f, task, rows) as own:
                if self.prefetched is not None and task is self.prefetched.product:
                    self._prefetch_next(self.prefetched, own)
                mark = self.step if task.kind == "fault" else worker
                self._call(f"k{task.number}", *own, task.buffers(self.schedule.view), mark)

    def _call(self, name: str, low: Scalar, high: Scalar, buffers: list[Buffer], worker: Scalar = 0) -> None:
        given = [f"i64 {low}", f"i64 {high}", f"i64 {worker}", f"ptr {self.work}"]
        given += [f"i64 {self.extents[s]}" for s in self.symbols]
        given += [f"ptr {self.at_hand.get(b) or self._pointer(b)}" for b in buffers]
        with self._timed(name):
            self.f.emit(f"call void @{self.names.get(name, name)}({', '.join(given)})")

    def _barrier(self) -> None:
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
        at = f.pointer(self.clock, CLOCK * self.clocks[name], "i8")
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
            order=f.pointer(self.arrays[order.kind, order.number], start, "i32"),
            source=self.arrays[source.kind, source.number],
            last=f.sub(self.extents[samples.name] if isinstance(samples, Symbol) else samples, 1),
            rows=(0, count) if parts or found.task.division == "each" else self.partition.rows(f, count)[1],
            features=own if is_cyclic else features,
            tiles=f.floor_divide(
                self.partition.calls(found.product), found.product.parts if is_cyclic else "%nthreads"
            ),
        )

    # --- pointers --------------------------------------------------------------------------------------------------

    def _read_pointers(self) -> None:
        """The buffers' addresses in this step, for every kernel; in a deep program each call reads its own."""
        self.pointers = {}
        for buffer in () if self.deep else self.schedule.buffers:
            if buffer.kind in ("input", "output", "scratch") and buffer not in self.schedule.local:
                self.pointers[buffer] = self._address(buffer)

    def _pointer(self, buffer: Buffer) -> str:
        if buffer.kind == "private":
            return self.f.pointer(self.private, buffer.number, "i8")
        return self.pointers[buffer] if buffer in self.pointers else self._address(buffer)

    def _address(self, buffer: Buffer) -> str:
        f, graph, copies = self.f, self.schedule.graph, self.layout.copies.offsets
        if buffer.kind == "scratch" and buffer in copies:
            return f.pointer(self.private, copies[buffer], "i8")
        if buffer.kind == "scratch" and buffer not in self.schedule.local:
            offset: Scalar = self.layout.offsets[buffer]
            if buffer in (self.schedule.double_buffered or ()):
                offset = f.add(offset, f.mul(self.odd, self.layout.sizes[buffer] // 2))
            return f.pointer(self.scratch, offset, "i8")
        if buffer.kind == "constant":
            return f"@c.{buffer.number}"
        if buffer.kind == "input" and graph.inputs[buffer.number].attrs["windowed"]:
            return self._window(buffer, graph.inputs[buffer.number])
        if buffer.kind == "output" and graph.outputs[buffer.number].shape[:1] == (BATCH,):
            return self._window(buffer, graph.outputs[buffer.number])
        return self.arrays[buffer.kind, buffer.number]

    def _window(self, buffer: Buffer, node: Node) -> str:
        """The address of this step's rows."""
        size = SIZE[buffer.dtype] * prod(extents(node, 1))
        return self.f.pointer(self.arrays[buffer.kind, buffer.number], self.f.mul(self.start, size), "i8")


def _division(task: Task) -> tuple[int, str, bool]:
    """The stage of a task, and how it is divided among threads."""
    return task.stage, task.division, task.whole
