"""Tasks: what each kernel computes, and which tasks wait for which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

from ranvier.engines.native.passes.primitives import inner_operands
from ranvier.engines.native.schedule.mask_bounds import Bound
from ranvier.engines.native.schedule.view import Buffer, View
from ranvier.graph.extents import Shape
from ranvier.graph.node import INSTRUCTION, Node


@dataclass(eq=False)
class Task:
    """The work of one kernel.

    ``kind``: map, reduce, contract, partial (each virtual worker's part of a sum over the samples), scatter (with
    members: of the rows that are added to alone), place (copies operands into a larger result), copy, fault
    (examines values, one kernel in a program), loop (over time).
    """

    number: int
    kind: str
    space: Shape
    anchor: Node | None = None
    members: list[Node] = field(default_factory=list)
    stores: list[tuple[Node, View]] = field(default_factory=list)
    # Node in memory -> whether it is read at the task's own row alone.
    reads: dict[Node, bool] = field(default_factory=dict)
    copy: tuple[View, View] | None = None
    # rows: by rows of the batch; split: along ``axis``; serial: one thread does it; each: every thread does all of it
    # and has its own copy of the result; loop: as the tasks of its body are
    division: str = "serial"
    axis: int = 0  # of the space, along which it is split
    parts: int = 0  # equal parts; tasks of as many parts read of each other what the same part computed
    # Positions of a part, which a thread takes through all tasks with as many parts of this size before the next one;
    # 0: it takes its parts of one task after the other.
    joined: int = 0
    phase: int = 0
    whole: bool = False  # done for all of a thread's rows at once, where other tasks take blocks of samples
    stage: int = 0  # within the phase: a later one waits for all of the thread's own rows
    turn: int = 0  # of a serial task: threads take them round-robin
    starts: bool = False  # its result is initialized: samples come in several calls, or in none
    accumulates: bool = False  # adds to its result
    streams: bool = False  # its result bypasses the caches
    bounds: tuple[Bound, ...] = ()  # of a product: terms and results outside of them need no sums
    # Of a product: slices of a loop that it prefetches, each with how far it is from this step's.
    ahead: tuple[tuple[View, int], ...] = ()

    @property
    def node(self) -> Node:
        """The anchor, of a task that must have one."""
        assert self.anchor is not None
        return self.anchor

    @property
    def stored(self) -> View:
        """Where the anchor's result, or what its members make of it, is stored."""
        return next(view for node, view in self.stores if node.shape == self.space)

    def operands(self, view: Callable[[Node], View | None]) -> list[View]:
        """The views of the operands of the anchor, or of the sum that it is a part of."""
        operands = inner_operands(self.node) if self.kind == "partial" else self.node.inputs
        return [found for i in operands if (found := view(i)) is not None]

    @property
    def nodes(self) -> list[Node]:
        """The anchor, where there is one, and the members."""
        return [*([self.anchor] if self.anchor is not None else []), *self.members]

    @property
    def length(self) -> int:
        """How many operations follow the anchor: a map consists of several."""
        return sum(len(node.attrs["body"].nodes()) if node.op.name == "map" else 1 for node in self.members)

    @property
    def computes_functions(self) -> bool:
        """Whether an operation that follows the anchor is many instructions, as an elementary function is."""
        bodies = [node.attrs["body"].nodes() if node.op.name == "map" else (node,) for node in self.members]
        return any(node.op.cost > INSTRUCTION for body in bodies for node in body)

    @property
    def computed(self) -> Node | None:
        """The anchor, or the contraction or reduction of which it is a partial result."""
        return self.anchor.attrs.get("inner", self.anchor) if self.anchor is not None else None

    def buffers(self, view: Callable[[Node], View | None]) -> list[Buffer]:
        """The buffers that the kernel reads and writes, each once."""
        reads = [found for node in self.reads if (found := view(node)) is not None]
        views = (*reads, *(stored for _, stored in self.stores), *(self.copy or ()), *(view for view, _ in self.ahead))
        return list(dict.fromkeys(found.buffer for found in views))

    @property
    def row_space(self) -> Shape:
        return self.space[:-1]


class Waits:
    """For each task, by its number, the set (as bits) of the tasks that must run before it."""

    def __init__(self) -> None:
        self._before: list[int] = []
        self._awaited = 0  # tasks that any task waits for

    def add(self) -> None:
        """One more task, which waits for none."""
        self._before.append(0)

    def before(self, number: int, other: int) -> bool:
        """Whether task ``number`` waits for ``other``."""
        return bool(self._before[number] >> other & 1)

    def wait(self, number: int, needs: int) -> None:
        """Make the task, and all that wait for it, wait for those in ``needs`` and for what these wait for."""
        bit = 1 << number
        gained = needs & ~bit
        for other in numbers(needs & ~bit):
            gained |= self._before[other]
        if gained & ~self._before[number]:
            self._before[number] |= gained
            awaited, self._awaited = self._awaited & bit, self._awaited | gained
            if not awaited:  # usually a new task
                return
            for other, before in enumerate(self._before):
                if before & bit:
                    self._before[other] |= gained


def bits(numbers: Iterable[int]) -> int:
    """A set of task numbers as an integer."""
    return reduce(or_, (1 << number for number in numbers), 0)


def numbers(bits: int) -> Iterator[int]:
    """The numbers in such a set, in order."""
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low
