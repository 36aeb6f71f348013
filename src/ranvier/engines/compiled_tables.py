"""Engines of a table whose library compiles a step, and a loop over steps, as a whole."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.engines.contractions import with_padding
from ranvier.engines.tables import Array, TableProgram
from ranvier.graph.graph import Graph
from ranvier.graph.node import Node
from ranvier.graph.tiny import snapped, snapped_of


def with_stored_values(graph: Graph) -> Graph:
    """What is stored in an input with tiny numbers as zeros (`ranvier.graph.tiny`) is what others use of it, too.

    Else they compute it again from the old value, which XLA then has to copy in every step of a loop.
    """
    whole = {value: x for _, value in graph.updates if (x := snapped_of(value)) is not None}
    found = set(whole.values())

    def change(node: Node, old: Node) -> Node:
        if old in found:
            return snapped(node)
        return node.inputs[2] if old in whole else node

    return graph.changed(change) if found else graph


class CompiledTableProgram(TableProgram):
    """A graph that its library compiles when it first runs, for each shape of its inputs."""

    step: Any  # `compute_step`, compiled
    no_fault: Any  # False, as the library has it: no value can be out of range

    def lowered(self, graph: Graph) -> Graph:
        return with_stored_values(with_padding(graph))

    @abstractmethod
    def place(self, array: Array) -> Array:
        """The array on the device."""

    @abstractmethod
    def to_numpy(self, value: Array) -> Any:
        """A result as an array of NumPy."""

    def compute_step(self, rows: int, given: Sequence[Array]) -> tuple[list[Array], list[Array], Array]:
        """Results, new values of updated inputs, and whether a value is out of range."""
        results, new = self.interpret(given, self.extents(given, rows))
        is_wrong = results.pop() > 0 if self.has_flag else self.no_fault
        return results, new, is_wrong

    def run_steps(self, arrays: Sequence[Array], outputs: Sequence[Array], start: int, stop: int, rows: int) -> int:
        """`run_equal` step by step, for programs with outputs."""
        for step in range(start, stop):
            given = self.given(arrays, step, rows)
            results, new, is_wrong = self.step(rows, self.placed(given, self.place))
            if is_wrong:
                return step
            self.write(outputs, [self.to_numpy(r) for r in results], step, rows)
            new = [np.array(self.to_numpy(value)) for value in new]  # one may be the memory of another input
            for i, value in zip(self.updated, new, strict=True):
                np.copyto(given[i], value)
        return stop

    def write_state(self, arrays: Sequence[Array], new: Sequence[Array]) -> None:
        """Write the new values of updated inputs."""
        for i, value in zip(self.updated, new, strict=True):
            np.copyto(arrays[i], self.to_numpy(value))
