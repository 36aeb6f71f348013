"""Products with data that is zero in many places: terms that would add nothing are left out.

Each row of the data has a mask for the next few terms, with a bit for each that is not zero, and goes from bit to bit;
the rows of the other operand that these meet lie in the first-level cache meanwhile. Every sum has the terms that are
left in the order of columns.py and is the same to the bit, as long as what zeros meet is finite.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

from ranvier.engines.native.emit import LANES, SIZE, Scalar, tail_mask, vector
from ranvier.engines.native.llvm import Target
from ranvier.engines.native.nest import Loop, Nest, registers
from ranvier.engines.native.nested import prefix_of
from ranvier.engines.native.task import Task
from ranvier.engines.native.tiles import AFAR, Tiled
from ranvier.engines.native.view import View, size
from ranvier.engines.native.walk import dynamic_mask, scope
from ranvier.graph.node import Node, Symbol

BITS, HALF = 64, 32  # of a mask: the most terms of a block
NEAR = 24 << 10  # bytes of a block's rows, which are to stay in a first-level cache
ROWS = 256  # whose sums are kept between blocks
WIDE = 8  # vectors of a row's sums at most
APART = 4  # rows from one call of what is done meanwhile to the next
COUNTING = ("declare i64 @llvm.cttz.i64(i64, i1)", "declare i64 @llvm.ctpop.i64(i64)")
# What a row takes with every block, and a term that is not left out beside its multiply-adds, in multiply-adds of a
# vector; and how much less all of it is to take than in tiles of rows, which share what they load.
FIXED, EACH, PAYS = 60, 1.5, 0.9


def zeros_of(node: Node) -> float:
    """The share of a value's elements that is expected to be zero, at least."""
    if node.op.name == "input":
        return float(node.attrs.get("zeros", 0))
    if node.op.name == "mul":
        return max(map(zeros_of, node.inputs))
    return zeros_of(node.inputs[0]) if node.op.name in _KEEPING else 0.0


_KEEPING = frozenset(("gather", "cast", "reshape", "transpose", "neg", "abs", "relu", "sqrt", "div"))


def skips(task: Task, nest: Nest, views: Sequence[View], target: Target, batch: int) -> bool:
    """Whether a contraction, of what is seen through ``views``, is to be written as here."""
    node, rows, columns = task.anchor, nest.rows, nest.columns
    if node is None or nest.form != "columns" or rows is None or columns is None or prefix_of(task):
        return False
    plain = nest.beside is None and nest.taps is None and not nest.clips and len(nest.reduce) == 1
    if not plain or columns.a or columns.b != 1 or not isinstance(columns.extent, int):
        return False
    whole = task.share in ("serial", "each") or columns.output != task.axis
    if not whole or 1 not in (rows.a, nest.reduce[0].a) or views[0].buffer is views[1].buffer:
        return False
    zeros = zeros_of(node.inputs[0 if views[0].buffer is nest.a.buffer else 1])
    vectors = panel(target, columns, node.dtype)
    terms = min(block(nest.reduce[0], vectors, node.dtype), batch if _open(nest.reduce[0]) else BITS)
    return FIXED + (1 - zeros) * terms * (vectors + EACH) < PAYS * terms * vectors


def panel(target: Target, columns: Loop, dtype: str) -> int:
    """How many vectors of a row are summed up at once."""
    most = max(1, min(WIDE, (target.vector_registers - 4) // registers(target, dtype)))
    vectors = -(-columns.count // LANES)
    return -(-vectors // -(-vectors // most))


def block(terms: Loop, vectors: int, dtype: str) -> int:
    """How many terms have their rows of the other operand at hand at once."""
    most = max(1, min(BITS, NEAR // (vectors * LANES * SIZE[dtype])))
    return most if _open(terms) else -(-terms.count // -(-terms.count // most))


def _open(loop: Loop) -> bool:
    return isinstance(loop.extent, Symbol)


def calls(nest: Nest, target: Target, dtype: str) -> int:
    """How often all threads call what is done meanwhile."""
    assert nest.rows is not None
    assert nest.columns is not None
    vectors = panel(target, nest.columns, dtype)
    (terms,) = nest.reduce
    panels = -(-nest.columns.count // (vectors * LANES))
    blocks = 1 if _open(terms) else -(-terms.count // block(terms, vectors, dtype))
    return prod(loop.count for loop in nest.outer) * panels * blocks * -(-nest.rows.count // APART)


class Skipping(Tiled):
    """Writes one such kernel."""

    def write(self) -> None:
        self.around(list(self.plan.outer), self._panels)

    def _panels(self, a: Scalar, b: Scalar) -> None:
        p, f = self.plan, self.k.function
        assert p.columns is not None
        count = p.columns.count
        vectors = panel(self.target, p.columns, self.node.dtype)
        wide = vectors * LANES
        whole = count // wide * wide
        if whole == wide:
            self._panel(a, b, 0, vectors, LANES)
        elif whole:
            with f.loop(0, whole, wide) as turn, scope(self.k):
                self._panel(a, f.add(b, turn.index), turn.index, vectors, LANES)
        if count > whole:
            left = count - whole
            with scope(self.k):
                self._panel(a, f.add(b, whole), whole, -(-left // LANES), left % LANES or LANES)

    def _panel(self, a: Scalar, b: Scalar, start: Scalar, vectors: int, left: int) -> None:
        """So many vectors of all rows, the last one of ``left`` columns: block by block of the terms."""
        k, f, p = self.k, self.k.function, self.plan
        rows, (terms,) = p.rows, p.reduce
        assert rows is not None
        pitch, some = vectors * LANES, block(terms, vectors, self.node.dtype)
        laid = k.workspace((some + ROWS) * pitch * SIZE[self.node.dtype])
        self.area = f.pointer(laid, some * pitch, self.element)
        self.pitch, self.left = pitch, left
        # Fewer lanes take less time in the last vector, where there are multiply-adds of any width.
        self.lanes = [LANES] * (vectors - 1) + [
            1 << (left - 1).bit_length() if self.target.has_fma else LANES
        ]
        low, high = self.range_of(terms)
        first, end = self.range_of(rows)
        with f.loop(first, end, ROWS) as group, scope(k):
            last = f.minimum(f.add(group.index, ROWS), end)
            with f.loop(low, high, some) as turn, scope(k):
                at = turn.index
                count = some if terms.extent == some else f.minimum(f.sub(high, at), some)
                one = terms.extent == some
                self.begins = "true" if one else f.op(f"icmp eq i64 {at}, {low}")
                self.ends = "true" if one else f.op(f"icmp sge i64 {f.add(at, some)}, {high}")
                from_ = f.add(b, f.mul(at, terms.b))
                self.right = self._at_hand(from_, count, laid, terms)
                left_ = f.add(f.add(a, p.a.offset), f.mul(at, terms.a))
                across = self._along_terms if terms.a == 1 else self._along_rows
                across(left_, count, some, (group.index, last), start)

    def _at_hand(self, b: Scalar, count: Scalar, laid: str, terms: Loop) -> tuple[str, int, int]:
        """A block's rows of the other operand: where they begin, how far they are apart, how they are aligned.

        Where there is more between them, or they cross cache lines, they are copied.
        """
        k, f, p = self.k, self.k.function, self.plan
        base = f.pointer(k.pointers[p.b.buffer], f.add(b, p.b.offset), self.element)
        if terms.b == self.pitch and p.b.offset % LANES == self.left % LANES == 0:
            return base, terms.b, SIZE[self.node.dtype]
        with f.loop(0, count) as turn, scope(k):
            for j, lanes in enumerate(self.lanes):
                mask = tail_mask(self.left) if j == len(self.lanes) - 1 and self.left < lanes else None
                value = self.load(p.b, f.add(b, f.mul(turn.index, terms.b)), j * LANES, 1, mask)
                spot = f.pointer(laid, f.add(f.mul(turn.index, self.pitch), j * LANES), self.element)
                f.emit(f"store {self.type} {value}, ptr {spot}, align 64")
        return laid, self.pitch, 64

    def _along_terms(
        self, a: Scalar, count: Scalar, some: int, rows: tuple[Scalar, Scalar], start: Scalar
    ) -> None:
        """Masks of a row whose terms lie next to each other."""
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
            here = f.add(a, f.mul(turn.index, p.rows.a))
            word = "0"
            for number, mask in enumerate(masks):
                bits = f.op(f"bitcast {vector('i1')} {self._nonzero(here, number * LANES, mask)} to i16")
                wide = f.op(f"zext i16 {bits} to i64")
                word = f.op(f"or i64 {word}, {f.op(f'shl i64 {wide}, {number * LANES}')}")
            self._row(turn.index, rows[0], here, 1, word, start)

    def _along_rows(
        self, a: Scalar, count: Scalar, some: int, rows: tuple[Scalar, Scalar], start: Scalar
    ) -> None:
        """Masks of 16 rows next to each other, a bit of each with every term."""
        k, f, p = self.k, self.k.function, self.plan
        wide = vector("i64")
        with f.at_entry():
            words = f.op(f"alloca {wide}, align 64")
        with f.loop(*rows, LANES) as group, scope(k):
            row = group.index
            mask, here = dynamic_mask(k, f.sub(rows[1], row)), f.add(a, row)
            found = self._bits(here, 0, f.minimum(count, HALF), mask)
            if some > HALF:
                more = self._bits(here, HALF, count, mask)
                more = f.op(f"shl {wide} {more}, splat (i64 {HALF})")
                found = f.op(f"or {wide} {found}, {more}")
            f.emit(f"store {wide} {found}, ptr {words}, align 64")
            with f.loop(row, f.minimum(f.add(row, LANES), rows[1])) as each, scope(k):
                number = f.sub(each.index, row)
                word = f.op(f"load i64, ptr {f.pointer(words, number, 'i64')}, align 8")
                self._row(each.index, rows[0], f.add(a, each.index), p.reduce[0].a, word, start)

    def _bits(self, a: Scalar, low: Scalar, high: Scalar, mask: str | None) -> str:
        """For each of 16 rows, which of some terms are not zero, up to 32 of them."""
        k, f, half = self.k, self.k.function, vector("i32")
        with f.loop(low, high, carry=[(half, "zeroinitializer"), (half, "splat (i32 1)")]) as turn, scope(k):
            found, bit = turn.values
            chosen = self._nonzero(f.add(a, f.mul(turn.index, self.plan.reduce[0].a)), 0, mask)
            more = f.op(f"or {half} {found}, {bit}")
            turn.next = [
                f.op(f"select {vector('i1')} {chosen}, {half} {more}, {half} {found}"),
                f.op(f"shl {half} {bit}, splat (i32 1)"),
            ]
        return f.op(f"zext {half} {turn.results[0]} to {vector('i64')}")

    def _nonzero(self, offset: Scalar, more: int, mask: str | None) -> str:
        """Which of 16 elements of the data, next to each other, are not zero."""
        flat = View(self.plan.a.buffer, (), (1,))
        value = self.load(flat, offset, more, 1, mask)
        return self.k.function.op(f"fcmp une {self.type} {value}, zeroinitializer")

    def _row(self, row: Scalar, first: Scalar, a: Scalar, step: int, word: str, start: Scalar) -> None:
        """The terms of a row that its mask names; with the last block what follows its sums."""
        k, f, kind = self.k, self.k.function, self.element
        number = f.sub(row, first)
        if k.meanwhile is not None:
            with f.when(f.op(f"icmp eq i64 {f.op(f'and i64 {number}, {APART - 1}')}, 0")):
                f.emit(k.meanwhile)
        k.module.declarations.update(COUNTING)
        data = f.pointer(k.pointers[self.plan.a.buffer], a, kind)
        base, pitch, align = self.right
        sums = []
        for j, lanes in enumerate(self.lanes):
            spot, type_ = (
                f.pointer(self.area, f.add(f.mul(number, self.pitch), j * LANES), kind),
                vector(kind, lanes),
            )
            value = "zeroinitializer"
            if self.begins != "true":
                value = f.op(f"load {type_}, ptr {spot}, align 64")
                value = f.op(f"select i1 {self.begins}, {type_} zeroinitializer, {type_} {value}")
            sums.append((type_, value, spot))
        stored = [view for _, view in self.task.stores]
        if sum(size(view.shape, k.module.batch) * SIZE[view.buffer.dtype] for view in stored) > AFAR:
            with f.when(self.ends), scope(k):
                for view, j in product(stored, range(len(self.lanes))):
                    self.stand(row, 0, start, j)
                    k.prefetch(view, self.index())
        count = f.op(f"call i64 @llvm.ctpop.i64(i64 {word})")
        carry = [("i64", word), *((type_, value) for type_, value, _ in sums)]
        with f.loop(0, count, carry=carry) as turn, scope(k):
            left, *totals = turn.values
            place = f.op(f"call i64 @llvm.cttz.i64(i64 {left}, i1 true)")
            rest = f.op(f"and i64 {left}, {f.op(f'sub i64 {left}, 1')}")
            one = f.op(
                f"load {kind}, ptr {f.pointer(data, f.mul(place, step), kind)}, align {SIZE[self.node.dtype]}"
            )
            spread = f.splat(one, kind)
            line = f.pointer(base, f.mul(place, pitch), kind)
            turn.next = [rest]
            for j, ((type_, _, _), before) in enumerate(zip(sums, totals, strict=True)):
                lanes = self.lanes[j]
                x = spread if lanes == LANES else f.first_lanes(spread, self.type, lanes)
                y = self._line(line, j, lanes, align)
                turn.next.append(k.call("fma", type_, x, y, before))
        for (type_, _, spot), value in zip(sums, turn.results[1:], strict=True):
            f.emit(f"store {type_} {value}, ptr {spot}, align 64")
        with f.when(self.ends), scope(k):
            self._end(row, number, start)

    def _line(self, line: str, j: int, lanes: int, align: int) -> str:
        """Some columns of a row of the other operand; none is read beyond its end."""
        f = self.k.function
        spot = f.pointer(line, j * LANES, self.element)
        return f.op(f"load {vector(self.element, lanes)}, ptr {spot}, align {align}")

    def _end(self, row: Scalar, number: Scalar, start: Scalar) -> None:
        k, f = self.k, self.k.function
        whole = len(self.lanes) - (self.left < LANES)

        def one(j: Scalar, mask: str | None) -> None:
            at = f.add(f.mul(number, self.pitch), f.mul(j, LANES))
            self.place(row, 0, start, j, mask, self.take_up(self.area, at, 64))

        if whole:
            with f.loop(0, whole) as turn, scope(k):
                one(turn.index, None)
        if self.left < LANES:
            one(whole, tail_mask(self.left))
