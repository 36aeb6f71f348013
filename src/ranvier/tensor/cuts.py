"""Cuts: places in the recorded computation where the gradient goes on by a rule in Python.

A hook, and a function with a gradient of the user's own, is a cut. Its values are recorded as constants, by a node
whose last operand, a `Cut`, holds the rule. As an operand it has a number like every other leaf, so the same loop finds
the same programs. A gradient is computed in stages: that of the cuts nearest to the output, their rules, then the next
ones, with the rules' results as seeds. Rules see tensors that are pending like all results: where no rule reads a
value, all stages are one program.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier.graph.grad import joint_gradient
from ranvier.graph.node import Node, Type
from ranvier.tensor import tape
from ranvier.tensor.changed import changed_values, reading
from ranvier.tensor.function import add
from ranvier.tensor.segment import TapeSegment
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import CUT, Function, TraceNode, intern, interned_over, state

# From the gradients of the values, and the cut, to the gradients of the sources; None where there is none.
Rule = Callable[[list[Any], "PlacedCut"], Sequence[Any]]

_NOTHING = np.zeros((), "int32")
_TYPE = Type((), "int32")


class Cut(Tensor):
    """The last operand of a cut, which holds its rule. It has no value of interest."""

    __slots__ = ("rule",)

    def __init__(self, rule: Rule) -> None:
        self._value, self.spec = _NOTHING, _TYPE
        self._init_leaf(False)
        self.rule = rule

    @property
    def is_constant(self) -> bool:
        return True


class PlacedCut:
    """A cut in a segment, for its rule: what was saved for the rule, and the results, as they are recorded."""

    def __init__(self, node: TraceNode, segment: TapeSegment) -> None:
        self.node, self.segment = node, segment

    def saved(self, index: int) -> Any:
        """A tensor that was saved: a leaf itself, or a result, which is pending again."""
        options = dict(self.node.options)
        node = self.node.inputs[options["saved"] + index]
        return self.segment.leaves[node.ordinal] if node.function is None else Tensor.pending(node, self.segment)

    def result(self, index: int) -> Tensor:
        """A value of the cut, with its history."""
        node = self.node
        return Tensor.pending(intern(CUT, node.inputs, node.options, node.grad)[index], self.segment)


def cut(
    rule: Rule,
    values: Sequence[Tensor],
    sources: Sequence[Tensor] | None = None,
    saved: Sequence[Tensor] = (),
    grad: int | None = None,
) -> list[Tensor]:
    """The values as results whose gradients go on to the sources by the rule; to the values where none are given.

    A rule that needs tensors should have them as ``saved``: operands of the cut, which the rule gets back. A tensor
    that the rule itself holds is kept until Python's garbage collector finds it, if it was computed in this segment.
    """
    first, operands = (0, values) if sources is None else (len(values), [*values, *sources])
    token = Cut(rule)
    segment = tape.segment_of([*operands, *saved, token])
    inputs = tuple([segment.node_of(t) for t in (*operands, *saved, token)])
    options = (("saved", len(operands)), ("sources", first), ("values", len(values)))
    nodes = intern(CUT, inputs, options, state.grad_enabled if grad is None else grad)
    return [Tensor.pending(node, segment) for node in nodes]


def become(tensor: Tensor, made: Tensor) -> None:
    """Let a tensor have the history of another, of the same value."""
    tensor.trace_node, tensor.segment, tensor._requires_grad = made.trace_node, made.segment, made._requires_grad
    if made.segment is not None:
        made.segment.live.append(weakref.ref(tensor))


def cut_at(tensor: Tensor, rule: Rule) -> None:
    """Cut the gradient of a result, also for what was computed from it before."""
    node = tensor.trace_node
    assert node is not None
    [made] = cut(rule, [tensor], grad=node.grad)
    segment, new = made.segment, made.trace_node
    assert segment is not None
    assert new is not None
    node = new.inputs[0]
    living = [t for reference in segment.live if (t := reference()) is not None and t is not made]
    become(tensor, made)
    if living and living[-1] is tensor and not segment.assigns:
        return  # nothing was computed from it yet
    known = {node: new, new: new}
    for one in living:
        if one.segment is segment and one.trace_node is not None and one.trace_node is not node and one is not tensor:
            one.trace_node = interned_over(one.trace_node, known)
    for ordinal, value in segment.assigns.items():
        segment.assigns[ordinal] = interned_over(value, known)
    segment.changed = {interned_over(old, known): changed for old, changed in segment.changed.items()}
    segment.overwritten = {
        interned_over(old, known): tuple([interned_over(r, known) for r in readers])
        for old, readers in segment.overwritten.items()
    }


def rule_of(node: TraceNode | None, segment: TapeSegment | None) -> Rule | None:
    """The rule of a node that is the value of a cut."""
    if node is None or segment is None or node.function is not CUT:
        return None
    rule: Rule = segment.leaves[node.inputs[-1].ordinal].rule  # type: ignore[attr-defined]  # a Cut
    return rule


# --- gradients ----------------------------------------------------------------------------------------------------


def _stage(*nodes: Node, sinks: int, changed: int) -> list[Node]:
    """Derivatives of outputs by nodes; seeds and `changed_values` follow these."""
    rest, old, new = (
        nodes[: len(nodes) - 2 * changed],
        nodes[len(nodes) - 2 * changed :][:changed],
        nodes[len(nodes) - changed :],
    )
    found = joint_gradient(rest[:sinks], rest[-sinks:], rest[sinks:-sinks])
    return reading(found, rest[:sinks], dict(zip(old, new, strict=True))) if changed else found


_STAGE = Function("stage", _stage)


MAX_REACHED = 100  # outputs whose computations are known; bounds the cache of a loop whose control flow keeps changing

_reached: dict[tuple[TraceNode, ...], Reached] = {}


def reached_from(roots: Sequence[TraceNode]) -> Reached:
    """What gradients reach from outputs; known from the second iteration of a loop on."""
    key = tuple(roots)
    known = _reached.get(key)
    if known is None:
        while len(_reached) >= MAX_REACHED:
            _reached.pop(next(iter(_reached)), None)
        known = _reached[key] = Reached(roots)
    return known


class Reached:
    """What gradients reach from outputs, numbered in an order that does not depend on the numbers of leaves."""

    def __init__(self, roots: Sequence[TraceNode]) -> None:
        self.order: list[TraceNode] = []  # operands first
        self.place: dict[TraceNode, int] = {}
        self._targets: dict[Any, list[int]] = {}
        stack = [(root, False) for root in reversed(roots) if root.requires_grad]
        seen: set[TraceNode] = set()
        while stack:
            node, ready = stack.pop()
            if ready:
                self.place[node] = len(self.order)
                self.order.append(node)
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack += [(c, False) for c in self.followed(node) if c.requires_grad and c not in seen]

    @staticmethod
    def followed(node: TraceNode) -> tuple[TraceNode, ...]:
        """The operands that the node's gradient goes on to."""
        if node.function is not CUT:
            return node.inputs
        options = dict(node.options)
        return node.inputs[options["sources"] : options["saved"]]

    @functools.cached_property
    def levels(self) -> list[list[list[int]]]:
        """The cuts, each as the places of its values, after the number of cuts before them: see `derivatives`."""
        calls: dict[Any, list[int]] = {}
        depths = [0] * len(self.order)
        for place in range(len(self.order) - 1, -1, -1):
            node = self.order[place]
            below = depths[place]
            if node.function is CUT:
                calls.setdefault(node.call, []).append(place)
                below += 1
            for operand in self.followed(node):
                if operand.requires_grad:
                    depths[self.place[operand]] = max(depths[self.place[operand]], below)
        by_depth: dict[int, list[list[int]]] = {}
        for values in calls.values():
            by_depth.setdefault(max(depths[v] for v in values), []).append(values)
        return [by_depth[depth] for depth in sorted(by_depth)]

    def targets(self, sinks: Sequence[int], wanted: frozenset[int]) -> list[int]:
        """Of the places wanted and the cuts, those that gradients reach from the sinks before another cut."""
        key = (tuple(sinks), wanted)
        if key not in self._targets:
            self._targets[key] = self._found_targets(sinks, wanted)
        return self._targets[key]

    def _found_targets(self, sinks: Sequence[int], wanted: frozenset[int]) -> list[int]:
        found, seen, stack = [], set(sinks), list(sinks)
        while stack:
            place = stack.pop()
            node = self.order[place]
            if node.function is CUT or place in wanted:
                found.append(place)
            if node.function is not CUT:
                new = {self.place[c] for c in node.inputs if c.requires_grad} - seen
                seen |= new
                stack += new
        return sorted(found)


class _Staged:
    """The computation of gradients in stages.

    Between the stages Python code runs, by which the recorded calls may get other nodes of the same structure. So they
    are known here by their places.
    """

    def __init__(self, outputs: Sequence[Tensor], seeds: Sequence[Tensor]) -> None:
        self.outputs = outputs
        segment = tape.segment_of([*outputs, *seeds])
        self.roots = [segment.node_of(t) for t in outputs]
        self.reached = reached_from(self.roots)
        self.sinks = [
            (self.reached.place[root], seed) for root, seed in zip(self.roots, seeds, strict=True) if root.requires_grad
        ]
        self.parts: dict[int, Tensor] = {}

    def segment(self) -> TapeSegment:
        """The segment of everything that takes part. Raises RuntimeError where the computation has been overwritten."""
        segment = tape.segment_of([*self.outputs, *(seed for _, seed in self.sinks)])
        roots = [segment.node_of(t) for t in self.outputs]
        if roots != self.roots:
            again = reached_from(roots)
            if len(again.order) != len(self.reached.order):
                raise RuntimeError(
                    "a hook, or a backward of your own, has overwritten what the loss was computed from. Write the "
                    "change after loss.backward() instead."
                )
            self.roots, self.reached = roots, again
        return segment

    def run(self, wanted: frozenset[int]) -> None:
        """Lead the gradients of the sinks to the next cuts, and to the places wanted."""
        if not self.sinks:
            return
        segment = self.segment()
        targets = self.reached.targets([place for place, _ in self.sinks], wanted)
        if targets:
            order = self.reached.order
            roots = [order[place] for place, _ in self.sinks]
            old, new = changed_values(segment, roots)
            seeds = [segment.node_of(seed) for _, seed in self.sinks]
            inputs = (*roots, *(order[place] for place in targets), *seeds, *old, *new)
            options = (("changed", len(old)), ("sinks", len(roots)))
            nodes = intern(_STAGE, inputs, options, state.grad_enabled)
            for place, node in zip(targets, nodes, strict=True):
                part, known = Tensor.pending(node, segment), self.parts.get(place)
                self.parts[place] = part if known is None else add(known, part)
        self.sinks = []

    def apply(self, values: Sequence[int]) -> None:
        """Apply the rule of a cut, if a gradient has reached it, and let its results be sinks."""
        if not any(v in self.parts for v in values):
            return
        segment = self.segment()
        nodes = [self.reached.order[v] for v in values]
        options = dict(nodes[0].options)
        by_index = {node.output_index: v for node, v in zip(nodes, values, strict=True)}
        rule = rule_of(nodes[0], segment)
        assert rule is not None
        is_identity = not options["sources"]
        given = [self.parts.get(by_index.get(i, -1)) for i in range(options["values"])]
        for i, result in enumerate(rule(given, PlacedCut(nodes[0], segment))):
            source = self.reached.followed(self.reached.order[values[0]])[i]
            if result is None or not source.requires_grad:
                continue
            if is_identity and i in by_index:
                self.parts[by_index[i]] = result
            self.sinks.append((self.reached.place[source], result))


def derivatives(
    outputs: Sequence[Tensor], seeds: Sequence[Tensor], wrt: Callable[[TapeSegment], Sequence[TraceNode]]
) -> list[Tensor | None]:
    """The derivatives by the nodes that ``wrt`` gives of a segment, through cuts; None where no gradient arrives.

    Each stage starts at all sinks that have come together, so parallel branches meet before what they have in common.
    """
    staged = _Staged(outputs, seeds)
    places = [staged.reached.place.get(node, -1) for node in wrt(staged.segment())]
    wanted = frozenset(places)
    for level in staged.reached.levels:
        staged.run(wanted)
        for values in level:
            staged.apply(values)
    staged.run(wanted)
    return [staged.parts.get(place) for place in places]
