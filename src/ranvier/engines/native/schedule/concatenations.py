"""Concatenations and paddings: which parts belong to them, what these are computed from, how threads divide them."""

from __future__ import annotations

from collections.abc import Callable

from ranvier.engines.native.schedule.view import joined
from ranvier.graph.node import BATCH, Node, walk


def concatenation_in(node: Node) -> Node | None:
    """The concatenation that a node is, or is a reshape of with joined extents; None if it is neither."""
    source = node.inputs[0] if node.op.name == "reshape" else node
    return source if source.op.name == "concatenate" and joined(node.shape, source.shape) is not None else None


def divisible_axes(node: Node) -> list[int]:
    """The axes of known extent along which threads can divide a concatenation or padding, with all parts of it."""
    if node.op.name == "pad":
        return [axis for axis, width in enumerate(node.attrs["widths"]) if not any(width) and node.shape[axis] != BATCH]
    axes = [axis for axis, dim in enumerate(node.shape) if axis != node.attrs["axis"] and dim != BATCH]
    for operand in node.inputs:
        source = concatenation_in(operand)
        if source is not None:
            groups, own = joined(operand.shape, source.shape), divisible_axes(source)
            axes = [axis for axis in axes if groups and len(groups[axis]) == 1 and groups[axis][0] in own]
    return axes


def data_sources(node: Node, is_read: Callable[[Node], bool] = lambda found: False) -> set[Node]:
    """The values that a node is computed from by movements and elementwise operations, but not beyond what is read."""

    def inner(found: Node) -> bool:
        if is_read(found):
            return False
        moves = found.op.kind == "movement" and found.op.name != "pad"
        return found is node or found.op.kind == "elementwise" or moves

    return {found for found in walk([node], inner) if not inner(found) and found.ndim}
