"""A pass: a contraction whose result is sliced computes the slice alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import chain

from ranvier.graph.graph import Graph
from ranvier.graph.node import Node


def clip_slices(graph: Graph, may_step: Callable[[Node], bool] = lambda whole: False) -> Graph:
    """Turn a slice of a contraction that nothing else reads into a contraction over fewer places.

    Steps of the slice, along other axes than the last, become strides of what is read where ``may_step`` allows it for
    the contraction. The gradient of a transposed convolution by its inputs, for example, is such a slice.
    """
    if not graph.of("slice") or not graph.of("contract"):
        return graph
    uses = Counter(chain(chain.from_iterable([node.inputs for node in graph.nodes()]), graph.roots()))

    def change(node: Node, old: Node) -> Node:
        only = node.inputs[0].op.name == "contract" and uses[old.inputs[0]] == 1
        return _clipped(node, may_step) if only else node

    return graph.changed(change, "slice")


def _clipped(node: Node, may_step: Callable[[Node], bool]) -> Node:
    (whole,) = node.inputs
    ranges = node.attrs["ranges"]
    starts = {loop: item[0] for loop, item in enumerate(ranges) if item is not None}
    steps = {loop: item[2] for loop, item in enumerate(ranges) if item is not None and item[2] != 1}
    if steps and (min(steps.values()) < 1 or node.ndim - 1 in steps or not may_step(whole)):
        return node

    def stepped(terms: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        return tuple((loop, c * steps.get(loop, 1)) for loop, c in terms)

    def moved(terms: tuple[tuple[int, int], ...], offset: int) -> int:
        return int(offset + sum(c * starts.get(loop, 0) for loop, c in terms))

    attrs = dict(whole.attrs)
    attrs["loops"] = (*node.shape, *whole.attrs["loops"][whole.ndim :])
    attrs["index"] = tuple(
        tuple((stepped(terms), moved(terms, offset)) for terms, offset in index) for index in whole.attrs["index"]
    )
    return Node(whole.op, whole.inputs, attrs, node.type)
