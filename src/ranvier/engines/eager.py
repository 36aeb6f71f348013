"""What makes graphs shorter for a library that runs their operations one after another.

Updates of many parameters that have one form, such as the steps of Adam, are one update of flat vectors. An operand
that is spread over the others stays as small as it is, where the library spreads it itself. A result is written into
the memory of an operand that is not read again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from ranvier.engines.patterns import COMMUTATIVE
from ranvier.graph.dtypes import FLOATS
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import PRIMITIVES, Node, Type, apply


def without_broadcasts(graph: Graph) -> Graph:
    """Elementwise operations take broadcast operands before they are spread, beside one that has the whole shape."""

    def change(node: Node, old: Node) -> Node:
        if node.op.kind != "elementwise" or not node.shape:
            return node
        spread = [i for i, operand in enumerate(node.inputs) if operand.op.name == "broadcast"]
        if len(spread) == len(node.inputs):
            spread = spread[1:]
        if not spread:
            return node
        inputs = tuple(_narrow(operand) if i in spread else operand for i, operand in enumerate(node.inputs))
        return Node(node.op, inputs, node.attrs, node.type)

    return graph.changed(change)


def with_reuse(graph: Graph, overwriting: Collection[str], fresh: Callable[[Node], bool]) -> Graph:
    """Operations that are ``overwriting`` write their result into an operand that nothing else reads: ``reuses`` is its
    number. ``fresh`` says whether the value of a node is memory of its own.
    """
    kept, readers = {*graph.roots()}, graph.readers()

    def change(node: Node, old: Node) -> Node:
        if node.op.name not in overwriting or node.dtype not in FLOATS:
            return node
        count = 2 if node.op.name in COMMUTATIVE else 1
        for i, operand in enumerate(old.inputs[:count]):
            if operand.type == node.type and len(readers[operand]) == 1 and operand not in kept and fresh(operand):
                return Node(node.op, node.inputs, {**node.attrs, "reuses": i}, node.type)
        return node

    return graph.changed(change)


def _narrow(node: Node) -> Node:
    (source,), axes, rank = node.inputs, node.attrs["axes"], node.ndim
    if axes == tuple(range(rank - len(axes), rank)):
        return source
    shape = tuple(node.shape[axis] if axis in axes else 1 for axis in range(min(axes), rank))
    return Node(PRIMITIVES["reshape"], (source,), {"shape": shape}, Type(shape, node.dtype))


@dataclass(eq=False)
class Update:
    """New values of some inputs of one shape, and the elementwise operations from which they come.

    ``order`` has the operations, ``leaves`` what they start from: arrays of this shape; ``scalars`` are numbers.
    """

    pairs: list[tuple[Node, Node]]
    order: list[Node] = field(default_factory=list)
    leaves: list[Node] = field(default_factory=list)
    scalars: list[Node] = field(default_factory=list)
    form: tuple[Any, ...] = ()
    """What updates of other shapes have in common with this one, beside the scalars."""

    def read(self) -> Update:
        """Find the operations: those of the input with the most of them first."""
        reached = {target: self._walk(value, {}) for target, value in self.pairs}
        self.pairs.sort(key=lambda pair: -len(reached[pair[0]]))
        names: dict[Node, tuple[str, int]] = {}
        lines: list[tuple[Any, ...]] = []
        shape = self.pairs[0][0].shape
        for _, value in self.pairs:
            for node in self._walk(value, {}):
                if node in names:
                    continue
                if _is_scalar(node, shape):
                    self._named(names, node, "scalar", self.scalars, node.inputs[0])
                elif _is_inner(node, shape):
                    lines.append((node.op.name, node.dtype, repr(node.attrs), *(names[i] for i in node.inputs)))
                    self._named(names, node, "value", self.order, node)
                else:
                    self._named(names, node, "leaf", self.leaves, node)
        found = [(names.get(target), names[value], target.dtype) for target, value in self.pairs]
        self.form = (*lines, *found)
        return self

    def _named(self, names: dict[Node, tuple[str, int]], node: Node, kind: str, known: list[Node], what: Node) -> None:
        if what not in known:
            known.append(what)
        names[node] = kind, known.index(what)

    def _walk(self, root: Node, seen: dict[Node, None]) -> dict[Node, None]:
        """All that a value is computed from in this shape, operands first."""
        shape, stack = root.shape, [(root, False)]
        while stack:
            node, is_done = stack.pop()
            if is_done or not _is_inner(node, shape):
                seen.setdefault(node)
            elif node not in seen:
                stack.append((node, True))
                stack += [(operand, False) for operand in reversed(node.inputs)]
        return seen


def _is_inner(node: Node, shape: Any) -> bool:
    return node.op.kind == "elementwise" and node.shape == shape and bool(node.inputs)


def _is_scalar(node: Node, shape: Any) -> bool:
    return node.op.name == "broadcast" and node.shape == shape and not node.inputs[0].shape


@dataclass(eq=False)
class Group:
    """Updates of one form. The flat vectors of a leaf are joined from those of all updates, in their order."""

    updates: list[Update]
    flat: Graph
    """The update of the flat vectors: leaves, then scalars."""
    places: list[tuple[int, ...]]
    """For each leaf that is updated, the numbers of its inputs in the whole graph; empty for other leaves."""

    @property
    def form(self) -> tuple[Any, ...]:
        return self.updates[0].form


def grouped(graph: Graph) -> tuple[Graph, list[Group]]:
    """The rest of a graph, and its groups of updates. The leaves that are not inputs of the graph, and the scalars, of
    each group are further outputs of the rest, in this order.
    """
    number = {node: i for i, node in enumerate(graph.inputs)}
    found: dict[Any, list[Update]] = {}
    for update in updates_of(graph):
        targets = {target for target, _ in update.pairs}
        if all(leaf in targets or leaf.op.name != "input" for leaf in update.leaves) and targets <= {*update.leaves}:
            found.setdefault((update.form, *update.scalars), []).append(update)
    groups, more, taken = [], [], set[Node]()
    for updates in found.values():
        if len(updates) < 2:
            continue
        first = updates[0]
        targets = {target for target, _ in first.pairs}
        places = [
            tuple(number[update.leaves[i]] for update in updates) if leaf in targets else ()
            for i, leaf in enumerate(first.leaves)
        ]
        groups.append(Group(updates, _flat(updates), places))
        for i, place in enumerate(places):
            more += [] if place else [update.leaves[i] for update in updates]
        more += first.scalars
        taken |= {target for update in updates for target, _ in update.pairs}
    kept = tuple(pair for pair in graph.updates if pair[0] not in taken)
    return Graph(graph.inputs, (*graph.outputs, *more), kept), groups


def updates_of(graph: Graph) -> list[Update]:
    """Updates of inputs that have a shape, those with common operations together."""
    owner: dict[Node, Update] = {}
    found: list[Update] = []
    for target, value in graph.updates:
        if not target.shape or target.dtype not in FLOATS:
            continue
        own = Update([(target, value)])
        reached = [n for n in own._walk(value, {}) if not _is_scalar(n, target.shape)]
        for other in dict.fromkeys(owner[node] for node in (*reached, target) if node in owner):
            own.pairs = other.pairs + own.pairs
            found.remove(other)
            owner |= {node: own for node, update in owner.items() if update is other}
        owner |= dict.fromkeys((*reached, target), own)
        found.append(own)
    return [update.read() for update in found]


def _flat(updates: Sequence[Update]) -> Graph:
    first = updates[0]
    total = sum(_size(update) for update in updates)
    leaves = {leaf: input_node(f"leaf{i}", (total,), leaf.dtype) for i, leaf in enumerate(first.leaves)}
    scalars = {node: input_node(f"scalar{i}", (), node.dtype) for i, node in enumerate(first.scalars)}
    made: dict[Node, Node] = dict(leaves)
    for node in first.order:
        operands = [
            apply("broadcast", scalars[i.inputs[0]], shape=(total,), axes=()) if i not in made else made[i]
            for i in node.inputs
        ]
        made[node] = apply(node.op.name, *operands, **node.attrs)
    return Graph(
        (*leaves.values(), *scalars.values()), (), tuple((leaves[target], made[value]) for target, value in first.pairs)
    )


def _size(update: Update) -> int:
    size = 1
    for dim in update.pairs[0][0].shape:
        size *= dim  # parameters have no symbols
    return size
