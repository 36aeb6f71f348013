"""Threads of a network of many features: each takes its own features (`passes/split_features.py`)."""

from __future__ import annotations

from ranvier.engines.native.passes.sparse_updates import zeros_of
from ranvier.engines.native.schedule.sparsity import pays
from ranvier.engines.native.schedule.task import Task
from ranvier.graph.graph import Graph
from ranvier.graph.node import Node, walk


def _sums_up_rows(task: Task, weights: Node) -> bool:
    """Whether a task reduces each row of the weights to one number."""
    if len(task.nodes) != 1 or not task.nodes[0].op.combine:
        return False

    def inner(node: Node) -> bool:
        return node.op.kind == "elementwise"

    (total,) = task.nodes
    leaves = [node for node in walk(total.inputs, inner) if not inner(node) and node is not weights]
    scalars = all(node.op.name == "broadcast" and node.inputs[0].shape == () for node in leaves)
    return scalars and 0 not in total.attrs["axes"]


def assign(graph: Graph, tasks: list[Task], batch: int) -> bool:
    """Give each thread its parts of such products, and of their data.

    Returns whether parts may take different times, since zeros are skipped. The weights' updates are then divided in
    the same way.
    """
    uneven = False
    updates = dict(graph.updates)
    makers = {node: task for task in tasks for node in task.nodes}
    for task in tasks:
        node = task.anchor
        if node is None or not node.attrs.get("parts", 0):
            continue
        parts = node.attrs["parts"]
        task.division, task.axis, task.parts = "split", 0, parts
        (data, weights), (*_, columns, some) = node.inputs, node.attrs["loops"]
        if node.attrs["of"] == "features" and pays(zeros_of(data), (batch, columns, some), node.dtype):
            uneven = True
            update = makers.get(updates.get(weights, weights))
            if update is not None and (update.kind, update.division, update.axis) == ("contract", "split", 0):
                update.parts = parts
        for reader in tasks:
            if reader.division == "split" and reader.axis == 0 and _sums_up_rows(reader, weights):
                reader.parts = parts
        maker = makers.get(data)
        if maker is None or maker.kind != "map" or any(node in makers for node in maker.reads):
            continue
        if all(node.shape == maker.space for node in maker.members) and maker.parts in (0, parts):
            maker.division, maker.axis, maker.parts = "split", 1, parts
    return uneven
