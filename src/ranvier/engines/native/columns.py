"""Contractions whose vectors run along the result's columns: a register tile of rows by vectors, the sum innermost,
what follows fused into the store.

Every element of the result is the sum over the reduction loops in order, one fused multiply-add a term, from 0: tiles
and vectors decide when that happens, never what is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

from ranvier.engines.native.edges import Clip
from ranvier.engines.native.emit import LANES, SIZE, Function, Scalar, tail_mask, vector
from ranvier.engines.native.index import At, Value
from ranvier.engines.native.nest import Loop, tile
from ranvier.engines.native.nested import Nested
from ranvier.engines.native.view import size
from ranvier.engines.native.walk import along, finish, masked, scope
from ranvier.graph.node import Symbol

Tile = dict[int, list[str]]  # the running sums of a tile: for each of its rows, those of its vectors
LONG = 64  # terms of a sum that take so long to add up that memory can answer meanwhile
AFAR = 1 << 20  # bytes: larger values have left the second-level cache before they are needed again
UNROLLED = 6  # an epilogue of more nodes than this is a loop over the tile, not written out for each vector


class Columns(Nested):
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
            full = (high - low) // wide * wide
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
        if p.form == "pack":
            self._pack(b, vectors, mask)
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
        self._fetch_ahead(row, height, start, vectors)
        first = {i: [self._start(row, i, start, j, m) for j, m in enumerate(masks)] for i in range(height)}
        self.first_row = row
        sums = self._sum(list(self.plan.reduce), a, b, masks, first, 0)
        self._epilogue([sums[i] for i in range(height)], row, start, masks)

    def _fetch_ahead(self, row: Scalar | None, height: int, start: Scalar, vectors: int) -> None:
        """Have the processor fetch what the epilogue will read of values that no cache holds, while the sum is made."""
        module, task = self.k.module, self.task
        if self.plan.terms < LONG:
            return
        stored = {view.buffer for _, view in task.stores}
        read = [n for n in task.reads if n.shape == task.space and n not in self.node.inputs]
        for view in filter(None, map(module.view, read)):
            large = size(view.shape, module.batch) * SIZE[view.buffer.dtype] > AFAR
            if not large or view.buffer in stored or view.buffer in module.near:
                continue
            for i, j in product(range(height), range(vectors)):
                self._stand(row, i, start, j)
                self.k.prefetch(view, self.index())

    def _start(self, row: Scalar | None, i: int, start: Scalar, j: int, mask: str | None) -> str:
        """What the sum of a vector of the tile begins with."""
        if not self.task.adds:
            return "zeroinitializer"
        self._stand(row, i, start, j)
        with masked(self.k, mask):
            return self.k.widen(self.k.load(self.stored, self.index()), self.element)

    def _stand(self, row: Scalar | None, i: Scalar, start: Scalar, j: int) -> None:
        """Fix the result's index at a vector of the tile."""
        f, columns, rows = self.k.function, self.plan.columns, self.plan.rows
        assert columns is not None
        assert columns.output is not None
        self.fixed[columns.output] = At(f.add(start, j * LANES), 1)
        beside = self.plan.beside
        if beside is not None and rows is not None and isinstance(i, int):
            self.fixed[beside.output or 0], i = At(i // rows.count), i % rows.count
        if rows is not None and rows.output is not None and row is not None:
            self.fixed[rows.output] = At(f.add(row, i))

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
        flat = [s for line in sums.values() for s in line]
        with f.loop(low, high, carry=[(self.type, s) for s in flat]) as turn, scope(self.k):
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

    def _multiply(self, a: Scalar, b: Scalar, masks: list[str | None], sums: Tile, packed: Scalar) -> Tile:
        """One term for each row, or one for each of the taps: the vectors of one operand, by what each row has of the
        other.
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
                terms = zip(left, right[turn], result[i], strict=True)
                result[i] = [k.call("fma", self.type, x, y, total) for x, y, total in terms]
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
            place = f.add(f.mul(packed, len(masks) * LANES), j * LANES)
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

    def _epilogue(
        self, sums: list[list[str]], row: Scalar | None, start: Scalar, masks: list[str | None]
    ) -> None:
        k, f = self.k, self.k.function
        height, vectors = len(sums), len(masks)

        def place(i: Scalar, j: int, value: str) -> None:
            self._stand(row, i, start, j)
            with masked(k, masks[j]), scope(k):
                k.remember(self.made, self.index(), Value(value, True))
                finish(k, self.task, self.index())

        if height * vectors == 1 or len(self.task.members) <= UNROLLED:
            for i in range(height):
                for j in range(vectors):
                    place(i, j, sums[i][j])
            return
        # A long epilogue: the tile goes to the stack once, and a loop over its rows takes it from there.
        with f.at_entry():
            area = f.op(f"alloca [{height * vectors * LANES} x {self.element}], align 64")
        for i in range(height):
            for j in range(vectors):
                spot = f.pointer(area, (i * vectors + j) * LANES, self.element)
                f.emit(f"store {self.type} {sums[i][j]}, ptr {spot}, align 64")
        if height == 1:
            for j in range(vectors):
                place(0, j, sums[0][j])
            return
        with f.loop(0, height) as turn, scope(k):
            for j in range(vectors):
                spot = f.pointer(area, f.add(f.mul(turn.index, vectors * LANES), j * LANES), self.element)
                place(turn.index, j, f.op(f"load {self.type}, ptr {spot}, align 64"))

    # --- an operand laid out anew ----------------------------------------------------------------------------------

    def _pack(self, b: Scalar, vectors: int, mask: str | None) -> None:
        """Copy the panel of the operand whose columns are not adjacent into rows of adjacent ones, 16 by 16."""
        k, f, p = self.k, self.k.function, self.plan
        columns = p.columns
        assert columns is not None
        depth = 1
        for loop in p.reduce:
            depth *= loop.count
        wide = vectors * LANES
        self.packed = k.workspace(depth * wide * SIZE[self.node.dtype])
        size, kind = SIZE[self.node.dtype], self.element

        def rows(loops: list[Loop], offset: Scalar, place: Scalar) -> None:
            if len(loops) > 1:
                after = 1
                for other in loops[1:]:
                    after *= other.count
                with f.loop(0, loops[0].count) as turn, scope(k):
                    rows(
                        loops[1:],
                        f.add(offset, f.mul(turn.index, loops[0].b)),
                        f.add(place, f.mul(turn.index, after)),
                    )
                return
            loop = loops[0]
            blocks = loop.count // LANES * LANES if loop.b == 1 else 0

            def block(at: Scalar, j: int, count: int) -> None:
                lines = []
                for i in range(LANES):
                    if i >= count:
                        lines.append("zeroinitializer")
                        continue
                    source = f.add(f.add(offset, at), p.b.offset + (j * LANES + i) * columns.b)
                    pointer = f.pointer(k.pointers[p.b.buffer], source, kind)
                    lines.append(f.op(f"load {self.type}, ptr {pointer}, align {size}"))
                for i, line in enumerate(transpose(f, lines, kind)):
                    target = f.add(f.mul(f.add(f.add(place, at), i), wide), j * LANES)
                    f.emit(
                        f"store {self.type} {line}, ptr {f.pointer(self.packed or '', target, kind)}, align 64"
                    )

            used = [LANES] * (vectors - 1) + [self._last_count(mask)]
            if blocks:
                with f.loop(0, blocks, LANES) as turn, scope(k):
                    for j in range(vectors):
                        block(turn.index, j, used[j])
            if loop.count > blocks:
                with f.loop(blocks, loop.count) as turn, scope(k):
                    for j in range(vectors):
                        line = self.load(
                            p.b,
                            f.add(offset, f.mul(turn.index, loop.b)),
                            j * LANES * columns.b,
                            columns.b,
                            mask if j == vectors - 1 else None,
                        )
                        target = f.add(f.mul(f.add(place, turn.index), wide), j * LANES)
                        f.emit(
                            f"store {self.type} {line}, ptr {f.pointer(self.packed or '', target, kind)}, align 64"
                        )

        rows(list(p.reduce), b, 0)

    def _last_count(self, mask: str | None) -> int:
        assert self.plan.columns is not None
        return LANES if mask is None else self.plan.columns.count % LANES


def _rows_of(sums: Tile, flat: list[str]) -> Tile:
    """Values listed one after another, as rows like those of ``sums``."""
    values = iter(flat)
    return {i: [next(values) for _ in line] for i, line in sums.items()}


def transpose(f: Function, lines: Sequence[str], element: str) -> list[str]:
    """A 16 by 16 block with rows and columns exchanged: four rounds of pairwise interleaving."""
    type_ = vector(element)
    current = list(lines)
    low = ", ".join(f"i32 {i // 2 + (LANES if i % 2 else 0)}" for i in range(LANES))
    high = ", ".join(f"i32 {LANES // 2 + i // 2 + (LANES if i % 2 else 0)}" for i in range(LANES))
    for _ in range(4):
        following = [""] * LANES
        for i in range(LANES // 2):
            x, y = current[i], current[i + LANES // 2]
            following[2 * i] = f.op(f"shufflevector {type_} {x}, {type_} {y}, <{LANES} x i32> <{low}>")
            following[2 * i + 1] = f.op(f"shufflevector {type_} {x}, {type_} {y}, <{LANES} x i32> <{high}>")
        current = following
    return current
