"""Contractions as operators of ONNX: MatMul and Conv where they are one, else Einsum of elements by their places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ranvier.graph.contraction import Affine
from ranvier.graph.extents import Extent
from ranvier.graph.node import Node
from ranvier.graph.open_extents import OpenExtent
from ranvier.interop.foreign import refuse
from ranvier.interop.onnx.builder import Builder
from ranvier.interop.onnx.lowering import Lowering, row


class Operand(NamedTuple):
    """A value each of whose axes is one loop."""

    name: str
    loops: tuple[int, ...]

    def ordered(self, b: Builder, wanted: Sequence[int]) -> str:
        """The value with its loops in another order."""
        return b.transpose(self.name, tuple(self.loops.index(loop) for loop in wanted))


@row("contract")
def contract(low: Lowering, node: Node) -> str:
    rank = node.attrs["rank"]
    result = _convolution(low, node)
    if result is None:
        sides = [_addressed(low, operand, index, node.attrs["loops"]) for operand, index in _sides(node)]
        result = _product(low.b, sides[0], sides[1], rank) or _product(low.b, sides[1], sides[0], rank)
        if result is None:
            return _einsum(low.b, sides, rank)
    return result.ordered(low.b, range(rank))


def _sides(node: Node) -> list[tuple[Node, Sequence[Affine]]]:
    return list(zip(node.inputs, node.attrs["index"], strict=True))


def _plain_loop(function: Affine, dim: Any, loops: Sequence[Any]) -> int | None:
    """The loop that runs over a whole axis, in its order; None where it is otherwise."""
    terms, offset = function
    whole = len(terms) == 1 and terms[0][1] == 1 and offset == 0 and loops[terms[0][0]] == dim
    return terms[0][0] if whole else None


def _addressed(low: Lowering, operand: Node, index: Sequence[Affine], loops: Sequence[Any]) -> Operand:
    """The elements of an operand by loops: one axis becomes as many as its index function has loops."""
    name, axes = low.full(operand), list[int]()
    for function, dim in zip(index, operand.shape, strict=True):
        whole = _plain_loop(function, dim, loops)
        if whole is not None:
            axes.append(whole)
            continue
        terms, offset = function
        extents = [loops[loop] for loop, _ in terms]
        if any(isinstance(n, (Extent, OpenExtent)) for n in extents):
            raise refuse("a sum over places of an axis of any extent")
        grids = np.meshgrid(*map(np.arange, extents), indexing="ij")
        places = offset + sum((c * grid for (_, c), grid in zip(terms, grids, strict=True)), np.int64(0))
        name = low.b.op("Gather", name, low.b.constant(np.asarray(places, np.int64), "places"), axis=len(axes))
        axes += [loop for loop, _ in terms]
    return Operand(name, tuple(axes))


def _product(b: Builder, x: Operand, y: Operand, rank: int) -> Operand | None:
    """A product of matrices: x (..., m, k) and y (..., k, n). None for other contractions."""
    ours, theirs = set(x.loops), set(y.loops)
    both = [loop for loop in x.loops if loop in theirs]
    batch, inner = [n for n in both if n < rank], [n for n in both if n >= rank]
    rows, columns = ([n for n in a.loops if n not in other] for a, other in ((x, theirs), (y, ours)))
    repeated = len(ours) < len(x.loops) or len(theirs) < len(y.loops)
    if repeated or len(inner) != 1 or len(columns) != 1 or any(n >= rank for n in (*rows, *columns)) or not rows:
        return None
    if batch and len(rows) != 1:
        return None
    rows, batch = sorted(rows), sorted(batch)
    name = b.op("MatMul", x.ordered(b, [*batch, *rows, *inner]), y.ordered(b, [*batch, *inner, *columns]))
    return Operand(name, (*batch, *rows, *columns))


def _einsum(b: Builder, sides: Sequence[Operand], rank: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    given = ["".join(letters[loop] for loop in side.loops) for side in sides]
    return b.op("Einsum", *(side.name for side in sides), equation=f"{','.join(given)}->{letters[:rank]}")


class _Roles(NamedTuple):
    """What the loops of a convolution are: of the batch, groups, channels, filters; axes with output and window."""

    batch: int
    group: list[int]
    channels: list[int]
    filters: list[int]
    places: list[tuple[int, int, int, int]]  # output loop, window loop, stride, dilation


def _convolution(low: Lowering, node: Node) -> Operand | None:
    """A convolution with this operator. None for other contractions."""
    sides = _sides(node)
    for (x, x_index), (w, w_index) in (sides, sides[::-1]):
        roles = _roles(node, x, x_index, w, w_index)
        if roles is not None:
            return _convolved(low, node, (x, x_index), (w, w_index), roles)
    return None


def _roles(node: Node, x: Node, x_index: Sequence[Affine], w: Node, w_index: Sequence[Affine]) -> _Roles | None:
    loops, rank = node.attrs["loops"], node.attrs["rank"]
    w_loops = [_plain_loop(function, dim, loops) for function, dim in zip(w_index, w.shape, strict=True)]
    if None in w_loops or len(set(w_loops)) < len(w_loops):
        return None
    places, plain = [], []
    for function, dim in zip(x_index, x.shape, strict=True):
        whole = _plain_loop(function, dim, loops)
        if whole is not None:
            plain.append(whole)
            continue
        terms, offset = function
        outer, inner = [t for t in terms if t[0] < rank], [t for t in terms if t[0] >= rank]
        if len(outer) != 1 or len(inner) != 1 or offset or min(outer[0][1], inner[0][1]) < 1:
            return None
        (out, stride), (window, dilation) = outer[0], inner[0]
        if isinstance(dim, Extent) or (dim - (loops[window] - 1) * dilation - 1) // stride + 1 != loops[out]:
            return None
        places.append((out, window, stride, dilation))
    batch = [n for n in plain if n not in w_loops and n < rank]
    group = [n for n in plain if n in w_loops and n < rank]
    channels = [n for n in plain if n in w_loops and n >= rank]
    filters = [n for n in w_loops if n is not None and n < rank and n not in plain]
    known = {*batch, *group, *channels, *filters, *(n for p in places for n in p[:2])}
    fits = len(batch) == 1 and all(len(part) <= 1 for part in (group, channels, filters))
    windows = {p[1] for p in places}
    whole = set(w_loops) == {*group, *channels, *filters, *windows} and known == set(range(len(loops)))
    return (
        _Roles(batch[0], group, channels, filters, places)
        if fits and whole and places and len(plain) == len(set(plain))
        else None
    )


def _convolved(low: Lowering, node: Node, given: tuple[Node, Any], kernel: tuple[Node, Any], roles: _Roles) -> Operand:
    b, loops = low.b, node.attrs["loops"]
    axes = [_plain_loop(f, dim, loops) for f, dim in zip(given[1], given[0].shape, strict=True)]
    places = iter(roles.places)
    x = Operand(low.full(given[0]), tuple(next(places)[0] if n is None else n for n in axes))
    w = Operand(low.full(kernel[0]), tuple(f[0][0][0] for f in kernel[1]))
    outs, windows = [p[0] for p in roles.places], [p[1] for p in roles.places]
    groups, channels, filters = ([loops[n] for n in part] for part in (roles.group, roles.channels, roles.filters))
    name = x.ordered(b, [roles.batch, *roles.group, *roles.channels, *outs])
    weight = w.ordered(b, [*roles.group, *roles.filters, *roles.channels, *windows])
    sizes = dict(zip(x.loops, given[0].shape, strict=True))
    merged = (roles.group or not roles.channels, roles.group or not roles.filters)
    if merged[0]:
        name = b.op(
            "Reshape", name, _shape(b, loops[roles.batch], int(np.prod(groups + channels)), *(sizes[n] for n in outs))
        )
    if any(merged):
        dims = (int(np.prod(groups + filters)), int(np.prod(channels)), *(loops[n] for n in windows))
        weight = b.op("Reshape", weight, b.axes(*map(int, dims), base="shape"))
    y = b.op(
        "Conv", name, weight, strides=[p[2] for p in roles.places], dilations=[p[3] for p in roles.places],
        group=int(np.prod(groups)),
    )  # fmt: skip
    if merged[1]:
        y = b.op("Reshape", y, _shape(b, loops[roles.batch], *groups, *filters, *(loops[n] for n in outs)))
    return Operand(y, (roles.batch, *roles.group, *roles.filters, *outs))


def _shape(b: Builder, *dims: Any) -> str:
    """A shape of which one extent may be any."""
    if sum(isinstance(n, (Extent, OpenExtent)) for n in dims) > 1:
        raise refuse("a convolution of images of any size, in groups")
    return b.axes(*(-1 if isinstance(n, (Extent, OpenExtent)) else int(n) for n in dims), base="shape")
