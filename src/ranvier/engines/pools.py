"""Pools of maxima and their gradients as one operation each, for libraries that have functions for them.

In the graph, a gradient that goes to the first maximum of a window is ten operations on all its elements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ranvier.graph.dtypes import FLOATS
from ranvier.graph.graph import Graph
from ranvier.graph.node import PRIMITIVES, GraphError, Node, Primitive, Type
from ranvier.graph.simplify import scalar_of

Attrs = dict[str, Any]


def _no_value(arrays: Any, attrs: Attrs, extents: Any) -> Any:
    raise GraphError("only the libraries compute it")


def _given(types: Sequence[Type], attrs: Attrs) -> Type:
    found: Type = attrs["type"]
    return found


def own_primitive(name: str) -> Primitive:
    """A primitive of the engines of libraries alone. A node of it has its type as an attribute."""
    return Primitive(name, "library", _given, _no_value)


POOL = own_primitive("max_pool")
"""The maxima of windows of images, and their places, in a form of the library: two results."""
UNPOOL = own_primitive("max_unpool")
"""The gradient (of the maxima, their places) by the images."""


def with_pools(graph: Graph, has: Callable[[Node, Attrs], bool] = lambda node, attrs: True) -> Graph:
    """Maxima of windows of images, whose channels are first or last, as pools, where the library has such ones."""

    def change(node: Node, old: Node) -> Node:
        if node.op.name == "reduce_max" and (attrs := _pool_of(node)) is not None and has(node, attrs):
            pool = Node(POOL, node.inputs[0].inputs, {**attrs, "type": node.type}, node.type)
            return _result(pool, 0, node.type)
        if node.op.name == "reshape" and (found := _gradient_of(node)) is not None:
            g, pool = found
            places = _result(pool, 1, Type(pool.shape, "int64"))
            return Node(UNPOOL, (g, places), {**pool.attrs, "type": node.type}, node.type)
        if node.op.name == "pad" and (whole := node.inputs[0]).op is UNPOOL and node.shape == whole.attrs["images"]:
            widths = node.attrs["widths"]  # what no window covers has no gradient
            if scalar_of(node.inputs[1]) == 0 and not any(low or between for low, _, between in widths):
                return Node(UNPOOL, whole.inputs, {**whole.attrs, "type": node.type}, node.type)
        return node

    return graph.changed(change)


def _result(pool: Node, index: int, type_: Type) -> Node:
    return Node(PRIMITIVES["result"], (pool,), {"index": index}, type_)


def _pool_of(node: Node) -> dict[str, Any] | None:
    """The windows of a maximum of images; None of another."""
    (windows,), axes = node.inputs, node.attrs["axes"]
    if windows.op.name != "windows" or not node.attrs.get("first") or node.dtype not in FLOATS:
        return None
    images, along = windows.inputs[0], windows.attrs["axes"]
    first = along[0][0]
    if [axis for axis, *_ in along] != [first, first + 1] or images.ndim != 4 or first not in (1, 2):
        return None
    if axes != (first + 1, first + 3):
        return None
    sizes, strides, dilations = zip(*(rest for _, *rest in along), strict=True)
    return {"images": images.shape, "first": first, "sizes": sizes, "strides": strides, "dilations": dilations}


def _gradient_of(node: Node) -> tuple[Node, Node] | None:
    """The gradient of the maxima, and the pool, where this is its gradient by what its windows cover; see
    `ranvier.graph.derivatives`.
    """
    chosen, spread, zero = operands_of(node.inputs[0], "select")
    places, earliest = operands_of(chosen, "equal")
    (first,) = operands_of(earliest, "broadcast")
    (candidates,) = operands_of(first, "reduce_max")
    hit, again, _ = operands_of(candidates, "select")
    windows, most = operands_of(hit, "equal")
    (maximum,) = operands_of(most, "broadcast")
    (pool,) = operands_of(maximum, "result")
    (g,) = operands_of(spread, "broadcast")
    if pool is None or pool.op is not POOL or g is None or again is not places or scalar_of(zero) != 0:
        return None
    attrs, images = pool.attrs, pool.inputs[0]
    axes = (attrs["first"] + 1, attrs["first"] + 3)
    kept = tuple(axis for axis in range(6) if axis not in axes)
    covered = list(images.shape)
    for axis, size in enumerate(attrs["sizes"], attrs["first"]):
        covered[axis] = images.shape[axis] // size * size
    is_side_by_side = attrs["sizes"] == attrs["strides"] and attrs["dilations"] == (1, 1)
    if not is_side_by_side or node.shape != tuple(covered) or g.type != pool.type:
        return None
    if windows.op.name != "windows" or windows.inputs[0] is not images or first.attrs["axes"] != axes:
        return None
    return (g, pool) if spread.attrs["axes"] == most.attrs["axes"] == earliest.attrs["axes"] == kept else None


NOTHING = (None, None, None)


def operands_of(node: Any, name: str) -> Any:
    """The operands of a node of this primitive; as many times None of another."""
    counts = {"select": 3, "equal": 2, "less": 2, "mul": 2, "sub": 2}
    if node is None or node.op.name != name:
        return NOTHING[: counts.get(name, 1)]
    return node.inputs
