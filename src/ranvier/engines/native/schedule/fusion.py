"""Which nodes one kernel computes together.

A task iterates over a space and computes its member nodes there, element by element. It may start from an anchor (a
contraction, a reduction) whose result its members use while it is still in registers. Cheap nodes that nobody reads
from memory belong to no task: each reader recomputes them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import reduce
from math import prod
from operator import or_
from types import MappingProxyType
from typing import Any

from ranvier.engines.native.passes.clip_padding import is_zero
from ranvier.engines.native.passes.kept_parts import KEPT
from ranvier.engines.native.passes.primitives import inner_operands
from ranvier.engines.native.passes.rematerialize import RECOMPUTED
from ranvier.engines.native.schedule.carries import carry_of
from ranvier.engines.native.schedule.concatenations import concatenation_in, data_sources
from ranvier.engines.native.schedule.task import Task, Waits, bits, numbers
from ranvier.engines.native.schedule.view import only_ones, regroups, reverses_symbolic
from ranvier.graph.extents import Shape, size
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, FLOATS, FREE, INSTRUCTION, Node

MAX_ROW = 128  # elements of a last axis that is reduced in registers, in the task of its row
MAX_WINDOW = 9  # elements that are reduced where the result is needed, one by one
# Large values that are read to recompute one; what needs more, and has several readers, is stored.
MAX_LOADS = 1
LARGE_PADDING = 1 << 16  # elements of a padded value that its reader computes
MAX_MEETING = 6  # nodes between a value and the one in which its readers meet
MAX_DEPTH = 40  # of a chain of recomputed nodes
KERNELS = {
    "contract": "contract", "partial": "partial", "scatter_add": "scatter", "pad": "place", "concatenate": "place",
    "fault": "fault", "scan": "loop",
}  # fmt: skip
"""Primitives with a kind of task of their own."""


NONE: frozenset[Any] = frozenset()


@dataclass(slots=True)
class Fact:
    """Where a node's value comes from."""

    aligned: frozenset[int] = frozenset()  # tasks whose elements it needs at its own index
    crossed: int = 0  # tasks (as bits) whose elements it needs at other indices
    depth: int = 0  # of recomputed nodes
    loads: frozenset[Node] = frozenset()  # values of its own size that are read for it


class Fusion:
    """The tasks of a graph, in the order of its nodes, and the task that each node belongs to."""

    def __init__(
        self, graph: Graph, in_place_gathers: Collection[Node], row_updates: Mapping[Node, Node] = MappingProxyType({})
    ) -> None:
        self.graph = graph
        self.in_place_gathers = in_place_gathers  # gathers whose rows are read in place
        self.row_updates = row_updates  # new tables, each with the sum by rows whose task writes the rows that are used
        self.tasks: list[Task] = []
        self.task_of: dict[Node, Task] = {}
        self.waits = Waits()
        self.in_memory_nodes: set[Node] = set()  # that must be in memory
        self.viewed: set[Node] = set()  # because they are read through a view
        self.contiguous: set[Node] = set()  # and in row-major order without gaps
        self.parts: set[Node] = set()  # concatenations that are written as a part of another
        self.facts: dict[Node, Fact] = {}
        self._walks: dict[Shape, list[int]] = {}  # map tasks by their space
        self._after: dict[int, list[int]] = {}  # map tasks by the sums of rows, or the laid out weights, that they read
        self.readers = graph.readers()
        self.place = {node: i for i, node in enumerate(graph.nodes())}
        self._demand()
        for node in graph.nodes():
            self._assign(node)

    def add(self, task: Task) -> None:
        """One more task, which computes no node of its own."""
        self.tasks.append(task)
        self.waits.add()

    # --- what must be in memory ------------------------------------------------------------------------------------

    def _demand(self) -> None:
        for root in self.graph.roots():
            self.in_memory_nodes.add(root)
        # Backward, so that a concatenation is known to be a part before its own parts are examined.
        for node in reversed(self.graph.nodes()):
            op, given = (
                (node.attrs["inner"].op, inner_operands(node)) if node.op.name == "partial" else (node.op, node.inputs)
            )
            joins = op.name == "concatenate"
            places = joins or op.name == "pad"
            whole = joins or op.name == "scan"
            operands = given if whole else [given[i] for i in op.in_memory]
            for operand in operands:
                if op.name == "reshape":
                    keeps = only_ones(node.shape, operand.shape) or self._regrouped(node)
                    if operand not in self.parts and not keeps:
                        self._need_contiguous(operand)
                elif operand not in self.in_place_gathers and not (places and self._filled(operand, node)):
                    self._need(operand)

    def _filled(self, operand: Node, whole: Node) -> bool:
        """Whether an operand of a concatenation or padding is computed where it is placed, not read from memory.

        It has no other reader, and is cheap or is itself a concatenation of the same data.
        """
        if len(self.readers[operand]) > 1:
            return False
        source = concatenation_in(operand) if whole.op.name == "concatenate" else None
        # For example a root of the graph.
        asked_for = operand in self.in_memory_nodes or source in self.in_memory_nodes
        alone = source is not None and len(self.readers[source]) == 1
        if source is not None and alone and not asked_for and data_sources(source) == data_sources(whole):
            self.parts.add(source)
            return True
        return is_cheap(operand)

    def _regrouped(self, node: Node) -> bool:
        """Whether a reshape of a cheap node has one, elementwise reader, which then recomputes it."""
        operand, readers = node.inputs[0], self.readers.get(node, ())
        return (
            is_cheap(operand)
            and len(self.readers[operand]) == len(readers) == 1
            and readers[0].op.kind == "elementwise"
            and regroups(node.shape, operand.shape)
        )

    def _need(self, node: Node) -> None:
        """``node`` is read through a view: the operand of its movements must be in memory."""
        while (
            node.op.is_view
            and not reverses_symbolic(node)
            and (node.op.name != "reshape" or only_ones(node.shape, node.inputs[0].shape))
        ):
            node = node.inputs[0]
        if node.op.name == "reshape" and (BATCH not in node.shape or node.shape[:1] == node.inputs[0].shape[:1]):
            return  # a view of a contiguous value
        self.in_memory_nodes.add(node)
        self.viewed.add(node)

    def _need_contiguous(self, node: Node) -> None:
        """``node`` is reshaped to other extents, so it must be contiguous in memory."""
        while node.op.name == "reshape" and only_ones(node.shape, node.inputs[0].shape):
            node = node.inputs[0]
        self.in_memory_nodes.add(node)
        self.viewed.add(node)
        self.contiguous.add(node)
        if node.op.name == "result" and (first := carry_of(node)) is not None:
            self.contiguous.add(first)

    # --- tasks -----------------------------------------------------------------------------------------------------

    def _assign(self, node: Node) -> None:
        name, kind = node.op.name, node.op.kind
        if name in ("input", "constant"):
            self.facts[node] = Fact()
            if node in self.in_memory_nodes and name == "constant" and not node.attrs["value"].ndim:
                self._new("map", node.shape, None, node)
            return
        # What is computed at another time than its operands, or than its readers.
        if RECOMPUTED in node.attrs or KEPT in node.attrs or name == "start":
            self._new("map", node.shape, None, node)
        elif name == "result":
            self._add(self.task_of[node.inputs[0]], node, 0)
        elif node in self.parts:
            self.facts[node] = Fact(crossed=self._awaited(node))
        elif name == "pad" and self._reads_padding(node):
            self.facts[node] = self._float(node)
        elif name in KERNELS:
            self._new(KERNELS[name], node.shape, node)
        elif node.op.combine and in_window(node):
            self._join(node, self._window(node, node.inputs[0]))
        elif kind == "reduce":
            self._assign_reduction(node)
        else:
            fact = self._float(node)
            needed = node in self.viewed or fact.aligned or fact.crossed or fact.depth > MAX_DEPTH
            anywhere = node.shape == () and not needed
            if not anywhere and (
                node in self.in_memory_nodes
                or fact.depth > MAX_DEPTH
                or node.op.cost > INSTRUCTION
                or (kind == "elementwise" and len(fact.loads) > MAX_LOADS and not self._is_read_once(node))
                or self._replaces_several(node, fact)
            ):
                self._join(node, fact)
            else:
                self.facts[node] = fact

    def _is_read_once(self, node: Node) -> bool:
        """Whether one kernel computes all that is read of a node: its readers meet again in one, such as a choice by
        its own size.
        """
        found = set(self.readers[node])
        for _ in range(MAX_MEETING):
            if len(found) <= 1:
                break
            first = min(found, key=self.place.__getitem__)
            if not is_cheap(first) or first.shape != node.shape or first in self.in_memory_nodes:
                return False
            found = found - {first} | set(self.readers[first])
        return len(found) <= 1

    def _replaces_several(self, node: Node, fact: Fact) -> bool:
        """Whether to store a cheap node takes less memory than what a later kernel would compute it from.

        It follows from values of one task alone, of which several have no other reader: the derivative of an
        activation, for example.
        """
        if len(fact.loads) <= MAX_LOADS or fact.crossed or len(fact.aligned) != 1 or node.op.kind != "elementwise":
            return False
        (number,) = fact.aligned
        task = self.tasks[number]
        if node.shape != task.space or node.dtype not in FLOATS or task.kind not in ("map", "contract"):
            return False
        return sum(self._is_for(loaded, node, task) for loaded in fact.loads if loaded in task.nodes) > 1

    def _is_for(self, value: Node, node: Node, task: Task) -> bool:
        """Whether all that read a value are in its task, or on the way to this node."""
        if value in self.in_memory_nodes:
            return False
        stack, seen = list(self.readers[value]), set[Node]()
        while stack:
            reader = stack.pop()
            if reader in seen or reader is node or self.task_of.get(reader) is task:
                continue
            seen.add(reader)
            assigned = self.place[reader] < self.place[node] and reader not in self.task_of
            if not assigned or reader.op.kind != "elementwise" or len(seen) > MAX_DEPTH:
                return False
            stack += self.readers[reader]
        return True

    def _reads_padding(self, node: Node) -> bool:
        """Whether the reader of a large value computes its padding of zeros behind the rows; it needs no memory."""
        padded = [axis for axis, width in enumerate(node.attrs["widths"]) if any(width)]
        known = all(isinstance(extent, int) for extent in node.shape) and size(node.shape, 1) >= LARGE_PADDING
        if not known or len(padded) != 1 or padded[0] == node.ndim - 1 or node in self.in_memory_nodes:
            return False
        low, _, between = node.attrs["widths"][padded[0]]
        readers = self.readers.get(node, ())
        alone = len(readers) == 1 and readers[0].op.kind == "elementwise"
        return alone and low == between == 0 and is_zero(node.inputs[1]) and node.dtype in FLOATS

    def _float(self, node: Node) -> Fact:
        """The fact of a node that each reader recomputes."""
        # It reads one element of an operand, at another index.
        moves = node.op.cost == FREE and node.op.name != "broadcast"
        pointwise, shape, facts = node.op.kind == "elementwise", node.type.shape, self.facts
        aligned = loads = NONE
        crossed = depth = 0
        for operand in node.inputs:
            fact = facts[operand]
            if fact.crossed and fact.crossed is not crossed:  # most nodes share the set of an operand
                crossed = crossed | fact.crossed if crossed else fact.crossed
            if fact.depth > depth:
                depth = fact.depth
            if fact.aligned:
                here = fact.aligned
                if not pointwise:
                    here = frozenset([n for n in here if self._same_place(node, operand, self.tasks[n])])
                    crossed |= bits(fact.aligned - here)
                aligned = aligned | here if aligned else here
            if moves or operand.type.shape == shape:
                in_memory = operand in self.task_of or operand.op.name == "input"
                more = frozenset((operand,)) if in_memory else fact.loads
                if more:
                    loads = loads | more if loads else more
        return Fact(aligned, crossed, depth + 1, loads)

    def _window(self, node: Node, operand: Node) -> Fact:
        """What an operand contributes to the fact of a reduction over a small window.

        Each element is at another index, except those that are broadcast over the window. What a task stores is read
        from there, however it is computed.
        """
        kept = tuple(i for i in range(operand.ndim) if i not in node.attrs["axes"])
        computed = operand not in self.task_of
        if computed and operand.op.name == "broadcast" and operand.attrs["axes"] == kept:
            return self.facts[operand.inputs[0]]
        if computed and operand.op.kind == "elementwise":
            facts = [self._window(node, i) for i in operand.inputs]
            crossed = reduce(or_, (fact.crossed for fact in facts), 0)
            depth = 1 + max((f.depth for f in facts), default=0)
            return Fact(frozenset().union(*(f.aligned for f in facts)), crossed, depth)
        fact = self.facts[operand]
        return Fact(frozenset(), fact.crossed | bits(fact.aligned), fact.depth + 1)

    @staticmethod
    def _same_place(node: Node, operand: Node, task: Task) -> bool:
        """Whether a node at an index of the task's space needs an operand at the same index, or at the same row."""
        if node.op.name == "broadcast" and task.kind == "map":
            axes = node.attrs["axes"]
            return node.shape == task.space and operand.shape == task.row_space and axes == tuple(range(len(axes)))
        return False

    def _fits(self, node: Node, task: Task) -> bool:
        if task.kind == "contract" and task.space == (BATCH,):
            return False  # its results are scalars; what follows is better vectorized
        rows = task.kind == "map" and self._rows(task)
        return node.shape == task.space or (rows and node.shape == task.row_space)

    @staticmethod
    def _rows(task: Task) -> bool:
        last = task.space[-1] if len(task.space) >= 2 else None
        return isinstance(last, int) and last <= MAX_ROW

    def _join(self, node: Node, fact: Fact) -> None:
        scattered = [number for number in fact.aligned if self.tasks[number].kind == "scatter"]
        placed = [
            task.number for n in fact.loads
            if (task := self.task_of.get(n)) is not None and task.kind == "place" and BATCH not in n.shape
        ]  # fmt: skip
        # A gradient is read once, by one task: that of an optimizer's new moments and weights.
        beside = {reader for number in (*scattered, *placed) for reader in self._after.get(number, ())}
        for number in sorted(fact.aligned | beside, reverse=True):
            task = self.tasks[number]
            if task.members and KEPT in task.members[0].attrs:
                continue
            own_rows = self.row_updates.get(node) in task.nodes
            if (task.kind in ("scatter", "place", "partial", "loop") and not own_rows) or not self._fits(node, task):
                continue
            if node.op.kind == "reduce" and (task.kind != "map" or node.shape != task.space):
                continue  # its operand is computed element by element
            needs = self._needs(fact, number)
            if needs is not None:
                self._add(task, node, needs)
                return
        self._new("map", node.shape, None, node)
        for number in (*scattered, *placed):
            self._after.setdefault(number, []).append(len(self.tasks) - 1)

    def _needs(self, fact: Fact, number: int) -> int | None:
        """The other tasks that a task would wait for if the node joined it; None if one of them waits for it."""
        needs = fact.crossed | bits(n for n in fact.aligned if n != number)
        if needs >> number & 1 or any(self.waits.before(n, number) for n in numbers(needs)):
            return None
        return needs

    def _assign_reduction(self, node: Node) -> None:
        operand = node.inputs[0]
        axes = node.attrs["axes"] if node.op.name != "argmax" else (node.attrs["axis"],)
        last = operand.shape[-1]
        if axes == (operand.ndim - 1,) and operand.ndim >= 2 and isinstance(last, int) and last <= MAX_ROW:
            fact = self.facts[operand]
            # Any task over the same rows fits; most read the same values.
            for number in sorted({*fact.aligned, *self._walks.get(operand.shape, ())}, reverse=True):
                task = self.tasks[number]
                needs = self._needs(fact, number)
                if task.kind == "map" and task.space == operand.shape and needs is not None:
                    self._add(task, node, needs)
                    return
            self._new("map", operand.shape, None, node)
        else:
            self._new("reduce", node.shape, node)

    def _new(self, kind: str, space: Shape, anchor: Node | None, member: Node | None = None) -> None:
        task = Task(len(self.tasks), kind, space, anchor)
        self.tasks.append(task)
        if kind == "map":
            self._walks.setdefault(space, []).append(task.number)
        self.waits.add()
        node = anchor or member
        assert node is not None
        self._add(task, node, self._awaited(node))

    def _awaited(self, node: Node) -> int:
        """The tasks (as bits) whose elements a node's operands need."""
        facts = [self.facts[i] for i in node.inputs]
        return reduce(or_, (fact.crossed | bits(fact.aligned) for fact in facts), 0)

    def _add(self, task: Task, node: Node, needs: int) -> None:
        if node is not task.anchor:
            task.members.append(node)
        self.task_of[node] = task
        self.facts[node] = Fact(frozenset((task.number,)))
        self.waits.wait(task.number, needs)


def is_cheap(node: Node) -> bool:
    """Whether a node is computed again rather than read from memory."""
    return node.op.kind == "elementwise" and node.op.cost <= INSTRUCTION


def in_window(node: Node) -> bool:
    """Whether a node reduces small windows, as pooling does, along other axes than the last, which is vectorized."""
    if not node.ndim:
        return False
    shape, axes = node.inputs[0].shape, node.attrs["axes"]
    extents = [shape[axis] for axis in axes]
    known = all(isinstance(extent, int) for extent in extents)
    return known and len(shape) - 1 not in axes and prod(extents) <= MAX_WINDOW
