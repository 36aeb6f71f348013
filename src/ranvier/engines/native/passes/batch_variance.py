"""A pass for large samples: the sum and the squared deviations over a batch from those of each of its samples.

A variance needs the mean first, and so two walks over all values, which no cache holds. A sample's own mean and squared
deviations are made while it is at hand; those of the batch follow from them, as exactly. Source: Chan, Golub and
LeVeque 1983, "Algorithms for Computing the Sample Variance", equation 2.1 for many parts.
"""

from __future__ import annotations

from math import prod

from ranvier.engines.native.passes.virtual_workers import spatial
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, apply, like
from ranvier.graph.sums import deviating


def by_sample(graph: Graph) -> Graph:
    """The graph with each sum of squared deviations over images, and the sum in their mean, made sample by sample."""
    if not spatial(graph):
        return graph
    found = {node: total for node in graph.nodes() if (total := _squared(node)) is not None}
    totals = set(found.values())
    result: dict[Node, Node] = {}
    for node in graph.nodes():
        inputs = tuple(result[i] for i in node.inputs)
        if node in totals:
            result[node] = apply("reduce_sum", _sums(node, inputs[0]), axes=(0,))
        elif node in found:
            result[node] = _joined(found[node], result)
        else:
            result[node] = node.on(inputs)
    return graph.rebuild(lambda n: result[n])


def _squared(node: Node) -> Node | None:
    """The sum in the mean, if a node is the sum of an image's squared deviations from it over all samples."""
    if node.op.name != "reduce_sum" or node.inputs[0].op.name != "mul":
        return None
    (square,), axes = node.inputs, node.attrs["axes"]
    shape = square.shape
    inner = all(isinstance(shape[axis], int) for axis in axes if axis)
    if (
        square.inputs[0] is not square.inputs[1]
        or shape[0] != BATCH
        or 0 not in axes
        or len(axes) < 2
        or not inner
    ):
        return None
    return deviating(square.inputs[0], axes)


def _sums(total: Node, x: Node) -> Node:
    """A sum's part of each sample."""
    return apply("reduce_sum", x, axes=tuple(axis for axis in total.attrs["axes"] if axis))


def _joined(total: Node, result: dict[Node, Node]) -> Node:
    """The squared deviations within the samples, and those of the samples' means from the mean of all."""
    x, axes = result[total.inputs[0]], total.attrs["axes"]
    count = float(prod(x.shape[axis] for axis in axes if axis))
    sums = result[total].inputs[0]
    means = sums / like(sums, count)
    kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
    within = x - apply("broadcast", means, shape=x.shape, axes=(0, *kept))
    samples = apply("extent", symbols=(BATCH.name,), dtype=x.dtype)
    mean = result[total] / (like(result[total], count) * _everywhere(samples, result[total]))
    between = means - apply("broadcast", mean, shape=means.shape, axes=tuple(range(1, means.ndim)))
    inside = apply("reduce_sum", within * within, axes=axes)
    return inside + apply("reduce_sum", between * between, axes=(0,)) * like(inside, count)


def _everywhere(number: Node, like_this: Node) -> Node:
    return apply("broadcast", number, shape=like_this.shape, axes=())
