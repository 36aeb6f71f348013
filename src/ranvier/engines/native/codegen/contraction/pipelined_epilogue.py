"""Tiles of which each is finished while the sums of the next one are made.

What follows a gradient's sums is the optimizer's step, whose roots and divisions take a unit of the processor that
multiply-adds do not need. A processor overlaps only what is a few hundred instructions apart, so a tile's sums wait on
the stack, and the vectors of them are taken up one by one between the terms of the tile after it.
"""

from __future__ import annotations

from collections.abc import Callable

from ranvier.engines.native.codegen.contraction.tile import AFAR, Tile, Tiled, rows_of
from ranvier.engines.native.codegen.loops import scope
from ranvier.engines.native.schedule.memory_planning import LINE
from ranvier.engines.native.target.extents import size
from ranvier.engines.native.target.lanes import ALL_LANES, LANES, SIZE, Scalar, vector

# Adds some terms: the tile's row, from which to which, the sums.
Terms = Callable[[Scalar, Scalar, Scalar, Tile], Tile]


def trail(
    n: Tiled,
    rows: tuple[Scalar, Scalar],
    start: Scalar,
    vectors: int,
    mask: str | None,
    first: Tile,
    together: int,
    terms: Terms,
    part: Callable[[Tile], None],
) -> None:
    """Whole tiles from row to row, all of ``vectors`` from column ``start``, the last of them with the mask.

    ``first`` is what the sums begin with; ``terms`` adds to them, so many ``together`` where that can be; ``part``
    gives each row its own vectors at the end.
    """
    k, f, height = n.k, n.k.function, len(first)
    pieces = height * vectors
    area = n.room(height, vectors * LANES)
    stored = [view for _, view in n.task.stores]
    # Read one by one they would be waited for; the next tile's are fetched while this one's are taken up.
    far = sum(size(view.shape, k.module.batch) * SIZE[view.buffer.dtype] for view in stored) > AFAR
    low, high = n.range_of(n.plan.reduce[0])
    # One turn more than there are tiles: it adds nothing, and finishes the last.
    with f.loop(rows[0], f.add(rows[1], height), height) as turn, scope(k):
        row = turn.index
        n.fetch_ahead(row, height, start, vectors)
        before = f.sub(row, height)
        begun = f.op(f"icmp sgt i64 {row}, {rows[0]}")
        more = f.op(f"icmp slt i64 {row}, {rows[1]}")
        count = f.op(f"select i1 {more}, i64 {f.sub(high, low)}, i64 0")
        carry = [("i64", str(low)), *((n.type, s) for line in first.values() for s in line)]
        with f.loop(0, pieces, carry=carry) as piece, scope(k):
            number = piece.index
            share = f.floor_divide(f.mul(count, f.add(number, 1)), pieces)
            if together > 1:
                last = f.op(f"icmp eq i64 {number}, {pieces - 1}")
                share = f.op(f"select i1 {last}, i64 {share}, i64 {f.op(f'and i64 {share}, -{together}')}")
            end = f.add(low, share)
            sums = terms(row, piece.values[0], end, rows_of(first, piece.values[1:]))
            with f.when(begun), scope(k):
                i, j = f.floor_divide(number, vectors), f.remainder(number, vectors)
                lanes = mask
                if mask is not None and vectors > 1:
                    last = f.op(f"icmp eq i64 {j}, {vectors - 1}")
                    type_ = vector("i1")
                    lanes = f.op(f"select i1 {last}, {type_} {mask}, {type_} {ALL_LANES}")
                for view in stored if far else ():
                    n.stand(row, i, start, j)
                    k.prefetch(view, n.index())
                value = n.take_up(area, f.mul(number, LANES), LINE)
                n.place(before, i, start, j, lanes, value)
            piece.next = [str(end), *(s for line in sums.values() for s in line)]
        done = rows_of(first, piece.results[1:])
        part(done)
        n.lay_down([done[i] for i in range(height)], vectors * LANES, area)
