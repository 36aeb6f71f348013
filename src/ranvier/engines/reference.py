"""The reference engine: NumPy, one node at a time. It is the definition that every other engine is tested against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Symbol

Array = Any

# SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): what its state grows by,
# and how the state becomes a random number: what it is shifted by, and multiplied by after that.
GOLDEN = 0x9E3779B97F4A7C15
MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))


def evaluate(
    graph: Graph, arrays: Sequence[Array], extents: Mapping[str, int]
) -> tuple[list[Array], list[Array]]:
    """The outputs and the new values of the updated inputs, in order. A value is let go after its last use."""
    values: dict[Any, Array] = dict(zip(graph.inputs, arrays, strict=True))
    order = [node for node in graph.nodes() if node not in values]
    readers = Counter((*graph.roots(), *(i for node in order for i in node.inputs)))
    with np.errstate(all="ignore"):
        for node in order:
            values[node] = node.op.value([values[i] for i in node.inputs], node.attrs, extents)
            for i in node.inputs:
                readers[i] -= 1
                if not readers[i]:
                    del values[i]
    # A new value may be (a view of) another updated input's array, so it is copied before any is written.
    return [values[n] for n in graph.outputs], [np.array(values[v]) for _, v in graph.updates]


class ReferenceProgram:
    """A graph ready to run. See `ranvier.engines.Program` for the contract that every engine keeps."""

    def __init__(self, graph: Graph, batch: int | None = None) -> None:
        self.graph = graph
        self.batch = batch

    def run(
        self,
        arrays: Sequence[Array],
        outputs: Sequence[Array],
        start: int = 0,
        stop: int = 1,
        total: int | None = None,
    ) -> None:
        batch = self.batch or 1
        for step in range(start, stop):
            low = step * batch
            high = low + batch if total is None else min(low + batch, total)
            given = [
                a[low:high] if n.attrs["windowed"] else a
                for n, a in zip(self.graph.inputs, arrays, strict=True)
            ]
            extents = {BATCH.name: high - low}
            for node, array in zip(self.graph.inputs, given, strict=True):
                for dim, size in zip(node.shape, array.shape, strict=True):
                    if isinstance(dim, Symbol):
                        extents[dim.name] = size
            results, updated = evaluate(self.graph, given, extents)
            for node, result, target in zip(self.graph.outputs, results, outputs, strict=True):
                window = bool(node.shape) and node.shape[0] == BATCH
                (target[low:high] if window else target)[...] = result
            for (node, _), new in zip(self.graph.updates, updated, strict=True):
                given[self.graph.inputs.index(node)][...] = new


def target() -> str:
    """What programs are made for: NumPy, whatever the processor."""
    return "numpy"


def compile(graph: Graph, batch: int | None = None) -> ReferenceProgram:
    """Nothing to compile: the interpreter runs the graph as it is."""
    return ReferenceProgram(graph, batch)


def shuffled(
    rows: Array, seed: int, *, beside: bool = False, into: Array | None = None
) -> Callable[[], Array]:
    """int32 numbers in an order that ``seed`` (64 bits) alone decides, as an array: Fisher and Yates's shuffle.

    From the last place on, each changes places with one up to itself, drawn by SplitMix64. The order is a call away, as
    where another thread makes it; none is ever asked to here.
    """
    with np.errstate(over="ignore"):
        bits = np.uint64(seed) + np.arange(1, max(len(rows), 1), dtype=np.uint64) * np.uint64(GOLDEN)
        for shift, factor in MIX:
            bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    numbers = rows.tolist()
    for last, drawn in zip(range(len(numbers) - 1, 0, -1), bits.tolist(), strict=True):
        other = drawn * (last + 1) >> 64
        numbers[last], numbers[other] = numbers[other], numbers[last]
    order = np.empty_like(rows) if into is None else into
    order[...] = numbers
    return lambda: order
