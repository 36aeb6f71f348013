"""Kernels that compute elements or copy them into place, and the table of all kernels but contractions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from math import prod

from ranvier.engines.native.codegen.contiguity import is_contiguous
from ranvier.engines.native.codegen.faults import emit_fault
from ranvier.engines.native.codegen.kernel import At, Index, Kernel, Value
from ranvier.engines.native.codegen.loops import along, finish, masked, nest, scope, shared
from ranvier.engines.native.codegen.reductions import emit_reduce
from ranvier.engines.native.codegen.register_reductions import pieces, reduce_row, reduce_samples
from ranvier.engines.native.codegen.row_updates import emit_row_update
from ranvier.engines.native.codegen.shuffles import transpose
from ranvier.engines.native.schedule.concatenations import concatenation_in, data_sources
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import View, joined
from ranvier.engines.native.target.lanes import ELEMENT, LANES, Scalar, literal, vector
from ranvier.graph.extents import Shape, size
from ranvier.graph.node import BATCH, FLOATS, Node


def emit_task(k: Kernel, task: Task) -> None:
    """Write the body of a task's kernel, which computes the range from %lo to %hi."""
    k.computed_here = set(task.nodes)
    EMIT[task.kind](k, task)


# --- map ----------------------------------------------------------------------------------------------------------


def emit_map(k: Kernel, task: Task) -> None:
    if not task.space:
        finish(k, task, ())
        return
    ranges = [shared(k, task, axis) for axis in range(len(task.space))]
    samples = len(task.space) == 2 and task.space[0] == BATCH
    by_sample = samples and k.module.samples_adjacent
    if any(n.shape != task.space for n in task.members):
        emit_rows(k, task, ranges, by_sample or (samples and _narrow(k, task)))
    elif task.axis == 0 and is_contiguous(k, task):
        f, (low, high), row = k.function, ranges[0], size(task.space[1:], k.module.batch)
        before = (At(0),) * (len(ranges) - 1)
        along(k, f.mul(low, row), f.mul(high, row), lambda at: finish(k, task, (*before, at)))
    elif not k.module.samples_adjacent and (axes := _transposed_axes(k, task)) is not None:
        emit_transposed(k, task, ranges, *axes)
    elif by_sample:

        def sample(at: At) -> None:
            with k.function.loop(*ranges[1]) as turn, scope(k):
                finish(k, task, (at, At(turn.index)))

        along(k, *ranges[0], sample)
    else:
        nest(k, ranges, lambda index: finish(k, task, index), wide=True)


def _narrow(k: Kernel, task: Task) -> bool:
    """Whether a row is shorter than a vector and there are enough rows: then each lane takes a row."""
    columns = task.space[-1]
    return isinstance(columns, int) and columns < LANES <= k.module.batch


def _transposed_axes(k: Kernel, task: Task) -> tuple[int, int] | None:
    """The axes along which a task stores and reads adjacent elements, if they are different ones.

    So it is with rows of samples that are stored feature by feature, and with weights that are packed.
    """
    if len(task.stores) != 1:
        return None
    (_, view), last = task.stores[0], len(task.space) - 1
    if view.shape[:1] == (BATCH,) and len(view.strides) == 2 and view.strides[0] == 1 < view.strides[1]:
        return 0, 1
    if [node.op.kind for node in task.members] != ["layout"] or view.strides[last] != 1:
        return None
    source = k.module.view(task.members[0].inputs[0])
    if source is None or 1 not in source.strides[:last]:
        return None
    read = source.strides.index(1)
    known = [extent for extent in (task.space[read], task.space[last]) if isinstance(extent, int)]
    return (last, read) if len(known) == 2 and min(known) >= LANES else None


def emit_transposed(k: Kernel, task: Task, ranges: list[tuple[Scalar, Scalar]], stored: int, read: int) -> None:
    """Read along one axis and store along another, in blocks of 16 by 16, of which the last ones overlap."""
    f = k.function
    ((node, view),) = task.stores
    element = ELEMENT[node.dtype]
    (top, bottom), (left, right) = ranges[stored], ranges[read]

    def each(low: Scalar, high: Scalar, body: Callable[[Scalar], None]) -> None:
        with f.loop(low, high, LANES) as loop, scope(k):
            body(f.minimum(loop.index, f.sub(high, LANES)))

    def at(outer: Index, i: At, j: At) -> Index:
        rest = iter(outer)
        return tuple(i if axis == stored else j if axis == read else next(rest) for axis in range(len(ranges)))

    def block(outer: Index, i: Scalar, j: Scalar) -> None:
        lines = [k.widen(k.value(node, at(outer, At(f.add(i, n)), At(j, 1))), element) for n in range(LANES)]
        for n, line in enumerate(transpose(f, lines, element)):
            k.store(view, at(outer, At(i, 1), At(f.add(j, n))), Value(line, True))

    def blocks(outer: Index) -> None:
        each(top, bottom, lambda i: each(left, right, lambda j: block(outer, i, j)))

    others = [range_ for axis, range_ in enumerate(ranges) if axis not in (stored, read)]
    less = f.minimum(f.sub(bottom, top), f.sub(right, left))
    with f.when(f.op(f"icmp sge i64 {less}, {LANES}")):
        nest(k, others, blocks, wide=False)
    with f.when(f.op(f"icmp slt i64 {less}, {LANES}")):
        nest(k, ranges, lambda index: finish(k, task, index), wide=False)


def emit_rows(k: Kernel, task: Task, ranges: list[tuple[Scalar, Scalar]], by_sample: bool) -> None:
    """Row by row, or 16 rows at a time, with the whole last axis in registers for reductions along it."""
    columns = task.space[-1]
    assert isinstance(columns, int)
    parts: list[tuple[At, str | None]] = [(At(c), None) for c in range(columns)] if by_sample else pieces(columns)

    def row(index: Index) -> None:
        for node in task.members:
            if node.shape != task.space:
                reduced = node.op.kind == "reduce"
                reduce = reduce_samples if by_sample else reduce_row
                value = reduce(k, node, index, columns) if reduced else k.value(node, index)
                k.remember(node, index, value)
            else:
                for at, mask in parts:
                    with masked(k, k.mask if by_sample else mask):
                        k.value(node, (*index, at))
        for node, view in task.stores:
            if node.shape != task.space:
                k.store(view, index, k.value(node, index))
            else:
                for at, mask in parts:
                    with masked(k, k.mask if by_sample else mask):
                        k.store(view, (*index, at), k.value(node, (*index, at)))

    # Gathers and scatters are masked in any case.
    spread = by_sample and k.module.has_masks and not k.module.samples_adjacent
    nest(k, ranges[:-1], row, wide=by_sample, once=spread)


# --- copies into a larger result ----------------------------------------------------------------------------------


def emit_scatter(k: Kernel, task: Task) -> None:
    """Zeros, then one row after another, so that rows with the same index are added in order."""
    if task.members:
        emit_row_update(k, task)
        return
    f, node = k.function, task.node
    rows, updates = node.inputs
    batch = node.attrs.get("batch", 0)
    view = task.stores[0][1]
    everywhere = _placed(k, task, node.shape, task.axis)
    zero = Value(literal(0, ELEMENT[node.dtype]), False)
    nest(k, everywhere, lambda index: k.store(view, index, zero), wide=True)

    def one(index: Index) -> None:
        place = k.as_position(k.value(rows, index), rows.dtype)
        inside = f.op(f"icmp ult i64 {place}, {k.extent(node.shape[batch])}")
        with f.when(inside), scope(k):

            def add(rest: Index) -> None:
                target = (*index[:batch], At(place), *rest)
                old, new = k.load(view, target), k.value(updates, (*index, *rest))
                wide = old.wide or new.wide
                element = ELEMENT[node.dtype]
                type_ = vector(element) if wide else element
                a, b = (k.widen(v, element) if wide else v.name for v in (old, new))
                k.store(
                    view, target, Value(f.op(f"{'fadd' if node.dtype in FLOATS else 'add'} {type_} {a}, {b}"), wide)
                )

            nest(k, everywhere[batch + 1 :], add, wide=True)

    whole = [(0, k.extent(d)) for d in rows.shape]
    nest(k, _placed(k, task, rows.shape) if task.axis == 0 else whole, one, wide=False)

    def copy(other: View, index: Index) -> None:
        k.store(other, index, k.load(view, index))

    for _, other in task.stores[1:]:
        nest(k, everywhere, partial(copy, other), wide=True)


def emit_place(k: Kernel, task: Task) -> None:
    """Copy the operands into their parts of the result; for pad, fill the rest first."""
    node, axis = task.node, task.axis
    for _, view in task.stores:
        if node.op.name == "pad":
            value = k.value(node.inputs[1], ())
            for added in _around(k, node.attrs["widths"], _placed(k, task, node.shape, axis)):
                nest(k, added, partial(k.store, view, value=value), wide=True)
            widths = node.attrs["widths"]
            offset = view.offset + sum(low * s for (low, _, _), s in zip(widths, view.strides, strict=True))
            strides = tuple((mid + 1) * s for (_, _, mid), s in zip(widths, view.strides, strict=True))
            parts = _parts(k, task, node.inputs[0], View(view.buffer, node.inputs[0].shape, strides, offset), axis)
        else:
            parts = _joined(k, task, node, view, axis)
        for ranges, together in _together(k, parts):
            _fill(k, ranges, together)


Ranges = Sequence[tuple[Scalar, Scalar]]
Part = tuple[Ranges, Node, View]  # the ranges of what is copied, and where to


def _together(k: Kernel, parts: Iterable[Part]) -> Iterator[tuple[Ranges, list[tuple[Node, View]]]]:
    """The parts that are copied in one loop: adjacent ones of the same ranges share the loads of what both read."""
    known: tuple[Ranges, set[Node]] = [], set()
    own: list[tuple[Node, View]] = []
    for ranges, operand, view in parts:
        data = data_sources(operand, lambda found: k.module.view(found) is not None)
        if own and (ranges != known[0] or (data != known[1] and data.isdisjoint(known[1]))):
            yield known[0], own
            own, known = [], ([], set())
        own.append((operand, view))
        known = ranges, known[1] | data
    if own:
        yield known[0], own


def _joined(k: Kernel, task: Task, node: Node, view: View, own: int) -> Iterator[Part]:
    """The operands of a concatenation and their parts of the result. The axis ``own`` is divided."""
    axis, start = node.attrs["axis"], 0
    for operand in node.inputs:
        part = View(view.buffer, operand.shape, view.strides, view.offset + start * view.strides[axis])
        yield from _parts(k, task, operand, part, own)
        start += operand.shape[axis]


def _split(view: View, source: Shape, groups: list[list[int]]) -> View:
    """A view with joined extents, as a view with separate extents: those of ``groups``."""
    strides = [
        stride * prod(source[i] for i in own[at + 1 :])  # joined extents are known
        for stride, own in zip(view.strides, groups, strict=True)
        for at in range(len(own))
    ]
    return View(view.buffer, source, tuple(strides), view.offset)


def _placed(k: Kernel, task: Task, shape: Shape, own: int = 0) -> list[tuple[Scalar, Scalar]]:
    """The ranges of all axes, of which threads divide one."""
    ranges: list[tuple[Scalar, Scalar]] = [(0, k.extent(extent)) for extent in shape]
    if task.division in ("rows", "split"):
        ranges[own] = "%lo", "%hi"
    return ranges


def _around(
    k: Kernel, widths: Sequence[tuple[int, int, int]], ranges: list[tuple[Scalar, Scalar]]
) -> Iterator[list[tuple[Scalar, Scalar]]]:
    """The ranges of what a padding adds: all of the result where it is also between the operand's elements."""
    if any(between for _, _, between in widths):
        yield ranges
        return
    f, inner = k.function, list(ranges)
    for axis, (low, high, _) in enumerate(widths):
        start, end = inner[axis]
        first, last = f.add(start, low) if low else start, f.sub(end, high) if high else end
        if low > 0:
            yield [*inner[:axis], (start, first), *inner[axis + 1 :]]
        if high > 0:
            yield [*inner[:axis], (last, end), *inner[axis + 1 :]]
        inner[axis] = first, last


def _parts(k: Kernel, task: Task, operand: Node, view: View, own: int) -> Iterator[Part]:
    """An operand and its part of memory; if it is itself a concatenation, its parts."""
    source = concatenation_in(operand)
    if source is not None and k.module.view(source) is None:
        groups = joined(operand.shape, source.shape)
        assert groups is not None
        yield from _joined(k, task, source, _split(view, source.shape, groups), groups[own][0])
    else:
        yield _placed(k, task, operand.shape, own), operand, view


def _fill(k: Kernel, ranges: Ranges, parts: Sequence[tuple[Node, View]]) -> None:
    """Copy operands of one shape into their parts of memory."""

    def copy(index: Index) -> None:
        for operand, view in parts:
            k.store(view, index, k.value(operand, index))

    nest(k, ranges, copy, wide=True)


def emit_copy(k: Kernel, task: Task) -> None:
    assert task.copy is not None
    source, target = task.copy
    if not task.space:
        k.store(target, (), k.load(source, ()))
        return
    ranges = [shared(k, task, axis) for axis in range(len(task.space))]
    nest(k, ranges, lambda index: k.store(target, index, k.load(source, index)), wide=True)


EMIT: dict[str, Callable[[Kernel, Task], None]] = {
    "map": emit_map,
    "reduce": emit_reduce,
    "partial": emit_reduce,
    "scatter": emit_scatter,
    "place": emit_place,
    "copy": emit_copy,
    "fault": emit_fault,
}
