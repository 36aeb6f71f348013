"""Reductions in registers: of a short row, of 16 rows at once, and of the 16 lanes of a vector."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ranvier.engines.native.codegen.elementwise import combine, extremum
from ranvier.engines.native.codegen.kernel import At, Index, Kernel, Value
from ranvier.engines.native.codegen.loops import masked
from ranvier.engines.native.target.lanes import ELEMENT, LANES, lane_constants, literal, tail_mask, vector
from ranvier.graph.dtypes import FLOATS, SIGNED, limits
from ranvier.graph.node import Node


def pieces(columns: int) -> list[tuple[At, str | None]]:
    """A short last axis as a list of vectors, each with its mask."""
    return [(At(c, 1), tail_mask(columns - c) if columns - c < LANES else None) for c in range(0, columns, LANES)]


def reduce_samples(k: Kernel, node: Node, index: Index, columns: int) -> Value:
    """The reduction of 16 rows: each lane reduces its own row."""
    f, operand = k.function, node.inputs[0]
    element = ELEMENT[operand.dtype]
    wide = vector(element)
    total = k.widen(k.value(operand, (*index, At(0))), element)
    place = "zeroinitializer"
    for c in range(1, columns):
        value = k.widen(k.value(operand, (*index, At(c))), element)
        if node.op.name != "argmax":
            total = combine(k, node, wide, total, value)
            continue
        better = is_larger(k, operand.dtype, wide, value, total)
        total = f.op(f"select {vector('i1')} {better}, {wide} {value}, {wide} {total}")
        place = f.op(f"select {vector('i1')} {better}, {vector('i32')} splat (i32 {c}), {vector('i32')} {place}")
    return Value(place if node.op.name == "argmax" else total, True)


def is_larger(k: Kernel, dtype: str, type_: str, value: str, best: str) -> str:
    """Whether values are above the largest so far; the first nan counts as the largest."""
    f, flags = k.function, vector("i1") if type_.startswith("<") else "i1"
    if dtype not in FLOATS:
        return f.op(f"icmp {'sgt' if dtype in SIGNED else 'ugt'} {type_} {value}, {best}")
    above = f.op(f"fcmp ogt {type_} {value}, {best}")
    nan, before = f.op(f"fcmp uno {type_} {value}, {value}"), f.op(f"fcmp ord {type_} {best}, {best}")
    first_nan = f.op(f"and {flags} {nan}, {before}")
    return f.op(f"or {flags} {above}, {first_nan}")


def reduce_row(k: Kernel, node: Node, index: Index, columns: int) -> Value:
    operand = node.inputs[0]
    element = ELEMENT[operand.dtype]

    def vectors(of: Node) -> Iterator[tuple[At, str | None, str]]:
        for at, mask in pieces(columns):
            with masked(k, mask):
                yield at, mask, k.widen(k.value(of, (*index, at)), element)

    if node.op.name == "argmax":
        return first_of_largest(k, operand.dtype, list(vectors(operand)))
    total = identity(node, vector(element))
    for _, mask, value in vectors(operand):
        total = accumulate(k, node, vector(element), total, value, mask)
    return Value(across(k, node, total), False)


def first_of_largest(k: Kernel, dtype: str, parts: list[tuple[At, str | None, str]]) -> Value:
    """The position of the first maximum; a nan counts as one."""
    f, element = k.function, ELEMENT[dtype]
    wide = vector(element)
    best = smallest(dtype, wide)
    for _, mask, value in parts:
        best = extremum(k, dtype, wide, best, in_lanes(k, mask, wide, value, smallest(dtype, wide)), True)
    top = f.splat(tree(k, best, element, lambda t, a, b: extremum(k, dtype, t, a, b, True)), element)
    position = "splat (i32 2147483647)"
    for at, mask, value in parts:
        hit = f.op(f"{'fcmp oeq' if dtype in FLOATS else 'icmp eq'} {wide} {value}, {top}")
        if dtype in FLOATS:
            hit = f.op(f"or {vector('i1')} {hit}, {f.op(f'fcmp uno {wide} {value}, {value}')}")
        if mask is not None:
            hit = f.op(f"and {vector('i1')} {hit}, {mask}")
        lanes = lane_constants([int(at.base) + i for i in range(LANES)], "i32")
        here = f.op(f"select {vector('i1')} {hit}, {vector('i32')} {lanes}, {vector('i32')} splat (i32 2147483647)")
        position = k.intrinsic("smin", vector("i32"), position, here)
    return Value(tree(k, position, "i32", lambda t, a, b: k.intrinsic("smin", t, a, b)), False)


def smallest(dtype: str, type_: str) -> str:
    element = ELEMENT[dtype]
    number = literal(float("-inf") if dtype in FLOATS else limits(dtype)[0], element)
    return f"splat ({element} {number})" if type_.startswith("<") else number


def identity(node: Node, type_: str) -> str:
    """The neutral element: 0 for a sum, the smallest value for a maximum."""
    if node.op.combine == "maximum":
        return smallest(node.dtype, type_)
    return "zeroinitializer" if type_.startswith("<") else literal(0, ELEMENT[node.dtype])


def accumulate(k: Kernel, node: Node, type_: str, total: str, value: str, mask: str | None) -> str:
    """Combine a vector with 16 running results; inactive lanes keep theirs."""
    return in_lanes(k, mask, type_, combine(k, node, type_, total, value), total)


def in_lanes(k: Kernel, mask: str | None, type_: str, value: str, other: str) -> str:
    """The value in the lanes of a mask, another one elsewhere."""
    return value if mask is None else k.function.op(f"select {vector('i1')} {mask}, {type_} {value}, {type_} {other}")


def tree(k: Kernel, name: str, element: str, join: Callable[[str, str, str], str]) -> str:
    """Reduce 16 lanes to one, in a fixed order: lane i with lane i+8, then i+4, i+2, i+1."""
    f, width = k.function, LANES
    while width > 1:
        half = width // 2
        parts = []
        for start in (0, half):
            type_, mask = vector(element, width), lane_constants(range(start, start + half), "i32")
            parts.append(f.op(f"shufflevector {type_} {name}, {type_} poison, <{half} x i32> {mask}"))
        width = half
        if width == 1:
            parts = [f.op(f"extractelement <1 x {element}> {p}, i64 0") for p in parts]
            return join(element, *parts)
        name = join(f"<{width} x {element}>", *parts)
    return name


def trees(k: Kernel, names: Sequence[str], element: str, join: Callable[[str, str, str], str]) -> str:
    """`tree` for each of up to 16 vectors at once: the results are the first lanes of one vector.

    Two vectors at a time are halved into one, so each instruction works on all lanes.
    """
    f, width, current = k.function, LANES, list(names)
    type_ = vector(element)
    while width > 1:
        half, following = width // 2, []
        starts = range(0, 2 * LANES, width)  # of the groups of lanes that are halved, in two vectors
        low, high = (", ".join(f"i32 {s + more + i}" for s in starts for i in range(half)) for more in (0, half))
        for i in range(0, len(current), 2):
            a, b = (*current[i : i + 2], "poison")[:2]
            parts = [f.op(f"shufflevector {type_} {a}, {type_} {b}, <{LANES} x i32> <{m}>") for m in (low, high)]
            following.append(join(type_, *parts))
        current, width = following, half
    (result,) = current
    return result


def across(k: Kernel, node: Node, total: str) -> str:
    return tree(k, total, ELEMENT[node.dtype], lambda t, a, b: combine(k, node, t, a, b))
