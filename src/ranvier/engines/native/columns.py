"""Contractions whose vectors run along the result's columns: a register tile of rows by vectors, the sum innermost,
what follows fused into the store.

Every element of the result is the sum over the reduction loops in order, one fused multiply-add a term, from 0: tiles
and vectors decide when that happens, never what is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from ranvier.engines.native.edges import Clip
from ranvier.engines.native.emit import LANES, SIZE, Scalar, tail_mask, vector
from ranvier.engines.native.index import At
from ranvier.engines.native.lanes import join, part, repeat, spread, stretch
from ranvier.engines.native.nest import Loop, fold, tile
from ranvier.engines.native.panel import lay_out
from ranvier.engines.native.tiles import Tiled
from ranvier.engines.native.walk import along, scope
from ranvier.graph.node import Symbol

# The running sums of a tile: for each of its rows, those of its vectors. Of rows that share a vector for the columns
# left over, the first has it, behind its own.
Tile = dict[int, list[str]]


class Columns(Tiled):
    """Writes one such kernel."""

    def write(self) -> None:
        self.around(list(self.plan.outer), self._panels)

    def _panels(self, a: Scalar, b: Scalar) -> None:
        """Panels of columns, as wide as the tile; within each, tiles of rows."""
        p, f = self.plan, self.k.function
        columns = p.columns
        assert columns is not None
        assert columns.output is not None
        height, across = tile(self.target, p, self.node.dtype, self.batch)
        self.sharing = 1  # rows that share a vector of the columns left over
        low, high = self.range_of(columns)
        wide = across * LANES

        def panel(start: Scalar, vectors: int, mask: str | None) -> None:
            self.fixed[columns.output] = At(start, 1)  # type: ignore[index]  # checked above
            self._rows(
                f.add(a, f.mul(start, columns.a)),
                f.add(b, f.mul(start, columns.b)),
                start,
                vectors,
                mask,
                height,
            )

        if isinstance(low, int) and isinstance(high, int):
            full, self.sharing = (high - low) // wide * wide, fold(p)
            if self.sharing > 1 and high - low - full < LANES:
                full -= wide  # what is left over goes with whole vectors, whose sums it is made beside
            if full == wide:
                panel(low, across, None)
            elif full:
                with f.loop(low, low + full, wide) as turn, scope(self.k):
                    panel(turn.index, across, None)
            rest = high - low - full
            if rest:
                with scope(self.k):
                    panel(low + full, -(-rest // LANES), tail_mask(rest % LANES) if rest % LANES else None)
            return

        def one(at: At) -> None:
            panel(at.base, 1, self.k.mask)

        wide_high = f.add(low, f.mul(f.floor_divide(f.sub(high, low), wide), wide))
        if across > 1:
            with f.loop(low, wide_high, wide) as turn, scope(self.k):
                panel(turn.index, across, None)
            low = wide_high
        along(self.k, low, high, one)

    def _rows(self, a: Scalar, b: Scalar, start: Scalar, vectors: int, mask: str | None, height: int) -> None:
        """Tiles of ``height`` rows, then what rows are left over."""
        p, f = self.plan, self.k.function
        rows = p.rows
        self.packed: str | None = None
        self.pitch = vectors * LANES  # of the rows of an operand that is laid out anew
        if p.form == "pack":
            self.packed = lay_out(self, b, vectors, mask)
        if rows is None:
            self._tile(a, b, None, 1, start, vectors, mask)
            return
        assert rows.output is not None
        low, high = self.range_of(rows)

        def at(row: Scalar, count: int) -> None:
            self._tile(f.add(a, f.mul(row, rows.a)), b, row, count, start, vectors, mask)

        if p.beside is not None:
            at(0, height)
            return
        if any(clip[0] == rows.number for clip in p.clips):
            # Which terms a row of the tile has is written out, so the tiles are.
            assert isinstance(rows.extent, int)
            for row in range(0, rows.extent, height):
                with scope(self.k):
                    at(row, min(height, rows.extent - row))
            return

        if height == 1:
            with f.loop(low, high) as turn, scope(self.k):
                at(turn.index, 1)
            return
        if isinstance(low, int) and isinstance(high, int):
            full = low + (high - low) // height * height
            if full > low:
                with f.loop(low, full, height) as turn, scope(self.k):
                    at(turn.index, height)
            if high > full:
                with scope(self.k):
                    at(full, high - full)
            return
        full_rows = f.add(low, f.mul(f.floor_divide(f.sub(high, low), height), height))
        with f.loop(low, full_rows, height) as turn, scope(self.k):
            at(turn.index, height)
        if isinstance(rows.extent, Symbol) or rows.extent % height:
            left = f.sub(high, full_rows)
            while height > 1:  # ever lower tiles: rows one by one would wait for their own last multiply-add
                height = -(-height // 2)
                fits = f.op(f"icmp sge i64 {left}, {height}")
                with f.when(fits), scope(self.k):
                    at(f.sub(high, left), height)
                left = f.sub(left, f.op(f"select i1 {fits}, i64 {height}, i64 0"))

    def _tile(
        self,
        a: Scalar,
        b: Scalar,
        row: Scalar | None,
        height: int,
        start: Scalar,
        vectors: int,
        mask: str | None,
    ) -> None:
        """One tile: the sum in registers, then the epilogue and the stores."""
        masks = [None] * (vectors - 1) + [mask]
        self.fetch_ahead(row, height, start, vectors)
        first = {i: [self.start(row, i, start, j, m) for j, m in enumerate(masks)] for i in range(height)}
        self.first_row = row
        shared = mask is not None and self.sharing > 1 and height % self.sharing == 0
        self.leaders = range(0, height, self.sharing) if shared else range(0)
        self._share(first)
        sums = self._sum(list(self.plan.reduce), a, b, masks[:-1] if shared else masks, first, 0)
        self._part(sums)
        self.epilogue([sums[i] for i in range(height)], row, start, masks)

    def _sum(
        self, loops: list[Loop], a: Scalar, b: Scalar, masks: list[str | None], sums: Tile, packed: Scalar
    ) -> Tile:
        """The reduction loops, the accumulators of the tile's rows carried through them."""
        f, p = self.k.function, self.plan
        if not loops:
            return self._multiply(a, b, masks, sums, packed)
        loop, rest = loops[0], loops[1:]
        after = 1  # rows of a packed operand that one turn of this loop passes
        for other in rest:
            after *= other.count if p.form == "pack" else 0

        def inside(turn: Scalar, sums: Tile) -> Tile:
            depth = f.add(packed, f.mul(turn, after))
            return self._sum(
                rest, f.add(a, f.mul(turn, loop.a)), f.add(b, f.mul(turn, loop.b)), masks, sums, depth
            )

        clip = p.clip(loop)
        if clip is not None and p.rows is not None and clip[0] == p.rows.number:
            return self._by_row(clip, loop, sums, inside)
        low, high = self.range_of(loop)
        if not rest and self.leaders and p.rows is not None and p.rows.a != 1:
            return self._by_parts(loop, a, b, masks, sums, packed)
        return self._loop(low, high, 1, sums, inside)

    def _loop(
        self, low: Scalar, high: Scalar, step: int, sums: Tile, inside: Callable[[Scalar, Tile], Tile]
    ) -> Tile:
        """A loop that carries the tile's sums."""
        flat = [(self.type, s) for line in sums.values() for s in line]
        with self.k.function.loop(low, high, step, carry=flat) as turn, scope(self.k):
            result = inside(turn.index, _rows_of(sums, turn.values))
            turn.next = [s for line in result.values() for s in line]
        return _rows_of(sums, turn.results)

    def _by_row(self, clip: Clip, loop: Loop, sums: Tile, inside: Callable[[Scalar, Tile], Tile]) -> Tile:
        """A loop written out, each turn with the rows alone that do not read padding in it."""
        _, cp, _, cq, offset, extent = clip
        assert isinstance(loop.extent, int)
        assert isinstance(self.first_row, int)
        result = dict(sums)
        for turn in range(loop.extent):
            places = {i: cp * (self.first_row + i) + cq * turn + offset for i in sums}
            reading = {i: result[i] for i, place in places.items() if 0 <= place < extent}
            if reading:
                with scope(self.k):
                    result |= inside(turn, reading)
        return result

    def _multiply(
        self,
        a: Scalar,
        b: Scalar,
        masks: list[str | None],
        sums: Tile,
        packed: Scalar,
        others: dict[int, str] | None = None,
    ) -> Tile:
        """One term for each row, or one for each of the taps: the vectors of one operand, by what each row has of the
        other. ``others`` are what shared vectors are multiplied with, where it is at hand.
        """
        k, taps = self.k, self.plan.taps
        turns, ahead, beyond = (taps.count, taps.a, taps.b) if taps is not None else (1, 0, 0)
        right = [self._right(b, turn * beyond, masks, packed) for turn in range(turns)]
        meetings: dict[int, list[tuple[int, int]]] = {}  # by how far an element lies from the first
        for i, turn in product(sums, range(turns)):
            if taps is None or self._within(taps, i, turn):
                meetings.setdefault(self._row_at(i) + turn * ahead, []).append((i, turn))
        result = dict(sums)
        for place in sorted(meetings, reverse=ahead < 0):  # so that each row has its terms in order
            left = self._left(a, place, masks)
            for i, turn in meetings[place]:
                own, shared = result[i][: len(masks)], result[i][len(masks) :]
                terms = zip(left, right[turn], own, strict=True)
                result[i] = [k.call("fma", self.type, x, y, total) for x, y, total in terms] + shared
        if self.leaders:
            y = self._right_shared(b, len(masks), packed)
            for i in self.leaders:
                x = others[i] if others is not None else self._left_shared(a, i)
                result[i][-1] = k.call("fma", self.type, x, y, result[i][-1])
        return result

    def _right(self, b: Scalar, more: int, masks: list[str | None], packed: Scalar) -> list[str]:
        """The vectors along the columns, from where they lie or from where they were laid out anew."""
        f, view, columns = self.k.function, self.plan.b, self.plan.columns
        assert columns is not None
        result = []
        for j, mask in enumerate(masks):
            if self.packed is None:
                result.append(self.load(view, b, more + j * LANES * columns.b, columns.b, mask))
                continue
            place = f.add(f.mul(packed, self.pitch), j * LANES)
            pointer = f.pointer(self.packed, place, self.element)
            result.append(f.op(f"load {self.type}, ptr {pointer}, align 64"))
        return result

    def _left(self, a: Scalar, more: int, masks: list[str | None]) -> list[str]:
        """What the vectors of a row are multiplied with: one element spread over them all, or elements of their own."""
        k, f, (view, columns) = self.k, self.k.function, (self.plan.a, self.plan.columns)
        assert columns is not None
        if columns.a:
            return [
                self.load(view, a, more + j * LANES * columns.a, columns.a, m) for j, m in enumerate(masks)
            ]
        base = f.pointer(k.pointers[view.buffer], f.add(a, view.offset), self.element)
        size = SIZE[self.node.dtype]
        one = f.op(f"load {self.element}, ptr {f.pointer(base, more, self.element)}, align {size}")
        return [f.splat(one, self.element)] * len(masks)

    def _within(self, taps: Loop, i: int, turn: int) -> bool:
        """Whether a row of the tile reads no padding in this turn."""
        clip = self.plan.clip(taps)
        if clip is None:
            return True
        _, cp, _, cq, offset, extent = clip
        assert isinstance(self.first_row, int)
        return 0 <= cp * (self.first_row + i) + cq * turn + offset < extent

    def _row_at(self, i: int) -> int:
        """How far from the tile's first row its row ``i`` lies in the operand."""
        rows, beside = self.plan.rows, self.plan.beside
        if rows is None:
            return 0
        return i * rows.a if beside is None else i // rows.count * beside.a + i % rows.count * rows.a

    # --- columns left over, in vectors that several rows share -----------------------------------------------------

    @property
    def _lanes(self) -> int:
        """Of a shared vector, those of one row."""
        return LANES // self.sharing

    def _share(self, sums: Tile) -> None:
        """Make of the rows' last vectors such as they share."""
        f, size = self.k.function, self._lanes
        for i in self.leaders:
            lines = [sums[i + n].pop() for n in range(self.sharing)]
            parts = [f.first_lanes(line, self.type, size) for line in lines]
            sums[i].append(join(f, parts, size, self.element))

    def _part(self, sums: Tile) -> None:
        """Give each row its part of the vectors that they shared."""
        for i in self.leaders:
            whole = sums[i].pop()
            for n in range(self.sharing):
                sums[i + n].append(part(self.k.function, whole, n, self._lanes, self.element))

    def _by_parts(
        self, loop: Loop, a: Scalar, b: Scalar, masks: list[str | None], sums: Tile, packed: Scalar
    ) -> Tile:
        """The innermost loop, several turns at a time: one load of a row serves all of them."""
        f, size = self.k.function, self._lanes
        low, high = self.range_of(loop)
        count = f.sub(high, low)
        some = count // size * size if isinstance(count, int) else f.op(f"and i64 {count}, -{size}")

        def one(at: Scalar, sums: Tile, others: dict[int, str] | None = None) -> Tile:
            here = f.add(a, f.mul(at, loop.a)), f.add(b, f.mul(at, loop.b)), masks, sums, f.add(packed, at)
            return self._multiply(*here, others)

        def several(at: Scalar, sums: Tile) -> Tile:
            start = f.add(a, f.mul(at, loop.a))
            wholes = {i: join(f, self._lines(start, i, size), size, self.element) for i in self.leaders}
            for n in range(size):
                others = {i: spread(f, line, size, n, self.element) for i, line in wholes.items()}
                sums = one(f.add(at, n), sums, others)
            return sums

        whole = f.add(low, some)
        if some != 0:
            sums = self._loop(low, whole, size, sums, several)
        return sums if some == count else self._loop(whole, high, 1, sums, one)

    def _lines(self, a: Scalar, leader: int, count: int) -> list[str]:
        """So many terms of each of the rows that share a vector."""
        return [self._some(a, self._row_at(leader + n), count) for n in range(self.sharing)]

    def _left_shared(self, a: Scalar, leader: int) -> str:
        """What a shared vector is multiplied with: of each of its rows one element."""
        f, rows = self.k.function, self.plan.rows
        if rows is not None and rows.a == 1:
            ones = self._some(a, self._row_at(leader), self.sharing)
        else:
            ones = join(f, self._lines(a, leader, 1), 1, self.element)
        return stretch(f, ones, self.sharing, self.element)

    def _some(self, a: Scalar, more: int, count: int) -> str:
        """Elements of the first operand, one after the other."""
        f, view = self.k.function, self.plan.a
        pointer = f.pointer(self.k.pointers[view.buffer], f.add(a, view.offset + more), self.element)
        return f.op(f"load {vector(self.element, count)}, ptr {pointer}, align {SIZE[self.node.dtype]}")

    def _right_shared(self, b: Scalar, j: int, packed: Scalar) -> str:
        """The columns left over, once for each row; ``j`` is the number of their vector."""
        f, columns, view = self.k.function, self.plan.columns, self.plan.b
        assert columns is not None
        left = columns.count % LANES
        if self.packed is not None:
            base, offset = self.packed, f.add(f.mul(packed, self.pitch), j * LANES)
        elif columns.b == 1 and left == self._lanes:
            base, offset = self.k.pointers[view.buffer], f.add(b, view.offset + j * LANES)
        else:
            line = self.load(view, b, j * LANES * columns.b, columns.b, tail_mask(left))
            return repeat(f, line, LANES, self._lanes, self.element)
        pointer, size = f.pointer(base, offset, self.element), SIZE[self.node.dtype]
        some = f.op(f"load {vector(self.element, self._lanes)}, ptr {pointer}, align {size}")
        return repeat(f, some, self._lanes, self._lanes, self.element)


def _rows_of(sums: Tile, flat: list[str]) -> Tile:
    """Values listed one after another, as rows like those of ``sums``."""
    values = iter(flat)
    return {i: [next(values) for _ in line] for i, line in sums.items()}
