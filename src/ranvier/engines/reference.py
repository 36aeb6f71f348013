"""The reference engine: NumPy, one node at a time. It is the definition that every other engine is tested against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ranvier.graph.checks import ERRORS, in_step
from ranvier.graph.extents import Extent
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH
from ranvier.support.exits import finite

Array = Any


def evaluate(
    graph: Graph, arrays: Sequence[Array], extents: Mapping[str, int], start: int = 0
) -> tuple[list[Array], list[Array]]:
    """The outputs and the new values of the updated inputs, in order. A value is freed after its last use.

    ``start`` is the number of the batch's first row, for errors.
    """
    values: dict[Any, Array] = dict(zip(graph.inputs, arrays, strict=True))
    order = [node for node in graph.nodes() if node not in values]
    readers = Counter((*graph.roots(), *(i for node in order for i in node.inputs)))
    with np.errstate(all="ignore"):
        for node in order:
            try:
                values[node] = node.op.value([values[i] for i in node.inputs], node.attrs, extents)
            except ERRORS as error:
                if node.op.name != "check":
                    raise
                raise in_step(error, node, start) from None
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

    @finite.busy()
    def run(
        self, arrays: Sequence[Array], outputs: Sequence[Array], start: int = 0, stop: int = 1, total: int | None = None
    ) -> None:
        batch = self.batch or 1
        for step in range(start, stop):
            low = step * batch
            high = low + batch if total is None else min(low + batch, total)
            given = [a[low:high] if n.attrs["windowed"] else a for n, a in zip(self.graph.inputs, arrays, strict=True)]
            extents = {BATCH.name: high - low}
            for node, array in zip(self.graph.inputs, given, strict=True):
                for dim, size in zip(node.shape, array.shape, strict=True):
                    if isinstance(dim, Extent):
                        extents[dim.name] = size
            results, updated = evaluate(self.graph, given, extents, low)
            for node, result, target in zip(self.graph.outputs, results, outputs, strict=True):
                window = bool(node.shape) and node.shape[0] == BATCH
                (target[low:high] if window else target)[...] = result
            for (node, _), new in zip(self.graph.updates, updated, strict=True):
                given[self.graph.inputs.index(node)][...] = new


def compile(graph: Graph, batch: int | None = None) -> ReferenceProgram:
    """Nothing to compile: the interpreter runs the graph as it is."""
    return ReferenceProgram(graph, batch)
