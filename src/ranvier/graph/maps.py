"""`map`: a function of numbers, applied to each element of arrays of one shape.

The function is a graph of elementwise primitives over scalars. An optimizer's rule is one for all parameters of a step,
so passes see a node for each new value in place of the rule's operations; an engine writes these where it computes the
value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ranvier.graph.grad import derivatives
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import GraphError, Node, Type, apply, topological, walk


def map_type(types: Sequence[Type], attrs: Mapping[str, Any]) -> Type:
    body = attrs["body"]
    wanted = [node.dtype for node in body.inputs]
    if not types or len({type_.shape for type_ in types}) > 1 or [type_.dtype for type_ in types] != wanted:
        raise GraphError(f"the operands must have one shape and the dtypes {', '.join(wanted)}")
    return Type(types[0].shape, body.outputs[0].dtype)


def map_value(arrays: Sequence[Any], attrs: Mapping[str, Any], extents: Mapping[str, int]) -> Any:
    body = attrs["body"]
    values = dict(zip(body.inputs, arrays, strict=True))
    for node in body.nodes():
        if node not in values:
            values[node] = node.op.value([values[i] for i in node.inputs], node.attrs, extents)
    return values[body.outputs[0]]


def map_gradient(node: Node, g: Node) -> list[Node | None]:
    bodies = _derivatives(node.attrs["body"], g.dtype)
    return [None if body is None else apply("map", *node.inputs, g, body=body) for body in bodies]


@lru_cache(maxsize=64)
def _derivatives(body: Graph, dtype: str) -> list[Graph | None]:
    """The derivative by each operand, as functions of the operands and of that of the result."""
    seed = input_node("g", (), dtype)
    found = derivatives(body.outputs, [seed], body.inputs)
    return [None if part is None else Graph((*body.inputs, seed), (part,)) for part in found]


def inlined(node: Node, made: dict[tuple[Any, ...], Node] | None = None) -> Node:
    """The value of a map by operations on whole arrays. Equal ones are taken from ``made``, to which new ones go."""
    body, made = node.attrs["body"], {} if made is None else made
    value = dict(zip(body.inputs, node.inputs, strict=True))
    for inner in body.nodes():
        if inner in value:
            continue
        inputs = tuple([value[i] for i in inner.inputs])
        key = inner.op, inputs or inner, inner.dtype
        if key not in made:
            spread = not inputs and node.shape  # a constant
            type_ = Type(node.shape, inner.dtype)
            made[key] = (
                apply("broadcast", inner, shape=node.shape, axes=())
                if spread
                else Node(inner.op, inputs, inner.attrs, type_)
            )
        value[inner] = made[key]
    return value[body.outputs[0]]


def operations(node: Node) -> list[str]:
    """The names of the primitives that a node is: a map is several."""
    if node.op.name != "map":
        return [node.op.name]
    return [inner.op.name for inner in node.attrs["body"].nodes() if inner.inputs]


def without_maps(graph: Graph) -> Graph:
    """The graph with the operations of its maps."""
    return graph.changed(lambda node, old: inlined(node), "map")


class Abstraction:
    """Values of one shape that elementwise operations compute from ``arrays``, as functions of numbers.

    ``bodies`` has for each value the body of its map, the numbers of the arrays that it reads, and the scalars that are
    spread over them, which are its further operands. Raises GraphError for values that are computed in other ways.
    """

    def __init__(self, values: Sequence[Node], arrays: Sequence[Node]) -> None:
        self.shape, self.arrays = arrays[0].shape, arrays
        self._inner = {node: input_node(f"x{i}", (), node.dtype) for i, node in enumerate(arrays)}
        self._scalars = dict[Node, Node]()
        self.bodies = [self._body(self._abstract(value)) for value in values]
        if not set(arrays).isdisjoint(walk(self._scalars, lambda node: True)):
            raise GraphError("a number that is computed from all elements is spread over them")

    def _body(self, result: Node) -> tuple[Graph, list[int], list[Node]]:
        read = {*topological([result])}
        places = [i for i, node in enumerate(self.arrays) if self._inner[node] in read]
        scalars = [node for node, inner in self._scalars.items() if inner in read]
        inputs = [*(self._inner[self.arrays[i]] for i in places), *(self._scalars[node] for node in scalars)]
        return Graph(tuple(inputs), (result,)), places, scalars

    def _abstract(self, node: Node) -> Node:
        found = self._inner.get(node)
        if found is None:
            found = self._inner[node] = self._made(node)
        return found

    def _made(self, node: Node) -> Node:
        if node.op.name == "broadcast" and not node.inputs[0].shape:
            (scalar,) = node.inputs
            if scalar.op.name == "constant":
                return scalar
            return self._scalars.setdefault(scalar, input_node(f"s{len(self._scalars)}", (), scalar.dtype))
        if node.op.kind != "elementwise" or node.shape != self.shape:
            raise GraphError(f"{node.op.name} is no elementwise operation on these arrays")
        return Node(node.op, tuple([self._abstract(i) for i in node.inputs]), node.attrs, Type((), node.dtype))
