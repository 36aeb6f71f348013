"""Engines that are a table: a function of another library for each primitive, with the arguments of `Primitive.value`.

`TableProgram` keeps the contract of `ranvier.engines.Program`. What libraries have no function for is composed of rows
of the table: flags of values out of range here, windows and contractions in `contractions.py`.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ranvier.engines.reference import ReferenceProgram
from ranvier.graph.dtypes import ELEMENT_TYPES, limits
from ranvier.graph.extents import Extent
from ranvier.graph.graph import Graph
from ranvier.graph.loop_passes import unroll_checked
from ranvier.graph.maps import without_maps
from ranvier.graph.node import BATCH, Node, apply, full
from ranvier.graph.simplify import simplify
from ranvier.graph.values import of_operands
from ranvier.support.exits import finite

Array = Any
Attrs = Mapping[str, Any]
Function = Callable[[Sequence[Array], Any, dict[str, Any]], Any]
Table = dict[str, Function]


def prepared(graph: Graph) -> tuple[Graph, bool]:
    """The graph as these engines run it. If it checks values, its last output is whether one is out of range."""
    graph = simplify(without_maps(unroll_checked(graph)))
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
        self.graph = self.lowered(self.graph)
        self.batch = batch or 1
        self.reference = ReferenceProgram(graph, batch)
        self.table, self.adapted = table, adapted
        self.is_windowed = [node.attrs["windowed"] for node in graph.inputs]
        self.is_window = [node.shape[:1] == (BATCH,) for node in graph.outputs]  # without the flag
        self.updated = [graph.inputs.index(target) for target, _ in graph.updates]
        self.samples = [
            i
            for i, node in enumerate(graph.inputs)
            if node.shape and isinstance(node.shape[0], Extent) and not self.is_windowed[i] and i not in self.updated
        ]
        self.held = threading.local()
        self.symbols = [
            (dim.name, i, axis)
            for i, node in enumerate(graph.inputs)
            for axis, dim in enumerate(node.shape)
            if isinstance(dim, Extent)
        ]

    @finite.busy()
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

    @cached_property
    def interpret(self) -> Interpreter:
        """The functions of a step."""
        return Interpreter(self.graph, self.table, *self.adapted)

    def lowered(self, graph: Graph) -> Graph:
        """The graph with what the rows of the library take besides."""
        return graph

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


PICKING: Table = {
    **dict.fromkeys(("stop_gradient", "check", "layout"), lambda a, s, e: a[0]),
    "slice": lambda a, s, e: a[0][tuple(slice(None) if r is None else slice(*r) for r in s["ranges"])],
    "result": lambda a, s, e: a[0][s["index"]],
}
"""Rows that arrays of any library serve alike: their operand, or a part of it."""


def elementwise(functions: Mapping[str, Callable[..., Any]]) -> Table:
    """Rows of functions of the operands alone."""
    return {name: of_operands(function) for name, function in functions.items()}
