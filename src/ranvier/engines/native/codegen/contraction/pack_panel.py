"""Packing: panels of an operand are copied for all tiles of rows that read them, so that columns are adjacent.

Rows of the other operand are copied where they lie across the terms, or map to the same sets of a cache.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import NamedTuple

from ranvier.engines.native.codegen.contraction.tile import Tiled
from ranvier.engines.native.codegen.kernel import At, Kernel
from ranvier.engines.native.codegen.loops import along, scope
from ranvier.engines.native.codegen.shuffles import transpose
from ranvier.engines.native.schedule.loop_nest import Loop
from ranvier.engines.native.schedule.memory_planning import LINE
from ranvier.engines.native.target.lanes import LANES, SIZE, Scalar, tail_mask, vector


def pack_panel(n: Tiled, b: Scalar, vectors: int, mask: str | None) -> str:
    """Copy the panel into rows of adjacent columns in the workspace, 16 by 16. Returns its pointer."""
    k, f, p, kind = n.k, n.k.function, n.plan, n.element
    columns, size, wide = n.columns, SIZE[n.node.dtype], vectors * LANES
    target = k.workspace(prod(loop.count for loop in p.reduce) * wide * size)
    used = [LANES] * (vectors - 1) + [LANES if mask is None else columns.count % LANES]

    def store(line: str, row: Scalar, j: Scalar) -> None:
        pointer = f.pointer(target, f.add(f.mul(row, wide), f.mul(j, LANES)), kind)
        f.emit(f"store {n.type} {line}, ptr {pointer}, align 64")

    def block(offset: Scalar, row: Scalar, j: Scalar, some: int = LANES) -> None:
        """16 terms of up to 16 columns."""
        for i, line in enumerate(_square(n, f.add(offset, f.mul(j, LANES * columns.b)), some)):
            store(line, f.add(row, i), j)

    def rows(loop: Loop, offset: Scalar, place: Scalar) -> None:
        blocks = loop.count // LANES * LANES if loop.b == 1 else 0
        if blocks:
            with f.loop(0, blocks, LANES) as turn, scope(k):
                here, there = f.add(offset, turn.index), f.add(place, turn.index)
                whole = vectors - (mask is not None)
                if whole:
                    with f.loop(0, whole) as number, scope(k):
                        block(here, there, number.index)
                if mask is not None:
                    block(here, there, vectors - 1, columns.count % LANES)
        if loop.count > blocks:
            with f.loop(blocks, loop.count) as turn, scope(k):
                for j in range(vectors):
                    some = None if used[j] == LANES else tail_mask(used[j])
                    at = f.add(offset, f.mul(turn.index, loop.b))
                    line = n.load(p.b, at, j * LANES * columns.b, columns.b, some)
                    store(line, f.add(place, turn.index), j)

    _nest(k, list(p.reduce), b, 0, rows)
    return target


def _nest(k: Kernel, loops: list[Loop], offset: Scalar, place: Scalar, rows: Callable[..., None]) -> None:
    """Call ``rows`` for the innermost of nested loops, with its offset and its place among all terms."""
    f, (loop, *rest) = k.function, loops
    if not rest:
        rows(loop, offset, place)
        return
    after = prod(other.count for other in rest)
    with f.loop(0, loop.count) as turn, scope(k):
        _nest(k, rest, f.add(offset, f.mul(turn.index, loop.b)), f.add(place, f.mul(turn.index, after)), rows)


def _square(n: Tiled, b: Scalar, some: int = LANES) -> list[str]:
    """16 adjacent terms of ``some`` columns, transposed: a vector along the columns for each term."""
    k, f, view, columns = n.k, n.k.function, n.plan.b, n.columns
    lines = ["zeroinitializer"] * LANES
    for i in range(some):
        pointer = f.pointer(k.pointers[view.buffer], f.add(b, view.offset + i * columns.b), n.element)
        lines[i] = f.op(f"load {n.type}, ptr {pointer}, align {SIZE[n.node.dtype]}")
    return transpose(f, lines, n.element)


class Panels(NamedTuple):
    """Memory for panels of ``wide`` columns, ``pitch`` elements apart."""

    pointer: str
    pitch: int
    wide: int


def pack_block(n: Tiled, b: Scalar, terms: Scalar, columns: Scalar, panels: Panels) -> None:
    """Copy a block of the second operand, which begins at the offset ``b``, into panels. Excess columns are zeros."""
    k, f, inner, across = n.k, n.k.function, n.plan.reduce[-1], n.columns
    whole = f.multiple(columns, LANES)
    by_squares = f.multiple(terms, LANES) if inner.b == 1 and across.b != 1 else 0

    def store(line: str, term: Scalar, column: Scalar) -> None:
        panel = f.mul(f.floor_divide(column, panels.wide), panels.pitch)
        place = f.add(f.add(panel, f.mul(term, panels.wide)), f.remainder(column, panels.wide))
        f.emit(f"store {n.type} {line}, ptr {f.pointer(panels.pointer, place, n.element)}, align {LINE}")

    def some(term: Scalar, column: Scalar, mask: str | None) -> None:
        at = f.add(f.add(b, f.mul(term, inner.b)), f.mul(column, across.b))
        store(n.load(n.plan.b, at, 0, across.b, mask), term, column)

    if by_squares != 0 and whole != 0:
        with f.loop(0, by_squares, LANES) as turn, scope(k), f.loop(0, whole, LANES) as column, scope(k):
            at = f.add(f.add(b, turn.index), f.mul(column.index, across.b))
            for i, line in enumerate(_square(n, at)):
                store(line, f.add(turn.index, i), column.index)
    if by_squares != terms and whole != 0:
        with f.loop(by_squares, terms) as turn, scope(k), f.loop(0, whole, LANES) as column, scope(k):
            some(turn.index, column.index, None)
    if whole != columns:
        with f.loop(0, terms) as turn, scope(k):
            along(k, whole, columns, lambda at: some(turn.index, at.base, k.mask), once=True)


class PackedRows(NamedTuple):
    """Memory for the rows of a tile, with the strides from row to row and from term to term."""

    pointer: str
    row: int
    term: int


def pack_rows(n: Tiled, a: Scalar, terms: Scalar, height: int, target: PackedRows) -> None:
    """Copy rows of the first operand, which begin at the offset ``a``: along its terms or across them, as they lie."""
    k, f, p, inner, size = n.k, n.k.function, n.plan, n.plan.reduce[-1], SIZE[n.node.dtype]
    assert p.rows is not None
    if inner.a == 1:
        step = p.rows.a

        def line(at: At) -> None:
            for i in range(height):
                value = n.load(p.a, f.add(a, at.base), i * step, 1, k.mask)
                spot = f.pointer(target.pointer, f.add(at.base, i * target.row), n.element)
                f.emit(f"store {n.type} {value}, ptr {spot}, align {size}")

        along(k, 0, terms, line)
        return
    some = vector(n.element, height)
    with f.loop(0, terms) as turn, scope(k):
        place = f.add(f.add(a, p.a.offset), f.mul(turn.index, inner.a))
        source = f.pointer(k.pointers[p.a.buffer], place, n.element)
        value = f.op(f"load {some}, ptr {source}, align {size}")
        spot = f.pointer(target.pointer, f.mul(turn.index, target.term), n.element)
        f.emit(f"store {some} {value}, ptr {spot}, align {size}")
