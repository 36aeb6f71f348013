"""Graphs of ONNX in the making: operators, weights and constants by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier.graph.dtypes import widened
from ranvier.interop.onnx.graphs import library

OPSET = 20


@dataclass(frozen=True)
class Value:
    """A value of a graph: its name, and its shape with None for the batch."""

    name: str
    shape: tuple[int | None, ...]

    @property
    def ndim(self) -> int:
        return len(self.shape)


class Builder:
    """Collects the operators and the weights of a graph. ``scope`` begins the names of what is added."""

    def __init__(self, weights: dict[int, str]) -> None:
        self.nodes: list[Any] = []
        self.held: dict[str, Any] = {}
        self.weights = weights  # the names of tensors, by identity
        self.scope = ""
        self.counts: dict[str, int] = {}
        self.turned: dict[str, tuple[str, tuple[int, ...]]] = {}  # what transposes give, and of what

    def unique(self, base: str) -> str:
        self.counts[base] = number = self.counts.get(base, -1) + 1
        return f"{base}_{number}" if number else base

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Add an operator, and return the name of its first output."""
        name = self.unique(f"{self.scope}/{kind}" if self.scope else kind)
        outs = [f"{name}:{i}" for i in range(outputs)]
        given = {key: part for key, part in attributes.items() if part is not None}
        self.nodes.append(library().helper.make_node(kind, list(inputs), outs, name=name, **given))
        return outs[0]

    def constant(self, array: Any, base: str = "value") -> str:
        """Add a constant."""
        name = self.unique(f"{self.scope}/{base}" if self.scope else base)
        self.held[name] = np.ascontiguousarray(array)
        return name

    def weight(self, tensor: Any, change: Any = None) -> str:
        """A weight under its name in the model, with ``change`` of its layout."""
        name = self.weights[id(tensor)]
        array = widened(tensor.compute())
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

    def used(self, outputs: Iterable[str]) -> list[Any]:
        """The operators that outputs depend on: of two transposes that cancel, the first is left over."""
        needed, kept = set(outputs), []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
        return kept[::-1]
