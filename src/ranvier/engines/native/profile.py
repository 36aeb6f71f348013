"""A profile of a program's time: the same program with clocks around its tasks and barriers, on x86-64."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier.engines.native.codegen.assemble import assemble, bodies, clocks
from ranvier.engines.native.compiler import lower, schedule_of
from ranvier.engines.native.runtime import llvm
from ranvier.engines.native.runtime import threads as runtime
from ranvier.engines.native.runtime.context import CLOCK
from ranvier.engines.native.runtime.program import NativeProgram
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.target.target import CompilerError
from ranvier.graph.graph import Graph

PARTS = ("products", "sums and pooling", "element by element", "weights' updates", "laying out", "waiting")


def part_of(task: Task) -> str:
    """Which of `PARTS` a task's time belongs to; operations fused with a product belong to the product."""
    node = task.computed
    updates = any(view.buffer.kind == "input" for _, view in task.stores) or task.kind == "copy"
    if node is not None and node.op.name == "contract":
        return "products"
    if updates:
        return "weights' updates"
    if node is not None and node.op.kind == "reduce":
        return "sums and pooling"
    moved = all(n.op.kind in ("layout", "movement", "index") for n in task.members)
    return "laying out" if task.kind == "place" or (task.members and moved) else "element by element"


class TimedProgram:
    """A graph as a program that counts its cycles.

    Raises CompilerError on other processors than x86-64.
    """

    def __init__(self, graph: Graph, batch: int) -> None:
        target = llvm.resolve_target()
        if target.arch != "x86_64":
            raise CompilerError(f"cycles are counted on x86-64 alone; this is {target.arch}.")
        schedule = schedule_of(lower(graph), batch)
        text = assemble(schedule, target, timed=True)
        library = llvm.load_object(llvm.compile_object(text.text, target), target)
        self.program, self.names = NativeProgram(graph, batch, text, library), clocks(schedule)
        tasks = {f"{prefix}k{task.number}": task for prefix, own in bodies(schedule) for task in own.order}
        self.parts = {name: part_of(task) for name, task in tasks.items()} | {"barrier": "waiting"}

    def shares(self, run: Callable[[NativeProgram], Any], threads: int) -> dict[str, float]:
        """The fraction of each of `PARTS` in the cycles that ``threads`` threads take for one run."""
        with runtime.threads_here(threads):
            run(self.program)
        return self._shares(threads)

    def _shares(self, threads: int) -> dict[str, float]:
        (frame,) = self.program._frames
        text, found = self.program.text, Counter[str]()
        assert text.clocks is not None
        for thread in range(threads):
            start = thread * text.private + text.clocks
            counted: Sequence[int] = frame.private[start : start + CLOCK * len(self.names)].view(np.int64)
            for name, cycles in zip(self.names, counted, strict=True):
                found[self.parts[name]] += int(cycles)
        total = max(1, found.total())
        return {part: found[part] / total for part in PARTS}
