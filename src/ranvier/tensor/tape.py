"""The tape: what waits to be computed and assigned, and how it is run as one program.

Operands that hold values are leaves, numbered in the order in which a `Segment` of the tape first meets them; what is
computed from them are entries over these numbers (`tensor/trace.py`).
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier.graph.graph import input_node
from ranvier.graph.node import topological
from ranvier.tensor.executor import operands, prepared
from ranvier.tensor.layout import is_transposed
from ranvier.tensor.trace import DATA, Entry, intern, leaf_entry, programs, state

if TYPE_CHECKING:
    from ranvier.tensor.tensor import Tensor


LEAVES = 1_000  # of one segment: calls whose results nobody reads must not keep their operands for ever


class Segment:
    """A stretch of the tape: its leaves, the tensors waiting for a value, the assignments waiting to be made.

    A tensor whose assignment waits has no entry but this segment as its own, so that whoever reads it comes here.
    """

    __slots__ = (
        "__weakref__",
        "assigns",
        "entries",
        "failed",
        "flushed",
        "leaves",
        "live",
        "ordinals",
        "placeholders",
        "versions",
    )

    def __init__(self) -> None:
        self.leaves: list[Tensor] = []  # the tensors (or placeholders) of each leaf, by ordinal
        self.entries: list[Entry] = []
        self.versions: list[int] = []  # what each leaf's version was when it was first read here
        self.ordinals: dict[int, int] = {}
        self.placeholders: set[int] = set()
        self.live: list[weakref.ref[Tensor]] = []
        self.assigns: dict[int, Entry] = {}
        self.failed: dict[Entry, Exception] = {}  # what cannot be computed, and why: told to who reads it
        self.flushed = False
        state.segments.add(self)

    def leaf(self, tensor: Tensor) -> Entry:
        """The entry of a tensor that holds a value; of what was assigned to it, if something was. What another tensor
        owns is read as that one's: whoever writes there has to know.
        """
        ordinal = self.ordinals.get(id(tensor))
        if ordinal is not None and self.versions[ordinal] == tensor.version:
            if self.assigns and (assigned := self.assigns.get(ordinal)) is not None:
                return assigned
            entry = self.entries[ordinal]
            if entry.requires_grad is tensor._requires_grad:
                return entry
        if tensor.base is not None and (owner := tensor.owner) is not None:  # the property last: it is slow
            return self._data(owner)
        self.ordinals[id(tensor)] = len(self.leaves)
        return self.add(tensor, tensor.version)

    def _data(self, owner: Tensor) -> Entry:
        """What a tensor holds, as a constant."""
        waits = owner.entry is None or owner._value is None  # for a value, to be computed or to be assigned
        if waits and owner.segment is not None and owner.segment is not self:
            merge(self, owner.segment)
        entry = owner.entry if owner.entry is not None and waits else self.leaf(owner)
        return intern(DATA, (entry,), (), False)[0]

    def add(self, tensor: Tensor, version: int) -> Entry:
        ordinal, value = len(self.leaves), tensor._value
        entry = leaf_entry(ordinal, tensor.spec, tensor._requires_grad, is_transposed(value))
        self.leaves.append(tensor)
        self.entries.append(entry)
        self.versions.append(version)
        if value is None:
            self.placeholders.add(ordinal)
        return entry

    def is_stale(self, entry: Entry) -> bool:
        """Whether a leaf of the entry was overwritten since it was read."""
        return any(self.leaves[o].version != self.versions[o] for o in entry.leaves)

    def assign(self, tensor: Tensor, entry: Entry) -> None:
        """From here on ``tensor`` reads as ``entry``; its array is written at the next flush."""
        self.leaf(tensor)
        self.assigns[self.ordinals[id(tensor)]] = entry
        tensor.segment = self


def merge(target: Segment, other: Segment) -> None:
    """Move everything of ``other`` into ``target``: its leaves get new ordinals, its entries are interned anew."""
    mapping = {}
    for ordinal, leaf in enumerate(other.leaves):
        mapping[ordinal] = len(target.leaves)
        if other.versions[ordinal] == leaf.version:
            target.leaf(leaf)
            mapping[ordinal] = target.ordinals[id(leaf)]
        else:  # overwritten since: kept apart, so that what was computed from it is refused
            target.add(leaf, other.versions[ordinal])
    done: dict[Entry, Entry] = {}

    def move(root: Entry) -> Entry:
        stack = [root]
        while stack:
            entry = stack[-1]
            missing = [c for c in entry.children if c not in done]
            if missing:
                stack.extend(missing)
                continue
            stack.pop()
            if entry.function is None:
                done[entry] = target.entries[mapping[entry.options[0][1]]]
            else:
                options = entry.options[:-1]
                moved = intern(
                    entry.function, tuple(done[c] for c in entry.children), options, entry.options[-1][1]
                )
                done[entry] = moved[max(entry.pick, 0)]
        return done[root]

    for reference in other.live:
        tensor = reference()
        if tensor is not None and tensor.segment is other and tensor.entry is not None:
            tensor.entry, tensor.segment = move(tensor.entry), target
            target.live.append(reference)
    for ordinal, entry in other.assigns.items():
        target.assigns[mapping[ordinal]] = move(entry)
        other.leaves[ordinal].segment = target
    for entry, error in other.failed.items():
        target.failed[move(entry)] = error
    other.assigns, other.live, other.failed, other.flushed = {}, [], {}, True


def at_hand(tensors: Iterable[Tensor]) -> list[Any] | None:
    """The arrays of tensors that wait for nothing and ask for no gradient; None where one does, or under a trace."""
    if state.tracing:
        return None
    arrays = []
    for tensor in tensors:
        if tensor.base is not None and (owner := tensor.owner) is not None:
            if owner.segment is not None:
                return None
        elif tensor._value is None or tensor.segment is not None or tensor._requires_grad:
            return None
        arrays.append(tensor._value)
    return arrays


def at_once(entry: Entry, tensors: Sequence[Tensor], segment: Segment) -> Any:
    """The array of whole numbers that an entry is of numbers at hand: by its definition, so that the bits are the same.

    So labels and indices made of a loader's are known where they are used, and can be checked. None where the operands
    are not at hand.
    """
    arrays = at_hand(tensors)
    if arrays is None:
        return None
    known = programs.get(entry)
    if known is None:
        nodes = [input_node(f"x{i}", c.type.shape, c.type.dtype) for i, c in enumerate(entry.children)]
        result = entry.function.body(*nodes, **dict(entry.options[:-1]))  # type: ignore[union-attr]  # a call's
        order = topological((*nodes, result))  # the operands first
        at = {node: place for place, node in enumerate(order)}
        steps = [(n.op.value, [at[i] for i in n.inputs], n.attrs) for n in order[len(nodes) :]]
        known = programs[entry] = steps, at[result]
    steps, place = known
    with np.errstate(all="ignore"):
        for value, operands, attrs in steps:
            arrays.append(value([arrays[i] for i in operands], attrs, {}))
    if not (segment.live or segment.assigns or segment.placeholders):  # nothing but this was recorded here
        for known in (segment.leaves, segment.entries, segment.versions, segment.ordinals):
            known.clear()
    return np.array(arrays[place], order="C")


def segment_of(tensors: Iterable[Tensor]) -> Segment:
    """Where a call on these tensors is recorded: with pending operands, else in the open segment, else a new one.

    What stands for an operand there is its `Entry`, or else a leaf: so assignments to a leaf that asks for a gradient
    are made first, for the gradient is by the new value; and results whose operands have been overwritten since become
    leaves, as their history has ended.
    """
    chosen: Segment | None = None
    for tensor in tensors:
        segment = tensor.segment
        if segment is not None and (tensor.entry is None or tensor._value is not None):
            segment = _ready(tensor, segment)
        if segment is not None and segment is not chosen:
            if chosen is None:
                chosen = segment
            else:
                merge(chosen, segment)
    if chosen is None:
        chosen = state.segment
        if chosen is None or chosen.flushed or len(chosen.leaves) > LEAVES:
            chosen = state.segment = Segment()
    return chosen


def _ready(tensor: Tensor, segment: Segment) -> Segment | None:
    """The segment of an operand, after what has to be done first."""
    if tensor.entry is None:
        if tensor._requires_grad and state.grad_enabled:
            flush(segment)
    elif tensor._value is not None and segment.is_stale(tensor.entry):
        tensor.released, tensor.entry, tensor.segment = tensor._requires_grad, None, None
    return tensor.segment


def _waiting(segment: Segment) -> tuple[list[Tensor], list[Tensor]]:
    """The living tensors of a segment; and of these, those to be computed, which what is traced is not."""
    living = [t for reference in segment.live if (t := reference()) is not None and t.segment is segment]
    pending = [t for t in living if t._value is None]
    if segment.placeholders:
        pending = [t for t in pending if segment.placeholders.isdisjoint(t.entry.leaves)]  # type: ignore[union-attr]  # what is pending has one
    if segment.failed:
        pending = [t for t in pending if t.entry not in segment.failed]
    return living, pending


def _read(segment: Segment) -> set[int]:
    """The ordinals of the leaves that a segment still waits to read, or to write."""
    waiting = [*(t.entry for t in _waiting(segment)[1]), *segment.assigns.values()]
    return set(segment.assigns).union(*(entry.leaves for entry in waiting))  # type: ignore[union-attr]  # it has one


def _reader(segment: Segment) -> Segment | None:
    """Another segment of this thread that still waits to read what this one is about to overwrite."""
    overwritten = [segment.leaves[o] for o in segment.assigns]
    for other in list(state.segments):
        if other is segment or (other.placeholders and other.assigns):  # what is traced writes nothing
            continue
        read = _read(other)
        for leaf in overwritten if read else ():
            ordinal = other.ordinals.get(id(leaf), -1)
            if ordinal in read and other.leaves[ordinal] is leaf and other.versions[ordinal] == leaf.version:
                return other
    return None


def _in_parts(segment: Segment, pending: list[Tensor]) -> None:
    """Compute what can be where the whole cannot, half by half; of what is left note why, for who reads it."""
    try:
        ready = prepared(segment, pending, {})
    except Exception as error:  # noqa: BLE001  # whatever it is
        if len(pending) == 1:
            segment.failed[pending[0].entry] = error  # type: ignore[index]  # pending: it has one
            return
        middle = len(pending) // 2
        _in_parts(segment, pending[:middle])
        _in_parts(segment, pending[middle:])
    else:
        ready.run(pending)


def _assigned_alone(segment: Segment) -> dict[int, Tensor]:
    """Make the assignments of a segment whose results are computed; returns what `_handed` does.

    Where that fails they are dropped.
    """
    try:
        ready = prepared(segment, [], segment.assigns)
    except Exception:
        for o in segment.assigns:
            segment.leaves[o].segment = None
        segment.assigns = {}
        raise
    handed = _handed(segment)
    ready.run([])
    return handed


def _handed(segment: Segment) -> dict[int, Tensor]:
    """Let others keep what a segment is about to overwrite; the tensors in whose place a copy is the leaf by now."""
    before = {o: segment.leaves[o] for o in segment.assigns}
    keep_operands(before.values())
    return {o: leaf for o, leaf in before.items() if segment.leaves[o] is not leaf}


def flush(segment: Segment) -> None:
    """Run what is pending in a segment, as one program; every live tensor of it then holds its value.

    What waits elsewhere to read what this one overwrites is computed before. What cannot be computed is left without a
    value, and its error is `failed`'s; assignments that cannot be made are dropped, which raises the error.
    """
    if segment.assigns and len(state.segments) > 1:
        while (other := _reader(segment)) is not None:
            if (
                other.assigns
            ):  # perhaps to what is read here: as one program, which reads all before it writes
                merge(segment, other)
            else:
                flush(other)
    living, pending = _waiting(segment)
    if not pending and not segment.assigns:
        return
    handed: dict[int, Tensor] = {}
    try:
        ready = prepared(segment, pending, segment.assigns)
    except Exception:  # noqa: BLE001  # one thing that cannot be computed spoils no other that waits with it
        if pending:
            _in_parts(segment, pending)
        if segment.assigns:
            handed = _assigned_alone(segment)
    else:
        if segment.assigns and (ready.kept or len(living) > len(pending) or len(state.segments) > 1):
            handed = _handed(segment)
        ready.run(pending)
    leaves, versions = segment.leaves, segment.versions
    written = segment.assigns.keys() - handed.keys() if handed else segment.assigns.keys()
    for o in written:
        leaf = leaves[o]
        leaf.version = versions[o] = leaf.version + 1
        leaf.segment = None
    for leaf in handed.values():
        leaf.version += 1
        leaf.segment = None
    segment.flushed = True
    keep = []
    for tensor in living:  # history ends where an operand was overwritten, and where none can be asked for
        entry = tensor.entry
        if entry is None:
            continue
        if tensor._value is not None and (not entry.requires_grad or not entry.leaves.isdisjoint(written)):
            tensor.released = entry.requires_grad
            tensor.entry = tensor.segment = None
        else:
            keep.append(weakref.ref(tensor))
    segment.live = keep
    segment.assigns = {}


def keep_operands(tensors: Collection[Tensor]) -> None:
    """Before tensors are overwritten, let results whose gradient may still be asked for keep a copy of what they read.

    Where a weight is among it, as with a step, their history ends: nothing is kept for them.
    """
    for segment in list(state.segments):
        if segment.live:
            met = {o for t in tensors if (o := segment.ordinals.get(id(t), -1)) >= 0}
            for o in operands(segment, (t.entry for t in _waiting(segment)[0]), met):
                if segment.versions[o] == segment.leaves[o].version:
                    hand_over(segment.leaves[o], segment.leaves[o].copied())


def hand_over(tensor: Tensor, other: Tensor) -> None:
    """Let ``other``, of the same value and version, be the leaf in what this thread has recorded on ``tensor``."""
    for segment in list(state.segments):
        ordinal = segment.ordinals.get(id(tensor))
        if ordinal is not None and segment.leaves[ordinal] is tensor:
            segment.leaves[ordinal] = other
            segment.ordinals[id(other)] = segment.ordinals.pop(id(tensor))


def settle(tensor: Tensor) -> None:
    """Compute everything of this thread that still waits to read a tensor, before its array is written from outside."""
    if (owner := tensor.owner) is not None:
        tensor = owner
    for segment in list(state.segments):
        ordinal = segment.ordinals.get(id(tensor))
        if (
            ordinal is not None
            and segment.leaves[ordinal] is tensor
            and segment.versions[ordinal] == tensor.version
            and ordinal in _read(segment)
        ):
            flush(segment)
