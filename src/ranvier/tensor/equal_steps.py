"""Equal steps among recorded calls, as a Python loop over time makes them: they become one loop of the program.

The calls of a loop repeat with a period. In each step an operand is the same value in all steps, a value of the same
step, one of the step before (a carry), or a value of its own, such as ``x[:, t]``, of which the steps take one each.
The body is lowered once, and the program compiles it once, however many steps there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from ranvier.graph.graph import Graph, input_node
from ranvier.graph.loops import scan
from ranvier.graph.node import BATCH, Node
from ranvier.graph.scan import slice_of, stack
from ranvier.tensor.called import called

LEAST_STEPS = 8  # of a loop
LEAST_CALLS = 32  # of all its steps


class Value(NamedTuple):
    """A result of a call within a step: the call's place in the step, and which of its results."""

    place: int
    output: int


class Steps:
    """Equal steps: ``count`` times ``period`` calls from ``start`` on."""

    def __init__(self, calls: Sequence[Any], start: int, period: int, count: int) -> None:
        self.calls, self.start, self.period, self.count = calls, start, period, count
        self.end = start + period * count
        self.position = {call.call: i for i, call in enumerate(calls[start : self.end])}
        self.operands: list[list[Any]] = []  # of each call of a step: what each operand is
        self.carries: dict[tuple[Value, Any], None] = {}  # with the node before the first step
        self.fixed: dict[Any, None] = {}
        self.own: dict[tuple[Any, ...], None] = {}  # a node for each step

    def fits(self) -> bool:
        """Whether the operands are those of a loop; notes what they are."""
        for place in range(self.period):
            steps = [self.calls[self.start + s * self.period + place] for s in range(self.count)]
            found = [self._operand(column) for column in zip(*(call.inputs for call in steps), strict=True)]
            if any(operand is None for operand in found):
                return False
            self.operands.append(found)
        return True

    def _value(self, node: Any, step: int) -> Value | None:
        """A node as a value of the steps, its place counted from the beginning of a step; None for another one."""
        at = self.position.get(node.call) if node.function is not None else None
        return None if at is None else Value(at - step * self.period, max(node.output_index, 0))

    def _operand(self, nodes: tuple[Any, ...]) -> Any:
        """What an operand is, given its nodes in all steps; None where it is nothing that a loop has."""
        values = [self._value(node, step) for step, node in enumerate(nodes)]
        first, *rest = values
        if all(value is None for value in values):
            if all(node is nodes[0] for node in nodes):
                self.fixed[nodes[0]] = None
                return nodes[0]
            # Weights of a network's layers are no slices of one array.
            if any(node.function is None and node.requires_grad for node in nodes):
                return None
            if any(node.type != nodes[0].type for node in nodes):
                return None
            self.own[nodes] = None
            return nodes
        if any(value != rest[0] for value in rest) or rest[0] is None:
            return None
        if rest[0].place >= 0:
            return rest[0] if first == rest[0] else None
        if rest[0].place < -self.period or first is not None or nodes[0].type != nodes[1].type:
            return None
        carry = Value(rest[0].place + self.period, rest[0].output), nodes[0]
        self.carries[carry] = None
        return carry

    def lower(
        self, lowered: Callable[[Any], Node], read: dict[tuple[int, Value], None], results: dict[Any, Any], rows: int
    ) -> bool:
        """Build the loop, and note the results that are ``read`` outside, by step. False where none can be built.

        ``rows``: see `called`.
        """
        last = {value: i for i, (value, _) in enumerate(self.carries)}
        stacked = dict.fromkeys(value for step, value in read if step < self.count - 1 or value not in last)
        firsts, fixed = [lowered(node) for _, node in self.carries], [lowered(node) for node in self.fixed]
        slices = [[lowered(node) for node in nodes] for nodes in self.own]
        given = [*firsts, *(parts[0] for parts in slices), *fixed]
        inputs = [input_node(f"x{i}", node.shape, node.dtype) for i, node in enumerate(given)]
        known = dict(zip((*self.carries, *self.own, *self.fixed), inputs, strict=True))
        values: dict[Value, Node] = {}
        for place in range(self.period):
            operands = [values[o] if isinstance(o, Value) else known[o] for o in self.operands[place]]
            made = called(self.calls[self.start + place], operands, rows)
            values |= {Value(place, i): node for i, node in enumerate(made)}
        outputs = [values[value] for value in stacked]
        shapes = [node.shape for node in (*(parts[0] for parts in slices), *outputs)]
        axis = 1 if shapes and all(shapes) else 0
        if axis == 0 and any(BATCH in shape for shape in shapes):
            return False
        updates = tuple((known[carry], values[carry[0]]) for carry in self.carries)
        body = Graph(tuple(inputs), tuple(outputs), updates)
        joined = [stack(parts, axis) for parts in slices]
        made = scan(body, firsts, joined, fixed, length=self.count, axis=axis)
        stacks = dict(zip(stacked, made[len(updates) :], strict=True))
        for step, value in read:
            call = self.calls[self.start + step * self.period + value.place]
            whole = made[last[value]] if value not in stacks else slice_of(stacks[value], step, axis)
            results.setdefault(call.call, {})[value.output] = whole
        return True


def find(calls: Sequence[Any], later: Sequence[Any]) -> list[tuple[Steps, dict[tuple[int, Value], None]]]:
    """Equal steps among the calls, which are in the order in which they were recorded, and what is read of them.

    ``later`` are nodes that are read after the calls.
    """
    if len(calls) < LEAST_CALLS:
        return []
    keys = [(call.function, call.options, call.types, call.grad, len(call.inputs)) for call in calls]
    places: dict[Any, list[int]] = {}
    for i, key in enumerate(keys):
        places.setdefault(key, []).append(i)
    found: list[tuple[Steps, dict[tuple[int, Value], None]]] = []
    end = 0
    for at in sorted(places.values(), key=lambda own: own[0]):
        period = at[1] - at[0] if len(at) >= LEAST_STEPS else 0
        if not period or at[0] < end or any(b - a != period for a, b in pairwise(at[:LEAST_STEPS])):
            continue
        first, stop = at[0], at[0]
        while first > end and keys[first - 1] == keys[first - 1 + period]:
            first -= 1
        while stop + period < len(keys) and keys[stop] == keys[stop + period]:
            stop += 1
        steps = _longest(calls, first, period, (stop + period - first) // period)
        if steps is not None and (read := _read(steps, calls, later)) is not None:
            found.append((steps, read))
            end = steps.end
    return found


def _longest(calls: Sequence[Any], start: int, period: int, count: int) -> Steps | None:
    """The steps from ``start`` on, or from the second one, if they are those of a loop."""
    for skipped in (0, 1):
        steps = Steps(calls, start + skipped * period, period, count - skipped)
        if steps.count < LEAST_STEPS or steps.count * period < LEAST_CALLS:
            return None
        own = calls[steps.start : steps.start + period]
        if any(call.cuts or not call.function.is_local for call in own):
            return None
        if steps.fits() and steps.carries:
            return steps
    return None


def _read(steps: Steps, calls: Sequence[Any], later: Sequence[Any]) -> dict[tuple[int, Value], None] | None:
    """What is read of the steps outside of them; None where a gradient is taken by one of their values."""
    read: dict[tuple[int, Value], None] = {}

    def note(node: Any) -> bool:
        at = steps.position.get(node.call) if node.function is not None else None
        if at is not None:
            step, place = divmod(at, steps.period)
            read[step, Value(place, max(node.output_index, 0))] = None
        return at is not None

    for call in (*calls[: steps.start], *calls[steps.end :]):
        inside = [note(node) for node in call.inputs]
        if not call.function.is_local and any(inside[1:]):
            return None
    for node in later:
        note(node)
    return read
