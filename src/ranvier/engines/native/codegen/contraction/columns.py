"""Contractions whose vectors run along the result's columns: register tiles of rows by vectors.

The sum is innermost, and the epilogue is fused into the store. Every element of the result is the sum over the
reduction loops in order, from 0, with one fused multiply-add a term: tiles and vectors decide when that happens, never
what is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import prod

from ranvier.engines.native.codegen.builder import PREFETCH
from ranvier.engines.native.codegen.contraction.base import Place
from ranvier.engines.native.codegen.contraction.leftover_columns import LeftoverColumns
from ranvier.engines.native.codegen.contraction.pack_panel import pack_panel
from ranvier.engines.native.codegen.contraction.pipelined_epilogue import Tiles, pipeline_tiles
from ranvier.engines.native.codegen.contraction.tile import Panel, Tile, narrows, tile_of
from ranvier.engines.native.codegen.kernel import At
from ranvier.engines.native.codegen.loops import along, panels, scope
from ranvier.engines.native.passes.clip_padding import Clip
from ranvier.engines.native.schedule.loop_nest import (
    LONG_EPILOGUE,
    MAX_UNROLLED,
    Loop,
    is_pipelined,
    rows_per_shared_vector,
)
from ranvier.engines.native.schedule.mask_bounds import Bound
from ranvier.engines.native.schedule.memory_planning import LINE
from ranvier.engines.native.target.lanes import LANES, SIZE, Scalar, tail_mask, vector
from ranvier.graph.extents import Extent

PAGE = 1 << 12  # bytes
NEAR_PANEL = 1 << 14  # bytes: half of a first-level cache
AHEAD_TERMS = 32  # of a tile, between prefetches of the slices of the next step


class Columns(LeftoverColumns):
    """Writes such a kernel."""

    bounds: tuple[Bound, ...] = ()  # of the terms that tiles need
    across = 1  # vectors of a whole tile
    size = 0, 0  # the rows and vectors of the tile at hand

    def write(self) -> None:
        self.around(list(self.plan.outer), self._panels)

    def _panels(self, at: Place) -> None:
        """Panels of columns, as wide as the tile; within each, tiles of rows."""
        p, f = self.plan, self.k.function
        columns = self.columns
        assert columns.output is not None
        height, across = tile_of(self.task, p, self.target, self.node.dtype, self.batch)
        self.sharing = 1  # rows that share a vector for leftover columns
        plain = len(p.reduce) == 1 and p.taps is None and p.second_rows is None and not (p.clips or self.prefix)
        self.bounds = self.task.bounds if plain and rows_per_shared_vector(p) == 1 else ()
        low, high = self.range_of(columns)
        wide, self.across = across * LANES, across

        def panel(start: Scalar, vectors: int, mask: str | None) -> None:
            self.fixed[columns.output] = At(start, 1)  # type: ignore[index]  # checked above
            self._rows(self.moved(at, columns, start), Panel(start, vectors, mask), height)

        if isinstance(low, int) and isinstance(high, int):
            self.sharing = rows_per_shared_vector(p)
            joins = self.sharing > 1 and (high - low) % wide < LANES  # leftover columns join a tile of whole vectors

            def known(start: Scalar, count: int) -> None:
                panel(start, -(-count // LANES), tail_mask(count % LANES) if count % LANES else None)

            panels(self.k, low, high, wide, known, fewer=int(joins))
            return

        wide_high = f.end_of_whole(low, high, wide)
        if across > 1:
            with f.loop(low, wide_high, wide) as turn, scope(self.k):
                panel(turn.index, across, None)
            low = wide_high
        if narrows(height, across):
            low = self.narrower_panels(low, high, lambda start, vectors: panel(start, vectors, None))
        if self.task.parts and columns.count % (self.task.parts * LANES) == 0:
            with f.loop(low, high, LANES) as turn, scope(self.k):
                panel(turn.index, 1, None)
        else:
            left = narrows(height, across)  # less than a vector
            along(self.k, low, high, lambda place: panel(place.base, 1, self.k.mask), once=left)

    def narrower_panels(self, low: Scalar, high: Scalar, write: Callable[[Scalar, int], None]) -> Scalar:
        """The columns that whole panels leave, from ``low`` on. Returns where the rest, less than a vector, begins."""
        f, across = self.k.function, self.across
        while across > 1:
            across = -(-across // 2)
            fits = f.op(f"icmp sge i64 {f.sub(high, low)}, {across * LANES}")
            with f.when(fits), scope(self.k):
                write(low, across)
            low = f.add(low, f.op(f"select i1 {fits}, i64 {across * LANES}, i64 0"))
        return low

    def _rows(self, at: Place, panel: Panel, height: int) -> None:
        """Tiles of ``height`` rows, then the leftover rows."""
        p, f = self.plan, self.k.function
        rows = p.rows
        self.packed: str | None = None
        self.pitch = panel.vectors * LANES  # of a packed operand
        if p.form == "pack":
            self.packed = pack_panel(self, at.b, panel.vectors, panel.mask)
        if rows is None:
            self._tile(at, None, 1, panel)
            return
        assert rows.output is not None
        low, high = self.range_of(rows)

        def tile(row: Scalar, count: int) -> None:
            self._tile(self.moved(at, rows, row), row, count, panel)

        if p.second_rows is not None:
            tile(0, height)
            return
        if any(clip[0] == rows.number for clip in p.clips):
            self._clipped_rows(rows, height, tile)
            return
        if height == 1:
            with f.loop(low, high) as turn, scope(self.k):
                tile(turn.index, 1)
            return
        full = f.end_of_whole(low, high, height)
        if full != low and is_pipelined(self.target, p, self.node.dtype, self.task.length):
            self._pipelined(at, (low, full), height, panel)
        elif full != low:
            with f.loop(low, full, height) as turn, scope(self.k):
                if self.task.length > LONG_EPILOGUE:
                    self.prefetch_updated(f.add(turn.index, height), height, panel)
                tile(turn.index, height)
        self.leftover_rows(full, high, height, tile)

    def _clipped_rows(self, rows: Loop, height: int, tile: Callable[[Scalar, int], None]) -> None:
        """Tiles at the edges are unrolled, where the terms of each row are known; the others are a loop."""
        f, extent = self.k.function, rows.extent
        assert isinstance(extent, int)
        inner = [row for row in range(0, extent - height + 1, height) if self._reads_no_padding(rows, row, height)]
        low, high = (inner[0], inner[-1] + height) if len(inner) > 1 else (extent, extent)

        def unrolled(first: int, end: int) -> None:
            for row in range(first, end, height):
                with scope(self.k):
                    tile(row, min(height, end - row))

        unrolled(0, low)
        if low < high:
            with f.loop(low, high, height) as turn, scope(self.k):
                tile(turn.index, height)
        unrolled(high, extent)

    def _reads_no_padding(self, rows: Loop, row: int, height: int) -> bool:
        """Whether a tile of rows has all terms."""
        for number, cp, inner, cq, offset, extent in self.plan.clips:
            last = self.node.attrs["loops"][inner] - 1
            ends = [cp * i + cq * turn + offset for i in (row, row + height - 1) for turn in (0, last)]
            if number == rows.number and not 0 <= min(ends) <= max(ends) < extent:
                return False
        return True

    def leftover_rows(self, full: Scalar, high: Scalar, height: int, tile: Callable[[Scalar, int], None]) -> None:
        """The rows that whole tiles of ``height`` leave, from ``full`` on."""
        f, rows = self.k.function, self.plan.rows
        assert rows is not None
        if isinstance(full, int) and isinstance(high, int):
            if high > full:
                with scope(self.k):
                    tile(full, high - full)
        elif isinstance(rows.extent, Extent) or self._rows_taken(rows.extent) % height:
            left = f.sub(high, full)
            while height > 1:  # ever lower tiles: single rows would wait for their own last multiply-add
                height = -(-height // 2)
                fits = f.op(f"icmp sge i64 {left}, {height}")
                with f.when(fits), scope(self.k):
                    tile(f.sub(high, left), height)
                left = f.sub(left, f.op(f"select i1 {fits}, i64 {height}, i64 0"))

    def _rows_taken(self, extent: int) -> int:
        """A number of rows such that each thread's range is a multiple of it."""
        rows, task = self.plan.rows, self.task
        mine = task.parts and rows is not None and rows.output == task.axis
        return extent // task.parts if mine else extent

    def _pipelined(self, at: Place, rows: tuple[Scalar, Scalar], height: int, panel: Panel) -> None:
        """Whole tiles, the epilogue of each interleaved with the sums of the next."""
        p = self.plan
        masks = self.lead(height, panel.masks)

        def terms(row: Scalar, low: Scalar, high: Scalar, sums: Tile) -> Tile:
            assert p.rows is not None
            return self._terms(p.reduce[0], low, high, self.moved(at, p.rows, row), masks, sums)

        first = {i: ["zeroinitializer"] * panel.vectors for i in range(height)}
        self.share(first)
        size = self.lanes_each if self.lanewise else 1
        tiles = Tiles(rows, height, lambda row: (row, panel), self.range_of(p.reduce[0]))
        pipeline_tiles(self, tiles, first, size, terms, self.unshare)

    def _tile(self, at: Place, row: Scalar | None, height: int, panel: Panel) -> None:
        """One tile: the sum in registers, then the epilogue and the stores."""
        start, masks = panel.start, panel.masks
        self.prefetch_epilogue(row, height, panel)
        first = {i: [self.start(row, i, start, j, m) for j, m in enumerate(masks)] for i in range(height)}
        self.first_row, self.first_column = row, start
        self.size = height, panel.vectors
        own = self.lead(height, masks)
        self.share(first)
        sums = self._sum(list(self.plan.reduce), at, own, first)
        self.unshare(sums)
        self.epilogue([sums[i] for i in range(height)], row, start, masks)

    def _sum(self, loops: list[Loop], at: Place, masks: list[str | None], sums: Tile) -> Tile:
        """The reduction loops, which carry the tile's accumulators."""
        f, p = self.k.function, self.plan
        if not loops:
            return self._multiply(at, masks, sums)
        loop, rest = loops[0], loops[1:]
        # Rows of a packed operand for one iteration of this loop.
        after = prod(other.count if p.form == "pack" else 0 for other in rest)

        def inside(turn: Scalar, sums: Tile, masks: list[str | None] = masks) -> Tile:
            packed = f.add(at.packed, f.mul(turn, after))
            return self._sum(rest, self.moved(at, loop, turn)._replace(packed=packed), masks, sums)

        clip = p.clip(loop)
        if clip is not None and p.rows is not None and clip[0] == p.rows.number:
            return self._by_row(clip, loop, sums, inside)
        if clip is not None and clip[0] == self.columns.number:
            count = self.k.extent(loop.extent)
            return self.loop(0, count, 1, sums, lambda t, s: inside(t, s, self._by_column(clip, t, masks)))
        low, high = self._within_bounds(loop, *self.range_of(loop)) if self.bounds else self.range_of(loop)
        if not rest:
            return self._terms(loop, low, high, at, masks, sums)
        return self.loop(low, high, 1, sums, inside)

    def _within_bounds(self, loop: Loop, low: Scalar, high: Scalar) -> tuple[Scalar, Scalar]:
        """The range of terms that a tile needs, by the bounds that masks give; an empty one for a hidden tile."""
        f = self.k.function
        for p, q, offset, start, sign in self.bounds:
            if start is not None:
                first = self.k.as_position(self.k.value(start, ()), start.dtype)
                shift = f.add(f.mul(first, sign), offset)
            else:
                shift = offset
            if p == loop.number:
                high = f.maximum(low, f.minimum(high, f.add(f.add(self._ends(q)[1], shift), 1)))
            elif q == loop.number:
                low = f.minimum(high, f.maximum(low, f.sub(self._ends(p)[0], shift)))
            else:
                visible = f.op(f"icmp sle i64 {self._ends(p)[0]}, {f.add(self._ends(q)[1], shift)}")
                high = f.op(f"select i1 {visible}, i64 {high}, i64 {low}")
        return low, high

    def _ends(self, number: int) -> tuple[Scalar, Scalar]:
        """The first and the last position of the tile at hand in a loop of the result."""
        f, (height, vectors), rows = self.k.function, self.size, self.plan.rows
        if rows is not None and number == rows.number:
            assert self.first_row is not None
            return self.first_row, f.add(self.first_row, height - 1)
        if number == self.columns.number:
            return self.first_column, f.add(self.first_column, vectors * LANES - 1)
        return self.at[number], self.at[number]

    def _terms(self, loop: Loop, low: Scalar, high: Scalar, at: Place, masks: list[str | None], sums: Tile) -> Tile:
        """A range of the innermost loop."""
        rows, size = self.plan.rows, SIZE[self.node.dtype]
        # Elements of the next rows, a page apart for each term: the processor does not notice that they are in order.
        apart = rows is not None and rows.a == 1 and loop.a * size >= PAGE
        # Vectors of the next panel, whose rows are pages apart too, if a first-level cache keeps it until it is read.
        near = loop.count * len(masks) * LANES * size <= NEAR_PANEL
        beside = near and self.columns.b == 1 and self.packed is None and loop.b * size >= PAGE
        if apart or beside:
            self.k.module.declarations.add(PREFETCH)

        def one(turn: Scalar, sums: Tile, others: dict[int, str] | None = None) -> Tile:
            here = self.moved(at, loop, turn, 1)
            if apart:
                self.fetch(self.plan.a, self.k.function.add(here.a, LINE // size))
            for j in range(len(masks)) if beside else ():
                self.fetch(self.plan.b, self.k.function.add(here.b, (len(masks) + j) * LANES))
            return self._multiply(here, masks, sums, others)

        if self.lanewise:
            return self.by_parts(loop, low, high, at.a, sums, one)
        whole = self.size[0] and (low, high) == (0, loop.extent) and masks == [None] * self.across
        if self.task.ahead and whole and isinstance(high, int) and high >= 2 * AHEAD_TERMS:
            return self._with_slices(high, sums, one)
        return self.loop(low, high, 1, sums, one)

    def _with_slices(self, terms: int, sums: Tile, one: Callable[[Scalar, Tile], Tile]) -> Tile:
        """All terms of a tile, with prefetches of its part of the slices that other tasks of the steps use."""
        f, turns, wide = self.k.function, terms // AHEAD_TERMS, self.across * LANES
        panels = self.columns.count // wide

        def some(turn: Scalar, sums: Tile) -> Tile:
            panel, number = f.floor_divide(self.first_column, wide), f.floor_divide(turn, AHEAD_TERMS)
            self.prefetch_slices(self.first_row, self.size[0], f.add(f.mul(number, panels), panel), panels * turns)
            return self.loop(turn, f.add(turn, AHEAD_TERMS), 1, sums, one)

        end = turns * AHEAD_TERMS
        sums = self.loop(0, end, AHEAD_TERMS, sums, some)
        return sums if end == terms else self.loop(end, terms, 1, sums, one)

    def _by_row(self, clip: Clip, loop: Loop, sums: Tile, inside: Callable[[Scalar, Tile], Tile]) -> Tile:
        """An unrolled loop, each turn with the rows that read no padding in it; of many, those with all rows loop."""
        _, cp, _, cq, offset, extent = clip
        assert isinstance(loop.extent, int)
        first, reading = self.first_row, [list(sums)] * loop.extent
        if isinstance(first, int):
            places = [offset + cp * first + cq * turn for turn in range(loop.extent)]
            reading = [[i for i in sums if 0 <= place + cp * i < extent] for place in places]
        many = loop.extent > MAX_UNROLLED
        whole = [turn for turn, own in enumerate(reading) if many and len(own) == len(sums)]
        result = dict(sums)
        for turn, own in enumerate(reading):
            if whole and turn == whole[0]:
                result = self.loop(turn, whole[-1] + 1, 1, result, inside)
            elif own and turn not in whole:
                with scope(self.k):
                    result |= inside(turn, {i: result[i] for i in own})
        return result

    def _by_column(self, clip: Clip, turn: Scalar, masks: list[str | None]) -> list[str | None]:
        """For each vector, the columns that do not read padding in this iteration."""
        f, (_, cp, _, cq, offset, extent) = self.k.function, clip
        lanes = "<" + ", ".join(f"i64 {cp * i}" for i in range(LANES)) + ">"
        own: list[str | None] = []
        for j, mask in enumerate(masks):
            first = f.add(f.mul(f.add(self.first_column, j * LANES), cp), f.add(f.mul(turn, cq), offset))
            places = f.op(f"add {vector('i64')} {lanes}, {f.splat(str(first), 'i64')}")
            # As unsigned numbers, negative ones are the largest.
            within = f.op(f"icmp ult {vector('i64')} {places}, {f.splat(str(extent), 'i64')}")
            own.append(within if mask is None else f.op(f"and {vector('i1')} {within}, {mask}"))
        return own

    def _multiply(self, at: Place, masks: list[str | None], sums: Tile, others: dict[int, str] | None = None) -> Tile:
        """One term for each row, or one for each tap: vectors of one operand times each row's elements of the other.

        ``others`` are the factors of shared vectors, if they are loaded already.
        """
        k, taps = self.k, self.plan.taps
        turns, ahead, beyond = (taps.count, taps.a, taps.b) if taps is not None else (1, 0, 0)
        right = [self._right(at, turn * beyond, masks) for turn in range(turns)]
        users: dict[int, list[tuple[int, int]]] = {}  # by the element's offset
        for i, turn in product(sums, range(turns)):
            if taps is None or self._within(taps, i, turn):
                users.setdefault(self.row_at(i) + turn * ahead, []).append((i, turn))
        result = dict(sums)
        for place in sorted(users, reverse=ahead < 0):  # so that each row sums its terms in order
            left = self._left(at, users[place][0][0], place, masks)
            for i, turn in users[place]:
                own, shared = result[i][: len(masks)], result[i][len(masks) :]
                terms = zip(left, right[turn], own, strict=True)
                result[i] = [k.call("fma", self.type, x, y, total) for x, y, total in terms] + shared
        if self.leaders:
            y = self.right_shared(at, len(masks))
            for i in self.leaders:
                x = others[i] if others is not None else self.left_shared(at.a, i)
                result[i][-1] = k.call("fma", self.type, x, y, result[i][-1])
        return result

    def _right(self, at: Place, more: int, masks: list[str | None]) -> list[str]:
        """The vectors along the columns, from the operand or from its packed copy."""
        f, view, columns = self.k.function, self.plan.b, self.columns
        result = []
        for j, mask in enumerate(masks):
            if self.packed is None:
                result.append(self.load(view, at.b, more + j * LANES * columns.b, columns.b, mask))
                continue
            place = f.add(f.mul(at.packed, self.pitch), j * LANES)
            pointer = f.pointer(self.packed, place, self.element)
            result.append(f.op(f"load {self.type}, ptr {pointer}, align 64"))
        return result

    def _left(self, at: Place, i: int, more: int, masks: list[str | None]) -> list[str]:
        """The factors of row ``i``'s vectors, at the offset ``more``: one element for all of them, or vectors."""
        k, f, view, columns = self.k, self.k.function, self.plan.a, self.columns
        if columns.a:
            return [self.load(view, at.a, more + j * LANES * columns.a, columns.a, m) for j, m in enumerate(masks)]
        base = f.pointer(k.pointers[view.buffer], f.add(at.a, view.offset), self.element)
        return self.spread(f.pointer(base, more, self.element), masks)

    def spread(self, pointer: str, masks: list[str | None]) -> list[str]:
        """An element in all lanes of a row's vectors."""
        one = self.k.function.op(f"load {self.element}, ptr {pointer}, align {SIZE[self.node.dtype]}")
        return [self.k.function.splat(one, self.element)] * len(masks)

    def _within(self, taps: Loop, i: int, turn: int) -> bool:
        """Whether a row of the tile reads no padding in this iteration."""
        clip = self.plan.clip(taps)
        if clip is None or not isinstance(self.first_row, int):
            return True
        _, cp, _, cq, offset, extent = clip
        return 0 <= cp * (self.first_row + i) + cq * turn + offset < extent
