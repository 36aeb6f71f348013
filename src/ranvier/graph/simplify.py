"""Passes that every engine shares: each takes a graph and returns an equivalent, smaller one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATS, STORAGE
from ranvier.graph.graph import Graph
from ranvier.graph.loop_passes import with_loops
from ranvier.graph.node import Node, Primitive, apply, full
from ranvier.graph.sums import joined, sum_of


def scalar_of(node: Node) -> Any:
    """The value of a constant scalar, also of a broadcast one; None for other nodes."""
    while node.op.name == "broadcast":
        node = node.inputs[0]
    if node.op.name == "constant" and node.attrs["value"].ndim == 0:
        return node.attrs["value"].item()  # of integers exactly
    return None


def rejoined(node: Node) -> Node | None:
    """All parts of a value along an axis, joined again in their order: the value. None for other nodes."""
    if node.op.name != "concatenate":
        return None
    axis, sources, end = node.attrs["axis"], set[Node](), 0
    for part in node.inputs:
        inner = part
        while inner.op.name == "reshape":
            inner = inner.inputs[0]
        if inner.op.name != "slice" or inner.shape != part.shape:
            return None
        cut = [a for a, range_ in enumerate(inner.attrs["ranges"]) if range_ is not None]
        if cut != [axis] or inner.attrs["ranges"][axis] != (end, end + part.shape[axis], 1):
            return None
        sources.add(inner.inputs[0])
        end += part.shape[axis]
    source = sources.pop()
    return source if not sources and source.shape == node.shape else None


def _constant_fold(node: Node) -> Node | None:
    if node.op.name == "stop_gradient" or node.dtype in STORAGE:
        return None
    arrays = []
    for operand in node.inputs:
        known = scalar_of(operand)
        if known is None:
            return None
        arrays.append(np.asarray(known, operand.dtype))
    with np.errstate(all="ignore"):
        value = node.op.value(arrays, node.attrs, {})
    return full(np.asarray(value, node.dtype), node.shape, node.dtype)  # type: ignore[arg-type]  # a 0-d array


_IDENTITIES = frozenset((
    "stop_gradient", "cast", "add", "mul", "sub", "div", "neg", "reshape", "broadcast", "slice", "pad", "transpose",
))  # fmt: skip


def _identity(node: Node) -> Node | None:
    """x+0, x*1, x/1, x-0, double negation, no-op movements. x*0 stays: it must keep nan."""
    name, inputs = node.op.name, node.inputs
    if name == "stop_gradient" or (name == "cast" and node.dtype == inputs[0].dtype):
        return inputs[0]
    if name == "cast" and node.dtype in STORAGE and inputs[0].op.name == "cast":
        widened = inputs[0].inputs[0]
        if widened.dtype == node.dtype and inputs[0].dtype in FLOATS:
            return widened
    if name in ("add", "mul") and any(scalar_of(i) is not None for i in inputs):
        unit = 0.0 if name == "add" else 1.0
        for one, other in (inputs, inputs[::-1]):
            if scalar_of(one) == unit and (name == "mul" or node.dtype in FLOATS):
                return other
        if name == "mul" and node.dtype in FLOATS:
            for one, other in (inputs, inputs[::-1]):
                if scalar_of(one) == -1.0:
                    return -other
    if name in ("sub", "div") and scalar_of(inputs[1]) == (0.0 if name == "sub" else 1.0):
        return inputs[0]
    if name == "neg" and inputs[0].op.name == "neg":
        return inputs[0].inputs[0]
    if name == "add" and inputs[1].op.name == "neg":
        return inputs[0] - inputs[1].inputs[0]
    if name in ("reshape", "broadcast", "slice", "pad") and node.shape == inputs[0].shape:
        return inputs[0]
    if name == "reshape" and inputs[0].op.name == "reshape":
        return apply("reshape", inputs[0].inputs[0], **inputs[0].attrs | node.attrs)
    if name == "transpose":
        axes = node.attrs["axes"]
        if axes == tuple(range(node.ndim)):
            return inputs[0]
        if inputs[0].op.name == "transpose":
            return apply("transpose", inputs[0].inputs[0], axes=tuple(inputs[0].attrs["axes"][a] for a in axes))
    if name == "broadcast" and inputs[0].op.name == "broadcast":
        axes = tuple(node.attrs["axes"][a] for a in inputs[0].attrs["axes"])
        return apply("broadcast", inputs[0].inputs[0], shape=node.shape, axes=axes)
    if node.op.combine and not node.attrs["axes"]:
        return inputs[0]
    return None


def _transpose_last(node: Node) -> Node | None:
    """Move transposes from the operands to the result, where they may cancel others.

    So a network with channels first computes with channels last, and transposes only its inputs and outputs.
    """
    if node.op.kind == "elementwise":
        return _elementwise_first(node)
    if node.op.combine and node.inputs[0].op.name == "transpose":
        inner, axes = node.inputs[0].inputs[0], node.inputs[0].attrs["axes"]
        summed = {axes[a] for a in node.attrs["axes"]}
        kept = [axes[a] for a in range(len(axes)) if a not in node.attrs["axes"]]
        attrs = {**node.attrs, "axes": tuple(sorted(summed))}
        result = apply(node.op.name, inner, **attrs)
        return apply("transpose", result, axes=tuple(sorted(kept).index(k) for k in kept))
    return None


def _elementwise_first(node: Node) -> Node | None:
    moved = {i.attrs["axes"] for i in node.inputs if i.op.name == "transpose"}
    if len(moved) != 1:
        return None
    (axes,) = moved
    shape = next(i.inputs[0].shape for i in node.inputs if i.op.name == "transpose")
    operands = []
    for operand in node.inputs:
        if operand.op.name == "transpose":
            operands.append(operand.inputs[0])
            continue
        places = [axes[a] for a in operand.attrs["axes"]] if operand.op.name == "broadcast" else [1, 0]
        if places != sorted(places):
            return None
        operands.append(apply("broadcast", operand.inputs[0], shape=shape, axes=tuple(places)))
    return apply("transpose", apply(node.op.name, *operands, **node.attrs), axes=axes)


@cache
def _rules(op: Primitive) -> tuple[Callable[[Node], Node | None], ...]:
    """The rules for a primitive, the first of which that matches is applied."""
    kinds: tuple[tuple[Callable[[Node], Node | None], bool], ...] = (
        (_constant_fold, op.kind == "elementwise"),
        (_identity, op.name in _IDENTITIES or bool(op.combine)),
        (_transpose_last, op.kind == "elementwise" or bool(op.combine)),
        (sum_of, op.name == "reduce_sum"),
        (joined, op.name == "add"),
        (rejoined, op.name == "concatenate"),
    )
    return tuple([rule for rule, applies in kinds if applies])


def _one(node: Node) -> Node:
    """Apply the first rule that matches."""
    for rule in _rules(node.op):
        better = rule(node)
        if better is not None and better is not node:
            return better
    return node


def _key(node: Node) -> Any:
    def plain(value: Any) -> Any:
        return (value.dtype.str, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value

    attrs = tuple([(k, plain(v)) for k, v in sorted(node.attrs.items())]) if node.attrs else ()
    return node.op, node.inputs, attrs


def _rewrite(graph: Graph, rule: Callable[[Node], Node]) -> Graph:
    """Rebuild bottom-up, merging equal nodes (value numbering), with ``rule`` applied to each."""
    result: dict[Node, Node] = {}
    shared: dict[Any, Node] = {}
    merged: set[Node] = set(graph.inputs)  # and the values of ``shared``: a key takes longer than a look-up

    def intern(node: Node) -> Node:
        if node not in merged:
            node = shared.setdefault(_key(node), node)
            merged.add(node)
        return node

    same = True
    find = result.__getitem__
    for node in graph.nodes():
        fresh = node.on(tuple(map(find, node.inputs)))
        better = rule(fresh)
        if better is not fresh:  # otherwise its operands are merged already
            while better is not fresh:
                fresh, better = better, rule(better)
            fresh = fresh.on(tuple(map(intern, fresh.inputs)))
        new = result[node] = intern(fresh)
        same = same and new is node
    return graph if same else graph.rebuild(lambda n: result[n])


def simplify(graph: Graph) -> Graph:
    """Fold constants, remove identities, merge equal nodes, and drop unused nodes."""
    return _rewrite(with_loops(graph, simplify), _one)


def common_subexpressions(graph: Graph) -> Graph:
    """Merge equal nodes."""
    return _rewrite(graph, lambda node: node)
