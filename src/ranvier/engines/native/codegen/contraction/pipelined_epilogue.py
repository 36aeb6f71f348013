"""Software pipelining: the epilogue of each tile is interleaved with the sums of the next one.

The epilogue of a gradient is the optimizer's step, whose roots and divisions use another unit of the processor than
multiply-adds. A processor overlaps only instructions that are at most a few hundred apart, so a tile's sums wait on
the stack, and their vectors are finished one by one between the terms of the next tile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ranvier.engines.native.codegen.contraction.tile import Panel, Tile, Tiled, rows_of
from ranvier.engines.native.codegen.loops import scope
from ranvier.engines.native.schedule.memory_planning import LINE
from ranvier.engines.native.target.lanes import ALL_LANES, LANES, Scalar, vector

# Adds terms: where the tile is, the range of terms, the sums.
Terms = Callable[[Scalar, Scalar, Scalar, Tile], Tile]


class Tiles(NamedTuple):
    """Tiles along one loop: its range and the step between two tiles; ``at`` gives a tile's first row and panel."""

    range: tuple[Scalar, Scalar]
    step: int
    at: Callable[[Scalar], tuple[Scalar, Panel]]
    terms: tuple[Scalar, Scalar]  # the range of the sum


def pipeline_tiles(
    n: Tiled, tiles: Tiles, first: Tile, together: int, terms: Terms, part: Callable[[Tile], None]
) -> None:
    """Write whole tiles, one after another.

    ``first`` are the initial sums; ``terms`` adds to them, ``together`` at a time where possible; ``part`` splits
    shared vectors at the end.
    """
    k, f, height = n.k, n.k.function, len(first)
    vectors = tiles.at(tiles.range[0])[1].vectors
    pieces = height * vectors
    area = n.room(height, vectors * LANES)
    # Loads of large values would stall; those of the next tile are prefetched during this one's epilogue.
    updated = n.updated()
    low, high = tiles.terms
    # One iteration more than there are tiles: it adds nothing and finishes the last tile.
    with f.loop(tiles.range[0], f.add(tiles.range[1], tiles.step), tiles.step) as turn, scope(k):
        row, panel = tiles.at(turn.index)
        mask = panel.mask
        n.prefetch_epilogue(row, height, panel)
        earlier, (before, _, _) = tiles.at(f.sub(turn.index, tiles.step))
        begun = f.op(f"icmp sgt i64 {turn.index}, {tiles.range[0]}")
        more = f.op(f"icmp slt i64 {turn.index}, {tiles.range[1]}")
        count = f.op(f"select i1 {more}, i64 {f.sub(high, low)}, i64 0")
        carry = [("i64", str(low)), *((n.type, s) for line in first.values() for s in line)]
        with f.loop(0, pieces, carry=carry) as piece, scope(k):
            number = piece.index
            share = f.floor_divide(f.mul(count, f.add(number, 1)), pieces)
            if together > 1:
                last = f.op(f"icmp eq i64 {number}, {pieces - 1}")
                share = f.op(f"select i1 {last}, i64 {share}, i64 {f.op(f'and i64 {share}, -{together}')}")
            end = f.add(low, share)
            sums = terms(turn.index, piece.values[0], end, rows_of(first, piece.values[1:]))
            with f.when(begun), scope(k):
                i, j = f.floor_divide(number, vectors), f.remainder(number, vectors)
                lanes = mask
                if mask is not None and vectors > 1:
                    last = f.op(f"icmp eq i64 {j}, {vectors - 1}")
                    type_ = vector("i1")
                    lanes = f.op(f"select i1 {last}, {type_} {mask}, {type_} {ALL_LANES}")
                for view in updated:
                    n.fetch_updated(view, row, panel, height, number)
                value = n.load_vector(area, f.mul(number, LANES), LINE)
                n.place(earlier, i, before, j, lanes, value)
            piece.next = [str(end), *(s for line in sums.values() for s in line)]
        done = rows_of(first, piece.results[1:])
        part(done)
        n.store_tile([done[i] for i in range(height)], vectors * LANES, area)
