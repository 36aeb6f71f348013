"""Where values lie: in the caller's arrays where these are to hold them, else in scratch memory; and who reads them."""

from __future__ import annotations

from collections.abc import Sequence

from ranvier.engines.native.schedule.fusion import Groups
from ranvier.engines.native.schedule.task import Task, bits
from ranvier.engines.native.schedule.view import Buffer, View, c_strides, move
from ranvier.engines.native.target.extents import size
from ranvier.graph.node import BATCH, Node


class Places:
    """Memory for the values of grouped tasks. ``batch`` is the most rows that a step sees."""

    def __init__(self, groups: Groups, batch: int, samples_adjacent: bool) -> None:
        self.groups, self.graph = groups, groups.graph
        self.tasks, self.home = groups.tasks, groups.home
        self.batch = batch
        self.samples_adjacent = samples_adjacent
        self.views: dict[Node, View] = {}
        self.buffers: list[Buffer] = []
        self.private: dict[Node, Node] = {}  # scalar inputs, and what they become: every thread keeps its own
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
            self.views[node] = View(self._buffer("input", number, node), node.shape, c_strides(node.shape))
        for node in self.groups.picked:
            given = self.views[node.inputs[0]]
            self.views[node] = View(given.buffer, node.shape, given.strides, rows=node)
        for node in self.graph.nodes():
            if node.op.name == "constant" and node.attrs["value"].ndim:
                value = node.attrs["value"]
                buffer = self._buffer("constant", len(self.buffers), node, value.size, value.tobytes())
                self.views[node] = View(buffer, node.shape, c_strides(node.shape))

    def scratch(self, node: Node) -> View:
        """Room for a node's value. Rows that are a large power of two apart would fight for the same cache lines.

        Where threads take some features of all samples each, these lie feature by feature: what is fetched ahead by the
        processor itself along a row would be the other threads'.
        """
        strides: tuple[int, ...]
        readers = self.groups.readers.get(node, ())
        features = any(reader.attrs.get("of") == "features" for reader in readers)
        turned = self.samples_adjacent or (
            features and all(reader.op.name == "contract" for reader in readers)
        )
        if turned and node.ndim == 2 and node.shape[0] == BATCH:
            pitch = -(-self.batch // 16) * 16 + 16
            strides, elements = (1, pitch), size(node.shape[1:], self.batch) * pitch
        elif node.ndim == 2 and isinstance(node.shape[1], int) and node not in self.groups.contiguous:
            columns = node.shape[1]
            pitch = columns + 16 if columns >= 256 and columns % 256 == 0 else columns
            strides = (pitch, 1)
            elements = size((node.shape[0], pitch), self.batch)
        else:
            shape = tuple(self.batch if dim == BATCH else dim for dim in node.shape)
            strides, elements = c_strides(shape), size(shape, self.batch)
            if BATCH in node.shape[1:]:
                strides, elements = (
                    (strides[0] + 16, *strides[1:]),
                    elements + 16 * size(node.shape[:1], self.batch),
                )
        return View(self._buffer("scratch", len(self.buffers), node, elements), node.shape, strides)

    def view(self, node: Node) -> View | None:
        """The node as seen in memory, also through movement."""
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
        """Which nodes in memory (or in other tasks) the task reads, and whether only at the row it is at."""
        seen: set[tuple[Node, bool]] = set()
        first_open = bool(task.space) and task.space[0] == BATCH
        stack: list[tuple[Node, bool]] = []

        def below(node: Node, row: bool) -> None:
            stack.extend((i, r) for i, r in zip(node.inputs, _rows_kept(node, row), strict=True))

        for node in [*([task.anchor] if task.anchor else []), *task.members]:
            if node.op.name == "contract":
                stack.extend((i, first_open and _indexed_by_row(node, p)) for p, i in enumerate(node.inputs))
            elif node.op.name == "partial":  # each worker reads its own rows
                inner = node.attrs["inner"]
                summed = inner.op.kind == "reduce"
                stack.extend((i, summed or _summed_by_row(inner, p)) for p, i in enumerate(node.inputs))
            else:
                below(node, first_open)
        if (
            not task.members and task.anchor is None
        ):  # a copy of something that lies elsewhere or is made on the spot
            stack.extend((n, first_open) for n, _ in task.stores)
        while stack:
            node, row = stack.pop()
            if (node, row) in seen:
                continue
            seen.add((node, row))
            home = self.home.get(node)
            if home is task:
                continue
            if home is not None or node.op.name in ("input", "constant"):
                if home is not None or node in self.views:
                    task.reads[node] = task.reads.get(node, True) and row
                continue
            below(node, row)

    def _store(self) -> None:
        """Give every value that is needed in memory a place: the caller's array where there is one, else scratch."""
        targets: dict[Node, list[View]] = {}
        for i, node in enumerate(self.graph.outputs):
            view = View(self._buffer("output", i, node), node.shape, c_strides(node.shape))
            targets.setdefault(node, []).append(view)
        self.private = self._own()
        for target, value in self.graph.updates:
            aside = any(view.buffer.kind == "scratch" for view in targets.get(value, ()))
            if value not in self.home and target not in self.private and not aside:
                targets.setdefault(value, []).insert(0, self.scratch(value))  # filled by the copy below
        for task in self.tasks:
            self._reads(task)
        for node, places in targets.items():  # values that no task computes are copied, and so read, by one
            if node not in self.home:
                stores = [(node, view) for view in places]
                self._add_task(Task(len(self.tasks), "map", node.shape, stores=stores))
        readers: dict[Node, list[Task]] = {}
        for task in self.tasks:
            for node in task.reads:
                readers.setdefault(node, []).append(task)
        late: list[tuple[Node, Node]] = []
        for target, value in self.graph.updates:
            home = self.home.get(value)
            if target in self.private:
                continue
            if home is None or not self._in_place(target, home, readers.get(target, [])):
                late.append((target, value))
                continue
            targets.setdefault(value, []).append(self.views[target])
            others = [reader for reader in readers.get(target, []) if reader is not home]
            self.after.setdefault(home.number, set()).update((r.number, r.reads[target]) for r in others)
            self.groups.waits.wait(home.number, bits(r.number for r in others))
        for _, value in late:
            if all(view.buffer.kind != "scratch" for view in targets.get(value, ())):
                targets.setdefault(value, []).insert(0, self.scratch(value))
        for node, home in self.home.items():
            places = targets.get(node, [])
            if not places and node in readers:
                places = [self.scratch(node)]
            if places:
                home.stores += [(node, view) for view in places]
                self.views[node] = places[0]
        for target, value in late:  # a new value that had to wait for readers of the old one
            kept = next(view for view in targets[value] if view.buffer.kind == "scratch")
            task = Task(len(self.tasks), "copy", target.shape, copy=(kept, self.views[target]))
            self.after[task.number] = {(before.number, False) for before in self.tasks}
            self._add_task(task)

    def _own(self) -> dict[Node, Node]:
        """The scalars that every thread can work out for itself: from what no task computes. They are written last, so
        what a task overwrites is not among what they read.
        """
        facts = self.groups.facts
        own = {
            target: value
            for target, value in self.graph.updates
            if value not in self.home
            and value.shape == ()
            and not facts[value].aligned
            and not facts[value].crossed
        }
        behind = {target: self._behind(value) for target, value in own.items()}
        overwritten = {target for target, _ in self.graph.updates if target not in own}
        while late := [target for target in own if not overwritten.isdisjoint(behind[target])]:
            overwritten.update(late)
            for target in late:
                del own[target]
        return own

    def _add_task(self, task: Task) -> None:
        self.groups.add(task)
        self._reads(task)

    def _in_place(self, target: Node, home: Task, readers: list[Task]) -> bool:
        """Whether the new value may be written while others still need the old one: all of them can run before."""
        for reader in readers:
            if reader is home:
                if not self._only_here(target, home):
                    return False
            elif self.groups.waits.before(reader.number, home.number):
                return False
        return True

    def _only_here(self, target: Node, task: Task) -> bool:
        """Whether the task reads the input at the very index it writes, through elementwise nodes alone."""
        stack = [*task.members]
        if task.anchor is not None:
            stack.append(task.anchor)
        seen: set[Node] = set()
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            for operand in node.inputs:
                if operand is target:
                    if node.op.kind != "elementwise" or node.shape != task.space:
                        return False
                elif operand.op.name != "input" and operand not in self.home:
                    if node.op.kind != "elementwise" and self._reaches(operand, target):
                        return False
                    stack.append(operand)
        return True

    def _reaches(self, node: Node, target: Node) -> bool:
        return target in self._behind(node)

    def _behind(self, node: Node) -> set[Node]:
        """The node, and all that it is made of where no task lies between."""
        stack, seen = [node], {node}
        while stack:
            for operand in stack.pop().inputs:
                if operand not in seen and operand not in self.home:
                    seen.add(operand)
                    stack.append(operand)
        return seen


def _indexed_by_row(node: Node, side: int) -> bool:
    """Whether a contraction reads this operand only at the row of its result that it computes."""
    index = node.attrs["index"][side]
    return bool(index) and index[0] == (((0, 1),), 0) and node.inputs[side].shape[:1] == (BATCH,)


def _summed_by_row(node: Node, side: int) -> bool:
    """Whether a contraction over the samples reads each row of this operand for that sample alone."""
    index = node.attrs["index"][side]
    plain = bool(index) and len(index[0][0]) == 1 and index[0][1] == 0 and index[0][0][0][1] == 1
    return plain and node.attrs["loops"][index[0][0][0][0]] == BATCH


def _rows_kept(node: Node, row: bool) -> Sequence[bool]:
    """For each operand, whether a node read at a row of the batch reads it at that row."""
    rule = node.op.keeps_rows
    return rule(node) if row and rule is not None else [row] * len(node.inputs)
