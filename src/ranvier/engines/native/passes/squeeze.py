"""A pass: the same program without dimensions of 1, so kernels have no loops of one iteration.

The caller's arrays keep such dimensions: their layout in memory is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ranvier.graph.contraction import Affine
from ranvier.graph.extents import Shape
from ranvier.graph.graph import Graph
from ranvier.graph.node import Node, apply


def squeeze(graph: Graph) -> Graph:
    """Remove dimensions of 1 from every node, by the rule of its primitive."""
    if not any(1 in node.shape for node in graph.nodes()):
        return graph
    result: dict[Node, Node] = {}
    for node in graph.nodes():
        if 1 not in node.shape and all(1 not in i.shape for i in node.inputs):
            inputs = tuple(result[i] for i in node.inputs)
            result[node] = node.on(inputs)
        else:
            other = _unchanged if node.op.kind == "elementwise" else _between_reshapes
            result[node] = _RULES.get(node.op.name, other)(node, [result[i] for i in node.inputs])
    return Graph(
        tuple(result[n] for n in graph.inputs),
        tuple(result[n] for n in graph.outputs),
        tuple((result[target], result[value]) for target, value in graph.updates),
    )


def without_ones(shape: Shape) -> Shape:
    return tuple(d for d in shape if d != 1)


def shaped(node: Node, shape: Shape, **others: Any) -> Node:
    return node if node.shape == tuple(shape) else apply("reshape", node, **{**others, "shape": tuple(shape)})


def _small(node: Node) -> Node:
    return shaped(node, without_ones(node.shape))


def _between_reshapes(node: Node, inputs: list[Node]) -> Node:
    """The primitive on its old shapes, between reshapes."""
    given = [shaped(new, old.shape) for new, old in zip(inputs, node.inputs, strict=True)]
    return _small(Node(node.op, tuple(given), node.attrs, node.type))


def _unchanged(node: Node, inputs: list[Node]) -> Node:
    return apply(node.op.name, *inputs, **node.attrs)


def _new_axes(shape: Shape) -> dict[int, int]:
    """The new axis of each dimension that is not 1."""
    kept = [i for i, d in enumerate(shape) if d != 1]
    return {old: new for new, old in enumerate(kept)}


def _generated(node: Node, inputs: list[Node]) -> Node:
    return apply(node.op.name, *inputs, shape=without_ones(node.shape), dtype=node.dtype)


def _reduce(node: Node, inputs: list[Node]) -> Node:
    new_axes = _new_axes(node.inputs[0].shape)
    axes = tuple(new_axes[a] for a in node.attrs["axes"] if a in new_axes)
    return apply(node.op.name, inputs[0], axes=axes) if axes else inputs[0]


def _transpose(node: Node, inputs: list[Node]) -> Node:
    new_axes = _new_axes(node.inputs[0].shape)
    axes = tuple(new_axes[a] for a in node.attrs["axes"] if a in new_axes)
    return inputs[0] if axes == tuple(range(len(axes))) else apply("transpose", inputs[0], axes=axes)


def _broadcast(node: Node, inputs: list[Node]) -> Node:
    new_axes = _new_axes(node.shape)
    axes = tuple(new_axes[a] for a, d in zip(node.attrs["axes"], node.inputs[0].shape, strict=True) if d != 1)
    shape = without_ones(node.shape)
    return inputs[0] if shape == inputs[0].shape else apply("broadcast", inputs[0], shape=shape, axes=axes)


def _contract(node: Node, inputs: list[Node]) -> Node:
    """Remove loops of one iteration: their variable is 0 in every index."""
    loops, rank = node.attrs["loops"], node.attrs["rank"]
    kept = [i for i, extent in enumerate(loops) if extent != 1]
    number = {old: new for new, old in enumerate(kept)}
    extents = tuple(loops[i] for i in kept)
    operands, index = [], []
    for new, old, functions in zip(inputs, node.inputs, node.attrs["index"], strict=True):
        left = tuple(
            (tuple((number[loop], c) for loop, c in terms if loop in number), offset)
            for dim, (terms, offset) in zip(old.shape, functions, strict=True)
            if dim != 1
        )
        operand, left = read_part(new, left, extents)
        operands.append(operand)
        index.append(left)
    if not kept:
        return apply("mul", *operands)
    return apply("contract", *operands, index=tuple(index), loops=extents, rank=sum(i < rank for i in kept))


def read_part(x: Node, index: tuple[Affine, ...], loops: Sequence[Any]) -> tuple[Node, tuple[Affine, ...]]:
    """Slice an operand to what is read of it, in dimensions that a single loop or none addresses; and the new index.

    A convolution with a single position, for example, reads what its kernel covers there and no more.
    """
    ranges: list[tuple[int, int, int] | None] = []
    left = []
    reached: Any
    for dim, (terms, offset) in zip(x.shape, index, strict=True):
        compound = len(terms) > 1 or any(coefficient != 1 for _, coefficient in terms)
        reached = dim if compound else loops[terms[0][0]] if terms else 1
        ranges.append(None if reached == dim else (offset, offset + reached, 1))
        if terms:
            left.append((terms, offset if reached == dim else 0))
    if not any(ranges):
        return x, index
    return _small(apply("slice", x, ranges=tuple(ranges))), tuple(left)


def _pad(node: Node, inputs: list[Node]) -> Node:
    source, widths = node.inputs[0], node.attrs["widths"]
    kept = [i for i, extent in enumerate(node.shape) if extent != 1 or source.shape[i] != 1]
    if not kept:
        return inputs[0]
    operand = shaped(inputs[0], tuple(source.shape[i] for i in kept))
    return _small(apply("pad", operand, inputs[1], widths=tuple(widths[i] for i in kept)))


def _slice(node: Node, inputs: list[Node]) -> Node:
    pairs = zip(node.inputs[0].shape, node.attrs["ranges"], strict=True)
    ranges = tuple(r for extent, r in pairs if extent != 1)
    return _small(apply("slice", inputs[0], ranges=ranges)) if any(ranges) else inputs[0]


_RULES: dict[str, Callable[[Node, list[Node]], Node]] = {
    "input": lambda node, inputs: apply("input", **{**node.attrs, "shape": without_ones(node.shape)}),
    "constant": lambda node, inputs: _small(node),
    "random": _generated,
    "reduce_sum": _reduce,
    "reduce_max": _reduce,
    "transpose": _transpose,
    "broadcast": _broadcast,
    "reshape": lambda node, inputs: shaped(inputs[0], **node.attrs | {"shape": without_ones(node.shape)}),
    "contract": _contract,
    "pad": _pad,
    "slice": _slice,
}
