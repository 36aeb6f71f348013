"""A rule that computes each element on its own, as maps of the same functions of numbers for all parameters of a step.

So a program holds the rule's operations once, not once for each parameter, and deep networks compile sooner.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ranvier.graph.graph import Graph, Key, input_node
from ranvier.graph.maps import Abstraction
from ranvier.graph.node import GraphError, Node, apply
from ranvier.graph.simplify import simplify
from ranvier.optimizers.arithmetic import Slots, Updated, broadcast


class _Made(NamedTuple):
    """The map of a new value: that of a slot, or of the parameter, which has no name here."""

    slot: str
    body: Graph
    arrays: list[int]  # that it reads, as numbers: the parameter, its gradient, its slots
    scalars: list[Node]  # spread over these


class MappedRule:
    """Calls a rule once for each shape of parameters, and gives what it computes as maps.

    What a user's subclass computes in other ways, such as with a norm, is given as it is.
    """

    def __init__(self, rule: Callable[[Node, Node, Slots, Node, Node], Updated]) -> None:
        self.rule = rule
        self._bodies: dict[Key, Graph] = {}
        self._known: dict[tuple[Any, ...], list[_Made] | None] = {}

    def __call__(self, p: Node, g: Node, slots: Slots, lr: Node, t: Node) -> Updated:
        given = [p, g, *slots.values()]
        form = (p.shape, tuple(slots), tuple([node.dtype for node in given]), lr, t)
        if form not in self._known:
            self._known[form] = self._made(given, slots, lr, t)
        made = self._known[form]
        if made is None:
            return self.rule(p, g, slots, lr, t)
        (_, new), *rest = (
            (slot, apply("map", *[given[i] for i in arrays], *scalars, body=body))
            for slot, body, arrays, scalars in made
        )
        return new, dict(rest)

    def _made(self, given: list[Node], slots: Slots, lr: Node, t: Node) -> list[_Made] | None:
        arrays = [input_node(f"x{i}", node.shape, node.dtype) for i, node in enumerate(given)]
        p, new = self.rule(arrays[0], arrays[1], dict(zip(slots, arrays[2:], strict=True)), lr, t)
        try:
            found = Abstraction([p, *new.values()], arrays)
        except GraphError:
            return None
        return [
            _Made(
                slot, self._bodies.setdefault(body.as_key, simplify(body)), read, [broadcast(s, p.shape) for s in more]
            )
            for slot, (body, read, more) in zip(("", *new), found.bodies, strict=True)
        ]
