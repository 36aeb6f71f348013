"""Samples in recorded calls: the engine divides the images of a batch among threads where it knows what a sample is.

A loop of your own records calls on arrays of known shapes. Here the first extent of its images, and of what else has as
many rows, becomes the symbol that it is in `fit`, where the calls allow that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from ranvier.graph.contraction import is_spatial
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, apply
from ranvier.tensor.trace import Leaf, TraceNode

IMAGE_AXES = 4  # samples, channels, height, width


def rows_of(leaves: Sequence[Leaf], used: Sequence[int], overwritten: AbstractSet[int]) -> tuple[int, list[int]]:
    """How many samples a batch of images has, 0 without images; and the ordinals of the leaves that have as many rows.

    Data are tensors that no module owns and nothing overwrites.
    """
    data = [o for o in used if o not in overwritten and not hasattr(leaves[o], "path")]
    shapes = {o: leaves[o].spec.shape for o in data}
    counts = {shape[0] for shape in shapes.values() if len(shape) >= IMAGE_AXES}
    rows = counts.pop() if len(counts) == 1 else 0
    if not isinstance(rows, int) or rows < 2:
        return 0, []
    return rows, [o for o, shape in shapes.items() if shape[:1] == (rows,)]


def with_symbol(inputs: Mapping[int, tuple[Node, Node]], having: Sequence[int]) -> dict[int, tuple[Node, Node]]:
    """The inputs of a program and their values, some with a symbol for their rows."""
    changed = dict(inputs)
    for o in having:
        node, value = inputs[o]
        if node is value:  # stored in the order of its axes
            symbolic = apply("input", **{**node.attrs, "shape": (BATCH, *node.shape[1:])})
            changed[o] = symbolic, symbolic
    return changed


def keeps_types(graph: Graph, roots: Sequence[TraceNode], rows: int) -> bool:
    """Whether the program has images, and its results are those of so many rows."""
    shapes = [tuple(rows if d == BATCH else d for d in node.shape) for node in graph.outputs]
    return is_spatial(graph) and shapes == [root.type.shape for root in roots]
