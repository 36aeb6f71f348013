"""A pass for sums over very sparse data, such as the gradients of a convolution whose maximum over time is taken.

Such a sum is computed element by element of the data: each that is not zero is multiplied with what it meets, and added
to the results that it belongs to (`codegen/contraction/sparse_updates.py`). These results should be adjacent in memory,
as the elements of the other operand are, so the gradient of weights is summed in that order and then transposed.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from ranvier.engines.native.passes.clip_padding import is_zero
from ranvier.engines.native.target.lanes import LANES
from ranvier.graph.extents import Extent, size
from ranvier.graph.graph import Graph
from ranvier.graph.node import Node, apply

VERY_SPARSE = 0.95  # zeros from which on each other element is a matter of its own
MIN_PRODUCTS = 64  # multiply-adds of each element of the data that repay the search for nonzeros
MAX_DEPTH = 8  # of nodes through which zeros are followed


def zeros_of(node: Node, depth: int = MAX_DEPTH) -> float:
    """The fraction of a value's elements that is expected to be zero, at least."""
    if node.op.name == "input":
        return float(node.attrs.get("zeros", 0))
    if not depth:
        return 0.0
    if node.op.name == "mul":
        return max(zeros_of(operand, depth - 1) for operand in node.inputs)
    if node.op.name == "select" and is_zero(_unspread(node.inputs[2])):
        return max(_falses_of(node.inputs[0]), zeros_of(node.inputs[1], depth - 1))
    if node.op.name == "cast":
        return max(_falses_of(node.inputs[0]), zeros_of(node.inputs[0], depth - 1))
    return zeros_of(node.inputs[0], depth - 1) if node.op.keeps_zeros else 0.0


def _unspread(node: Node) -> Node:
    """What a broadcast repeats."""
    return _unspread(node.inputs[0]) if node.op.name == "broadcast" else node


def _falses_of(node: Node) -> float:
    """The fraction of a condition's elements that is expected to be false: few elements equal their maximum."""
    for operand in node.inputs if node.op.name == "equal" else ():
        top = operand.inputs[0] if operand.op.name == "broadcast" else operand
        if top.op.name == "reduce_max" and size(operand.shape, 1) > size(top.shape, 1) > 0:
            return 1 - size(top.shape, 1) / size(operand.shape, 1)
    return 0.0


class Dimension(NamedTuple):
    """A dimension of sparse data.

    The place of an element along it is the value of ``loop``; in a window, which moves with the loop ``free``, the
    value of ``loop`` plus ``step`` (1 or -1) times that of ``free`` plus ``offset``.
    """

    axis: int
    loop: int
    free: int | None = None
    step: int = 0
    offset: int = 0


class Updates(NamedTuple):
    """A contraction, from the elements of its data: operand number ``data``, with these dimensions.

    Each element is multiplied with what the other operand has for all values of the loops ``free``, and of ``columns``,
    along which both that operand and the result are adjacent.
    """

    data: int
    dimensions: tuple[Dimension, ...]
    free: tuple[int, ...]
    columns: int


def updates_of(node: Node) -> Updates | None:
    """How the elements of very sparse data make a contraction; None if it has no such data, or is another one."""
    if node.op.name != "contract" or "of" in node.attrs:
        return None
    data = next((side for side in (0, 1) if zeros_of(node.inputs[side]) >= VERY_SPARSE), None)
    if data is None:
        return None
    loops, rank, index = node.attrs["loops"], node.attrs["rank"], node.attrs["index"]
    dimensions = []
    for axis, (terms, offset) in enumerate(index[data]):
        found = _dimension(axis, dict(terms), offset, rank)
        if found is None:
            return None
        dimensions.append(found)
    if not dimensions or not index[1 - data]:
        return None
    terms, offset = index[1 - data][-1]
    met = {loop for d in dimensions for loop in (d.loop, d.free) if loop is not None}
    if len(terms) != 1 or terms[0][1] != 1 or offset or dimensions[-1].free is not None:
        return None
    columns = terms[0][0]
    free = [d.free for d in dimensions if d.free is not None]
    free += [loop for loop in range(rank) if loop not in met and loop != columns]
    known = all(isinstance(loops[loop], int) for loop in (*free, columns))
    # Few columns have their sums in another order (`loop_nest.plan`).
    many = all(not isinstance(loops[loop], Extent) and loops[loop] > LANES for loop in (columns, dimensions[-1].loop))
    distinct = len(met) == len(dimensions) + sum(d.free is not None for d in dimensions)
    if not (known and many and distinct) or columns in met or columns >= rank or {*range(rank, len(loops))} - met:
        return None
    if prod(loops[loop] for loop in (*free, columns)) < MIN_PRODUCTS or not _takes(node, dimensions, free):
        return None
    return Updates(data, tuple(dimensions), tuple(free), columns)


def _takes(node: Node, dimensions: Sequence[Dimension], free: Sequence[int]) -> bool:
    """Whether each element bounds what it meets in an operand without its padding."""
    windows, places = {(d.loop, d.free) for d in dimensions}, {d.loop for d in dimensions if d.free is None}
    return all(
        (p, q) in windows or (p in free and q in places and abs(cp) == 1) for p, cp, q, *_ in node.attrs.get("clip", ())
    )


def _dimension(axis: int, terms: dict[int, int], offset: int, rank: int) -> Dimension | None:
    """The dimension of an index function, of one loop, or of one of the result and one that is summed over."""
    loops = sorted(terms)
    if len(loops) == 1 and terms[loops[0]] == 1 and not offset:
        return Dimension(axis, loops[0])
    if len(loops) == 2 and loops[0] < rank <= loops[1] and terms[loops[0]] == 1 and abs(terms[loops[1]]) == 1:
        return Dimension(axis, loops[0], loops[1], terms[loops[1]], offset)
    return None


def sparse_updates(graph: Graph, batch: int) -> Graph:
    """Order the axes of sums over very sparse data as the other operand is stored, and transpose the sums."""
    return graph.changed(lambda node, old: _ordered(node), "contract")


def _ordered(node: Node) -> Node:
    found = updates_of(node)
    rank = node.attrs["rank"] if found is not None else 0
    if found is None or found.columns == rank - 1 or found.dimensions[-1].loop != rank - 1:
        return node
    order = [*(loop for loop in range(rank) if loop != found.columns), found.columns]
    number = {loop: place for place, loop in enumerate(order)}
    number |= {loop: loop for loop in range(rank, len(node.attrs["loops"]))}
    attrs = dict(node.attrs)
    attrs["loops"] = (*(node.attrs["loops"][loop] for loop in order), *node.attrs["loops"][rank:])
    attrs["index"] = tuple(
        tuple((tuple((number[loop], factor) for loop, factor in terms), offset) for terms, offset in operand)
        for operand in node.attrs["index"]
    )
    if "clip" in attrs:
        attrs["clip"] = tuple((number[p], cp, number[q], cq, *rest) for p, cp, q, cq, *rest in attrs["clip"])
    made = apply("contract", *node.inputs, **attrs)
    return apply("transpose", made, axes=tuple(number[loop] for loop in range(rank)))
