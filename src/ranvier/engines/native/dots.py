"""Contractions whose vectors run along the sum: dot products, whose order is that of 16 lanes and a fixed tree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

from ranvier.engines.native.emit import LANES, SIZE, Scalar, literal, tail_mask, vector
from ranvier.engines.native.nest import Loop
from ranvier.engines.native.nested import Nested
from ranvier.engines.native.reductions import tree
from ranvier.engines.native.values import At, Value
from ranvier.engines.native.view import View
from ranvier.engines.native.walk import dynamic_mask, finish, scope


class Dots(Nested):
    """Writes one such kernel."""

    def write(self) -> None:
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

        self.around(rest, block)

    def _block(self, i: Loop | None, j: Loop | None) -> tuple[int, int]:
        """The block's sides: divisors of the extents, with as many sums as fit in the registers."""
        width = -(-LANES * SIZE[self.node.dtype] // self.target.vector_bytes)
        room = self.target.vector_registers // width

        def sides(loop: Loop | None) -> list[int]:
            if loop is None or (
                loop.output == self.task.axis and not self.prefix and self.task.share == "split"
            ):
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
            xs = [self.load(p.a, f.add(a, f.mul(at, loop.a)), more, loop.a, mask) for more in spread_a]
            ys = [self.load(p.b, f.add(b, f.mul(at, loop.b)), more, loop.b, mask) for more in spread_b]
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
