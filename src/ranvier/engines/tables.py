"""Engines that are a table: a function of another library for each primitive, with the arguments of `Primitive.value`.

`TableProgram` keeps the contract of `ranvier.engines.Program`. What libraries have no function for is composed here of
rows of the table: windows, indices that are affine in several loops, flags of values out of range.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.engines.reference import ReferenceProgram
from ranvier.graph.dtypes import ELEMENT_TYPES, limits
from ranvier.graph.graph import Graph
from ranvier.graph.loop_passes import unroll_checked
from ranvier.graph.node import BATCH, Node, Symbol, apply, full
from ranvier.graph.simplify import common_subexpressions, simplify

Array = Any
Attrs = Mapping[str, Any]
Function = Callable[[Sequence[Array], Any, dict[str, Any]], Any]
Table = dict[str, Function]
FEW = 16  # places in a window that are read one by one


def prepared(graph: Graph) -> tuple[Graph, bool]:
    """The graph as these engines run it. If it checks values, its last output is whether one is out of range."""
    graph = simplify(common_subexpressions(unroll_checked(graph)))
    flags = [flag for node in graph.nodes() if node.op.name == "check" and (flag := _flag(node)) is not None]
    if not flags:
        return graph, False
    any_ = flags[0]
    for flag in flags[1:]:
        any_ = apply("maximum", any_, flag)
    return Graph(graph.inputs, (*graph.outputs, any_), graph.updates), True


def _flag(check: Node) -> Node | None:
    """1 if an element is out of range, else 0. None if no element can be."""
    (x,), attrs = check.inputs, check.attrs
    if 0 in x.shape:
        return None
    low, high = attrs["low"], attrs["high"]
    if ELEMENT_TYPES[x.dtype].category == "integer":
        least, most = limits(x.dtype)
        low, high = max(low, least), min(high, most)
    inside = apply("logical_and", *(
        apply("less_equal", *pair) for pair in ((full(low, x.shape, x.dtype), x), (x, full(high, x.shape, x.dtype)))
    ))  # fmt: skip
    if attrs["ignored"] is not None:
        inside = apply("logical_or", inside, apply("equal", x, full(attrs["ignored"], x.shape, x.dtype)))
    flags = apply("cast", apply("logical_not", inside), dtype="int32")
    return apply("reduce_max", flags, axes=tuple(range(x.ndim))) if x.ndim else flags


def numbered(device: str) -> tuple[str, int]:
    """The kind of a device and its number, which is 0 where the name has none."""
    kind, _, number = device.partition(":")
    return kind, int(number) if number.isdigit() else 0


class Interpreter:
    """The functions of a graph's nodes, called in order. A value is released after its last use.

    ``adapted`` may give another function for a node than its row.
    """

    def __init__(
        self, graph: Graph, table: Table, adapted: Callable[[Function, Node], Function] = lambda row, node: row
    ) -> None:
        order = [node for node in graph.nodes() if node.op.name != "input"]
        place = {node: i for i, node in enumerate((*graph.inputs, *order))}
        last: dict[int, int] = {}
        for i, node in enumerate(order):
            last |= dict.fromkeys((place[operand] for operand in node.inputs), i)
        self.outputs = [place[node] for node in graph.outputs]
        self.updates = [place[value] for _, value in graph.updates]
        kept = {*self.outputs, *self.updates}
        ends: list[list[int]] = [[] for _ in order]
        for operand, i in last.items():
            if operand not in kept:
                ends[i].append(operand)
        self.steps = [
            (adapted(table[node.op.name], node), [place[i] for i in node.inputs], node.attrs, released)
            for node, released in zip(order, ends, strict=True)
        ]

    def __call__(self, arrays: Sequence[Array], extents: dict[str, Any]) -> tuple[list[Array], list[Array]]:
        """The outputs, and the new values of updated inputs."""
        values = list(arrays)
        for function, operands, attrs, released in self.steps:
            values.append(function([values[i] for i in operands], attrs, extents))
            for i in released:
                values[i] = None
        return [values[i] for i in self.outputs], [values[i] for i in self.updates]


class TableProgram(ABC):
    """A graph on an engine of a table. A subclass runs steps of equally many rows."""

    def __init__(self, graph: Graph, batch: int | None, table: Table, *adapted: Any) -> None:
        self.graph, self.has_flag = prepared(graph)
        self.batch = batch or 1
        self.reference = ReferenceProgram(graph, batch)
        self.interpret = Interpreter(self.graph, table, *adapted)
        self.is_windowed = [node.attrs["windowed"] for node in graph.inputs]
        self.is_window = [node.shape[:1] == (BATCH,) for node in graph.outputs]  # without the flag
        self.updated = [graph.inputs.index(target) for target, _ in graph.updates]
        self.samples = [
            i
            for i, node in enumerate(graph.inputs)
            if node.shape and isinstance(node.shape[0], Symbol) and not self.is_windowed[i] and i not in self.updated
        ]
        self.held = threading.local()
        self.symbols = [
            (dim.name, i, axis)
            for i, node in enumerate(graph.inputs)
            for axis, dim in enumerate(node.shape)
            if isinstance(dim, Symbol)
        ]

    def run(
        self, arrays: Sequence[Array], outputs: Sequence[Array], start: int = 0, stop: int = 1, total: int | None = None
    ) -> None:
        """See `ranvier.engines.Program`. A step that finds a value out of range is the reference engine's to report."""
        if start == 0:
            self.held.data = {}
        whole = stop if total is None else min(stop, total // self.batch)
        for first, last, rows in (
            (start, whole, self.batch),
            (max(start, whole), stop, (total or 0) - whole * self.batch),
        ):
            done = first
            while done < last:
                done = self.run_equal(arrays, outputs, done, last, rows)
                if done < last:
                    self.reference.run(arrays, outputs, done, done + 1, total)
                    done += 1
        if total is None or stop * self.batch >= total:
            self.held.data = {}

    def placed(self, arrays: Sequence[Array], place: Callable[[Array], Array]) -> list[Array]:
        """The arrays on the device, to which ``place`` brings them. Samples come once a pass, with its first step."""
        data = self.held.__dict__.setdefault("data", {})
        result = []
        for i, array in enumerate(arrays):
            if i not in self.samples:
                result.append(place(array))
                continue
            if i not in data or data[i][0] is not array:
                data[i] = array, place(self.aligned(i, array))
            result.append(data[i][1])
        return result

    def aligned(self, number: int, array: Array) -> Array:
        """The samples of an input, in memory that the library can use as it is, if it cannot use theirs."""
        return array

    @abstractmethod
    def run_equal(self, arrays: Sequence[Array], outputs: Sequence[Array], start: int, stop: int, rows: int) -> int:
        """Run steps of ``rows`` rows. Returns the first one that was not run, because a value is out of range."""

    def extents(self, given: Sequence[Array], rows: int) -> dict[str, int]:
        """The extents of symbols in a step that sees these arrays."""
        return {BATCH.name: rows} | {name: int(given[i].shape[axis]) for name, i, axis in self.symbols}

    def given(self, arrays: Sequence[Array], step: int, rows: int) -> list[Array]:
        """What a step sees of each array."""
        low = step * self.batch
        return [a[low : low + rows] if part else a for a, part in zip(arrays, self.is_windowed, strict=True)]

    def write(self, outputs: Sequence[Array], results: Sequence[Array], step: int, rows: int) -> None:
        """Write a step's results, which are NumPy's arrays."""
        low = step * self.batch
        for target, result, part in zip(outputs, results, self.is_window, strict=True):
            np.copyto(target[low : low + rows] if part else target, result)


def elementwise(functions: Mapping[str, Callable[..., Any]]) -> Table:
    """Rows of functions of the operands alone."""

    def row(function: Callable[..., Any]) -> Function:
        return lambda arrays, attrs, extents: function(*arrays)

    return {name: row(function) for name, function in functions.items()}


# --- compositions of rows -----------------------------------------------------------------------------------------


def windows(table: Table) -> Function:
    """The row of windows. Those side by side are a reshape, small ones slices that are stacked, others a gather."""

    def value(arrays: Sequence[Array], attrs: Attrs, extents: dict[str, Any]) -> Any:
        (x,) = arrays
        for axis, size, stride, dilation in reversed(attrs["axes"]):
            shape = tuple(x.shape)
            count = (shape[axis] - (size - 1) * dilation - 1) // stride + 1
            before, after = shape[:axis], shape[axis + 1 :]
            if size == stride and dilation == 1:
                x = _sliced(table, x, axis, (0, count * size, 1))
                x = table["reshape"]([x], {"shape": (*before, count, size, *after)}, extents)
            elif size <= FEW:
                starts = [i * dilation for i in range(size)]
                parts = [_sliced(table, x, axis, (i, i + (count - 1) * stride + 1, stride)) for i in starts]
                wide = [table["reshape"]([p], {"shape": (*before, count, 1, *after)}, extents) for p in parts]
                x = table["concatenate"](wide, {"axis": axis + 1}, extents)
            else:
                x = _taken(table, x, axis, np.arange(count)[:, None] * stride + np.arange(size) * dilation)
        return x

    return value


def _sliced(table: Table, x: Array, axis: int, part: tuple[int, int, int]) -> Array:
    if part == (0, x.shape[axis], 1):
        return x
    ranges = tuple(part if a == axis else None for a in range(len(x.shape)))
    return table["slice"]([x], {"ranges": ranges}, {})


def _taken(table: Table, x: Array, axis: int, places: Any) -> Array:
    """The elements at ``places`` along an axis, which becomes the axes of ``places``."""
    rank, more = len(x.shape), places.ndim
    front = [axis, *(a for a in range(rank) if a != axis)]
    index = table["constant"]([], {"value": places.astype(np.int32)}, {})
    x = table["gather"]([table["transpose"]([x], {"axes": front}, {}), index], {}, {})
    axes = [*range(more, more + axis), *range(more), *range(more + axis, more + rank - 1)]
    return table["transpose"]([x], {"axes": axes}, {})


class Operand:
    """An operand of a contraction, with the loops of its dimensions: a pair where a window is read."""

    def __init__(
        self, table: Table, x: Array, index: Sequence[Any], sizes: Sequence[int], pairs: Sequence[int]
    ) -> None:
        self.table, self.x = table, x
        self.loops: list[Any] = []
        self.backward: list[int] = []  # loops that the result, or the other operand, has to turn
        for dim, (terms, offset) in enumerate(index):
            self._read(terms, offset, sizes, dim in pairs)

    def _read(self, terms: Sequence[tuple[int, int]], offset: int, sizes: Sequence[int], is_window: bool) -> None:
        """Slice, turn or gather the next dimension."""
        axis = len(self.loops)
        steps = [abs(c) for _, c in terms]
        turned = [loop for loop, c in terms if c < 0]
        first = offset + sum(c * (sizes[loop] - 1) for loop, c in terms if c < 0)
        extent = sum(c * (sizes[loop] - 1) for (loop, _), c in zip(terms, steps, strict=True)) + 1
        if is_window:
            self.x = _sliced(self.table, self.x, axis, (first, first + extent, 1))
            self.loops.append(tuple(loop for loop, _ in terms))
            self.backward += turned
        elif len(terms) == 1 and steps[0]:
            self.x = _sliced(self.table, self.x, axis, (first, first + extent, steps[0]))
            if turned:
                self.x = self.table["reverse"]([self.x], {"axes": (axis,)}, {})
            self.loops.append(terms[0][0])
        else:
            places = np.array(offset)
            for loop, c in terms:
                places = places[..., None] + c * np.arange(sizes[loop])
            self.x = _taken(self.table, self.x, axis, places)
            self.loops += [loop for loop, _ in terms]

    def arranged(self, *groups: Sequence[Any]) -> Array:
        """With a dimension for each group of loops, in this order. A window's pair of loops is one of them."""
        order = [self.loops.index(loop) for group in groups for loop in group]
        x = self.table["transpose"]([self.x], {"axes": order}, {})
        shape, at = [], 0
        for group in groups:
            count = 1
            for dim in x.shape[at : at + len(group)]:
                count *= dim
            at += len(group)
            shape.append(count)
        return self.table["reshape"]([x], {"shape": tuple(shape)}, {})

    def sum_over(self, loops: Sequence[int]) -> None:
        """Sum over loops that only this operand has."""
        axes = tuple(i for i, loop in enumerate(self.loops) if loop in loops)
        if axes:
            self.x = self.table["reduce_sum"]([self.x], {"axes": axes}, {})
            self.loops = [loop for loop in self.loops if loop not in loops]


def contraction(table: Table, einsum: Callable[..., Any], convolve: Callable[..., Any], most: int = 3) -> Function:
    """The row of contractions.

    ``einsum(a, loops of a, b, loops of b, loops of the result)`` computes those without windows. ``convolve(x, w,
    strides, dilations, groups)`` has no padding; its operands are (rows, *positions, channels of all groups) and
    (*places, channels of one group, filters of all groups), with at most ``most`` positions.
    """

    def value(arrays: Sequence[Array], attrs: Attrs, extents: dict[str, Any]) -> Any:
        sizes = [extents[n.name] if isinstance(n, Symbol) else n for n in attrs["loops"]]
        index, rank = attrs["index"], attrs["rank"]
        pairs = [_windows_of(index[side], index[1 - side], rank, sizes) for side in (0, 1)]
        side = next((i for i in (0, 1) if 0 < len(pairs[i]) <= most), None)
        if side is None:
            a, b = (Operand(table, x, own, sizes, ()) for x, own in zip(arrays, index, strict=True))
            if _first(b, a, rank) < _first(a, b, rank):  # a product is (rows of the first, columns of the second)
                a, b = b, a
            return einsum(a.x, a.loops, b.x, b.loops, list(range(rank)))
        x = Operand(table, arrays[side], index[side], sizes, pairs[side])
        w = Operand(table, arrays[1 - side], index[1 - side], sizes, ())
        terms = [sorted(index[side][dim][0], key=lambda t: t[0] >= rank) for dim in pairs[side]]
        return _convolution(table, convolve, x, w, terms, sizes, rank)

    return value


def _first(operand: Operand, other: Operand, rank: int) -> int:
    """The first loop of the result that only this operand has."""
    return min((loop for loop in operand.loops if loop < rank and loop not in other.loops), default=rank)


def _windows_of(own: Sequence[Any], other: Sequence[Any], rank: int, sizes: Sequence[int]) -> list[int]:
    """The dimensions in which the operand is read as a convolution reads it: at the sum of a loop of the result, which
    only this dimension has, and one that is summed over and is a dimension of the other operand. None if another
    dimension is none of one loop.
    """
    loops = [[loop for terms, _ in index for loop, _ in terms] for index in (own, other)]
    if 0 in sizes or any(len(set(each)) < len(each) for each in loops):
        return []
    if any(len(terms) != 1 for terms, _ in other):
        return []
    found = []
    for dim, (terms, _) in enumerate(own):
        if len(terms) == 1:
            continue
        outer, inner = ([loop for loop, _ in terms if (loop >= rank) == after] for after in (False, True))
        if len(outer) != 1 or len(inner) != 1 or outer[0] in loops[1] or inner[0] not in loops[1]:
            return []
        found.append(dim)
    return found


def _convolution(
    table: Table, convolve: Callable[..., Any], x: Operand, w: Operand, terms: Sequence[Any], sizes: Sequence[int],
    rank: int,
) -> Any:  # fmt: skip
    """A contraction with windows as a convolution. ``terms``: the loops of each window, that of the result first."""
    positions, places = ([term[i][0] for term in terms] for i in (0, 1))
    for own, other in ((x, w), (w, x)):
        kept = {*other.loops, *places, *range(rank)}
        own.sum_over([loop for loop in own.loops if not isinstance(loop, tuple) and loop not in kept])
    plain = [loop for loop in x.loops if not isinstance(loop, tuple)]
    groups = [loop for loop in plain if loop in w.loops and loop < rank]
    channels = [loop for loop in plain if loop in w.loops and loop >= rank]
    rows = [loop for loop in plain if loop not in w.loops]
    filters = [loop for loop in w.loops if loop < rank and loop not in groups]
    turned = tuple(i for i, loop in enumerate(w.loops) if loop in x.backward)
    if turned:
        w.x = table["reverse"]([w.x], {"axes": turned}, {})
    windows_ = [next(p for p in x.loops if isinstance(p, tuple) and position in p) for position in positions]
    found = convolve(
        x.arranged(rows, *([pair] for pair in windows_), [*groups, *channels]),
        w.arranged(*([place] for place in places), channels, [*groups, *filters]),
        [abs(term[0][1]) for term in terms], [abs(term[1][1]) for term in terms],
        int(np.prod([sizes[loop] for loop in groups], dtype=int)),
    )  # fmt: skip
    loops = [*rows, *positions, *groups, *filters]
    found = table["reshape"]([found], {"shape": tuple(sizes[loop] for loop in loops)}, {})
    turned = tuple(i for i, loop in enumerate(loops) if loop in x.backward)
    if turned:
        found = table["reverse"]([found], {"axes": turned}, {})
    return table["transpose"]([found], {"axes": [loops.index(loop) for loop in range(rank)]}, {})
