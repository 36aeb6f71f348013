"""Products in blocks (`schedule/blocking.py`), each block packed into panels for the tiles that pass over it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from math import prod

from ranvier.engines.native.codegen.builder import PREFETCH
from ranvier.engines.native.codegen.contraction.base import Place
from ranvier.engines.native.codegen.contraction.pack_panel import PackedRows, Panels, pack_block, pack_rows
from ranvier.engines.native.codegen.contraction.pipelined_epilogue import Tiles, pipeline_tiles
from ranvier.engines.native.codegen.contraction.read_ahead import Block, ReadsAhead
from ranvier.engines.native.codegen.contraction.tile import Panel, Tile, narrows, tile_of
from ranvier.engines.native.codegen.kernel import At
from ranvier.engines.native.codegen.loops import along, scope
from ranvier.engines.native.schedule.blocking import MANY_ROWS, Blocks, blocks
from ranvier.engines.native.schedule.loop_nest import Loop, is_pipelined
from ranvier.engines.native.schedule.memory_planning import LINE
from ranvier.engines.native.target.lanes import LANES, SIZE, Scalar
from ranvier.graph.extents import Extent

AHEAD = 2  # panels, by which weights are prefetched that are read as they lie


class Blocked(ReadsAhead):
    """Writes such a kernel."""

    packing = False  # whether the tile at hand copies the second operand into panels

    def write(self) -> None:
        p, size = self.plan, SIZE[self.node.dtype]
        *self.rounds, self.terms = p.reduce
        self.height, self.across = tile_of(self.task, p, self.target, self.node.dtype, self.batch)
        self.wide = self.across * LANES
        rows = self.node.attrs.get("rows", self.batch)  # that a run is expected to have
        self.blocks: Blocks = blocks(p, self.height, self.across, rows, self.node.dtype)
        # Loops that read the same block again run within it.
        self.within = [loop for loop in p.outer if loop.b == 0]
        counts = map(self.expected, self.within)
        # Panels a power of two apart would map to the same cache lines.
        self.panel_pitch = self.blocks.terms * self.wide + 2 * LINE // size if self.blocks.packs else 0
        copied = self.blocks.rows if self._is_by_panels() else self.height  # rows of the first operand
        parts = [
            self.blocks.columns // self.wide * self.panel_pitch,
            copied * max(self.blocks.row_steps[0], self.blocks.terms) if self.blocks.row_steps else 0,
            prod(counts) * self.blocks.rows * self.blocks.columns if self.blocks.waits else 0,
        ]
        starts = [sum(-(-part * size // LINE) * LINE for part in parts[:i]) for i in range(4)]
        work = self.k.workspace(starts[-1])
        self.panels_at, self.left_at, self.sums_at = (
            self.k.function.pointer(work, start, "i8") for start in starts[:3]
        )
        self.around([loop for loop in p.outer if loop.b], self._blocks)

    def _is_by_panels(self) -> bool:
        """Whether all rows of a block pass over one panel, which stays in the first-level cache, before the next."""
        repeated = self.blocks.row_steps is None or bool(self.rounds)
        return not self.within and self.blocks.waits and self.blocks.packs and repeated

    def _blocks(self, at: Place) -> None:
        p, size = self.plan, self.blocks
        assert p.rows is not None
        with (
            self._steps(p.rows, self.range_of(p.rows), size.rows) as rows,
            self._steps(self.columns, self.range_of(self.columns), size.columns) as columns,
        ):
            if size.joins:
                self._joined_rounds(at, rows, columns)
            else:
                self._round_by_round(at, rows, columns)

    def _joined_rounds(self, at: Place, rows: tuple[Scalar, Scalar], columns: tuple[Scalar, Scalar]) -> None:
        """Blocks of the terms of several rounds."""
        f, (loop,) = self.k.function, self.rounds
        count, extent = self.k.extent(loop.extent), self.k.extent(self.terms.extent)
        with self._steps(loop, (0, count), self.blocks.terms // self.expected(self.terms)) as (low, high):
            here, after = (self.moved(self.moved(at, loop, turn), self.columns, columns[0]) for turn in (low, high))
            begins, ends = f.op(f"icmp eq i64 {low}, 0"), f.op(f"icmp sge i64 {high}, {count}")
            self._block(Block(here, rows, columns, f.mul(f.sub(high, low), extent), begins, ends, after.b))

    def _round_by_round(self, at: Place, rows: tuple[Scalar, Scalar], columns: tuple[Scalar, Scalar]) -> None:
        f, size = self.k.function, self.blocks
        extent = self.k.extent(self.terms.extent)
        with (
            self._in_rounds(at) as (place, first, last),
            self._steps(self.terms, (0, extent), size.terms) as (low, high),
        ):
            here = self.moved(self.moved(place, self.terms, low), self.columns, columns[0])
            begins, ends = f.op(f"icmp eq i64 {low}, 0"), f.op(f"icmp sge i64 {high}, {extent}")
            below = f.mul(size.terms, self.terms.b)
            # In rounds, the same block of the next one follows.
            after = self.rounds[-1].b if self.rounds else self.columns.b * size.columns
            beside = f.sub(after, f.mul(low, self.terms.b))
            more = f.add(here.b, f.op(f"select i1 {ends}, i64 {beside}, i64 {below}"))
            for flag in first:
                begins = f.op(f"and i1 {begins}, {flag}")
            for flag in last:
                ends = f.op(f"and i1 {ends}, {flag}")
            self._block(Block(here, rows, columns, f.sub(high, low), begins, ends, more))

    @contextmanager
    def _in_rounds(self, at: Place) -> Iterator[tuple[Place, list[str], list[str]]]:
        """The loops around that of the terms, such as the steps of a loop over time: where each round is, and whether
        it is the first or the last one.
        """
        f, first, last = self.k.function, list[str](), list[str]()
        with ExitStack() as stack:
            for loop in self.rounds:
                count = self.k.extent(loop.extent)
                turn = stack.enter_context(f.loop(0, count))
                stack.enter_context(scope(self.k))
                first.append(f.op(f"icmp eq i64 {turn.index}, 0"))
                last.append(f.op(f"icmp eq i64 {turn.index}, {f.sub(count, 1)}"))
                at = self.moved(at, loop, turn.index)
            yield at, first, last

    @contextmanager
    def _steps(self, loop: Loop, ends: tuple[Scalar, Scalar], size: int) -> Iterator[tuple[Scalar, Scalar]]:
        """The parts of a loop's range, each of ``size``; without a loop, if it is known that there is only one."""
        if self.expected(loop) <= size:
            yield ends
            return
        f = self.k.function
        with f.loop(*ends, size) as turn, scope(self.k):
            yield turn.index, f.minimum(f.add(turn.index, size), ends[1])

    def _block(self, block: Block) -> None:
        """All tiles of a block: within each tile of rows, panel by panel."""
        rows = self.plan.rows
        assert rows is not None
        self.span = block.columns
        if self.blocks.packs:
            self._pack(block)
        self.around(self.within, lambda at: self._tiles(block, rows, at), block.at)

    def _pack(self, block: Block) -> None:
        """Copy a block into panels, unless there is a whole tile of rows that does so."""
        f, (low, high) = self.k.function, block.rows
        count, panels = f.sub(block.columns[1], block.columns[0]), Panels(self.panels_at, self.panel_pitch, self.wide)
        full = f.end_of_whole(low, high, self.height) if self.blocks.packs_first else low
        if self.blocks.joins:
            with self._each_round(block.at, block.terms) as (at, done, terms):
                here = f.pointer(self.panels_at, f.mul(done, self.wide), self.element)
                pack_block(self, at.b, terms, count, panels._replace(pointer=here))
        elif full == low:
            pack_block(self, block.at.b, block.terms, count, panels)
        elif not isinstance(full, int) or not isinstance(low, int):
            with f.when(f.op(f"icmp eq i64 {full}, {low}")), scope(self.k):
                pack_block(self, block.at.b, block.terms, count, panels)

    @contextmanager
    def _each_round(self, at: Place, terms: Scalar) -> Iterator[tuple[Place, Scalar, Scalar]]:
        """The rounds of a block: where each begins, how many terms come before it, and its terms."""
        f, (loop,) = self.k.function, self.rounds
        extent = self.k.extent(self.terms.extent)
        with f.loop(0, f.floor_divide(terms, extent)) as turn, scope(self.k):
            yield self.moved(at, loop, turn.index), f.mul(turn.index, extent), extent

    def _tiles(self, block: Block, rows: Loop, at: Place) -> None:
        """The tiles of all rows, or of those that a place in the outer loops has."""
        if self._is_by_panels():
            self._panels_of_tiles(block, rows, at)
            return

        def tile(row: Scalar, height: int) -> None:
            here = self.moved(at, rows, row)
            self._pack_tile(block, here, height)
            self._row_of_tiles(block, here, row, height)

        self._over_rows(block, tile, self.blocks.packs_first)

    def _pack_tile(self, block: Block, at: Place, height: int) -> None:
        """Copy a tile's rows of the first operand, where they are copied."""
        if self.blocks.row_steps is None:
            return
        rows = PackedRows(self.left_at, *self.blocks.row_steps)
        if not self.blocks.joins:
            pack_rows(self, at.a, block.terms, height, rows)
            return
        with self._each_round(at, block.terms) as (place, done, terms):
            here = self.k.function.pointer(self.left_at, self.k.function.mul(done, rows.term), self.element)
            pack_rows(self, place.a, terms, height, rows._replace(pointer=here))

    def _panels_of_tiles(self, block: Block, rows: Loop, at: Place) -> None:
        """All tiles of rows of each panel, then those of the leftover columns."""
        k, f = self.k, self.k.function
        low, high = block.columns
        full, left = f.end_of_whole(low, high, self.wide), self.left_at

        def copy(row: Scalar, height: int) -> None:
            self.left_at = self._left_tile(block, left, row)
            self._pack_tile(block, self.moved(at, rows, row), height)

        def tiles(panel: Panel) -> None:
            def tile(row: Scalar, height: int) -> None:
                self.left_at = self._left_tile(block, left, row)
                self._block_tile(block, self.moved(at, rows, row), row, height, panel)

            self._over_rows(block, tile, self.blocks.packs_first)

        if self.blocks.row_steps is not None:
            self._over_rows(block, copy)
        if full != low:
            with f.loop(low, full, self.wide) as turn, scope(k):
                tiles(Panel(turn.index, self.across, None))
        if self._may_leave_columns():
            along(k, full, high, lambda place: tiles(Panel(place.base, 1, k.mask)), once=True)
        self.left_at = left

    def _left_tile(self, block: Block, left: str, row: Scalar) -> str:
        """Where a tile's rows of the first operand are copied to, of all of a block."""
        if self.blocks.row_steps is None:
            return left
        f, each = self.k.function, max(self.blocks.row_steps[0], self.blocks.terms)
        return f.pointer(left, f.mul(f.sub(row, block.rows[0]), each), self.element)

    def _over_rows(self, block: Block, tile: Callable[[Scalar, int], None], first: bool = False) -> None:
        """Whole tiles, of which the ``first`` one may copy the block, then the leftover rows."""
        f, (low, high) = self.k.function, block.rows
        full = f.end_of_whole(low, high, self.height)
        if full != low:
            if first:
                low = self._first_tile(low, full, tile)
            with f.loop(low, full, self.height) as turn, scope(self.k):
                tile(turn.index, self.height)
        if self.height > 1:
            self.leftover_rows(full, high, self.height, tile)

    def _first_tile(self, low: Scalar, full: Scalar, tile: Callable[[Scalar, int], None]) -> Scalar:
        """The first tile of rows of the first place, which copies the block. Returns where the others begin."""
        f = self.k.function
        first = [f.op(f"icmp slt i64 {low}, {full}")]
        first += [f.op(f"icmp eq i64 {self.at[loop.number]}, {self.range_of(loop)[0]}") for loop in self.within]
        copies = functools.reduce(lambda one, other: f.op(f"and i1 {one}, {other}"), first)
        with f.when(copies), scope(self.k):
            self.packing = True
            tile(low, self.height)
            self.packing = False
        return f.add(low, f.op(f"select i1 {copies}, i64 {self.height}, i64 0"))

    def _row_of_tiles(self, block: Block, at: Place, row: Scalar, height: int) -> None:
        """The tiles of some rows: whole panels, then the leftover columns."""
        k, f = self.k, self.k.function
        low, high = block.columns
        full = f.end_of_whole(low, high, self.wide)
        if not self.blocks.waits and is_pipelined(self.target, self.plan, self.node.dtype, self.task.length):
            self._pipelined_panels(block, at, row, (low, full), height)
        elif full != low:
            with f.loop(low, full, self.wide) as turn, scope(k):
                panel = Panel(turn.index, self.across, None)
                self.prefetch_updated(row, height, panel)
                self._block_tile(block, at, row, height, panel)
        if narrows(self.height, self.across):

            def narrower(start: Scalar, vectors: int) -> None:
                panel = Panel(start, vectors, None)
                self.prefetch_updated(row, height, panel)
                self._block_tile(block, at, row, height, panel)

            full = self.narrower_panels(full, high, narrower)
        if self._may_leave_columns():
            # Panels of one vector, every one with a mask, so that their code is there once.
            def left(place: At) -> None:
                panel = Panel(place.base, 1, k.mask)
                self.prefetch_updated(row, height, panel)
                self._block_tile(block, at, row, height, panel)

            along(k, full, high, left, once=True)

    def _may_leave_columns(self) -> bool:
        extent, task = self.columns.extent, self.task
        if isinstance(extent, Extent):
            return True
        own = extent // task.parts if task.parts and self.columns.output == task.axis else extent
        return own % self.wide > 0

    def _take_panel(self, block: Block, at: Place, start: Scalar) -> Place:
        """Where the tile at a column begins in the operands, or in the panel that holds it."""
        f = self.k.function
        beyond = f.sub(start, block.columns[0])
        if not self.blocks.packs:
            return self.moved(at, self.columns, beyond)
        number, inside = f.floor_divide(beyond, self.wide), f.remainder(beyond, self.wide)
        self.pitch = self.wide
        self.packed = f.pointer(self.panels_at, f.add(f.mul(number, self.panel_pitch), inside), self.element)
        return self.moved(at, self.columns, beyond) if self.packing else at

    def _pipelined_panels(
        self, block: Block, at: Place, row: Scalar, columns: tuple[Scalar, Scalar], height: int
    ) -> None:
        """Whole panels, the epilogue of each interleaved with the sums of the next."""
        masks: list[str | None] = [None] * self.across

        def terms(start: Scalar, low: Scalar, high: Scalar, sums: Tile) -> Tile:
            here = self._take_panel(block, at, start)
            return self._terms(self.terms, low, high, here, masks, sums)

        def place(start: Scalar) -> tuple[Scalar, Panel]:
            return row, Panel(start, self.across, None)

        first = {i: ["zeroinitializer"] * self.across for i in range(height)}
        tiles = Tiles(columns, self.wide, place, (0, block.terms))
        with self.k.function.when(self.k.function.op(f"icmp slt i64 {columns[0]}, {columns[1]}")), scope(self.k):
            pipeline_tiles(self, tiles, first, 1, terms, lambda sums: None)

    def _block_tile(self, block: Block, at: Place, row: Scalar, height: int, panel: Panel) -> None:
        """The terms of a block for one tile; after the last block, the epilogue."""
        k, f = self.k, self.k.function
        here = self._take_panel(block, at, panel.start)
        self.prefetch_epilogue(row, height, panel)
        if self._is_by_panels():
            with f.when(block.ends), scope(k):
                self.prefetch_updated(row, height, panel)
        if not self.blocks.waits:
            first = {i: ["zeroinitializer"] * panel.vectors for i in range(height)}
            sums = self._all_terms(block, here, row, panel, first)
            self.epilogue([sums[i] for i in range(height)], row, panel.start, panel.masks)
            return
        spots = self._spots(block, row, height, panel)
        first = {i: [self._begun(block.begins, spot) for spot in line] for i, line in spots.items()}
        sums = self._all_terms(block, here, row, panel, first)
        with f.when(f.op(f"xor i1 {block.ends}, true")):
            for i, line in spots.items():
                for spot, value in zip(line, sums[i], strict=True):
                    f.emit(f"store {self.type} {value}, ptr {spot}, align {LINE}")
        with f.when(block.ends), scope(k):
            self.epilogue([sums[i] for i in range(height)], row, panel.start, panel.masks)

    def _all_terms(self, block: Block, at: Place, row: Scalar, panel: Panel, sums: Tile) -> Tile:
        """The terms of a block for one tile, with prefetches of what is read after it, a cache line at a time.

        What lies in rows is too short for the processor to notice that it is read in order.
        """
        f, line = self.k.function, LINE // SIZE[self.node.dtype]

        def one(turn: Scalar, sums: Tile) -> Tile:
            here = self.moved(at, self.terms, turn, 1)
            for j in range(AHEAD * panel.vectors, (AHEAD + 1) * panel.vectors):
                self.fetch(self.plan.b, f.add(here.b, j * LANES))
            return self._multiply(here, panel.masks, sums)

        if self.blocks.reads_ahead and panel.mask is None:
            return self.terms_as_they_lie(block, at, panel, sums)
        if not self.blocks.packs and self.height >= MANY_ROWS and panel.mask is None:
            self.k.module.declarations.add(PREFETCH)
            return self.loop(0, block.terms, 1, sums, one)
        fetch = self.next_rows if self.terms.a == 1 and self.columns.b != 1 else self.next_block
        across = fetch == self.next_block and self.columns.b != 1
        alone = self.blocks.joins and not self.blocks.waits  # no other block follows
        if not self.blocks.packs or panel.mask is not None or across or alone:
            return self._terms(self.terms, 0, block.terms, at, panel.masks, sums)

        def some(turn: Scalar, sums: Tile) -> Tile:
            fetch(block, at, row, panel, len(sums), turn)
            return self._terms(self.terms, turn, f.add(turn, line), at, panel.masks, sums)

        self.k.module.declarations.add(PREFETCH)
        whole = f.multiple(block.terms, line)
        if whole != 0:
            sums = self.loop(0, whole, line, sums, some)
        return sums if whole == block.terms else self._terms(self.terms, whole, block.terms, at, panel.masks, sums)

    def _spots(self, block: Block, row: Scalar, height: int, panel: Panel) -> Tile:
        """Where the sums of a tile wait between two blocks of terms."""
        f = self.k.function
        number = f.add(f.mul(self.place_number(), self.blocks.rows), f.sub(row, block.rows[0]))
        place = f.add(f.mul(number, self.blocks.columns), f.mul(f.sub(panel.start, block.columns[0]), height))
        return {
            i: [
                f.pointer(self.sums_at, f.add(place, (i * panel.vectors + j) * LANES), self.element)
                for j in range(panel.vectors)
            ]
            for i in range(height)
        }

    def _begun(self, begins: str, spot: str) -> str:
        """The sum of a vector after the blocks before."""
        held = self.k.function.op(f"load {self.type}, ptr {spot}, align {LINE}")
        return self.k.function.op(f"select i1 {begins}, {self.type} zeroinitializer, {self.type} {held}")

    def _right(self, at: Place, more: int, masks: list[str | None]) -> list[str]:
        if not self.packing:
            return super()._right(at, more, masks)
        f, step = self.k.function, self.columns.b
        assert self.packed is not None
        found = [self.load(self.plan.b, at.b, more + j * LANES * step, step, mask) for j, mask in enumerate(masks)]
        for j, value in enumerate(found):
            place = f.pointer(self.packed, f.add(f.mul(at.packed, self.pitch), j * LANES), self.element)
            f.emit(f"store {self.type} {value}, ptr {place}, align {LINE}")
        return found

    def _left(self, at: Place, i: int, more: int, masks: list[str | None]) -> list[str]:
        if self.blocks.row_steps is None:
            return super()._left(at, i, more, masks)
        f, (row_step, term_step) = self.k.function, self.blocks.row_steps
        place = f.add(f.mul(at.packed, term_step), i * row_step)
        return self.spread(f.pointer(self.left_at, place, self.element), masks)
