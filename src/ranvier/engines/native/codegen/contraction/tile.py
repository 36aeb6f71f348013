"""Register tiles of rows by vectors: their index in the result, initial sums and epilogue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

from ranvier.engines.native.codegen.builder import PREFETCH
from ranvier.engines.native.codegen.contiguity import is_contiguous
from ranvier.engines.native.codegen.contraction.base import Contraction
from ranvier.engines.native.codegen.kernel import At, Value
from ranvier.engines.native.codegen.loops import along, finish, masked, scope
from ranvier.engines.native.passes.wide_products import is_wide
from ranvier.engines.native.schedule.loop_nest import LONG_EPILOGUE, WIDE_ROWS, Loop, Nest, plan, room, tile
from ranvier.engines.native.schedule.memory_planning import LINE
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import View
from ranvier.engines.native.target.lanes import LANES, SIZE, Scalar
from ranvier.engines.native.target.target import Target
from ranvier.graph.extents import size
from ranvier.graph.node import Node

LONG_SUM = 64  # terms, whose sum takes as long as a read from memory
FEW_WIDE = 4  # wide tiles; of fewer, the leftover rows count
BEYOND_CACHE = 1 << 20  # bytes: larger values have left the second-level cache before they are read again

# The running sums of a tile: for each row, those of its vectors. Of the rows that share a vector for leftover columns,
# the first one holds it, after its own.
Tile = dict[int, list[str]]


def rows_of(sums: Tile, flat: list[str]) -> Tile:
    """A flat list of values in rows, like those of ``sums``."""
    values = iter(flat)
    return {i: [next(values) for _ in line] for i, line in sums.items()}


def nest_of(task: Task, node: Node, views: Sequence[View], output: Sequence[int], target: Target, batch: int) -> Nest:
    """The loop nest of a task's contraction. Two loops form the rows of a tile if they fit and are not divided.

    Products with large weights, of several samples, are computed in blocks instead. Convolutions of several taps may
    sum these innermost, which depends on the rows.
    """
    partial, blocked = task.kind == "partial", batch > 1 and is_wide(node)
    single = len(task.space) > 3 and len(node.attrs["loops"]) == node.attrs["rank"] + 1
    short = single and task.length <= LONG_EPILOGUE and not blocked

    def most(columns: Loop) -> int:
        divided = task.division == "split" and task.axis != columns.output
        return room(target, columns, node.dtype)[0] if partial or (short and not divided) else 0

    return plan(node, views, output, most)


def tile_of(task: Task, plan: Nest, target: Target, dtype: str, batch: int) -> tuple[int, int]:
    """Rows and vectors of the tile of a task's kernel; at most as wide as a thread's part of the columns."""
    columns = plan.columns
    if columns is not None and task.parts and columns.output == task.axis:
        few = max(columns.count // task.parts, 2 * LANES)
        plan = replace(plan, columns=replace(columns, extent=few))
    rows = plan.rows
    if rows is not None and task.joined and rows.output == task.axis:
        plan = replace(plan, rows=replace(rows, extent=task.joined))
    # Sums over the steps of a loop, round by round, are slower in wide tiles; long functions are long code in them; of
    # few rows, wide tiles leave some.
    few = task.joined and plan.rows is not None and plan.rows.count < FEW_WIDE * WIDE_ROWS
    wide = (task.kind == "partial" or len(plan.reduce) == 1) and not task.computes_functions and not few
    return tile(target, plan, dtype, batch, task.length, wide)


def narrows(height: int, across: int) -> bool:
    """Whether columns that whole tiles leave are summed in ever narrower ones, and threads divide columns finely.

    Of one row, a single vector would wait for its own last multiply-add at every term.
    """
    return height == 1 and across > 2


class Panel(NamedTuple):
    """Columns of a result: ``vectors`` of them from ``start`` on, the last one with a mask."""

    start: Scalar
    vectors: int
    mask: str | None

    @property
    def masks(self) -> list[str | None]:
        return [*[None] * (self.vectors - 1), self.mask]


class Tiled(Contraction):
    """A contraction that is written tile by tile."""

    @property
    def columns(self) -> Loop:
        """The loop that vectors run along."""
        assert self.plan.columns is not None
        return self.plan.columns

    def prefetch_epilogue(self, row: Scalar | None, height: int, panel: Panel) -> None:
        """Prefetch what the epilogue will read of values beyond the cache, during the sum."""
        module, task = self.k.module, self.task
        if self.k.interleaved is not None:
            self.k.function.emit(self.k.interleaved)
        if self.plan.terms < LONG_SUM:
            return
        stored = {view.buffer for _, view in task.stores}
        read = [n for n in task.reads if n.shape == task.space and n not in self.node.inputs]
        views = [(view, False) for view in map(module.view, read) if view is not None and view.buffer not in stored]
        # Of parts of an axis, what is overwritten has left the caches while other parts were computed.
        views += [(view, True) for node, view in task.stores if task.joined and node.shape == task.space]
        for view, written in views:
            large = written or size(view.shape, module.batch) * SIZE[view.buffer.dtype] > BEYOND_CACHE
            if view.buffer in module.near or not (large or view.buffer in module.unread):
                continue
            for i, j in product(range(height), range(panel.vectors)):
                self.fix_index(row, i, panel.start, j)
                self.k.prefetch(view, self.index(), written)

    def prefetch_slices(self, row: Scalar | None, height: int, number: Scalar, parts: int) -> None:
        """Prefetch one of ``parts`` parts of these rows of slices that other tasks of a loop's steps read or write.

        Many lines at once would keep the tile's own loads waiting.
        """
        f = self.k.function
        self.k.module.declarations.add(PREFETCH)
        for view, step in self.task.ahead:
            line, pitch = LINE // SIZE[view.buffer.dtype], view.strides[0]
            lines = -(-height * pitch // (line * parts))
            first = f.add(f.mul(row or 0, pitch), f.mul(number, lines * line))
            for i in range(lines):
                self.fetch(view, f.add(first, step + i * line))

    def prefetch_updated(self, row: Scalar, height: int, panel: Panel) -> None:
        """Prefetch the large values that the epilogue of a tile, such as an optimizer's step, reads and overwrites."""
        for view, number in product(self.updated(), range(height * panel.vectors)):
            self.fetch_updated(view, row, panel, height, number)

    def fetch_updated(self, view: View, row: Scalar | None, panel: Panel, height: int, number: Scalar) -> None:
        """Prefetch what one vector of a tile overwrites."""
        f = self.k.function
        self.fix_index(row, f.floor_divide(number, panel.vectors), panel.start, f.remainder(number, panel.vectors))
        self.k.prefetch(view, self.index(), written=True)

    def updated(self) -> list[View]:
        """The values that the kernel reads and overwrites, if they have left the caches before they are read."""
        read = {view.buffer for view in map(self.k.module.view, self.task.reads) if view is not None}
        stored = [view for _, view in self.task.stores if view.buffer in read]
        bytes_ = sum(size(view.shape, self.k.module.batch) * SIZE[view.buffer.dtype] for view in stored)
        return stored if bytes_ > BEYOND_CACHE else []

    def start(self, row: Scalar | None, i: int, start: Scalar, j: int, mask: str | None) -> str:
        """The initial sum of a vector of the tile."""
        if not self.task.accumulates:
            return "zeroinitializer"
        self.fix_index(row, i, start, j)
        with masked(self.k, mask):
            return self.k.widen(self.k.load(self.stored, self.index()), self.element)

    def fix_index(self, row: Scalar | None, i: Scalar, start: Scalar, j: Scalar) -> None:
        """Set the result's index to a vector of the tile."""
        f, columns, rows = self.k.function, self.columns, self.plan.rows
        assert columns.output is not None
        self.fixed[columns.output] = At(f.add(start, f.mul(j, LANES)), 1)
        second_rows = self.plan.second_rows
        if second_rows is not None and rows is not None and isinstance(i, int):
            self.fixed[second_rows.output or 0], i = At(i // rows.count), i % rows.count
        if rows is not None and rows.output is not None and row is not None:
            self.fixed[rows.output] = At(f.add(row, i))

    def epilogue(self, sums: list[list[str]], row: Scalar | None, start: Scalar, masks: list[str | None]) -> None:
        """The epilogue of a tile: what is fused with the sums, and the stores."""
        k, f = self.k, self.k.function
        height, vectors = len(sums), len(masks)
        if height == 1 or self.task.length <= LONG_EPILOGUE:
            for i in range(height):
                with scope(k):  # what the vectors of a row have in common is computed once
                    for j in range(vectors):
                        self.place(row, i, start, j, masks[j], sums[i][j])
            return
        # A long epilogue is a loop over the tile, which is stored on the stack.
        columns, rows = self.columns, self.plan.rows
        last = len(self.task.space) - 1
        whole = start == 0 and columns.count <= vectors * LANES and columns.output == last
        if whole and rows is not None and rows.output == last - 1 and is_contiguous(k, self.task):
            area = self.store_tile(sums, columns.count)

            def elements(at: At) -> None:
                self.place(row, 0, at.base, 0, k.mask, self.load_vector(area, at.base, SIZE[self.node.dtype]))

            along(k, 0, height * columns.count, elements)
            return
        area = self.store_tile(sums, vectors * LANES)
        with f.loop(0, height) as turn, scope(k):
            for j in range(vectors):
                value = self.load_vector(area, f.add(f.mul(turn.index, vectors * LANES), j * LANES), LINE)
                self.place(row, turn.index, start, j, masks[j], value)

    def place(self, row: Scalar | None, i: Scalar, start: Scalar, j: Scalar, mask: str | None, value: str) -> None:
        """The epilogue of one vector of a tile, in the scope at hand."""
        k = self.k
        self.fix_index(row, i, start, j)
        k.streams = self.task.streams
        with masked(k, mask):
            k.remember(self.made, self.index(), Value(value, True))
            finish(k, self.task, self.index())
        k.streams = False

    def room(self, height: int, pitch: int) -> str:
        """Allocate a tile on the stack; its rows are ``pitch`` elements apart."""
        with self.k.function.at_entry():
            return self.k.function.op(f"alloca [{height * pitch + LANES} x {self.element}], align {LINE}")

    def store_tile(self, sums: list[list[str]], pitch: int, area: str | None = None) -> str:
        """Store the tile on the stack. The next row overwrites the excess lanes of a row's last vector."""
        f, size = self.k.function, SIZE[self.node.dtype]
        area = area or self.room(len(sums), pitch)
        for i, line in enumerate(sums):
            for j, value in enumerate(line):
                spot = f.pointer(area, i * pitch + j * LANES, self.element)
                f.emit(f"store {self.type} {value}, ptr {spot}, align {LINE if pitch % LANES == 0 else size}")
        return area

    def load_vector(self, area: str, at: Scalar, align: int) -> str:
        """Load a vector of a stored tile."""
        spot = self.k.function.pointer(area, at, self.element)
        return self.k.function.op(f"load {self.type}, ptr {spot}, align {align}")

    def loop(self, low: Scalar, high: Scalar, step: int, sums: Tile, inside: Callable[[Scalar, Tile], Tile]) -> Tile:
        """A loop that carries the tile's sums."""
        flat = [(self.type, s) for line in sums.values() for s in line]
        with self.k.function.loop(low, high, step, carry=flat) as turn, scope(self.k):
            result = inside(turn.index, rows_of(sums, turn.values))
            turn.next = [s for line in result.values() for s in line]
        return rows_of(sums, turn.results)

    def row_at(self, i: int) -> int:
        """The offset of the tile's row ``i`` from its first row, in the operand."""
        rows, second_rows = self.plan.rows, self.plan.second_rows
        if rows is None:
            return 0
        return i * rows.a if second_rows is None else i // rows.count * second_rows.a + i % rows.count * rows.a
