"""Passes for images and sequences: what is kept once, in a concatenation or apart from it, is not kept twice.

The gradient of a concatenation is divided among what was concatenated. In a U-Net one part goes down the levels of the
network, and the part of the skip connection waits until the first has come up again, on their other side. All of the
gradient would stay in memory as long; a copy of the second part takes half of it. And what was concatenated, or padded,
is kept there for the gradient by weights: the derivative of an activation reads it there too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ranvier.engines.native.passes.primitives import PACK
from ranvier.engines.native.passes.rematerialize import MIN_BYTES
from ranvier.engines.native.target.lanes import SIZE
from ranvier.graph.contraction import is_spatial
from ranvier.graph.extents import size
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, apply, extent, topological

KEPT = "kept"  # attribute of a copy of a part: nothing else is computed with it, or it might wait


def read_placed(graph: Graph, batch: int) -> Graph:
    """Read a value, in the gradient, from the concatenation or padding that holds it, if these took much memory."""
    forward, placed = _forward(graph), dict[Node, Node]()
    wholes = [whole for whole in graph.of("concatenate") + graph.of("pad") if whole in forward]
    for whole in wholes if is_spatial(graph) else ():
        if not all(reader in forward for reader in graph.readers().get(whole, ())):
            placed.update(_found_in(whole, graph, forward))
    if sum(_bytes(whole, batch) for whole in {part.inputs[0] for part in placed.values()}) < MIN_BYTES:
        return graph
    parts: dict[Node, list[Node]] = {}
    for part in placed.values():
        parts.setdefault(part.inputs[0], []).append(part)
    found: dict[Node, Node] = {}
    for node in graph.nodes():
        late = {} if node in forward else placed
        found[node] = node.on(tuple(found[late.get(i, i)] for i in node.inputs))
        for part in parts.get(node, ()):
            found[part] = part.on((found[node],))
    return graph.rebuild(lambda n: found[n])


def _found_in(whole: Node, graph: Graph, forward: Collection[Node]) -> Iterator[tuple[Node, Node]]:
    """What a concatenation or padding holds that nothing else reads before the gradient, and where it holds it."""
    for operand, ranges in _places(whole):
        others = [reader for reader in graph.readers()[operand] if reader is not whole]
        late = all(reader not in forward and reader.op.kind == "elementwise" for reader in others)
        if others and late and operand.op.kind == "elementwise" and operand not in graph.roots():
            yield operand, apply("slice", whole, ranges=ranges)


def _places(whole: Node) -> Iterator[tuple[Node, tuple[tuple[int, int, int] | None, ...]]]:
    """The ranges of each operand of a concatenation, or of what is padded."""
    axes = range(whole.ndim)
    if whole.op.name == "pad":
        operand, widths = whole.inputs[0], whole.attrs["widths"]
        padded = [axis for axis in axes if any(widths[axis])]
        if all(isinstance(whole.shape[i], int) and min(widths[i]) >= 0 == widths[i][2] for i in padded):
            starts = [width[0] for width in widths]
            yield operand, tuple((starts[i], starts[i] + extent(operand, i), 1) if i in padded else None for i in axes)
        return
    at, axis = 0, whole.attrs["axis"]
    for operand in whole.inputs if isinstance(whole.shape[axis], int) else ():
        end = at + extent(operand, axis)
        yield operand, tuple((at, end, 1) if i == axis else None for i in axes)
        at = end


def copy_slices(graph: Graph, batch: int) -> Graph:
    """Copy the slices of gradients that wait for what follows from the others, if the gradients took much memory."""
    slices = _slices(graph) if is_spatial(graph) else {}
    if sum(_bytes(whole, batch) for whole in slices) < MIN_BYTES:
        return graph
    bits = {part: 1 << i for i, part in enumerate(part for parts in slices.values() for part in parts)}
    follows, waits = dict[Node, int](), dict[Node, int]()  # the slices that a node follows from; by way of a product
    for node in graph.nodes():
        follows[node], waits[node] = bits.get(node, 0), 0
        for operand in node.inputs:
            follows[node] |= follows[operand]
            waits[node] |= waits[operand]
        if node.op.name == "contract":
            waits[node] |= follows[node]
    readers, late = graph.readers(), set[Node]()
    for whole, parts in slices.items():
        every = sum(bits[part] for part in parts)
        for part in parts:
            wait = all(waits[reader] & (every - bits[part]) for reader in readers[part])
            if wait and 2 * _bytes(part, batch) <= _bytes(whole, batch):
                late.add(part)
    return graph.changed(
        lambda node, old: Node(PACK, (node,), {KEPT: True}, node.type) if old in late else node, "slice"
    )


def _slices(graph: Graph) -> dict[Node, list[Node]]:
    """The values of the gradient that are read in several slices alone, and these."""
    forward, roots = _forward(graph), set(graph.roots())
    return {
        node: readers
        for node, readers in graph.readers().items()
        if forward
        and len(readers) > 1
        and node.shape[:1] == (BATCH,)
        and node not in forward
        and node not in roots
        and all(reader.op.name == "slice" and reader not in roots for reader in readers)
    }


def _forward(graph: Graph) -> set[Node]:
    """The loss, and all it depends on."""
    return set(topological([root for root in graph.roots() if not root.shape]))


def _bytes(node: Node, batch: int) -> int:
    return size(node.shape, batch) * SIZE[node.dtype]
