"""The parts of a program that its entry puts together, and how it calls them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from math import prod
from typing import NamedTuple

from ranvier.engines.native.codegen.layout import Layout
from ranvier.engines.native.codegen.partition import Partition
from ranvier.engines.native.codegen.prefetch import Prefetch
from ranvier.engines.native.runtime.context import WORDS
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import Buffer
from ranvier.engines.native.target.lanes import SIZE
from ranvier.graph.node import BATCH, Node, extents


class Call(NamedTuple):
    """A kernel's name, and what it is given beside its range."""

    kernel: str
    buffers: list[Buffer]
    numbers: list[Node]  # integer constants
    signature: int = 0  # equal for tasks whose kernels are called in the same way


class Group(NamedTuple):
    """Tasks that are divided among threads in the same way."""

    division: str
    whole: bool
    tasks: list[Task]
    part: int = 0  # positions, on which all tasks run before the next ones; 0: each on all of a thread


class Place(NamedTuple):
    """Where a value is: in which memory, the bytes of a row along which it moves, and its own numbers.

    Of a constant, ``row`` is its number; of the caller's arrays, numbers are words of the context; elsewhere the
    numbers are the offset and, of a double-buffered value, the distance of its second copy.
    """

    memory: str
    row: int
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """The parts of a program that its entry puts together."""

    layout: Layout
    partition: Partition
    symbols: tuple[str, ...]
    calls: Mapping[str, Call]  # of each task's kernels
    clocks: Mapping[str, int]
    prefetched: Prefetch | None
    loops: Mapping[Task, Program] = field(default_factory=dict)  # the programs of the bodies of loops
    name: str = ""  # of a loop's body, in the names of its constants
    places: dict[Buffer, Place] = field(default_factory=dict)

    def place(self, buffer: Buffer) -> Place:
        found = self.places.get(buffer)
        if found is None:
            found = self.places[buffer] = self._place(buffer)
        return found

    def _place(self, buffer: Buffer) -> Place:
        layout, schedule = self.layout, self.layout.schedule
        if buffer.kind == "private":
            return Place("private", 0, (buffer.number,))
        if buffer in layout.copies.offsets:
            return Place("private", 0, (layout.copies.offsets[buffer],))
        if buffer in schedule.local:
            return Place("local", schedule.local[buffer] * SIZE[buffer.dtype], (layout.offsets[buffer],))
        if buffer.kind == "scratch":
            second = (layout.sizes[buffer] // 2,) if buffer in (schedule.double_buffered or ()) else ()
            return Place("scratch", 0, (layout.offsets[buffer], *second))
        if buffer.kind == "constant":
            return Place("constant", buffer.number, ())
        node = (schedule.graph.inputs if buffer.kind == "input" else schedule.graph.outputs)[buffer.number]
        moves = node.attrs["windowed"] if buffer.kind == "input" else node.shape[:1] == (BATCH,)
        return Place("array", SIZE[buffer.dtype] * prod(extents(node, 1)) if moves else 0, (self.word_of(buffer),))

    def word_of(self, buffer: Buffer) -> int:
        """The word of the context that has the address of one of the caller's arrays."""
        inputs = len(self.layout.schedule.graph.inputs) if buffer.kind == "output" else 0
        return WORDS + len(self.symbols) + inputs + buffer.number


def _division(task: Task) -> tuple[int, str, bool, int, int]:
    """The stage of a task, and how it is divided among threads."""
    return task.stage, task.division, task.whole, task.joined, task.parts if task.joined else 0


def groups_of(phase: Iterable[Task]) -> Iterator[Group]:
    """The groups of a phase's tasks, which do not wait for each other."""
    for (_, division, whole, part, _), tasks in groupby(sorted(phase, key=_division), key=_division):
        own = list(tasks)
        yield Group(division, whole, sorted(own, key=lambda t: t.turn) if division == "serial" else own, part)
