"""The kernel of a contraction. `schedule/loop_nest.py` gives each loop its role; the form follows from the roles."""

from __future__ import annotations

from ranvier.engines.native.codegen.contraction.base import prefix_of
from ranvier.engines.native.codegen.contraction.blocked import Blocked
from ranvier.engines.native.codegen.contraction.columns import Columns
from ranvier.engines.native.codegen.contraction.dot import DotProducts
from ranvier.engines.native.codegen.contraction.sparse import SparseProducts
from ranvier.engines.native.codegen.contraction.sparse_updates import SparseUpdates
from ranvier.engines.native.codegen.contraction.tile import nest_of
from ranvier.engines.native.codegen.kernel import Kernel
from ranvier.engines.native.schedule.blocking import in_blocks
from ranvier.engines.native.schedule.sparsity import skips_zeros, walk_of
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.target.target import Target


def emit_contraction(k: Kernel, task: Task, target: Target, batch: int) -> None:
    """Write the kernel's body. ``batch`` is the most rows of the batch that one call takes."""
    prefix = prefix_of(task)
    node = task.node.attrs["inner"] if prefix else task.node
    views, stored = task.operands(k.module.view), task.stored
    walk = walk_of(task, node, views, stored.strides[len(prefix) :])
    if walk is not None:
        SparseUpdates(k, task, node, walk, stored).write()
        return
    nest = nest_of(task, node, views, stored.strides[len(prefix) :], target, batch)
    skipping = skips_zeros(task, nest, views, batch)
    if not skipping and any(view.rows is not None for view in views):
        raise AssertionError("only products that skip zeros read rows in place")
    blocked = not prefix and in_blocks(node, nest)
    form = SparseProducts if skipping else DotProducts if nest.form == "dot" else Blocked if blocked else Columns
    form(k, task, node, nest, stored, target, batch).write()
