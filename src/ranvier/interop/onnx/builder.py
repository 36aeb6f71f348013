"""Graphs of ONNX in the making: operators, weights and constants by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.graph.dtypes import ELEMENT_TYPES, as_array
from ranvier.interop.foreign import UnsupportedError
from ranvier.interop.onnx.graphs import library

OLDEST, OPSET = 18, 21
"""The oldest set of operators that is written, and the one that is written unless another is asked for."""
SINCE = {"Gelu": 20, "GroupNormalization": 21, "RMSNormalization": 23, "Attention": 23}
"""The set from which on an operator has the meaning in which it is written, where that is not the oldest one."""


@dataclass(frozen=True)
class Value:
    """A value of a graph: its name, and its shape with None for the batch and for what may be any."""

    name: str
    shape: tuple[int | None, ...]

    @property
    def ndim(self) -> int:
        return len(self.shape)


class Builder:
    """Collects the operators and the weights of a graph. ``scope`` begins the names of what is added."""

    def __init__(self, weights: dict[int, str], opset: int = OPSET, holds: bool = True) -> None:
        self.nodes: list[Any] = []
        self.held: dict[str, Any] = {}
        self.weights = weights  # the names of tensors, by identity
        self.opset = opset
        self.holds = holds  # False where it is only tried which operators there would be
        self.scope = ""
        self.counts: dict[str, int] = {}
        self.turned: dict[str, tuple[str, tuple[int, ...]]] = {}  # what transposes give, and of what

    def unique(self, base: str) -> str:
        self.counts[base] = number = self.counts.get(base, -1) + 1
        return f"{base}_{number}" if number else base

    def within(self, base: str) -> str:
        """A new name in the scope."""
        return self.unique(f"{self.scope}/{base}" if self.scope else base)

    def ops(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> list[str]:
        """Add an operator, and return the names of its outputs. Raises UnsupportedError for one of a newer set."""
        if self.opset < SINCE.get(kind, OLDEST):
            raise UnsupportedError(f"the operator {kind} is in set {SINCE[kind]} and newer ones")
        name = self.within(kind)
        outs = [f"{name}:{i}" for i in range(outputs)]
        given = {key: part for key, part in attributes.items() if part is not None}
        self.nodes.append(library().helper.make_node(kind, list(inputs), outs, name=name, **given))
        return outs

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator of one output, and return its name."""
        return self.ops(kind, *inputs, **attributes)[0]

    def constant(self, array: Any, base: str = "value") -> str:
        """Add a constant."""
        name = self.within(base)
        self.held[name] = np.ascontiguousarray(array).reshape(np.shape(array))
        return name

    def axes(self, *numbers: Any, base: str = "axes") -> str:
        """Add a constant of whole numbers, such as axes or a shape."""
        return self.constant(np.array([int(n) for n in numbers], np.int64), base)

    def weight(self, tensor: Any, change: Any = None) -> str:
        """A weight under its name in the model, with ``change`` of its layout. Raises UnsupportedError for what is no
        weight of the model, such as one that is computed of others.
        """
        name = self.weights.get(id(tensor))
        if name is None:
            raise UnsupportedError("a weight is computed of others")
        if not self.holds:
            return name
        array = as_array(tensor.compute(), ELEMENT_TYPES[tensor.dtype].arithmetic)
        changed = array if change is None else change(array)
        if name in self.held and not np.array_equal(self.held[name], changed):
            name = self.unique(name)
        self.held[name] = np.ascontiguousarray(changed)
        return name

    def transpose(self, x: str, axes: tuple[int, ...]) -> str:
        """A value with its axes in another order; two that cancel are left out."""
        if axes == tuple(range(len(axes))):
            return x
        if x in self.turned:
            source, first = self.turned[x]
            together = tuple(first[a] for a in axes)
            if together == tuple(range(len(axes))):
                return source
        y = self.op("Transpose", x, perm=list(axes))
        self.turned[y] = x, axes
        return y

    def first(self, x: str, ndim: int) -> str:
        """Channels first."""
        return self.transpose(x, (0, ndim - 1, *range(1, ndim - 1)))

    def last(self, x: str, ndim: int) -> str:
        """Channels last."""
        return self.transpose(x, (0, *range(2, ndim), 1))

    def used(self, outputs: Iterable[str]) -> tuple[list[Any], dict[str, Any]]:
        """The operators that outputs depend on, and the weights and constants: of two transposes that cancel, the first
        is left over.
        """
        needed, kept = set(outputs), []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(_read(node))
        return kept[::-1], {name: array for name, array in self.held.items() if name in needed}


def _read(node: Any) -> Iterator[str]:
    """The names that an operator reads, also in the graphs within it."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node if attribute.HasField("g") else ():
            yield from _read(inner)
