"""Passes for loops over time: their carries' memory, constants laid out once, products of slices step by step."""

from __future__ import annotations

from typing import Any

from ranvier.engines.native.passes.pack_weights import packed_axes, reading
from ranvier.engines.native.passes.primitives import inner_operands, packed, start
from ranvier.engines.native.target.lanes import SIZE
from ranvier.graph.extents import size
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.loop_passes import with_body
from ranvier.graph.node import BATCH, Node, apply
from ranvier.graph.scan import Operands, operands

# Products of all steps that leave the second-level caches before the loop reads them; the most weights that a step
# reads for them again, which stay in these caches; samples from which on a step fills its tiles.
LARGE_STACK, MOST_WEIGHTS, FEWEST_ROWS = 1 << 21, 1 << 18, 32


def place_carries(graph: Graph, batch: int) -> Graph:
    """Give each carry of a loop memory of its own, which begins as its first value."""

    def change(node: Node, old: Node) -> Node:
        given = operands(node)
        return node.on((*map(start, given.carries), *given.slices, *given.constants))

    return graph.changed(change, "scan")


def pack_constants(graph: Graph, batch: int) -> Graph:
    """Lay out a loop's weights once, before the loop, where its products would gather them with a stride."""
    return _once(graph.changed(lambda node, old: _with_packed(node), "scan"))


def _once(graph: Graph) -> Graph:
    """Take the layouts of slices from that of the whole value, where there is one."""
    wholes = {(pack.inputs[0].inputs[0], pack.inputs[0].attrs["axes"]) for pack in graph.of("pack")}
    known: dict[tuple[Node, tuple[int, ...]], Node] = {}

    def change(node: Node, old: Node) -> Node:
        (turned,), axes = node.inputs, node.inputs[0].attrs["axes"]
        given, value = old.inputs[0].inputs[0], turned.inputs[0]
        if given.op.name != "slice" or (given.inputs[0], axes) not in wholes:
            return known.setdefault((given, axes), node)
        whole = given.inputs[0], axes
        if whole not in known:
            known[whole] = packed(value.inputs[0], axes)
        return apply("slice", known[whole], ranges=tuple(given.attrs["ranges"][axis] for axis in axes))

    return graph.changed(change, "pack")


def _with_packed(node: Node) -> Node:
    body: Graph = pack_constants(node.attrs["body"], 0)
    inner, given = Operands(body.inputs, body, node.attrs["slices"]), operands(node)
    outside = dict(zip(inner.constants, given.constants, strict=True))  # values that are the same in all steps
    inside: dict[Node, Node] = {}
    added: dict[tuple[Node, tuple[int, ...]], Node] = {}  # further inputs of the body, by what they pack
    layouts: list[Node] = []
    for each in body.nodes():
        if each.inputs and all(i in outside for i in each.inputs):
            outside[each] = each.on(tuple(outside[i] for i in each.inputs))
        inside[each] = each.on(tuple(inside[i] for i in each.inputs))
        for side, operand in enumerate(each.inputs if each.op.name == "contract" else ()):
            axes = packed_axes(each, side) if operand in outside else None
            if axes is None:
                continue
            if (operand, axes) not in added:
                layouts.append(packed(outside[operand], axes))
                added[operand, axes] = input_node(f"p{len(added)}", layouts[-1].shape, layouts[-1].dtype)
            inside[each] = reading(inside[each], side, added[operand, axes], axes)
    updates = tuple((target, inside[value]) for target, value in body.updates)
    made = Graph((*body.inputs, *added.values()), tuple(inside[output] for output in body.outputs), updates)
    return with_body(node.on((*node.inputs, *layouts)), made)


def project_in_steps(graph: Graph, batch: int) -> Graph:
    """Compute a loop's products of slices with weights in its steps, where a step would read those of all steps from
    memory beyond the caches.
    """
    readers = graph.readers()

    def change(node: Node, old: Node) -> Node:
        if node.op.name == "partial":  # what it is a part of reads the same
            inner = node.attrs["inner"].on(inner_operands(node))
            return Node(node.op, node.inputs, {**node.attrs, "inner": inner}, node.type)
        made = node
        for before, stack in zip(operands(old).slices, operands(node).slices, strict=True):
            large = size(stack.shape, batch) * SIZE[stack.dtype] >= LARGE_STACK and stack.shape[0] == BATCH
            if large and readers[before] == [old] and stack.op.kind in ("contract", "elementwise"):
                made = _with_projection(made, stack)
        return made

    loops = [node for node in graph.nodes() if node.op.name == "scan"] if batch >= FEWEST_ROWS else []
    return graph.changed(change, "scan", "partial") if loops else graph


class _Step:
    """A stacked value computed in a step of the loop: what of the step, and of all steps, it reads."""

    def __init__(self, axis: int) -> None:
        self.axis = axis
        self.slices: dict[Node, Node] = {}  # stacks, with the inputs of the body for them
        self.constants: dict[Node, Node] = {}

    def value(self, node: Node) -> Node | None:
        """The value in the step; None if it is not one of products with weights and what is added to these."""
        if node.op.name == "contract":
            return self._product(node)
        if node.op.name == "broadcast":
            return self._broadcast(node)
        inputs = [self.value(i) for i in node.inputs] if node.op.kind == "elementwise" else [None]
        found = [i for i in inputs if i is not None]
        return apply(node.op.name, *found, **node.attrs) if len(found) == len(inputs) else None

    def _product(self, node: Node) -> Node | None:
        (stack, weights), attrs, axis = node.inputs, node.attrs, self.axis
        index, own = attrs["index"], (((axis, 1),), 0)
        used = [[loop for terms, _ in functions for loop, _ in terms].count(axis) for functions in index]
        large = size(weights.shape, 1) * SIZE[weights.dtype] > MOST_WEIGHTS if BATCH not in weights.shape else True
        if "of" in attrs or large or used != [1, 0] or len(index[0]) <= axis or index[0][axis] != own:
            return None
        index = tuple(
            tuple((_renumbered(terms, axis), offset) for terms, offset in functions)
            for functions in (_without(index[0], axis), index[1])
        )
        loops, rank = _without(attrs["loops"], axis), attrs["rank"] - 1
        return apply("contract", self._slice(stack), self._constant(weights), index=index, loops=loops, rank=rank)

    def _broadcast(self, node: Node) -> Node | None:
        axes, shape = node.attrs["axes"], _without(node.shape, self.axis)
        if self.axis in axes:
            return None
        kept = tuple(a - (a > self.axis) for a in axes)
        return apply("broadcast", self._constant(node.inputs[0]), shape=shape, axes=kept)

    def _slice(self, stack: Node) -> Node:
        return self._input(self.slices, stack, _without(stack.shape, self.axis))

    def _constant(self, node: Node) -> Node:
        return node if node.op.name == "constant" and not node.ndim else self._input(self.constants, node, node.shape)

    def _input(self, known: dict[Node, Node], node: Node, shape: Any) -> Node:
        if node not in known:
            known[node] = input_node(f"s{len(self.slices) + len(self.constants)}", shape, node.dtype)
        return known[node]


def _with_projection(loop: Node, stack: Node) -> Node:
    """The loop with a stack's values computed in its steps; the same loop where these cannot be."""
    body, slices, step = loop.attrs["body"], loop.attrs["slices"], _Step(loop.attrs["axis"])
    made, given, inner = step.value(stack), operands(loop), Operands(body.inputs, body, slices)
    if made is None:
        return loop
    place = given.slices.index(stack)
    inside = {inner.slices[place]: made}
    for each in body.nodes():
        if each not in inside:
            inside[each] = each.on(tuple(inside[i] for i in each.inputs))
    outside, inputs = (
        (*own.carries, *_without(own.slices, place), *more, *own.constants, *constants)
        for own, more, constants in (
            (given, step.slices, step.constants),
            (inner, step.slices.values(), step.constants.values()),
        )
    )
    updates = tuple((target, inside[value]) for target, value in body.updates)
    graph = Graph(inputs, tuple(inside[output] for output in body.outputs), updates)
    return apply("scan", *outside, **{**loop.attrs, "body": graph, "slices": slices - 1 + len(step.slices)})


def _without(given: Any, place: int) -> tuple[Any, ...]:
    return (*given[:place], *given[place + 1 :])


def _renumbered(terms: Any, loop: int) -> tuple[tuple[int, int], ...]:
    """The terms of an index without a loop that they do not have."""
    return tuple((other - (other > loop), factor) for other, factor in terms)
