"""Leftover columns, at most half a vector of them, in vectors that several rows of a tile share."""

from __future__ import annotations

from collections.abc import Callable

from ranvier.engines.native.codegen.contraction.base import Place
from ranvier.engines.native.codegen.contraction.tile import Tile, Tiled
from ranvier.engines.native.codegen.shuffles import join, part, repeat, spread, stretch
from ranvier.engines.native.schedule.loop_nest import Loop
from ranvier.engines.native.target.lanes import LANES, SIZE, Scalar, tail_mask, vector

# Adds the terms of an iteration: its number, the sums, and the factors of shared vectors if they are loaded already.
Terms = Callable[[Scalar, Tile, dict[int, str] | None], Tile]


class LeftoverColumns(Tiled):
    """A tiled contraction with such vectors."""

    sharing = 1  # rows that share a vector
    leaders = range(0)  # the rows of a tile that hold one
    packed: str | None = None  # a packed operand
    pitch = 0  # of its rows

    @property
    def lanes_each(self) -> int:
        """The lanes of one row in a shared vector."""
        return LANES // self.sharing

    @property
    def lanewise(self) -> bool:
        """Whether one load takes several terms of a row for a shared vector."""
        return bool(self.leaders) and self.plan.rows is not None and self.plan.rows.a != 1

    def lead(self, height: int, masks: list[str | None]) -> list[str | None]:
        """Decide which rows of a tile hold a shared vector. Returns the masks of the rows' own vectors."""
        shared = masks[-1] is not None and self.sharing > 1 and height % self.sharing == 0
        self.leaders = range(0, height, self.sharing) if shared else range(0)
        return masks[:-1] if shared else masks

    def share(self, sums: Tile) -> None:
        """Merge the rows' last vectors into shared ones."""
        f, size = self.k.function, self.lanes_each
        for i in self.leaders:
            lines = [sums[i + n].pop() for n in range(self.sharing)]
            parts = [f.first_lanes(line, self.type, size) for line in lines]
            sums[i].append(join(f, parts, size, self.element))

    def unshare(self, sums: Tile) -> None:
        """Split shared vectors into one for each row."""
        for i in self.leaders:
            whole = sums[i].pop()
            for n in range(self.sharing):
                sums[i + n].append(part(self.k.function, whole, n, self.lanes_each, self.element))

    def by_parts(self, loop: Loop, low: Scalar, high: Scalar, a: Scalar, sums: Tile, one: Terms) -> Tile:
        """The innermost loop, several iterations at a time, which share one load of each row."""
        f, size = self.k.function, self.lanes_each
        count = f.sub(high, low)
        some = f.multiple(count, size)

        def several(at: Scalar, sums: Tile) -> Tile:
            start = f.add(a, f.mul(at, loop.a))
            wholes = {i: join(f, self._lines(start, i, size), size, self.element) for i in self.leaders}
            for n in range(size):
                others = {i: spread(f, line, size, n, self.element) for i, line in wholes.items()}
                sums = one(f.add(at, n), sums, others)
            return sums

        whole = f.add(low, some)
        if some != 0:
            sums = self.loop(low, whole, size, sums, several)
        if some == count:
            return sums
        return self.loop(whole, high, 1, sums, lambda at, sums: one(at, sums, None))

    def _lines(self, a: Scalar, leader: int, count: int) -> list[str]:
        """``count`` terms of each of the rows that share a vector."""
        return [self._some(a, self.row_at(leader + n), count) for n in range(self.sharing)]

    def left_shared(self, a: Scalar, leader: int) -> str:
        """The factor of a shared vector: one element of each of its rows."""
        f, rows = self.k.function, self.plan.rows
        if rows is not None and rows.a == 1:
            ones = self._some(a, self.row_at(leader), self.sharing)
        else:
            ones = join(f, self._lines(a, leader, 1), 1, self.element)
        return stretch(f, ones, self.sharing, self.element)

    def _some(self, a: Scalar, more: int, count: int) -> str:
        """Load adjacent elements of the first operand."""
        f, view = self.k.function, self.plan.a
        pointer = f.pointer(self.k.pointers[view.buffer], f.add(a, view.offset + more), self.element)
        return f.op(f"load {vector(self.element, count)}, ptr {pointer}, align {SIZE[self.node.dtype]}")

    def right_shared(self, at: Place, j: int) -> str:
        """The leftover columns, repeated for each row; ``j`` is the number of their vector."""
        f, columns, view = self.k.function, self.columns, self.plan.b
        left = columns.count % LANES
        if self.packed is not None:
            base, offset = self.packed, f.add(f.mul(at.packed, self.pitch), j * LANES)
        elif columns.b == 1 and left == self.lanes_each:
            base, offset = self.k.pointers[view.buffer], f.add(at.b, view.offset + j * LANES)
        else:
            line = self.load(view, at.b, j * LANES * columns.b, columns.b, tail_mask(left))
            return repeat(f, line, LANES, self.lanes_each, self.element)
        pointer, size = f.pointer(base, offset, self.element), SIZE[self.node.dtype]
        some = f.op(f"load {vector(self.element, self.lanes_each)}, ptr {pointer}, align {size}")
        return repeat(f, some, self.lanes_each, self.lanes_each, self.element)
