"""Large products in blocks: what a core reads again stays in its second-level cache.

A block is some columns of the result and some terms of their sums. All tiles of rows pass over it before the next one
is read, so the operand that vectors run along, usually weights, is read from memory once. The sums of rows wait in
memory between two blocks of terms; their order, and so every bit, is that of a product without blocks. Block sizes
follow from extents alone.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ranvier.engines.native.passes.wide_products import is_wide
from ranvier.engines.native.schedule.loop_nest import Nest
from ranvier.engines.native.target.lanes import LANES, SIZE
from ranvier.graph.node import Node, Symbol

BLOCK_BYTES = 1 << 18  # of a block of the operand that vectors run along, and of the sums that wait
MAX_TERMS = 512  # that are summed at once
BLOCK_TERMS = 256  # of a block, where there are more
MAX_COLUMNS = 1024  # of a block
ALIASED = 1 << 11  # bytes: rows a multiple of this apart map to few sets of a first-level cache
MOST_PLACES = 1 << 11  # of images, whose sums wait
# Of a block that one tile of rows reads once. Where its rows are many, multiply-adds leave time to prefetch more.
FEW_TERMS, PREFETCHED_TERMS = 16, 64
MANY_ROWS = 4
# Where the sums of a block wait between rounds, they, the terms of a round and the panels take a part of the cache.
FEW_ROWS, ROUND_ROWS, ROUND_BYTES = 32, 128, 1 << 18


class Blocks(NamedTuple):
    """The sizes of blocks; whether sums wait between blocks of terms; which operands are copied to adjacent memory.

    ``row_steps`` are the strides of a copied tile of rows: from row to row, from term to term. None: it is not copied.
    """

    rows: int
    columns: int
    terms: int
    waits: bool
    packs: bool
    row_steps: tuple[int, int] | None


def in_blocks(node: Node, nest: Nest) -> bool:
    """Whether the kernel of a contraction works in blocks."""
    plain_nest = nest.second_rows is None and nest.taps is None and not nest.clips and nest.reduce
    if not plain_nest or nest.form == "dot" or nest.rows is None or nest.columns is None or nest.columns.a:
        return False
    if len(nest.reduce) > 1:
        return _has_rounds(node, nest)
    return is_wide(node) and (node.attrs["rank"] == 2 or "of" in node.attrs)


def _has_rounds(node: Node, nest: Nest) -> bool:
    """Whether a product sums in rounds of many terms each, such as the gradient of weights over the steps of a loop."""
    rows, columns = nest.rows, nest.columns
    large = rows is not None and columns is not None and rows.count >= FEW_ROWS and columns.count >= 4 * LANES
    known = not isinstance(node.shape[0], Symbol) and nest.form == "columns"
    return node.attrs["rank"] == 2 and known and large and nest.reduce[-1].count >= LANES


def blocks(nest: Nest, height: int, across: int, batch: int, dtype: str) -> Blocks:
    """The blocks of a product whose tiles have ``height`` rows and ``across`` vectors."""
    assert nest.rows is not None
    assert nest.columns is not None
    (*rounds, reduce), wide = nest.reduce, across * LANES
    rows, columns, terms = (
        batch if isinstance(loop.extent, Symbol) else loop.extent for loop in (nest.rows, nest.columns, reduce)
    )
    budget, columns = BLOCK_BYTES // SIZE[dtype], -(-columns // wide) * wide
    outer = [batch if isinstance(loop.extent, Symbol) else loop.extent for loop in nest.outer if loop.b == 0]
    if rows <= height and nest.columns.b == 1 and prod(outer) == 1:
        some = min(terms, PREFETCHED_TERMS if height >= MANY_ROWS else FEW_TERMS)
        return Blocks(height, columns, some, some < terms, False, None)
    if rounds:
        tall = min(-(-rows // height), max(ROUND_ROWS // height, 1)) * height
        few = min(columns, max(ROUND_BYTES // SIZE[dtype] // tall // wide, 1) * wide)
        return Blocks(tall, few, min(terms, ROUND_ROWS), True, True, (1, height) if nest.rows.a == 1 else None)
    some = terms if terms <= MAX_TERMS else BLOCK_TERMS
    few = min(columns, max(min(MAX_COLUMNS, budget // some) // wide, 1) * wide)
    if terms > MAX_TERMS and few == columns:
        some = min(terms, MAX_TERMS, budget // columns // LANES * LANES)
    # All rows pass over a block before the next one, unless their sums have to wait: then as many as these leave room.
    tall = -(-rows // height) * height
    if some < terms and not outer:
        tall = min(tall, max(budget // few // height, 1) * height)
    elif some < terms and prod(outer) * tall > MOST_PLACES:
        some = terms
        few = min(columns, max(budget // some // wide, 1) * wide)
    steps = None
    if nest.rows.a == 1 and reduce.a != 1:
        steps = 1, height
    elif reduce.a == 1 and nest.rows.a * SIZE[dtype] % ALIASED == 0:
        steps = some + 2 * LANES, 1
    return Blocks(tall, few, some, some < terms, True, steps)
