"""Buffers, and strided views of them. A movement of a value in memory is a view: it copies nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ranvier.graph.extents import Extent
from ranvier.graph.node import GraphExtentError, Node


@dataclass(frozen=True, eq=False)
class Buffer:
    """A piece of memory: an array of the caller ("input", "output"), a constant, or scratch of the program.

    ``number`` is its position among the buffers of its kind.
    """

    kind: str
    number: int
    dtype: str
    elements: int = 0
    data: bytes = b""


@dataclass(frozen=True)
class View:
    """Element i of a value is at ``offset + sum(i * strides)``, counted in elements."""

    buffer: Buffer
    shape: tuple[int | Extent, ...]
    strides: tuple[int, ...]
    offset: int = 0
    # The gather whose rows are read in place (gather_in_place.py): they have no common stride.
    rows: Node | None = None

    @property
    def contiguous(self) -> bool:
        """Whether its elements are one after the other, wherever the first one is."""
        if any(isinstance(dim, Extent) for dim in self.shape[1:]):
            return False  # memory has room for the largest extent
        expected = zip(self.shape, self.strides, c_strides(self.shape), strict=True)
        return all(dim == 1 or found == wanted for dim, found, wanted in expected)


def c_strides(shape: Sequence[int | Extent]) -> tuple[int, ...]:
    """Row-major strides. Raises GraphExtentError where another extent than the first is symbolic."""
    strides, stride = [], 1
    for place, dim in reversed(list(enumerate(shape))):
        strides.append(stride)
        if isinstance(dim, Extent):
            if place:
                raise GraphExtentError(f"an array of shape {tuple(shape)}: only the first extent may be symbolic")
        else:
            stride *= max(dim, 1)
    return tuple(reversed(strides))


def move(node: Node, view: View) -> View | None:
    """The view of a movement of a viewed value; None if it is no view."""
    if view.rows is not None:
        return None
    name, attrs, offset = node.op.name, node.attrs, view.offset
    if name == "reshape":
        return _reshape(node, view)
    if name == "transpose":
        strides = [view.strides[a] for a in attrs["axes"]]
    elif name == "broadcast":
        strides = [0] * node.ndim
        for axis, stride in zip(attrs["axes"], view.strides, strict=True):
            strides[axis] = stride
    elif name == "slice":
        strides = list(view.strides)
        for axis, item in enumerate(attrs["ranges"]):
            if item is not None:
                offset += item[0] * strides[axis]
                strides[axis] *= item[2]
    elif name == "reverse" and not reverses_symbolic(node):
        strides = list(view.strides)
        for axis in attrs["axes"]:
            offset += (node.shape[axis] - 1) * strides[axis]
            strides[axis] = -strides[axis]
    elif name == "windows":
        by_axis = {axis: (stride, dilation) for axis, _, stride, dilation in attrs["axes"]}
        strides = [step * factor for axis, step in enumerate(view.strides) for factor in by_axis.get(axis, (1,))]
    else:
        return None
    return View(view.buffer, node.shape, tuple(strides), offset)


def reverses_symbolic(node: Node) -> bool:
    """Whether the node reverses an axis of symbolic extent: no view, since the index of its last element is unknown."""
    return node.op.name == "reverse" and any(isinstance(node.shape[a], Extent) for a in node.attrs["axes"])


def only_ones(a: Sequence[int | Extent], b: Sequence[int | Extent]) -> bool:
    """Whether two shapes differ by dimensions of 1 alone."""
    return [d for d in a if d != 1] == [d for d in b if d != 1]


def joined(a: Sequence[int | Extent], b: Sequence[int | Extent]) -> list[list[int]] | None:
    """For each extent of the first shape, the axes of the second that it joins; None if the shapes differ otherwise."""
    groups, place = [], 0
    for extent in a:
        own = [place]
        size = b[place] if place < len(b) else 0
        while size != extent and place + 1 < len(b) and isinstance(size, int):
            place += 1
            own.append(place)
            size *= b[place]  # only the first extent may be symbolic
        if size != extent:
            return None
        groups.append(own)
        place += 1
    return groups if place == len(b) else None


def regroups(a: Sequence[int | Extent], b: Sequence[int | Extent]) -> bool:
    """Whether two shapes of equal size have the same first and last extents, and known extents in between."""
    known = not any(isinstance(d, Extent) for d in (*a[1:], *b[1:]))
    return min(len(a), len(b)) > 1 and a[0] == b[0] and a[-1] == b[-1] and known


def regrouped(a: Sequence[int | Extent], b: Sequence[int | Extent]) -> list[tuple[list[int], list[int]]]:
    """The extents of two shapes of equal size, in groups with the same number of elements."""
    groups: list[tuple[list[int], list[int]]] = []
    left = tuple([d for d in shape if isinstance(d, int)][::-1] for shape in (a, b))
    while any(left):
        own: tuple[list[int], list[int]] = ([], [])
        while not all(own) or math.prod(own[0]) != math.prod(own[1]):
            short = 0 if not own[0] or (own[1] and math.prod(own[0]) < math.prod(own[1])) else 1
            own[short].append(left[short].pop())
        groups.append(own)
    return groups


def _reshape(node: Node, view: View) -> View | None:
    if only_ones(node.shape, view.shape):
        kept = iter([s for s, d in zip(view.strides, view.shape, strict=True) if d != 1])
        return View(view.buffer, node.shape, tuple(0 if d == 1 else next(kept) for d in node.shape), view.offset)
    alike = [d for d in node.shape if isinstance(d, Extent)] == [d for d in view.shape if isinstance(d, Extent)]
    if view.contiguous and (alike or "rows" in node.attrs) and not any(isinstance(d, Extent) for d in node.shape[1:]):
        return View(view.buffer, node.shape, c_strides(node.shape), view.offset)
    if not alike:
        return None
    strides: list[int] = []
    for own, new in zip(_known(view.shape), _known(node.shape), strict=True):
        pairs = [(view.shape[axis], view.strides[axis]) for axis in own]
        divided = _divided(pairs, [node.shape[axis] for axis in new])
        if divided is None:
            return None
        strides += [*divided, *view.strides[own.stop : own.stop + 1]]
    return View(view.buffer, node.shape, tuple(strides), view.offset)


def _known(shape: Sequence[int | Extent]) -> list[range]:
    """The axes before, between and after those of symbolic extent."""
    symbolic = [axis for axis, dim in enumerate(shape) if isinstance(dim, Extent)]
    return [range(before + 1, after) for before, after in itertools.pairwise((-1, *symbolic, len(shape)))]


def _divided(pairs: Sequence[tuple[int | Extent, int]], shape: Sequence[int | Extent]) -> list[int] | None:
    """The strides of a value with gaps, given by extents and strides, in another shape of known extents; None where
    axes meet that are not one after the other.
    """
    left, strides = [(d, s) for d, s in pairs if d != 1], list[int]()
    old, wanted = [d for d, _ in left], [d for d in shape if d != 1]
    if math.prod(old) != math.prod(wanted):
        return None
    for own, new in regrouped(old, wanted):
        found, left = left[: len(own)], left[len(own) :]
        if any(s != after * d for (_, s), (d, after) in itertools.pairwise(found)):
            return None
        strides += [found[-1][1] * step for step in c_strides(new)]
    kept = iter(strides)
    return [0 if d == 1 else next(kept) for d in shape]
