"""A pass for images and sequences: weights that vectors would gather with a stride are packed once a step.

The gradient of a convolution by its inputs runs along the input channels, and the kernel stores the output channels
next to each other. A product of many rows packs what it needs by itself (`codegen/contraction/pack_panel.py`). Here,
where a kernel takes one or a few samples at a time, it would do so once for each of them. Where threads divide the
outputs, it does so once.
"""

from __future__ import annotations

from typing import Any

from ranvier.engines.native.passes.primitives import packed
from ranvier.engines.native.passes.wide_products import divides_outputs
from ranvier.engines.native.target.lanes import LANES
from ranvier.graph.contraction import is_spatial
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node

Packed = dict[tuple[Node, tuple[int, ...]], Node]


def pack_weights(graph: Graph, batch: int) -> Graph:
    """Transpose and pack weights so that the last loop of the result is their last dimension."""
    if not is_spatial(graph):
        return graph
    known: Packed = {}
    return graph.changed(lambda node, old: _of_packed(node, known), "contract")


def _is_dot(node: Node, last: int, ends: list[Any]) -> bool:
    """Whether both operands end with the same long sum, and so few columns remain that they leave most lanes idle."""
    terms, offset = ends[0]
    loops = node.attrs["loops"]
    along = len(terms) == 1 and terms[0][1] == 1 and offset == 0 and all(end == ends[0] for end in ends)
    return along and terms[0][0] > last and loops[last] < LANES // 2 and loops[terms[0][0]] >= LANES


def packed_axes(node: Node, side: int) -> tuple[int, ...] | None:
    """The order of an operand's axes in which vectors along the last loop of the result read adjacent elements.

    None where they do already, or where no order lets them.
    """
    last, operand, functions = node.attrs["rank"] - 1, node.inputs[side], node.attrs["index"][side]
    dims = [dim for dim, (terms, _) in enumerate(functions) if any(loop == last for loop, _ in terms)]
    if last < 0 or len(dims) != 1 or dims[0] == operand.ndim - 1:
        return None
    if _is_dot(node, last, [functions[-1] for functions in node.attrs["index"] if functions]):
        return None
    return (*(a for a in range(operand.ndim) if a != dims[0]), dims[0])


def _of_packed(node: Node, known: Packed) -> Node:
    """The contraction of packed weights; ``known`` are those that other contractions read, by operand and axes."""
    if BATCH not in node.attrs["loops"][: node.attrs["rank"] - 1] or divides_outputs(node):
        return node
    result = node
    for side, operand in enumerate(node.inputs):
        axes = None if BATCH in operand.shape else packed_axes(node, side)
        if axes is None:
            continue
        if (operand, axes) not in known:
            known[operand, axes] = packed(operand, axes)
        result = reading(result, side, known[operand, axes], axes)
    return result


def reading(product: Node, side: int, operand: Node, axes: tuple[int, ...]) -> Node:
    """The product with one operand replaced by itself with its axes in another order."""
    inputs, index = list(product.inputs), list(product.attrs["index"])
    inputs[side], index[side] = operand, tuple(index[side][a] for a in axes)
    return Node(product.op, tuple(inputs), {**product.attrs, "index": tuple(index)}, product.type)
