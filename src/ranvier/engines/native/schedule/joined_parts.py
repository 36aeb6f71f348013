"""Parts of a long axis: a thread takes one of them through several products of a loop's step, then the next one.

In the gradient of attention, some keys' scores, their derivatives and what both add to these keys need nothing of other
keys. Part by part, no barrier is needed between them, and the scores are still in the cache of the core that made them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod

from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import Buffer, View, c_strides, only_ones
from ranvier.graph.extents import size
from ranvier.graph.graph import Graph
from ranvier.graph.node import Node

PART = 128  # positions: whole tiles, of rows and of vectors
LONG = 512  # positions: fewer are not divided evenly among threads
FEWEST = 16  # elements of a result at one position
ANY = -1  # the place of an axis in a value that is read at any of its positions


def join_parts(tasks: Sequence[Task], task_of: Mapping[Node, Task]) -> list[Task]:
    """Divide products in parts of a long axis if what each reads of the others is made by the same part.

    Returns these.
    """
    axes = {task: axis for task in tasks if (axis := _long_axis(task)) != ANY}
    reads = {task: [(task_of[node], node, at) for node, at in _reads(task, axes[task], task_of)] for task in axes}
    changed = True
    while changed:
        apart = [task for task in axes if not all(_is_own(*read, axes) for read in reads[task] if read[0] in axes)]
        changed = bool(apart)
        for task in apart:
            del axes[task]
    pairs = [(maker, task) for task in axes for maker, *_ in reads[task] if maker in axes]
    joined = [task for task in axes if any(task in pair for pair in pairs)]
    for task in joined:
        task.axis, task.joined = axes[task], True
        task.parts = task.space[task.axis] // PART
    return joined


def keep_parts(
    joined: Sequence[Task], tasks: Sequence[Task], graph: Graph, buffers: list[Buffer], views: dict[Node, View]
) -> dict[Buffer, int]:
    """Give values that are read by their own part alone memory for one part; returns the stride along their parts."""
    shared = {node for task in tasks if task not in joined for node in task.reads}
    shared |= {i for node in graph.nodes() if node.op.kind == "movement" for i in node.inputs}
    found = dict[Buffer, int]()
    for task in joined:
        for place, (node, view) in enumerate(task.stores):
            if node in shared or view.buffer.kind != "scratch" or views[node] is not view or node.shape != view.shape:
                continue
            shape = tuple(PART if axis == task.axis else extent for axis, extent in enumerate(node.shape))
            strides = c_strides(shape)
            own = Buffer("scratch", view.buffer.number, view.buffer.dtype, size(shape, 1))
            buffers[buffers.index(view.buffer)] = own
            views[node] = View(own, node.shape, strides)
            task.stores[place] = node, views[node]
            found[own] = strides[task.axis]
    return found


def _long_axis(task: Task) -> int:
    """The axis of a product's rows or columns that is long, if there is one."""
    if task.kind != "contract" or task.division != "split" or task.parts or len(task.space) < 2:
        return ANY
    known = [extent for extent in task.space if isinstance(extent, int)]
    long = [axis for axis in range(len(task.space) - 2, len(task.space)) if _is_long(task.space[axis])]
    many = len(known) == len(task.space) and len(long) == 1
    return long[0] if many and prod(known) // known[long[0]] >= FEWEST else ANY


def _is_long(extent: object) -> bool:
    return isinstance(extent, int) and extent >= LONG and extent % PART == 0


def _is_own(maker: Task, node: Node, axis: int, axes: Mapping[Task, int]) -> bool:
    """Whether a value of another task is read, along this axis of it, at the positions of the same part."""
    return node.shape == maker.space and axis == axes[maker]


def _reads(task: Task, axis: int, task_of: Mapping[Node, Task]) -> Iterator[tuple[Node, int]]:
    """The values of other tasks that a task reads, each with the axis of it that this axis of the task is."""
    stack = [(node, axis if node.shape[: axis + 1] == task.space[: axis + 1] else ANY) for node in task.nodes]
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
