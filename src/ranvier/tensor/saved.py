"""Writes to values that gradients need. PyTorch keeps no copies of these, and refuses such gradients: so do we.

A write to a tensor notes what has been recorded before. Where a gradient leads through a call among that, and reads a
value of the tensor, `check_saved` raises. What a gradient reads of the operands and results of a call follows from
the graph of its gradient.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

from ranvier.graph.dtypes import FLOATING
from ranvier.graph.grad import joint_gradient
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import Node, Type, apply, topological
from ranvier.graph.simplify import simplify
from ranvier.tensor.segment import TapeSegment, TapeTensor, local
from ranvier.tensor.trace import CUT, DATA, Function, TraceNode, intern, state

# Where PyTorch's gradient reads something else than ours: by the places of operands (x0, ...) and results (y0, ...),
# what is read there instead; nothing where it is a value that no tensor of the user's shows.
NOTHING = {"x0": "", "x1": "", "x2": "", "y0": ""}
RESULT, OPERAND = {"x0": "y0"}, {"y0": "x0"}
READS: dict[str, dict[str, str]] = {
    **dict.fromkeys(("log_softmax", "reciprocal", "rsqrt", "softmax", "tan"), RESULT),
    **dict.fromkeys(("div", "divide", "local_response_norm", "maximum", "minimum", "normalize", "softsign"), OPERAND),
    **dict.fromkeys(("gaussian_nll_loss", "l1_loss", "max", "min", "tanh_shrink", "triplet_margin_loss"), NOTHING),
    "cross_entropy": {"x0": ""},
}


def note_write(tensors: Sequence[TapeTensor], result: TapeTensor | None = None) -> None:
    """Before a write to tensors that share memory, note what has been recorded, but for the result that is written."""
    if state.tracing:
        return
    own = {id(t) for t in (*tensors, result)}
    for segment in local.segments:
        if not segment.live:
            continue
        nodes = [t.trace_node for t in tensors if t.segment is segment and t.trace_node is not None]
        nodes += [
            segment.leaf_nodes[o]
            for t in tensors
            if (o := segment.ordinals.get(id(t))) is not None and segment.versions[o] == t.version
        ]
        if nodes and (readers := _recorded(segment, result)):
            for node in nodes:
                # Equal results, as two clones, have one node: what reads it may have read the other one.
                if node in segment.overwritten and node.function is not None:
                    continue
                if not any(t.trace_node is node and id(t) not in own for t in _living(segment)):
                    segment.overwritten[node] = segment.overwritten.get(node, ()) + readers


def _living(segment: TapeSegment) -> list[TapeTensor]:
    """The results of a segment that somebody holds."""
    return [t for reference in segment.live if (t := reference()) is not None and t.segment is segment]


def _recorded(segment: TapeSegment, but: TapeTensor | None) -> tuple[TraceNode, ...]:
    """What is recorded in a segment for gradients."""
    living = _living(segment)
    return tuple([t.trace_node for t in living if t is not but and t.trace_node is not None and t._requires_grad])


def check_saved(segment: TapeSegment, roots: Sequence[TraceNode], wanted: Iterable[TraceNode]) -> None:
    """Raise RuntimeError where the derivatives of roots by the nodes wanted need a value that has been overwritten."""
    overwritten: dict[TraceNode, tuple[TraceNode, ...] | None] = dict(segment.overwritten)
    for o, value in segment.assigns.items():
        node = segment.leaf_nodes[o]
        if segment.leaves[o]._requires_grad and value is not node and node not in segment.changed:
            overwritten[node] = None  # by an optimizer's step, perhaps: all that reads this node came before
    order = _followed(roots)
    leads: dict[TraceNode, bool] = dict.fromkeys(wanted, True)
    for node in order:
        if node not in leads:
            leads[node] = any(leads.get(c, False) for c in node.inputs)
        if node.function is None or not leads[node]:
            continue
        for read in _read(node, tuple([leads.get(c, False) for c in node.inputs]), overwritten):
            readers = overwritten[read]
            if readers is None or node in _followed(readers):
                raise _overwritten(segment, read, node)


def _followed(roots: Iterable[TraceNode]) -> dict[TraceNode, None]:
    """What gradients of the roots go through, operands first."""
    order: dict[TraceNode, None] = {}
    stack = [(root, False) for root in roots if root.requires_grad]
    while stack:
        node, ready = stack.pop()
        if ready:
            order[node] = None
        elif node not in order:
            stack.append((node, True))
            stack += [(c, False) for c in node.inputs if c.requires_grad and c not in order]
    return order


def _source(node: TraceNode) -> TraceNode:
    """The node whose memory a view shares."""
    while node.function is not None and (node.function.makes_views or node.function is DATA):
        node = node.inputs[0]
    return node


def _read(node: TraceNode, leads: tuple[bool, ...], among: Any) -> list[TraceNode]:
    """Those of some values that the gradient of a call reads, which goes on to the operands that lead somewhere."""
    assert node.function is not None
    if node.function is CUT:
        saved = node.inputs[dict(node.options)["saved"] : -1]
        return [c for c in map(_source, saved) if c in among]
    operands = list(map(_source, node.inputs))
    results = [_source(n) for n in intern(node.function, node.inputs, node.options, node.grad)]
    if not any(c in among for c in (*operands, *results)) or node.function.name in _OF_GRAPHS:
        return []
    types = tuple([c.type for c in node.inputs])
    needed = _needed(node.function, types, node.options, leads)
    return [c for i, c in enumerate((*operands, *results)) if i in needed and c in among]


_OF_GRAPHS = ("gradients", "stage")  # they differentiate their operands: these are looked through themselves


@functools.lru_cache(1000)
def _needed(
    function: Function, types: tuple[Type, ...], options: tuple[tuple[str, Any], ...], leads: tuple[bool, ...]
) -> frozenset[int]:
    """The places, among operands and results, of what the gradient of a call reads."""
    inputs = [input_node(f"x{i}", t.shape, t.dtype) for i, t in enumerate(types)]
    made = function.body(*inputs, **dict(options))
    results = list(made) if isinstance(made, (tuple, list)) else [made]
    known: dict[Node, Node] = {}
    for i, result in enumerate(results):
        if result.op.kind != "source":
            known.setdefault(result, input_node(f"y{i}", result.shape, result.dtype))
    outputs = [r for r in results if r.dtype in FLOATING]
    seeds = [input_node(f"g{i}", r.shape, r.dtype) for i, r in enumerate(outputs)]
    reached = [x for x, leading in zip(inputs, leads, strict=True) if leading and x.dtype in FLOATING]
    found = joint_gradient(outputs, seeds, reached)
    changed = dict(known)
    for node in topological(found):
        operands = [changed.get(i, i) for i in node.inputs]
        if node not in changed and any(a is not b for a, b in zip(operands, node.inputs, strict=True)):
            changed[node] = apply(node.op.name, *operands, **node.attrs)
    given = (*inputs, *dict.fromkeys(known.values()), *seeds)
    graph = simplify(Graph(given, tuple([changed.get(node, node) for node in found])))
    read = {node.attrs["name"] for node in topological(graph.outputs) if node.op.name == "input"}
    name = function.name.strip("_")
    by_number = name in ("div", "divide") and len(types) == 1  # x / 2, or 1 / x, which is x.reciprocal()
    other = NOTHING if by_number else READS.get(name, {})
    read = {other.get(place, place) for place in read}
    return frozenset(
        [i for i in range(len(inputs)) if f"x{i}" in read]
        + [len(inputs) + i for i in range(len(results)) if f"y{i}" in read]
    )


def _overwritten(segment: TapeSegment, read: TraceNode, reader: TraceNode) -> RuntimeError:
    """The error for a call whose gradient needs a value that has been overwritten."""
    leaf: Any = segment.leaves[read.ordinal] if read.function is None else None
    path = getattr(leaf, "path", "")
    made = "" if read.function is None else f", a result of {read.function.name},"
    name = "" if reader.function is None else reader.function.name.strip("_")
    whose = f"{path!r} of shape" if path else "a tensor of shape"
    return RuntimeError(
        f"{whose} {read.type.shape}{made} has been overwritten, and the gradient of {name} needs its old "
        "value. Write x = x + 1 in place "
        "of x += 1 and x.add_(1), change x.clone() instead of x, or call backward() before the change, as before "
        "optimizer.step()."
    )
