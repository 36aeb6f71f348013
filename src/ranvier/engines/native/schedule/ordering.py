"""Who runs a task and when: how it is divided among threads, and its phase. A barrier separates two phases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from ranvier.engines.native.passes.rematerialize import RECOMPUTED
from ranvier.engines.native.passes.virtual_workers import sums_steps
from ranvier.engines.native.passes.wide_products import divides_outputs
from ranvier.engines.native.schedule.concatenations import divisible_axes
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.target.lanes import LANES
from ranvier.graph.extents import Shape, size
from ranvier.graph.node import BATCH, Node, extent

SERIAL = 4096  # elements below which a task is not worth dividing
# The same for new weights, whose cache lines move from the threads that read the old ones.
SERIAL_UPDATE = 512
MANY_CHANNELS = 128  # of a product for a single sample, which threads then divide evenly, unlike rows of a small image
# The same for the units of a dense layer: to read its weights takes one thread much longer than a barrier.
MANY_WEIGHTS = 1 << 17
MANY_COLUMNS = 2 * LANES  # of a table to which rows are added, of which threads take some each
FEW_PARTS = 16  # of an axis, which threads do not divide evenly
Edge = tuple[int, bool]  # a task to run before, and whether it may share a phase


def divide_tasks(tasks: Sequence[Task], batch: int, alone: bool = False, looped: bool = False) -> None:
    """Decide for each task whether a thread takes rows of the batch, a part of an axis, or all of it.

    A single sample (``alone``) is divided along its own first axis, the rows of an image, or along many channels; where
    the weights are large, or in the steps of a loop (``looped``), where every product is worth two barriers, along many
    units.
    """
    for task in tasks:
        if task.kind == "loop":
            task.division = "loop"
            continue
        if task.kind == "place" and (task.space[0] != BATCH or alone) and work(task, batch) >= SERIAL:
            axes = divisible_axes(task.node)
            if axes:
                long = (axis for axis in axes if extent(task.node, axis) >= FEW_PARTS)
                task.division, task.axis = "split", next(long, axes[0])
                continue
        within = task.kind in ("map", "contract", "reduce") and len(task.space) > 3 and task.space[0] == BATCH
        last = task.space[-1] if task.kind == "contract" and task.space else 0
        many = isinstance(last, int) and last >= MANY_CHANNELS
        dense = many and len(task.space) == 2
        large = dense and task.space[0] == BATCH and size(task.node.attrs["loops"], 1) >= MANY_WEIGHTS
        if alone and (within or large or (looped and dense)) and work(task, batch) >= SERIAL:
            task.division, task.axis = "split", _axis_within(task.space, many)
            continue
        if task.kind == "contract" and divides_outputs(task.anchor):
            task.division, task.axis = "split", len(task.space) - 1
            continue
        anywhere = task.kind == "scatter" and not task.node.attrs.get("batch", 0)
        if anywhere and has_many_columns(task) and work(task, batch) >= SERIAL:
            # Each thread adds its columns of all rows, in their order; or, where only used rows change, its own rows.
            task.division, task.axis = "split", 0 if task.members else 1
            continue
        if task.kind == "partial" or (task.space and task.space[0] == BATCH and not anywhere):
            task.division = "rows"
        elif task.kind in ("map", "contract", "reduce", "copy") and task.space:
            updates = any(view.buffer.kind == "input" for _, view in task.stores)
            if work(task, batch) >= (SERIAL_UPDATE if updates else SERIAL):
                task.division, task.axis = "split", _divided_axis(task)
            else:
                task.division = "serial"


def _axis_within(space: Shape, many: bool) -> int:
    """The axis of a single sample that threads divide: many channels, or the first one that is not of one element."""
    if space[1] == 1 and (axis := _even_axis(space)):
        return axis
    return len(space) - 1 if many else 1


def _divided_axis(task: Task) -> int:
    """The axis of a task that threads divide."""
    last = task.space[-1]
    wide = len(task.space) == 2 and isinstance(last, int) and last >= FEW_PARTS * LANES
    if wide and task.kind == "contract" and sums_steps(task.node):
        return 1  # so that each thread reads its own columns of all steps, which have left the caches
    return _even_axis(task.space, _is_along_rows(task))


def _is_along_rows(task: Task) -> bool:
    """Whether a reduction gives one result at a time, from adjacent elements."""
    if task.kind != "reduce":
        return False
    return bool(task.node.op.combine) and task.node.inputs[0].ndim - 1 in task.node.attrs["axes"]


def _even_axis(space: Shape, along_rows: bool = False) -> int:
    """The axis that threads divide evenly: the first, unless it is short, as of a 3 x 3 kernel.

    If vectors do not run along the last one, it may be short.
    """
    known = [extent if isinstance(extent, int) else 0 for extent in space]  # threads divide no unknown extent
    if known[0] >= FEW_PARTS or len(space) == 1:
        return 0
    longest = max(range(len(space) - 1), key=lambda axis: known[axis])
    if known[longest] >= FEW_PARTS:
        return longest
    return len(space) - 1 if known[-1] >= FEW_PARTS * (1 if along_rows else LANES) else 0


def has_many_columns(task: Task) -> bool:
    """Whether threads can divide the columns of a table."""
    return len(task.space) == 2 and isinstance(task.space[1], int) and task.space[1] >= MANY_COLUMNS


def fault_task(tasks: Sequence[Task]) -> Task | None:
    """The task that examines values, in a program with checks."""
    return next((task for task in tasks if task.kind == "fault"), None)


def is_update(task: Task) -> bool:
    """Whether the task writes to an input of the program."""
    stored = (*(view for _, view in task.stores), *((task.copy or ())[1:]))
    return any(view.buffer.kind == "input" for view in stored)


def is_layout(task: Task) -> bool:
    """Whether the task only packs what the caller gave."""
    return [node.op.name for node in task.members] == ["pack"]


def work(task: Task, batch: int) -> int:
    """The cost of a task, in elements of cheap operations."""
    if task.kind == "contract":
        return size(task.node.attrs["loops"], batch) // 8
    if task.kind == "reduce":
        return size(task.node.inputs[0].shape, batch)
    return size(task.space, batch)


def in_order(
    tasks: Sequence[Task], task_of: Mapping[Node, Task], after: Mapping[int, set[Edge]], batch: int
) -> list[Task]:
    """The tasks in the order in which they run, each with its phase.

    A task waits at a barrier only for what other threads computed.
    """
    edges = [_edges(task, tasks, task_of, after) for task in tasks]
    fault = fault_task(tasks)
    for task in tasks if fault is not None else ():
        if is_update(task):  # nothing is written to the caller's arrays in a step that fails
            edges[task.number].add((fault.number, False))  # type: ignore[union-attr]  # checked above
    for one, other in pairwise(task.number for task in tasks if task.kind == "loop" and not _has_rows(task)):
        if not _waits_for(edges, one, other):
            edges[other].add((one, False))  # so that it takes the memory of the one before
    first = int(any(is_layout(task) for task in tasks))  # some packing may come before everything else
    for task in tasks:
        task.phase = 0 if is_layout(task) else first
    order: list[int] = []
    state = [0] * len(tasks)
    for start in range(len(tasks)):
        stack = [start]
        while stack:
            number = stack[-1]
            if state[number] == 2:
                stack.pop()
                continue
            if state[number] == 1:
                stack.pop()
                state[number] = 2
                task = tasks[number]
                for before, together in edges[number]:
                    task.phase = max(task.phase, tasks[before].phase + (0 if together else 1))
                order.append(number)
                continue
            state[number] = 1
            for before, _ in sorted(edges[number]):
                if state[before] == 0:
                    stack.append(before)
                elif state[before] == 1:
                    raise AssertionError("tasks that wait for each other")
    _postpone(tasks, order, edges, task_of)
    _spread(tasks, edges, batch)
    for number in order:
        task, same = (tasks[number], [tasks[n] for n, _ in edges[number] if tasks[n].phase == tasks[number].phase])
        task.stage = max((before.stage + _waits_within_phase(before, task) for before in same), default=0)
    place = _places(tasks, order, edges)
    return sorted((tasks[n] for n in order), key=lambda t: (t.phase, t.stage, place[t.number]))


def _places(tasks: Sequence[Task], order: Sequence[int], edges: Sequence[set[Edge]]) -> dict[int, tuple[int, bool]]:
    """The place of each task in its phase: that of a partial sum, and what it alone reads, directly after its operands.

    These are in the cache then, and some are read no more.
    """
    place, readers = {number: (i, False) for i, number in enumerate(order)}, dict[int, set[int]]()
    for number, own in enumerate(edges):
        for before, _ in own:
            readers.setdefault(before, set()).add(number)
    for number in order:
        if tasks[number].kind != "partial":
            continue
        together, outside, near = {number}, set[int](), {number}
        while near:  # the last one first, so that all its readers are known
            found = max(near, key=lambda n: place[n])
            near.remove(found)
            if found != number and not (readers[found] <= together and tasks[found].division == "rows"):
                outside.add(found)
                continue
            together.add(found)
            near.update(n for n, _ in edges[found] if tasks[n].phase == tasks[number].phase)
        if outside:
            latest = max(place[n] for n in outside)[0]
            place.update(dict.fromkeys(together, (latest, True)))
    return place


def _waits_for(edges: Sequence[set[Edge]], number: int, other: int) -> bool:
    """Whether a task needs another one, directly or by way of others."""
    seen, stack = set[int](), [number]
    while stack:
        if (found := stack.pop()) not in seen:
            seen.add(found)
            stack += [before for before, _ in edges[found]]
    return other in seen


def _has_rows(task: Task) -> bool:
    """Whether a loop computes values of the batch."""
    return any(BATCH in node.shape for node in (*task.node.inputs, *task.members))


def _postpone(
    tasks: Sequence[Task], order: Sequence[int], edges: Sequence[set[Edge]], task_of: Mapping[Node, Task]
) -> None:
    """Run copies of what is in memory anyway, and recomputed values, as late as their readers allow.

    So is what is laid out for loops, which follow each other, and in programs that pack weights, what these alone give.
    """
    given = _of_weights(tasks, order, task_of) if any(map(is_layout, tasks)) else set[int]()
    waiting: dict[int, list[Edge]] = {}
    for number, own in enumerate(edges):
        for before, together in own:
            waiting.setdefault(before, []).append((number, together))
    for number in reversed(order):
        task, readers = tasks[number], waiting.get(number, ())
        looped = all(tasks[reader].kind == "loop" for reader, _ in readers)
        late = all(RECOMPUTED in n.attrs or _is_copy(n) or (looped and n.op.kind == "layout") for n in task.nodes)
        if readers and task.nodes and (late or number in given):
            latest = min(tasks[reader].phase - (0 if together else 1) for reader, together in readers)
            task.phase = max(task.phase, latest)


def _of_weights(tasks: Sequence[Task], order: Sequence[int], task_of: Mapping[Node, Task]) -> set[int]:
    """The tasks that arrange or transform weights and read nothing else: no value's memory ends with them."""
    found = set[int]()
    for number in order:
        task = tasks[number]
        makers = (task_of.get(node) for node in task.reads)
        known = all(maker is None or maker is task or maker.number in found for maker in makers)
        shapes = (node.shape for node in (*task.nodes, *task.reads))
        if known and task.kind in ("map", "place") and not is_update(task) and not any(BATCH in own for own in shapes):
            found.add(number)
    return found


def _is_copy(node: Node) -> bool:
    """Whether a node copies its operands into something larger."""
    return node.op.kind == "movement" and not node.op.is_view


def _spread(tasks: Sequence[Task], edges: Sequence[set[Edge]], batch: int) -> None:
    """Give serial tasks of one phase to different threads, and those that need each other to the same thread."""
    leads = list(range(len(tasks)))  # union-find: for each task, another one of the same thread

    def lead(number: int) -> int:
        while leads[number] != number:
            leads[number] = leads[leads[number]]  # path halving: deep networks have long chains
            number = leads[number]
        return number

    whole = [task for task in tasks if task.division == "serial"]
    for task in whole:
        for before, _ in edges[task.number]:
            if tasks[before].division == "serial" and tasks[before].phase == task.phase:
                leads[lead(task.number)] = lead(before)
    by_phase: dict[int, dict[int, list[Task]]] = {}
    for task in whole:
        by_phase.setdefault(task.phase, {}).setdefault(lead(task.number), []).append(task)
    for sets in by_phase.values():
        largest_first = sorted(sets.values(), key=lambda own: -sum(work(task, batch) for task in own))
        for turn, own in enumerate(largest_first):
            for task in own:
                task.turn = turn


def _edges(
    task: Task, tasks: Sequence[Task], task_of: Mapping[Node, Task], after: Mapping[int, set[Edge]]
) -> set[Edge]:
    """The tasks that this one waits for; and of each, whether both may be in one phase: its own thread computed it."""
    edges = set()
    for node, row in task.reads.items():
        maker = task_of.get(node)
        if maker is not None and maker is not task:
            edges.add((maker.number, _same_phase(task, maker, row)))
    for before, row in after.get(task.number, ()):
        # What is overwritten is a thread's own copy, which it alone reads, or a value that every thread reads.
        own = task.division == "each" or (tasks[before].division != "each" and _same_phase(task, tasks[before], row))
        edges.add((before, own))
    return edges


def _waits_within_phase(before: Task, task: Task) -> bool:
    """Whether a task must wait for all of its own thread's part of another task of its phase."""
    return before.whole or task.whole or before.division != task.division


def _same_phase(task: Task, before: Task, row: bool) -> bool:
    """Whether a task needs no barrier after another: its own thread computed what it reads of it."""
    if before.division == "each":
        return True
    same_parts = task.parts == before.parts > 0 and task.joined == before.joined
    own = task.division == "serial" or (task.division == "rows" and row) or same_parts
    return task.division == before.division and own
