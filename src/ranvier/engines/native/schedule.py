"""From a graph to tasks: which nodes one kernel computes together, what is stored, who runs it, and when.

A task iterates over a space and computes its member nodes there, element by element. It may start from an anchor (a
contraction, a reduction) whose result its members take while it is still in registers. Cheap nodes that nobody needs
in memory belong to no task: whoever needs one computes it on the spot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ranvier.engines.native.view import Buffer, View, c_strides, move, moves, only_ones, size
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, Shape

ROW_LIMIT = (
    128  # reductions along a last axis up to this long are done in registers, within the task of their row
)
DEPTH_LIMIT = 40  # so deep may a chain of nodes computed on the spot be
SERIAL = 4096  # elements below which a task is not worth dividing
CHEAP = frozenset(
    (
        "neg", "abs", "sign", "floor", "relu", "cast", "add", "sub", "mul", "maximum", "minimum", "less", "less_equal",
        "equal", "logical_and", "logical_or", "logical_not", "select", "stop_gradient",
    )
)  # fmt: skip
SOURCES = frozenset(
    ("constant", "iota", "extent", "broadcast", "transpose", "reshape", "slice", "reverse", "gather")
)


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
    share: str = (
        "serial"  # rows: by rows of the batch; split: by its own first extent; serial: the first thread's
    )
    phase: int = 0

    @property
    def row_space(self) -> Shape:
        return self.space[:-1]


@dataclass
class _Fact:
    """Where a node's value comes from: tasks whose elements it needs at its own index, and at other indices."""

    aligned: frozenset[int] = frozenset()
    crossed: int = 0  # bits of tasks
    depth: int = 0


class Schedule:
    """The tasks of a graph, in the order in which they run. ``batch`` is the most rows that a step sees."""

    def __init__(self, graph: Graph, batch: int, samples_adjacent: bool = False) -> None:
        self.graph = graph
        self.batch = batch
        self.samples_adjacent = samples_adjacent  # rows of the batch lie feature by feature, see workers.py
        self.tasks: list[Task] = []
        self.home: dict[Node, Task] = {}
        self.views: dict[Node, View] = {}
        self.buffers: list[Buffer] = []
        self.private: dict[Node, Node] = {}  # scalar inputs, and what they become: every thread keeps its own
        self.after: dict[
            int, set[tuple[int, bool]]
        ] = {}  # task -> (task to run before it, may share a phase)
        self.uses: dict[Node, int] = {}
        self._facts: dict[Node, _Fact] = {}
        self._walks: dict[Shape, list[int]] = {}  # map tasks by their space
        self._before: list[int] = []  # for each task the bits of those that it depends on
        self._nodes = graph.nodes()
        self._place_given()
        self._demand()
        for node in self._nodes:
            self._assign(node)
        self._store()
        self._share()
        self._order()

    def __str__(self) -> str:
        """A line for each task, in the order in which they run, and a line where a barrier is."""
        lines, phase = [], 0
        for task in self.order:
            if task.phase != phase:
                lines.append("barrier")
                phase = task.phase
            made = [n.op.name for n in ([task.anchor] if task.anchor else []) + task.members]
            stored = [f"{v.buffer.kind} {v.buffer.number}" for _, v in task.stores]
            space = ", ".join(map(str, task.space))
            lines.append(
                f"k{task.number}: {task.kind} ({space}) by {task.share}: {' '.join(made)} -> {', '.join(stored)}"
            )
        return "\n".join(lines)

    # --- memory ----------------------------------------------------------------------------------------------------

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
        for node in self._nodes:
            if node.op.name == "constant" and node.attrs["value"].ndim:
                value = node.attrs["value"]
                buffer = self._buffer("constant", len(self.buffers), node, value.size, value.tobytes())
                self.views[node] = View(buffer, node.shape, c_strides(node.shape))
            for operand in node.inputs:
                self.uses[operand] = self.uses.get(operand, 0) + 1
        for root in self.graph.roots():
            self.uses[root] = self.uses.get(root, 0) + 1

    def scratch(self, node: Node) -> View:
        """Room for a node's value. Rows that are a large power of two apart would fight for the same cache lines."""
        strides: tuple[int, ...]
        if self.samples_adjacent and node.ndim == 2 and node.shape[0] == BATCH:
            pitch = -(-self.batch // 16) * 16 + 16
            strides, elements = (1, pitch), size(node.shape[1:], self.batch) * pitch
        elif node.ndim == 2 and isinstance(node.shape[1], int) and node not in self._contiguous:
            columns = node.shape[1]
            pitch = columns + 16 if columns >= 256 and columns % 256 == 0 else columns
            strides = (pitch, 1)
            elements = size((node.shape[0], pitch), self.batch)
        else:
            strides, elements = c_strides(node.shape), size(node.shape, self.batch)
        return View(self._buffer("scratch", len(self.buffers), node, elements), node.shape, strides)

    # --- what must lie in memory -----------------------------------------------------------------------------------

    def _demand(self) -> None:
        self._demanded: set[Node] = set()
        self._contiguous: set[Node] = set()
        for root in self.graph.roots():
            self._demanded.add(root)
        for node in self._nodes:
            name = node.attrs["inner"].op.name if node.op.name == "partial" else node.op.name
            if name in ("contract", "scatter_add", "pad", "concatenate", "reshape", "gather"):
                for place, operand in enumerate(node.inputs):
                    if node.op.name == "reshape":
                        if not only_ones(node.shape, operand.shape):
                            self._need_contiguous(operand)
                        continue
                    if node.op.name == "gather" and place == 1:
                        continue
                    self._need(operand)

    def _need(self, node: Node) -> None:
        """``node`` is read through a view: what lies under its movement must be in memory."""
        while node.op.name in ("transpose", "broadcast", "slice", "reverse") or (
            node.op.name == "reshape" and only_ones(node.shape, node.inputs[0].shape)
        ):
            node = node.inputs[0]
        self._demanded.add(node)

    def _need_contiguous(self, node: Node) -> None:
        """``node`` is cut into other extents, so its elements must lie one after another, moved there if need be."""
        while node.op.name == "reshape" and only_ones(node.shape, node.inputs[0].shape):
            node = node.inputs[0]
        self._demanded.add(node)
        self._contiguous.add(node)

    def view(self, node: Node) -> View | None:
        """The node as seen in memory, also through movement."""
        chain = []
        inner = node
        while inner not in self.views:
            if not moves(inner):
                return None
            chain.append(inner)
            inner = inner.inputs[0]
        view: View | None = self.views[inner]
        for step in reversed(chain):
            view = move(step, view) if view is not None else None
            if view is not None:
                self.views[step] = view
        return view

    # --- grouping --------------------------------------------------------------------------------------------------

    def _assign(self, node: Node) -> None:
        name, kind = node.op.name, node.op.kind
        if name in ("input", "constant"):
            self._facts[node] = _Fact()
            if node in self._demanded and name == "constant" and not node.attrs["value"].ndim:
                self._new("map", node.shape, None, node)
            return
        if name in ("contract", "partial"):
            self._new(name, node.shape, node)
        elif name == "scatter_add":
            self._new("scatter", node.shape, node)
        elif name in ("pad", "concatenate"):
            self._new("place", node.shape, node)
        elif kind == "reduce":
            self._assign_reduction(node)
        else:
            fact = self._float(node)
            anywhere = (
                node.shape == () and not fact.aligned and not fact.crossed and fact.depth <= DEPTH_LIMIT
            )
            if not anywhere and (
                node in self._demanded or fact.depth > DEPTH_LIMIT or name not in CHEAP | SOURCES
            ):
                self._join(node, fact)
            else:
                self._facts[node] = fact

    def _float(self, node: Node) -> _Fact:
        """What is known of a node that is computed where it is needed."""
        facts = [self._facts[i] for i in node.inputs]
        depth = 1 + max((f.depth for f in facts), default=0)
        aligned: set[int] = set()
        crossed = 0
        for operand, fact in zip(node.inputs, facts, strict=True):
            crossed |= fact.crossed
            for number in fact.aligned:
                if self._same_place(node, operand, self.tasks[number]):
                    aligned.add(number)
                else:
                    crossed |= 1 << number
        return _Fact(frozenset(aligned), crossed, depth)

    def _same_place(self, node: Node, operand: Node, task: Task) -> bool:
        """Whether ``node`` at an index of the task's space needs ``operand`` at the same index, or at the same row."""
        if node.op.kind == "elementwise":
            return True
        if node.op.name == "broadcast" and task.kind == "map":
            axes = node.attrs["axes"]
            return (
                node.shape == task.space
                and operand.shape == task.row_space
                and axes == tuple(range(len(axes)))
            )
        return False

    def _fits(self, node: Node, task: Task) -> bool:
        if task.kind == "contract" and task.space == (BATCH,):
            return False  # its results come one by one; what follows is better done 16 at a time
        rows = task.kind == "map" and self._rows(task)
        return node.shape == task.space or (rows and node.shape == task.row_space)

    @staticmethod
    def _rows(task: Task) -> bool:
        last = task.space[-1] if len(task.space) >= 2 else None
        return isinstance(last, int) and last <= ROW_LIMIT

    def _join(self, node: Node, fact: _Fact) -> None:
        for number in sorted(fact.aligned, reverse=True):
            task = self.tasks[number]
            if task.kind in ("scatter", "place", "partial") or not self._fits(node, task):
                continue
            needs = self._needs(fact, number)
            if needs is not None:
                self._add(task, node, needs)
                return
        self._new("map", node.shape, None, node)

    def _needs(self, fact: _Fact, number: int) -> int | None:
        """The other tasks that a task would wait for if it took the node; None if one of them waits for it."""
        needs = fact.crossed | self._bits(n for n in fact.aligned if n != number)
        if needs >> number & 1 or any(self._before[n] >> number & 1 for n in self._numbers(needs)):
            return None
        return needs

    def _assign_reduction(self, node: Node) -> None:
        operand = node.inputs[0]
        axes = node.attrs["axes"] if node.op.name != "argmax" else (node.attrs["axis"],)
        last = operand.shape[-1]
        if axes == (operand.ndim - 1,) and operand.ndim >= 2 and isinstance(last, int) and last <= ROW_LIMIT:
            fact = self._facts[operand]
            # Any task that walks these rows will do; most share what they read.
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
        self._before.append(0)
        node = anchor or member
        assert node is not None
        needs = 0
        for operand in node.inputs:
            fact = self._facts[operand]
            needs |= fact.crossed | self._bits(fact.aligned)
        self._add(task, node, needs)

    def _add(self, task: Task, node: Node, needs: int) -> None:
        if node is not task.anchor:
            task.members.append(node)
        self.home[node] = task
        self._facts[node] = _Fact(frozenset((task.number,)))
        self._wait(task, needs)

    def _wait(self, task: Task, needs: int) -> None:
        """The task, and all that wait for it, wait for those in ``needs``."""
        bit = 1 << task.number
        gained = needs & ~bit
        for number in self._numbers(needs & ~bit):
            gained |= self._before[number]
        if gained & ~self._before[task.number]:
            self._before[task.number] |= gained
            for number, before in enumerate(self._before):
                if before & bit:
                    self._before[number] |= gained

    @staticmethod
    def _bits(numbers: Iterable[int]) -> int:
        result = 0
        for number in numbers:
            result |= 1 << number
        return result

    @staticmethod
    def _numbers(bits: int) -> Iterator[int]:
        while bits:
            low = bits & -bits
            yield low.bit_length() - 1
            bits ^= low

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
        for target, value in self.graph.updates:
            if value in self.home:
                continue
            if value.shape == () and not self._facts[value].aligned and not self._facts[value].crossed:
                self.private[target] = value
            elif value not in targets:
                targets[value] = [self.scratch(value)]
        for task in self.tasks:
            self._reads(task)
        for node, places in targets.items():  # values that no task computes are copied, and so read, by one
            if node not in self.home:
                self._add_task(
                    Task(len(self.tasks), "map", node.shape, stores=[(node, view) for view in places])
                )
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
            self._wait(home, self._bits(r.number for r in others))
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

    def _add_task(self, task: Task) -> None:
        self.tasks.append(task)
        self._before.append(0)
        self._reads(task)

    def _in_place(self, target: Node, home: Task, readers: list[Task]) -> bool:
        """Whether the new value may be written while others still need the old one: all of them can run before."""
        for reader in readers:
            if reader is home:
                if not self._only_here(target, home):
                    return False
            elif self._before[reader.number] >> home.number & 1:
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
        stack, seen = [node], {node}
        while stack:
            current = stack.pop()
            if current is target:
                return True
            for operand in current.inputs:
                if operand not in seen and operand not in self.home:
                    seen.add(operand)
                    stack.append(operand)
        return False

    # --- who runs what, and when -----------------------------------------------------------------------------------

    def _share(self) -> None:
        for task in self.tasks:
            if task.kind == "partial" or (task.space and task.space[0] == BATCH and task.kind != "scatter"):
                task.share = "rows"
            elif task.kind in ("map", "contract", "copy") and task.space and self._work(task) >= SERIAL:
                task.share = "split"

    def _work(self, task: Task) -> int:
        work = size(task.space, self.batch)
        if task.anchor is not None and task.kind == "contract":
            loops = task.anchor.attrs["loops"]
            work = size(tuple(loops), self.batch) // 8
        return work

    def _order(self) -> None:
        """Phases: between two there is a barrier. A task waits for one only if it needs what other threads made."""
        edges: list[set[tuple[int, bool]]] = [set() for _ in self.tasks]
        for task in self.tasks:
            for node, row in task.reads.items():
                home = self.home.get(node)
                if home is not None and home is not task:
                    together = (
                        task.share == home.share == "rows" and row
                    ) or task.share == home.share == "serial"
                    edges[task.number].add((home.number, together))
            for before, together in self.after.get(task.number, ()):
                same = self.tasks[before].share == task.share
                edges[task.number].add(
                    (
                        before,
                        (together and same and task.share == "rows") or (same and task.share == "serial"),
                    )
                )
        order: list[int] = []
        state = [0] * len(self.tasks)
        for start in range(len(self.tasks)):
            stack = [start]
            while stack:
                number = stack[-1]
                if state[number] == 2:
                    stack.pop()
                    continue
                if state[number] == 1:
                    stack.pop()
                    state[number] = 2
                    task = self.tasks[number]
                    for before, together in edges[number]:
                        task.phase = max(task.phase, self.tasks[before].phase + (0 if together else 1))
                    order.append(number)
                    continue
                state[number] = 1
                for before, _ in sorted(edges[number]):
                    if state[before] == 0:
                        stack.append(before)
                    elif state[before] == 1:
                        raise AssertionError("tasks that wait for each other")
        place = {number: i for i, number in enumerate(order)}
        self.order = sorted(self.tasks, key=lambda t: (t.phase, place[t.number]))


def _indexed_by_row(node: Node, side: int) -> bool:
    """Whether a contraction reads this operand only at the row of its result that it computes."""
    index = node.attrs["index"][side]
    return bool(index) and index[0] == (((0, 1),), 0) and node.inputs[side].shape[:1] == (BATCH,)


def _summed_by_row(node: Node, side: int) -> bool:
    """Whether a contraction over the samples reads each row of this operand for that sample alone."""
    index = node.attrs["index"][side]
    plain = bool(index) and len(index[0][0]) == 1 and index[0][1] == 0 and index[0][0][0][1] == 1
    return plain and node.attrs["loops"][index[0][0][0][0]] == BATCH


def _rows_kept(node: Node, row: bool) -> list[bool]:
    """For each operand, whether a node read at a row of the batch reads it at that row."""
    name, attrs = node.op.name, node.attrs
    if not row:
        return [False] * len(node.inputs)
    if name == "broadcast":
        return [bool(attrs["axes"]) and attrs["axes"][0] == 0]
    if name == "transpose":
        return [attrs["axes"][0] == 0]
    if name == "slice":
        return [attrs["ranges"][0] is None]
    if name == "reshape":
        return [node.shape[0] == node.inputs[0].shape[0] if node.inputs[0].shape else False]
    if name == "gather":
        return [False, True]
    if name in ("reduce_sum", "reduce_max", "argmax"):
        axes = attrs["axes"] if "axes" in attrs else (attrs["axis"],)
        return [0 not in axes]
    if name == "concatenate":
        return [attrs["axis"] != 0] * len(node.inputs)
    if name == "pad":
        return [attrs["widths"][0] == (0, 0, 0), False]
    if name in ("reverse", "scatter_add", "random"):
        return [False] * len(node.inputs)
    return [True] * len(node.inputs)
