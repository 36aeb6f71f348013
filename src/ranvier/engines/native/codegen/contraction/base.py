"""What the kernels of all contractions share: the outer loops, their bounds, and loads of operands."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ranvier.engines.native.codegen.kernel import At, Index, Kernel
from ranvier.engines.native.codegen.loops import masked, scope, shared
from ranvier.engines.native.passes.clip_padding import Clip
from ranvier.engines.native.schedule.loop_nest import Loop, Nest
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.schedule.view import View
from ranvier.engines.native.target.lanes import ELEMENT, Scalar, memory_type, vector
from ranvier.engines.native.target.target import Target
from ranvier.graph.node import BATCH, Node


class Place(NamedTuple):
    """Offsets in the operands, and the row of a packed one."""

    a: Scalar = 0
    b: Scalar = 0
    packed: Scalar = 0


FIRST = Place()


class Contraction:
    """A contraction being written: its loop nest, and the values of its loops."""

    def __init__(self, k: Kernel, task: Task, node: Node, plan: Nest, stored: View, target: Target, batch: int) -> None:
        self.k, self.task, self.made, self.node, self.plan = k, task, task.node, node, plan
        self.stored, self.target, self.batch = stored, target, batch
        self.prefix = prefix_of(task)
        self.element = ELEMENT[node.dtype]
        self.type = vector(self.element)
        self.fixed: dict[int, At] = {}
        self.at: dict[int, Scalar] = {}  # values of loops, which the bounds of others depend on

    def index(self) -> Index:
        """The result's index, from the values of its loops."""
        return (*self.prefix, *(self.fixed[i] for i in range(len(self.task.space) - len(self.prefix))))

    def range_of(self, loop: Loop) -> tuple[Scalar, Scalar]:
        clip = self.plan.clip(loop)
        if clip is not None:
            return self._bounds(clip, self.at[clip[0]], loop)
        if self.prefix:
            return ("%lo", "%hi") if loop.extent == BATCH else (0, self.k.extent(loop.extent))
        if loop.output is not None:
            return shared(self.k, self.task, loop.output)
        return 0, self.k.extent(loop.extent)

    def _bounds(self, clip: Clip, at: Scalar, loop: Loop) -> tuple[Scalar, Scalar]:
        """The range of a loop in which the operand is not in its padding, while the outer loop is at ``at``."""
        f, (_, cp, _, cq, offset, extent) = self.k.function, clip
        assert isinstance(loop.extent, int)
        start = f.add(f.mul(at, cp), offset)
        if cq > 0:
            return f.maximum(f.sub(0, start), 0), f.minimum(f.sub(extent, start), loop.extent)
        return f.maximum(f.sub(start, extent - 1), 0), f.minimum(f.add(start, 1), loop.extent)

    def moved(self, at: Place, loop: Loop, turn: Scalar, rows: int = 0) -> Place:
        """The place in an iteration of a loop, if each takes ``rows`` rows of a packed operand."""
        f = self.k.function
        a, b = f.add(at.a, f.mul(turn, loop.a)), f.add(at.b, f.mul(turn, loop.b))
        return Place(a, b, f.add(at.packed, f.mul(turn, rows)))

    def around(self, loops: list[Loop], body: Callable[[Place], None], at: Place = FIRST) -> None:
        """The outer loops around ``body``, which is given the operands' offsets."""
        if not loops:
            body(at)
            return
        f, loop = self.k.function, loops[0]
        low, high = self.range_of(loop)
        with f.loop(low, high) as turn, scope(self.k):
            assert loop.output is not None
            self.fixed[loop.output] = At(turn.index)
            self.at[loop.number] = turn.index
            self.around(loops[1:], body, self.moved(at, loop, turn.index))

    def load(self, view: View, offset: Scalar, more: int, stride: int, mask: str | None) -> str:
        """Load 16 elements ``stride`` apart."""
        k = self.k
        flat = View(view.buffer, (), (1,), view.offset + more)
        with masked(k, mask):
            value = k.load(flat, (At(offset, stride),))
        return k.widen(value, self.element)

    def fetch(self, view: View, offset: Scalar) -> None:
        """Prefetch a cache line of an array."""
        f, base = self.k.function, self.k.pointers[view.buffer]  # without "inbounds": it may be beyond the array
        place = f.add(offset, view.offset)
        pointer = f.op(f"getelementptr {memory_type(view.buffer.dtype)}, ptr {base}, i64 {place}")
        f.emit(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 0, i32 2, i32 1)")


def prefix_of(task: Task) -> Index:
    """The first index of a partial result: the worker's number. Empty for other tasks."""
    return (At("%worker"),) if task.kind == "partial" else ()
