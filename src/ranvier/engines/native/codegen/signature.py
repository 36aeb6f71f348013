"""The signature of a kernel: all that its text depends on, but for the addresses of its arrays.

Tasks of equal signatures share one kernel, which is written and compiled once and called with each task's addresses.
Arrays and values are numbered in the order in which they appear, so layers of one shape have the same signatures.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ranvier.engines.native.schedule.schedule import Schedule
from ranvier.engines.native.schedule.sparsity import zeros_of
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

    def of(self, task: Task) -> Signature:
        buffers = task.buffers(self.view)
        place = {buffer: i for i, buffer in enumerate(buffers)}
        computed = task.nodes
        order = list(dict.fromkeys((*computed, *(node for node, _ in task.stores), *task.reads)))
        number = {node: i for i, node in enumerate(order)}
        own, numbers = set(computed), dict[Node, None]()
        lines: list[object] = []

        def seen(view: View) -> tuple[object, ...]:
            return place.get(view.buffer), view.buffer.dtype, view.shape, view.strides, view.offset

        for node in order:  # grows while it is walked
            if node in numbers:
                lines.append(node.dtype)
                continue
            view = self.view(node)
            lines.append((self._code(node), None if view is None else seen(view)))
            if view is None or node in own or self._looks_through(task, node, view):
                operands = self._operands(node)
                if not node.shape and node.dtype in INTEGERS:
                    numbers.update(dict.fromkeys(i for i in operands if _is_integer(i) and i not in number))
                for operand in operands:
                    at = number.setdefault(operand, len(order))
                    if at == len(order):
                        order.append(operand)
                    lines.append(at)
        near = [buffer in self.schedule.local for buffer in buffers]
        zeros = [zeros_of(operand) for operand in task.node.inputs] if task.kind == "contract" else []
        stores = [(number[node], *seen(view)) for node, view in task.stores]
        copied = [seen(view) for view in task.copy or ()]
        read = [number[node] for node in task.reads]
        facts = task.kind, task.space, task.division, task.axis, task.parts, task.whole, task.accumulates, len(computed)
        key = facts, tuple(lines), tuple(stores), tuple(copied), tuple(read), tuple(near), tuple(zeros)
        return Signature(key, buffers, list(numbers))

    @staticmethod
    def _looks_through(task: Task, node: Node, view: View) -> bool:
        """Whether a kernel looks at the operands of a value that it reads from memory."""
        return view.rows is node or (task.kind == "place" and node.op.name == "reshape")

    @staticmethod
    def _operands(node: Node) -> tuple[Node, ...]:
        inner = node.attrs.get("inner")
        return node.inputs if inner is None else (*node.inputs, inner)

    def _code(self, node: Node) -> int:
        found = self._code_of.get(node)
        if found is None:
            once = node.op.name == "mul" and self.schedule.uses[node] == 1  # it may be part of a fused multiply-add
            attrs = (repr(node.attrs),) if node.op.kind == "fault" else _plain(node.attrs)
            what = (node.op.name, node.shape, node.dtype, once, *attrs)
            found = self._code_of[node] = self._codes.setdefault(what, len(self._codes))
        return found


def _is_integer(node: Node) -> bool:
    return node.op.name == "constant" and node.dtype in INTEGERS


def _plain(attrs: dict[str, Any]) -> Iterator[object]:
    """Attributes, with arrays as bytes."""
    for name, value in attrs.items():
        if name not in ("name", "inner"):
            yield name
            yield value.tobytes() if isinstance(value, np.ndarray) else value
