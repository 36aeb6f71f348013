"""Compiles recorded calls to a program, caches it by their trace nodes, and runs it on the arrays of their leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

import numpy as np

from ranvier import engines
from ranvier.data.sampled import fraction_of_zeros
from ranvier.graph.dtypes import array_dtype
from ranvier.graph.graph import Graph
from ranvier.graph.simplify import simplify
from ranvier.tensor.layout import leaf_input, storage_of, to_storage
from ranvier.tensor.trace import Leaf, TraceNode, lower, programs

MAX_PROGRAMS = 500  # bounds the cache of a loop whose control flow keeps changing


class Program(NamedTuple):
    """A compiled program and how to call it."""

    compiled: Any
    inputs: list[int]  # ordinals of the leaves that it reads or writes
    transposed: list[bool]  # by output: stored in reversed axes, as the gradient of a Fortran-ordered weight
    outputs: list[tuple[tuple[Any, ...], Any]]  # shapes and dtypes, as stored
    preserves: bool  # whether gradients of the results may still read what it overwrites


def compiled_program(leaves: Sequence[Leaf], roots: tuple[TraceNode, ...], assigns: dict[int, TraceNode]) -> Program:
    """The program that computes ``roots`` and assigns to leaves, by ordinal. Compiled once for each structure."""
    assigned = tuple(assigns.items())
    key = (roots, assigned, engines.get_engine())
    known = programs.get(key)
    if known is None:
        while len(programs) >= MAX_PROGRAMS:
            programs.pop(next(iter(programs)), None)  # the oldest
        known = programs[key] = _compile(leaves, roots, assigned)
    return known


def _compile(
    leaves: Sequence[Leaf], roots: tuple[TraceNode, ...], assigned: tuple[tuple[int, TraceNode], ...]
) -> Program:
    targets = {o for o, _ in assigned}
    used = sorted(targets.union(*(r.leaves for r in roots), *(node.leaves for _, node in assigned)))
    # Programs skip zeros of sparse data only in a training step: elsewhere nothing detects weights that are not
    # finite, whose products with zeros must stay visible.
    is_step = any(leaves[o]._requires_grad for o in targets)
    inputs = {}
    for o in used:
        leaf = leaves[o]
        skips_zeros = is_step and o not in targets and leaf._value is not None
        # The sparsity of the first values is taken as that of later ones.
        inputs[o] = leaf_input(f"leaf{o}", leaf, fraction_of_zeros(leaf._value) if skips_zeros else 0.0)
    values = {o: value for o, (_, value) in inputs.items()}
    nodes = lower([*roots, *(node for _, node in assigned)], values)
    updates = tuple(
        (inputs[o][0], to_storage(node, leaves[o])) for (o, _), node in zip(assigned, nodes[len(roots) :], strict=True)
    )
    graph = simplify(Graph(tuple(inputs[o][0] for o in used), tuple(nodes[: len(roots)]), updates))
    transposed = [n.op.name == "transpose" and n.attrs["axes"] == tuple(reversed(range(n.ndim))) for n in graph.outputs]
    outputs = tuple(n.inputs[0] if flip else n for n, flip in zip(graph.outputs, transposed, strict=True))
    return Program(
        engines.compile(Graph(graph.inputs, outputs, graph.updates)),
        used,
        transposed,
        [
            (r.type.shape[::-1] if flip else r.type.shape, array_dtype(r.type.dtype))
            for r, flip in zip(roots, transposed, strict=True)
        ],
        bool(overwritten_operands(leaves, roots, targets)),
    )


def overwritten_operands(
    leaves: Sequence[Leaf], results: Iterable[TraceNode | None], overwritten: AbstractSet[int]
) -> set[int]:
    """The ordinals of those overwritten leaves that gradients of the results may still read."""
    found: set[int] = set()
    for node in results:
        if node is not None and node.requires_grad and node.grad_leaves.isdisjoint(overwritten):
            found |= node.leaves & overwritten
    return {o for o in found if not leaves[o]._requires_grad}


class Execution(NamedTuple):
    """A program with its arrays."""

    program: Program
    inputs: list[Any]
    outputs: list[Any]

    def run(self, pending: Sequence[Leaf]) -> None:
        """Compute, and give the results to the tensors that wait for them."""
        program, inputs, outputs = self
        program.compiled.run(inputs, outputs)
        for tensor, value, flip in zip(pending, outputs, program.transposed, strict=True):
            tensor._value = value.T if flip else value


def prepare(
    leaves: Sequence[Leaf], versions: Sequence[int], roots: tuple[TraceNode, ...], assigns: dict[int, TraceNode]
) -> Execution:
    """The execution that computes ``roots`` and assigns. Raises RuntimeError where a leaf has been overwritten."""
    program = compiled_program(leaves, roots, assigns)
    inputs = []
    for o in program.inputs:
        leaf = leaves[o]
        if leaf.version != versions[o]:  # by another thread, or by code that bypasses the tape
            raise RuntimeError(
                f"a tensor of shape {leaf.spec.shape} was overwritten before what was computed from it was read. "
                "Read results (item(), numpy()) and call backward() before you overwrite their operands."
            )
        inputs.append(storage_of(leaf))
    return Execution(program, inputs, [np.empty(shape, dtype) for shape, dtype in program.outputs])
