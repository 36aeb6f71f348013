"""When a product skips the zeros of its data, and in which blocks it does so.

The decision follows from the expected fraction of zeros and from extents alone, so it is the same on every target.
`codegen/contraction/sparse.py` writes the kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from ranvier.engines.native.passes.sparse_updates import Dimension, Updates, updates_of, zeros_of
from ranvier.engines.native.schedule.loop_nest import Loop, Nest, order_of_sum, registers
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import View
from ranvier.engines.native.target.lanes import LANES, SIZE
from ranvier.engines.native.target.target import Target
from ranvier.graph.extents import Extent
from ranvier.graph.node import Node

MASK_BITS = 64  # of a row's mask: the most terms of a block
BLOCK_BYTES = 24 << 10  # of a block's rows of the other operand, which are to stay in a first-level cache
MIN_ROWS = 16  # of the result; fewer do not repay the masks
MAX_VECTORS = 8  # of a row's sums
ROWS_PER_CALL = 4  # between two calls of what the kernel interleaves with its sums (prefetching)
# The cost of a row in each block, and of a term that is kept, beside its multiply-adds; in multiply-adds of a vector.
ROW_COST, TERM_COST = 60, 1.5
COPY_COST = 3  # of a vector of the other operand that is copied for all rows
MOST_RESULTS = 1 << 20  # bytes of a sample's results that wait for the updates of very sparse data
MAX_RELATIVE_COST = 0.9  # beside a dense kernel, whose rows share what they load


def skips_zeros(task: Task, nest: Nest, views: Sequence[View], batch: int) -> bool:
    """Whether the kernel of a contraction, whose operands are seen through ``views``, skips zeros."""
    node, rows, columns = task.anchor, nest.rows, nest.columns
    if node is None or nest.form != "columns" or rows is None or columns is None or task.kind == "partial":
        return False
    plain = nest.second_rows is None and nest.taps is None and not nest.clips and len(nest.reduce) == 1
    if not plain or columns.a or columns.b != 1 or not isinstance(columns.extent, int):
        return False
    whole = task.division in ("serial", "each") or columns.output != task.axis
    if not whole or 1 not in (rows.a, nest.reduce[0].a) or views[0].buffer is views[1].buffer:
        return False
    terms = nest.reduce[0].extent
    count = terms if isinstance(terms, int) else batch
    zeros, height = zeros_of(data_of(node, nest, views)), batch if is_symbolic(rows) else rows.count
    return pays(zeros, (height, columns.extent, count), node.dtype)


def pays(zeros: float, extents: tuple[int, int, int], dtype: str) -> bool:
    """Whether a product that skips zeros costs less than a dense one.

    ``extents`` are the rows and the columns of the result, and the terms of a sum.
    """
    rows, columns, terms = extents
    if rows < MIN_ROWS:
        return False
    vectors = _even_piece(-(-columns // LANES), MAX_VECTORS)
    block = _even_piece(terms, _most_terms(vectors, dtype))
    copies = COPY_COST * block * vectors / rows if columns != vectors * LANES else 0
    sparse = ROW_COST + copies + (1 - zeros) * block * (vectors + TERM_COST)
    return sparse < MAX_RELATIVE_COST * block * vectors


def _even_piece(count: int, most: int) -> int:
    """The size of equal pieces, each of at most ``most``, when there are as few as possible."""
    return -(-count // -(-count // most))


def _most_terms(vectors: int, dtype: str) -> int:
    """The most terms of a block."""
    return max(1, min(MASK_BITS, BLOCK_BYTES // (vectors * LANES * SIZE[dtype])))


def data_of(node: Node, nest: Nest, views: Sequence[View]) -> Node:
    """The operand of a contraction whose zeros are skipped."""
    return node.inputs[0 if views[0].buffer is nest.a.buffer else 1]


def panel_vectors(target: Target, columns: Loop, dtype: str) -> int:
    """How many vectors of a row are summed at once."""
    most = max(1, min(MAX_VECTORS, (target.vector_registers - 4) // registers(target, dtype)))
    return _even_piece(-(-columns.count // LANES), most)


def block_terms(terms: Loop, vectors: int, dtype: str) -> int:
    """How many terms a block has."""
    most = _most_terms(vectors, dtype)
    return most if is_symbolic(terms) else _even_piece(terms.count, most)


def is_symbolic(loop: Loop) -> bool:
    return isinstance(loop.extent, Extent)


def interleaved_calls(nest: Nest, target: Target, dtype: str) -> int:
    """How often all threads together call what the kernel interleaves with its sums."""
    assert nest.rows is not None
    assert nest.columns is not None
    vectors = panel_vectors(target, nest.columns, dtype)
    (terms,) = nest.reduce
    panels = -(-nest.columns.count // (vectors * LANES))
    blocks = 1 if is_symbolic(terms) else -(-terms.count // block_terms(terms, vectors, dtype))
    rows = -(-nest.rows.count // ROWS_PER_CALL)
    return prod(loop.count for loop in nest.outer) * panels * blocks * rows


class Walk(NamedTuple):
    """The dimensions of very sparse data in the order in which its elements are taken.

    Along ``samples`` the results are apart. Along the others follow the terms of each sum, the last one innermost.
    """

    updates: Updates
    samples: tuple[Dimension, ...]
    terms: tuple[Dimension, ...]


def walk_of(task: Task, node: Node, views: Sequence[View], output: Sequence[int]) -> Walk | None:
    """How the kernel of a contraction takes the elements of very sparse data; None if it is another kernel.

    ``output`` holds the result's strides. Each sum has its terms in the order of any other kernel.
    """
    found = updates_of(node)
    if found is None or task.division != "rows" or task.kind not in ("contract", "partial"):
        return None
    *outer, last = found.dimensions
    rank = node.attrs["rank"]
    samples = [d for d in outer if d.loop < rank and d.free is None]
    whole = task.starts if task.kind == "partial" else 0 in (d.loop for d in samples)
    adjacent = views[0].strides[-1:] == views[1].strides[-1:] == (1,) == (output[found.columns],)
    apart = views[0].buffer is not views[1].buffer and all(view.rows is None for view in views)
    own = {d.loop for d in samples}
    results = prod(e for loop, e in enumerate(node.shape) if loop not in own and isinstance(e, int))
    small = task.kind == "partial" or results * SIZE[node.dtype] <= MOST_RESULTS
    if not (whole and adjacent and apart and small):
        return None
    made = {loop: d for d in found.dimensions for loop in (d.loop, d.free) if loop is not None and loop >= rank}
    terms = [made[loop] for loop in order_of_sum(node, views)]
    if last.loop < rank:
        terms.append(last)
    return Walk(found, tuple(samples), tuple(terms)) if terms[-1] is last else None
