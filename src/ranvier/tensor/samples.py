"""Samples in recorded calls: the engine divides those of a batch among threads where it knows what a sample is.

A loop of your own records calls on arrays of known shapes. Here the first extent of its images or sequences, and of
what else has as many rows, becomes the symbol that it is in `fit`, where the calls allow that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from ranvier.graph.contraction import is_spatial
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, apply
from ranvier.tensor.called import with_rows
from ranvier.tensor.trace import Leaf, TraceNode


def rows_of(leaves: Sequence[Leaf], used: Sequence[int], overwritten: AbstractSet[int]) -> tuple[int, list[int]]:
    """How many samples a batch has, 0 where none is seen; and the ordinals of the leaves that have as many rows.

    Data are tensors that no module owns and nothing overwrites. The extent with which most of them begin is taken for
    the batch, such as that of tokens and their labels beside a mask of (steps, steps); of several, that of the tensor
    with the most axes, read first.
    """
    data = [o for o in used if o not in overwritten and not hasattr(leaves[o], "path")]
    shapes = {o: leaves[o].spec.shape for o in data}
    begins = Counter(shape[0] for shape in shapes.values() if shape)
    found = [(begins[d], len(s), d) for s in shapes.values() if len(s) > 1 and isinstance(d := s[0], int) and d > 1]
    if not found:
        return 0, []
    *_, rows = max(found, key=lambda each: each[:2])
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
    """Whether the program has images or sequences, and its results are those of so many rows."""
    shapes = [with_rows(node.shape, rows) for node in graph.outputs]
    return is_spatial(graph) and shapes == [root.type.shape for root in roots]
