"""A pass for networks of many features: the first layer's sums are made in parts, each over features of its own.

The thread that makes the gradient by some features' weights, and updates them, then is the one that multiplies with
them: of the largest weights that such a network has no line ever goes to another core, nor of the data, of which each
thread's features lie together (placing.py). What does are the parts' sums, which are few. How many parts there are
follows from sizes alone, so sums have one order whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Collection

from ranvier.engines.native.codegen.builder import SIZE
from ranvier.engines.native.codegen.contraction.sparse import pays, zeros_of
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import size
from ranvier.graph.extents import extent
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, apply

PARTS = (8, 4)  # so many, the first that fits
LARGE = 1 << 16  # bytes of weights from which on it pays
# Bytes that the parts' sums may take: so many stay in a second-level cache with all else; or this share of the weights'
# own, for they then take less time than lines of weights that change hands.
ROOM, SHARE = 3 << 17, 3 / 4
LEAST = 32  # features of a part
ROW, COLUMN, FEATURE = ((((loop, 1),), 0) for loop in range(3))
PLAIN = ((ROW, FEATURE), (FEATURE, COLUMN))  # how a product of matrices addresses its operands
GRADIENT = ((FEATURE, COLUMN), (FEATURE, ROW))  # and the gradient by its second: what it gave, and its first
GIVEN = frozenset(("input", "constant", "iota", "extent"))
ON_THE_SPOT = frozenset(("gather", "broadcast", "random"))


def divide(graph: Graph, batch: int) -> Graph:
    """The graph with such products as sums of parts, where that pays."""
    updated = {target for target, _ in graph.updates}

    def change(node: Node, old: Node) -> Node:
        parts = _parts(old, batch) if is_first_layer(old, updated) else 0
        return apply("reduce_sum", _divided(node, parts), axes=(0,)) if parts else node

    return graph.changed(change) if updated and batch > 1 else graph


def is_first_layer(node: Node, updated: Collection[Node]) -> bool:
    """Whether a node is the product of the data and of weights that the program updates."""
    if node.op.name != "contract" or node.attrs["index"] != PLAIN or node.attrs["loops"][0] != BATCH:
        return False
    return node.inputs[1] in updated and _of_data(node.inputs[0])


def _parts(node: Node, batch: int) -> int:
    """Into how many parts a first layer's product is divided; 0 if it is not."""
    weights = node.inputs[1]
    features = extent(weights, 0)
    sums, all_weights = (size(n.shape, batch) * SIZE[node.dtype] for n in (node, weights))
    room = max(ROOM, SHARE * all_weights)
    fitting = (n for n in PARTS if n * sums <= room and features % n == 0 and features // n >= LEAST)
    return next(fitting, 0) if all_weights >= LARGE else 0


def _of_data(node: Node) -> bool:
    """Whether a node is made element by element of what the program is given: every feature of a sample by itself."""
    stack, seen = [node], set[Node]()
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.op.kind != "elementwise" and node.op.name not in GIVEN | ON_THE_SPOT:
            return False
        stack.extend(node.inputs)
    return True


def _divided(node: Node, parts: int) -> Node:
    """The part's number goes first in the result."""
    x, weights = node.inputs
    batch, columns, features = node.attrs["loops"]
    some = features // parts
    row, column, feature = (((1, 1),), 0), (((2, 1),), 0), (((0, some), (3, 1)), 0)
    loops, index = (parts, batch, columns, some), ((row, feature), (feature, column))
    return apply("contract", x, weights, index=index, loops=loops, rank=3, parts=parts, of="features")


def _sums_up_rows(task: Task, weights: Node) -> bool:
    """Whether a task makes one number of each row of the weights, of that row alone."""
    if len(task.nodes) != 1 or task.nodes[0].op.name not in ("reduce_sum", "reduce_max"):
        return False
    (total,) = task.nodes
    stack = [total.inputs[0]]
    while stack:
        node = stack.pop()
        alike = node.op.name == "broadcast" and node.inputs[0].shape == ()
        if node.op.kind == "elementwise":
            stack.extend(node.inputs)
        elif node is not weights and not alike:
            return False
    return 0 not in total.attrs["axes"]


def assign(graph: Graph, tasks: list[Task], batch: int) -> bool:
    """Give each thread its parts: of such products, and of the data that they are made of.

    Returns whether parts may take different times, since terms are left out that are zero (skipping.py). Then the
    weights' updates are divided in the same way.
    """
    uneven = False
    updates = dict(graph.updates)
    makers = {node: task for task in tasks for node in task.nodes}
    for task in tasks:
        parts = task.anchor.attrs.get("parts", 0) if task.anchor is not None else 0
        if task.anchor is None or not parts:
            continue
        task.share, task.axis, task.parts = "split", 0, parts
        (data, weights), (*_, columns, some) = task.anchor.inputs, task.anchor.attrs["loops"]
        extents, dtype = (batch, columns, some), task.anchor.dtype
        if task.anchor.attrs["of"] == "features" and pays(zeros_of(data), extents, dtype):
            uneven = True
            update = makers.get(updates.get(weights, weights))
            if update is not None and (update.kind, update.share, update.axis) == ("contract", "split", 0):
                update.parts = parts
        for reader in tasks:
            if reader.share == "split" and reader.axis == 0 and _sums_up_rows(reader, weights):
                reader.parts = parts
        maker = makers.get(data)
        if maker is None or maker.kind != "map" or any(node in makers for node in maker.reads):
            continue
        if all(node.shape == maker.space for node in maker.members) and maker.parts in (0, parts):
            maker.share, maker.axis, maker.parts = "split", 1, parts
    return uneven
