"""A pass: a contraction whose result is sliced computes the slice alone."""

from __future__ import annotations

from collections import Counter
from itertools import chain

from ranvier.graph.graph import Graph
from ranvier.graph.node import Node


def clip_slices(graph: Graph) -> Graph:
    """Turn a slice of a contraction that nothing else reads into a contraction over fewer places."""
    if not graph.of("slice") or not graph.of("contract"):
        return graph
    uses = Counter(chain(chain.from_iterable([node.inputs for node in graph.nodes()]), graph.roots()))

    def change(node: Node, old: Node) -> Node:
        only = node.inputs[0].op.name == "contract" and uses[old.inputs[0]] == 1
        return _clipped(node) if only else node

    return graph.changed(change, "slice")


def _clipped(node: Node) -> Node:
    (whole,) = node.inputs
    starts = {loop: item[0] for loop, item in enumerate(node.attrs["ranges"]) if item is not None}
    if any(item is not None and item[2] != 1 for item in node.attrs["ranges"]):
        return node

    def moved(terms: tuple[tuple[int, int], ...], offset: int) -> int:
        return int(offset + sum(c * starts.get(loop, 0) for loop, c in terms))

    attrs = dict(whole.attrs)
    attrs["loops"] = (*node.shape, *whole.attrs["loops"][whole.ndim :])
    attrs["index"] = tuple(
        tuple((terms, moved(terms, offset)) for terms, offset in index) for index in whole.attrs["index"]
    )
    return Node(whole.op, whole.inputs, attrs, node.type)
