"""Loops over time on tensors: the body is called once, on placeholders, and what it records is the loop's body."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ranvier.graph.dtypes import FLOATING
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.loops import scan as scan_nodes
from ranvier.graph.node import Node, Type, apply
from ranvier.graph.scan import stacked_shape
from ranvier.tensor import rng, tape
from ranvier.tensor.called import rows_between
from ranvier.tensor.segment import TapeSegment
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import Function, TraceNode, intern, leaf_node, lower, state

Body = Callable[[list[Tensor], list[Tensor]], tuple[Sequence[Tensor], Sequence[Tensor]]]


class CarryError(TypeError):
    """The types of a loop's carries before a step, and others after it."""

    def __init__(self, before: Sequence[Type], after: Sequence[Type]) -> None:
        one, other = next(pair for pair in zip(before, after, strict=True) if pair[0] != pair[1])
        super().__init__(
            f"a carry of a loop is {one} before a step and {other} after it. Write a first value of the type that the "
            "step returns, or convert what it returns."
        )
        self.after = after


MAX_OPERANDS = 1000  # of one loop: the ordinals of a loop within it follow
MAX_LOOPS = 500  # bounds the cache of a program whose loops keep changing
_loops: dict[Any, Function] = {}  # by what their bodies recorded


def scan(
    body: Body,
    carries: Sequence[Tensor],
    slices: Sequence[Tensor],
    *,
    length: int,
    axis: int = 0,
    reverse: bool = False,
    recompute: bool = False,
) -> tuple[list[Tensor], list[Tensor]] | None:
    """The last carries, and the results stacked along ``axis``, of a loop of ``length`` steps.

    ``body(carries, slices)`` returns the next carries and the results of a step. It is called once, on tensors without
    values: ``slices`` are the given tensors at one position of ``axis``. What it reads besides becomes a constant of
    the loop, through which gradients go. Random numbers that it draws differ from step to step. With ``recompute``
    the gradient computes each step again, and nothing but the carries is kept. Returns None where the body assigns
    values of a step to tensors, or has gradients of the user's own, which no loop has. Raises CarryError for a carry
    whose type changes.
    """
    count = len(carries)
    place = Type((1,) * axis, "uint32")  # of the step's number, for random numbers
    types = [*(t.spec for t in carries), *(Type(_without(t.shape, axis), t.dtype) for t in slices), place]
    own = [*carries, *slices]
    before = dict(tape.segment_of(own).assigns)
    with _placeholders(types, tape.segment_of(own)) as given, rng.in_step(given[-1]):
        following, results = body(given[:count], given[count:-1])
    if [t.spec for t in carries] != [t.spec for t in following]:
        raise CarryError([t.spec for t in carries], [t.spec for t in following])
    returned = [*following, *results]
    segment = tape.segment_of([*own, *given, *returned])
    inside, roots = [segment.node_of(t) for t in given], tuple([segment.node_of(t) for t in returned])
    assigns = _dropped_assignments(segment, before, {node.ordinal for node in inside})
    if assigns or any(root.cuts for root in roots):
        return None
    captured = _captured(roots, frozenset(node.ordinal for node in inside))
    inputs = (*(segment.node_of(t) for t in own), *captured)
    attrs = {"length": length, "axis": axis, "reverse": reverse, "recompute": recompute}
    key = roots, tuple(inside), tuple(captured), count, tuple(attrs.items()), state.dtype
    if key not in _loops:
        while len(_loops) >= MAX_LOOPS:
            _loops.pop(next(iter(_loops)))
        _loops[key] = Function("scan", _builder(roots, inside, captured, count, attrs))
    nodes = intern(_loops[key], inputs, (), state.grad_enabled)
    made = [Tensor.pending(node, segment) for node in nodes]
    return made[:count], made[count:]


class _Depth(threading.local):
    loops = 0  # whose bodies are being recorded, one within another


_depth = _Depth()


@contextlib.contextmanager
def _placeholders(types: Sequence[Type], segment: TapeSegment) -> Iterator[list[Tensor]]:
    """The operands of a body: leaves with negative ordinals, which are none of the segment's own."""
    first = _depth.loops * MAX_OPERANDS
    _depth.loops += 1
    try:
        given = []
        for i, type_ in enumerate(types, first + 1):
            segment.placeholders.add(-i)
            gradient = type_.dtype in FLOATING and bool(state.grad_enabled)
            given.append(Tensor.pending(leaf_node(-i, type_, gradient, transposed=False), segment))
        yield given
    finally:
        _depth.loops -= 1


def _dropped_assignments(segment: TapeSegment, before: dict[int, TraceNode], inside: set[int]) -> bool:
    """Whether assignments of values of a step have been dropped; ``before`` are those that waited before the loop."""
    found = [o for o, node in segment.assigns.items() if not inside.isdisjoint(node.leaves)]
    for ordinal in found:
        if ordinal in before:
            segment.assigns[ordinal] = before[ordinal]
        else:
            del segment.assigns[ordinal]
            segment.leaves[ordinal].segment = None
    return bool(found)


def _without(shape: Sequence[Any], axis: int) -> tuple[Any, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def _captured(roots: Sequence[TraceNode], given: frozenset[int]) -> list[TraceNode]:
    """What the body reads of the outside: the nodes next to it that depend on none of its placeholders, in order."""
    found: dict[TraceNode, None] = {}
    seen = set[TraceNode]()
    stack = list(reversed(roots))
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if given.isdisjoint(node.leaves):
            found[node] = None
        else:
            stack.extend(reversed(node.inputs))
    return list(found)


def _builder(
    roots: Sequence[TraceNode],
    inside: Sequence[TraceNode],
    captured: Sequence[TraceNode],
    carries: int,
    attrs: dict[str, Any],
) -> Callable[..., list[Node]]:
    """The function from the operands' nodes to the results' nodes."""
    length, axis, numbered = attrs["length"], attrs["axis"], inside[-1]
    draws = any(numbered.ordinal in root.leaves for root in roots)
    operands = [*(inside if draws else inside[:-1]), *captured]

    def build(*nodes: Node) -> list[Node]:
        given = list(nodes)
        if draws:
            shape = stacked_shape(numbered.type.shape, length, axis)
            given.insert(len(inside) - 1, apply("iota", shape=shape, dtype=numbered.type.dtype, axis=axis))
        leaves, results, count = dict[int, Node](), dict[Any, Any](), len(operands) - len(captured)
        shapes = [_without(n.shape, axis) if carries <= i < count else n.shape for i, n in enumerate(given)]
        rows = rows_between([node.type.shape for node in operands], shapes)
        inputs = [input_node(f"x{i}", shape, n.dtype) for i, (shape, n) in enumerate(zip(shapes, given, strict=True))]
        for i, node in enumerate(operands):
            if node.function is None:
                leaves[node.ordinal] = inputs[i]
            else:
                results.setdefault(node.call, {})[max(node.output_index, 0)] = inputs[i]
        found = lower(roots, leaves, results, rows)
        updates = tuple(zip(inputs[:carries], found[:carries], strict=True))
        body = Graph(tuple(inputs), tuple(found[carries:]), updates)
        return scan_nodes(body, given[:carries], given[carries:count], given[count:], **attrs)

    return build
