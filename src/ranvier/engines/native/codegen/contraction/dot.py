"""Contractions whose vectors run along the sum: dot products, whose order is that of 16 lanes and a fixed tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product

from ranvier.engines.native.codegen.builder import PREFETCH
from ranvier.engines.native.codegen.contraction.base import FIRST, Contraction, Place
from ranvier.engines.native.codegen.kernel import At, Value
from ranvier.engines.native.codegen.loops import carried, finish, masked, scope
from ranvier.engines.native.codegen.register_reductions import tree, trees
from ranvier.engines.native.passes.clip_padding import Clip
from ranvier.engines.native.passes.wide_products import along_terms
from ranvier.engines.native.schedule.loop_nest import Loop, registers
from ranvier.engines.native.schedule.view import View
from ranvier.engines.native.target.lanes import LANES, Scalar, literal, tail_mask, vector

STREAMS = 4  # rows of weights beyond the caches that are read at once
Sums = dict[tuple[int, int], str]  # the running sums of a block, by row and column


@dataclass(frozen=True)
class Block:
    """``high`` by ``wide`` elements of the result, along loops ``i`` (moves operand a alone) and ``j`` (operand b)."""

    at: Place
    i: Loop | None
    j: Loop | None
    at_i: Scalar  # the loops' values at the first element
    at_j: Scalar
    high: int
    wide: int

    @property
    def offsets_a(self) -> list[int]:
        return [0 if self.i is None else n * self.i.a for n in range(self.high)]

    @property
    def offsets_b(self) -> list[int]:
        return [0 if self.j is None else n * self.j.b for n in range(self.wide)]


class DotProducts(Contraction):
    """Writes such a kernel."""

    ahead = 0  # elements of operand b, by which it is prefetched; 0 if it is not

    def write(self) -> None:
        """Blocks of the result along two loops, each of which moves one operand alone.

        If no such loop has a known extent, blocks of adjacent elements.
        """
        p, f = self.plan, self.k.function
        if along_terms(self.node):
            self._streamed()
            return
        # The innermost loop that padding bounds is unrolled, unless threads divide it. Other bounds are computed.
        bounding = [clip[0] for clip in p.clips]
        apart = {loop.number for loop in p.outer if self._is_divided(loop)} & {*bounding} | {*bounding[:-1]}
        known = [loop for loop in p.outer if isinstance(loop.extent, int) and loop.number not in apart]
        i = next((loop for loop in reversed(known) if loop.a and not loop.b), None)
        j = next((loop for loop in known if loop.b and not loop.a and loop.number not in bounding), None)
        line = None if i or j else next((loop for loop in p.outer if self._is_line(loop)), None)
        rest = [loop for loop in p.outer if loop not in (i, j, line)]
        high, wide = self._block(i, j)

        def block(at: Place, at_i: Scalar) -> None:
            with self._steps(j, wide) as at_j:
                a_at = f.add(at.a, f.mul(at_i, i.a if i is not None else 0))
                b_at = f.add(at.b, f.mul(at_j, j.b if j is not None else 0))
                self._dot(Block(Place(a_at, b_at), i, j, at_i, at_j, high, wide))

        def blocks(at: Place) -> None:
            if line is not None:
                self._line(at, line, min(LANES, 1 << max(self._room() - 2, 1).bit_length() - 1))
                return
            if i is not None and i.number in bounding:
                for at_i in range(0, i.count, high):
                    with scope(self.k):
                        block(at, at_i)
                return
            with self._steps(i, high) as turn:
                block(at, turn)

        self.around(rest, blocks)

    def _streamed(self) -> None:
        """Some rows of weights at a time, for all samples: the weights are read once, in the order of memory."""
        (weights,) = (loop for loop in self.plan.outer if loop.b)
        self.k.module.declarations.add(PREFETCH)
        self.ahead = STREAMS * weights.b
        self._line(FIRST, weights, STREAMS, [loop for loop in self.plan.outer if loop is not weights])

    def _is_line(self, loop: Loop) -> bool:
        """Whether results along a loop are adjacent, and it moves one operand alone."""
        bound = any(loop.number in (clip[0], clip[2]) for clip in self.plan.clips)
        return (loop.a == 0) != (loop.b == 0) and self._adjacent(loop) and not bound

    def _line(self, at: Place, line: Loop, many: int, within: Sequence[Loop] = ()) -> None:
        """Adjacent elements, ``many`` at once, then one by one; for each the loops ``within``."""
        f = self.k.function
        low, high = self.range_of(line)
        full = f.end_of_whole(low, high, many)
        for start, end, size in ((low, full, many), (full, high, 1)):
            with f.loop(start, end, size) as turn, scope(self.k):
                here = self.moved(at, line, turn.index)
                if line.a:
                    block = Block(here, line, None, turn.index, 0, size, 1)
                else:
                    block = Block(here, None, line, 0, turn.index, 1, size)

                def each(at: Place, block: Block = block) -> None:
                    self._dot(replace(block, at=at))

                self.around(list(within), each, here)

    def _room(self) -> int:
        """The number of vectors that the registers hold."""
        return self.target.vector_registers // registers(self.target, self.node.dtype)

    def _block(self, i: Loop | None, j: Loop | None) -> tuple[int, int]:
        """The block's sides: divisors of the extents, with as many sums as fit in the registers."""
        room = self._room()

        def sides(loop: Loop | None) -> list[int]:
            if loop is None or self._is_divided(loop):
                return [1]
            return [n for n in range(1, 9) if loop.count % n == 0]

        fitting = [(m, n) for m in sides(i) for n in sides(j) if m * n + min(m, n) + 1 <= room or m * n == 1]
        return max(fitting, key=lambda s: (s[0] * s[1] / (s[0] + s[1]), s))

    def _is_divided(self, loop: Loop) -> bool:
        """Whether threads divide the loop."""
        return loop.output == self.task.axis and not self.prefix and self.task.division == "split"

    @contextmanager
    def _steps(self, loop: Loop | None, step: int) -> Iterator[Scalar]:
        if loop is None:
            yield 0
            return
        with self.k.function.loop(*self.range_of(loop), step) as turn, scope(self.k):
            yield turn.index

    def _dot(self, block: Block) -> None:
        """One block: 16 running sums along the last reduction loop for each element, then the tree for each."""
        k, f, p, e = self.k, self.k.function, self.plan, block

        def add(type_: str, x: str, y: str) -> str:
            return f.op(f"fadd {type_} {x}, {y}")

        def finish_line(loop: Loop, at: Scalar, sums: list[str]) -> None:
            """The epilogue of results that are adjacent in memory."""
            with masked(k, tail_mask(len(sums)) if len(sums) < LANES else None):
                self.fixed[loop.output or 0] = At(at, 1)
                self._finish(trees(k, sums, self.element, add), True)

        places = list(product(range(e.high), range(e.wide)))
        if p.reduce:
            totals = self._sums(e, list(p.reduce), e.at, dict.fromkeys(places, "zeroinitializer"))
            if e.j is not None and self._adjacent(e.j):
                for m in range(e.high):
                    self._set(e.i, e.at_i, m)
                    finish_line(e.j, e.at_j, [totals[m, n] for n in range(e.wide)])
                return
            if e.i is not None and e.high > 1 and self._adjacent(e.i):
                for n in range(e.wide):
                    self._set(e.j, e.at_j, n)
                    finish_line(e.i, e.at_i, [totals[m, n] for m in range(e.high)])
                return
            values = [tree(k, t, self.element, add) for t in totals.values()]
        else:
            xs = [k.load(View(p.a.buffer, (), (1,), p.a.offset + m), (At(e.at.a),)).name for m in e.offsets_a]
            ys = [k.load(View(p.b.buffer, (), (1,), p.b.offset + m), (At(e.at.b),)).name for m in e.offsets_b]
            values = [k.call("fma", self.element, x, y, literal(0, self.element)) for x, y in product(xs, ys)]
        for (m, n), value in zip(places, values, strict=True):
            self._set(e.i, e.at_i, m)
            self._set(e.j, e.at_j, n)
            self._finish(value, False)

    def _sums(self, block: Block, rest: list[Loop], at: Place, totals: Sums) -> Sums:
        """The running sums after the reduction loops ``rest``, with the operands at these offsets."""
        k, f, loop = self.k, self.k.function, rest[0]

        def inside(turn: Scalar, totals: Sums) -> Sums:
            return self._sums(block, rest[1:], self.moved(at, loop, turn), totals)

        clip = self.plan.clip(loop)
        if clip is not None and block.i is not None and clip[0] == block.i.number:
            return self._clipped_sums(block, loop, clip, totals, inside)
        low, end = self.range_of(loop)
        carry = [(self.type, t) for t in totals.values()]
        if len(rest) > 1:
            with f.loop(low, end, carry=carry) as turn, scope(k):
                result = inside(turn.index, dict(zip(totals, turn.values, strict=True)))
                turn.next = list(result.values())
            return dict(zip(totals, turn.results, strict=True))

        def term(turn: Scalar, running: list[str]) -> list[str]:
            return list(self._term(block, loop, turn, at, dict(zip(totals, running, strict=True))).values())

        return dict(zip(totals, carried(k, low, end, carry, term), strict=True))

    def _clipped_sums(
        self, block: Block, loop: Loop, clip: Clip, totals: Sums, inside: Callable[[Scalar, Sums], Sums]
    ) -> Sums:
        """The loop unrolled, each turn for those rows of the block that read no padding."""
        _, cp, _, cq, offset, size = clip
        assert isinstance(block.at_i, int)
        result = dict(totals)
        for number in range(loop.count):
            places = [cp * (block.at_i + m) + cq * number + offset for m in range(block.high)]
            reading = {at: t for at, t in result.items() if 0 <= places[at[0]] < size}
            if reading:
                with scope(self.k):
                    result |= inside(number, reading)
        return result

    def _term(self, block: Block, loop: Loop, turn: Scalar, at: Place, totals: Sums) -> Sums:
        """The running sums after 16 further terms of the innermost loop."""
        k, f, p, mask = self.k, self.k.function, self.plan, self.k.mask
        rows = sorted({m for m, _ in totals})
        xs = {m: self.load(p.a, f.add(at.a, f.mul(turn, loop.a)), block.offsets_a[m], loop.a, mask) for m in rows}
        place = f.add(at.b, f.mul(turn, loop.b))
        ys = [self.load(p.b, place, more, loop.b, mask) for more in block.offsets_b]
        for more in block.offsets_b if self.ahead and mask is None else ():
            self.fetch(p.b, f.add(place, self.ahead + more))
        # Unused lanes hold zeros in both operands, unless an operand does not move along the loop.
        sums = {(m, n): k.call("fma", self.type, xs[m], ys[n], t) for (m, n), t in totals.items()}
        if mask is None or (loop.a and loop.b):
            return sums
        keep = f"select {vector('i1')} {mask}, {self.type}"
        return {at: f.op(f"{keep} {s}, {self.type} {totals[at]}") for at, s in sums.items()}

    def _adjacent(self, loop: Loop) -> bool:
        """Whether results along a loop are adjacent: it is the result's last axis."""
        return loop.output == len(self.task.space) - len(self.prefix) - 1 and self.stored.strides[-1] == 1

    def _set(self, loop: Loop | None, at: Scalar, more: int) -> None:
        if loop is not None and loop.output is not None:
            self.fixed[loop.output] = At(self.k.function.add(at, more))

    def _finish(self, value: str, wide: bool) -> None:
        """The epilogue of a result, or of a vector of results, at the current index."""
        k, f, type_ = self.k, self.k.function, self.type if wide else self.element
        with scope(k):
            if self.task.accumulates:
                held = k.load(self.stored, self.index())
                before = k.widen(held, self.element) if wide else held.name
                value = f.op(f"fadd {type_} {before}, {value}")
            k.remember(self.made, self.index(), Value(value, wide))
            finish(k, self.task, self.index())
