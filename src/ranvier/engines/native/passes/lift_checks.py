"""A pass: checks leave the values that they check, and become one more output, which reports what is out of range.

So values are computed as they would be without checks, in any order, and one kernel examines all of them.
"""

from __future__ import annotations

from typing import Any

from ranvier.engines.native.passes.primitives import FAULT
from ranvier.graph.graph import Graph
from ranvier.graph.node import Node


def lift_checks(graph: Graph) -> Graph:
    """The program without checks, and with a last output ``fault`` if it had any."""
    checked: list[Node] = []
    ranges: list[tuple[Any, ...]] = []

    def change(node: Node, old: Node) -> Node:
        checked.append(node.inputs[0])
        ranges.append(tuple(node.attrs[name] for name in ("low", "high", "ignored")))
        return node.inputs[0]

    plain = graph.changed(change, "check")
    if not checked:
        return graph
    attrs = {"ranges": tuple(ranges)}
    fault = Node(FAULT, tuple(checked), attrs, FAULT.infer([node.type for node in checked], attrs))
    return Graph(plain.inputs, (*plain.outputs, fault), plain.updates)
