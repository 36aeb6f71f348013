"""Bounds of loops that masks give: a product skips the terms, and the results, that a comparison of positions hides.

Causal attention multiplies weights that are zero where a key is behind its query. Such a mask is a comparison of two
iotas: ``p <= q + offset``, for positions p and q along two axes. Where an operand is zero outside of it, the sum of a
product needs no terms from there. Where nothing reads a result outside of it, its sum stays zero. A term left out is a
product with zero, so no bit changes while values are finite.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

import numpy as np

from ranvier.engines.native.schedule.view import only_ones
from ranvier.graph.graph import Graph
from ranvier.graph.node import Node, walk

LEAST = 64  # positions along both axes; fewer have hardly any tile that is hidden as a whole
MAX_DEPTH = 12  # of the nodes between a product and its mask


class Bound(NamedTuple):
    """``p <= q + offset + sign * start``: positions along two axes or, of a product, in two of its loops."""

    p: int
    q: int
    offset: int
    start: Node | None = None  # an integer that is known when the program runs
    sign: int = 1


Bounds = frozenset[Bound]
NONE: Bounds = frozenset()


def mask_bounds(graph: Graph) -> dict[Node, tuple[Bound, ...]]:
    """The bounds of each product that has some, in its loops."""
    if not any(True for _ in graph.of("iota")):
        return {}
    found, known = {}, _Zeros(graph)
    for node in graph.of("contract"):
        if bounds := known.of_product(node):
            found[node] = bounds
    return found


def given_bounds(bounds: Iterable[Bound], computed: Collection[Node]) -> tuple[Bound, ...]:
    """The bounds whose start no task computes."""
    return tuple(b for b in bounds if b.start is None or not any(n in computed for n in walk([b.start], bool)))


class _Zeros:
    """Outside of which bounds the values of a graph are zero, minus infinity or not read."""

    def __init__(self, graph: Graph) -> None:
        self.readers, self.roots = graph.readers(), set(graph.roots())
        self.written = {target for target, _ in graph.updates}
        self.known: dict[Node, Bounds] = {}

    def of_product(self, node: Node) -> tuple[Bound, ...]:
        loops, rank = node.attrs["loops"], node.attrs["rank"]
        bounds = dict.fromkeys(bound for bound in self.unread(node) if max(bound.p, bound.q) < rank)
        for operand, index in zip(node.inputs, node.attrs["index"], strict=True):
            loop_of = {axis: terms[0][0] for axis, (terms, at) in enumerate(index) if _is_plain(terms, at)}
            for bound in self.zero(operand):
                if bound.p in loop_of and bound.q in loop_of:
                    bounds[bound._replace(p=loop_of[bound.p], q=loop_of[bound.q])] = None
        long = (b for b in bounds if all(isinstance(e, int) and e >= LEAST for e in (loops[b.p], loops[b.q])))
        return tuple(sorted((b for b in long if self._is_given(b.start)), key=lambda b: b[:3]))

    def _is_given(self, start: Node | None) -> bool:
        """Whether an integer follows from the program's inputs, which no task overwrites, by scalar arithmetic."""
        if start is None:
            return True
        nodes = list(walk([start], lambda node: True))
        plain = all(node.op.kind in ("source", "elementwise") or node.op.is_view for node in nodes)
        return plain and self.written.isdisjoint(nodes) and all(node.ndim == 0 or _is_one(node) for node in nodes)

    def zero(self, node: Node, depth: int = 0) -> Bounds:
        """Outside of which bounds a value is zero."""
        if node in self.known or depth > MAX_DEPTH:
            return self.known.get(node, NONE)
        name, found = node.op.name, NONE
        if name == "mul":
            found = self.zero(node.inputs[0], depth + 1) | self.zero(node.inputs[1], depth + 1)
        elif name == "exp":
            found = self._lowest(node.inputs[0], depth + 1)
        elif name == "select":
            condition, x, y = node.inputs
            zero_x, zero_y = _is_constant(x, 0.0), _is_constant(y, 0.0)
            of_x, of_y = (NONE if zero else self.zero(n, depth + 1) for n, zero in ((x, zero_x), (y, zero_y)))
            found = of_y if zero_x else of_x if zero_y else of_x & of_y
            found |= _visible(condition) if zero_y else NONE
        elif node.op.kind == "elementwise" and node.op.keeps_zeros:
            found = self.zero(node.inputs[0], depth + 1)
        self.known[node] = found
        return found

    def _lowest(self, node: Node, depth: int) -> Bounds:
        """Outside of which bounds a value is minus infinity."""
        if depth > MAX_DEPTH:
            return NONE
        if node.op.name == "select" and _is_constant(node.inputs[2], -np.inf):
            return _visible(node.inputs[0]) | self._lowest(node.inputs[1], depth + 1)
        return self._lowest(node.inputs[0], depth + 1) if node.op.name in ("add", "sub") else NONE

    def unread(self, node: Node, depth: int = 0) -> Bounds:
        """Outside of which bounds nothing reads a value."""
        readers = self.readers.get(node, ())
        if node in self.roots or not readers or depth > MAX_DEPTH:
            return NONE
        found: Bounds | None = None
        for reader in dict.fromkeys(readers):
            own = self.unread(reader, depth + 1) if reader.op.kind == "elementwise" else NONE
            if reader.op.name == "select" and node is not reader.inputs[0] and node is not reader.inputs[2]:
                own |= _visible(reader.inputs[0])
            found = own if found is None else found & own
            if not found:
                return NONE
        return found or NONE


def _is_plain(terms: tuple[tuple[int, int], ...], at: int) -> bool:
    """Whether an axis is addressed by one loop alone."""
    return len(terms) == 1 and terms[0][1] == 1 and at == 0


def _is_one(node: Node) -> bool:
    return all(extent == 1 for extent in node.shape)


def _is_constant(node: Node, value: float) -> bool:
    """Whether all elements of a node are known to be this number."""
    while node.op.name == "broadcast":
        node = node.inputs[0]
    return node.op.name == "constant" and bool((node.attrs["value"] == value).all())


def _visible(mask: Node) -> Bounds:
    """The bounds outside of which a mask is false."""
    if mask.op.name == "logical_and":
        return _visible(mask.inputs[0]) | _visible(mask.inputs[1])
    if mask.op.name == "broadcast":
        return _moved(_visible(mask.inputs[0]), mask.attrs["axes"])
    if mask.op.name == "reshape" and only_ones(mask.shape, mask.inputs[0].shape):
        long = [axis for axis, extent in enumerate(mask.shape) if extent != 1]
        places = iter(long)
        return _moved(_visible(mask.inputs[0]), [next(places) if e != 1 else -1 for e in mask.inputs[0].shape])
    if mask.op.name in ("less", "less_equal"):
        return _compared(mask.inputs[0], mask.inputs[1], int(mask.op.name == "less"))
    return NONE


def _moved(bounds: Bounds, axes: Iterable[int]) -> Bounds:
    places = list(axes)
    return frozenset(b._replace(p=places[b.p], q=places[b.q]) for b in bounds if min(places[b.p], places[b.q]) >= 0)


def _compared(left: Node, right: Node, strict: int) -> Bounds:
    """The bound that ``left <= right`` is, or ``left < right``."""
    axes: dict[int, int] = {}
    numbers: dict[Node, int] = {}
    offset = -strict
    for side, sign in ((left, 1), (right, -1)):
        terms = _sum_of(side, sign)
        if terms is None:
            return NONE
        for term, factor in terms:
            if isinstance(term, Node):
                numbers[term] = numbers.get(term, 0) + factor
            elif term < 0:
                offset -= factor
            else:
                axes[term] = axes.get(term, 0) + factor
    smaller, larger = ([axis for axis, factor in axes.items() if factor == one] for one in (1, -1))
    if len(axes) != 2 or not smaller or not larger or len(numbers) > 1 or not {*numbers.values()} <= {1, -1}:
        return NONE
    start, sign = next(iter(numbers.items()), (None, -1))
    return frozenset([Bound(smaller[0], larger[0], offset, start, -sign)])


def _sum_of(node: Node, sign: int) -> list[tuple[int | Node, int]] | None:
    """The terms of a sum of positions and numbers, each with its factor: axes, nodes, and -1 for the number 1."""
    if node.op.name == "iota":
        return [(node.attrs["axis"], sign)]
    if node.op.name in ("add", "sub"):
        first = _sum_of(node.inputs[0], sign)
        second = _sum_of(node.inputs[1], sign if node.op.name == "add" else -sign)
        return None if first is None or second is None else first + second
    while node.op.name == "broadcast" and node.ndim:
        node = node.inputs[0]
    if node.ndim:
        return None
    return [(-1, sign * int(node.attrs["value"]))] if node.op.name == "constant" else [(node, sign)]
