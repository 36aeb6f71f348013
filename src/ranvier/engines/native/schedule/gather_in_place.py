"""Rows of a data set that products read in place, in the order that a step's indices give.

A product that skips zeros reads little of its data (sparsity.py): looking up where a row begins costs less than first
copying a step's rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from ranvier.engines.native.passes.sparse_updates import zeros_of
from ranvier.engines.native.passes.split_features import GRADIENT, PLAIN
from ranvier.engines.native.passes.virtual_workers import LARGE_BATCH
from ranvier.engines.native.schedule.loop_nest import plan
from ranvier.engines.native.schedule.sparsity import pays, skips_zeros
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import View
from ranvier.graph.contraction import is_spatial
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, FLOATS, Node


def in_place_gathers(graph: Graph, batch: int) -> set[Node]:
    """The gathers of rows that need not be copied, as far as the graph tells."""
    if batch >= LARGE_BATCH or is_spatial(graph):  # virtual workers split their sums over the samples
        return set()
    return {
        node
        for node in graph.of("gather")
        if is_given_rows(node)
        and node.ndim == 2
        and node.dtype in FLOATS
        and node not in graph.roots()
        and all(_would_skip_zeros(reader, node, batch) for reader in graph.readers()[node])
    }


def not_in_place(
    in_place_gathers: Collection[Node], tasks: Sequence[Task], view: Callable[[Node], View | None], batch: int
) -> set[Node]:
    """Those of them that a task's kernel does not read in place after all, because of its other operand's layout."""
    found = set[Node]()
    for task in tasks:
        read = {i for i in task.anchor.inputs if i in in_place_gathers} if task.anchor is not None else set()
        views = task.operands(view) if read else []
        if read and not skips_zeros(task, plan(task.node, views, task.stored.strides), views, batch):
            found |= read
    return found


def is_given_rows(node: Node) -> bool:
    """Whether a node gathers rows of an input, by indices that are given for each step."""
    if node.op.name != "gather" or node.shape[:1] != (BATCH,) or node.attrs.get("batch", 0):
        return False
    source, rows = node.inputs
    return source.op.name == rows.op.name == "input" and bool(rows.attrs["windowed"])


def _would_skip_zeros(product: Node, data: Node, batch: int) -> bool:
    """Whether a product will skip the zeros of its data, as far as the graph tells."""
    if product.op.name != "contract" or product.inputs.count(data) != 1:
        return False
    first, loops, of = product.inputs[0] is data, product.attrs["loops"], product.attrs.get("of")
    if first and (of == "features" or (of is None and product.attrs["index"] == PLAIN)):
        extents = batch, loops[-2], loops[-1]
    elif not first and product.attrs["index"] == GRADIENT:
        extents = loops[0], loops[1], batch
    else:
        return False
    return pays(zeros_of(data), extents, product.dtype)
