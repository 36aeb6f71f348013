"""A pass: divide a network's sums into parts that threads take. How many parts follows from sizes alone.

So sums have one order, whatever the number of threads.
"""

from __future__ import annotations

from ranvier.engines.native.passes.split_features import split_features
from ranvier.engines.native.passes.split_units import split_units
from ranvier.engines.native.passes.virtual_workers import split_samples
from ranvier.graph.graph import Graph


def parallelize(graph: Graph, batch: int) -> Graph:
    """Split hidden units, samples or features: the first of the three that the network's sizes suggest."""
    for split in (split_units, split_samples, split_features):
        divided = split(graph, batch)
        if divided is not None:
            return divided
    return graph
