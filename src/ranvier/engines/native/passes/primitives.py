"""Primitives that occur only between this engine's late passes and its schedule."""

from __future__ import annotations

from typing import Any

from ranvier.engines.native.runtime.context import FAULT_WORDS
from ranvier.graph.node import PRIMITIVES, GraphError, Node, Primitive, Type, apply

REDUCTIONS = tuple(name for name, primitive in PRIMITIVES.items() if primitive.combine)
"""The primitives that reduce values in parts."""


def _partial_type(types: Any, attrs: dict[str, Any]) -> Type:
    inner: Node = attrs["inner"]
    made = Type((attrs["workers"], *inner.shape), inner.dtype)
    own = [i.type for i in inner.inputs]
    if list(types) not in (own, [made, *own]):
        raise GraphError(f"the operands are not those of {inner!r}")
    return made


def _no_value(arrays: Any, attrs: dict[str, Any], extents: Any) -> Any:
    raise GraphError("only native code computes it")


PARTIAL = Primitive("partial", "partial", _partial_type, _no_value)
"""Row i is worker i's part of the contraction or reduction ``inner``: the part over its own rows of the batch.

With one more operand before those of ``inner``, such parts of another contraction, it adds to these, in their memory.
"""


def continued(node: Node) -> Node | None:
    """The parts of a sum that a node of `PARTIAL` adds to, if it does."""
    further = node.inputs[: -len(node.attrs["inner"].inputs)]
    return further[0] if further else None


def inner_operands(node: Node) -> tuple[Node, ...]:
    """The operands of ``inner`` that a node of `PARTIAL` has."""
    return node.inputs[-len(node.attrs["inner"].inputs) :]


STRIPS = "strips"  # attribute of a sum of two strips' sums

PACK = Primitive("pack", "layout", lambda types, attrs: types[0], lambda arrays, attrs, extents: arrays[0])
"""The same value, stored in memory in row-major order."""


def packed(node: Node, axes: tuple[int, ...]) -> Node:
    """The transposed value, stored in this order."""
    transposed = apply("transpose", node, axes=axes)
    return Node(PACK, (transposed,), {}, transposed.type)


START = Primitive("start", "layout", lambda types, attrs: types[0], lambda arrays, attrs, extents: arrays[0])
"""The same value in memory of its own, which a loop then overwrites step by step."""


def start(node: Node) -> Node:
    """The first value of a carry."""
    return Node(START, (node,), {}, node.type)


FAULT = Primitive("fault", "fault", lambda types, attrs: Type((FAULT_WORDS,), "int64"), _no_value)
"""What is wrong with its operands, by their ``ranges`` (low, high, ignored): see `runtime.context`."""

INTERNAL = {primitive.name: primitive for primitive in (PARTIAL, PACK, START, FAULT)}
