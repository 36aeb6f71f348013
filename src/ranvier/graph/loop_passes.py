"""Passes over loops: loops of the same steps become one, and loops compute only what is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ranvier.graph.graph import Graph
from ranvier.graph.node import Node, apply, walk
from ranvier.graph.scan import Operands, operands, slice_of, stack


def with_loops(graph: Graph, simplify: Callable[[Graph], Graph]) -> Graph:
    """The program with its loops merged, without what nobody reads of them, and with their bodies simplified."""
    if not any(node.op.name == "scan" for node in graph.nodes()):
        return graph
    return _simplified(_pruned(_merged(graph)), simplify)


def _merged(graph: Graph) -> Graph:
    """A loop and the same loop with further outputs, which its gradient reads, become one."""
    outputs: dict[Any, dict[Node, None]] = {}

    def key(node: Node) -> tuple[Any, ...]:
        body: Graph = node.attrs["body"]
        rest = [value for name, value in node.attrs.items() if name != "body"]
        return node.inputs, body.inputs, body.updates, *rest

    for node in graph.nodes():
        if node.op.name == "scan":
            outputs.setdefault(key(node), {}).update(dict.fromkeys(node.attrs["body"].outputs))
    merged: dict[Any, Node] = {}
    index_of: dict[Node, Callable[[int], int]] = {}
    result: dict[Node, Node] = {}
    for node in graph.nodes():
        if node.op.name == "scan":
            body, own = node.attrs["body"], key(node)
            if own not in merged:
                whole = Graph(body.inputs, tuple(outputs[own]), body.updates)
                inputs = tuple(result[i] for i in node.inputs)
                merged[own] = apply("scan", *inputs, **{**node.attrs, "body": whole})
            result[node] = merged[own]
            index_of[node] = _places(body, list(outputs[own]))
        elif node.op.name == "result":
            (scan,) = node.inputs
            result[node] = apply("result", result[scan], index=index_of[scan](node.attrs["index"]))
        else:
            result[node] = node.on(tuple(result[i] for i in node.inputs))
    return graph.rebuild(lambda n: result[n])


def _places(body: Graph, outputs: list[Node]) -> Callable[[int], int]:
    """Where the results of a loop are among those of the same loop with other outputs."""
    count = len(body.updates)
    return lambda i: i if i < count else count + outputs.index(body.outputs[i - count])


def _pruned(graph: Graph) -> Graph:
    """Loops without the carries, outputs and operands that nobody reads."""
    read: dict[Node, set[int]] = {}
    for node in graph.nodes():
        if node.op.name == "result":
            read.setdefault(node.inputs[0], set()).add(node.attrs["index"])
    result: dict[Node, Node] = {}
    places: dict[Node, dict[int, int]] = {}
    for node in graph.nodes():
        if node.op.name == "scan":
            result[node], places[node] = _with(node, tuple(result[i] for i in node.inputs), read.get(node, set()))
        elif node.op.name == "result":
            (scan,) = node.inputs
            result[node] = apply("result", result[scan], index=places[scan][node.attrs["index"]])
        else:
            result[node] = node.on(tuple(result[i] for i in node.inputs))
    return graph.rebuild(lambda n: result[n])


def _with(node: Node, inputs: tuple[Node, ...], read: set[int]) -> tuple[Node, dict[int, int]]:
    """A loop with what these results need, and their new indices."""
    body: Graph = node.attrs["body"]
    count = len(body.updates)
    outputs = [i for i in range(len(body.outputs)) if count + i in read]
    needed = {i for i in range(count) if i in read}
    place = {target: i for i, (target, _) in enumerate(body.updates)}
    while True:
        roots = [*(body.outputs[i] for i in outputs), *(body.updates[i][1] for i in needed)]
        reached = set(walk(roots, lambda n: True))
        more = {place[n] for n in reached if n in place} - needed
        if not more:
            break
        needed |= more
    carries = sorted(needed)
    inner, given = (Operands(x, body, node.attrs["slices"]) for x in (body.inputs, inputs))
    kept = [[i for i, n in enumerate(own) if n in reached] for own in (inner.slices, inner.constants)]
    parts = [(own.carries, own.slices, own.constants) for own in (inner, given)]
    chosen = [[*(p[0][i] for i in carries), *(p[1][i] for i in kept[0]), *(p[2][i] for i in kept[1])] for p in parts]
    if len(chosen[0]) == len(body.inputs) and len(outputs) == len(body.outputs):
        return Node(node.op, inputs, node.attrs, node.type), {i: i for i in range(count + len(outputs))}
    smaller = Graph(tuple(chosen[0]), tuple(body.outputs[i] for i in outputs), tuple(body.updates[i] for i in carries))
    made = apply("scan", *chosen[1], **{**node.attrs, "body": smaller, "slices": len(kept[0])})
    indices = {old: new for new, old in enumerate((*carries, *(count + i for i in outputs)))}
    return made, indices


def _simplified(graph: Graph, simplify: Callable[[Graph], Graph]) -> Graph:
    return graph.changed(lambda node, old: with_body(node, simplify(node.attrs["body"])), "scan")


def with_body(node: Node, body: Graph) -> Node:
    """The same loop with an equivalent body."""
    return Node(node.op, node.inputs, {**node.attrs, "body": body}, node.type)


def unroll_checked(graph: Graph) -> Graph:
    """The program with each loop whose body checks values written out: a check of a program names a row of the data."""
    loops = {node for node in graph.nodes() if node.op.name == "scan" and _checks(node.attrs["body"])}
    if not loops:
        return graph
    written: dict[Node, list[Node]] = {}
    result: dict[Node, Node] = {}
    for node in graph.nodes():
        inputs = tuple(result[i] for i in node.inputs)
        if node in loops:
            written[node] = _written_out(node.on(inputs))
            result[node] = node
        elif node.op.name == "result" and node.inputs[0] in loops:
            result[node] = written[node.inputs[0]][node.attrs["index"]]
        else:
            result[node] = node.on(inputs)
    return unroll_checked(graph.rebuild(lambda n: result[n]))


def _checks(body: Graph) -> bool:
    inner = [node.attrs["body"] for node in body.nodes() if node.op.name == "scan"]
    return any(node.op.name == "check" for node in body.nodes()) or any(map(_checks, inner))


def _written_out(node: Node) -> list[Node]:
    """The results of a loop, step by step."""
    body, length, axis = (node.attrs[name] for name in ("body", "length", "axis"))
    given, carries = operands(node), operands(node).carries
    steps: list[list[Node]] = [[] for _ in range(length)]
    for t in reversed(range(length)) if node.attrs["reverse"] else range(length):
        slices = [slice_of(x, t, axis) for x in given.slices]
        value = dict(zip(body.inputs, (*carries, *slices, *given.constants), strict=True))
        for inner in body.nodes():
            if inner not in value:
                value[inner] = inner.on(tuple(value[i] for i in inner.inputs))
        carries = [value[following] for _, following in body.updates]
        steps[t] = [value[output] for output in body.outputs]
    stacks = [stack(parts, axis) for parts in zip(*steps, strict=True)]
    return [*carries, *stacks]
