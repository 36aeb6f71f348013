"""Virtual workers for large batches, large samples and small networks: each sums over its own rows of the batch.

How many workers there are, and which rows each takes, follows from the batch alone, so sums have one order whatever
the number of threads; threads take workers. Each worker's part is a row of a partial result, and an ordinary reduction
over those rows gives the sum.
"""

from __future__ import annotations

from ranvier.engines.native.passes.primitives import PARTIAL, REDUCTIONS, STRIPS
from ranvier.graph.contraction import is_spatial
from ranvier.graph.extents import Extent, size
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, Type, apply

WORKERS = 16
LARGE_BATCH = 1024  # rows from which on every network's samples are split
# Of a network whose weights are small beside its samples' values, since partial sums change cores.
FEW_WORKERS = 4
MEDIUM_BATCH = 128  # rows from which on such a network's samples are split
SMALL_SUM = 1 << 13  # elements that one thread sums, though they left its cache, as fast as the parts of workers
MAX_FEATURES = 64  # up to which a batch is stored feature by feature


def split_samples(graph: Graph, batch: int) -> Graph | None:
    """Split the sums over the samples among the workers; None where that does not pay."""
    workers = _workers(graph, batch)
    if not workers:
        return None
    return graph.changed(lambda node, old: _split(node, batch, workers), "contract", "add", *REDUCTIONS)


def _workers(graph: Graph, batch: int) -> int:
    """How many workers there are; 0 where sums over the samples stay whole."""
    if batch >= LARGE_BATCH or is_spatial(graph):
        return WORKERS
    sums = [node for node in graph.of("contract") if _is_sum_over_samples(node)]
    reads = sum(size(i.shape, batch) for node in sums for i in node.inputs)
    results = FEW_WORKERS * sum(size(node.shape, batch) for node in sums)
    return FEW_WORKERS if batch >= MEDIUM_BATCH and results <= reads else 0


def _is_sum_over_samples(node: Node) -> bool:
    """Whether a contraction sums over the samples, as the gradient of weights does."""
    loops, rank = node.attrs["loops"], node.attrs["rank"]
    return BATCH in loops[rank:] and BATCH not in loops[:rank]


def _split(node: Node, batch: int, workers: int) -> Node:
    if node.op.name == "add":
        return _joined(node) if STRIPS in node.attrs else node
    if node.op.name == "contract":
        reads = sum(size(i.shape, batch) for i in node.inputs)
        splits = _is_sum_over_samples(node) and not sums_steps(node)
        if not splits or stays_whole(size(node.shape, batch), reads, batch, workers):
            return node
        join = "reduce_sum"
    elif node.inputs[0].shape[0] == BATCH and 0 in node.attrs["axes"]:
        # Few workers are there for the products, and any other sum may be split with these.
        least = SMALL_SUM if workers == WORKERS else 0
        elements = size(node.inputs[0].shape, batch)
        if batch < LARGE_BATCH and elements < max(workers * size(node.shape, batch), least):
            return node
        join = node.op.name
    else:
        return node
    count = min(workers, batch)  # others would have no sample
    type_ = Type((count, *node.shape), node.dtype)
    partial = Node(PARTIAL, node.inputs, {"inner": node, "workers": count}, type_)
    return apply(join, partial, axes=(0,))


def _joined(node: Node) -> Node:
    """The sum of two strips of a sample: workers' parts of the second add to those of the first, in their memory."""
    first, second = (operand.inputs[0] if operand.op.combine else operand for operand in node.inputs)
    if not first.op is second.op is PARTIAL:
        return node
    partial = Node(PARTIAL, (first, *second.inputs), second.attrs, second.type)
    return apply("reduce_sum", partial, axes=(0,))


def stays_whole(result: int, reads: int, batch: int = WORKERS, workers: int = WORKERS) -> bool:
    """Whether a sum is not split: the workers' partial results would have more elements than what they read."""
    count = min(workers, batch) if batch > 1 else workers  # of a single sample nothing is split
    return count * result > reads


def sums_steps(node: Node) -> bool:
    """Whether a contraction sums over the steps of a loop too: so many terms keep the threads busy, undivided."""
    return any(operand.op.name == "result" for operand in node.inputs)


def samples_adjacent(graph: Graph, batch: int) -> bool:
    """Whether a batch is better stored feature by feature: many samples of few features then fill every lane."""
    if batch < LARGE_BATCH:
        return False
    for node in graph.nodes():
        if BATCH not in node.shape:
            continue
        rows = node.ndim <= 2 and node.shape[0] == BATCH
        small = all(not isinstance(d, Extent) and d <= MAX_FEATURES for d in node.shape[1:])
        moves = node.op.kind in ("movement", "random") and node.op.name != "broadcast"
        if not rows or not small or moves or node.op.name == "scatter_add":
            return False
    return True
