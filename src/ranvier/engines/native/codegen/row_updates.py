"""The update of the rows of a table that a step used: see `schedule.row_updates`.

The places at which a row is used are chained in a list, ascending, so that its sum is in registers and has the order,
and the bits, of a sum over all rows. Each thread makes the lists of its own rows, and updates these. Which rows these
are, a hash of their numbers decides: frequent rows often have small numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple

from ranvier.engines.native.codegen.kernel import At, Index, Kernel, Value
from ranvier.engines.native.codegen.loops import along, scope
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.target.lanes import ELEMENT, LANES, Scalar, vector
from ranvier.graph.extents import size
from ranvier.graph.node import Node, extent, extents

NUMBER = 4  # bytes of a number in a list
AHEAD = 8  # places between the one at hand and the one whose row is prefetched
TOGETHER = 2  # vectors of a row whose sums are made at once
HASH = 0x9E3779B1  # the odd number nearest to 2**32 / 1.618 (Knuth, The Art of Computer Programming 3, section 6.4)


def emit_row_update(k: Kernel, task: Task) -> None:
    """Write the new rows, which the last member computes from the sums."""
    f, sums = k.function, task.node
    index, updates = sums.inputs
    ((value, view),) = task.stores
    lists, columns = _Lists(k, index, extent(sums, 0)), sums.shape[1]
    lists.fill(("%lo", "%hi") if task.division == "split" else None)
    low, high = 0, k.extent(columns)
    element = ELEMENT[sums.dtype]
    wide = vector(element)

    def added(total: str, number: Scalar, at: At) -> str:
        part = k.value(updates, (*lists.places(number), at))
        return f.op(f"fadd {wide} {total}, {k.widen(part, element)}")

    def of_one(number: Scalar, parts: Sequence[At]) -> list[str]:
        return [added("zeroinitializer", number, at) for at in parts]

    def of_several(number: Scalar, parts: Sequence[At]) -> list[str]:
        with f.chain(str(number), [(wide, "zeroinitializer")] * len(parts)) as loop, scope(k):
            totals = [added(total, loop.index, at) for at, total in zip(parts, loop.values, strict=True)]
            loop.next = [*totals, lists.after(loop.index)]
        return loop.results

    def update(listed: Listed, sums_of: Callable[[Scalar, Sequence[At]], list[str]]) -> None:
        def write(number: Scalar, row: str, parts: Sequence[At]) -> None:
            for at, total in zip(parts, sums_of(number, parts), strict=True):
                target = (At(row), at)
                k.remember(sums, target, Value(total, True))
                k.store(view, target, k.value(value, target))

        with f.loop(0, listed.length) as turn, scope(k):
            later = lists.listed(listed, f.minimum(f.add(turn.index, AHEAD), f.sub(listed.length, 1)))
            fetched = lists.row(lists.places(later))  # rows are far apart in memory
            with f.loop(low, high, LANES) as loop:
                k.prefetch(view, (At(fetched), At(loop.index)), written=True)
            number = lists.listed(listed, turn.index)
            row = lists.row(lists.places(number))
            full = f.end_of_whole(low, high, TOGETHER * LANES)
            if full != low:
                with f.loop(low, full, TOGETHER * LANES) as loop, scope(k):
                    write(number, row, [At(f.add(loop.index, i * LANES), 1) for i in range(TOGETHER)])
            if full != high:
                along(k, full, high, lambda at: write(number, row, [at]))

    once, several = lists.first_places()
    update(once, of_one)
    update(several, of_several)


class Listed(NamedTuple):
    """Places in a list: where it is, and how many there are."""

    start: str
    length: str


class _Lists:
    """For each row the first place that uses it, and for each place the next; -1 for none.

    Rows that are used once have a list of their own, so that a processor need not guess which these are.
    """

    def __init__(self, k: Kernel, index: Node, rows: int) -> None:
        self.k, self.index, self.rows = k, index, rows
        most = size(index.shape, k.module.batch)
        work = k.workspace(NUMBER * (rows + 3 * most))
        starts = (rows, rows + most, rows + 2 * most)
        self.heads, (self.next, self.once, self.several) = work, [k.function.pointer(work, n, "i32") for n in starts]
        # The places of this thread's rows, and these rows: each is read before the lists of first places overwrite it.
        self.own, self.own_rows = self.several, self.once
        self.many: Scalar = 0  # how many these are

    def fill(self, part: tuple[str, str] | None) -> None:
        """Make the lists of all rows or, with the number of this thread and that of all threads, of its part."""
        f = self.k.function

        def take(place: Index, many: str) -> str:
            row, number = self.row(place), self.number(place)
            inside = self.inside(row)
            with f.when(inside):
                self._set(self.heads, row, "-1")
            self._set(self.own, many, f.op(f"trunc i64 {number} to i32"))  # the next one overwrites it if it is not own
            self._set(self.own_rows, many, f.op(f"trunc i64 {row} to i32"))
            mine = inside if part is None else f.op(f"and i1 {inside}, {self._is_own(row, *part)}")
            return str(f.add(many, f.op(f"zext i1 {mine} to i64")))

        self.many = self._along(take, (), "0")
        with f.loop(0, self.many) as turn, scope(self.k):
            last = f.sub(f.sub(self.many, 1), turn.index)
            number, row = self._get(self.own, last), self._wide(self._get(self.own_rows, last))
            self._set(self.next, self._wide(number), self._get(self.heads, row))
            self._set(self.heads, row, number)

    def _along(self, take: Callable[[Index, str], str], place: Index, many: str) -> str:
        """``many`` after ``take`` of all places whose index begins with this one."""
        if len(place) == len(self.index.shape):
            return take(place, many)
        extent = self.k.extent(self.index.shape[len(place)])
        with self.k.function.loop(0, extent, carry=[("i64", many)]) as loop, scope(self.k):
            loop.next = [self._along(take, (*place, At(loop.index)), loop.values[0])]
        return loop.results[0]

    def _is_own(self, row: str, thread: str, threads: str) -> str:
        """Whether a row belongs to a thread."""
        f = self.k.function
        hashed = f.op(f"and i64 {f.op(f'mul i64 {row}, {HASH}')}, {(1 << 32) - 1}")
        return f.op(f"icmp eq i64 {f.op(f'lshr i64 {f.mul(hashed, threads)}, 32')}, {thread}")

    def first_places(self) -> tuple[Listed, Listed]:
        """The first places of the rows that are used once, and of those that are used several times, ascending."""
        f = self.k.function
        with f.loop(0, self.many, carry=[("i64", "0")] * 2) as loop, scope(self.k):
            place, row = (self._wide(self._get(list_, loop.index)) for list_ in (self.own, self.own_rows))
            first = f.op(f"icmp eq i64 {self._wide(self._get(self.heads, row))}, {place}")
            last = f.op(f"icmp slt i64 {self.after(place)}, 0")
            only = f.op(f"and i1 {first}, {last}")
            more = f.op(f"xor i1 {first}, {only}")
            number = f.op(f"trunc i64 {place} to i32")
            for list_, end, holds in zip((self.once, self.several), loop.values, (only, more), strict=True):
                self._set(list_, end, number)  # the next one overwrites it if it does not belong here
                loop.next.append(str(f.add(end, f.op(f"zext i1 {holds} to i64"))))
        return Listed(self.once, loop.results[0]), Listed(self.several, loop.results[1])

    def listed(self, places: Listed, turn: Scalar) -> str:
        """The number of a place in a list."""
        return self._wide(self._get(places.start, turn))

    def count(self) -> Scalar:
        """How many places there are."""
        number: Scalar = 1
        for dim in self.index.shape:
            number = self.k.function.mul(number, self.k.extent(dim))
        return number

    def row(self, place: Index) -> str:
        return self.k.as_position(self.k.value(self.index, place), self.index.dtype)

    def inside(self, row: str) -> str:
        return self.k.function.op(f"icmp ult i64 {row}, {self.rows}")

    def number(self, place: Index) -> Scalar:
        """The number of a place in row-major order."""
        f, number = self.k.function, place[0].base
        for at, dim in zip(place[1:], self.index.shape[1:], strict=True):
            number = f.add(f.mul(number, self.k.extent(dim)), at.base)
        return number

    def places(self, number: Scalar) -> Index:
        """The place of a number."""
        f, found = self.k.function, list[At]()
        inner = extents(self.index, 1)
        for i in range(len(inner) + 1):
            step = prod(inner[i:])
            found.append(At(f.floor_divide(number, step)))
            number = f.remainder(number, step)
        return tuple(found)

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
