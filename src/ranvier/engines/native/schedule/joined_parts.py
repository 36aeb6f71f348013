"""Parts of an axis: a thread takes one of them through several tasks of a loop's step, then the next one.

In the gradient of attention, some keys' scores, their derivatives and what both add to these keys need nothing of other
keys; in attention itself, some queries' scores, their sums and means need nothing of other queries. Part by part, no
barrier is needed between them, and the scores are still in the cache of the core that made them.
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
ROWS = 16  # of one part: their scores stay in a second-level cache
LONG = 512  # positions: fewer are not divided evenly among threads
FEWEST = 16  # elements of a result at one position
ANY = -1  # the place of an axis in a value that is read at any of its positions


def join_parts(tasks: Sequence[Task], task_of: Mapping[Node, Task]) -> list[Task]:
    """Divide tasks in parts of an axis if what each reads of the others is made by the same part.

    These are products along a long axis; of the others, what makes and uses long rows. Returns these tasks.
    """
    long = {task: axis for task in tasks if (axis := _long_axis(task)) != ANY}
    joined = _join(long, PART, task_of)
    return joined + _join(_axes_of_rows([task for task in tasks if task not in joined]), ROWS, task_of)


def _join(axes: dict[Task, int], part: int, task_of: Mapping[Node, Task]) -> list[Task]:
    """Join those of these tasks that read of each other their own part alone, along these axes."""
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
        task.division, task.axis, task.joined = "split", axes[task], part
        task.parts = task.space[task.axis] // part
    return joined


def keep_parts(
    joined: Sequence[Task], tasks: Sequence[Task], graph: Graph, buffers: list[Buffer], views: dict[Node, View]
) -> dict[Buffer, int]:
    """Give values that are read by their own part alone memory for one part; returns the stride along their parts."""
    group = {task: (task.joined, task.parts) for task in joined}
    readers: dict[Node, set[tuple[int, int] | None]] = {}
    for task in tasks:
        for node in task.reads:
            readers.setdefault(node, set()).add(group.get(task))
    moved = {i for node in graph.nodes() if node.op.kind == "movement" for i in node.inputs}
    found = dict[Buffer, int]()
    for task in joined:
        for place, (node, view) in enumerate(task.stores):
            own = readers.get(node, set()) <= {group[task]} and node not in moved
            if not own or view.buffer.kind != "scratch" or views[node] is not view or node.shape != view.shape:
                continue
            shape = tuple(task.joined if axis == task.axis else extent for axis, extent in enumerate(node.shape))
            strides = c_strides(shape)
            if task.axis < len(shape) - 1:  # rows stay as far apart as they are
                inner, pitch = view.strides[task.axis :], view.strides[task.axis] * task.joined
                strides = (*(stride * pitch for stride in c_strides((*shape[: task.axis],))), *inner)
            taken = Buffer("scratch", view.buffer.number, view.buffer.dtype, strides[0] * size(shape[:1], 1))
            buffers[buffers.index(view.buffer)] = taken
            views[node] = View(taken, node.shape, strides)
            task.stores[place] = node, views[node]
            found[taken] = strides[task.axis]
    return found


def _long_axis(task: Task) -> int:
    """The axis of a product's rows or columns that is long, if there is one."""
    if task.kind != "contract" or task.division != "split" or task.parts or len(task.space) < 2:
        return ANY
    known = [extent for extent in task.space if isinstance(extent, int)]
    long = [axis for axis in range(len(task.space) - 2, len(task.space)) if _is_long(task.space[axis], PART)]
    many = len(known) == len(task.space) and len(long) == 1
    return long[0] if many and prod(known) // known[long[0]] >= FEWEST else ANY


def _axes_of_rows(tasks: Sequence[Task]) -> dict[Task, int]:
    """Tasks that compute as many rows as a product of each sample's own with long rows; and their axis of these."""
    kinds, divisions = ("contract", "map", "reduce"), ("split", "serial")
    plain = [task for task in tasks if task.kind in kinds and task.division in divisions and not task.parts]
    products = [task for task in plain if task.kind == "contract" and task.axis == len(task.space) - 2 > 0]
    long = [task for task in products if _is_long(task.space[-1]) and "of" not in task.node.attrs]
    places = {(task.axis, task.space[task.axis]) for task in long}
    if len(places) != 1:
        return {}
    ((axis, rows),) = places
    whole = isinstance(rows, int) and rows % ROWS == 0
    return {task: axis for task in plain if whole and len(task.space) > axis and task.space[axis] == rows}


def _is_long(extent: object, part: int = 1) -> bool:
    return isinstance(extent, int) and extent >= LONG and extent % part == 0


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
