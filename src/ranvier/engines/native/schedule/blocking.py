"""Large products in blocks: what a core reads again stays in its second-level cache.

A block is some columns of the result and some terms of their sums. All tiles of rows pass over it before the next one
is read, so the operand that vectors run along, usually weights, is read from memory once. The sums of rows wait in
memory between two blocks of terms; their order, and so every bit, is that of a product without blocks. Block sizes
follow from extents alone.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import NamedTuple

from ranvier.engines.native.passes.wide_products import is_wide
from ranvier.engines.native.schedule.loop_nest import Loop, Nest
from ranvier.engines.native.target.lanes import LANES, SIZE
from ranvier.graph.extents import Extent
from ranvier.graph.node import Node

BLOCK_BYTES = 1 << 19  # of a block of the operand that vectors run along, and of the sums that wait
MAX_TERMS = 512  # that are summed at once
BLOCK_TERMS = 96  # of a block, where there are more: of a panel that stays in a first-level cache
FEWEST_COLUMNS = 256  # of a block that all rows pass over
MAX_COLUMNS = 4096  # of a block: long runs of memory are read faster
ALIASED = 1 << 11  # bytes: rows a multiple of this apart map to few sets of a first-level cache
# Of images: places whose sums wait, and the blocks of these, which they share the cache with.
MOST_PLACES, PLACES_TERMS, PLACES_BYTES = 1 << 11, 128, 1 << 18
# Of a block that one tile of rows reads once. Where its rows are many, multiply-adds leave time to prefetch more.
FEW_TERMS, PREFETCHED_TERMS = 8, 64
MANY_ROWS = 4
FEW_TILES = 16  # of rows that pass over a block: with more, the time to copy it does not count
# Where rows are few: terms of a block of weights that are in a cache, and the bytes from which on they are in none.
CACHED_TERMS, BEYOND_CACHES = 64, 3 << 23
# Where the sums of a block wait between rounds, they, the terms of a round and the panels take a part of the cache.
FEW_ROWS, ROUND_ROWS, ROUND_TERMS, ROUND_BYTES = 16, 128, 64, 1 << 18
JOINED_TERMS = 256  # of all rounds, whose sums then need not wait


class Blocks(NamedTuple):
    """The sizes of blocks; whether sums wait between blocks of terms; which operands are copied to adjacent memory.

    ``row_steps`` are the strides of a copied tile of rows: from row to row, from term to term. None: it is not copied.
    ``reads_ahead``: the next block is prefetched in the order of memory. ``packs_first``: a block is copied by the
    first tile of rows that passes over it, while it multiplies. ``joins``: the terms of several rounds are copied into
    one block, of ``terms``.
    """

    rows: int
    columns: int
    terms: int
    waits: bool
    packs: bool
    row_steps: tuple[int, int] | None
    reads_ahead: bool = False
    packs_first: bool = False
    joins: bool = False


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
    known = not isinstance(node.shape[0], Extent) and nest.form == "columns"
    planes = node.attrs["rank"] == 2 or nest.joined or all(loop.b for loop in nest.outer)
    many = nest.reduce[-1].count >= LANES or (rows is not None and rows.a == 1 == len(nest.reduce) - 1)
    return planes and known and large and many


class _Extents(NamedTuple):
    """What the sizes of a product's blocks follow from. Extents are numbers, those of the batch too."""

    rows: int  # in whole tiles, as the columns
    columns: int
    terms: int
    places: tuple[int, ...]  # the loops that read the same block
    rounds: tuple[int, ...]  # the loops around that of the terms
    adjacent: bool  # whether columns of the second operand are
    row: int  # the strides of the first operand: from row to row, from term to term
    term: int
    height: int  # of a tile
    wide: int
    size: int  # bytes of an element

    def tall(self, most: int) -> int:
        """Rows, in whole tiles: at most ``most``, at least one tile."""
        return min(self.rows, max(most // self.height, 1) * self.height)

    def panels(self, most: int) -> int:
        """Columns, in whole panels: at most ``most``, at least one panel."""
        return min(self.columns, max(most // self.wide, 1) * self.wide)

    def held(self, some: int, many: int) -> tuple[int, int]:
        """The terms and columns of a block: all terms, or ``some`` of them, then of ``many`` bytes."""
        if self.terms <= MAX_TERMS:
            return self.terms, self.panels(min(MAX_COLUMNS, BLOCK_BYTES // self.size // self.terms))
        budget = many // self.size
        columns = self.panels(min(MAX_COLUMNS, budget // some))
        if columns < self.columns:
            return some, columns
        return min(self.terms, MAX_TERMS, budget // columns // LANES * LANES), columns

    def packed(self, rows: int, columns: int, terms: int) -> Blocks:
        """Blocks of this size, each copied into panels. Rows are copied if they lie across, or on the same sets."""
        steps = None
        if self.row == 1 and self.term != 1:
            steps = 1, self.height
        elif self.term == 1 and self.row * self.size % ALIASED == 0:
            steps = terms + 2 * LANES, 1
        return Blocks(rows, columns, terms, terms < self.terms, True, steps, packs_first=self.packs_first(rows))

    def packs_first(self, rows: int) -> bool:
        """Whether the first tile of rows copies a block while it multiplies: where few tiles pass over the block."""
        return self.adjacent and prod(self.places) * rows <= FEW_TILES * self.height


def blocks(nest: Nest, height: int, across: int, batch: int, dtype: str) -> Blocks:
    """The blocks of a product whose tiles have ``height`` rows and ``across`` vectors."""

    def extent(loop: Loop) -> int:
        return batch if isinstance(loop.extent, Extent) else loop.extent

    rows, columns, (*rounds, terms), wide = nest.rows, nest.columns, nest.reduce, across * LANES
    assert rows is not None
    assert columns is not None
    given = _Extents(
        -(-extent(rows) // height) * height, -(-extent(columns) // wide) * wide, extent(terms),
        tuple(extent(loop) for loop in nest.outer if loop.b == 0), tuple(map(extent, rounds)), columns.b == 1, rows.a,
        terms.a,
        height, wide, SIZE[dtype],
    )  # fmt: skip
    return next(sizes(given) for fits, sizes in KINDS if fits(given))


def _is_one_tile(e: _Extents) -> bool:
    return e.rows <= e.height and e.adjacent and prod(e.places) == 1


def _of_one_tile(e: _Extents) -> Blocks:
    """Weights are read once and as they lie, some terms at a time, so sums wait."""
    if e.height >= MANY_ROWS:
        terms, far = PREFETCHED_TERMS, False
    else:
        far = e.columns * e.terms * e.size > BEYOND_CACHES
        terms = FEW_TERMS if far else CACHED_TERMS
    terms = min(e.terms, terms)
    return Blocks(e.height, e.columns, terms, terms < e.terms, False, None, far)


def _in_rounds(e: _Extents) -> Blocks:
    """Rounds of few terms are joined: all of them, or as many as a block has terms. Sums wait between blocks."""
    adjacent, every = e.row == len(e.rounds) == 1, prod(e.rounds) * e.terms
    if adjacent and every <= JOINED_TERMS:
        return Blocks(e.rows, e.panels(BLOCK_BYTES // e.size // every), every, False, True, (1, e.height), joins=True)
    joined = ROUND_TERMS // e.terms if adjacent else 0
    rows = e.tall(ROUND_ROWS)
    columns = e.panels(ROUND_BYTES // e.size // rows)
    terms = max(joined, 1) * min(e.terms, ROUND_TERMS)
    steps, joins = (1, e.height) if e.row == 1 else None, joined > 1
    return Blocks(rows, columns, terms, True, True, steps, packs_first=not joins and e.packs_first(rows), joins=joins)


def _of_places(e: _Extents) -> Blocks:
    """All rows of all places pass over a block before the next one. If too many sums would wait, none do."""
    terms, columns = e.held(PLACES_TERMS, PLACES_BYTES)
    if terms < e.terms and prod(e.places) * e.rows > MOST_PLACES:
        terms, columns = e.terms, e.panels(BLOCK_BYTES // e.size // e.terms)
    return e.packed(e.rows, columns, terms)


def _of_rows(e: _Extents) -> Blocks:
    """All rows pass over a block before the next one: of those whose sums wait, as many as the block leaves room."""
    terms, columns = e.held(BLOCK_TERMS, BLOCK_BYTES)
    if terms == e.terms:
        return e.packed(e.rows, columns, terms)
    most = BLOCK_BYTES // e.size
    rows = e.rows if e.rows * FEWEST_COLUMNS <= most else e.tall(most // columns)
    return e.packed(rows, min(columns, e.panels(most // rows)), terms)


KINDS: tuple[tuple[Callable[[_Extents], bool], Callable[[_Extents], Blocks]], ...] = (
    (_is_one_tile, _of_one_tile),
    (lambda e: bool(e.rounds), _in_rounds),
    (lambda e: bool(e.places), _of_places),
    (lambda e: True, _of_rows),
)
"""The kinds of products, and the sizes of the blocks of each; the first one that fits counts."""
