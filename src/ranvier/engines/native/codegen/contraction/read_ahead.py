"""What kernels in blocks prefetch: the next block of an operand, and what the epilogues of the next rows overwrite."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import NamedTuple

from ranvier.engines.native.codegen.builder import PREFETCH
from ranvier.engines.native.codegen.contraction.base import Place
from ranvier.engines.native.codegen.contraction.columns import Columns
from ranvier.engines.native.codegen.contraction.tile import Panel, Tile
from ranvier.engines.native.codegen.kernel import At
from ranvier.engines.native.schedule.blocking import Blocks
from ranvier.engines.native.schedule.loop_nest import Loop
from ranvier.engines.native.schedule.memory_planning import LINE
from ranvier.engines.native.schedule.view import View
from ranvier.engines.native.target.lanes import LANES, SIZE, Scalar
from ranvier.graph.extents import Extent


class Block(NamedTuple):
    """A block being written: where it begins in the operands, its ranges, and whether its sums begin or end here."""

    at: Place
    rows: tuple[Scalar, Scalar]
    columns: tuple[Scalar, Scalar]
    terms: Scalar  # how many
    begins: str
    ends: str
    next: Scalar  # where the next block begins in the second operand


class ReadsAhead(Columns):
    """A kernel in blocks, as far as it reads ahead."""

    blocks: Blocks
    terms: Loop
    rounds: list[Loop]  # around that of the terms
    within: list[Loop]  # the places that read the same block
    height: int  # of a tile
    wide: int  # columns of a panel
    span: tuple[Scalar, Scalar] = 0, 0  # the columns of the block at hand

    def expected(self, loop: Loop) -> int:
        """How many iterations a loop has, of the batch at most."""
        return self.batch if isinstance(loop.extent, Extent) else loop.extent

    def place_number(self) -> Scalar:
        """The number of the place in the loops within the block."""
        f = self.k.function
        number: Scalar = 0
        for loop in self.within:
            low, high = self.range_of(loop)
            number = f.add(f.mul(number, f.sub(high, low)), f.sub(self.at[loop.number], low))
        return number

    def next_rows(self, block: Block, at: Place, row: Scalar, panel: Panel, height: int, turn: Scalar) -> None:
        """In the first panel: a line of each of the next rows of the first operand."""
        f, view, rows = self.k.function, self.plan.a, self.plan.rows
        assert rows is not None
        with f.when(f.op(f"icmp eq i64 {panel.start}, {block.columns[0]}")):
            for i in range(height):
                self.fetch(view, f.add(f.add(at.a, turn), (height + i) * rows.a))

    def next_block(self, block: Block, at: Place, row: Scalar, panel: Panel, height: int, turn: Scalar) -> None:
        """In each tile: this panel's part of some rows of the next block of the second operand.

        All tiles take part, as far as they are needed: many lines at once would keep the tile's own loads waiting.
        """
        f, line = self.k.function, LINE // SIZE[self.node.dtype]
        per_place = self.blocks.rows // self.height
        each = -(-line // (prod(map(self.expected, self.within)) * per_place))  # rows
        number = f.add(f.mul(self.place_number(), per_place), f.floor_divide(f.sub(row, block.rows[0]), self.height))
        with f.when(f.op(f"icmp slt i64 {number}, {-(-line // each)}")):
            first, column = f.add(turn, f.mul(number, each)), f.sub(panel.start, block.columns[0])
            for i, j in product(range(each), range(0, self.wide, line)):
                self.fetch(self.plan.b, f.add(f.add(self._next_term(block, f.add(first, i)), column), j))

    def _next_term(self, block: Block, term: Scalar) -> Scalar:
        """Where a term of the next block begins in the second operand."""
        f, steps, number = self.k.function, self.terms.b, term
        if not self.blocks.joins:
            return f.add(block.next, f.mul(number, steps))
        extent = self.k.extent(self.terms.extent)
        round_ = f.mul(f.floor_divide(number, extent), self.rounds[-1].b)
        return f.add(block.next, f.add(round_, f.mul(f.remainder(number, extent), steps)))

    def terms_as_they_lie(self, block: Block, at: Place, panel: Panel, sums: Tile) -> Tile:
        """The terms of a block of weights that are read once; the next block is prefetched in the order of memory.

        A panel's part of a row is shorter than what the processor would read ahead by itself.
        """
        f, line = self.k.function, LINE // SIZE[self.node.dtype]
        self.k.module.declarations.add(PREFETCH)
        low, high = block.columns
        lines = self.blocks.terms * panel.vectors * (LANES // line)  # of a panel
        first = f.mul(f.floor_divide(f.sub(panel.start, low), LANES * panel.vectors), lines * line)
        row, column = f.floor_divide(first, f.sub(high, low)), f.remainder(first, f.sub(high, low))
        ahead = f.add(f.add(block.next, f.mul(row, self.terms.b)), column)

        def one(turn: Scalar, sums: Tile) -> Tile:
            for j in range(panel.vectors):
                self.fetch(self.plan.b, f.add(ahead, f.add(f.mul(turn, panel.vectors * line), j * line)))
            return self._multiply(self.moved(at, self.terms, turn, 1), panel.masks, sums)

        return self.loop(0, block.terms, 1, sums, one)

    def fetch_updated(self, view: View, row: Scalar | None, panel: Panel, height: int, number: Scalar) -> None:
        """Of the next rows, in the order of memory, as much as the vector has.

        Short parts of several rows at a time would be in as many pages of the memory, often of the same bank.
        """
        f, (low, high) = self.k.function, self.span
        assert row is not None
        place, width = f.mul(f.sub(panel.start, low), height), f.sub(high, low)
        self.fix_index(f.add(f.add(row, height), f.floor_divide(place, width)), 0, low, 0)
        column = f.add(f.add(f.remainder(place, width), low), f.mul(number, LANES))
        self.fixed[self.columns.output or 0] = At(column, 1)
        self.k.prefetch(view, self.index(), written=True)
