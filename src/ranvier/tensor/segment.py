"""Segments of the tape: leaves, pending results and assignments that one program computes.

Operands that hold values are leaves. A `TapeSegment` numbers them in the order in which it first reads them. Results
are trace nodes over these ordinals (`trace.py`).
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from typing import Any, Protocol

from ranvier.tensor.layout import storage_of
from ranvier.tensor.trace import DATA, Leaf, TraceNode, caches, intern, interned_over, leaf_node, state


class TapeTensor(Leaf, Protocol):
    """What the tape needs of a tensor."""

    segment: TapeSegment | None  # where it is pending, or waits to be assigned to

    base: Any  # None, or what it shares its memory with: see `views`

    @property
    def owner(self) -> TapeTensor | None: ...  # the tensor whose array it shares

    @property
    def is_constant(self) -> bool: ...  # see `Tensor.is_constant`

    def copy_leaf(self) -> TapeTensor: ...


class _Living:
    """Segments, as long as they live. It is looked through at every write: a `WeakSet` takes five times as long."""

    def __init__(self) -> None:
        self.references: set[weakref.ref[TapeSegment]] = set()

    def add(self, segment: TapeSegment) -> None:
        self.references.add(weakref.ref(segment, self.references.discard))

    def discard(self, segment: TapeSegment) -> None:
        self.references.discard(weakref.ref(segment))

    def __len__(self) -> int:
        return len(self.references)

    def __iter__(self) -> Iterator[TapeSegment]:
        return iter([s for reference in tuple(self.references) if (s := reference()) is not None])


class _Local(threading.local):
    def __init__(self) -> None:
        self.segment: TapeSegment | None = None  # where calls on leaves are recorded
        self.segments = _Living()  # all of this thread


local = _Local()


class TapeSegment:
    """A part of the tape: its leaves, the tensors pending in it, and the assignments that wait for `flush`.

    A tensor whose assignment waits has this segment as its own but no trace node: whoever reads it flushes the segment.
    """

    __slots__ = (
        "__weakref__",
        "assigns",
        "changed",
        "definitions",
        "failed",
        "flushed",
        "leaf_nodes",
        "leaves",
        "live",
        "ordinals",
        "overwritten",
        "owned",
        "placeholders",
        "traced",
        "versions",
    )

    def __init__(self) -> None:
        self.leaves: list[TapeTensor] = []  # by ordinal
        self.leaf_nodes: list[TraceNode] = []  # by ordinal
        self.versions: list[int] = []  # by ordinal, when the leaf was first read here
        self.ordinals: dict[int, int] = {}  # by the tensor's id
        # Ordinals of leaves without a value, while a model is traced; those of a loop's body are negative.
        self.placeholders: set[int] = set()
        self.live: list[weakref.ref[TapeTensor]] = []  # the results
        self.assigns: dict[int, TraceNode] = {}  # by ordinal, the value that is assigned
        # By their nodes, the tensors that were overwritten through `.data`: see `autograd`.
        self.changed: dict[TraceNode, TapeTensor] = {}
        # By their nodes, values that were overwritten otherwise, and what had been recorded before: see `saved`.
        self.overwritten: dict[TraceNode, tuple[TraceNode, ...]] = {}
        self.failed: dict[TraceNode, Exception] = {}  # raised when the result is read
        self.flushed = False
        self.traced = False  # it records a model or a step that is traced, and is never run
        self.owned: frozenset[int] = frozenset()  # in a trace, the tensors of the model by id, but for those made in it
        self.definitions: dict[int, TraceNode] = {}  # in a trace, the values of leaves that `redefine` made
        local.segments.add(self)

    def node_of(self, tensor: TapeTensor) -> TraceNode:
        """The trace node that stands for a tensor here."""
        return tensor.trace_node if tensor.trace_node is not None else self.leaf_node(tensor)

    def leaf_node(self, tensor: TapeTensor) -> TraceNode:
        """The node of a leaf, or of the value that waits to be assigned to it.

        A tensor that shares another's array is read as that tensor's data, so that writes to either are seen by both.
        """
        if tensor.base is not None and (snapshot := tensor.base.snapshot) is not None:
            return self.leaf_node(snapshot)
        ordinal = self.ordinals.get(id(tensor))
        if ordinal is not None and self.versions[ordinal] == tensor.version:
            if self.assigns and (assigned := self.assigns.get(ordinal)) is not None:
                return assigned
            node = self.leaf_nodes[ordinal]
            if node.requires_grad is tensor._requires_grad:
                return node
        if tensor.base is not None and (owner := tensor.owner) is not None:  # the property is slow: test it last
            return self._data_node(owner)
        self.ordinals[id(tensor)] = len(self.leaves)
        return self.add_leaf(tensor, tensor.version)

    def _data_node(self, owner: TapeTensor) -> TraceNode:
        """The value of a tensor as a constant."""
        is_pending = owner.trace_node is None or owner._value is None  # or waits to be assigned to
        if is_pending and owner.segment is not None and owner.segment is not self:
            merge(self, owner.segment)
        node = owner.trace_node if is_pending and owner.trace_node is not None else self.leaf_node(owner)
        return intern(DATA, (node,), (), False)[0]

    def add_leaf(self, tensor: TapeTensor, version: int) -> TraceNode:
        """Give the tensor the next ordinal. It remembers its node: in each step of a loop its ordinal is the same."""
        ordinal, value = len(self.leaves), tensor._value
        key = ordinal, tensor._requires_grad, state.dtype, caches.generation
        known = tensor.as_leaf
        if known is not None and known[0] is value and known[1] == key:
            node: TraceNode = known[2]
        else:
            transposed = value is not None and storage_of(tensor) is not value
            node = leaf_node(ordinal, tensor.spec, tensor._requires_grad, transposed)
            tensor.as_leaf = value, key, node
        self.leaves.append(tensor)
        self.leaf_nodes.append(node)
        self.versions.append(version)
        if value is None:
            self.placeholders.add(ordinal)
        return node

    def is_stale(self, node: TraceNode) -> bool:
        """Whether a leaf of the node has been overwritten since it was read."""
        return any(self.leaves[o].version != self.versions[o] for o in node.leaves)

    def assign(self, tensor: TapeTensor, node: TraceNode) -> None:
        """Let ``tensor`` read as ``node`` from here on. Its array is written by the next flush."""
        self.leaf_node(tensor)
        ordinal = self.ordinals.get(id(tensor))
        if ordinal is None or self.versions[ordinal] != tensor.version:  # a snapshot of it is read
            ordinal = self.ordinals[id(tensor)] = len(self.leaves)
            self.add_leaf(tensor, tensor.version)
        self.assigns[ordinal] = node
        tensor.segment = self

    def redefine(self, tensor: TapeTensor) -> None:
        """In a trace, where an assignment is not made before the tensor is read again: a new leaf with the new value.

        Gradients are taken by the new leaf from here on.
        """
        ordinal = self.ordinals[id(tensor)]
        value = self.assigns.get(ordinal)
        if value is not None and value is not self.leaf_nodes[ordinal]:
            del self.assigns[ordinal]
            ordinal = self.ordinals[id(tensor)] = len(self.leaves)
            self.assigns[ordinal] = self.add_leaf(tensor, tensor.version)
            self.definitions[ordinal] = value


def merge(target: TapeSegment, other: TapeSegment) -> None:
    """Move everything in ``other`` to ``target``: leaves get new ordinals, and nodes are interned again over these."""
    ordinals = {}
    for ordinal, leaf in enumerate(other.leaves):
        if other.versions[ordinal] == leaf.version:
            target.leaf_node(leaf)
            found = target.ordinals.get(id(leaf))
            if found is None or target.versions[found] != leaf.version:  # a snapshot of it is read since
                found = target.ordinals[id(leaf)] = len(target.leaves)
                target.add_leaf(leaf, leaf.version)
            ordinals[ordinal] = found
        else:  # overwritten since it was read: a leaf of its own, so that `prepare` refuses its results
            ordinals[ordinal] = len(target.leaves)
            target.add_leaf(leaf, other.versions[ordinal])
    moved = {node: target.leaf_nodes[ordinals[o]] for o, node in enumerate(other.leaf_nodes)}
    target.placeholders.update(o for o in other.placeholders if o < 0)
    for reference in other.live:
        tensor = reference()
        if tensor is not None and tensor.segment is other and tensor.trace_node is not None:
            tensor.trace_node, tensor.segment = interned_over(tensor.trace_node, moved), target
            target.live.append(reference)
    for ordinal, node in other.assigns.items():
        target.assigns[ordinals[ordinal]] = interned_over(node, moved)
        other.leaves[ordinal].segment = target
    for node, changed in other.changed.items():
        target.changed[interned_over(node, moved)] = changed
    for node, readers in other.overwritten.items():
        target.overwritten[interned_over(node, moved)] = tuple([interned_over(r, moved) for r in readers])
    for node, error in other.failed.items():
        target.failed[interned_over(node, moved)] = error
    other.assigns, other.live, other.failed, other.overwritten, other.flushed = {}, [], {}, {}, True
