"""A pass for large batches, large samples and small networks: sums over the samples are made by virtual workers, each
over rows of its own.

How many workers there are, and which rows each takes, follows from the batch alone, so the sums have one order whatever
the number of threads; threads take workers. Each worker's part lies in a row of a partial result, and an ordinary
reduction over those rows gives the sum.
"""

from __future__ import annotations

from ranvier.engines.native.schedule.view import size
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, Primitive, Symbol, Type, apply

WORKERS = 16
MANY = 1024  # rows from which on sharing them out pays
FEWER = 4  # workers of a network whose weights are small beside its samples' values: those they hand over change cores
SOME = 128  # rows from which on that pays
LITTLE = 1 << 16  # values that one thread adds up before others would have met
NARROW = 64  # features up to which samples, rather than features, lie next to each other

# Not one of the language's primitives: it stands in a graph between this pass and the schedule alone. ``inner`` is the
# contraction or reduction of which each worker makes a part.
PARTIAL = Primitive(
    "partial", "partial", lambda types, attrs: attrs["type"], lambda arrays, attrs, extents: None
)


def spatial(graph: Graph) -> bool:
    """Whether a sample is an image, a sound, a sequence: whether something is multiplied at several places of it."""
    contractions = (node.attrs for node in graph.nodes() if node.op.name == "contract")
    return any(attrs["rank"] > 2 and attrs["loops"][0] == BATCH for attrs in contractions)


def share_out(graph: Graph, batch: int) -> Graph:
    """The graph with its sums over the samples split among the workers, where that pays."""
    workers = _number(graph, batch)
    if not workers:
        return graph
    return graph.changed(lambda node, old: _split(node, batch, workers))


def _number(graph: Graph, batch: int) -> int:
    """How many workers there are; 0 where sums over the samples are left whole."""
    if batch >= MANY or spatial(graph):
        return WORKERS
    sums = [node for node in graph.nodes() if _over_samples(node)]
    reads = sum(size(i.shape, batch) for node in sums for i in node.inputs)
    made = FEWER * sum(size(node.shape, batch) for node in sums)
    return FEWER if batch >= SOME and made <= reads else 0


def _over_samples(node: Node) -> bool:
    """Whether a contraction sums over the samples, as the gradient of weights does."""
    if node.op.name != "contract":
        return False
    loops, rank = node.attrs["loops"], node.attrs["rank"]
    return BATCH in loops[rank:] and BATCH not in loops[:rank]


def _split(node: Node, batch: int, workers: int) -> Node:
    least = (
        LITTLE if workers == WORKERS else 0
    )  # few workers are there for the products, and other sums go with these
    if node.op.name == "contract":
        reads = sum(size(i.shape, batch) for i in node.inputs)
        if not _over_samples(node) or workers * size(node.shape, batch) > reads:
            return node
        join = "reduce_sum"
    elif (
        node.op.name in ("reduce_sum", "reduce_max")
        and node.inputs[0].shape[0] == BATCH
        and 0 in node.attrs["axes"]
        and (
            batch >= MANY
            or max(workers * size(node.shape, batch), least) <= size(node.inputs[0].shape, batch)
        )
    ):
        join = node.op.name
    else:
        return node
    type_ = Type((workers, *node.shape), node.dtype)
    return apply(join, Node(PARTIAL, node.inputs, {"inner": node}, type_), axes=(0,))


def samples_adjacent(graph: Graph, batch: int) -> bool:
    """Whether values of many samples with few features are better laid out feature by feature: every lane is used."""
    if batch < MANY:
        return False
    for node in graph.nodes():
        if BATCH not in node.shape:
            continue
        plain = (
            node.ndim <= 2
            and node.shape[0] == BATCH
            and all(not isinstance(d, Symbol) and d <= NARROW for d in node.shape[1:])
        )
        if not plain or node.op.name in (
            "reshape",
            "transpose",
            "concatenate",
            "pad",
            "reverse",
            "slice",
            "windows",
            "random",
            "scatter_add",
        ):
            return False
    return True
