"""Packing: a panel of an operand whose columns are not adjacent is copied for all tiles of rows that read it."""

from __future__ import annotations

from math import prod

from ranvier.engines.native.codegen.contraction.tile import Tiled
from ranvier.engines.native.codegen.loops import scope
from ranvier.engines.native.codegen.shuffles import transpose
from ranvier.engines.native.schedule.loop_nest import Loop
from ranvier.engines.native.target.lanes import LANES, SIZE, Scalar, tail_mask


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
        lines = ["zeroinitializer"] * LANES
        first = f.add(offset, f.mul(j, LANES * columns.b))
        for i in range(some):
            source = f.add(first, p.b.offset + i * columns.b)
            pointer = f.pointer(k.pointers[p.b.buffer], source, kind)
            lines[i] = f.op(f"load {n.type}, ptr {pointer}, align {size}")
        for i, line in enumerate(transpose(f, lines, kind)):
            store(line, f.add(row, i), j)

    def rows(loops: list[Loop], offset: Scalar, place: Scalar) -> None:
        loop, rest = loops[0], loops[1:]
        if rest:
            after = prod(other.count for other in rest)
            with f.loop(0, loop.count) as turn, scope(k):
                rows(rest, f.add(offset, f.mul(turn.index, loop.b)), f.add(place, f.mul(turn.index, after)))
            return
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

    rows(list(p.reduce), b, 0)
    return target
