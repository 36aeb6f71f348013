"""The communication time of the cores: how long two threads take to meet at the barrier of the engine.

Small steps on several threads depend on it, and a virtual machine may move to other cores at any moment.
"""

from __future__ import annotations

import time

from ranvier.engines.native.runtime import llvm, thread_pool, threads

MEETINGS = 20_000


def _text(arch: str) -> str:
    return f"""{threads.barrier_ir(arch)}
define void @meet(i64 %tid, i64 %n, ptr %sync) nounwind {{
start:
  br label %again
again:
  %i = phi i64 [ 0, %start ], [ %next, %again ]
  call void @rv.barrier(ptr %sync, i64 %n)
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, {MEETINGS}
  br i1 %more, label %again, label %done
done:
  ret void
}}
"""


class Cores:
    """`measure` returns the nanoseconds of one meeting."""

    def __init__(self) -> None:
        target = llvm.resolve_target("host")
        library = llvm.load_object(llvm.compile_object(_text(target.arch), target), target)
        self.meet = thread_pool.function(library.address("meet"), library)

    def measure(self, tries: int = 3) -> float:
        """The best of a few tries, without random delays."""
        sync = threads.new_sync_block()
        found = []
        for _ in range(tries):
            start = time.perf_counter()
            thread_pool.run_parallel(self.meet, 2, sync.ctypes.data)
            found.append((time.perf_counter() - start) / MEETINGS * 1e9)
        return min(found)
