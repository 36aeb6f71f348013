"""Kernels of reductions: down columns, along adjacent elements, and argmax."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ranvier.engines.native.codegen.elementwise import combine
from ranvier.engines.native.codegen.kernel import At, Index, Kernel, Value
from ranvier.engines.native.codegen.loops import along, carried, finish, masked, nest, panels, scope, shared
from ranvier.engines.native.codegen.register_reductions import accumulate, across, identity, is_larger, pieces
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.target.lanes import ELEMENT, LANES, Scalar, vector
from ranvier.graph.node import BATCH, Node

EXTREMA = 4  # running extrema along a row, in whatever order; one alone would wait for its own last comparison
PANEL = 4  # vectors of results that are summed together: one alone would wait for its own last addition
Term = Callable[[tuple[At, ...], Sequence[str]], list[str]]  # adds the elements at an inner index to running sums


@dataclass
class Reduction:
    """A reduction being written."""

    k: Kernel
    task: Task
    node: Node  # the reduction itself, also if the task's anchor is a partial result of it
    prefix: Index  # the worker's index, before the result's own index

    def __post_init__(self) -> None:
        operand = self.node.inputs[0]
        axes = list(self.node.attrs["axes"])
        self.kept = [i for i in range(operand.ndim) if i not in axes]
        by_sample = self.k.module.samples_adjacent and operand.shape[0] == BATCH
        self.lane = 0 if by_sample else operand.ndim - 1  # the axis along which elements are adjacent
        self.axes = sorted(axes, key=lambda axis: (axis == self.lane, axis))

    def range(self, axis: int) -> tuple[Scalar, Scalar]:
        """The range of a reduced axis that this call sums."""
        extent = self.node.inputs[0].shape[axis]
        return ("%lo", "%hi") if self.prefix and axis == 0 else (0, self.k.extent(extent))

    def full(self, index: Index, inner: Sequence[At]) -> Index:
        """The operand's index, from the result's index and the positions along the reduced axes."""
        places = dict(zip(self.kept, index, strict=True)) | dict(zip(self.axes, inner, strict=True))
        return tuple(places[i] for i in range(len(places)))

    def start(self, index: Index) -> Value | None:
        """The value to add to, if samples come in several calls."""
        return self.k.load(self.task.stores[0][1], (*self.prefix, *index)) if self.task.accumulates else None

    def done(self, index: Index, value: Value) -> None:
        self.k.remember(self.task.node, (*self.prefix, *index), value)
        finish(self.k, self.task, (*self.prefix, *index))

    def chains(self, vectors: int) -> int:
        """How many independent running sums each vector of results has."""
        extent = self.node.inputs[0].shape[self.axes[-1]]
        enough = len(self.axes) > 1 and isinstance(extent, int) and extent >= PANEL
        return PANEL // vectors if enough and vectors <= PANEL // 2 else 1

    def _level(self, term: Term, inner: tuple[At, ...], chains: list[list[str]]) -> list[list[str]]:
        """Add the inner axes, of each element its ``term``; along the last one, the chains take turns."""
        f, type_ = self.k.function, vector(ELEMENT[self.node.dtype])
        depth, number = len(inner), len(chains)
        if depth == len(self.axes):
            return [term(inner, totals) for totals in chains]
        low, high = self.range(self.axes[depth])
        turns, rest = 1, 0
        if depth == len(self.axes) - 1 and number > 1:
            assert isinstance(low, int)
            assert isinstance(high, int)
            turns, rest = number, (high - low) % number
        carry = [(type_, total) for totals in chains for total in totals]
        with f.loop(low, f.sub(high, rest), turns, carry=carry) as loop, scope(self.k):
            now = _cut(loop.values, number)
            if turns == 1:
                now = self._level(term, (*inner, At(loop.index)), now)
            else:
                now = [term((*inner, At(f.add(loop.index, i))), own) for i, own in enumerate(now)]
            loop.next = [total for totals in now for total in totals]
        chains = _cut(loop.results, number)
        for i in range(rest):
            chains[i] = term((*inner, At(f.sub(high, rest - i))), chains[i])
        return chains

    def columns(self, indices: Sequence[tuple[Index, str | None]], chains: int) -> None:
        """16 results at each of several indices, every one the sum down its column."""
        k, f, node = self.k, self.k.function, self.node
        element = ELEMENT[node.dtype]
        type_ = vector(element)

        def term(inner: tuple[At, ...], totals: Sequence[str]) -> list[str]:
            result = []
            for (index, mask), total in zip(indices, totals, strict=True):
                with masked(k, mask):
                    value = k.widen(k.value(node.inputs[0], self.full(index, inner)), element)
                result.append(combine(k, node, type_, total, value))
            return result

        def several(totals: list[str]) -> list[str]:
            """Down the first axis, sum the results of several chains: one chain would wait for itself."""
            computed_here = [[identity(node, type_)] * len(indices) for _ in range(chains)]
            low, high = self.range(self.axes[0])
            with f.loop(low, high, carry=[(type_, total) for total in totals]) as loop, scope(k):
                parts = self._level(term, (At(loop.index),), computed_here)
                while len(parts) > 1:
                    pairs = zip(parts[::2], parts[1::2], strict=True)
                    parts = [[combine(k, node, type_, *two) for two in zip(*pair, strict=True)] for pair in pairs]
                both = zip(loop.values, parts[0], strict=True)
                loop.next = [combine(k, node, type_, total, part) for total, part in both]
            return loop.results

        first = []
        for index, mask in indices:
            with masked(k, mask):
                before = self.start(index)
            first.append(identity(node, type_) if before is None else k.widen(before, element))
        totals = several(first) if chains > 1 else self._level(term, (), [first])[0]
        for (index, mask), total in zip(indices, totals, strict=True):
            with masked(k, mask), scope(k):
                self.done(index, Value(total, True))

    def panels(self, outer: Index, columns: int) -> None:
        """All columns of a result whose last extent is known: a few vectors at a time, then the rest."""
        f = self.k.function

        def panel(start: Scalar, count: int) -> None:
            parts = [((*outer, At(f.add(start, at.base), 1)), mask) for at, mask in pieces(count)]
            self.columns(parts, self.chains(len(parts)))

        panels(self.k, 0, columns, PANEL * LANES, panel)

    def some_panels(self, outer: Index, low: Scalar, high: Scalar) -> None:
        """A range of columns of a result: two vectors at a time, then the rest.

        Which vectors are paired depends on where a thread's range begins, so all have the same number of running sums.
        """
        f, chains = self.k.function, self.chains(2)
        full = f.end_of_whole(low, high, 2 * LANES)
        with f.loop(low, full, 2 * LANES) as turn, scope(self.k):
            self.columns([((*outer, At(f.add(turn.index, more), 1)), None) for more in (0, LANES)], chains)
        along(self.k, full, high, lambda at: self.columns([((*outer, at), self.k.mask)], chains))

    def _lanes(self, index: Index, inner: tuple[At, ...], total: str) -> str:
        """16 running sums after those of the inner axes."""
        k, f, node = self.k, self.k.function, self.node
        element = ELEMENT[node.dtype]
        type_ = vector(element)

        def part(at: Scalar, total: str) -> str:
            value = k.widen(k.value(node.inputs[0], self.full(index, (*inner, At(at, 1)))), element)
            return accumulate(k, node, type_, total, value, k.mask)

        low, high = self.range(self.axes[len(inner)])
        if len(inner) < len(self.axes) - 1:
            with f.loop(low, high, carry=[(type_, total)]) as loop, scope(k):
                loop.next = [self._lanes(index, (*inner, At(loop.index)), loop.values[0])]
            return loop.results[0]
        chains = EXTREMA if node.op.combine == "maximum" else 1
        whole = f.add(low, f.multiple(f.sub(high, low), chains * LANES)) if chains > 1 else low
        if whole != low:
            with f.loop(low, whole, chains * LANES, carry=[(type_, total)] * chains) as loop, scope(k):
                loop.next = [part(f.add(loop.index, i * LANES), own) for i, own in enumerate(loop.values)]
            total = functools.reduce(lambda a, b: combine(k, node, type_, a, b), loop.results)
        (result,) = carried(k, whole, high, [(type_, total)], lambda at, own: [part(at, own[0])])
        return result

    def along(self, index: Index) -> None:
        """One result at a time: 16 running sums along the adjacent elements, then the tree."""
        k, node = self.k, self.node
        element = ELEMENT[node.dtype]
        total = across(k, node, self._lanes(index, (), identity(node, vector(element))))
        before = self.start(index)
        if before is not None:
            total = combine(k, node, element, before.name, total)
        self.done(index, Value(total, False))


def _cut(values: Sequence[str], parts: int) -> list[list[str]]:
    """Split a list into ``parts`` lists of equal length."""
    size = len(values) // parts
    return [list(values[i : i + size]) for i in range(0, len(values), size)]


def emit_reduce(k: Kernel, task: Task) -> None:
    node = task.node
    if node.op.name == "argmax":
        emit_argmax(k, task, node)
        return
    partial_ = task.kind == "partial"
    r = Reduction(k, task, node.attrs["inner"] if partial_ else node, (At("%worker"),) if partial_ else ())
    operand = r.node.inputs[0]
    ranges: list[tuple[Scalar, Scalar]] = [(0, k.extent(operand.shape[i])) for i in r.kept]
    if not partial_:
        ranges = [shared(k, task, axis) for axis in range(len(r.kept))]
    if r.lane in r.axes:
        nest(k, ranges, r.along, wide=False)
    elif r.lane == r.kept[-1]:
        low, high = ranges[-1]
        if low == 0 and isinstance(high, int):
            nest(k, ranges[:-1], lambda index: r.panels(index, high), wide=False)
        else:
            nest(k, ranges[:-1], lambda index: r.some_panels(index, low, high), wide=False)
    else:
        nest(k, ranges, lambda index: r.columns([(index, k.mask)], r.chains(1)), wide=False)


def emit_start(k: Kernel, task: Task) -> None:
    """Initialize a worker's partial sum."""
    inner = task.node.attrs["inner"]
    element = ELEMENT[inner.dtype]
    zero = Value(identity(inner, element), False)
    ranges: list[tuple[Scalar, Scalar]] = [(0, k.extent(d)) for d in inner.shape]
    for _, view in task.stores:
        nest(k, ranges, lambda index, view=view: k.store(view, (At("%worker"), *index), zero), wide=True)  # type: ignore[misc]


def _beside(index: Index, axis: int, at: At) -> Index:
    return (*index[:axis], at, *index[axis:])


def emit_argmax(k: Kernel, task: Task, node: Node) -> None:
    """Argmax along any axis: one result at a time, one element after another."""
    f, operand, axis = k.function, node.inputs[0], node.attrs["axis"]
    element = ELEMENT[operand.dtype]
    kept = [i for i in range(operand.ndim) if i != axis]
    ranges = [shared(k, task, place) for place in range(len(kept))]

    def one(index: Index) -> None:
        first = k.value(operand, _beside(index, axis, At(0))).name
        with f.loop(0, k.extent(operand.shape[axis]), carry=[(element, first), ("i32", "0")]) as loop, scope(k):
            value = k.value(operand, _beside(index, axis, At(loop.index))).name
            better = is_larger(k, operand.dtype, element, value, loop.values[0])
            place = f.op(f"trunc i64 {loop.index} to i32")
            loop.next = [
                f.op(f"select i1 {better}, {element} {value}, {element} {loop.values[0]}"),
                f.op(f"select i1 {better}, i32 {place}, i32 {loop.values[1]}"),
            ]
        k.remember(node, index, Value(loop.results[1], False))
        finish(k, task, index)

    nest(k, ranges, one, wide=False)
