"""Rows of engines of a table that are composed of other rows: windows, and contractions, which may be convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ranvier.engines.tables import Array, Attrs, Function, Table
from ranvier.graph.extents import Extent
from ranvier.graph.graph import Graph
from ranvier.graph.node import Node

MOST = 3  # positions of a convolution
FEW = 16  # places in a window that are read one by one


class Geometry(NamedTuple):
    """How a convolution reads its operand along each position.

    ``padding`` has the zeros before and after; where the second is negative, the last elements are not read. There may
    be zeros ``between`` the elements.
    """

    strides: Sequence[int]
    dilations: Sequence[int]
    padding: Sequence[tuple[int, int]]
    groups: int = 1
    between: Sequence[int] = ()

    def spans(self, places: Sequence[int]) -> list[int]:
        """How far the first and the last of so many places are apart."""
        return [(k - 1) * d for k, d in zip(places, self.dilations, strict=True)]

    def results(self, sides: Sequence[int], places: Sequence[int]) -> list[int]:
        """The extents of the result."""
        found = zip(sides, self.padding, self.spans(places), self.strides, strict=True)
        return [(n + low + high - span - 1) // stride + 1 for n, (low, high), span, stride in found]


def windows(table: Table) -> Function:
    """The row of windows. Those side by side are a reshape, small ones slices that are stacked, others a gather."""

    def value(arrays: Sequence[Array], attrs: Attrs, extents: dict[str, Any]) -> Any:
        (x,) = arrays
        for axis, size, stride, dilation in reversed(attrs["axes"]):
            shape = tuple(x.shape)
            count = (shape[axis] - (size - 1) * dilation - 1) // stride + 1
            before, after = shape[:axis], shape[axis + 1 :]
            if size == stride and dilation == 1:
                x = _sliced(table, x, axis, (0, count * size, 1))
                x = table["reshape"]([x], {"shape": (*before, count, size, *after)}, extents)
            elif size <= FEW:
                starts = [i * dilation for i in range(size)]
                parts = [_sliced(table, x, axis, (i, i + (count - 1) * stride + 1, stride)) for i in starts]
                wide = [table["reshape"]([p], {"shape": (*before, count, 1, *after)}, extents) for p in parts]
                x = table["concatenate"](wide, {"axis": axis + 1}, extents)
            else:
                x = _taken(table, x, axis, np.arange(count)[:, None] * stride + np.arange(size) * dilation)
        return x

    return value


def _sliced(table: Table, x: Array, axis: int, part: tuple[int, int, int]) -> Array:
    if part == (0, x.shape[axis], 1):
        return x
    ranges = tuple(part if a == axis else None for a in range(len(x.shape)))
    return table["slice"]([x], {"ranges": ranges}, {})


def _taken(table: Table, x: Array, axis: int, places: Any) -> Array:
    """The elements at ``places`` along an axis, which becomes the axes of ``places``."""
    rank, more = len(x.shape), places.ndim
    front = [axis, *(a for a in range(rank) if a != axis)]
    index = table["constant"]([], {"value": places.astype(np.int32)}, {})
    x = table["gather"]([table["transpose"]([x], {"axes": front}, {}), index], {}, {})
    axes = [*range(more, more + axis), *range(more), *range(more + axis, more + rank - 1)]
    return table["transpose"]([x], {"axes": axes}, {})


def is_outside(width: tuple[int, int, int]) -> bool:
    """Whether a padding has no zeros between the elements."""
    return not width[2]


def with_padding(graph: Graph, takes: Callable[[tuple[int, int, int]], bool] = is_outside) -> Graph:
    """Contractions that are convolutions of a padded operand have the operand itself, and its widths as ``padding``,
    where ``takes`` says so of each.

    XLA folds some paddings into convolutions, and not those of gradients by the weights, which then take five times as
    long. Zeros between the elements are those of the gradient of a convolution with strides by its images.
    """

    def change(node: Node, old: Node) -> Node:
        if node.op.name != "contract" or "padding" in node.attrs:
            return node
        index, rank, sizes = node.attrs["index"], node.attrs["rank"], node.attrs["loops"]
        fixed = [n if isinstance(n, int) else 1 for n in sizes]
        pairs = [_windows_of(index[side], index[1 - side], rank, fixed) for side in (0, 1)]
        side = next((i for i in (0, 1) if 0 < len(pairs[i]) <= MOST), None)
        pad = None if side is None else node.inputs[side]
        if side is None or pad is None or pad.op.name != "pad" or not _is_zero(pad.inputs[1]):
            return node
        for dim, width in enumerate(pad.attrs["widths"]):
            if width == (0, 0, 0):
                continue
            n, (terms, offset) = pad.inputs[0].shape[dim], index[side][dim]
            if dim not in pairs[side] or not takes(width) or not isinstance(n, int):
                return node
            if not all(isinstance(sizes[loop], int) for loop, _ in terms):
                return node
            first, extent = _range(terms, offset - width[0], fixed)
            after = first + extent - ((n - 1) * (width[2] + 1) + 1)
            if first >= n or first + extent <= 0:
                return node
            if width[2] and not (plain_positions(node) and _is_turned(terms, rank, fixed, (-first, after), width[2])):
                return node
        inputs = tuple(pad.inputs[0] if i == side else operand for i, operand in enumerate(node.inputs))
        return Node(node.op, inputs, {**node.attrs, "padding": (side, pad.attrs["widths"])}, node.type)

    return graph.changed(change)


def _is_turned(
    terms: Sequence[tuple[int, int]], rank: int, sizes: Sequence[int], padding: tuple[int, int], between: int
) -> bool:
    """Whether a window reads elements with zeros between them as the gradient of a convolution with strides does."""
    (outer,), (place,) = ([term for term in terms if (term[0] >= rank) == is_place] for is_place in (False, True))
    span = (sizes[place[0]] - 1) * -place[1]
    low, high = padding
    return outer[1] == 1 and place[1] < 0 and 0 <= low <= span and 0 <= high <= span + between


def plain_positions(node: Node) -> int:
    """The positions of a contraction that is a convolution without groups; 0 of other nodes."""
    if node.op.name != "contract":
        return 0
    index, rank = node.attrs["index"], node.attrs["rank"]
    sizes = [n if isinstance(n, int) else 1 for n in node.attrs["loops"]]
    pairs = [_windows_of(index[side], index[1 - side], rank, sizes) for side in (0, 1)]
    side = next((i for i in (0, 1) if 0 < len(pairs[i]) <= MOST), None)
    if side is None:
        return 0
    loops = [{loop for terms, _ in own for loop, _ in terms if loop < rank} for own in index]
    is_grouped = loops[0] & loops[1] - {loop for dim in pairs[side] for loop, _ in index[side][dim][0]}
    return 0 if is_grouped else len(pairs[side])


def whole_operands(node: Node) -> list[tuple[int, ...]] | None:
    """The loops of the dimensions of both operands of a contraction that reads them as they are; None of others."""
    sides, loops = [], node.attrs["loops"]
    if node.attrs.get("padding"):
        return None
    for operand, own in zip(node.inputs, node.attrs["index"], strict=True):
        if any(offset or len(terms) != 1 or terms[0][1] != 1 for terms, offset in own):
            return None
        sides.append(tuple(terms[0][0] for terms, _ in own))
        if operand.shape != tuple(loops[loop] for loop in sides[-1]):
            return None
    return sides


def _is_zero(node: Node) -> bool:
    return node.op.name == "constant" and node.dtype != "bfloat16" and not np.any(node.attrs["value"])


def _range(terms: Sequence[tuple[int, int]], offset: int, sizes: Sequence[int]) -> tuple[int, int]:
    """The first place that an affine index reads, and the extent from there to the last one."""
    first = offset + sum(c * (sizes[loop] - 1) for loop, c in terms if c < 0)
    return first, sum(abs(c) * (sizes[loop] - 1) for loop, c in terms) + 1


class Operand:
    """An operand of a contraction, with the loops of its dimensions: a pair where a window is read."""

    def __init__(
        self, table: Table, x: Array, index: Sequence[Any], sizes: Sequence[int], pairs: Sequence[int],
        widths: Sequence[tuple[int, int, int]] | None = None,
    ) -> None:  # fmt: skip
        self.table, self.x, self.widths = table, x, widths
        self.padding: list[tuple[int, int]] = []  # of the windows
        self.loops: list[Any] = []
        self.backward: list[int] = []  # loops that the result, or the other operand, has to turn
        self.between: list[int] = []  # zeros, of the windows
        for dim, (terms, offset) in enumerate(index):
            low, _, between = widths[dim] if widths is not None else (0, 0, 0)
            self._read(terms, offset - low, sizes, between if dim in pairs else None)

    def _read(self, terms: Sequence[tuple[int, int]], offset: int, sizes: Sequence[int], between: int | None) -> None:
        """Slice, turn or gather the next dimension. What a window reads outside of it is padding."""
        axis = len(self.loops)
        steps = [abs(c) for _, c in terms]
        turned = [loop for loop, c in terms if c < 0]
        first, extent = _range(terms, offset, sizes)
        if between is not None:
            end, last = first + extent, (self.x.shape[axis] - 1) * (between + 1) + 1
            is_whole = first <= 0 and last - end < max(steps)  # with the last elements it has as many places
            self.padding.append((max(0, -first), end - last if is_whole else max(0, end - last)))
            self.between.append(between)
            if not is_whole:
                self.x = _sliced(self.table, self.x, axis, (max(0, first), min(end, last), 1))
            self.loops.append(tuple(loop for loop, _ in terms))
            self.backward += turned
        elif len(terms) == 1 and steps[0]:
            self.x = _sliced(self.table, self.x, axis, (first, first + extent, steps[0]))
            if turned:
                self.x = self.table["reverse"]([self.x], {"axes": (axis,)}, {})
            self.loops.append(terms[0][0])
        else:
            places = np.array(offset)
            for loop, c in terms:
                places = places[..., None] + c * np.arange(sizes[loop])
            self.x = _taken(self.table, self.x, axis, places)
            self.loops += [loop for loop, _ in terms]

    def arranged(self, *groups: Sequence[Any]) -> Array:
        """With a dimension for each group of loops, in this order. A window's pair of loops is one of them."""
        order = [self.loops.index(loop) for group in groups for loop in group]
        x = self.table["transpose"]([self.x], {"axes": order}, {})
        shape, at = [], 0
        for group in groups:
            count = 1
            for dim in x.shape[at : at + len(group)]:
                count *= dim
            at += len(group)
            shape.append(count)
        return self.table["reshape"]([x], {"shape": tuple(shape)}, {})

    def sum_over(self, loops: Sequence[int]) -> None:
        """Sum over loops that only this operand has."""
        axes = tuple(i for i, loop in enumerate(self.loops) if loop in loops)
        if axes:
            self.x = self.table["reduce_sum"]([self.x], {"axes": axes}, {})
            self.loops = [loop for loop in self.loops if loop not in loops]


def trimmed(table: Table, x: Array, of: Geometry, steps: Sequence[int] | None = None) -> tuple[Array, Geometry]:
    """The operand without the last elements that are not read, if they are as many as a step."""
    for axis, (_, high) in enumerate(of.padding, 1):
        if high <= (-steps[axis - 1] if steps else -1):
            x = _sliced(table, x, axis, (0, x.shape[axis] + high, 1))
    return x, of._replace(padding=[(low, max(high, 0)) for low, high in of.padding])


def contraction(
    table: Table, einsum: Callable[..., Any], convolve: Callable[..., Any], turned: Callable[..., Any] | None = None
) -> Function:
    """The row of contractions.

    ``einsum(a, loops of a, b, loops of b, loops of the result)`` computes those without windows. ``convolve(x, w,
    geometry)`` has operands (rows, *positions, channels of all groups) and (*places, channels of one group, filters of
    all groups), with at most `MOST` positions. The padding is 0 without `with_padding`. ``turned(x, w, geometry)``
    computes one without strides and groups whose places are read backward, as that of a gradient is, which alone may
    have zeros between its elements.
    """

    def value(arrays: Sequence[Array], attrs: Attrs, extents: dict[str, Any]) -> Any:
        sizes = [extents[n.name] if isinstance(n, Extent) else n for n in attrs["loops"]]
        index, rank = attrs["index"], attrs["rank"]
        pairs = [_windows_of(index[side], index[1 - side], rank, sizes) for side in (0, 1)]
        side = next((i for i in (0, 1) if 0 < len(pairs[i]) <= MOST), None)
        _, widths = attrs.get("padding", (side, None))
        if side is None:
            a, b = (Operand(table, x, own, sizes, ()) for x, own in zip(arrays, index, strict=True))
            if _first(b, a, rank) < _first(a, b, rank):  # a product is (rows of the first, columns of the second)
                a, b = b, a
            return einsum(a.x, a.loops, b.x, b.loops, list(range(rank)))
        x = Operand(table, arrays[side], index[side], sizes, pairs[side], widths)
        w = Operand(table, arrays[1 - side], index[1 - side], sizes, ())
        terms = [sorted(index[side][dim][0], key=lambda t: t[0] >= rank) for dim in pairs[side]]
        return _convolution(table, (convolve, turned), x, w, terms, sizes, rank)

    return value


def _first(operand: Operand, other: Operand, rank: int) -> int:
    """The first loop of the result that only this operand has."""
    return min((loop for loop in operand.loops if loop < rank and loop not in other.loops), default=rank)


def _windows_of(own: Sequence[Any], other: Sequence[Any], rank: int, sizes: Sequence[int]) -> list[int]:
    """The dimensions in which the operand is read as a convolution reads it: at the sum of a loop of the result, which
    only this dimension has, and one that is summed over and is a dimension of the other operand. None if another
    dimension is none of one loop.
    """
    loops = [[loop for terms, _ in index for loop, _ in terms] for index in (own, other)]
    if 0 in sizes or any(len(set(each)) < len(each) for each in loops):
        return []
    if any(len(terms) != 1 for terms, _ in other):
        return []
    found = []
    for dim, (terms, _) in enumerate(own):
        if len(terms) == 1:
            continue
        outer, inner = ([loop for loop, _ in terms if (loop >= rank) == after] for after in (False, True))
        if len(outer) != 1 or len(inner) != 1 or outer[0] in loops[1] or inner[0] not in loops[1]:
            return []
        found.append(dim)
    return found


def _convolution(
    table: Table, functions: tuple[Callable[..., Any], Callable[..., Any] | None], x: Operand, w: Operand,
    terms: Sequence[Any], sizes: Sequence[int], rank: int,
) -> Any:  # fmt: skip
    """A contraction with windows as a convolution. ``terms``: the loops of each window, that of the result first."""
    positions, places = ([term[i][0] for term in terms] for i in (0, 1))
    for own, other in ((x, w), (w, x)):
        kept = {*other.loops, *places, *range(rank)}
        own.sum_over([loop for loop in own.loops if not isinstance(loop, tuple) and loop not in kept])
    plain = [loop for loop in x.loops if not isinstance(loop, tuple)]
    groups = [loop for loop in plain if loop in w.loops and loop < rank]
    channels = [loop for loop in plain if loop in w.loops and loop >= rank]
    rows = [loop for loop in plain if loop not in w.loops]
    filters = [loop for loop in w.loops if loop < rank and loop not in groups]
    backward = tuple(i for i, loop in enumerate(w.loops) if loop in x.backward)
    strides, dilations = ([abs(term[i][1]) for term in terms] for i in (0, 1))
    convolve, turned = functions
    is_turned = turned is not None and len(backward) == len(places) and set(strides) == {1} and not groups
    if backward and not is_turned:
        w.x = table["reverse"]([w.x], {"axes": backward}, {})
    windows_ = [next(p for p in x.loops if isinstance(p, tuple) and position in p) for position in positions]
    operands = (
        x.arranged(rows, *([pair] for pair in windows_), [*groups, *channels]),
        w.arranged(*([place] for place in places), channels, [*groups, *filters]),
    )
    count = int(np.prod([sizes[loop] for loop in groups], dtype=int))
    compute = turned if turned is not None and is_turned else convolve
    found = compute(*operands, Geometry(strides, dilations, x.padding, count, x.between))
    loops = [*rows, *positions, *groups, *filters]
    found = table["reshape"]([found], {"shape": tuple(sizes[loop] for loop in loops)}, {})
    backward = tuple(i for i, loop in enumerate(loops) if loop in x.backward)
    if backward:
        found = table["reverse"]([found], {"axes": backward}, {})
    return table["transpose"]([found], {"axes": [loops.index(loop) for loop in range(rank)]}, {})
