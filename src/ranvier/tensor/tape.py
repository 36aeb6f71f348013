"""The tape: where calls are recorded, and how what is pending runs as one program."""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterable, Sequence
from typing import Any, cast

import numpy as np

from ranvier.graph.node import topological
from ranvier.tensor.executor import overwritten_operands, prepare
from ranvier.tensor.segment import TapeSegment, TapeTensor, local, merge
from ranvier.tensor.trace import StepTrace, TraceNode, fresh_inputs, programs, state

# Applications of a function to its own scalar result, without gradients, before it is computed: ``total += loss`` of a
# loop is thus the same short program again and again.
MAX_REPEATS = 3
MAX_LEAVES = 1_000  # of one segment: bounds the operands that unread results keep alive


class _Shared:
    """What this process shares memory for."""

    has_leaf_views = False  # there have been views with gradients of their own: what programs write goes to their roots


shared = _Shared()


# --- eager evaluation ---------------------------------------------------------------------------------------------


def ready_arrays(tensors: Iterable[TapeTensor]) -> list[Any] | None:
    """The arrays of the tensors. None where one is pending or a gradient reaches it, and while a model is traced."""
    if state.tracing:
        return None
    arrays = []
    for tensor in tensors:
        source = tensor
        if tensor.base is not None:
            tensor.base.sync(tensor)
            source = tensor if tensor.base.owner is None else tensor.base.owner
        if source._value is None or source.segment is not None:
            return None
        if tensor._requires_grad and not tensor.history_ended:
            return None
        arrays.append(source._value)
    return arrays


def evaluate_eagerly(node: TraceNode, tensors: Sequence[TapeTensor], segment: TapeSegment) -> Any:
    """The array of a call on ready tensors; None where they are not ready.

    Labels and indices derived from a loader's are thus known, and can be checked, where they are used, and the sum of
    the losses of many steps is a number, not a program. The primitives' definitions compute them, so the bits are those
    of a program.
    """
    arrays = ready_arrays(tensors)
    if arrays is None:
        return None
    known = programs.get(node)
    if known is None:
        inputs = fresh_inputs(node.inputs)
        result = node.function.body(*inputs, **dict(node.options))  # type: ignore[union-attr]  # a call's
        order = topological((*inputs, result))  # the inputs first
        index = {n: i for i, n in enumerate(order)}
        steps = [(n.op.value, [index[i] for i in n.inputs], n.attrs) for n in order[len(inputs) :]]
        known = programs[node] = steps, index[result]
    steps, last = known
    with np.errstate(all="ignore"):
        for value, operands, attrs in steps:
            arrays.append(value([arrays[i] for i in operands], attrs, {}))
    _clear_if_unused(segment)
    return np.array(arrays[last], order="C")


def _clear_if_unused(segment: TapeSegment) -> None:
    """Let go of the leaves of a segment from which nothing is pending."""
    if not (segment.live or segment.assigns or segment.placeholders):
        for known in (segment.leaves, segment.leaf_nodes, segment.versions, segment.ordinals):
            known.clear()
        segment.changed.clear()
        segment.overwritten.clear()


def release(tensor: TapeTensor, value: Any) -> None:
    """Give a pending tensor its value, which was computed elsewhere."""
    segment = tensor.segment
    tensor._value, tensor.trace_node, tensor.segment = value, None, None
    if segment is not None:
        segment.live = [reference for reference in segment.live if reference() is not tensor]
        _clear_if_unused(segment)


# --- recording ----------------------------------------------------------------------------------------------------


def segment_of(tensors: Iterable[TapeTensor]) -> TapeSegment:
    """The segment that records a call on these tensors: that of pending operands, merged; else the current one.

    Operands then are trace nodes of this segment or leaves. So assignments to a leaf that requires a gradient are made
    first, because the gradient is taken at the new value. A result whose operands have been overwritten becomes a leaf.
    """
    chosen: TapeSegment | None = None
    for tensor in tensors:
        if tensor.base is not None:
            tensor.base.sync(tensor)
        segment = tensor.segment
        if segment is not None and (tensor.trace_node is None or tensor._value is not None):
            segment = _synchronized(tensor, segment)
        if segment is not None and segment is not chosen:
            if chosen is None:
                chosen = segment
            else:
                merge(chosen, segment)
    if chosen is None:
        chosen = local.segment
        if chosen is None or chosen.flushed or len(chosen.leaves) > MAX_LEAVES:
            chosen = local.segment = TapeSegment()
    return chosen


def _synchronized(tensor: TapeTensor, segment: TapeSegment) -> TapeSegment | None:
    """The segment of an operand, after the assignment to it, or the end of its history, has been handled."""
    if tensor.trace_node is None:
        if tensor._requires_grad and state.grad_enabled:
            if segment.traced:
                segment.redefine(tensor)
            else:
                flush(segment)
    elif tensor._value is not None and segment.is_stale(tensor.trace_node):
        tensor.history_ended = tensor._requires_grad and (tensor.trace_node.function or True)
        tensor.trace_node = tensor.segment = None
    return tensor.segment


# --- execution ----------------------------------------------------------------------------------------------------


def _live_and_pending(segment: TapeSegment) -> tuple[list[TapeTensor], list[TapeTensor]]:
    """The living tensors of a segment, and those of them that wait to be computed: not results of placeholders."""
    living = [t for reference in segment.live if (t := reference()) is not None and t.segment is segment]
    pending = [t for t in living if t._value is None]
    if segment.placeholders:
        pending = [t for t in pending if segment.placeholders.isdisjoint(_node(t).leaves)]
    if segment.failed:
        pending = [t for t in pending if t.trace_node not in segment.failed]
    return living, pending


def _node(pending: TapeTensor) -> TraceNode:
    return cast("TraceNode", pending.trace_node)


def _nodes(pending: Sequence[TapeTensor]) -> tuple[TraceNode, ...]:
    return tuple([t.trace_node for t in pending])  # type: ignore[misc]  # `cast` costs time here


def _ordinals_in_use(segment: TapeSegment) -> set[int]:
    """The ordinals of the leaves that a segment has yet to read or to write."""
    nodes = (*_nodes(_live_and_pending(segment)[1]), *segment.assigns.values())
    return set(segment.assigns).union(*(node.leaves for node in nodes))


def _other_reader(segment: TapeSegment) -> TapeSegment | None:
    """Another segment of this thread that has yet to read what this one is about to overwrite."""
    overwritten = [segment.leaves[o] for o in segment.assigns]
    for other in list(local.segments):
        if other is segment or (other.placeholders and other.assigns):  # a traced model writes nothing
            continue
        in_use = _ordinals_in_use(other)
        for leaf in overwritten if in_use else ():
            ordinal = other.ordinals.get(id(leaf), -1)
            if ordinal in in_use and other.leaves[ordinal] is leaf and other.versions[ordinal] == leaf.version:
                return other
    return None


def _run_bisected(segment: TapeSegment, pending: list[TapeTensor]) -> None:
    """Compute all results that can be computed where some cannot. Errors of the others are kept for their readers."""
    try:
        prepare(segment.leaves, segment.versions, _nodes(pending), {}).run(pending)
    except Exception as error:  # noqa: BLE001  # of any kind
        if len(pending) == 1:
            segment.failed[_node(pending[0])] = error
            return
        middle = len(pending) // 2
        _run_bisected(segment, pending[:middle])
        _run_bisected(segment, pending[middle:])


def _compute_constants(segment: TapeSegment) -> None:
    """Compute what is pending in a trace and depends on no data, and in a step neither on state nor on random numbers.

    The other results have a value in each step alone.
    """
    pending, trace = _live_and_pending(segment)[1], state.tracing
    if isinstance(trace, StepTrace):
        drawn = {id(stream) for _, stream in trace.draws}
        varying = {
            o for o, leaf in enumerate(segment.leaves) if not leaf.is_constant or id(leaf) in drawn
        }.union(segment.assigns)  # fmt: skip
        pending = [t for t in pending if varying.isdisjoint(_node(t).leaves)]
    if pending:
        _run_bisected(segment, pending)


def _run_assigns(segment: TapeSegment) -> dict[int, TapeTensor]:
    """Make the assignments of a segment without results; returns what `_preserve_targets` does.

    Where that fails they are dropped.
    """
    replaced: dict[int, TapeTensor] = {}
    try:
        execution = prepare(segment.leaves, segment.versions, (), segment.assigns)
        replaced = _preserve_targets(segment)
        execution.run([])
    except Exception:
        _restore_targets(segment, replaced)
        for o in segment.assigns:
            segment.leaves[o].segment = None
        segment.assigns = {}
        raise
    return replaced


def _preserve_targets(segment: TapeSegment) -> dict[int, TapeTensor]:
    """`preserve_operands` for the targets of a segment's assignments; returns, by ordinal, those that were replaced by
    a copy as a leaf of this segment.
    """
    targets = {o: segment.leaves[o] for o in segment.assigns}
    preserve_operands(targets.values())
    return {o: leaf for o, leaf in targets.items() if segment.leaves[o] is not leaf}


def _restore_targets(segment: TapeSegment, replaced: dict[int, TapeTensor]) -> None:
    """Put targets that `_preserve_targets` replaced back in their places: nothing was written to them."""
    for o, leaf in replaced.items():
        replace_leaf(segment.leaves[o], leaf)


def flush(segment: TapeSegment) -> None:
    """Run what is pending in a segment as one program. Every live tensor of it then holds its value.

    Other segments that read what this one overwrites are flushed first. A result that cannot be computed gets no value,
    and its error goes to ``failed``. Assignments that cannot be made are dropped, and the error is raised. Of a segment
    that records a trace, only constants are computed.
    """
    if segment.traced:
        _compute_constants(segment)
        return
    if segment.assigns and len(local.segments) > 1:
        while (other := _other_reader(segment)) is not None:
            if other.assigns:  # each may read what the other writes: one program reads all before it writes
                merge(segment, other)
            else:
                flush(other)
    living, pending = _live_and_pending(segment)
    if not pending and not segment.assigns:
        return
    replaced: dict[int, TapeTensor] = {}
    computed = False
    try:
        execution = prepare(segment.leaves, segment.versions, _nodes(pending), segment.assigns)
        preserves = execution.program.preserves
        if segment.assigns and (preserves or len(living) > len(pending) or len(local.segments) > 1):
            replaced = _preserve_targets(segment)
        execution.run(pending)
        computed = True
    except Exception:  # noqa: BLE001  # raised again below, or where the result is read
        _restore_targets(segment, replaced)
    if not computed:  # compute everything else that is pending
        if pending:
            _run_bisected(segment, pending)
        replaced = _run_assigns(segment) if segment.assigns else {}
    _end_flush(segment, living, replaced)


def _end_flush(segment: TapeSegment, living: Sequence[TapeTensor], replaced: dict[int, TapeTensor]) -> None:
    """Count the writes, and end the history of results that need none or whose operands have been overwritten."""
    leaves, versions = segment.leaves, segment.versions
    written = segment.assigns.keys() - replaced.keys() if replaced else segment.assigns.keys()
    for o in written:
        leaf = leaves[o]
        leaf.version = versions[o] = leaf.version + 1
        leaf.segment = None
    for leaf in replaced.values():
        leaf.version += 1
        leaf.segment = None
    segment.flushed = True
    keep = []
    for tensor in living:
        node = tensor.trace_node
        if node is None:
            continue
        if tensor._value is not None and (not node.requires_grad or not node.leaves.isdisjoint(written)):
            tensor.history_ended = node.requires_grad and (node.function or True)
            tensor.trace_node = tensor.segment = None
        else:
            keep.append(weakref.ref(tensor))
    segment.live = keep
    segment.assigns = {}
    if shared.has_leaf_views:
        for leaf in [leaves[o] for o in written]:
            if leaf.base is not None:
                leaf.base.written_whole(leaf)


# --- writes to arrays ---------------------------------------------------------------------------------------------


def preserve_operands(tensors: Collection[TapeTensor]) -> None:
    """Before tensors are overwritten, give copies of them to results whose gradients may still read them.

    Where a weight is among the tensors, as in an optimizer's step, those results' history ends and nothing is copied.
    """
    for segment in list(local.segments):
        if segment.live:
            overwritten = {o for t in tensors if (o := segment.ordinals.get(id(t), -1)) >= 0}
            nodes = (t.trace_node for t in _live_and_pending(segment)[0])
            for o in overwritten_operands(segment.leaves, nodes, overwritten):
                if segment.versions[o] == segment.leaves[o].version:
                    replace_leaf(segment.leaves[o], segment.leaves[o].copy_leaf())


def is_leaf(tensor: TapeTensor) -> bool:
    """Whether a segment of this thread reads the tensor."""
    key = id(tensor)
    return any([key in segment.ordinals for segment in local.segments])  # noqa: C419 - faster than a generator


def is_owned(tensor: TapeTensor) -> bool:
    """Whether a tensor is one of the model that is traced, and was there before."""
    return local.segment is not None and id(tensor) in local.segment.owned


def replace_leaf(tensor: TapeTensor, other: TapeTensor) -> None:
    """Put ``other``, of the same value and version, in the place of ``tensor`` in this thread's segments."""
    for segment in list(local.segments):
        ordinal = segment.ordinals.get(id(tensor))
        if ordinal is not None and segment.leaves[ordinal] is tensor:
            segment.leaves[ordinal] = other
            segment.ordinals[id(other)] = segment.ordinals.pop(id(tensor))


def flush_readers(tensor: TapeTensor) -> None:
    """Flush this thread's segments that have yet to read a tensor. Call it before you write to the tensor's array."""
    if (owner := tensor.owner) is not None:
        tensor = owner
    for segment in list(local.segments):
        ordinal = segment.ordinals.get(id(tensor))
        if (
            ordinal is not None
            and segment.leaves[ordinal] is tensor
            and segment.versions[ordinal] == tensor.version
            and ordinal in _ordinals_in_use(segment)
        ):
            flush(segment)
