"""The loop over time: a body that runs once for each step, with values that are carried from step to step.

``scan`` takes the first values of the carries, the slices (arrays that step t sees at position t of ``axis``), and
constants. Its body is a graph whose inputs are these, in this order: ``updates`` give the next value of each carry, and
``outputs`` are stacked along ``axis``. The node stands for all results together, and ``result`` is one of them: first
the last values of the carries, then the stacked outputs. With ``reverse`` the last slice comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.graph.extents import Shape, shape_at
from ranvier.graph.graph import Graph
from ranvier.graph.node import GraphError, Node, Type, apply


@dataclass(frozen=True)
class Results(Type):
    """The types of several results."""

    parts: tuple[Type, ...] = ()

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.parts))})"


class Operands:
    """The operands of a scan, or the inputs of its body, by what they are."""

    def __init__(self, given: Sequence[Any], body: Graph, slices: int) -> None:
        carries = len(body.updates)
        self.carries, self.slices = list(given[:carries]), list(given[carries : carries + slices])
        self.constants = list(given[carries + slices :])


def operands(node: Node) -> Operands:
    """The operands of a scan."""
    return Operands(node.inputs, node.attrs["body"], node.attrs["slices"])


def stacked_shape(shape: Shape, length: int, axis: int) -> Shape:
    """The shape of ``length`` values of one shape, stacked along an axis."""
    return (*shape[:axis], length, *shape[axis:])


def stack(parts: Sequence[Node], axis: int) -> Node:
    """Values of one shape, stacked along an axis."""
    wide = [apply("reshape", part, shape=stacked_shape(part.shape, 1, axis)) for part in parts]
    return apply("concatenate", *wide, axis=axis) if len(wide) > 1 else wide[0]


def slice_of(stacked: Node, step: int, axis: int) -> Node:
    """One of the values that are stacked along an axis."""
    ranges = tuple((step, step + 1, 1) if a == axis else None for a in range(stacked.ndim))
    part = apply("slice", stacked, ranges=ranges)
    return apply("reshape", part, shape=(*stacked.shape[:axis], *stacked.shape[axis + 1 :]))


def scan_type(types: Sequence[Type], attrs: dict[str, Any]) -> Results:
    body, length, axis = attrs["body"], attrs["length"], attrs["axis"]
    given = Operands(types, body, attrs["slices"])
    inner = Operands(body.inputs, body, attrs["slices"])
    if len(types) != len(body.inputs):
        raise GraphError(f"the body has {len(body.inputs)} inputs, and there are {len(types)} operands")
    if [target for target, _ in body.updates] != inner.carries:
        raise GraphError("the body's first inputs are its carries, in the order of its updates")
    for type_, node in zip(given.slices, inner.slices, strict=True):
        wanted = Type(stacked_shape(node.shape, length, axis), node.dtype)
        if type_ != wanted:
            raise GraphError(f"{length} slices {node.type} are {wanted}, not {type_}")
    for type_, node in zip((*given.carries, *given.constants), (*inner.carries, *inner.constants), strict=True):
        if type_ != node.type:
            raise GraphError(f"the body takes {node.type}, not {type_}")
    for target, value in body.updates:
        if target.type != value.type:
            raise GraphError(f"a carry is {target.type} before a step and {value.type} after it")
    if any(axis > node.ndim for node in body.outputs):
        raise GraphError(f"outputs are stacked along axis {axis}, and one has fewer dimensions")
    stacks = [Type(stacked_shape(node.shape, length, axis), node.dtype) for node in body.outputs]
    return Results((), "results", (*(target.type for target, _ in body.updates), *stacks))


def result_type(types: Sequence[Type], attrs: dict[str, Any]) -> Type:
    (results,) = types
    if not isinstance(results, Results):
        raise GraphError("only a scan has several results")
    return results.parts[attrs["index"]]


def scan_value(arrays: Sequence[Any], attrs: dict[str, Any], extents: dict[str, int]) -> tuple[Any, ...]:
    body, length, axis = attrs["body"], attrs["length"], attrs["axis"]
    given = Operands(arrays, body, attrs["slices"])
    carries = given.carries
    order = [node for node in body.nodes() if node.op.name != "input"]
    steps: list[list[Any]] = [[] for _ in range(length)]
    for t in reversed(range(length)) if attrs["reverse"] else range(length):
        slices = [x.take(t, axis) for x in given.slices]
        values = dict(zip(body.inputs, (*carries, *slices, *given.constants), strict=True))
        for node in order:
            values[node] = node.op.value([values[i] for i in node.inputs], node.attrs, extents)
        carries = [values[value] for _, value in body.updates]
        steps[t] = [values[node] for node in body.outputs]
    if not length:
        shapes = [shape_at(stacked_shape(node.shape, 0, axis), extents) for node in body.outputs]
        return (*carries, *(np.zeros(s, node.dtype) for s, node in zip(shapes, body.outputs, strict=True)))
    return (*carries, *(np.stack(parts, axis) for parts in zip(*steps, strict=True)))
