"""Reverse-mode differentiation: walks a graph backward and builds ordinary graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier.graph.dtypes import ELEMENT_TYPES, FLOATING
from ranvier.graph.node import GraphError, Node, apply, like, topological


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
    of_results: dict[Node, dict[int, Node]] = {}  # of what has several results, by their indices
    for output, seed in zip(outputs, seeds, strict=True):
        pending[output] = _total(pending[output], seed) if output in pending else seed
    for node in reversed(order):
        g: Any = of_results.get(node) or pending.get(node)
        if g is None or node not in depends or not any(i in depends for i in node.inputs):
            continue
        if node.op.gradient is None:
            raise GraphError(f"{node.op.name} has no gradient")
        if node.op.name == "result":
            of_results.setdefault(node.inputs[0], {})[node.attrs["index"]] = g
            continue
        for operand, part in zip(node.inputs, node.op.gradient(node, g), strict=True):
            if part is not None and operand in depends and operand.dtype in FLOATING:
                known = pending.get(operand)
                pending[operand] = part if known is None else _total(known, part)
    return [pending.get(node) for node in wrt]


def _total(a: Node, b: Node) -> Node:
    """The sum of two gradients, in their dtype."""
    row = ELEMENT_TYPES[a.dtype]
    if not row.is_storage:
        return a + b
    wide = [apply("cast", node, dtype=row.arithmetic) for node in (a, b)]
    return apply("cast", wide[0] + wide[1], dtype=row.name)
