"""The result's side of a tile of rows by vectors: where it lies, what its sums begin with, and what follows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

from ranvier.engines.native.codegen.contiguity import adjacent
from ranvier.engines.native.codegen.contraction.base import Nested
from ranvier.engines.native.codegen.loops import along, finish, masked, scope
from ranvier.engines.native.schedule.index import At, Value
from ranvier.engines.native.schedule.loop_nest import MUCH, Nest, tile
from ranvier.engines.native.schedule.memory_planning import LINE
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.target.extents import size
from ranvier.engines.native.target.lanes import LANES, SIZE, Scalar
from ranvier.engines.native.target.target import Target

LONG = 64  # terms of a sum that take so long to add up that memory can answer meanwhile
AFAR = 1 << 20  # bytes: larger values have left the second-level cache before they are needed again

# The running sums of a tile: for each of its rows, those of its vectors. Of rows that share a vector for the columns
# left over, the first has it, behind its own.
Tile = dict[int, list[str]]


def rows_of(sums: Tile, flat: list[str]) -> Tile:
    """Values listed one after another, as rows like those of ``sums``."""
    values = iter(flat)
    return {i: [next(values) for _ in line] for i, line in sums.items()}


def tile_of(task: Task, plan: Nest, target: Target, dtype: str, batch: int) -> tuple[int, int]:
    """Rows and vectors of the tile of a task's kernel, as wide as what two threads have of columns in parts."""
    columns = plan.columns
    if columns is not None and task.parts and columns.output == task.axis:
        few = max(columns.count // task.parts, 2 * LANES)
        plan = replace(plan, columns=replace(columns, extent=few))
    return tile(target, plan, dtype, batch, len(task.members))


class Tiled(Nested):
    """A contraction that is written tile by tile."""

    def fetch_ahead(self, row: Scalar | None, height: int, start: Scalar, vectors: int) -> None:
        """Have the processor fetch what the epilogue will read of values that no cache holds, while the sum is made."""
        module, task = self.k.module, self.task
        if self.k.meanwhile is not None:
            self.k.function.emit(self.k.meanwhile)
        if self.plan.terms < LONG:
            return
        stored = {view.buffer for _, view in task.stores}
        read = [n for n in task.reads if n.shape == task.space and n not in self.node.inputs]
        for view in filter(None, map(module.view, read)):
            large = size(view.shape, module.batch) * SIZE[view.buffer.dtype] > AFAR
            if not large or view.buffer in stored or view.buffer in module.near:
                continue
            for i, j in product(range(height), range(vectors)):
                self.stand(row, i, start, j)
                self.k.prefetch(view, self.index())

    def start(self, row: Scalar | None, i: int, start: Scalar, j: int, mask: str | None) -> str:
        """What the sum of a vector of the tile begins with."""
        if not self.task.adds:
            return "zeroinitializer"
        self.stand(row, i, start, j)
        with masked(self.k, mask):
            return self.k.widen(self.k.load(self.stored, self.index()), self.element)

    def stand(self, row: Scalar | None, i: Scalar, start: Scalar, j: Scalar) -> None:
        """Fix the result's index at a vector of the tile."""
        f, columns, rows = self.k.function, self.plan.columns, self.plan.rows
        assert columns is not None
        assert columns.output is not None
        self.fixed[columns.output] = At(f.add(start, f.mul(j, LANES)), 1)
        beside = self.plan.beside
        if beside is not None and rows is not None and isinstance(i, int):
            self.fixed[beside.output or 0], i = At(i // rows.count), i % rows.count
        if rows is not None and rows.output is not None and row is not None:
            self.fixed[rows.output] = At(f.add(row, i))

    def epilogue(
        self, sums: list[list[str]], row: Scalar | None, start: Scalar, masks: list[str | None]
    ) -> None:
        """What follows the sums of a tile's rows and vectors, and the stores."""
        k, f = self.k, self.k.function
        height, vectors = len(sums), len(masks)
        if height == 1 or len(self.task.members) <= MUCH:
            for i in range(height):
                for j in range(vectors):
                    self.place(row, i, start, j, masks[j], sums[i][j])
            return
        # A long epilogue: the tile goes to the stack once, and a loop takes it from there.
        columns, rows = self.plan.columns, self.plan.rows
        assert columns is not None
        last = len(self.task.space) - 1
        whole = start == 0 and columns.count <= vectors * LANES and columns.output == last
        if whole and rows is not None and rows.output == last - 1 and adjacent(k, self.task):
            area = self.lay_down(sums, columns.count)

            def elements(at: At) -> None:
                self.place(row, 0, at.base, 0, k.mask, self.take_up(area, at.base, SIZE[self.node.dtype]))

            along(k, 0, height * columns.count, elements)
            return
        area = self.lay_down(sums, vectors * LANES)
        with f.loop(0, height) as turn, scope(k):
            for j in range(vectors):
                value = self.take_up(area, f.add(f.mul(turn.index, vectors * LANES), j * LANES), LINE)
                self.place(row, turn.index, start, j, masks[j], value)

    def place(
        self, row: Scalar | None, i: Scalar, start: Scalar, j: Scalar, mask: str | None, value: str
    ) -> None:
        """What follows the sums of one vector of a tile, and its stores."""
        k = self.k
        self.stand(row, i, start, j)
        with masked(k, mask), scope(k):
            k.remember(self.made, self.index(), Value(value, True))
            finish(k, self.task, self.index())

    def room(self, height: int, pitch: int) -> str:
        """Room on the stack for a tile whose rows are so far apart."""
        with self.k.function.at_entry():
            return self.k.function.op(f"alloca [{height * pitch + LANES} x {self.element}], align {LINE}")

    def lay_down(self, sums: list[list[str]], pitch: int, area: str | None = None) -> str:
        """The tile on the stack, its rows so far apart; what a row's last vector has too much, the next one covers."""
        f, size = self.k.function, SIZE[self.node.dtype]
        area = area or self.room(len(sums), pitch)
        for i, line in enumerate(sums):
            for j, value in enumerate(line):
                spot = f.pointer(area, i * pitch + j * LANES, self.element)
                f.emit(f"store {self.type} {value}, ptr {spot}, align {LINE if pitch % LANES == 0 else size}")
        return area

    def take_up(self, area: str, at: Scalar, align: int) -> str:
        """A vector of a tile that was laid down."""
        spot = self.k.function.pointer(area, at, self.element)
        return self.k.function.op(f"load {self.type}, ptr {spot}, align {align}")

    def loop(
        self, low: Scalar, high: Scalar, step: int, sums: Tile, inside: Callable[[Scalar, Tile], Tile]
    ) -> Tile:
        """A loop that carries the tile's sums."""
        flat = [(self.type, s) for line in sums.values() for s in line]
        with self.k.function.loop(low, high, step, carry=flat) as turn, scope(self.k):
            result = inside(turn.index, rows_of(sums, turn.values))
            turn.next = [s for line in result.values() for s in line]
        return rows_of(sums, turn.results)

    def row_at(self, i: int) -> int:
        """How far from the tile's first row its row ``i`` lies in the operand."""
        rows, beside = self.plan.rows, self.plan.beside
        if rows is None:
            return 0
        return i * rows.a if beside is None else i // rows.count * beside.a + i % rows.count * rows.a
