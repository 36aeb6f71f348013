"""For networks of many features: the first layer's sums are computed in parts, each over its own features.

The thread that computes the gradient by the weights of some features, and updates these weights, is then the thread
that multiplies with them. No cache line of such a network's largest weights moves to another core, nor of its data, of
which each thread's features are stored together (`schedule/buffers.py`). Only the parts' sums move, and they are few.
"""

from __future__ import annotations

from collections.abc import Collection

from ranvier.engines.native.target.lanes import SIZE
from ranvier.graph.contraction import plain
from ranvier.graph.extents import size
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, apply, extent, walk

PARTS = (8, 4)  # the first number that fits
LARGE_WEIGHTS = 1 << 16  # bytes from which on splitting pays
# Bytes that the parts' sums may take: what stays in a second-level cache with everything else, or this fraction of the
# weights, since the sums then cost less than moving the weights between cores.
SUM_BYTES, SUM_FRACTION = 3 << 17, 3 / 4
MIN_FEATURES = 32  # of a part
PLAIN = plain(0, 2), plain(2, 1)  # how a matrix product addresses its operands: rows, columns, features
GRADIENT = plain(2, 1), plain(2, 0)  # how its gradient by the second operand does: result, first operand


def split_features(graph: Graph, batch: int) -> Graph | None:
    """Turn the product of a first layer into a sum of parts; None where that does not pay."""
    updated = {target for target, _ in graph.updates}

    def change(node: Node, old: Node) -> Node:
        parts = _parts(old, batch) if is_first_layer(old, updated) else 0
        return apply("reduce_sum", _split(node, parts), axes=(0,)) if parts else node

    return graph.changed(change, "contract") if updated and batch > 1 else None


def is_first_layer(node: Node, updated: Collection[Node]) -> bool:
    """Whether a node is the product of the data and of weights that the program updates."""
    if node.op.name != "contract" or node.attrs["index"] != PLAIN or node.attrs["loops"][0] != BATCH:
        return False
    return node.inputs[1] in updated and _is_data(node.inputs[0])


def _parts(node: Node, batch: int) -> int:
    """The number of parts of a first layer's product; 0 if it is not split."""
    weights = node.inputs[1]
    features = extent(weights, 0)
    sum_bytes, weight_bytes = (size(n.shape, batch) * SIZE[node.dtype] for n in (node, weights))
    room = max(SUM_BYTES, SUM_FRACTION * weight_bytes)
    fitting = (n for n in PARTS if n * sum_bytes <= room and features % n == 0 and features // n >= MIN_FEATURES)
    return next(fitting, 0) if weight_bytes >= LARGE_WEIGHTS else 0


def _is_data(node: Node) -> bool:
    """Whether a node is computed element by element from the program's inputs, so that features stay apart."""

    def by_element(node: Node) -> bool:
        return node.op.kind in ("elementwise", "source", "random") or node.op.name in ("gather", "broadcast")

    return all(map(by_element, walk([node], by_element)))


def _split(node: Node, parts: int) -> Node:
    """The product in parts; the part's number is the result's first dimension."""
    x, weights = node.inputs
    batch, columns, features = node.attrs["loops"]
    own = features // parts
    (row, column), feature = plain(1, 2), (((0, own), (3, 1)), 0)
    loops, index = (parts, batch, columns, own), ((row, feature), (feature, column))
    return apply("contract", x, weights, index=index, loops=loops, rank=3, parts=parts, of="features")
