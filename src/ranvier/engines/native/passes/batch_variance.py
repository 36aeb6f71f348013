"""A pass for images and sequences: a batch's sum and squared deviations are computed from those of each sample.

A variance needs the mean first, and so two passes over all values, which no cache holds. A sample's own mean and
squared deviations are computed while it is in the cache; those of the batch follow from them, with as small an error.
Source: Chan, Golub and LeVeque 1983, "Algorithms for Computing the Sample Variance", equation 2.1 for many parts.
"""

from __future__ import annotations

from math import prod
from typing import Any

from ranvier.graph.contraction import is_spatial
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, apply, like
from ranvier.graph.sums import deviating


def batch_variance(graph: Graph, batch: int) -> Graph:
    """Compute each sum of squared deviations over a batch, and the sum in its mean, sample by sample."""
    if not is_spatial(graph):
        return graph
    found = {node: total for node in graph.of("reduce_sum") if (total := _sum_in_mean(node)) is not None}
    totals = dict.fromkeys(found.values())
    sums: dict[Node, Node] = {}

    def change(node: Node, old: Node) -> Node:
        if old in totals:
            sums[old] = apply("reduce_sum", _sum_of_each_sample(old, node.inputs[0]), axes=(0,))
            return sums[old]
        return _combined(sums[found[old]], old.attrs["axes"]) if old in found else node

    return graph.changed(change, "reduce_sum")


def _sum_in_mean(node: Node) -> Node | None:
    """Of a sum of squared deviations from the mean over all samples: the sum in that mean. None for other nodes."""
    if node.inputs[0].op.name != "mul":
        return None
    (square,), axes = node.inputs, node.attrs["axes"]
    shape = square.shape
    if shape[0] != BATCH or 0 not in axes or len(axes) < 2 or square.inputs[0] is not square.inputs[1]:
        return None
    known = all(isinstance(shape[axis], int) for axis in axes if axis)
    return deviating(square.inputs[0], axes) if known else None


def _sum_of_each_sample(total: Node, x: Node) -> Node:
    return apply("reduce_sum", x, axes=tuple(axis for axis in total.attrs["axes"] if axis))


def _combined(total: Node, axes: Any) -> Node:
    """The squared deviations within the samples, plus those of the samples' means from the mean of all.

    ``total`` is the sum of all values along these axes, of which its operand has each sample's.
    """
    (sums,) = total.inputs
    (x,) = sums.inputs
    count = float(prod(x.shape[axis] for axis in axes if axis))
    means = sums / like(sums, count)
    kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
    within = x - apply("broadcast", means, shape=x.shape, axes=(0, *kept))
    samples = apply("extent", symbols=(BATCH.name,), dtype=x.dtype)
    samples = apply("broadcast", samples, shape=total.shape, axes=())
    mean = total / (like(total, count) * samples)
    between = means - apply("broadcast", mean, shape=means.shape, axes=tuple(range(1, means.ndim)))
    inside = apply("reduce_sum", within * within, axes=axes)
    return inside + apply("reduce_sum", between * between, axes=(0,)) * like(inside, count)
