"""Graphs of primitives as graphs of ONNX: the table of primitives, and the values in the making.

A value that is the same along some axes has one element there: operators of ONNX repeat it where they need it, and
`Lowering.full` where they do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ranvier.graph.extents import Extent
from ranvier.graph.node import Node, topological
from ranvier.graph.open_extents import ANY, OpenExtent
from ranvier.interop.foreign import refuse
from ranvier.interop.onnx.builder import Builder
from ranvier.interop.onnx.values import NUMBERS
from ranvier.support.registry import decorator_of

# The element types in which runtimes compute what they do not compute in an operand's own.
WIDER = {"int8": "int32", "int16": "int32", "uint8": "int32", "uint16": "int32", "uint32": "int64"}


class Form(NamedTuple):
    """A value in the graph of ONNX: its name, its rank, and the axes along which one element stands for all.

    A rank below that of the node has the node's last axes.
    """

    name: str
    rank: int
    thin: frozenset[int] = frozenset()


Row = Callable[["Lowering", Node], Form | str]
ROWS: dict[str, Row] = {}
row = decorator_of(ROWS)
"""Adds a function to the table, by the names of primitives. A name that it returns is of a value in full."""


class Lowering:
    """Adds nodes of a graph to one of ONNX. ``sized`` are inputs by the names that their extents are read from."""

    def __init__(self, b: Builder, sized: Mapping[str, Node]) -> None:
        self.b, self.sized = b, sized
        self.forms: dict[Node, Form] = {}
        self.filled: dict[Node, str] = {}
        self.measured: dict[str, str] = {}

    def inside(self) -> Lowering:
        """The same for the body of a loop, which reads what is around it; what it makes is not read there."""
        inner = Lowering(self.b, self.sized)
        inner.forms, inner.filled, inner.measured = dict(self.forms), dict(self.filled), dict(self.measured)
        return inner

    def give(self, node: Node, name: str) -> None:
        """Let ``node`` be the value of this name."""
        self.forms[node] = Form(name, node.ndim)

    def add(self, roots: Sequence[Node]) -> None:
        """Add what these nodes need. Raises UnsupportedError naming a primitive that cannot be written."""
        for node in topological(roots):
            if node in self.forms:
                continue
            function = ROWS.get(node.op.name)
            if function is None:
                raise refuse(f"{node.op.name} has no operator")
            made = function(self, node)
            self.forms[node] = made if isinstance(made, Form) else Form(made, node.ndim)

    def form(self, node: Node) -> Form:
        return self.forms[node]

    def full(self, node: Node) -> str:
        """The name of a value with all of its elements."""
        form = self.forms[node]
        repeated = [axis for axis in form.thin if node.shape[axis] != 1]
        if not repeated and form.rank == node.ndim:
            return form.name
        if node not in self.filled:
            self.filled[node] = self.b.op("Expand", form.name, self.shape(node.shape))
        return self.filled[node]

    # --- extents ------------------------------------------------------------------------------------------------------

    def extent(self, dim: Any) -> str:
        """The extent of an axis, one whole number in an array. Raises UnsupportedError for one that no input has."""
        if not isinstance(dim, (Extent, OpenExtent)):
            return self.b.axes(int(dim), base="extent")
        if isinstance(dim, Extent):
            places = [(name, i) for name, node in self.sized.items() for i, n in enumerate(node.shape) if n == dim]
            times = 1
        else:
            places = [
                (name, i)
                for name, node in self.sized.items()
                for i, n in enumerate(node.shape)
                if type(n) is OpenExtent
            ]
            times, rest = divmod(int(dim), ANY)
            if rest or len(places) > 1:
                raise refuse("an extent that may be any decides a shape")
        if not places:
            raise refuse(f"the extent {dim} is that of no input")
        key = f"{places[0]}*{times}"
        if key not in self.measured:
            name, axis = places[0]
            found = self.b.op("Shape", name, start=axis, end=axis + 1)
            self.measured[key] = found if times == 1 else self.b.op("Mul", found, self.b.axes(times))
        return self.measured[key]

    def shape(self, dims: Sequence[Any]) -> str:
        """A shape, as an array of whole numbers."""
        if not any(isinstance(n, (Extent, OpenExtent)) for n in dims):
            return self.b.axes(*map(int, dims), base="shape")
        return self.b.op("Concat", *map(self.extent, dims), axis=0)

    def scalar(self, dim: Any, dtype: str) -> str:
        """An extent as a number of an element type."""
        return self.cast(self.b.op("Squeeze", self.extent(dim), self.b.axes(0)), dtype)

    def line(self, dim: Any, after: int) -> str:
        """The whole numbers from 0 to an extent, along an axis with so many after it."""
        start, step = (self.b.constant(np.int64(n), "number") for n in (0, 1))
        line = self.b.op("Range", start, self.scalar(dim, "int64"), step)
        return self.b.op("Unsqueeze", line, self.b.axes(*range(1, after + 1))) if after else line

    # --- operators ----------------------------------------------------------------------------------------------------

    def cast(self, name: str, dtype: str) -> str:
        return self.b.op("Cast", name, to=NUMBERS[dtype])

    def operate(self, kind: str, node: Node, *operands: str, **attributes: Any) -> str:
        """An operator in which elements of its first operand are computed, in an element type that runtimes have."""
        dtype = node.inputs[-1].dtype
        wider = WIDER.get(dtype)
        if wider is None:
            return self.b.op(kind, *operands, **attributes)
        result = self.b.op(kind, *(self.cast(x, wider) for x in operands), **attributes)
        return self.cast(result, node.dtype) if node.dtype == dtype else result

    def together(self, node: Node, name: str) -> Form:
        """The form of an elementwise result of all operands."""
        forms = [self.forms[i] for i in node.inputs]
        return Form(name, max(f.rank for f in forms), frozenset.intersection(*(f.thin for f in forms)))

    def names(self, node: Node) -> list[str]:
        return [self.forms[i].name for i in node.inputs]
