"""The entry: the function in which every thread runs a program's tasks, step by step."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from ranvier.engines.native.codegen.builder import Function
from ranvier.engines.native.codegen.program import Program, groups_of
from ranvier.engines.native.codegen.step import StepWriter
from ranvier.engines.native.codegen.task_lists import TaskLists
from ranvier.engines.native.runtime.context import CLOCK, FAULT, START, STOP
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import Buffer
from ranvier.engines.native.target.lanes import SIZE, memory_type

# Buffers above which a program is deep: LLVM is slow with that many values live at once.
MAX_LIVE_BUFFERS = 256


class EntryWriter:
    """Writes the entry: the calls of all tasks or, in a deep program, a loop over lists of tasks."""

    def __init__(self, program: Program) -> None:
        self.program, self.layout, self.schedule = program, program.layout, program.layout.schedule
        deep = len(self.schedule.buffers) > MAX_LIVE_BUFFERS
        self.lists = TaskLists(program) if deep else None
        self.f = Function("entry", ["i64 %tid", "i64 %nthreads", "ptr %ctx"], linkage="")
        self.step = StepWriter(program, self.f)

    def write(self, advances: bool) -> str:
        """The text. ``advances``: the kernel "advance" updates private scalars after each step."""
        if self.lists is None:
            for buffer in self.schedule.buffers:
                if buffer.kind in ("input", "output"):
                    self.step.arrays[buffer] = self.step.array(buffer)
        self._take_private()
        with self.f.loop(self.step.word(START), self.step.word(STOP)) as loop:
            self.step.begin(loop.index)
            self.step.pointers = self._pointers() if self.lists is None else {}
            self._phases(loop.done)
            if self.lists is not None:
                self.lists.run(self.step)
            if advances:
                self.step.call("advance", 0, 0)
            if self.schedule.double_buffered is None:
                self.step.barrier()
        self._give_back_private()
        text = self.f.text("nounwind ")
        return text if self.lists is None else f"{self.lists.text()}\n{text}"

    def functions(self) -> Iterable[tuple[str, str]]:
        """The names and texts of the functions that the entry calls by its lists of tasks."""
        return () if self.lists is None else ((name, text) for text, name in self.lists.functions.items())

    def _pointers(self) -> dict[Buffer, str]:
        """The addresses of this step that kernels are called with; functions of phases compute them for each call."""
        found: dict[Buffer, str] = {}
        for buffer in self.schedule.buffers:
            if buffer.kind in ("input", "output", "scratch") and buffer not in self.schedule.local:
                found[buffer] = self.step.address(buffer)
        return found

    def _phases(self, end: str) -> None:
        """All phases of a step, with a barrier between two of them.

        The run goes to the label ``end`` where a check has failed, before anything is written to the caller's arrays.

        Every other phase takes the samples from the last to the first: those that the phase before took last are still
        in the cache.
        """
        fault = self.schedule.fault
        self.step.backward = False
        for number, (phase, tasks) in enumerate(groupby(self.schedule.order, key=lambda t: t.phase)):
            if number:
                (self.step if self.lists is None else self.lists).barrier()
            if fault is not None and phase > fault.phase:  # no thread examines values before all have seen this
                if self.lists is not None:
                    self.lists.run(self.step)
                self._stop_at_fault(fault, end)
                fault = None
            for group in groups_of(tasks):
                if self.lists is None:
                    self.step.run_group(group)
                else:
                    self.step.backward = self.lists.add(group, self.step.backward)

    def _stop_at_fault(self, task: Task, end: str) -> None:
        f = self.f
        words = self.step.pointer(task.stores[0][1].buffer)
        found = f.op(f"load i64, ptr {f.pointer(words, FAULT, 'i64')}, align 8")
        f.count += 1
        following = f"sound{f.count}"
        f.emit(f"br i1 {f.op(f'icmp ne i64 {found}, 0')}, label %{end}, label %{following}")
        f.label(following)

    # --- each thread's own memory ----------------------------------------------------------------------------------

    def _take_private(self) -> None:
        """Copy the caller's private scalars and copied values into the thread's own memory; set its clocks to 0."""
        f, layout, step = self.f, self.layout, self.step
        for node, offset in layout.scalars.items():
            kind, size = memory_type(node.dtype), SIZE[node.dtype]
            value = f.op(f"load {kind}, ptr {step.array(layout.given[node])}, align {size}")
            f.emit(f"store {kind} {value}, ptr {f.pointer(step.private, offset, 'i8')}, align {size}")
        layout.copies.take(f, step.array, step.private)
        for i in range(self.layout.clocks):
            f.emit(f"store i64 0, ptr {f.pointer(step.clock, CLOCK * i, 'i8')}, align {CLOCK}")

    def _give_back_private(self) -> None:
        f, layout, step = self.f, self.layout, self.step
        with f.when(f.op("icmp eq i64 %tid, 0")):
            for node, offset in layout.scalars.items():
                kind, size = memory_type(node.dtype), SIZE[node.dtype]
                value = f.op(f"load {kind}, ptr {f.pointer(step.private, offset, 'i8')}, align {size}")
                f.emit(f"store {kind} {value}, ptr {step.array(layout.given[node])}, align {size}")
        layout.copies.give_back(f, step.array, step.private)
