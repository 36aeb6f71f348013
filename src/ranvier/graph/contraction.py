"""The affine contraction: one primitive for matrix products, convolutions and all of their gradients.

``loops`` lists the extents of the loop variables; the first ``rank`` of them index the output, the rest are summed
over. Each operand's ``index`` holds, for every dimension of the operand, an affine function of the loop variables:
``(((loop, coefficient), ...), offset)``. The output is the sum of the products of the operands so addressed.

An engine's pass may add ``clip``: (p, cp, q, cq, offset, extent) for a dimension of that extent with the index function
``cp * p + cq * q + offset``. Terms whose index is outside of the dimension are then zero instead of an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.graph.extents import Extent
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, FLOATS, GraphError, GraphExtentError, Node, Type, apply, constant

Affine = tuple[tuple[tuple[int, int], ...], int]


def plain(*loops: int) -> tuple[Affine, ...]:
    """An index whose functions are each the value of one loop."""
    return tuple((((loop, 1),), 0) for loop in loops)


def reached(function: Affine, loops: Sequence[Any]) -> tuple[int, int]:
    """The least and the largest value of an affine function of loops with these extents."""
    terms, offset = function
    spans = [coefficient * (loops[loop] - 1) for loop, coefficient in terms]
    return offset + sum(min(0, span) for span in spans), offset + sum(max(0, span) for span in spans)


def _is_clipped(dim: Any, function: Affine, clips: Sequence[tuple[int, ...]]) -> bool:
    """Whether an operand's dimension is one of those that ``clip`` lists."""
    terms, offset = function
    outer, inner = (*sorted(terms), (0, 0))[:2]
    return (*outer, *inner, offset, dim) in clips


def _check_operand(
    shape: Sequence[Any], index: Sequence[Affine], loops: Sequence[Any], clips: Sequence[tuple[int, ...]]
) -> None:
    if len(shape) != len(index):
        raise GraphError(f"an operand of shape {shape} needs {len(shape)} index functions, not {len(index)}")
    for dim, (terms, offset) in zip(shape, index, strict=True):
        if len(terms) == 1 and terms[0][1] == 1 and offset == 0:
            extent = loops[terms[0][0]]
            if extent == dim:
                continue
            if not isinstance(dim, int) or not isinstance(extent, int) or extent > dim:
                raise GraphError(f"loop {terms[0][0]} runs over {extent} but the operand's dimension is {dim}")
        if not isinstance(dim, int) or any(isinstance(loops[loop], Extent) for loop, _ in terms):
            raise GraphExtentError("only a plain loop may run over an extent known at run time")
        low, high = reached((terms, offset), loops)
        if (low < 0 or high >= dim) and not _is_clipped(dim, (terms, offset), clips):
            raise GraphError(f"index runs over {low}..{high}, outside a dimension of {dim}")


def contract_type(types: Sequence[Type], attrs: dict[str, Any]) -> Type:
    a, b = types
    if a.dtype != b.dtype or a.dtype not in FLOATS:
        raise GraphError("both operands must be of one floating dtype")
    loops, clips = attrs["loops"], attrs.get("clip", ())
    for type_, index in zip(types, attrs["index"], strict=True):
        _check_operand(type_.shape, index, loops, clips)
    used = {loop for index in attrs["index"] for terms, _ in index for loop, _ in terms}
    if used != set(range(len(loops))):
        raise GraphError("every loop must appear in an operand's index")
    return Type(tuple(loops[: attrs["rank"]]), a.dtype)


def _view(array: Any, index: Sequence[Affine], extents: Sequence[int]) -> tuple[Any, list[int]]:
    """A strided view of ``array`` with one dimension for each loop that its index uses."""
    loops = [terms[0][0] for terms, _ in index if terms]
    whole = array.shape == tuple(extents[loop] for loop in loops) and len(set(loops)) == array.ndim
    if whole and tuple(index) == plain(*loops):
        return array.transpose(sorted(range(array.ndim), key=loops.__getitem__)), sorted(loops)
    used = sorted({loop for terms, _ in index for loop, _ in terms})
    start = array[tuple(slice(offset, None) for _, offset in index)] if array.size else array
    strides = [
        sum(c * array.strides[d] for d, (terms, _) in enumerate(index) for loop, c in terms if loop == wanted)
        for wanted in used
    ]
    return np.lib.stride_tricks.as_strided(start, [extents[i] for i in used], strides, writeable=False), used


def _unclipped(
    array: Any, index: Sequence[Affine], extents: Sequence[int], clips: Sequence[tuple[int, ...]]
) -> tuple[Any, list[Affine]]:
    """The array with zeros wherever clipped index functions leave it, and the functions of the new array."""
    widths, functions = [], []
    for dim, (terms, offset) in zip(array.shape, index, strict=True):
        low, high = reached((terms, offset), extents)
        clipped = _is_clipped(dim, (terms, offset), clips)
        before, after = (max(0, -low), max(0, high - dim + 1)) if clipped else (0, 0)
        widths.append((before, after))
        functions.append((terms, offset + before))
    return np.pad(array, widths), functions


def contract_value(arrays: Sequence[Any], attrs: dict[str, Any], extents: dict[str, int]) -> Any:
    sizes = [extents[e.name] if isinstance(e, Extent) else e for e in attrs["loops"]]
    if 0 in sizes:
        return np.zeros(sizes[: attrs["rank"]], arrays[0].dtype)
    operands: list[Any] = []
    for array, index in zip(arrays, attrs["index"], strict=True):
        if "clip" in attrs:
            array, index = _unclipped(array, index, sizes, attrs["clip"])
        operands += _view(array, index, sizes)
    first, axes, second, others = operands
    if axes == [0, 2] and others == [1, 2] and attrs["rank"] == 2 and sizes[2] > 1:
        return np.matmul(second, first.T).T  # what `einsum` does as well, in three times as long for small arrays
    return np.einsum(*operands, list(range(attrs["rank"])), optimize=True).astype(arrays[0].dtype, copy=False)


def contract(
    a: Node, b: Node, a_index: Sequence[Affine], b_index: Sequence[Affine], loops: Sequence[Any], rank: int
) -> Node:
    return apply("contract", a, b, index=(tuple(a_index), tuple(b_index)), loops=tuple(loops), rank=rank)


def einsum(equation: str, a: Node, b: Node) -> Node:
    """A contraction whose every index is a single loop, in Einstein's notation, for example ``"mk,kn->mn"``."""
    operands, output = equation.split("->")
    a_letters, b_letters = operands.split(",")
    order = output + "".join(dict.fromkeys(c for c in a_letters + b_letters if c not in output))
    extent = dict(zip(a_letters + b_letters, (*a.shape, *b.shape), strict=True))

    def index(letters: str) -> tuple[Affine, ...]:
        return plain(*map(order.index, letters))

    return contract(a, b, index(a_letters), index(b_letters), [extent[c] for c in order], len(output))


def _backwards(index: Sequence[Affine], loop: int, extent: int) -> list[Affine]:
    """Index functions of a loop that runs from its end to its start."""
    return [
        (
            tuple((i, -c if i == loop else c) for i, c in terms),
            offset + sum(c * (extent - 1) for i, c in terms if i == loop),
        )
        for terms, offset in index
    ]


def _operand_gradient(node: Node, g: Node, side: int) -> Node:
    """The derivative by one operand is again a contraction: of ``g`` and the other operand.

    Each dimension of the operand becomes an output loop. In a plain dimension that loop is the old one. In a compound
    one, p = c*i + (other terms) + offset, one loop i is eliminated: i = (p - offset - others) / c, so ``g`` is spread
    by c along i, padded by zeros where the index runs over the edge, and addressed by the affine function of p.
    """
    loops, rank = node.attrs["loops"], node.attrs["rank"]
    mine, other_index = node.attrs["index"][side], node.attrs["index"][1 - side]
    operand, other = node.inputs[side], node.inputs[1 - side]
    position: dict[int, Affine] = {}  # old loop -> its value in the new loop variables
    widths = dict.fromkeys(range(rank), (0, 0, 0))
    new_loops: list[Any] = list(operand.shape)
    kept = {}
    for dim, (terms, offset) in enumerate(mine):
        whole = len(terms) == 1 and terms[0][1] == 1 and offset == 0 and loops[terms[0][0]] == operand.shape[dim]
        if whole and terms[0][0] not in kept:
            kept[terms[0][0]] = dim
            (position[terms[0][0]],) = plain(dim)
    eliminated = {}
    for dim, (terms, _) in enumerate(mine):
        if dim in kept.values():
            continue
        candidates = [t for t in terms if t[0] < rank and t[0] not in kept and t[0] not in eliminated]
        if not candidates:
            raise GraphError("this contraction's gradient needs an output loop in each dimension")
        loop, coefficient = max(candidates, key=lambda t: t[1] > 0)
        eliminated[loop] = dim
        if coefficient < 0:  # count it backwards
            g, mine = apply("reverse", g, axes=(loop,)), _backwards(mine, loop, loops[loop])
    for loop, extent in enumerate(loops):
        if loop not in kept and loop not in eliminated:
            (position[loop],) = plain(len(new_loops))
            new_loops.append(extent)
    for loop, dim in eliminated.items():
        terms, offset = mine[dim]
        coefficient = next(c for i, c in terms if i == loop)
        index = ((dim, 1), *((position[i][0][0][0], -c) for i, c in terms if i != loop))
        low, high = reached((index, -offset), new_loops)
        last = (loops[loop] - 1) * coefficient
        before, after = max(0, -low), max(0, high - last)
        widths[loop] = (before, after, coefficient - 1)
        position[loop] = (index, before - offset)
    if any(w != (0, 0, 0) for w in widths.values()):
        g = apply("pad", g, constant(0, g.dtype), widths=tuple(widths[i] for i in range(rank)))
    g_index = [position[i] for i in range(rank)]
    if any(i in eliminated for terms, _ in other_index for i, _ in terms):
        raise GraphError("a loop that is compound in one operand may not index the other")
    mapped = []
    for terms, offset in other_index:
        new_terms, new_offset = [], offset
        for i, c in terms:
            inner, inner_offset = position[i]
            new_terms += [(j, c * d) for j, d in inner]
            new_offset += c * inner_offset
        mapped.append((tuple(new_terms), new_offset))
    return _contract_and_spread(g, other, (g_index, mapped), new_loops, operand.shape)


def _contract_and_spread(
    a: Node, b: Node, index: tuple[Sequence[Affine], Sequence[Affine]], loops: Sequence[Any], shape: Sequence[Any]
) -> Node:
    """A contraction of this shape, which is constant along the output loops that no index uses."""
    used = {loop for functions in index for terms, _ in functions for loop, _ in terms}
    kept = [loop for loop in range(len(loops)) if loop in used or loop >= len(shape)]
    number = {loop: i for i, loop in enumerate(kept)}
    first, second = (
        [(tuple((number[loop], c) for loop, c in terms), offset) for terms, offset in functions] for functions in index
    )
    axes = tuple(loop for loop in kept if loop < len(shape))
    made = contract(a, b, first, second, [loops[loop] for loop in kept], len(axes))
    return made if len(axes) == len(shape) else apply("broadcast", made, shape=tuple(shape), axes=axes)


def contract_gradient(node: Node, g: Node) -> tuple[Node, Node]:
    return _operand_gradient(node, g, 0), _operand_gradient(node, g, 1)


def is_spatial(graph: Graph) -> bool:
    """Whether a sample is an image, a sound or a sequence: whether a contraction runs over several places of it."""
    contractions = (node.attrs for node in graph.of("contract"))
    return any(attrs["rank"] > 2 and attrs["loops"][0] == BATCH for attrs in contractions)
