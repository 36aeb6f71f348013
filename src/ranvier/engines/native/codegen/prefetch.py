"""Prefetching: the rows of a data set that the next step gathers are fetched into the cache during this step.

Rows in random order are anywhere in memory, so the processor cannot predict them, and a product that reads from the
cache leaves the memory idle. So each thread prefetches a few cache lines at every tile of the step's largest product:
of the rows, or parts of rows, that it will gather next.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ranvier.engines.native.codegen.builder import Function
from ranvier.engines.native.schedule.gather_in_place import is_given_rows
from ranvier.engines.native.schedule.memory_planning import LINE
from ranvier.engines.native.schedule.ordering import work
from ranvier.engines.native.schedule.schedule import Schedule
from ranvier.engines.native.schedule.task import Task
from ranvier.engines.native.target.lanes import SIZE, Scalar
from ranvier.graph.node import Node, extent, extents, walk

# A thread's state, in words of 64 bits: the addresses of the indices and of the rows; the next row and the end; the
# position in the row; the first and last byte of a row; the bytes of a row, the last row of all; lines for each tile.
ORDER, SOURCE, ROW, END, AT, LOW, HIGH, PITCH, LAST, LINES = range(10)
BYTES = 128
MIN_ROW_BYTES = 256


@dataclass(frozen=True)
class Prefetch:
    """``task`` gathers rows of the data by ``gather``; ``product`` is the product whose tiles prefetch them."""

    gather: Node
    task: Task
    product: Task

    @property
    def row(self) -> int:
        """The bytes of a row."""
        source = self.gather.inputs[0]
        return prod(extents(source, 1)) * SIZE[source.dtype]


def choose(schedule: Schedule) -> Prefetch | None:
    """What to prefetch, and during which product; None if that gains nothing."""
    last = max((task.phase for task in schedule.order), default=0)
    products = [t for t in schedule.order if t.kind == "contract" and t.division == "split" and t.phase == last > 0]
    gathers = [
        (node, t) for t in schedule.order if t.kind in ("map", "contract") and t.phase == 0 for node in _gathers(t)
    ]
    if schedule.block or not products or not gathers:
        return None
    beside = max(products, key=lambda task: work(task, schedule.batch))
    found = max((Prefetch(node, task, beside) for node, task in gathers), key=lambda f: f.row)
    return found if found.row >= MIN_ROW_BYTES else None


def _gathers(task: Task) -> list[Node]:
    """The gathers of input rows in a task, by indices that are given for each step."""

    def read(node: Node) -> bool:
        return node in task.reads and node not in task.members

    def inner(node: Node) -> bool:
        computed = node.op.kind == "elementwise" or node.op.is_view or node is task.anchor
        return computed and not read(node) and node.op.name != "gather"

    return [node for node in walk(task.nodes, inner) if is_given_rows(node) and not read(node)]


def prepare(
    f: Function, work: str, found: Prefetch, *, order: str, source: str, last: Scalar, rows: tuple[Scalar, Scalar],
    features: tuple[Scalar, Scalar], tiles: Scalar,
) -> None:  # fmt: skip
    """Store, before the thread's workspace, what to prefetch from now on.

    These are ``features`` of ``rows`` of the next step, a few lines with each of this thread's ``tiles``.
    """
    low, high = (f.mul(at, found.row // extent(found.gather, 1)) for at in features)
    lines = f.mul(f.floor_divide(f.add(f.sub(high, low), LINE - 1), LINE), f.sub(rows[1], rows[0]))
    each = f.add(f.floor_divide(lines, f.add(tiles, 1)), 1)
    words = (order, source, *rows, low, low, high, found.row, last, each)
    place = f.pointer(work, -BYTES, "i8")
    for word, value in enumerate(words):
        kind = "ptr" if word in (ORDER, SOURCE) else "i64"
        f.emit(f"store {kind} {value}, ptr {f.pointer(place, word, 'i64')}, align 8")


def _load(word: int) -> str:
    kind = "ptr" if word in (ORDER, SOURCE) else "i64"
    return f"""  %p{word} = getelementptr i64, ptr %d, i64 {word}
  %w{word} = load {kind}, ptr %p{word}, align 8"""


CALL = "call void @rv.fetch(ptr %work)"
TEXT = f"""
define internal void @rv.fetch(ptr %work) noinline nounwind {{
entry:
  %d = getelementptr i8, ptr %work, i64 {-BYTES}
{chr(10).join(_load(word) for word in range(10))}
  br label %check
check:
  %left = phi i64 [ %w{LINES}, %entry ], [ %fewer, %after ]
  %row = phi i64 [ %w{ROW}, %entry ], [ %next, %after ]
  %at = phi i64 [ %w{AT}, %entry ], [ %follows, %after ]
  %some = icmp sgt i64 %left, 0
  %more = icmp slt i64 %row, %w{END}
  %both = and i1 %some, %more
  br i1 %both, label %fetch, label %done
fetch:
  %numbered = getelementptr i32, ptr %w{ORDER}, i64 %row
  %small = load i32, ptr %numbered, align 4
  %number = sext i32 %small to i64
  %bounded = call i64 @llvm.smin.i64(i64 %number, i64 %w{LAST})
  %inside = call i64 @llvm.smax.i64(i64 %bounded, i64 0)
  %far = mul i64 %inside, %w{PITCH}
  %base = getelementptr i8, ptr %w{SOURCE}, i64 %far
  br label %line
line:
  %here = phi i64 [ %at, %fetch ], [ %beyond, %line ]
  %still = phi i64 [ %left, %fetch ], [ %fewer, %line ]
  %place = getelementptr i8, ptr %base, i64 %here
  call void @llvm.prefetch.p0(ptr %place, i32 0, i32 2, i32 1)
  %beyond = add i64 %here, 64
  %fewer = sub i64 %still, 1
  %within = icmp slt i64 %beyond, %w{HIGH}
  %go = icmp sgt i64 %fewer, 0
  %again = and i1 %within, %go
  br i1 %again, label %line, label %after
after:
  %follows = select i1 %within, i64 %beyond, i64 %w{LOW}
  %passed = zext i1 %within to i64
  %one = sub i64 1, %passed
  %next = add i64 %row, %one
  br label %check
done:
  store i64 %at, ptr %p{AT}, align 8
  store i64 %row, ptr %p{ROW}, align 8
  ret void
}}
"""
