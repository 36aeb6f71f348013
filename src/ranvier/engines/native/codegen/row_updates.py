"""The update of the rows of a table that a step used: see `schedule.row_updates`.

The places at which a row is used are chained in a list, ascending, so that its sum is in registers and has the order,
and the bits, of a sum over all rows. Each thread makes the lists for itself, and updates its own columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ranvier.engines.native.codegen.kernel import At, Index, Kernel, Value
from ranvier.engines.native.codegen.loops import along, nest, scope
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.target.lanes import ELEMENT, LANES, Scalar, vector
from ranvier.graph.extents import size
from ranvier.graph.node import Node

NUMBER = 4  # bytes of a number in a list
AHEAD = 8  # places between the one at hand and the one whose row is prefetched
TOGETHER = 2  # vectors of a row whose sums are made at once


def emit_row_update(k: Kernel, task: Task) -> None:
    """Write the new rows, which the last member computes from the sums."""
    f, sums = k.function, task.node
    index, updates = sums.inputs
    ((value, view),) = task.stores
    rows, columns = sums.shape
    lists = _Lists(k, index, rows)  # type: ignore[arg-type]  # the rows are known
    lists.fill()
    low, high = ("%lo", "%hi") if task.division == "split" else (0, k.extent(columns))
    element = ELEMENT[sums.dtype]
    wide = vector(element)

    def sums_of(first: Scalar, parts: Sequence[At]) -> list[Value]:
        with f.chain(str(first), [(wide, "zeroinitializer")] * len(parts)) as loop, scope(k):
            place = lists.places(loop.index)
            for at, total in zip(parts, loop.values, strict=True):
                added = k.value(updates, (*place, at))
                loop.next.append(f.op(f"fadd {wide} {total}, {k.widen(added, element)}"))
            loop.next.append(lists.after(loop.index))
        return [Value(total, True) for total in loop.results]

    def update(number: Scalar, row: str, parts: Sequence[At]) -> None:
        for at, total in zip(parts, sums_of(number, parts), strict=True):
            target = (At(row), at)
            k.remember(sums, target, total)
            k.store(view, target, k.value(value, target))

    def fetch(number: Scalar) -> None:
        """Ask for a row that is written later: the rows of adjacent places are far apart."""
        later = lists.places(f.minimum(f.add(number, AHEAD), f.sub(count, 1)))
        row = lists.row(later)
        with f.loop(low, high, LANES) as loop:
            k.prefetch(view, (At(row), At(loop.index)))

    def one(place: Index) -> None:
        number, row = lists.number(place), lists.row(place)
        fetch(number)
        with f.when(lists.is_first(number, row)), scope(k):
            full = f.end_of_whole(low, high, TOGETHER * LANES)
            if full != low:
                with f.loop(low, full, TOGETHER * LANES) as loop, scope(k):
                    update(number, row, [At(f.add(loop.index, i * LANES), 1) for i in range(TOGETHER)])
            if full != high:
                along(k, full, high, lambda at: update(number, row, [at]))

    count = lists.count()
    nest(k, [(0, k.extent(extent)) for extent in index.shape], one, wide=False)


class _Lists:
    """For each row the first place that uses it, and for each place the next; -1 for none."""

    def __init__(self, k: Kernel, index: Node, rows: int) -> None:
        self.k, self.index, self.rows = k, index, rows
        work = k.workspace(NUMBER * (rows + size(index.shape, k.module.batch)))
        self.heads, self.next = work, k.function.pointer(work, rows, "i32")

    def fill(self) -> None:
        f = self.k.function
        ranges = [(0, self.k.extent(extent)) for extent in self.index.shape]

        def clear(place: Index) -> None:
            row = self.row(place)
            with f.when(self.inside(row)):
                self._set(self.heads, row, "-1")

        def put_first(turn: Index) -> None:
            place = tuple(At(f.sub(f.sub(high, 1), at.base)) for at, (_, high) in zip(turn, ranges, strict=True))
            row, number = self.row(place), self.number(place)
            with f.when(self.inside(row)):
                self._set(self.next, number, self._get(self.heads, row))
                self._set(self.heads, row, f.op(f"trunc i64 {number} to i32"))

        nest(self.k, ranges, clear, wide=False)
        nest(self.k, ranges, put_first, wide=False)

    def count(self) -> Scalar:
        """How many places there are."""
        number: Scalar = 1
        for extent in self.index.shape:
            number = self.k.function.mul(number, self.k.extent(extent))
        return number

    def row(self, place: Index) -> str:
        return self.k.as_position(self.k.value(self.index, place), self.index.dtype)

    def inside(self, row: str) -> str:
        return self.k.function.op(f"icmp ult i64 {row}, {self.rows}")

    def number(self, place: Index) -> Scalar:
        """The number of a place in row-major order."""
        f, number = self.k.function, place[0].base
        for at, extent in zip(place[1:], self.index.shape[1:], strict=True):
            number = f.add(f.mul(number, self.k.extent(extent)), at.base)
        return number

    def places(self, number: Scalar) -> Index:
        """The place of a number."""
        f, found = self.k.function, list[At]()
        inner = [int(extent) for extent in self.index.shape[1:]]  # type: ignore[arg-type]  # they are known
        for i in range(len(inner) + 1):
            step = prod(inner[i:])
            found.append(At(f.floor_divide(number, step)))
            number = f.remainder(number, step)
        return tuple(found)

    def is_first(self, number: Scalar, row: str) -> str:
        """Whether a place is the first that uses its row."""
        f = self.k.function
        inside = self.inside(row)
        safe = f.op(f"select i1 {inside}, i64 {row}, i64 0")
        same = f.op(f"icmp eq i64 {self._wide(self._get(self.heads, safe))}, {number}")
        return f.op(f"and i1 {inside}, {same}")

    def after(self, number: Scalar) -> str:
        return self._wide(self._get(self.next, number))

    def _wide(self, number: str) -> str:
        return self.k.function.op(f"sext i32 {number} to i64")

    def _get(self, list_: str, place: Scalar) -> str:
        f = self.k.function
        return f.op(f"load i32, ptr {f.pointer(list_, place, 'i32')}, align {NUMBER}")

    def _set(self, list_: str, place: Scalar, number: str) -> None:
        f = self.k.function
        f.emit(f"store i32 {number}, ptr {f.pointer(list_, place, 'i32')}, align {NUMBER}")
