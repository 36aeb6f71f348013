"""Products with sparse data: kernels that skip zeros.

Each row of the data has a mask for a block of terms, with a bit for each nonzero, and the kernel goes from bit to bit.
The block's rows of the other operand stay in the first-level cache. Every sum has the remaining terms in the order of
columns.py, and the same bits, as long as the factors of zeros are finite (except the sign of a sum that underflows to
zero).
"""

from __future__ import annotations

from itertools import product

from ranvier.engines.native.codegen.contraction.base import Place
from ranvier.engines.native.codegen.contraction.tile import BEYOND_CACHE, Tiled
from ranvier.engines.native.codegen.kernel import At
from ranvier.engines.native.codegen.loops import along, dynamic_mask, panels, scope
from ranvier.engines.native.codegen.shuffles import repeat
from ranvier.engines.native.codegen.sources import gathered
from ranvier.engines.native.passes.sparse_updates import zeros_of
from ranvier.engines.native.schedule import sparsity
from ranvier.engines.native.schedule.loop_nest import Loop, registers
from ranvier.engines.native.schedule.memory_planning import round_up
from ranvier.engines.native.schedule.view import View
from ranvier.engines.native.target.lanes import LANES, SIZE, Scalar, tail_mask, vector
from ranvier.graph.extents import size
from ranvier.graph.node import BATCH

HALF = 32  # terms of a block whose bits are collected in 32-bit lanes
ROWS = 256  # whose sums are kept between blocks
SIMILAR = 0.75  # zeros up to which two adjacent rows have most of their terms in common
COUNTING = ("declare i64 @llvm.cttz.i64(i64, i1)", "declare i64 @llvm.ctpop.i64(i64)")


def _bytes(rows: int) -> int:
    """The bytes of a table of row offsets, in words of 64 bits."""
    return 8 * round_up(rows, LANES)


class SparseProducts(Tiled):
    """Writes such a kernel."""

    def write(self) -> None:
        self.row_offsets = self._look_up() if self.plan.a.rows is not None else None
        self.around(list(self.plan.outer), self._panels)

    def _look_up(self) -> str:
        """A table of the offsets of the rows that are read in place, in elements."""
        k, f, data = self.k, self.k.function, self.plan.a
        rows, kind = data.rows, vector("i64")
        assert rows is not None
        place = k.workspace(_bytes(k.module.batch))

        def some(at: At) -> None:
            numbers = gathered(k, rows, (at,)).lanes
            offsets = f.op(f"mul {kind} {numbers}, splat (i64 {data.strides[0]})")
            f.emit(f"store {kind} {offsets}, ptr {f.pointer(place, at.base, 'i64')}, align 64")

        along(k, 0, k.extent(BATCH), some)
        return place

    def _offset(self, loop: Loop, at: Scalar) -> Scalar:
        """The offset of a row, or of a term, in the data."""
        f = self.k.function
        if self.row_offsets is None or not sparsity.is_symbolic(loop):
            return f.mul(at, loop.a)
        return f.op(f"load i64, ptr {f.pointer(self.row_offsets, at, 'i64')}, align 8")

    def _panels(self, at: Place) -> None:
        columns = self.columns

        def panel(start: Scalar, count: int) -> None:
            left = count % LANES or LANES
            self._panel(at.a, self.k.function.add(at.b, start), start, -(-count // LANES), left)

        panels(self.k, 0, columns.count, sparsity.panel_vectors(self.target, columns, self.node.dtype) * LANES, panel)

    def _panel(self, a: Scalar, b: Scalar, start: Scalar, vectors: int, left: int) -> None:
        """A panel of ``vectors``, the last one of ``left`` columns, for all rows: block by block of the terms."""
        k, f, p = self.k, self.k.function, self.plan
        rows, (terms,) = p.rows, p.reduce
        assert rows is not None
        pitch, some = vectors * LANES, sparsity.block_terms(terms, vectors, self.node.dtype)
        before = _bytes(k.module.batch) if self.row_offsets is not None else 0
        laid = f.pointer(k.workspace(before + (some + ROWS) * pitch * SIZE[self.node.dtype]), before, "i8")
        self.area = f.pointer(laid, some * pitch, self.element)
        self.pitch, self.left = pitch, left
        self.height = self._height(vectors)
        k.module.declarations.update(COUNTING)
        # A narrower last vector costs less, if the target has fused multiply-adds.
        self.lanes = [LANES] * (vectors - 1) + [1 << (left - 1).bit_length() if self.target.has_fma else LANES]
        low, high = self.range_of(terms)
        first, end = self.range_of(rows)
        with f.loop(first, end, ROWS) as group, scope(k):
            last = f.minimum(f.add(group.index, ROWS), end)
            with f.loop(low, high, some) as turn, scope(k):
                self.at_term = at = turn.index
                count = some if terms.extent == some else f.minimum(f.sub(high, at), some)
                one = terms.extent == some
                self.begins = "true" if one else f.op(f"icmp eq i64 {at}, {low}")
                self.ends = "true" if one else f.op(f"icmp sge i64 {f.add(at, some)}, {high}")
                from_ = f.add(b, f.mul(at, terms.b))
                self.right = self._block_rows(from_, count, laid, terms)
                self._groups(f.add(a, p.a.offset), count, some, (group.index, last), start)

    def _height(self, vectors: int) -> int:
        """How many rows are processed together.

        Two adjacent features, as of an image, are zero in much the same samples, and share loads.
        """
        rows = self.plan.rows
        assert rows is not None
        data = sparsity.data_of(self.node, self.plan, self.task.operands(self.k.module.view))
        needed = (3 * vectors + 2) * registers(self.target, self.node.dtype)
        alike = not sparsity.is_symbolic(rows) and zeros_of(data) < SIMILAR
        return 2 if alike and needed <= self.target.vector_registers else 1

    def _block_rows(self, b: Scalar, count: Scalar, laid: str, terms: Loop) -> tuple[str, int, int]:
        """A block's rows of the other operand: their pointer, pitch and alignment.

        Rows that are not adjacent, or cross cache lines, are copied.
        """
        k, f, p = self.k, self.k.function, self.plan
        base = f.pointer(k.pointers[p.b.buffer], f.add(b, p.b.offset), self.element)
        if terms.b == self.pitch and p.b.offset % LANES == self.left % LANES == 0:
            return base, terms.b, SIZE[self.node.dtype]
        with f.loop(0, count) as turn, scope(k):
            for j in range(len(self.lanes)):
                mask = tail_mask(self.left) if j == len(self.lanes) - 1 and self.left < LANES else None
                value = self.load(p.b, f.add(b, f.mul(turn.index, terms.b)), j * LANES, 1, mask)
                spot = f.pointer(laid, f.add(f.mul(turn.index, self.pitch), j * LANES), self.element)
                f.emit(f"store {self.type} {value}, ptr {spot}, align 64")
        return laid, self.pitch, 64

    def _groups(self, a: Scalar, count: Scalar, some: int, rows: tuple[Scalar, Scalar], start: Scalar) -> None:
        """16 rows at a time: first their masks, then their sums, so that masks do not wait for sums."""
        k, f, p = self.k, self.k.function, self.plan
        assert p.rows is not None
        with f.at_entry():
            words = f.op(f"alloca {vector('i64')}, align 64")
        with f.loop(*rows, LANES) as group, scope(k):
            row, end = group.index, f.minimum(f.add(group.index, LANES), rows[1])
            masks = self._along_terms if p.reduce[0].a == 1 else self._along_rows
            masks(a, count, some, (row, end), words)
            with f.loop(row, end, self.height) as turn, scope(k):
                # The last row of an odd number is paired with itself.
                together = [turn.index, f.minimum(f.add(turn.index, 1), f.sub(end, 1))][: self.height]
                found = [f.op(f"load i64, ptr {f.pointer(words, f.sub(one, row), 'i64')}, align 8") for one in together]
                word = found[0] if self.height == 1 else f.op(f"or i64 {found[0]}, {found[1]}")
                data = [f.add(a, self._offset(p.rows, one)) for one in together]
                self._sums(together, rows[0], data, word, start)

    def _along_terms(self, a: Scalar, count: Scalar, some: int, rows: tuple[Scalar, Scalar], words: str) -> None:
        """Masks of rows whose terms are adjacent, row by row."""
        k, f, p = self.k, self.k.function, self.plan
        assert p.rows is not None
        masks: list[str | None] = []
        for first in range(0, some, LANES):
            left = f.sub(count, first)
            if isinstance(left, int):
                masks.append(tail_mask(left) if left < LANES else None)
            else:
                masks.append(dynamic_mask(k, left))
        with f.loop(*rows) as turn, scope(k):
            here = f.add(f.add(a, self._offset(p.rows, turn.index)), self.at_term)
            word = "0"
            for number, mask in enumerate(masks):
                chosen = self._nonzero(here, number * LANES, mask)
                bits = f.op(f"bitcast {vector('i1')} {chosen} to i16")
                wide = f.op(f"shl i64 {f.op(f'zext i16 {bits} to i64')}, {number * LANES}")
                word = f.op(f"or i64 {word}, {wide}")
            f.emit(f"store i64 {word}, ptr {f.pointer(words, f.sub(turn.index, rows[0]), 'i64')}, align 8")

    def _along_rows(self, a: Scalar, count: Scalar, some: int, rows: tuple[Scalar, Scalar], words: str) -> None:
        """Masks of adjacent rows: each term gives one bit of every mask."""
        k, f = self.k, self.k.function
        wide = vector("i64")
        mask, here = dynamic_mask(k, f.sub(rows[1], rows[0])), f.add(a, rows[0])
        found = self._bits(here, 0, f.minimum(count, HALF), mask)
        if some > HALF:
            more = self._bits(here, HALF, count, mask)
            more = f.op(f"shl {wide} {more}, splat (i64 {HALF})")
            found = f.op(f"or {wide} {found}, {more}")
        f.emit(f"store {wide} {found}, ptr {words}, align 64")

    def _bits(self, a: Scalar, low: Scalar, high: Scalar, mask: str | None) -> str:
        """For each of 16 rows, a mask of up to 32 nonzero terms."""
        k, f, half = self.k, self.k.function, vector("i32")
        with f.loop(low, high, carry=[(half, "zeroinitializer"), (half, "splat (i32 1)")]) as turn, scope(k):
            found, bit = turn.values
            term = self._offset(self.plan.reduce[0], f.add(self.at_term, turn.index))
            chosen = self._nonzero(f.add(a, term), 0, mask)
            more = f.op(f"or {half} {found}, {bit}")
            turn.next = [
                f.op(f"select {vector('i1')} {chosen}, {half} {more}, {half} {found}"),
                f.op(f"shl {half} {bit}, splat (i32 1)"),
            ]
        return f.op(f"zext {half} {turn.results[0]} to {vector('i64')}")

    def _nonzero(self, offset: Scalar, more: int, mask: str | None) -> str:
        """Which of 16 adjacent elements of the data are not zero."""
        flat = View(self.plan.a.buffer, (), (1,))
        value = self.load(flat, offset, more, 1, mask)
        return self.k.function.op(f"fcmp une {self.type} {value}, zeroinitializer")

    def _sums(self, rows: list[Scalar], first: Scalar, data: list[Scalar], word: str, start: Scalar) -> None:
        """Sum the terms of a mask, for one row or two; after the last block, the epilogue."""
        k, f, kind = self.k, self.k.function, self.element
        numbers = [f.sub(row, first) for row in rows]
        if k.interleaved is not None:
            with f.when(f.op(f"icmp eq i64 {f.op(f'and i64 {numbers[0]}, {sparsity.ROWS_PER_CALL - 1}')}, 0")):
                f.emit(k.interleaved)
        self._fetch(rows, start)
        spots = [
            (vector(kind, lanes), f.pointer(self.area, f.add(f.mul(number, self.pitch), j * LANES), kind))
            for number in numbers
            for j, lanes in enumerate(self.lanes)
        ]
        count = f.op(f"call i64 @llvm.ctpop.i64(i64 {word})")
        carry = [("i64", word), *((type_, self._begun(type_, spot)) for type_, spot in spots)]
        with f.loop(0, count, carry=carry) as turn, scope(k):
            turn.next = self._term(data, turn.values)
        sums = turn.results[1:]
        if not self.task.members:
            with f.when(f.op(f"xor i1 {self.ends}, true")):
                self._store_sums(spots, sums)
            with f.when(self.ends):
                self._store_results(rows, sums, start)
            return
        self._store_sums(spots, sums)
        with f.when(self.ends), scope(k):
            if len(rows) == 1:
                self._end(rows[0], numbers[0], start)
            else:  # the last row of an odd number is paired with itself
                with f.loop(0, f.add(f.sub(rows[1], rows[0]), 1)) as turn, scope(k):
                    self._end(f.add(rows[0], turn.index), f.add(numbers[0], turn.index), start)

    def _store_sums(self, spots: list[tuple[str, str]], sums: list[str]) -> None:
        """Store the sums for the next block, or for the epilogue."""
        for (type_, spot), value in zip(spots, sums, strict=True):
            self.k.function.emit(f"store {type_} {value}, ptr {spot}, align 64")

    def _store_results(self, rows: list[Scalar], sums: list[str], start: Scalar) -> None:
        """Store sums without an epilogue in the result."""
        wide = iter(sums)
        for row in rows:
            for j, lanes in enumerate(self.lanes):
                value = next(wide)
                if lanes < LANES:
                    value = repeat(self.k.function, value, lanes, lanes, self.element)
                last = j == len(self.lanes) - 1 and self.left < LANES
                with scope(self.k):
                    self.place(row, 0, start, j, tail_mask(self.left) if last else None, value)

    def _term(self, data: list[Scalar], values: list[str]) -> list[str]:
        """Add the next term of a mask, and clear its bit."""
        f, (left, *sums) = self.k.function, values
        place = f.op(f"call i64 @llvm.cttz.i64(i64 {left}, i1 true)")
        rest = f.op(f"and i64 {left}, {f.op(f'sub i64 {left}, 1')}")
        term = self._offset(self.plan.reduce[0], f.add(self.at_term, place))
        return [rest, *self._multiply(place, [f.add(a, term) for a in data], sums)]

    def _fetch(self, rows: list[Scalar], start: Scalar) -> None:
        """Prefetch what the epilogue updates, during the sums."""
        k, f = self.k, self.k.function
        stored = [view for _, view in self.task.stores]
        if sum(size(view.shape, k.module.batch) * SIZE[view.buffer.dtype] for view in stored) <= BEYOND_CACHE:
            return
        with f.when(self.ends), scope(k):
            for row, view, j in product(rows, stored, range(len(self.lanes))):
                self.fix_index(row, 0, start, j)
                k.prefetch(view, self.index())

    def _begun(self, type_: str, spot: str) -> str:
        """The initial sums of a vector: those of the block before."""
        f = self.k.function
        if self.begins == "true":
            return "zeroinitializer"
        held = f.op(f"load {type_}, ptr {spot}, align 64")
        return f.op(f"select i1 {self.begins}, {type_} zeroinitializer, {type_} {held}")

    def _multiply(self, place: str, data: list[Scalar], sums: list[str]) -> list[str]:
        """Add one term: the rows' elements times the vectors of the other operand at this position of the block."""
        k, f, kind = self.k, self.k.function, self.element
        base, pitch, align = self.right
        line = f.pointer(base, f.mul(place, pitch), kind)
        right = [
            f.op(f"load {vector(kind, lanes)}, ptr {f.pointer(line, j * LANES, kind)}, align {align}")
            for j, lanes in enumerate(self.lanes)
        ]
        result: list[str] = []
        for at in data:
            pointer = f.pointer(k.pointers[self.plan.a.buffer], at, kind)
            one = f.op(f"load {kind}, ptr {pointer}, align {SIZE[self.node.dtype]}")
            spread = f.splat(one, kind)
            for lanes, y in zip(self.lanes, right, strict=True):
                x = spread if lanes == LANES else f.first_lanes(spread, self.type, lanes)
                result.append(k.call("fma", vector(kind, lanes), x, y, sums[len(result)]))
        return result

    def _end(self, row: Scalar, number: Scalar, start: Scalar) -> None:
        k, f = self.k, self.k.function
        whole = len(self.lanes) - (self.left < LANES)

        def one(j: Scalar, mask: str | None) -> None:
            at = f.add(f.mul(number, self.pitch), f.mul(j, LANES))
            with scope(k):
                self.place(row, 0, start, j, mask, self.load_vector(self.area, at, 64))

        if whole:
            with f.loop(0, whole) as turn, scope(k):
                one(turn.index, None)
        if self.left < LANES:
            one(whole, tail_mask(self.left))
