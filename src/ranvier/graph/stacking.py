"""One operation of a loop's body for all steps at once: on operands that are stacked along the axis of time.

`stacked` is what a loop need not do in its steps, such as the products of its slices with weights. `Total` is the sum
of a value over the steps, such as a weight's gradient, by one operation after the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ranvier.graph.contraction import Affine
from ranvier.graph.node import Node, apply
from ranvier.graph.scan import stacked_shape

Rule = Callable[[Node, list[Node], list[bool], int, int], "Node | None"]


def repeated(node: Node, length: int, axis: int) -> Node:
    """A value that is the same in all steps, stacked."""
    axes = tuple(a if a < axis else a + 1 for a in range(node.ndim))
    return apply("broadcast", node, shape=stacked_shape(node.shape, length, axis), axes=axes)


def stacked(node: Node, inputs: list[Node], varies: list[bool], length: int, axis: int) -> Node | None:
    """The results of all steps. ``inputs`` are stacked where the operand ``varies``; None if there is no rule."""
    if node.ndim < axis:
        return None
    name = "elementwise" if node.op.kind in ("elementwise", "check") else node.op.name
    rule = _RULES.get(name)
    return None if rule is None else rule(node, inputs, varies, length, axis)


def _inserted(given: Sequence[Any], axis: int, value: Any) -> tuple[Any, ...]:
    return (*given[:axis], value, *given[axis:])


def _moved(axes: Sequence[int], axis: int) -> tuple[int, ...]:
    """Axes of a value as those of the stacked value."""
    return tuple(a if a < axis else a + 1 for a in axes)


def _elementwise(node: Node, inputs: list[Node], varies: list[bool], length: int, axis: int) -> Node:
    given = [x if v else repeated(x, length, axis) for x, v in zip(inputs, varies, strict=True)]
    return apply(node.op.name, *given, **node.attrs)


def _broadcast(node: Node, inputs: list[Node], varies: list[bool], length: int, axis: int) -> Node | None:
    axes = node.attrs["axes"]
    if len(axes) < axis or axes[:axis] != tuple(range(axis)):
        return None
    shape = stacked_shape(node.shape, length, axis)
    return apply("broadcast", inputs[0], shape=shape, axes=_inserted(_moved(axes, axis), axis, axis))


def _reduction(node: Node, inputs: list[Node], varies: list[bool], length: int, axis: int) -> Node | None:
    axes = node.attrs["axes"]
    return (
        None
        if any(a < axis for a in axes)
        else apply(node.op.name, *inputs, **{**node.attrs, "axes": _moved(axes, axis)})
    )


def _argmax(node: Node, inputs: list[Node], varies: list[bool], length: int, axis: int) -> Node | None:
    along = node.attrs["axis"]
    return None if along < axis else apply("argmax", *inputs, **{**node.attrs, "axis": along + 1})


def _transpose(node: Node, inputs: list[Node], varies: list[bool], length: int, axis: int) -> Node | None:
    axes = node.attrs["axes"]
    if axes[:axis] != tuple(range(axis)):
        return None
    return apply("transpose", inputs[0], axes=_inserted(_moved(axes, axis), axis, axis))


def _reshape(node: Node, inputs: list[Node], varies: list[bool], length: int, axis: int) -> Node | None:
    if node.shape[:axis] != node.inputs[0].shape[:axis]:
        return None
    return apply("reshape", inputs[0], shape=stacked_shape(node.shape, length, axis))


def _slice(node: Node, inputs: list[Node], varies: list[bool], length: int, axis: int) -> Node:
    return apply("slice", inputs[0], ranges=_inserted(node.attrs["ranges"], axis, None))


def _pad(node: Node, inputs: list[Node], varies: list[bool], length: int, axis: int) -> Node | None:
    if varies[1]:
        return None
    source = inputs[0] if varies[0] else repeated(inputs[0], length, axis)
    return apply("pad", source, inputs[1], widths=_inserted(node.attrs["widths"], axis, (0, 0, 0)))


def _concatenate(node: Node, inputs: list[Node], varies: list[bool], length: int, axis: int) -> Node:
    given = [x if v else repeated(x, length, axis) for x, v in zip(inputs, varies, strict=True)]
    return apply("concatenate", *given, axis=_moved([node.attrs["axis"]], axis)[0])


def _reverse(node: Node, inputs: list[Node], varies: list[bool], length: int, axis: int) -> Node:
    return apply("reverse", inputs[0], axes=_moved(node.attrs["axes"], axis))


def _gather(node: Node, inputs: list[Node], varies: list[bool], length: int, axis: int) -> Node | None:
    """Rows of one table."""
    if varies[0] or node.attrs.get("batch", 0) or node.inputs[1].ndim < axis:
        return None
    return apply("gather", *inputs, **node.attrs)


def _contract(node: Node, inputs: list[Node], varies: list[bool], length: int, axis: int) -> Node | None:
    """The same contraction with the steps as one more loop of the result."""
    loops, rank = node.attrs["loops"], node.attrs["rank"]
    index = []
    for functions, varying in zip(node.attrs["index"], varies, strict=True):
        moved = [(tuple((loop + (loop >= axis), c) for loop, c in terms), offset) for terms, offset in functions]
        if varying:
            if len(moved) < axis:
                return None
            moved.insert(axis, (((axis, 1),), 0))
        index.append(tuple(moved))
    return apply("contract", *inputs, index=tuple(index), loops=_inserted(loops, axis, length), rank=rank + 1)


_RULES: dict[str, Rule] = {
    "elementwise": _elementwise,
    "broadcast": _broadcast,
    "reduce_sum": _reduction,
    "reduce_max": _reduction,
    "argmax": _argmax,
    "transpose": _transpose,
    "reshape": _reshape,
    "slice": _slice,
    "pad": _pad,
    "concatenate": _concatenate,
    "reverse": _reverse,
    "gather": _gather,
    "contract": _contract,
}


class Total:
    """The sum over the steps of a value of the body, as an operation on stacked values; or none is known.

    ``wanted`` are the values of the body whose stacks it reads. ``varies`` tells whether a value differs from step to
    step, and ``fixed`` gives one that does not.
    """

    def __init__(self, varies: Callable[[Node], bool], fixed: Callable[[Node], Node], length: int, axis: int) -> None:
        self.varies, self.fixed, self.length, self.axis = varies, fixed, length, axis
        self.wanted: dict[Node, None] = {}

    def of(self, node: Node) -> Callable[[Callable[[Node], Node]], Node] | None:
        """What computes the sum, given a function from a wanted value to its stack; None if there is no rule."""
        name = node.op.name
        if not self.varies(node):
            return None
        if name in ("add", "sub", "neg"):
            parts = [self.of(i) for i in node.inputs]
            known = [part for part in parts if part is not None]
            return (lambda stack: apply(name, *(part(stack) for part in known))) if len(known) == len(parts) else None
        if name in ("transpose", "reshape", "broadcast", "slice", "reverse"):
            inner = self.of(node.inputs[0])
            return inner and (lambda stack: apply(name, inner(stack), **_attributes(node)))
        if name == "reduce_sum":
            return self._of_reduction(node)
        if name == "contract":
            return self._of_contraction(node)
        if name == "scatter_add" and not node.attrs.get("batch", 0):
            index, updates = node.inputs
            if self.varies(index) and self.varies(updates) and index.ndim >= self.axis:
                self._want(index, updates)
                return lambda stack: apply("scatter_add", stack(index), stack(updates), **node.attrs)
        return None

    def _want(self, *nodes: Node) -> None:
        self.wanted.update(dict.fromkeys(nodes))

    def _of_reduction(self, node: Node) -> Callable[[Callable[[Node], Node]], Node] | None:
        (operand,) = node.inputs
        if operand.ndim < self.axis:
            return None
        self._want(operand)
        axes = tuple(sorted((*_moved(node.attrs["axes"], self.axis), self.axis)))
        return lambda stack: apply("reduce_sum", stack(operand), axes=axes)

    def _of_contraction(self, node: Node) -> Callable[[Callable[[Node], Node]], Node] | None:
        """The same contraction, summed over one more loop."""
        loops, varying = node.attrs["loops"], [self.varies(i) for i in node.inputs]
        if any(v and i.ndim < self.axis for v, i in zip(varying, node.inputs, strict=True)):
            return None
        self._want(*(i for v, i in zip(varying, node.inputs, strict=True) if v))
        step: Affine = (((len(loops), 1),), 0)
        pairs = zip(node.attrs["index"], varying, strict=True)
        index = tuple(_inserted(functions, self.axis, step) if v else functions for functions, v in pairs)

        def build(stack: Callable[[Node], Node]) -> Node:
            given = [stack(i) if v else self.fixed(i) for v, i in zip(varying, node.inputs, strict=True)]
            return apply("contract", *given, index=index, loops=(*loops, self.length), rank=node.attrs["rank"])

        return build


def _attributes(node: Node) -> dict[str, Any]:
    return {**node.attrs, "shape": node.shape} if node.op.name in ("reshape", "broadcast") else node.attrs
