"""Products with very sparse data: each element that is not zero is added, times what it meets, to its sums.

Elements are taken in an order in which every sum has its terms in the order of columns.py (`schedule/sparsity.py`). The
sums have the same bits, as long as what a zero meets is finite (except the sign of a sum that underflows to zero).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from ranvier.engines.native.codegen.contraction.sparse import COUNTING
from ranvier.engines.native.codegen.kernel import At, Kernel, Value
from ranvier.engines.native.codegen.loops import along, finish, masked, scope, shared
from ranvier.engines.native.passes.sparse_updates import Dimension
from ranvier.engines.native.schedule.loop_nest import loop_strides
from ranvier.engines.native.schedule.memory_planning import round_up
from ranvier.engines.native.schedule.sparsity import MASK_BITS, Walk
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import View, c_strides
from ranvier.engines.native.target.lanes import ELEMENT, LANES, SIZE, Scalar, tail_mask, vector
from ranvier.graph.node import BATCH, Node

Places = dict[int, Scalar]  # the values of loops


class SparseUpdates:
    """Writes such a kernel. A partial result takes the updates itself; others are summed in the workspace first."""

    def __init__(self, k: Kernel, task: Task, node: Node, walk: Walk, stored: View) -> None:
        self.k, self.f, self.task, self.node, self.walk = k, k.function, task, node, walk
        self.element, self.size = ELEMENT[node.dtype], SIZE[node.dtype]
        self.type = vector(self.element)
        views = task.operands(k.module.view)
        self.data, self.other = views[walk.updates.data], views[1 - walk.updates.data]
        self.steps, self.offset = loop_strides(node, 1 - walk.updates.data, self.other)
        self.loops, self.rank = node.attrs["loops"], node.attrs["rank"]
        self.columns = self.loops[walk.updates.columns]
        self.partial = task.kind == "partial"
        if self.partial:
            self.buffer, self.base = stored.buffer, self.f.mul("%worker", stored.strides[0])
            self.base = self.f.add(self.base, stored.offset)
            self.strides = dict(enumerate(stored.strides[1:]))
        else:
            apart = {d.loop for d in walk.samples}
            self.summed = [loop for loop in range(self.rank) if loop not in apart]
            shape = [
                round_up(self.loops[i], LANES) if i == walk.updates.columns else self.loops[i] for i in self.summed
            ]
            self.elements = prod(shape)
            self.area = k.workspace(self.elements * self.size)
            self.strides = dict(zip(self.summed, c_strides(shape), strict=True))

    def write(self) -> None:
        self.k.module.declarations.update(COUNTING)
        self._around(self.walk.samples, 0, {}, self._sums)

    # --- where --------------------------------------------------------------------------------------------------------

    def _range(self, dimension: Dimension) -> tuple[Scalar, Scalar]:
        """The places along a dimension of the data that this call takes."""
        loop = dimension.loop
        if self.loops[loop] == BATCH and self.partial:
            return "%lo", "%hi"
        if loop < self.rank and dimension.free is None and not self.partial:
            return shared(self.k, self.task, loop)
        return 0, self.k.extent(self.data.shape[dimension.axis])

    def _around(
        self, dimensions: Sequence[Dimension], at: Scalar, places: Places, body: Callable[[Scalar, Places], None]
    ) -> None:
        """Loops over places along dimensions. ``body`` is given the offset in the data, and the loops' values.

        The value of a window's loop is for the first value of the loop with which it moves.
        """
        if not dimensions:
            body(at, places)
            return
        f, (dimension, *rest) = self.f, dimensions
        low, high = self._range(dimension)
        with f.loop(low, high) as turn, scope(self.k):
            place: Scalar = turn.index
            if dimension.step < 0:  # from the last to the first
                place = f.sub(f.add(low, f.sub(high, 1)), place)
            here = f.add(at, f.mul(place, self.data.strides[dimension.axis]))
            own = f.sub(place, dimension.offset)
            self._around(rest, here, {**places, dimension.loop: own}, body)

    def _bounds(self, loop: int, places: Places) -> tuple[Scalar, Scalar]:
        """The values of a loop whose every value each element takes: those within the result and the other operand."""
        f = self.f
        low: Scalar = 0
        high: Scalar = self.loops[loop]
        limits = [(places[d.loop], -d.step, self.loops[d.loop]) for d in self.walk.updates.dimensions if d.free == loop]
        for p, cp, q, cq, offset, extent in self.node.attrs.get("clip", ()):
            if p == loop:
                limits.append((f.add(f.mul(places[q], cq), offset), cp, extent))
        for start, step, extent in limits:  # 0 <= start + step * value < extent
            if step > 0:
                low, high = f.maximum(low, f.sub(0, start)), f.minimum(high, f.sub(extent, start))
            else:
                low, high = f.maximum(low, f.sub(f.add(start, 1), extent)), f.minimum(high, f.add(start, 1))
        return low, high

    # --- sums ---------------------------------------------------------------------------------------------------------

    def _sums(self, at: Scalar, places: Places) -> None:
        """The sums of one sample, or a worker's."""
        k, f = self.k, self.f
        *outer, last = self.walk.terms

        def line(here: Scalar, own: Places) -> None:
            self._line(here, own, last)

        if self.partial:
            self._around(outer, at, places, line)
            return
        with f.loop(0, self.elements, LANES) as turn:
            spot = f.pointer(self.area, turn.index, self.element)
            f.emit(f"store {self.type} zeroinitializer, ptr {spot}, align 64")
        self._around(outer, at, places, line)
        fixed = {d.loop: At(places[d.loop]) for d in self.walk.samples}
        with scope(k):
            self._epilogue([loop for loop in self.summed if loop != self.walk.updates.columns], fixed)

    def _epilogue(self, loops: list[int], fixed: dict[int, At]) -> None:
        """What follows the sums, and the stores."""
        k, f, columns = self.k, self.f, self.walk.updates.columns
        if loops:
            with f.loop(0, self.loops[loops[0]]) as turn, scope(k):
                self._epilogue(loops[1:], {**fixed, loops[0]: At(turn.index)})
            return
        start: Scalar = 0
        for loop, stride in self.strides.items():
            start = f.add(start, f.mul(fixed[loop].base, stride)) if loop != columns else start

        def some(at: At) -> None:
            spot = f.pointer(self.area, f.add(start, at.base), self.element)
            value = f.op(f"load {self.type}, ptr {spot}, align 64")
            index = tuple(at if loop == columns else fixed[loop] for loop in range(self.rank))
            k.remember(self.task.node, index, Value(value, True))
            finish(k, self.task, index)

        along(k, 0, self.columns, some)

    def _line(self, at: Scalar, places: Places, last: Dimension) -> None:
        """Adjacent elements of the data: a mask of up to 64, and then from bit to bit."""
        extent = self.data.shape[last.axis]
        assert isinstance(extent, int)
        whole = extent // MASK_BITS * MASK_BITS
        if whole:
            with self.f.loop(0, whole, MASK_BITS) as turn, scope(self.k):
                self._bits(self.f.add(at, turn.index), places, last, turn.index, MASK_BITS)
        if extent > whole:
            self._bits(self.f.add(at, whole), places, last, whole, extent - whole)

    def _bits(self, at: Scalar, places: Places, last: Dimension, first: Scalar, count: int) -> None:
        k, f = self.k, self.f
        word = "0"
        for more in range(0, count, LANES):
            mask = tail_mask(count - more) if count - more < LANES else None
            with masked(k, mask):
                value = k.load(self._flat(self.data), (At(f.add(at, more), 1),))
            chosen = f.op(f"fcmp une {self.type} {k.widen(value, self.element)}, zeroinitializer")
            bits = f.op(f"bitcast {vector('i1')} {chosen} to i16")
            wide = f.op(f"shl i64 {f.op(f'zext i16 {bits} to i64')}, {more}")
            word = f.op(f"or i64 {word}, {wide}")
        with f.loop(0, f.op(f"call i64 @llvm.ctpop.i64(i64 {word})"), carry=[("i64", word)]) as turn, scope(k):
            (left,) = turn.values
            place = f.op(f"call i64 @llvm.cttz.i64(i64 {left}, i1 true)")
            turn.next = [f.op(f"and i64 {left}, {f.op(f'sub i64 {left}, 1')}")]
            element = k.load(self._flat(self.data), (At(f.add(at, place)),))
            factor = k.widen(element, self.element)
            self._update(factor, list(self.walk.updates.free), {**places, last.loop: f.add(first, place)})

    @staticmethod
    def _flat(view: View) -> View:
        return View(view.buffer, (), (1,), view.offset)

    def _update(self, factor: str, free: list[int], places: Places) -> None:
        """Add an element's products, for all values of the free loops."""
        f = self.f
        if free:
            with f.loop(*self._bounds(free[0], places)) as turn, scope(self.k):
                moved = {
                    d.loop: f.sub(places[d.loop], f.mul(turn.index, d.step))
                    for d in self.walk.updates.dimensions
                    if d.free == free[0]
                }
                self._update(factor, free[1:], {**places, **moved, free[0]: turn.index})
            return
        read: Scalar = self.offset
        for loop, place in places.items():
            read = f.add(read, f.mul(place, self.steps[loop]))
        written: Scalar = self.base if self.partial else 0
        for loop, stride in self.strides.items():
            written = f.add(written, f.mul(places[loop], stride)) if loop in places else written
        for start in range(0, self.columns, LANES):
            left = self.columns - start
            self._add(factor, f.add(read, start), f.add(written, start), tail_mask(left) if left < LANES else None)

    def _add(self, factor: str, read: Scalar, written: Scalar, mask: str | None) -> None:
        """Add 16 products to their sums."""
        k, f = self.k, self.f
        with masked(k, mask):
            value = k.load(View(self.other.buffer, (), (1,)), (At(read, 1),)).name
            if self.partial:
                target = View(self.buffer, (), (1,))
                before = k.load(target, (At(written, 1),)).name
                total = k.call("fma", self.type, factor, value, before)
                k.store(target, (At(written, 1),), Value(total, True))
                return
        spot = f.pointer(self.area, written, self.element)
        before = f.op(f"load {self.type}, ptr {spot}, align 64")
        f.emit(f"store {self.type} {k.call('fma', self.type, factor, value, before)}, ptr {spot}, align 64")
