"""Compiles recorded calls to a program, caches it by their trace nodes, and runs it on the arrays of their leaves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

import numpy as np

from ranvier import engines
from ranvier.data.sampled import fraction_of_zeros
from ranvier.graph.dtypes import array_dtype
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import Node, extents
from ranvier.graph.simplify import simplify
from ranvier.tensor import samples
from ranvier.tensor.layout import leaf_input, storage_of, to_storage
from ranvier.tensor.trace import Leaf, TraceNode, lower, programs

MAX_PROGRAMS = 500  # bounds the cache of a loop whose control flow keeps changing


class Joined(NamedTuple):
    """Many leaves that a program reads as one array, joined along an axis."""

    ordinals: tuple[int, ...]
    axis: int
    shape: tuple[int, ...]  # of each, with the axis along which they are joined


class Program(NamedTuple):
    """A compiled program and how to call it."""

    compiled: Any
    inputs: list[int | Joined]  # ordinals of the leaves that it reads or writes
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
    rows, having = samples.rows_of(leaves, used, targets) if engines.get_engine() == "native" else (0, [])
    if rows:
        # What fails with a symbol is computed with the number of rows, and an error for another reason occurs again.
        with contextlib.suppress(Exception):
            graph = _graph(leaves, roots, assigned, samples.with_symbol(inputs, having), rows)
            if samples.keeps_types(graph, roots, rows):
                return _program(leaves, roots, targets, used, graph, rows)
    return _program(leaves, roots, targets, used, _graph(leaves, roots, assigned, inputs), None)


def _graph(
    leaves: Sequence[Leaf],
    roots: tuple[TraceNode, ...],
    assigned: tuple[tuple[int, TraceNode], ...],
    inputs: Mapping[int, tuple[Node, Node]],
    rows: int = 0,
) -> Graph:
    """The calls as a graph of these inputs, by ordinal of their leaves."""
    values = {o: value for o, (_, value) in inputs.items()}
    nodes = lower([*roots, *(node for _, node in assigned)], values, rows=rows, mixed=rows > 0)
    updates = tuple(
        (inputs[o][0], to_storage(node, leaves[o])) for (o, _), node in zip(assigned, nodes[len(roots) :], strict=True)
    )
    return simplify(Graph(tuple(node for node, _ in inputs.values()), tuple(nodes[: len(roots)]), updates))


def _program(
    leaves: Sequence[Leaf],
    roots: tuple[TraceNode, ...],
    targets: AbstractSet[int],
    used: Sequence[int],
    graph: Graph,
    rows: int | None,
) -> Program:
    """Compile the graph of the calls; ``rows`` is how many a symbol stands for."""
    graph, given = _with_joined_inputs(graph, used)
    transposed = [n.op.name == "transpose" and n.attrs["axes"] == tuple(reversed(range(n.ndim))) for n in graph.outputs]
    outputs = tuple(n.inputs[0] if flip else n for n, flip in zip(graph.outputs, transposed, strict=True))
    return Program(
        engines.compile(Graph(graph.inputs, outputs, graph.updates), rows),
        given,
        transposed,
        [
            (r.type.shape[::-1] if flip else r.type.shape, array_dtype(r.type.dtype))
            for r, flip in zip(roots, transposed, strict=True)
        ],
        bool(overwritten_operands(leaves, roots, targets)),
    )


MANY_LEAVES = 8  # that are joined before a program reads them


def _with_joined_inputs(graph: Graph, ordinals: Sequence[int]) -> tuple[Graph, list[int | Joined]]:
    """The program with one input for many leaves that it would only join, such as the steps of a sequence, which a
    Python loop takes one by one; and what each input is.
    """
    number, readers = dict(zip(graph.inputs, ordinals, strict=True)), graph.readers()
    joined: dict[Node, tuple[Node, Joined]] = {}
    for node in graph.nodes():
        if node.op.name != "concatenate" or len(node.inputs) < MANY_LEAVES:
            continue
        leaves = [part.inputs[0] if part.op.name == "reshape" else part for part in node.inputs]
        parts = [readers[leaf] for leaf in leaves if leaf in number]
        alone = len(parts) == len(leaves) == len(set(leaves)) and all(len(own) == 1 for own in parts)
        known = all(isinstance(d, int) for d in node.shape) and not any(leaf in graph.roots() for leaf in leaves)
        if alone and known and len({part.shape for part in node.inputs}) == 1:
            what = Joined(tuple(number[leaf] for leaf in leaves), node.attrs["axis"], extents(node.inputs[0]))
            joined[node] = input_node(f"joined{len(joined)}", node.shape, node.dtype), what
    if not joined:
        return graph, list(ordinals)
    changed = graph.changed(lambda node, old: joined[old][0] if old in joined else node)
    gone = {ordinal for _, what in joined.values() for ordinal in what.ordinals}
    kept = [node for node in graph.inputs if number[node] not in gone]
    inputs = (*kept, *(node for node, _ in joined.values()))
    given: list[int | Joined] = [*(number[node] for node in kept), *(what for _, what in joined.values())]
    return Graph(inputs, changed.outputs, changed.updates), given


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
        if isinstance(o, Joined):
            parts = [_array_of(leaves[n], versions[n]).reshape(o.shape) for n in o.ordinals]
            inputs.append(np.concatenate(parts, o.axis))
            continue
        inputs.append(_array_of(leaves[o], versions[o]))
    return Execution(program, inputs, [np.empty(shape, dtype) for shape, dtype in program.outputs])


def _array_of(leaf: Leaf, version: int) -> Any:
    """The array of a leaf, as stored. Raises RuntimeError where it has been overwritten since it was read."""
    if leaf.version != version:  # by another thread, or by code that bypasses the tape
        raise RuntimeError(
            f"a tensor of shape {leaf.spec.shape} was overwritten before what was computed from it was read. "
            "Read results (item(), numpy()) and call backward() before you overwrite their operands."
        )
    return storage_of(leaf)
