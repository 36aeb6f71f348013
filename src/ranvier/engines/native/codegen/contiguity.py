"""Whether a task can process its rows as one contiguous run of elements.

Rows that do not fill whole vectors then leave no lanes idle, and no load waits for the masked store before it.
"""

from __future__ import annotations

from ranvier.engines.native.codegen.kernel import Kernel
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import View, c_strides
from ranvier.engines.native.target.lanes import LANES
from ranvier.graph.extents import Shape
from ranvier.graph.node import Node


def is_contiguous(k: Kernel, task: Task) -> bool:
    """Whether all values that the task reads and stores are contiguous in its space, or scalars."""
    space = task.space
    known = all(isinstance(dim, int) for dim in space[1:])  # rows of a batch lie where the largest batch has them
    if len(space) < 2 or not known or space[-1] % LANES == 0:
        return False
    if any(node.shape != space or not _as(view, space) for node, view in task.stores):
        return False
    stack, seen = [*task.members, *(node for node, _ in task.stores)], {task.anchor}
    while stack:
        node = stack.pop()
        if node in seen or node.shape == ():
            continue
        seen.add(node)
        view = None if node in k.computed_here else k.module.view(node)
        if node.shape != space or (view is not None and not _as(view, space)):
            return False
        if view is not None or _reduces(k, node):
            continue
        spread = node.op.name == "broadcast" and node.inputs[0].shape == ()
        if node.op.kind != "elementwise" and not spread:
            return False
        stack.extend(node.inputs)
    return True


def _reduces(k: Kernel, node: Node) -> bool:
    """Whether the node reduces a value in memory along its first axes."""
    if node.op.kind != "reduce" or node.inputs[0] in k.computed_here:
        return False
    axes, view = node.attrs["axes"], k.module.view(node.inputs[0])
    return view is not None and axes == tuple(range(len(axes))) and _as(view, node.shape)


def _as(view: View, space: Shape) -> bool:
    """Whether the last dimensions of a view have the strides of an array of this shape."""
    return view.strides[len(view.strides) - len(space) :] == c_strides(space)
