"""A task: what one kernel computes; and which tasks wait for which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from ranvier.engines.native.schedule.view import Buffer, View
from ranvier.graph.node import Node, Shape


@dataclass(eq=False)
class Task:
    """One kernel. ``kind``: map, reduce, contract, partial (what each worker makes of a sum over the samples), scatter,
    place (into a part of a larger result), copy.
    """

    number: int
    kind: str
    space: Shape
    anchor: Node | None = None
    members: list[Node] = field(default_factory=list)
    stores: list[tuple[Node, View]] = field(default_factory=list)
    reads: dict[Node, bool] = field(
        default_factory=dict
    )  # node that lies in memory -> always read at the own row
    copy: tuple[View, View] | None = None
    # rows: by rows of the batch; split: by its own first extent; serial: one thread's; each: all of it by every thread,
    # which has its own copy of the result
    share: str = "serial"
    axis: int = 0  # of the space, along which it is divided
    parts: int = 0  # into so many equal parts; tasks of as many read of each other what their own part made
    phase: int = 0
    whole: bool = False  # done for all of a thread's rows at a time, where other tasks take a few samples
    stage: int = 0  # within the phase: what comes later waits for all of the own thread's rows
    turn: int = 0  # of a serial task: the threads take these one after the other
    adds: bool = False  # to what its place holds already: samples come in several calls

    @property
    def nodes(self) -> list[Node]:
        """The anchor, where there is one, and the members."""
        return [*([self.anchor] if self.anchor is not None else []), *self.members]

    @property
    def computed(self) -> Node | None:
        """The anchor, or the contraction or reduction of which it is a partial result."""
        return self.anchor.attrs.get("inner", self.anchor) if self.anchor is not None else None

    def buffers(self, view: Callable[[Node], View | None]) -> list[Buffer]:
        """The buffers that the kernel reads and writes, each once."""
        reads = [found for node in self.reads if (found := view(node)) is not None]
        views = (*reads, *(stored for _, stored in self.stores), *(self.copy or ()))
        return list(dict.fromkeys(found.buffer for found in views))

    @property
    def row_space(self) -> Shape:
        return self.space[:-1]


class Waits:
    """For each task, by its number, the bits of those that must have run before it."""

    def __init__(self) -> None:
        self._before: list[int] = []
        self._awaited = 0  # those that any task waits for

    def add(self) -> None:
        """One more task, which waits for none."""
        self._before.append(0)

    def before(self, number: int, other: int) -> bool:
        """Whether task ``number`` waits for ``other``."""
        return bool(self._before[number] >> other & 1)

    def wait(self, number: int, needs: int) -> None:
        """The task, and all that wait for it, wait for those in ``needs``, and for those that they wait for."""
        bit = 1 << number
        gained = needs & ~bit
        for other in numbers(needs & ~bit):
            gained |= self._before[other]
        if gained & ~self._before[number]:
            self._before[number] |= gained
            awaited, self._awaited = self._awaited & bit, self._awaited | gained
            if not awaited:  # a new task, for the most part
                return
            for other, before in enumerate(self._before):
                if before & bit:
                    self._before[other] |= gained


def bits(numbers: Iterable[int]) -> int:
    """A set of task numbers as an integer."""
    result = 0
    for number in numbers:
        result |= 1 << number
    return result


def numbers(bits: int) -> Iterator[int]:
    """The numbers in such a set, in order."""
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low
