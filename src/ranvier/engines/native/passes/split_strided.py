"""A pass: a contraction of values with zeros in between becomes several contractions of the values themselves.

The gradient of a convolution of stride 2 by its inputs, or a transposed convolution, spreads its operand and fills in
zeros; most of 3 x 3 weights are then multiplied by zero. Elements of the result that are a stride apart use the same
weights, so the elements at each offset are a smaller contraction, and the results are interleaved. A sum along such a
dimension, as in the gradient of a transposed convolution by its weights, runs over the elements between the zeros
alone. A term left out is a product with zero, so no bit changes while weights are finite. Source: Shi et al. 2016, "Is
the deconvolution layer the same as a convolutional layer?".
"""

from __future__ import annotations

from math import gcd, prod
from typing import Any, NamedTuple

from ranvier.engines.native.passes.clip_padding import is_zero
from ranvier.engines.native.passes.squeeze import read_part
from ranvier.engines.native.target.lanes import LANES
from ranvier.graph.clip_slices import clip_slices
from ranvier.graph.contraction import Affine, reached
from ranvier.graph.graph import Graph
from ranvier.graph.node import Node, apply, constant, extent, extents, full
from ranvier.graph.windows import interleaved

MAX_PARTS = 8  # of a contraction


class Spread(NamedTuple):
    """A dimension of an operand with zeros in between.

    The contraction reads index ``loop + coefficient * inner + offset``. It holds element i where that is
    ``before + stride * i``, and zero elsewhere.
    """

    dim: int
    loop: int  # of the result
    inner: int | None  # summed over
    coefficient: int
    offset: int
    before: int
    stride: int


def split_strided(graph: Graph) -> Graph:
    """Split contractions so that they multiply no zeros in between, where their loops allow it."""
    return clip_slices(graph, sums_in_vectors).changed(lambda node, old: _without_zeros(node), "contract")


def _without_zeros(node: Node) -> Node:
    for side in (0, 1):
        if node.inputs[side].op.name == "pad" and is_zero(node.inputs[side].inputs[1]) and sums_in_vectors(node):
            node = _summed_without_zeros(node, side)
    for side, operand in enumerate(node.inputs):
        spreads = _spreads(node, side) if operand.op.name == "pad" else []
        if spreads and prod(s.stride for s in spreads) <= MAX_PARTS:
            return _interleaved(node, side, spreads, ())
    return node


def sums_in_vectors(node: Node) -> bool:
    """Whether a contraction of images sums each element in the order of its terms, whatever its other loops are.

    Winograd's algorithm and dot products do not.
    """
    last = node.shape[-1] if node.ndim == 4 else 1
    if not isinstance(last, int) or last < LANES:
        return False
    from ranvier.engines.native.passes.winograd import is_transformed  # programs without images load no Winograd

    return not is_transformed(node)


def _summed_without_zeros(node: Node, side: int) -> Node:
    """The contraction without the terms of zeros in between of a padded operand.

    It sums over u, and reads index ``u + c * t + offset``, where t is a loop of the result, and element u of the other
    operand. Element i of what is padded is at ``before + stride * i``, so u = stride * i + before - offset - c * t.
    """
    padded, other, rank = node.inputs[side], node.inputs[1 - side], node.attrs["rank"]
    mine, others = list(node.attrs["index"][side]), list(node.attrs["index"][1 - side])
    loops, widths = list(node.attrs["loops"]), list(padded.attrs["widths"])
    around = [(0, 0, 0)] * other.ndim
    for dim, (before, after, between) in enumerate(widths):
        terms, offset = mine[dim]
        summed = [loop for loop, c in terms if loop >= rank and c == 1]
        kept = [(loop, c) for loop, c in terms if loop < rank]
        if not between or len(summed) != 1 or len(kept) > 1 or len(terms) != 1 + len(kept) or min(before, after) < 0:
            continue
        (u,) = summed
        place = next((place for place, function in enumerate(others) if function == (((u, 1),), 0)), None)
        uses = sum(loop == u for read, _ in (*mine, *others) for loop, _ in read)
        if place is None or uses != 2 or loops[u] != other.shape[place] or not isinstance(loops[u], int):
            continue
        stride, loops[u] = between + 1, extent(padded.inputs[0], dim)
        read = ((u, stride), *((t, -c) for t, c in kept))
        low, high = reached((read, before - offset), loops)
        above = max(0, -low)
        around[place] = (above, max(0, high - extent(other, place) + 1), 0)
        others[place], mine[dim] = (read, before - offset + above), (((u, 1),), 0)
        widths[dim] = (0, 0, 0)
    if widths == list(padded.attrs["widths"]):
        return node
    operand = padded.inputs[0]
    if any(width != (0, 0, 0) for width in widths):
        operand = apply("pad", operand, constant(0, operand.dtype), widths=tuple(widths))
    if any(width != (0, 0, 0) for width in around):
        other = apply("pad", other, constant(0, other.dtype), widths=tuple(around))
    inputs, index = list(node.inputs), list(node.attrs["index"])
    inputs[side], index[side] = operand, tuple(mine)
    inputs[1 - side], index[1 - side] = other, tuple(others)
    return apply("contract", *inputs, index=tuple(index), loops=tuple(loops), rank=rank)


def _spreads(node: Node, side: int) -> list[Spread]:
    """The dimensions of a padded operand that can be split."""
    padded, rank = node.inputs[side], node.attrs["rank"]
    mine, others = node.attrs["index"][side], node.attrs["index"][1 - side]
    if not is_zero(padded.inputs[1]):
        return []
    uses = [loop for index in (mine, others) for terms, _ in index for loop, _ in terms]
    found = []
    for dim, (before, _, between) in enumerate(padded.attrs["widths"]):
        terms, offset = mine[dim]
        outer = [term for term in terms if term[0] < rank]
        inner = [term for term in terms if term[0] >= rank]
        if not between or len(outer) != 1 or outer[0][1] != 1 or len(inner) > 1:
            continue
        loop = outer[0][0]
        behind = node.shape[loop + 1 :]
        known = behind and all(isinstance(d, int) for d in behind)
        if known and uses.count(loop) == 1 and (not inner or uses.count(inner[0][0]) == 2):
            summed, coefficient = inner[0] if inner else (None, 0)
            found.append(Spread(dim, loop, summed, coefficient, offset, before, between + 1))
    return sorted(found, key=lambda spread: spread.loop)


def _interleaved(node: Node, side: int, spreads: list[Spread], rests: tuple[int, ...]) -> Node:
    """The result, interleaved from its parts. ``rests`` are the part's indices modulo the strides, in the dimensions
    that are split already.
    """
    if len(rests) == len(spreads):
        return _part(node, side, spreads, rests)
    spread = spreads[len(rests)]
    parts = [_interleaved(node, side, spreads, (*rests, rest)) for rest in range(spread.stride)]
    shape, at = parts[0].shape, spread.loop
    whole, wide = extent(parts[0], at) * spread.stride, prod(extents(parts[0], at + 1))
    filled = [i for i, part in enumerate(parts) if part.op.name != "broadcast"]  # others are zeros
    if not filled:
        return full(0, (*shape[:at], extent(node, at), *shape[at + 1 :]), node.dtype)
    if len(filled) > 1:
        result = interleaved(parts, at)
    else:
        (i,) = filled
        around = (i * wide, (spread.stride - 1 - i) * wide, 0)
        zero, widths = constant(0, node.dtype), (*[(0, 0, 0)] * (at + 1), around)
        row = parts[i] if at == len(shape) - 2 else apply("reshape", parts[i], shape=(*shape[: at + 1], wide))
        result = apply("reshape", apply("pad", row, zero, widths=widths), shape=(*shape[:at], whole, *shape[at + 1 :]))
    if whole == node.shape[at]:
        return result
    ranges = tuple((0, node.shape[at], 1) if axis == at else None for axis in range(result.ndim))
    return apply("slice", result, ranges=ranges)


def _part(node: Node, side: int, spreads: list[Spread], rests: tuple[int, ...]) -> Node:
    """The elements of the result whose indices are ``rests`` modulo the strides."""
    padded = node.inputs[side]
    loops: list[Any] = list(node.attrs["loops"])
    mine, others = list(node.attrs["index"][side]), list(node.attrs["index"][1 - side])
    widths = list(padded.attrs["widths"])
    empty = False
    for spread, rest in zip(spreads, rests, strict=True):
        start = rest + spread.offset - spread.before
        loops[spread.loop] = -(-loops[spread.loop] // spread.stride)
        terms: list[tuple[int, int]] = [(spread.loop, 1)]
        if spread.inner is None:
            empty = empty or start % spread.stride != 0
        else:
            values = range(loops[spread.inner])
            first = next((q for q in values if (start + spread.coefficient * q) % spread.stride == 0), None)
            empty = empty or first is None
            step = spread.stride // gcd(spread.coefficient, spread.stride)
            if first is not None:
                loops[spread.inner] = len(values[first::step])
                terms.append((spread.inner, spread.coefficient * step // spread.stride))
                others = [_stepped(function, spread.inner, step, first) for function in others]
                start += spread.coefficient * first
        at = start // spread.stride
        low, high = reached((tuple(terms), at), loops)
        size = extent(padded.inputs[0], spread.dim)
        widths[spread.dim] = (max(0, -low), max(0, high - size + 1), 0)
        mine[spread.dim] = (tuple(terms), at + max(0, -low))
    shape = tuple(loops[: node.attrs["rank"]])
    if empty:
        return full(0, shape, node.dtype)
    operand = padded.inputs[0]
    if any(width != (0, 0, 0) for width in widths):
        operand = apply("pad", operand, constant(0, operand.dtype), widths=tuple(widths))
    inputs, index = list(node.inputs), list(node.attrs["index"])
    inputs[side], index[side] = read_part(operand, tuple(mine), loops)
    inputs[1 - side], index[1 - side] = _spanned(inputs[1 - side], others, loops), tuple(others)
    return apply("contract", *inputs, index=tuple(index), loops=tuple(loops), rank=node.attrs["rank"])


def _spanned(x: Node, index: list[Affine], loops: list[Any]) -> Node:
    """The part of an operand that is read: a plain loop from 0 may end before its dimension does."""
    plain = [terms[0][0] if [c for _, c in terms] == [1] and not offset else None for terms, offset in index]
    ranges = [
        None if loop is None or loops[loop] == d else (0, loops[loop], 1)
        for loop, d in zip(plain, x.shape, strict=True)
    ]
    return apply("slice", x, ranges=tuple(ranges)) if any(ranges) else x


def _stepped(function: Affine, loop: int, step: int, first: int) -> Affine:
    """An affine function of a loop, as a function of the loop over every ``step``-th of its values from ``first``."""
    terms, offset = function
    own = next((c for i, c in terms if i == loop), 0)
    return tuple((i, c * step if i == loop else c) for i, c in terms), offset + own * first
