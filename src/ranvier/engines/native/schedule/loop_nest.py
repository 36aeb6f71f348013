"""A contraction as loops, each with a stride in both operands, and the role that each loop plays in its kernel.

A matrix product, a convolution and their gradients are one case here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod

from ranvier.engines.native.passes.clip_padding import Clip
from ranvier.engines.native.passes.wide_products import JOINED, along_samples, along_terms
from ranvier.engines.native.schedule.view import View
from ranvier.engines.native.target.lanes import LANES, SIZE
from ranvier.engines.native.target.target import Target
from ranvier.graph.extents import Extent
from ranvier.graph.node import Node

MAX_UNROLLED = 8  # iterations of a loop that is unrolled
MAX_CLIPPED = 64  # iterations of a loop that is unrolled where a tile's rows read padding
TILE_ROWS = 8  # of the batch, in a tile at most; samples are divided by whole tiles
PACK_ROWS = 4  # fewer rows do not repay packing an operand
LONG_EPILOGUE = 6  # operations above which an epilogue is a loop over a tile's vectors, not unrolled
LONG_ROWS = 512  # columns, from which on few vectors that are left beside wide tiles do not matter
# Vectors of a tile at most, if the epilogue of the tile before is interleaved with its sums.
PIPELINED_SUMS = 20
# A tile of a product with weights. Few rows seldom map to the same sets of a first-level cache, as many do that are a
# power of two apart.
WIDE_ROWS, WIDE_VECTORS = 6, 4


@dataclass(frozen=True)
class Loop:
    """A loop variable: its extent and the stride of each operand along it; ``output`` is its axis in the result."""

    extent: int | Extent
    a: int
    b: int
    output: int | None
    number: int  # among the contraction's loops

    @property
    def count(self) -> int:
        """The extent; a symbolic one counts as large."""
        return self.extent if isinstance(self.extent, int) else 1 << 30

    def walks_on_in(self, inner: Loop) -> bool:
        """Whether one iteration of this loop moves both operands as far as all iterations of the one inside it."""
        known = isinstance(self.extent, int) and isinstance(inner.extent, int)
        return known and self.a == inner.a * inner.count and self.b == inner.b * inner.count


@dataclass(frozen=True)
class Nest:
    """A contraction's loops in their roles. ``b`` is the operand that vectors run along."""

    a: View
    b: View
    outer: tuple[Loop, ...]
    rows: Loop | None
    columns: Loop | None
    reduce: tuple[Loop, ...]
    form: str  # columns, pack, dot
    clips: tuple[Clip, ...] = ()
    # All iterations of this loop, each with all of ``rows``, are rows of one tile.
    second_rows: Loop | None = None
    # Summed innermost and unrolled: its iterations read elements that nearby rows read too.
    taps: Loop | None = None
    joined: bool = False  # whether all terms are copied together

    @property
    def terms(self) -> int:
        """How many products are summed for one element of the result."""
        return prod(loop.count for loop in (*self.reduce, *((self.taps,) if self.taps else ())))

    def clip(self, loop: Loop) -> Clip | None:
        """The clip that bounds a loop that is summed over; None if only its extent does."""
        return next((clip for clip in self.clips if clip[2] == loop.number), None)


def loop_strides(node: Node, side: int, view: View) -> tuple[list[int], int]:
    """The stride of each loop in an operand, and the offset of its first element."""
    strides, offset = [0] * len(node.attrs["loops"]), view.offset
    for stride, (terms, start) in zip(view.strides, node.attrs["index"][side], strict=True):
        offset += start * stride
        for loop, coefficient in terms:
            strides[loop] += coefficient * stride
    return strides, offset


def order_of_sum(node: Node, views: Sequence[View]) -> list[int]:
    """The loops that are summed over, from the outermost to the innermost: the smallest strides are innermost."""
    a, b = (loop_strides(node, side, view)[0] for side, view in enumerate(views))
    return sorted(range(node.attrs["rank"], len(a)), key=lambda loop: -max(abs(a[loop]), abs(b[loop])))


def _merge(loops: list[Loop], apart: set[int]) -> list[Loop]:
    """Join reduction loops that address both operands like one longer loop, except those in ``apart``."""
    result: list[Loop] = []
    for loop in loops:
        last = result[-1] if result else None
        alone = last is None or last.number in apart or loop.number in apart
        if last is not None and not alone and last.walks_on_in(loop):
            result[-1] = replace(loop, extent=last.count * loop.count)
        else:
            result.append(loop)
    return result


def plan(
    node: Node, views: Sequence[View], output: Sequence[int], most: Callable[[Loop], int] = lambda columns: 0
) -> Nest:
    """Give each loop its role. ``output`` holds the result's strides; ``most`` the most rows of two loops' tile."""
    (sa, oa), (sb, ob) = (loop_strides(node, side, view) for side, view in enumerate(views))
    rank = node.attrs["rank"]
    clips: tuple[Clip, ...] = node.attrs.get("clip", ())
    loops = [Loop(e, sa[i], sb[i], i if i < rank else None, i) for i, e in enumerate(node.attrs["loops"])]
    a, b = (replace(view, offset=offset) for view, offset in zip(views, (oa, ob), strict=True))
    # Clipped and unrolled loops are outside.
    out, summed = loops[:rank], [loops[i] for i in order_of_sum(node, views)]
    columns = next((loop for loop in reversed(out) if output[loop.output or 0] == 1), None)
    if columns is not None and _swapped(columns, out):
        # vectors run along the second operand: swap the operands
        out, summed, (columns,), (a, b) = _exchanged(out), _exchanged(summed), _exchanged([columns]), (b, a)
    apart, bounding = {clip[2] for clip in clips}, {clip[0] for clip in clips}
    reduce = _merge(summed, apart)
    if columns is None:
        if clips:
            raise AssertionError("a padded operand is read along columns")
        return Nest(a, b, tuple(out), None, None, tuple(reduce), "dot")
    rest = [loop for loop in out if loop is not columns and loop != columns]
    # Rows whose clip depends on a loop that is too long to unroll.
    too_long = {clip[0] for clip in clips if loops[clip[2]].count > MAX_CLIPPED}
    candidates = [loop for loop in rest if loop.b == 0 and loop.number not in too_long]
    rows = max(candidates, key=_as_rows, default=None) if columns.a == 0 or columns.b == 1 else None
    if rows is not None and isinstance(rows.extent, Extent) and columns.b == 1:
        # The few pixels of an image, rather than samples, which may be few at a time.
        pixels = sorted((n for n in candidates if isinstance(n.extent, int) and n.number not in bounding), key=_as_rows)
        if len(pixels) > 1 and prod(loop.count for loop in pixels[-2:]) <= most(columns):
            rows = pixels[-1]
    form = "columns"
    if columns.b != 1:
        inner = reduce[-1] if reduce else None
        along = inner is not None and inner.b == 1 and inner.a in (0, 1) and inner.number not in apart
        dot = inner is not None and along and inner.count >= LANES
        few = rows is None or rows.count < PACK_ROWS or columns.count < LANES // 2 or isinstance(columns.extent, Extent)
        long = inner is not None and inner.count >= 16 * LANES and columns.count <= 2 * LANES
        if dot and not along_samples(node) and (few or long or along_terms(node)):
            if columns.number in bounding:  # a dot product expects the padded operand first
                out, reduce, (a, b) = _exchanged(out), _exchanged(reduce), (b, a)
            return Nest(a, b, tuple(out), None, None, tuple(reduce), "dot", clips)
        whole = columns.number not in bounding and _packable(reduce)
        few = few and not along_samples(node)
        if rows is not None and rows.count >= PACK_ROWS and not few and whole:
            form = "pack"
    second_rows = None
    if rows is not None and isinstance(rows.extent, int) and rows.number not in bounding:
        room = most(columns) // rows.count
        others = [n for n in candidates if n != rows and n.count <= room and n.number not in bounding]
        second_rows = max(others, key=lambda loop: loop.count, default=None)
    outer = tuple(loop for loop in rest if loop not in (rows, second_rows))
    taps = _taps(summed, rows, columns, clips) if form == "columns" and second_rows is None else None
    if taps is not None:
        reduce = _merge([loop for loop in summed if loop != taps], apart)
    joined = node.attrs.get("of") == JOINED and rows is not None and rows.a == 1 and form == "columns"
    return Nest(a, b, outer, rows, columns, tuple(reduce), form, clips, second_rows, taps, joined)


def _exchanged(loops: Sequence[Loop]) -> list[Loop]:
    """The loops with the operands exchanged."""
    return [replace(loop, a=loop.b, b=loop.a) for loop in loops]


def _taps(summed: Sequence[Loop], rows: Loop | None, columns: Loop, clips: Sequence[Clip]) -> Loop | None:
    """A short loop that is summed over and addresses the first operand like the rows: a convolution along rows.

    If the result is one vector wide, or every column has its own elements, each multiply-add would load an element.
    Unrolled, one load serves all multiply-adds that use it.
    """
    if rows is None or columns.b != 1 or (columns.count > LANES and not columns.a):
        return None
    bound = {clip[2]: clip[0] for clip in clips}
    fits = (
        loop
        for loop in summed
        if 1 < loop.count <= MAX_UNROLLED
        and abs(loop.a) == rows.a > 0
        and bound.get(loop.number, rows.number) == rows.number
    )
    return next(fits, None)


def _swapped(columns: Loop, out: Sequence[Loop]) -> bool:
    """Whether vectors run along the first operand; if they can along both, along the one that more rows share."""
    if columns.a == columns.b == 1:
        return max((n.count for n in out if n.a == 0), default=0) > max((n.count for n in out if n.b == 0), default=0)
    return columns.b == 0 or (columns.b != 1 and columns.a == 1)


def _as_rows(loop: Loop) -> tuple[bool, int, int]:
    """The rank of a loop as a tile's rows: known extents leave no remainder, and inner loops have small strides."""
    known = isinstance(loop.extent, int) and loop.extent >= PACK_ROWS
    return known, loop.count, loop.number


def _packable(reduce: Sequence[Loop]) -> bool:
    """Whether there are terms to pack, as many as the compiler knows."""
    return bool(reduce) and all(isinstance(loop.extent, int) for loop in reduce)


def rows_per_shared_vector(nest: Nest) -> int:
    """How many rows of a tile share a vector for the leftover columns, which fill at most half of it; 1 if none do.

    The other factor of a shared vector is assembled from loads of several elements: of adjacent rows, or of adjacent
    terms of a row.
    """
    columns, rows = nest.columns, nest.rows
    if columns is None or rows is None or columns.a or nest.second_rows is not None or nest.taps is not None:
        return 1
    left, inner = columns.count % LANES, nest.reduce[-1] if nest.reduce else None
    few = isinstance(columns.extent, int) and columns.count > LANES and 1 < left <= LANES // 2
    adjacent = rows.a == 1 or (inner is not None and inner.a == 1 and nest.clip(inner) is None)
    padded = any(clip[0] in (rows.number, columns.number) for clip in nest.clips)
    return LANES // (1 << (left - 1).bit_length()) if few and adjacent and not padded else 1


def registers(target: Target, dtype: str) -> int:
    """How many registers a vector takes."""
    return -(-LANES * SIZE[dtype] // target.vector_bytes)


def room(target: Target, columns: Loop, dtype: str, taps: int = 1, share: int = 1) -> tuple[int, int]:
    """The most rows of a tile, and its vectors: as many accumulators as the registers hold beside the operands.

    ``share`` rows have their leftover columns in one further vector.
    """
    width, all_registers = registers(target, dtype), target.vector_registers
    vectors = columns.count // LANES if share > 1 else -(-columns.count // LANES)
    if all_registers // width < 32:
        across = 1
    elif share > 1:
        across = min(vectors, 2)
    else:
        across = vectors if vectors <= 3 else 3 if vectors % 3 == 0 else 2
    more = int(share > 1)
    free = all_registers - 1 - (taps * across + more) * width
    return max(1, free * share // ((across * share + more) * width)), across


def is_pipelined(target: Target, nest: Nest, dtype: str, length: int) -> bool:
    """Whether the epilogue of a tile (of ``length`` operations) is interleaved with the sums of the next tile.

    An optimizer's roots and divisions use another unit of the processor than multiply-adds, but a processor overlaps
    only instructions that are near each other.
    """
    columns, rows = nest.columns, nest.rows
    assert columns is not None
    simple = len(nest.reduce) == 1 or nest.joined
    plain = nest.second_rows is None and nest.taps is None and not nest.clips and simple
    if length <= LONG_EPILOGUE or not plain or rows is None or not isinstance(rows.extent, int):
        return False
    # Rows that one tile holds whole are processed as one contiguous run instead (contiguity.py).
    uneven = columns.count % LANES > 0 and columns.count <= room(target, columns, dtype)[1] * LANES
    return not uneven and target.vector_registers >= 32 * registers(target, dtype)


def tile(target: Target, nest: Nest, dtype: str, batch: int, length: int = 0, wide: bool = False) -> tuple[int, int]:
    """Rows and vectors of the register tile.

    ``length`` is the number of operations in the epilogue; ``wide``: whether it may be of `WIDE_VECTORS`.
    """
    columns, rows = nest.columns, nest.rows
    assert columns is not None
    share = rows_per_shared_vector(nest)
    most, across = room(target, columns, dtype, nest.taps.count if nest.taps is not None else 1, share)
    if rows is not None and nest.second_rows is not None:
        return rows.count * nest.second_rows.count, across
    single = rows is None or (isinstance(rows.extent, Extent) and batch == 1)
    if rows is None or single:  # one row: only several vectors keep the multipliers busy
        vectors = target.vector_registers // registers(target, dtype)
        return 1, max(1, min(-(-columns.count // LANES), 8, vectors - 2))
    if isinstance(rows.extent, Extent):
        return next(r for r in (TILE_ROWS, 6, 4, 2, 1) if r <= min(most, batch)), across
    if is_pipelined(target, nest, dtype, length):
        even = share == 1 and columns.count % (4 * LANES) == 0
        across = 4 if even or columns.count >= LONG_ROWS else across
        most = min(most, max(share, PIPELINED_SUMS // across))
    elif rows.extent > most and share == 1 and wide and _is_wide(target, nest, dtype):
        return -(-rows.extent // -(-rows.extent // WIDE_ROWS)), WIDE_VECTORS
    if rows.extent <= most:
        return rows.extent, across
    most, extent = min(most, 28 // across), rows.extent

    def merit(height: int) -> tuple[bool, int, int]:
        """No leftover rows, then few rows computed in vain, then a high tile."""
        return extent % height == 0, -(-(-extent // height) * height), height

    heights = range(max(1, most // 2), most + 1)
    return max([h for h in heights if h % share == 0] or heights, key=merit), across


def _is_wide(target: Target, nest: Nest, dtype: str) -> bool:
    """Whether the tiles of a product are `WIDE_VECTORS` wide: all its rows meet the same whole panels."""
    columns, registers_of_tile = nest.columns, (WIDE_ROWS + 1) * WIDE_VECTORS * registers(target, dtype)
    plain = nest.taps is None and not nest.clips and all(loop.b == 0 for loop in nest.outer)
    whole = columns is not None and columns.count % (WIDE_VECTORS * LANES) == 0
    return plain and whole and target.vector_registers > registers_of_tile


def tiles(nest: Nest, height: int, across: int) -> int:
    """How many tiles of this size there are."""
    result = prod(loop.count for loop in nest.outer)
    for loop, step in ((nest.rows, height), (nest.columns, across * LANES)):
        result *= -(-loop.count // step) if loop is not None else 1
    return result
