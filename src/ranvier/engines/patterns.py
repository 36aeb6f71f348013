"""Parts of a graph that are a known computation, such as the normalization of a batch."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from ranvier.graph.node import Node
from ranvier.graph.simplify import scalar_of

Pattern = Any  # the name of a value, a number, or a tuple of a primitive's name and the patterns of its operands
COMMUTATIVE = ("add", "mul")


class Match:
    """Nodes that are patterns: those that the names stand for, and the node of each tuple, by its identity."""

    def __init__(self, **names: Node) -> None:
        self.names = names
        self.found: dict[int, Node] = {}

    def find(self, node: Node, pattern: Pattern) -> bool:
        """Whether the node is this pattern, with the values that the names have so far."""
        node = self.plain(node)
        if isinstance(pattern, str):
            return self.names.setdefault(pattern, node) is node
        if isinstance(pattern, float):
            return bool(scalar_of(node) == pattern)
        if id(pattern) not in self.found and self.is_of(node, *pattern):
            self.found[id(pattern)] = node
        return self.found.get(id(pattern)) is node

    def value(self, pattern: Pattern) -> Node | None:
        """The node of a name, or of a pattern."""
        return self.names.get(pattern) if isinstance(pattern, str) else self.found.get(id(pattern))

    def plain(self, node: Node) -> Node:
        """What is compared of a node."""
        return node

    def is_of(self, node: Node, name: str, *operands: Pattern) -> bool:
        """Whether a node is of this primitive, with operands of these patterns."""
        if node.op.name != name or len(node.inputs) != len(operands):
            return False
        for inputs in permutations(node.inputs) if name in COMMUTATIVE else (node.inputs,):
            names, found = dict(self.names), dict(self.found)
            if all(map(self.find, inputs, operands)):
                return True
            self.names, self.found = names, found
        return False
