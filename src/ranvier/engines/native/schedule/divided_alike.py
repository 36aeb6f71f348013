"""Tasks of a loop's steps that threads divide alike: each reads of the others what its own thread computed.

Scores, their largest, their exponentials and the sums by these are all divided by rows of queries. Where every task
reads the others at its own rows alone, no barrier is needed between them, and there are many steps. The parts are equal
whatever a task's tiles are, so that a thread has the same rows of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import only_ones
from ranvier.graph.node import Node

PARTS = 16
ANY = -1  # the place of an axis in a value that is read at any of its positions
KINDS = ("map", "contract", "reduce")


def divide_alike(tasks: Sequence[Task], task_of: Mapping[Node, Task]) -> None:
    """Give tasks equal parts of an axis if what each reads of the others is computed by the same part."""
    for task in tasks:
        task.parts = PARTS if _is_candidate(task) else 0
    reads = {task: list(_reads(task, task_of)) for task in tasks if task.parts}
    changed = True
    while changed:
        changed = False
        for task, found in reads.items():
            if task.parts and any(
                task_of[node].parts and not _is_own(task, axis, node, task_of) for node, axis in found
            ):
                task.parts, changed = 0, True


def _is_candidate(task: Task) -> bool:
    """Whether an axis of known extent, along which no vectors run, can be divided in equal parts."""
    if task.division != "split" or task.parts or task.kind not in KINDS:
        return False
    if task.kind != "reduce" and task.axis == len(task.space) - 1:
        return False
    extent = task.space[task.axis]
    inside = all(view.buffer.kind != "input" for _, view in task.stores)  # no carry, which others may still read
    return inside and isinstance(extent, int) and extent % PARTS == 0


def _is_own(task: Task, axis: int, node: Node, task_of: Mapping[Node, Task]) -> bool:
    """Whether a task reads a value of another one, along this axis, at the positions of the same part."""
    maker = task_of[node]
    same = axis == maker.axis and node.shape[: len(maker.space) - 1] == maker.space[:-1]
    whole = node.shape == maker.space or (node.shape == maker.space[:-1] and axis < node.ndim)
    return same and whole and maker.space[maker.axis] == task.space[task.axis]


def _reads(task: Task, task_of: Mapping[Node, Task]) -> Iterator[tuple[Node, int]]:
    """The values of other tasks that a task reads, each with the axis of it that the task's own axis is."""
    stack = [
        (node, task.axis if node.shape[: task.axis + 1] == task.space[: task.axis + 1] else ANY) for node in task.nodes
    ]
    seen = set(stack)
    while stack:
        node, axis = stack.pop()
        maker = task_of.get(node)
        if maker is not None and maker is not task:
            yield node, axis
            continue
        for pair in zip(node.inputs, _axes(node, axis), strict=True):
            if pair not in seen:
                seen.add(pair)
                stack.append(pair)


def _axes(node: Node, axis: int) -> Sequence[int]:
    """For each operand of a node, the axis that one of the node's axes is; `ANY` where it is none alone."""
    name, attrs = node.op.name, node.attrs
    if axis == ANY or not node.inputs:
        return [ANY] * len(node.inputs)
    (first, *_) = node.inputs
    if node.op.kind == "elementwise":
        return [axis] * len(node.inputs)
    if name == "contract":
        return [_operand_axis(index, axis) for index in attrs["index"]]
    found = ANY
    if name == "broadcast" and axis in attrs["axes"]:
        found = attrs["axes"].index(axis)
    elif name == "transpose":
        found = attrs["axes"][axis]
    elif name == "slice" and attrs["ranges"][axis] is None:
        found = axis
    elif node.op.combine:
        found = [i for i in range(first.ndim) if i not in attrs["axes"]][axis]
    elif name == "reshape" and only_ones(node.shape, first.shape) and node.shape[axis] != 1:
        long = [i for i, extent in enumerate(node.shape) if extent != 1].index(axis)
        found = [i for i, extent in enumerate(first.shape) if extent != 1][long]
    if found != ANY and first.shape[found] != node.shape[axis]:
        found = ANY
    return [found] + [ANY] * (len(node.inputs) - 1)


def _operand_axis(index: Sequence[tuple[Sequence[tuple[int, int]], int]], loop: int) -> int:
    """The axis of an operand that this loop of a contraction alone walks along; `ANY` where there is none."""
    found = [i for i, (terms, _) in enumerate(index) if any(number == loop for number, _ in terms)]
    if len(found) != 1 or (tuple(index[found[0]][0]), index[found[0]][1]) != (((loop, 1),), 0):
        return ANY
    return found[0]
