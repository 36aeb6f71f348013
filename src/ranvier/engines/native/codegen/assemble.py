"""Putting a program together: every task's kernel, and the entry in which all threads run the tasks step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby

from ranvier.engines.native.codegen import math, prefetch
from ranvier.engines.native.codegen.builder import PREFETCH, Function
from ranvier.engines.native.codegen.contraction import emit_contraction
from ranvier.engines.native.codegen.kernel import Kernel, Module
from ranvier.engines.native.codegen.map_kernels import emit_task
from ranvier.engines.native.codegen.partition import Shares
from ranvier.engines.native.codegen.reductions import emit_start
from ranvier.engines.native.codegen.thread_private import COPY, Copies
from ranvier.engines.native.codegen.values import KernelWriter
from ranvier.engines.native.runtime.context import (
    CLOCK,
    PRIVATE,
    SCRATCH,
    START,
    STOP,
    SYNC,
    TOTAL,
    WORDS,
    Text,
)
from ranvier.engines.native.runtime.threads import barrier_ir
from ranvier.engines.native.schedule.memory_planning import LINE, pack, round_up
from ranvier.engines.native.schedule.schedule import Schedule
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import Buffer, View
from ranvier.engines.native.target.lanes import SIZE, Scalar, memory_type
from ranvier.engines.native.target.target import Target
from ranvier.graph.extents import extent
from ranvier.graph.node import BATCH, Node, Symbol

EXTREMA = {f"declare i64 @llvm.{name}.i64(i64, i64)" for name in ("smin", "smax")}

DEEP = (
    512  # buffers above which addresses are read where a kernel takes them: LLVM is slow with as many at hand
)


class Addresses(dict[tuple[str, int], str]):
    """Where the caller's arrays lie, by kind and number; those that are not kept are read anew each time."""

    def __init__(self, read: Callable[[str, int], str]) -> None:
        super().__init__()
        self.read = read

    def __missing__(self, key: tuple[str, int]) -> str:
        return self.read(*key)


def _constant(buffer: Buffer) -> str:
    data = "".join(f"\\{byte:02X}" for byte in buffer.data)
    return f'@c.{buffer.number} = private unnamed_addr constant [{len(buffer.data)} x i8] c"{data}", align {LINE}'


class Assembler:
    """Writes the module of one schedule for one target."""

    def __init__(self, schedule: Schedule, target: Target, timed: bool) -> None:
        self.schedule, self.target = schedule, target
        self.shares = Shares(schedule, target)
        self.clocks = {name: i for i, name in enumerate(clocks(schedule))} if timed else {}
        self.given: dict[Node, Buffer] = {}  # where the caller's copy of a private scalar lies
        graph = schedule.graph
        self.symbols = tuple(
            sorted({d.name for n in graph.nodes() for d in n.shape if isinstance(d, Symbol)} | {BATCH.name})
        )
        self.module = Module(
            graph, schedule.view, schedule.uses, target.has_fma, target.has_masks, schedule.samples_adjacent,
            schedule.batch, schedule.local,
        )  # fmt: skip
        # A vector more than the values: rows are stored whole where nothing lies beyond them.
        sizes = {
            b: round_up(b.elements * SIZE[b.dtype] + LINE) * (2 if b in (schedule.turns or ()) else 1)
            for b in schedule.buffers
            if b.kind == "scratch" and b not in schedule.local and b not in schedule.copied
        }
        self.sizes = sizes
        offsets, self.scratch = pack(sizes, schedule.phases)
        # Bytes of each thread for values of the samples at hand.
        own = {b: n * schedule.depth * SIZE[b.dtype] + LINE for b, n in schedule.local.items()}
        local, self.local = pack(own, schedule.places)
        self.offsets: dict[Buffer, int] = offsets | local
        self.private: dict[Node, int] = {node: LINE * i for i, node in enumerate(schedule.private)}
        self.copies = Copies(schedule, self.shares, LINE * len(self.private))
        self.fetching = prefetch.choose(schedule)
        self.deep = len(schedule.buffers) > DEEP
        self.work = 0
        self.kernels: dict[str, str] = {}  # the text of each, and its name
        self.names: dict[str, str] = {}

    def write(self) -> Text:
        for node in self.private:  # every thread reads and writes its own copy
            given = self.schedule.views[node]
            self.schedule.views[node] = View(Buffer("private", self.private[node], node.dtype, 1), (), ())
            self.given[node] = given.buffer
        for task in self.schedule.order:
            self._kernel(task)
            if task.adds:
                self._starter(task)
        update = self._private_update() if self.private else None
        entry = self._entry(update)
        kernels = [text.replace("@kernel(", f"@{name}(", 1) for text, name in self.kernels.items()]
        parts = [*kernels, *([update[0]] if update else []), entry]
        library, needed = math.library(self.module.functions, self.target.has_fma)
        constants = [_constant(b) for b in self.schedule.buffers if b.kind == "constant"]
        clock = {"declare i64 @llvm.readcyclecounter()"} if self.clocks else set()
        clock |= {COPY} if self.schedule.copied else set()
        fetch = {PREFETCH} if self.fetching is not None else set()
        declarations = sorted(self.module.declarations | needed | EXTREMA | clock | fetch)
        if self.fetching is not None:
            parts.insert(0, prefetch.TEXT)
        text = "\n".join([*constants, *declarations, barrier_ir(self.target.arch), library, *parts])
        at = self._clocks_at() if self.clocks else None
        return Text(text, self.symbols, self.scratch, self._private_bytes(), self._work(), at)

    def _private_bytes(self) -> int:
        """What each thread has for itself: scalars, what its kernels need, values of the samples at hand, clocks."""
        return self._clocks_at() + round_up(CLOCK * len(self.clocks))

    def _clocks_at(self) -> int:
        return self._work_at() + round_up(self.work) + round_up(self.local)

    def _work_at(self) -> int:
        return self.copies.end + (prefetch.BYTES if self.fetching is not None else 0)

    # --- kernels ---------------------------------------------------------------------------------------------------

    def _buffers(self, task: Task) -> list[Buffer]:
        seen: dict[Buffer, None] = {}
        for node in task.reads:
            view = self.schedule.view(node)
            if view is not None:
                seen[view.buffer] = None
        for _, view in task.stores:
            seen[view.buffer] = None
        for view in task.copy or ():
            seen[view.buffer] = None
        return list(seen)

    def _define(self, name: str, k: Kernel) -> None:
        """A kernel under this name, or under that of an equal one: deep networks repeat themselves."""
        self.names[name] = self.kernels.setdefault(k.function.text("noinline nounwind "), name)

    def _kernel(self, task: Task) -> None:
        k = KernelWriter(self.module, "kernel", self._buffers(task), self.symbols)
        inner = task.anchor.attrs.get("inner", task.anchor) if task.anchor is not None else None
        if inner is not None and inner.op.name == "contract":
            k.fresh = {*task.members, *([task.anchor] if task.anchor else [])}
            if self.fetching is not None and task is self.fetching.beside:
                k.meanwhile = prefetch.CALL
            some = self.schedule.depth if task.share == "rows" and not task.whole else 0
            emit_contraction(k, task, self.target, min(some or self.schedule.batch, self.schedule.batch))
        else:
            emit_task(k, task)
        self.work = max(self.work, k.work)
        self._define(f"k{task.number}", k)

    def _starter(self, task: Task) -> None:
        k = KernelWriter(self.module, "kernel", [view.buffer for _, view in task.stores], self.symbols)
        emit_start(k, task)
        self._define(f"start{task.number}", k)

    def _private_update(self) -> tuple[str, str, list[Buffer]]:
        """What the scalars become that every thread keeps for itself: all are computed before any is stored."""
        views = self.schedule.views
        reads: dict[Buffer, None] = {views[node].buffer: None for node in self.private}
        stack, seen = list(self.schedule.private.values()), set()
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if node in views:
                reads[views[node].buffer] = None
            else:
                stack.extend(node.inputs)
        k = KernelWriter(self.module, "advance", list(reads), self.symbols)
        values = [k.value(value, ()) for value in self.schedule.private.values()]
        for node, value in zip(self.schedule.private, values, strict=True):
            k.store(views[node], (), value)
        return k.function.text("noinline nounwind "), "advance", list(reads)

    # --- the entry -------------------------------------------------------------------------------------------------

    def _entry(self, update: tuple[str, str, list[Buffer]] | None) -> str:
        f = Function("entry", ["i64 %tid", "i64 %nthreads", "ptr %ctx"], linkage="")
        words = [f.op(f"load i64, ptr {f.pointer('%ctx', i, 'i64')}, align 8") for i in range(WORDS)]
        sync, scratch = (f.op(f"inttoptr i64 {words[i]} to ptr") for i in (SYNC, SCRATCH))
        private = f.op(f"inttoptr i64 {f.add(words[PRIVATE], f.mul('%tid', self._private_bytes()))} to ptr")
        work = f.pointer(private, self._work_at(), "i8")
        local = f.pointer(work, round_up(self.work), "i8")
        extents: dict[str, Scalar] = {}
        for i, symbol in enumerate(self.symbols):
            if symbol != BATCH.name:
                extents[symbol] = f.op(f"load i64, ptr {f.pointer('%ctx', WORDS + i, 'i64')}, align 8")
        first = WORDS + len(self.symbols)
        n_inputs = len(self.schedule.graph.inputs)

        def address(word: int) -> str:
            return f.op(f"load ptr, ptr {f.pointer('%ctx', word, 'i64')}, align 8")

        arrays = Addresses(
            lambda kind, number: address(first + number + (n_inputs if kind == "output" else 0))
        )
        if not self.deep:
            for buffer in self.schedule.buffers:
                if buffer.kind in ("input", "output"):
                    arrays[buffer.kind, buffer.number] = arrays[buffer.kind, buffer.number]
        for node, place in self.private.items():
            kind = memory_type(node.dtype)
            value = f.op(
                f"load {kind}, ptr {arrays['input', self.given[node].number]}, align {SIZE[node.dtype]}"
            )
            f.emit(f"store {kind} {value}, ptr {f.pointer(private, place, 'i8')}, align {SIZE[node.dtype]}")
        given = self.copies.take(f, arrays, private)
        clock = f.pointer(private, self._clocks_at(), "i8")
        for i in range(len(self.clocks)):
            f.emit(f"store i64 0, ptr {f.pointer(clock, CLOCK * i, 'i8')}, align {CLOCK}")

        @contextmanager
        def timed(name: str) -> Iterator[None]:
            """Add the cycles that what is done within takes to the clock of this name, if there are clocks."""
            if name not in self.clocks:
                yield
                return
            before = f.op("call i64 @llvm.readcyclecounter()")
            yield
            took = f.sub(f.op("call i64 @llvm.readcyclecounter()"), before)
            at = f.pointer(clock, CLOCK * self.clocks[name], "i8")
            total = f.add(f.op(f"load i64, ptr {at}, align {CLOCK}"), took)
            f.emit(f"store i64 {total}, ptr {at}, align {CLOCK}")

        def barrier() -> None:
            with timed("barrier"):
                f.emit(f"call void @rv.barrier(ptr {sync}, i64 %nthreads)")

        batch = self.schedule.batch
        with f.loop(words[START], words[STOP]) as step:
            start = f.mul(step.index, batch)
            rows = f.minimum(f.sub(words[TOTAL], start), batch)
            extents[BATCH.name] = rows
            edge, row_range, workers = self.shares.rows(f, rows)
            odd = f.op(f"and i64 {step.index}, 1") if self.schedule.turns else 0
            pointers = self._pointers(f, arrays, start, scratch, private, odd)
            here: dict[Buffer, str] = {}  # the thread's own values, as if row 0 of the batch were there

            def call(name: str, low: Scalar, high: Scalar, buffers: list[Buffer], worker: Scalar = 0) -> None:
                given = [f"i64 {low}", f"i64 {high}", f"i64 {worker}", f"ptr {work}"]
                given += [f"i64 {extents[s]}" for s in self.symbols]
                given += [f"ptr {here.get(b) or pointers(b)}" for b in buffers]
                with timed(name):
                    f.emit(f"call void @{self.names.get(name, name)}({', '.join(given)})")

            def run(tasks: Iterable[Task], rows: tuple[Scalar, Scalar], worker: Scalar = 0) -> None:
                for task in tasks:
                    with self.shares.each(f, task, rows) as own:
                        if self.fetching is not None and task is self.fetching.beside:
                            self._fetch(f, arrays, extents, words[TOTAL], f.add(start, batch), work, own)
                        call(f"k{task.number}", *own, self._buffers(task), worker)

            def by_worker(task: Task, low: Scalar, high: Scalar, few: tuple[Scalar, Scalar]) -> None:
                """Each of a few workers its own of these rows."""
                with f.loop(*few) as turn:
                    first = f.maximum(low, edge(turn.index))
                    end = f.minimum(high, edge(f.add(turn.index, 1)))
                    with f.when(f.op(f"icmp slt i64 {first}, {end}")):
                        run([task], (first, end), turn.index)

            def by_depth(tasks: list[Task], low: Scalar, high: Scalar, few: tuple[Scalar, Scalar]) -> None:
                """A few samples at a time through all the tasks, those of a few workers where each has fewer."""
                with f.loop(low, high, self.schedule.depth) as block:
                    for buffer, elements in self.schedule.local.items():
                        back = f.mul(block.index, -elements * SIZE[buffer.dtype])
                        here[buffer] = f.op(
                            f"getelementptr i8, ptr {local}, i64 {f.add(back, self.offsets[buffer])}"
                        )
                    end = f.minimum(f.add(block.index, self.schedule.depth), high)
                    for task in tasks:
                        if task.kind == "partial":
                            by_worker(task, block.index, end, few)
                        else:
                            run([task], (block.index, end))
                here.clear()

            def mirrored(first: Scalar, end: Scalar) -> tuple[Scalar, Scalar]:
                """The workers as far from the last of this thread's as these are from the first."""
                assert workers is not None
                both = f.add(*workers)
                return f.sub(both, end), f.sub(both, first)

            # Every other phase takes the samples from the last to the first: those that the phase before had last are
            # still in the cache.
            backward = False
            for number, (_, group) in enumerate(groupby(self.schedule.order, key=lambda t: t.phase)):
                if number:
                    barrier()
                # Tasks of one phase that are divided in different ways do not wait for each other.
                for (_, share, whole), tasks in groupby(sorted(group, key=_divided), key=_divided):
                    if whole or share == "each":
                        run(tasks, row_range)
                    elif share == "serial":
                        for turn, own in groupby(sorted(tasks, key=lambda t: t.turn), key=lambda t: t.turn):
                            with f.when(f.op(f"icmp eq i64 %tid, {f.op(f'urem i64 {turn}, %nthreads')}")):
                                run(own, row_range)
                    elif share == "rows" and workers is not None and self.schedule.depth:
                        listed = list(tasks)
                        for task in listed:
                            if task.adds:
                                stores = [view.buffer for _, view in task.stores]
                                with f.loop(*workers) as turn:
                                    call(f"start{task.number}", 0, 0, stores, turn.index)
                        most = f.floor_divide(f.add(rows, self.schedule.workers - 1), self.schedule.workers)
                        together = f.maximum(f.floor_divide(self.schedule.depth, most), 1)
                        with f.loop(*workers, together) as turn:
                            end = f.minimum(f.add(turn.index, together), workers[1])
                            few = mirrored(turn.index, end) if backward else (turn.index, end)
                            by_depth(listed, edge(few[0]), edge(few[1]), few)
                        backward = not backward
                    elif (
                        share == "rows" and workers is not None
                    ):  # all tasks on one worker's rows, then the next's
                        with f.loop(*workers) as turn:
                            run(tasks, (edge(turn.index), edge(f.add(turn.index, 1))), turn.index)
                    elif share == "rows" and self.schedule.depth:
                        by_depth(list(tasks), *row_range, (0, 0))
                    else:
                        run(tasks, row_range)
            if update is not None:
                call(update[1], 0, 0, update[2])
            if self.schedule.turns is None:
                barrier()
        with f.when(f.op("icmp eq i64 %tid, 0")):
            for node, place in self.private.items():
                kind = memory_type(node.dtype)
                value = f.op(f"load {kind}, ptr {f.pointer(private, place, 'i8')}, align {SIZE[node.dtype]}")
                f.emit(
                    f"store {kind} {value}, ptr {arrays['input', self.given[node].number]}, align {SIZE[node.dtype]}"
                )
        self.copies.give_back(f, given, arrays)
        return f.text("noinline optnone nounwind " if self.deep else "nounwind ")

    def _fetch(
        self, f: Function, arrays: dict[tuple[str, int], str], extents: dict[str, Scalar], total: Scalar,
        start: Scalar, work: str, own: tuple[Scalar, Scalar],
    ) -> None:  # fmt: skip
        """From now on have the rows fetched that this thread gathers in the step that begins at ``start``.

        ``own`` is what it now does of the product beside.
        """
        found = self.fetching
        assert found is not None
        source, order = (self.schedule.views[node].buffer for node in found.gather.inputs)
        samples = found.gather.inputs[0].shape[0]
        count = f.maximum(f.minimum(f.sub(total, start), self.schedule.batch), 0)
        parts, in_turn = found.task.parts, self.shares.in_turn(found.beside)
        features = self.shares.range(f, found.task, (0, 0)) if parts else (0, extent(found.gather, 1))
        prefetch.prepare(
            f,
            work,
            found,
            order=f.pointer(arrays[order.kind, order.number], start, "i32"),
            source=arrays[source.kind, source.number],
            last=f.sub(extents[samples.name] if isinstance(samples, Symbol) else samples, 1),
            rows=(0, count) if parts or found.task.share == "each" else self.shares.rows(f, count)[1],
            features=own if in_turn else features,
            tiles=f.floor_divide(
                self.shares.calls(found.beside), found.beside.parts if in_turn else "%nthreads"
            ),
        )

    def _pointers(
        self,
        f: Function,
        arrays: dict[tuple[str, int], str],
        start: Scalar,
        scratch: str,
        private: str,
        odd: Scalar,
    ) -> Callable[[Buffer], str]:
        graph = self.schedule.graph
        made: dict[Buffer, str] = {}  # stays empty in a deep program

        def window(buffer: Buffer, node: Node) -> str:
            """Where this step's rows begin."""
            size = SIZE[buffer.dtype]
            for dim in node.shape[1:]:
                assert isinstance(dim, int)
                size *= dim
            return f.pointer(arrays[buffer.kind, buffer.number], f.mul(start, size), "i8")

        def pointer(buffer: Buffer) -> str:
            if buffer.kind == "private":
                return f.pointer(private, buffer.number, "i8")
            return made[buffer] if buffer in made else make(buffer)

        def make(buffer: Buffer) -> str:
            if buffer.kind == "scratch" and buffer in self.copies.places:
                return f.pointer(private, self.copies.places[buffer], "i8")
            if buffer.kind == "scratch" and buffer not in self.schedule.local:
                place: Scalar = self.offsets[buffer]
                if buffer in (self.schedule.turns or ()):
                    place = f.add(place, f.mul(odd, self.sizes[buffer] // 2))
                return f.pointer(scratch, place, "i8")
            if buffer.kind == "constant":
                return f"@c.{buffer.number}"
            if buffer.kind == "input" and graph.inputs[buffer.number].attrs["windowed"]:
                return window(buffer, graph.inputs[buffer.number])
            if buffer.kind == "output" and graph.outputs[buffer.number].shape[:1] == (BATCH,):
                return window(buffer, graph.outputs[buffer.number])
            return arrays[buffer.kind, buffer.number]

        for buffer in () if self.deep else self.schedule.buffers:  # they serve every kernel of the step
            if buffer.kind in ("input", "output", "scratch") and buffer not in self.schedule.local:
                made[buffer] = make(buffer)
        return pointer

    def _work(self) -> float:
        total = 0.0
        for task in self.schedule.order:
            cost = 1.0
            inner = task.anchor.attrs.get("inner", task.anchor) if task.anchor else None
            dims = inner.attrs["loops"] if inner is not None and inner.op.name == "contract" else task.space
            for dim in dims:
                cost *= self.schedule.batch if isinstance(dim, Symbol) else dim
            total += cost * (1 if task.kind == "contract" else 4)
        return total


def _divided(task: Task) -> tuple[int, str, bool]:
    """What tasks of one phase have in common that are run one after the other, a few samples at a time or not."""
    return task.stage, task.share, task.whole


def clocks(schedule: Schedule) -> list[str]:
    """What a timed program has a clock for: each task, by its number, and all barriers."""
    return [*(f"k{task.number}" for task in schedule.order), "barrier"]


def assemble(schedule: Schedule, target: Target, timed: bool = False) -> Text:
    """The LLVM text of a schedule for a target; ``timed``, it also counts the cycles that each part of it takes."""
    return Assembler(schedule, target, timed).write()
