"""Memory for values: the caller's arrays where these are to hold them, otherwise scratch memory; and who reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import NamedTuple

from ranvier.engines.native.passes.primitives import continued, inner_operands
from ranvier.engines.native.passes.wide_products import along_samples, reads_any_layout
from ranvier.engines.native.schedule.carries import added_in_place, carry_of
from ranvier.engines.native.schedule.fusion import Fusion
from ranvier.engines.native.schedule.task import Task, bits
from ranvier.engines.native.schedule.view import Buffer, View, c_strides, move
from ranvier.graph.extents import Extent, size
from ranvier.graph.node import BATCH, Node, walk
from ranvier.graph.scan import operands


class Interface(NamedTuple):
    """Where the body of a loop finds its inputs and stores its outputs: strides and offset of each, in elements.

    ``slices`` are the inputs that each step reads at a place of its own. The outputs in ``in_place`` are written over
    the inputs of the same number. ``ahead`` has the slices that no cache holds when their step comes, by kind and
    number, each with the elements from this step's to the next one's.
    """

    inputs: Sequence[tuple[tuple[int, ...], int]]
    outputs: Sequence[tuple[tuple[int, ...], int]]
    slices: range
    in_place: frozenset[int]
    ahead: Mapping[tuple[str, int], int]


def _pitch(columns: int) -> int:
    """The elements from row to row. A large power of two would map all rows to the same few cache lines."""
    return columns + 16 if columns >= 256 and columns % 256 == 0 else columns


class Buffers:
    """Memory for the values of a graph's tasks. ``batch`` is the most rows that a step sees.

    ``interface`` is that of the body of a loop.
    """

    def __init__(self, fusion: Fusion, batch: int, samples_adjacent: bool, interface: Interface | None = None) -> None:
        self.interface = interface
        self.fusion, self.graph = fusion, fusion.graph
        self.tasks, self.task_of = fusion.tasks, fusion.task_of
        self.batch = batch
        self.samples_adjacent = samples_adjacent
        self.views: dict[Node, View] = {}
        self._sources_of: dict[Node, set[Node]] = {}  # of nodes that were asked for
        self.buffers: list[Buffer] = []
        self.private: dict[Node, Node] = {}  # scalar inputs with their new values: every thread keeps a copy
        # task -> (task to run before it, may share a phase)
        self.after: dict[int, set[tuple[int, bool]]] = {}
        self._place_given()
        self._store()

    def _buffer(
        self, kind: str, number: int, node_or_dtype: Node | str, elements: int = 0, data: bytes = b""
    ) -> Buffer:
        dtype = node_or_dtype if isinstance(node_or_dtype, str) else node_or_dtype.dtype
        buffer = Buffer(kind, number, dtype, elements, data)
        self.buffers.append(buffer)
        return buffer

    def _place_given(self) -> None:
        for number, node in enumerate(self.graph.inputs):
            strides, offset = (c_strides(node.shape), 0) if self.interface is None else self.interface.inputs[number]
            self.views[node] = View(self._buffer("input", number, node), node.shape, strides, offset)
        for node in self.fusion.in_place_gathers:
            given = self.views[node.inputs[0]]
            self.views[node] = View(given.buffer, node.shape, given.strides, rows=node)
        for node in self.graph.nodes():
            if node.op.name == "constant" and node.attrs["value"].ndim:
                value = node.attrs["value"]
                buffer = self._buffer("constant", len(self.buffers), node, value.size, value.tobytes())
                self.views[node] = View(buffer, node.shape, c_strides(node.shape))

    def scratch(self, node: Node) -> View:
        """Allocate scratch memory for a node's value; for two values of a carry, which a loop reads and writes in turn.

        Rows are not a large power of two apart, or they would map to the same cache lines. Where each thread takes some
        features of all samples, a value is stored feature by feature: along a row, the processor would prefetch other
        threads' features. So is the result of a product whose vectors run along the samples.
        """
        strides: tuple[int, ...]
        readers = self.fusion.readers.get(node, ())
        features = any(reader.attrs.get("of") == "features" for reader in readers)
        by_feature = self.samples_adjacent or (features and all(reader.op.name == "contract" for reader in readers))
        made = self.task_of.get(node)
        outputs = made is not None and made.space == node.shape and along_samples(made.anchor)
        outputs = outputs and all(map(reads_any_layout, readers))
        if node.ndim == 3 and node not in self.fusion.contiguous and is_stack(node, readers):
            return self._time_major(node)
        if outputs or (by_feature and node.ndim == 2 and node.shape[0] == BATCH):
            pitch = -(-size(node.shape[:1], self.batch) // 16) * 16 + 16
            strides, elements = (1, pitch), size(node.shape[1:], self.batch) * pitch
        elif self._may_have_pitch(node):
            *outer, columns = (size((dim,), self.batch) for dim in node.shape)
            strides = c_strides((*outer, _pitch(columns)))
            elements = prod((*outer, _pitch(columns)))
        else:
            shape = tuple(self.batch if dim == BATCH else dim for dim in node.shape)
            strides, elements = c_strides(shape), size(shape, self.batch)
            if BATCH in node.shape[1:]:
                strides, elements = ((strides[0] + 16, *strides[1:]), elements + 16 * size(node.shape[:1], self.batch))
        copies = 2 if node.op.name == "start" and self._alternates(node) else 1
        return View(self._buffer("scratch", len(self.buffers), node, copies * elements), node.shape, strides)

    def _may_have_pitch(self, node: Node) -> bool:
        """Whether rows of a value need not be adjacent."""
        known = not any(isinstance(dim, Extent) for dim in node.shape[1:])
        return node.ndim > 1 and known and node not in self.fusion.contiguous

    def _alternates(self, start: Node) -> bool:
        """Whether a carry has two places, which a loop reads and writes in turn."""
        loops = [reader for reader in self.fusion.readers.get(start, ()) if reader.op.name == "scan"]
        return any(loop.inputs.index(start) not in added_in_place(loop) for loop in loops)

    def _time_major(self, node: Node) -> View:
        """Memory for a stack: what a step of a loop reads or writes of all samples is adjacent."""
        rows, steps, columns = (self.batch if dim == BATCH else dim for dim in node.shape)
        assert isinstance(rows, int)
        assert isinstance(steps, int)
        assert isinstance(columns, int)
        pitch = _pitch(columns)
        buffer = self._buffer("scratch", len(self.buffers), node, steps * rows * pitch)
        return View(buffer, node.shape, (pitch, rows * pitch, 1))

    def view(self, node: Node) -> View | None:
        """The view of a node in memory, also through movements; None if it is not in memory."""
        chain = []
        inner = node
        while inner not in self.views:
            if not inner.op.is_view:
                return None
            chain.append(inner)
            inner = inner.inputs[0]
        view: View | None = self.views[inner]
        for step in reversed(chain):
            view = move(step, view) if view is not None else None
            if view is not None:
                self.views[step] = view
        return view

    # --- reads, stores ---------------------------------------------------------------------------------------------

    def _reads(self, task: Task) -> None:
        """Note which nodes in memory (or of other tasks) the task reads, and whether only at its own row."""
        seen: set[tuple[Node, bool]] = set()
        first_open = bool(task.space) and task.space[0] == BATCH
        stack: list[tuple[Node, bool]] = []

        def add_operands(node: Node, row: bool) -> None:
            rule = node.op.keeps_rows
            if row and rule is not None:
                stack.extend(zip(node.inputs, rule(node), strict=True))
            else:
                stack.extend([(operand, row) for operand in node.inputs])

        for node in task.nodes:
            if node.op.name == "contract":
                stack.extend((i, first_open and _indexed_by_row(node, p)) for p, i in enumerate(node.inputs))
            elif node.op.name == "partial":  # each worker reads its own rows
                inner = node.attrs["inner"]
                summed = inner.op.kind == "reduce"
                stack.extend((i, summed or _summed_by_row(inner, p)) for p, i in enumerate(inner_operands(node)))
                stack.extend((i, True) for i in (continued(node),) if i is not None)
            else:
                add_operands(node, first_open)
        stack.extend((bound.start, False) for bound in task.bounds if bound.start is not None)
        if not task.nodes:  # a copy of a value that is elsewhere or computed in place
            stack.extend((n, first_open) for n, _ in task.stores)
        while stack:
            node, row = stack.pop()
            if (node, row) in seen:
                continue
            seen.add((node, row))
            task_of = self.task_of.get(node)
            if task_of is task:
                continue
            if task_of is not None or node.op.name in ("input", "constant"):
                if task_of is not None or node in self.views:
                    task.reads[node] = task.reads.get(node, True) and row
                continue
            add_operands(node, row)

    def _store(self) -> None:
        """Allocate every value that is needed in memory: the caller's array where there is one, otherwise scratch."""
        targets: dict[Node, list[View]] = {}
        for i, node in enumerate(self.graph.outputs):
            strides, offset = (c_strides(node.shape), 0) if self.interface is None else self.interface.outputs[i]
            if self.interface is not None and i in self.interface.in_place:
                view = self.views[self.graph.inputs[i]]
            else:
                view = View(self._buffer("output", i, node), node.shape, strides, offset)
            targets.setdefault(node, []).append(view)
        self.private = self._private_scalars()
        for target, value in self.graph.updates:
            saved = any(view.buffer.kind == "scratch" for view in targets.get(value, ()))
            if value not in self.task_of and target not in self.private and not saved:
                targets.setdefault(value, []).insert(0, self.scratch(value))  # the copy below fills it
        for task in self.tasks:
            self._reads(task)
        for node, places in targets.items():  # a task copies values that no task computes, and results of loops
            if node not in self.task_of or node.op.name == "result":
                stores = [(node, view) for view in places]
                self._add_task(Task(len(self.tasks), "map", node.shape, stores=stores))
        readers: dict[Node, list[Task]] = {}
        for task in self.tasks:
            for node in task.reads:
                readers.setdefault(node, []).append(task)
        late: list[tuple[Node, Node]] = []
        fault = next((task.number for task in self.tasks if task.kind == "fault"), None)
        for target, value in self.graph.updates:
            task_of = self.task_of.get(value)
            if target in self.private:
                continue
            first = fault is not None and task_of is not None and self.fusion.waits.before(fault, task_of.number)
            copied = task_of is None or task_of.kind == "loop"
            if task_of is None or copied or first or not self._in_place(target, task_of, readers.get(target, [])):
                late.append((target, value))
                continue
            if fault is not None:  # see `ordering.in_order`
                self.fusion.waits.wait(task_of.number, bits([fault]))
            targets.setdefault(value, []).append(self.views[target])
            others = [reader for reader in readers.get(target, []) if reader is not task_of]
            self.after.setdefault(task_of.number, set()).update((r.number, r.reads[target]) for r in others)
            self.fusion.waits.wait(task_of.number, bits(r.number for r in others))
        for _, value in late:
            if value.op.name != "result" and all(view.buffer.kind != "scratch" for view in targets.get(value, ())):
                targets.setdefault(value, []).insert(0, self.scratch(value))
        for node, task_of in self.task_of.items():
            if node.op.name == "result":
                self._store_result(node, task_of)
                continue
            places = targets.get(node, [])
            if node.op.name == "partial" and (before := continued(node)) is not None:
                places = [self.views[before]]
            outputs = along_samples(task_of.anchor) and node.shape == task_of.space
            given = bool(places) and places[0].buffer.kind != "scratch"
            apart = outputs or (given and node in self.fusion.contiguous and not places[0].contiguous)
            if (not places and node in readers) or (given and apart):
                places = [self.scratch(node), *places]
            if places:
                task_of.stores += [(node, view) for view in places]
                self.views[node] = places[0]
        for target, value in late:  # a new value that waits for readers of the old one
            held = [view for view in targets.get(value, ()) if view.buffer.kind == "scratch"]
            new = self.views[value] if value.op.name == "result" else held[0]
            task = Task(len(self.tasks), "copy", target.shape, copy=(new, self.views[target]))
            self.after[task.number] = {(before.number, False) for before in self.tasks}
            self._add_task(task)

    def _store_result(self, node: Node, task: Task) -> None:
        """A result of a loop: the memory of a carry, of which the last step wrote one of the two values, or a stack."""
        first = carry_of(node)
        if first is None:
            self.views[node] = self.scratch(node)
            task.stores.append((node, self.views[node]))
            return
        carry, odd = self.views[first], node.inputs[0].attrs["length"] % 2 if self._alternates(first) else 0
        self.views[node] = replace(carry, offset=odd * (carry.buffer.elements // 2))

    def _private_scalars(self) -> dict[Node, Node]:
        """The scalar updates that every thread computes for itself, from values that no task computes.

        They are stored last, so they may not read what a task overwrites.
        """
        facts = self.fusion.facts
        if self.interface is not None:
            return {}
        own = {
            target: value
            for target, value in self.graph.updates
            if value not in self.task_of and value.shape == () and not facts[value].aligned and not facts[value].crossed
        }
        sources = {target: self._sources(value) for target, value in own.items()}
        overwritten = {target for target, _ in self.graph.updates if target not in own}
        while late := [target for target in own if not overwritten.isdisjoint(sources[target])]:
            overwritten.update(late)
            for target in late:
                del own[target]
        return own

    def _add_task(self, task: Task) -> None:
        self.fusion.add(task)
        self._reads(task)

    def _in_place(self, target: Node, task_of: Task, readers: list[Task]) -> bool:
        """Whether the new value may overwrite the old one: every other reader of the old one can run before."""
        for reader in readers:
            if reader is task_of:
                if not self._only_here(target, task_of):
                    return False
            elif self.fusion.waits.before(reader.number, task_of.number):
                return False
        return True

    def _only_here(self, target: Node, task: Task) -> bool:
        """Whether the task reads the input only at the index that it writes, through elementwise nodes."""
        own, seen = set(task.nodes), set[tuple[Node, bool]]()
        stack = [(target, True)]  # what is computed from the input, and whether only from this index
        while stack:
            node, here = pair = stack.pop()
            if pair in seen:
                continue
            seen.add(pair)
            for reader in self.fusion.readers.get(node, ()):
                only = here and reader.op.kind == "elementwise" and (node is not target or reader.shape == task.space)
                if reader not in self.task_of:
                    stack.append((reader, only))
                elif reader in own and not only:
                    return False
        return True

    def _sources(self, node: Node) -> set[Node]:
        """The node and the nodes that it depends on, up to those that a task computes."""
        known = self._sources_of.get(node)
        if known is None:

            def here(found: Node) -> bool:
                return found is node or found not in self.task_of

            known = self._sources_of[node] = set(filter(here, walk([node], here)))
        return known


def is_stack(node: Node, readers: Sequence[Node]) -> bool:
    """Whether a loop writes or reads a value step by step, along its second axis."""

    def is_sliced(loop: Node) -> bool:
        return loop.op.name == "scan" and loop.attrs["axis"] == 1 and node in operands(loop).slices

    made = node.inputs[0] if node.op.name == "result" else None
    written = made is not None and made.attrs["axis"] == 1 and carry_of(node) is None
    return written or any(map(is_sliced, readers))


def _indexed_by_row(node: Node, side: int) -> bool:
    """Whether a contraction reads this operand only at the row of its result that it computes."""
    index = node.attrs["index"][side]
    return bool(index) and index[0] == (((0, 1),), 0) and node.inputs[side].shape[:1] == (BATCH,)


def _summed_by_row(node: Node, side: int) -> bool:
    """Whether a contraction over the samples reads each row of this operand for that sample alone."""
    index = node.attrs["index"][side]
    plain = bool(index) and len(index[0][0]) == 1 and index[0][1] == 0 and index[0][0][0][1] == 1
    return plain and node.attrs["loops"][index[0][0][0][0]] == BATCH
