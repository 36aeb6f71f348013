"""What the steps of a loop carry to the next one."""

from __future__ import annotations

from ranvier.graph.node import Node


def carry_of(result: Node) -> Node | None:
    """The first value of the carry whose last value a result of a loop is; None for a stacked output."""
    (loop,), index = result.inputs, result.attrs["index"]
    return loop.inputs[index] if index < len(loop.attrs["body"].updates) else None


def added_in_place(loop: Node) -> frozenset[int]:
    """The carries of a loop whose next values are written over the old ones: only these are computed from them, each
    element from its own.
    """
    body = loop.attrs["body"]
    readers, roots = body.readers(), [*body.outputs, *(value for _, value in body.updates)]

    def in_place(target: Node, value: Node) -> bool:
        only = set(readers.get(target, ())) == {value} and not readers.get(value) and roots.count(value) == 1
        return only and target not in roots and value.op.kind == "elementwise" and target.ndim > 0

    return frozenset(i for i, pair in enumerate(body.updates) if in_place(*pair))
