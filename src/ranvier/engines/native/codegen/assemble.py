"""Putting a program together: every task's kernel, the entry that runs them, and what both need."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ranvier.engines.native.codegen import prefetch
from ranvier.engines.native.codegen.builder import PREFETCH
from ranvier.engines.native.codegen.contraction import emit_contraction
from ranvier.engines.native.codegen.entry import EntryWriter
from ranvier.engines.native.codegen.kernel import Kernel, Module
from ranvier.engines.native.codegen.layout import COPY, Layout
from ranvier.engines.native.codegen.map_kernels import emit_task
from ranvier.engines.native.codegen.partition import Partition
from ranvier.engines.native.codegen.program import Call, Program
from ranvier.engines.native.codegen.reductions import emit_start
from ranvier.engines.native.codegen.signature import Signature, Signatures
from ranvier.engines.native.codegen.task_lists import LISTED
from ranvier.engines.native.codegen.unit_writer import UnitWriter
from ranvier.engines.native.codegen.values import KernelWriter
from ranvier.engines.native.runtime.context import Text
from ranvier.engines.native.runtime.threads import barrier_ir
from ranvier.engines.native.runtime.units import Unit
from ranvier.engines.native.schedule.memory_planning import LINE, round_up
from ranvier.engines.native.schedule.schedule import Schedule
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import Buffer
from ranvier.engines.native.target.target import Target
from ranvier.graph.extents import Extent, size
from ranvier.graph.node import BATCH, walk

KERNEL = "kernel"  # what the text of each calls it


def assemble(schedule: Schedule, target: Target, timed: bool = False) -> Text:
    """The LLVM text of a schedule for a target; if ``timed``, it also counts the cycles that each part of it takes."""
    assembler = Assembler(schedule, target, timed)
    for _ in assembler.units():
        pass
    return assembler.program()


def clocks(schedule: Schedule) -> list[str]:
    """The clocks of a timed program: one for each task, and one for all barriers."""
    return [*(f"{prefix}k{task.number}" for prefix, own in bodies(schedule) for task in own.order), "barrier"]


def bodies(schedule: Schedule, prefix: str = "") -> Iterator[tuple[str, Schedule]]:
    """A schedule and those of the bodies of its loops, each with what the names of its kernels begin with."""
    yield prefix, schedule
    for task, loop in schedule.loops.items():
        yield from bodies(loop.schedule, f"{prefix}l{task.number}_")


@dataclass
class Definitions:
    """What the kernels of a program's schedules share: its text, and the kernels by theirs."""

    target: Target
    symbols: tuple[str, ...]
    clocks: dict[str, int]
    functions: set[tuple[str, str]] = field(default_factory=set)
    declarations: set[str] = field(default_factory=set)
    kernels: dict[str, str] = field(default_factory=dict)  # the text of each, and its name
    written: UnitWriter = field(init=False)

    def __post_init__(self) -> None:
        self.written = UnitWriter(self.functions, self.declarations, self.target.has_fma)


class Kernels:
    """The kernels of one schedule, and those of the bodies of its loops."""

    def __init__(self, schedule: Schedule, shared: Definitions, prefix: str = "") -> None:
        self.schedule, self.shared, self.prefix = schedule, shared, prefix
        self.loops: dict[Task, Kernels] = {
            task: Kernels(loop.schedule, shared, f"{prefix}l{task.number}_") for task, loop in schedule.loops.items()
        }
        self.target, self.written = shared.target, shared.written
        self.partition = Partition(schedule, self.target)
        self.module = Module(
            schedule.graph, schedule.view, schedule.uses, self.target.has_fma, self.target.has_masks,
            schedule.samples_adjacent, schedule.batch, {*schedule.local, *schedule.of_part}, schedule.unread,
            shared.functions, shared.declarations,
        )  # fmt: skip
        self.prefetched = prefetch.choose(schedule) if schedule.interface is None else None
        memory = {schedule.loops[task].memory: inner.layout.scratch for task, inner in self.loops.items()}
        timed = 0 if prefix else len(shared.clocks)
        self.layout: Layout = Layout(schedule, self.partition, self.prefetched is not None, timed, memory)
        self.signatures = Signatures(schedule)
        # By signature: its number, and the names of a kernel and its starter.
        self.known: dict[tuple[Any, ...], tuple[int, str, str]] = {}
        self.verifies = bool(os.environ.get("RANVIER_VERIFY"))
        self.calls: dict[str, Call] = {}

    def write(self) -> Iterator[Unit]:
        """The kernels, some in each unit, but for the last ones."""
        for task in self.schedule.order:
            if task in self.loops:
                yield from self.loops[task].write()
                self.layout.workspace = max(self.layout.workspace, self.loops[task].layout.workspace)
            else:
                self._kernels(task)
            if self.written.is_full:
                yield self.written.unit()
        if self.layout.of_part:
            self.layout.of_part_at = round_up(self.layout.workspace)
            self.layout.workspace = self.layout.of_part_at + self.layout.of_part
        if self.layout.scalars:
            self._advance()
        for buffer in self.schedule.buffers:
            if buffer.kind == "constant":
                self._constant(buffer)

    @property
    def program(self) -> Program:
        """How to call them."""
        own = {name.removeprefix(self.prefix): i for name, i in self.shared.clocks.items() if self._is_own(name)}
        inner = {task: kernels.program for task, kernels in self.loops.items()}
        return Program(
            self.layout, self.partition, self.shared.symbols, self.calls, own, self.prefetched, inner, self.prefix
        )

    def _is_own(self, clock: str) -> bool:
        return clock == "barrier" or (clock.startswith(self.prefix) and "_" not in clock.removeprefix(self.prefix))

    def _constant(self, buffer: Buffer) -> None:
        data = "".join(f"\\{byte:02X}" for byte in buffer.data)
        name, type_ = f"{self.prefix}c.{buffer.number}", f"[{len(buffer.data)} x i8]"
        text = f'@{name} = unnamed_addr constant {type_} c"{data}", align {LINE}'
        self.written.add(name, text, f"@{name} = external unnamed_addr constant {type_}, align {LINE}")

    def _kernels(self, task: Task) -> None:
        """The kernel of a task and, if it has one, its starter: new ones, or those of an equal task."""
        signature = self.signatures.of(task)
        key = (*signature.key, self.prefetched is not None and task is self.prefetched.product)
        found = self.known.get(key)
        if found is None or self.verifies:
            number = len(self.known) if found is None else found[0]
            written = number, self._kernel(task, signature), self._starter(task) if task.starts else ""
            if found not in (None, written):
                raise AssertionError(f"equal signatures of different kernels: {found[1]} and k{task.number}")
            found = self.known[key] = written
        number, kernel, starter = found
        self.calls[f"k{task.number}"] = Call(kernel, signature.buffers, signature.numbers, number)
        if task.starts:
            stored = [view.buffer for _, view in task.stores]
            self.calls[f"start{task.number}"] = Call(starter, stored, [], number)

    def _define(self, name: str, k: Kernel) -> str:
        """The name of a kernel: this one, or that of a kernel of equal text."""
        text = k.function.text("noinline nounwind ")
        kernels = self.shared.kernels
        if text not in kernels:
            kernels[text] = f"{self.prefix}{name}"
            self.written.add_function(kernels[text], text, KERNEL)
        return kernels[text]

    def _kernel(self, task: Task, signature: Signature) -> str:
        k = KernelWriter(self.module, KERNEL, signature.buffers, self.shared.symbols, signature.numbers)
        inner = task.computed
        if inner is not None and inner.op.name == "contract":
            k.computed_here = set(task.nodes)
            if self.prefetched is not None and task is self.prefetched.product:
                k.interleaved = prefetch.CALL
                self.module.declarations.add(PREFETCH)
                self.written.add("rv.fetch", prefetch.TEXT)
            block = self.schedule.block if task.division == "rows" and not task.whole else 0
            emit_contraction(k, task, self.target, min(block or self.schedule.batch, self.schedule.batch))
        else:
            emit_task(k, task)
        self.layout.workspace = max(self.layout.workspace, k.work)
        return self._define(f"k{task.number}", k)

    def _starter(self, task: Task) -> str:
        k = KernelWriter(self.module, KERNEL, [view.buffer for _, view in task.stores], self.shared.symbols)
        emit_start(k, task)
        return self._define(f"start{task.number}", k)

    def _advance(self) -> None:
        """The kernel that updates the private scalars: all are computed before any is stored."""
        views = self.schedule.views
        reads: dict[Buffer, None] = {views[node].buffer: None for node in self.layout.scalars}
        for node in walk(self.schedule.private.values(), lambda node: node not in views):
            if node in views:
                reads[views[node].buffer] = None
        k = KernelWriter(self.module, KERNEL, list(reads), self.shared.symbols)
        values = [k.value(value, ()) for value in self.schedule.private.values()]
        for node, value in zip(self.schedule.private, values, strict=True):
            k.store(views[node], (), value)
        self.calls["advance"] = Call(self._define("advance", k), list(reads), [])

    def work(self) -> float:
        """The multiply-adds of a step, roughly."""
        total = 0.0
        for task in self.schedule.order:
            if task in self.loops:
                total += task.node.attrs["length"] * self.loops[task].work()
                continue
            inner = task.computed
            dims = inner.attrs["loops"] if inner is not None and inner.op.name == "contract" else task.space
            total += size(dims, self.schedule.batch) * (1 if task.kind == "contract" else 4)
        return total


class Assembler:
    """Writes the program of one schedule for one target: in units, which are compiled on their own, and as a whole."""

    def __init__(self, schedule: Schedule, target: Target, timed: bool = False) -> None:
        found = {d.name for n in schedule.graph.inputs for d in n.shape if isinstance(d, Extent)}
        own = {name: i for i, name in enumerate(clocks(schedule))} if timed else {}
        self.shared = Definitions(target, tuple(sorted(found | {BATCH.name})), own)
        self.kernels = Kernels(schedule, self.shared)

    def units(self) -> Iterator[Unit]:
        """The program's kernels, some in each unit, and in the last one its entry."""
        shared, kernels = self.shared, self.kernels
        yield from kernels.write()
        entry = EntryWriter(kernels.program)
        text, barrier = entry.write(bool(kernels.layout.scalars)), barrier_ir(shared.target.arch)
        for name, function in entry.functions():
            shared.written.add_function(name, function, LISTED)
            if shared.written.is_full:
                yield shared.written.unit(barrier)
        shared.written.add("entry", f"{barrier}\n{text}")
        shared.declarations.update({"declare i64 @llvm.readcyclecounter()"} if shared.clocks else ())
        shared.declarations.update({COPY} if kernels.schedule.replicated else ())
        yield shared.written.unit()

    def program(self) -> Text:
        """The whole program, after the last unit."""
        layout = self.kernels.layout
        at = layout.clocks_at if self.shared.clocks else None
        text = self.shared.written.text()
        return Text(text, self.shared.symbols, layout.scratch, layout.private, self.kernels.work(), at)
