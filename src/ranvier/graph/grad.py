"""Reverse-mode differentiation: walks a graph backward and builds ordinary graph."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ranvier.graph.dtypes import ELEMENT_TYPES, FLOATING
from ranvier.graph.node import GraphError, Node, apply, like, topological
from ranvier.graph.pointwise import function_of_one
from ranvier.graph.tiny import snapped


def gradient(output: Node, wrt: Sequence[Node], seed: Node | None = None) -> list[Node]:
    """The derivative of ``output`` by each node of ``wrt``; zeros where it does not depend on one.

    ``seed`` is the derivative of the final value by ``output`` (ones when left out, then output must be a scalar).
    """
    if seed is None:
        if output.shape != ():
            raise GraphError(
                f"the gradient of a value of shape {output.shape} needs a seed; reduce it to a scalar first"
            )
        seed = like(output, 1.0)
    return joint_gradient([output], [seed], wrt)


def joint_gradient(outputs: Sequence[Node], seeds: Sequence[Node], wrt: Sequence[Node]) -> list[Node]:
    """The derivative by each node of ``wrt`` of what the outputs lead to, whose derivatives by them are the seeds."""
    found = derivatives(outputs, seeds, wrt)
    return [part if part is not None else like(node, 0.0) for node, part in zip(wrt, found, strict=True)]


def derivatives(outputs: Sequence[Node], seeds: Sequence[Node], wrt: Sequence[Node]) -> list[Node | None]:
    """`joint_gradient`, and None for a node that the outputs do not depend on."""
    order = topological(outputs)
    wanted = set(wrt)
    depends: set[Node] = set()
    for node in order:
        if node in wanted or any(i in depends for i in node.inputs):
            depends.add(node)
    pending: dict[Node, Node] = {}
    for output, seed in zip(outputs, seeds, strict=True):
        _collect(pending, output, seed)
    _propagate(order, depends, pending, _Functions(order, depends, wanted.union(outputs)))
    return [pending.get(node) for node in wrt]


def _propagate(
    order: Sequence[Node], depends: Collection[Node], pending: dict[Node, Node], functions: _Functions | None = None
) -> None:
    """Add to ``pending`` the derivatives by what the nodes depend on, the last one first."""
    of_results: dict[Node, dict[int, Node]] = {}  # of what has several results, by their indices
    for node in reversed(order):
        g: Any = of_results.get(node) or pending.get(node)
        if g is None or node not in depends or not any(i in depends for i in node.inputs):
            continue
        if functions is not None and (found := functions.at(node)) is not None:
            x, factor = found
            if factor is not None:
                _collect(pending, x, snapped(g * factor))
            continue
        if node.op.gradient is None:
            raise GraphError(f"{node.op.name} has no gradient")
        if node.op.name == "result":
            of_results.setdefault(node.inputs[0], {})[node.attrs["index"]] = g
            continue
        for operand, part in zip(node.inputs, node.op.gradient(node, g), strict=True):
            if part is not None and operand in depends and operand.dtype in FLOATING:
                _collect(pending, operand, part)


class _Functions:
    """The functions of one variable in a graph, and their derivatives. Nodes in ``apart`` are within none."""

    def __init__(self, order: Sequence[Node], depends: Collection[Node], apart: set[Node]) -> None:
        self.depends, self.apart = depends, apart
        self.place = {node: i for i, node in enumerate(order)}
        self.readers: dict[Node, list[Node]] = {node: [] for node in order}
        for node in order:
            for operand in node.inputs:
                self.readers[operand].append(node)

    def at(self, y: Node) -> tuple[Node, Node | None] | None:
        """The node that ``y`` is a function of, and the derivative by it; None if there is none."""
        found = function_of_one(y, self.place, self.readers, self.depends)
        if found is None or not self.apart.isdisjoint(found[1][1:]):
            return None
        x, between = found
        pending = {y: like(y, 1.0)}
        _propagate(between[::-1], {x, *between}, pending)
        return x, pending.get(x)


def _collect(pending: dict[Node, Node], node: Node, part: Node) -> None:
    """Add a part to the derivative by a node."""
    known = pending.get(node)
    pending[node] = part if known is None else _total(known, part)


def _total(a: Node, b: Node) -> Node:
    """The sum of two gradients, in their dtype."""
    row = ELEMENT_TYPES[a.dtype]
    if not row.is_storage:
        return a + b
    wide = [apply("cast", node, dtype=row.arithmetic) for node in (a, b)]
    return apply("cast", wide[0] + wide[1], dtype=row.name)
