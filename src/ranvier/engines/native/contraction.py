"""The kernel of a contraction: a register tile of rows by vector columns, the sum innermost, what follows fused into
the store.

`nest.py` says which loop plays which part. Every element of the result is the sum over the reduction loops in order,
one fused multiply-add a term, from 0: tiles and vectors decide when that happens, never what is computed. Where
instead lanes run along a reduction (a dot product), its order is that of 16 lanes and a fixed tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product

from ranvier.engines.native.edges import Clip
from ranvier.engines.native.emit import ELEMENT, LANES, SIZE, Function, Scalar, literal, tail_mask, vector
from ranvier.engines.native.llvm import Target
from ranvier.engines.native.nest import Loop, plan, room, tile
from ranvier.engines.native.reductions import tree
from ranvier.engines.native.task import Task
from ranvier.engines.native.values import At, Index, Kernel, Value
from ranvier.engines.native.view import View
from ranvier.engines.native.walk import along, dynamic_mask, finish, masked, scope, shared
from ranvier.graph.node import BATCH, Symbol

Tile = dict[int, list[str]]  # the running sums of a tile: for each of its rows, those of its vectors
UNROLLED = 6  # an epilogue of more nodes than this is a loop over the tile, not written out for each vector


class Writer:
    """Writes one contraction's kernel."""

    def __init__(self, k: Kernel, task: Task, target: Target, batch: int) -> None:
        assert task.anchor is not None
        self.batch = batch
        self.k, self.task, self.made = k, task, task.anchor
        # A worker's part of a sum over the samples lies in the worker's row of the result.
        self.prefix: Index = (At("%worker"),) if task.kind == "partial" else ()
        node = self.node = task.anchor.attrs["inner"] if self.prefix else task.anchor
        views = [view for i in node.inputs if (view := k.module.view(i)) is not None]
        self.stored = next(v for n, v in task.stores if n.shape == task.space)
        strides = self.stored.strides[len(self.prefix) :]
        self.plan = plan(node, views, strides, lambda columns: self._most_rows(target, columns))
        self.element = ELEMENT[node.dtype]
        self.type = vector(self.element)
        self.target = target
        self.fixed: dict[int, At] = {}
        self.at: dict[int, Scalar] = {}  # where loops stand that others' bounds depend on

    def _most_rows(self, target: Target, columns: Loop) -> int:
        """The rows of a tile that may belong to several loops: none where threads share them or an epilogue runs."""
        return room(target, columns, self.node.dtype)[0] if self.prefix else 0

    def index(self) -> Index:
        """The result's index, from the loops that stand fixed."""
        return (*self.prefix, *(self.fixed[i] for i in range(len(self.task.space) - len(self.prefix))))

    def write(self) -> None:
        p = self.plan
        if p.form == "dot":
            self._dots()
        else:
            self._outer(list(p.outer), self._panels)

    def range_of(self, loop: Loop) -> tuple[Scalar, Scalar]:
        clip = self.plan.clip(loop)
        if clip is not None:
            return self._bounds(clip, self.at[clip[0]], loop)
        if self.prefix:
            return ("%lo", "%hi") if loop.extent == BATCH else (0, self.k.extent(loop.extent))
        if loop.output == 0:
            return shared(self.k, self.task)
        return 0, self.k.extent(loop.extent)

    def _bounds(self, clip: Clip, at: Scalar, loop: Loop) -> tuple[Scalar, Scalar]:
        """The places of a loop at which the operand is not in its padding, while the loop outside stands at ``at``."""
        f, (_, cp, _, cq, offset, extent) = self.k.function, clip
        assert isinstance(loop.extent, int)
        start = f.add(f.mul(at, cp), offset)
        if cq > 0:
            return f.maximum(f.sub(0, start), 0), f.minimum(f.sub(extent, start), loop.extent)
        return f.maximum(f.sub(start, extent - 1), 0), f.minimum(f.add(start, 1), loop.extent)

    def _outer(
        self, loops: list[Loop], body: Callable[[Scalar, Scalar], None], a: Scalar = 0, b: Scalar = 0
    ) -> None:
        """Loops around the tile, carrying the operands' offsets."""
        if not loops:
            body(a, b)
            return
        f, loop = self.k.function, loops[0]
        low, high = self.range_of(loop)
        with f.loop(low, high) as turn, scope(self.k):
            assert loop.output is not None
            self.fixed[loop.output] = At(turn.index)
            self.at[loop.number] = turn.index
            self._outer(
                loops[1:], body, f.add(a, f.mul(turn.index, loop.a)), f.add(b, f.mul(turn.index, loop.b))
            )

    # --- vectors along the result's columns ------------------------------------------------------------------------

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
            with f.loop(full_rows, high) as turn, scope(self.k):
                at(turn.index, 1)

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
        first = {i: [self._start(row, i, start, j, m) for j, m in enumerate(masks)] for i in range(height)}
        self.first_row = row
        sums = self._sum(list(self.plan.reduce), a, b, masks, first, 0)
        self._epilogue([sums[i] for i in range(height)], row, start, masks)

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
        """One term: load the vectors of one operand, spread an element of the other over each row."""
        k, f, p = self.k, self.k.function, self.plan
        kind = self.element
        columns = p.columns
        assert columns is not None
        right = []
        for j, mask in enumerate(masks):
            if self.packed is not None:
                place = f.add(f.mul(packed, len(masks) * LANES), j * LANES)
                right.append(f.op(f"load {self.type}, ptr {f.pointer(self.packed, place, kind)}, align 64"))
                continue
            right.append(self._load(p.b, b, j * LANES * columns.b, columns.b, mask))
        base = f.pointer(k.pointers[p.a.buffer], f.add(a, p.a.offset), kind)
        result = {}
        for i, line in sums.items():
            if columns.a:
                left = [
                    self._load(p.a, a, self._row_at(i) + j * LANES * columns.a, columns.a, m)
                    for j, m in enumerate(masks)
                ]
            else:
                size = SIZE[self.node.dtype]
                one = f.op(f"load {kind}, ptr {f.pointer(base, self._row_at(i), kind)}, align {size}")
                left = [f.splat(one, kind)] * len(masks)
            result[i] = [k.call("fma", self.type, x, y, s) for x, y, s in zip(left, right, line, strict=True)]
        return result

    def _row_at(self, i: int) -> int:
        """How far from the tile's first row its row ``i`` lies in the operand."""
        rows, beside = self.plan.rows, self.plan.beside
        if rows is None:
            return 0
        return i * rows.a if beside is None else i // rows.count * beside.a + i % rows.count * rows.a

    def _load(self, view: View, offset: Scalar, more: int, stride: int, mask: str | None) -> str:
        """16 elements ``stride`` apart."""
        k = self.k
        flat = View(view.buffer, (), (1,), view.offset + more)
        with masked(k, mask):
            value = k.load(flat, (At(offset, stride),))
        return k.widen(value, self.element)

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
                        line = self._load(
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

    # --- vectors along the reduction -------------------------------------------------------------------------------

    def _dots(self) -> None:
        """Elements of the result by blocks of two loops, each of which moves one operand alone; the rest one by one."""
        p = self.plan
        i = next((loop for loop in p.outer if loop.a and not loop.b and isinstance(loop.extent, int)), None)
        j = next((loop for loop in p.outer if loop.b and not loop.a and isinstance(loop.extent, int)), None)
        rest = [loop for loop in p.outer if loop not in (i, j)]
        high, wide = self._block(i, j)

        def block(a: Scalar, b: Scalar) -> None:
            f = self.k.function
            with self._steps(i, high) as at_i, self._steps(j, wide) as at_j:
                a_at = f.add(a, f.mul(at_i, i.a if i is not None else 0))
                b_at = f.add(b, f.mul(at_j, j.b if j is not None else 0))
                self._dot(a_at, b_at, i, j, at_i, at_j, high, wide)

        self._outer(rest, block)

    def _block(self, i: Loop | None, j: Loop | None) -> tuple[int, int]:
        """The block's sides: divisors of the extents, with as many sums as fit in the registers."""
        width = -(-LANES * SIZE[self.node.dtype] // self.target.vector_bytes)
        room = self.target.vector_registers // width

        def sides(loop: Loop | None) -> list[int]:
            if loop is None or (loop.output == 0 and not self.prefix and self.task.share == "split"):
                return [1]
            return [n for n in range(1, 9) if loop.count % n == 0]

        fitting = [(m, n) for m in sides(i) for n in sides(j) if m * n + min(m, n) + 1 <= room or m * n == 1]
        return max(fitting, key=lambda s: (s[0] * s[1] / (s[0] + s[1]), s))

    @contextmanager
    def _steps(self, loop: Loop | None, step: int) -> Iterator[Scalar]:
        if loop is None:
            yield 0
            return
        with self.k.function.loop(*self.range_of(loop), step) as turn, scope(self.k):
            yield turn.index

    def _dot(
        self,
        a: Scalar,
        b: Scalar,
        i: Loop | None,
        j: Loop | None,
        at_i: Scalar,
        at_j: Scalar,
        high: int,
        wide: int,
    ) -> None:
        """One block: 16 running sums along the last reduction loop for each element, then the tree for each."""
        k, f, p = self.k, self.k.function, self.plan
        spread_a = [0 if i is None else n * i.a for n in range(high)]
        spread_b = [0 if j is None else n * j.b for n in range(wide)]

        def term(
            loop: Loop, at: Scalar, a: Scalar, b: Scalar, totals: list[str], mask: str | None
        ) -> list[str]:
            xs = [self._load(p.a, f.add(a, f.mul(at, loop.a)), more, loop.a, mask) for more in spread_a]
            ys = [self._load(p.b, f.add(b, f.mul(at, loop.b)), more, loop.b, mask) for more in spread_b]
            # Lanes out of use hold zeros in both operands, unless an operand stands still along the loop.
            sums = [
                k.call("fma", self.type, x, y, t) for (x, y), t in zip(product(xs, ys), totals, strict=True)
            ]
            if mask is None or (loop.a and loop.b):
                return sums
            keep = f"select {vector('i1')} {mask}, {self.type}"
            return [f.op(f"{keep} {s}, {self.type} {t}") for s, t in zip(sums, totals, strict=True)]

        def level(rest: list[Loop], a: Scalar, b: Scalar, totals: list[str]) -> list[str]:
            loop = rest[0]
            low, end = self.range_of(loop)
            if len(rest) > 1:
                with f.loop(low, end, carry=[(self.type, t) for t in totals]) as turn, scope(k):
                    a_at, b_at = f.add(a, f.mul(turn.index, loop.a)), f.add(b, f.mul(turn.index, loop.b))
                    turn.next = level(rest[1:], a_at, b_at, turn.values)
                return turn.results
            extent = f.sub(end, low)
            whole: Scalar = (
                extent // LANES * LANES if isinstance(extent, int) else f.op(f"and i64 {extent}, -{LANES}")
            )
            full = f.add(low, whole)
            if whole != 0:
                with f.loop(low, full, LANES, carry=[(self.type, t) for t in totals]) as turn, scope(k):
                    turn.next = term(loop, turn.index, a, b, turn.values, None)
                totals = turn.results
            if whole == extent:
                return totals
            left = f.sub(end, full)
            mask = tail_mask(left) if isinstance(left, int) else dynamic_mask(k, left)
            return term(loop, full, a, b, totals, mask)

        if p.reduce:
            totals = level(list(p.reduce), a, b, ["zeroinitializer"] * (high * wide))
            values = [
                tree(k, t, self.element, lambda type_, x, y: f.op(f"fadd {type_} {x}, {y}")) for t in totals
            ]
        else:
            xs = [k.load(View(p.a.buffer, (), (1,), p.a.offset + m), (At(a),)).name for m in spread_a]
            ys = [k.load(View(p.b.buffer, (), (1,), p.b.offset + m), (At(b),)).name for m in spread_b]
            values = [k.call("fma", self.element, x, y, literal(0, self.element)) for x, y in product(xs, ys)]
        for (m, n), value in zip(product(range(high), range(wide)), values, strict=True):
            for loop, at, more in ((i, at_i, m), (j, at_j, n)):
                if loop is not None and loop.output is not None:
                    self.fixed[loop.output] = At(f.add(at, more))
            with scope(k):
                if self.task.adds:
                    value = f.op(f"fadd {self.element} {k.load(self.stored, self.index()).name}, {value}")
                k.remember(self.made, self.index(), Value(value, False))
                finish(k, self.task, self.index())


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
