"""The signature of a kernel: all that its text depends on, but for the addresses of its arrays.

Tasks of equal signatures share one kernel, which is written and compiled once and called with each task's addresses.
Arrays and values are numbered in the order in which they appear, so layers of one shape have the same signatures.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ranvier.engines.native.passes.sparse_updates import zeros_of
from ranvier.engines.native.schedule.schedule import Schedule
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import Buffer, View
from ranvier.graph.dtypes import INTEGERS
from ranvier.graph.node import Node


class Signature(NamedTuple):
    """What decides a kernel's text, and what is passed to it."""

    key: tuple[Any, ...]
    buffers: list[Buffer]
    numbers: list[Node]  # integer constants of scalar arithmetic, such as the number of a random stream


class Signatures:
    """The signatures of one schedule's tasks."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule, self.view = schedule, schedule.view
        self._codes: dict[object, int] = {}  # what a node is, apart from its operands, as a number
        self._code_of: dict[Node, int] = {}
        self._copied: dict[object, int] = {}  # the same, of nodes that passes copied, with their attributes
        self._layouts: dict[object, int] = {}  # what a view is, apart from its buffer, as a number
        self._layout_of: dict[int, tuple[int, View]] = {}  # by the identity of the view, which is kept

    def of(self, task: Task) -> Signature:
        buffers = task.buffers(self.view)
        place = {buffer: i for i, buffer in enumerate(buffers)}
        computed = task.nodes
        starts = [bound.start for bound in task.bounds if bound.start is not None]
        order = list(dict.fromkeys((*computed, *(node for node, _ in task.stores), *task.reads, *starts)))
        number = {node: i for i, node in enumerate(order)}
        own, numbers = set(computed), dict[Node, None]()
        lines: list[object] = []

        layouts = self._layout_of

        def seen(view: View) -> tuple[object, ...]:
            known = layouts.get(id(view)) or self._layout(view)
            return place.get(view.buffer), known[0]

        view_of, codes = self.view, self._code_of
        for node in order:  # grows while it is walked
            if node in numbers:
                lines.append(node.dtype)
                continue
            view = view_of(node)
            lines.append(codes.get(node) or self._code(node))
            if view is not None:
                lines.append(seen(view))
                if node not in own and not self._looks_through(task, node, view):
                    continue
            operands = node.inputs if node.op.name != "partial" else (*node.inputs, node.attrs["inner"])
            if not node.shape and node.dtype in INTEGERS:
                numbers.update(dict.fromkeys(i for i in operands if _is_integer(i) and i not in number))
            for operand in operands:
                at = number.get(operand)
                if at is None:
                    at = number[operand] = len(order)
                    order.append(operand)
                lines.append(at)
        schedule = self.schedule
        near = [(b in schedule.local or b in schedule.of_part, b in schedule.unread) for b in buffers]
        zeros = [zeros_of(operand) for operand in task.node.inputs] if task.kind in ("contract", "partial") else []
        stores = [(number[node], *seen(view)) for node, view in task.stores]
        copied = [seen(view) for view in task.copy or ()]
        ahead = [(*seen(view), step) for view, step in task.ahead]
        read = [number[node] for node in task.reads]
        bounds = [(b._replace(start=None), None if b.start is None else number[b.start]) for b in task.bounds]
        flags = task.whole, task.accumulates, task.streams, task.joined
        facts = task.kind, task.space, task.division, task.axis, task.parts, *flags, len(computed)
        parts: tuple[list[Any], ...] = lines, stores, copied, read, near, zeros, bounds, ahead
        key = facts, *(tuple(part) for part in parts)
        return Signature(key, buffers, list(numbers))

    def _layout(self, view: View) -> tuple[int, View]:
        what = view.buffer.dtype, view.shape, view.strides, view.offset, view.rows is not None
        found = self._layout_of[id(view)] = self._layouts.setdefault(what, len(self._layouts)), view
        return found

    @staticmethod
    def _looks_through(task: Task, node: Node, view: View) -> bool:
        """Whether a kernel looks at the operands of a value that it reads from memory."""
        return view.rows is node or (task.kind == "place" and node.op.name == "reshape")

    def _code(self, node: Node) -> int:
        """What a node is, apart from its operands and whatever they read, as a number from 1."""
        op, attrs = node.op, node.attrs
        once = op.name == "mul" and self.schedule.uses[node] == 1  # it may be part of a fused multiply-add
        copied = op, id(attrs) if attrs else 0, id(node.type), once, len(node.inputs)
        known = self._copied.get(copied)
        if known is not None:
            self._code_of[node] = known
            return known
        if op.name == "constant":
            facts: object = attrs["value"].tobytes()
        elif op.kind == "fault":
            facts = repr(attrs)
        elif op.name == "input":
            facts = None
        else:
            facts = tuple([item for item in attrs.items() if item[0] != "inner"])
        what = op.name, len(node.inputs), node.shape, node.dtype, once, facts
        found = self._code_of[node] = self._copied[copied] = self._codes.setdefault(what, len(self._codes) + 1)
        return found


def _is_integer(node: Node) -> bool:
    return node.op.name == "constant" and node.dtype in INTEGERS
