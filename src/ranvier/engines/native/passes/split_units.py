"""A pass for networks of one hidden layer: threads take hidden units, each all samples of its own.

A unit's weights, its outputs, their gradient and the update of its weights are then one thread's alone. What goes to
other cores is each part's share of the sums over the units: a number for each sample and part, in place of every weight
and all that it takes to sum over the samples of all threads. What is read of the data, and what follows those sums,
every thread makes for itself. How many parts there are follows from sizes alone, so sums have one order whatever the
number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ranvier.engines.native.codegen.builder import LANES, SIZE
from ranvier.engines.native.passes.split_features import LARGE, is_first_layer
from ranvier.engines.native.passes.virtual_workers import MANY
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import Buffer, View, size
from ranvier.graph.contraction import Affine
from ranvier.graph.extents import extent
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, apply

PARTS = 4
LEAST = 16  # rows of a batch from which on it pays
SMALL = 1 << 13  # elements that every thread may make for itself
Axes = dict[Node, int]  # of nodes of which one dimension is the hidden units: which one


def divide(graph: Graph, batch: int) -> Graph:
    """The graph with the sum over the hidden units as sums of parts, where that pays."""
    found = _layers(graph, batch) if LEAST <= batch < MANY else None
    if found is None:
        return graph
    first, second = found

    def change(node: Node, old: Node) -> Node:
        if old is first:
            return apply("contract", *node.inputs, **node.attrs, of="units")
        return apply("reduce_sum", _parted(node), axes=(0,)) if old is second else node

    return graph.changed(change)


def _layers(graph: Graph, batch: int) -> tuple[Node, Node] | None:
    """The product that makes the hidden units out of the data, and the only one that sums over them."""
    updated = {target for target, _ in graph.updates}
    products = [node for node in graph.nodes() if node.op.name == "contract"]
    for first in products:
        if not is_first_layer(first, updated):
            continue
        count = size(first.inputs[1].shape, batch)
        if extent(first, 1) % (PARTS * LANES) or count * SIZE[first.dtype] >= LARGE:
            continue
        axes = _axes(graph, first)
        crossing = [
            node for node in graph.nodes() if node not in axes and any(i in axes for i in node.inputs)
        ]
        sums = [node for node in crossing if node.op.name == "contract"]
        # What moves units about may be made where it is needed, out of other threads' units.
        moving = any(node.op.kind != "reduce" for node in crossing if node not in sums)
        if moving or len(sums) != 1 or PARTS * size(sums[0].shape, batch) > count:
            continue
        if sums[0].shape[:1] == (BATCH,) and len(sums[0].attrs["loops"]) == sums[0].attrs["rank"] + 1:
            return first, sums[0]
    return None


def _parted(node: Node) -> Node:
    """The product with its sum in parts; the part's number goes first in the result."""
    *outer, units = node.attrs["loops"]
    last, some = len(outer), units // PARTS

    def place(term: Affine) -> Affine:
        terms, offset = term
        if terms == ((last, 1),):
            return (((0, some), (last + 1, 1)), offset)
        return tuple((loop + 1, factor) for loop, factor in terms), offset

    index = tuple(tuple(map(place, side)) for side in node.attrs["index"])
    loops = (PARTS, *outer, some)
    return apply("contract", *node.inputs, index=index, loops=loops, rank=last + 1, parts=PARTS, of="units")


def _axes(graph: Graph, first: Node) -> Axes:
    """Which nodes have the hidden units that the product ``first`` makes as a dimension."""
    axes = {first: 1, first.inputs[1]: 1}
    for node in graph.nodes():
        if node in axes or not any(i in axes for i in node.inputs):
            continue
        if node.op.name == "contract":
            _follow(node, axes)
            continue
        found = {_axis(node, axes[i]) for i in node.inputs if i in axes}
        axis = found.pop() if len(found) == 1 else None
        if axis is not None:
            axes[node] = axis
    return axes


def _follow(node: Node, axes: Axes) -> None:
    """Note where the units are in a product, and in its other operand where it sums over them."""
    index, rank = node.attrs["index"], node.attrs["rank"]
    found = {index[side][axes[i]] for side, i in enumerate(node.inputs) if i in axes}
    if len(found) != 1:
        return
    (place,) = found
    terms, _ = place
    if len(terms) == 1 and terms[0][0] < rank:
        axes[node] = terms[0][0]
        return
    for side, operand in enumerate(node.inputs):
        if operand not in axes and place in index[side]:
            axes[operand] = index[side].index(place)


def _axis(node: Node, axis: int) -> int | None:
    """Where a dimension of an operand is in the result; None where it is in none."""
    if node.op.kind == "elementwise":
        return axis
    if node.op.name == "broadcast":
        return int(node.attrs["axes"][axis])
    if node.op.name in ("reduce_sum", "reduce_max") and axis not in node.attrs["axes"]:
        return axis - sum(other < axis for other in node.attrs["axes"])
    return None


def assign(
    graph: Graph, tasks: Sequence[Task], view: Callable[[Node], View | None], batch: int
) -> dict[Buffer, Task]:
    """Give each thread its units, and let it make for itself what is small: the values that it has its own copies of,
    each with the task that makes it.
    """
    marked = [t.anchor for t in tasks if t.anchor is not None and t.anchor.attrs.get("of") == "units"]
    if not marked:
        return {}
    axes = _axes(graph, next(node for node in marked if "parts" not in node.attrs))
    for task in tasks:
        places = {axes.get(node) if node.shape == task.space else None for node in task.nodes}
        axis = places.pop() if len(places) == 1 else None
        if axis is not None and task.kind in ("map", "contract", "reduce"):
            task.share, task.axis, task.parts = "split", axis, PARTS
    readers: dict[Buffer, list[Task]] = {}
    for task in tasks:
        for source in [*map(view, task.reads), *(task.copy or ())[:1]]:
            if source is not None:
                readers.setdefault(source.buffer, []).append(task)
    copied: dict[Buffer, Task] = {}
    for task in tasks:
        stored = [target.buffer for _, target in task.stores]
        others = [reader for buffer in stored for reader in readers.get(buffer, ()) if reader is not task]
        if not task.parts and others and _small(task, batch) and _alike(task):
            task.share = "each"
        # Else lines beside each other would be fetched together, the other threads' too.
        elif not task.parts or not others or not all(other.parts for other in others):
            continue
        copied |= dict.fromkeys(stored, task)
    return copied


def _small(task: Task, batch: int) -> bool:
    """Whether a task takes so little that every thread may do it."""
    summed = task.anchor if task.kind == "reduce" else None
    return size(task.space if summed is None else summed.inputs[0].shape, batch) <= SMALL


def _alike(task: Task) -> bool:
    """Whether a task makes values of each sample for others to read, or new weights."""
    kinds = {view.buffer.kind for _, view in task.stores}
    of_samples = task.kind == "map" and task.space[:1] == (BATCH,) and kinds == {"scratch"}
    return of_samples or (task.kind in ("map", "reduce") and kinds == {"input"})
