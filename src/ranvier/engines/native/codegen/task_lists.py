"""Deep programs: lists of tasks as data, over which the entry loops, so that its text does not grow with the depth.

A list has a record for each task: the function that runs the task, and the numbers that this function reads, such as
the offsets of arrays. Tasks that differ only in these numbers have one function.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from ranvier.engines.native.codegen.builder import Function
from ranvier.engines.native.codegen.program import Group, Program
from ranvier.engines.native.codegen.step import Range, StepWriter, address_of
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.target.lanes import Scalar

# A record begins with the address of its function, its own words, and the turn of a serial task. A group begins with
# the records that start sums and their words, and the number of its tasks; all records follow.
FUNCTION, LENGTH, TURN, RECORD = range(4)
STARTS, START_WORDS, TASKS, GROUP = range(4)
# An entry of the list of groups: the address of its function, its place in the table, and whether a barrier follows.
PLACE, BARRIER, ENTRY = 1, 2, 3
LISTED = "listed"  # what the text of each function of a list calls it
COMMON = ("i64 %tid", "i64 %nthreads", "ptr %ctx", "i64 %step", "ptr %table")
OF_TASK = ("i64 %lo", "i64 %hi", "i64 %worker", "i64 %first", "i64 %end", "i64 %block")


class GroupWriter(StepWriter):
    """Writes the function of a group, which loops over the records of its tasks."""

    def __init__(self, program: Program, f: Function) -> None:
        super().__init__(program, f, "%step")
        starts, words, tasks = (_word(f, "%table", i) for i in (STARTS, START_WORDS, TASKS))
        first = f.pointer("%table", GROUP, "i64")
        self.starts, self.tasks = (starts, first), (tasks, f.pointer(first, words, "i64"))

    def _run(self, tasks: Sequence[Task], rows: Range, worker: Scalar = 0, workers: Range = (0, 0)) -> None:
        self._loop(self.tasks, (*rows, worker, *workers))

    def _run_serial(self, tasks: Sequence[Task]) -> None:
        self._loop(self.tasks, (*self.parts.own, 0, 0, 0), serial=True)

    def _start(self, tasks: Sequence[Task], workers: Range) -> None:
        self._loop(self.starts, (0, 0, 0, *workers))

    def _loop(self, records: tuple[str, str], given: Sequence[Scalar], serial: bool = False) -> None:
        f, (count, first) = self.f, records
        arguments = ", ".join(f"i64 {value}" for value in (*given, self.block or 0))
        with f.loop(0, count, carry=[("ptr", first)]) as loop:
            (record,) = loop.values
            function = f.op(f"inttoptr i64 {_word(f, record, FUNCTION)} to ptr")
            call = f"call void {function}(i64 %tid, i64 %nthreads, ptr %ctx, i64 %step, ptr {record}, {arguments})"
            if serial:
                with self._turn(_word(f, record, TURN)):
                    f.emit(call)
            else:
                f.emit(call)
            loop.next = [f.pointer(record, _word(f, record, LENGTH), "i64")]


class TaskLists:
    """The lists of a program's tasks, in the order in which groups are added."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.functions: dict[str, str] = {}  # the text of each, and its name
        self.known: dict[tuple[Any, ...], int | str] = {}  # their addresses, by what tasks have in common
        self.ranges: dict[int, tuple[int, tuple[int, ...]]] = {}  # by the signatures of tasks
        self.table: list[int | str] = []
        self.entries: list[list[int | str]] = []  # since `run` was called last

    def add(self, group: Group, backward: bool) -> bool:
        """Add a group; if ``backward``, it takes the samples from the last to the first. Returns that of the next."""
        f = Function(LISTED, COMMON)
        own = GroupWriter(self.program, f)
        own.backward = backward
        own.run_group(group)
        self.entries.append([self._address(f), len(self.table), 0])
        listed = [] if group.division == "loop" else group.tasks  # the function of a loop has no records
        starts = [word for task in listed if task.starts for word in self._record(task, group, start=True)]
        count = sum(task.starts for task in listed)
        self.table += [count, len(starts), len(listed), *starts]
        for task in listed:
            self.table += self._record(task, group)
        return own.backward

    def _record(self, task: Task, group: Group, start: bool = False) -> list[int | str]:
        """The record of a task. Its function is that of another task that is called in the same way."""
        program = self.program
        call = program.calls[f"{'start' if start else 'k'}{task.number}"]
        places = [program.place(buffer) for buffer in call.buffers]
        kinds = [(p.memory, p.row, len(p.numbers)) for p in places]
        piece, blocks = (0, ()) if start else self._ranges(call.signature, task)
        extent = task.space[task.axis] if piece else 0
        own_kind = task.kind if task.kind in ("partial", "fault") else ""
        alone = program.prefetched is not None and task is program.prefetched.product
        key = (
            start, group[:2], task.division, own_kind, task.accumulates, piece, extent, len(blocks), tuple(kinds),
            tuple([node.dtype for node in call.numbers]), alone,
        )  # fmt: skip
        found = self.known.get(key)
        if found is None:
            record = self._new_record(task, group, start)
            if not program.clocks:
                self.known[key] = record[FUNCTION]
            return record
        own: list[int | str] = [*blocks, address_of(call.kernel), *chain.from_iterable(p.numbers for p in places)]
        own += [n.attrs["value"].item() for n in call.numbers]
        return [found, RECORD + len(own), task.turn, *own]

    def _ranges(self, signature: int, task: Task) -> tuple[int, tuple[int, ...]]:
        """The size of the pieces that threads take in turn, or the blocks that each takes a range of."""
        found = self.ranges.get(signature)
        if found is None:
            partition = self.program.partition
            piece = partition.piece(task)
            found = self.ranges[signature] = piece, () if piece else partition.blocks(task)
        return found

    def _new_record(self, task: Task, group: Group, start: bool) -> list[int | str]:
        f, record = Function(LISTED, (*COMMON, *OF_TASK)), list[int | str]([0] * RECORD)
        own = StepWriter(self.program, f, "%step", record)
        if start:
            own.start_task(task, ("%first", "%end"))
        else:
            blocks = group.division == "rows" and not group.whole and self.program.layout.schedule.block
            own.block = "%block" if blocks else None
            own.run_task(task, ("%lo", "%hi"), "%worker", ("%first", "%end"))
        record[:RECORD] = [self._address(f), len(record), task.turn]
        return record

    def _address(self, f: Function) -> str:
        # Not optimized: it runs a few instructions for a whole task, and LLVM takes half as long.
        name = self.functions.setdefault(f.text("noinline optnone nounwind "), f"{LISTED}{len(self.functions)}")
        return address_of(name)

    def barrier(self) -> None:
        """A barrier after the group that was added last."""
        self.entries[-1][BARRIER] = 1

    def run(self, step: StepWriter) -> None:
        """Write the loop over the groups that were added since the last call."""
        f, first = step.f, len(self.table)
        self.table += [word for entry in self.entries for word in entry]
        count, self.entries = len(self.entries), []
        with f.loop(0, count) as loop:
            entry = f.pointer(f"getelementptr (i64, ptr @table, i64 {first})", f.mul(loop.index, ENTRY), "i64")
            function = f.op(f"inttoptr i64 {_word(f, entry, FUNCTION)} to ptr")
            table = f.pointer("@table", _word(f, entry, PLACE), "i64")
            f.emit(f"call void {function}(i64 %tid, i64 %nthreads, ptr %ctx, i64 {step.step}, ptr {table})")
            with f.when(f.op(f"icmp ne i64 {_word(f, entry, BARRIER)}, 0")):
                step.barrier()

    def text(self) -> str:
        """The table."""
        words = ", ".join(f"i64 {word}" for word in self.table)
        return f"@table = private unnamed_addr constant [{len(self.table)} x i64] [{words}]"


def _word(f: Function, pointer: str, place: int) -> str:
    return f.op(f"load i64, ptr {f.pointer(pointer, place, 'i64')}, align 8")
