"""The number of threads of native programs, and their barrier."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import operator
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, SupportsIndex

import numpy as np

from ranvier.support.aligned_memory import aligned_empty

MAX_THREADS = 1024
_threads: int | None = None


class _ThreadLocal(threading.local):
    threads: int | None = None  # of `threads_here`


_local = _ThreadLocal()


def positive(value: Any, name: str, read: Callable[[Any], int] = operator.index) -> int:
    try:
        count = read(value)
    except (TypeError, ValueError):
        count = 0
    if isinstance(value, bool) or not 1 <= count <= MAX_THREADS:
        raise ValueError(f"{name} is {value!r}. Write a whole number from 1 to {MAX_THREADS} instead.")
    return count


def set_threads(n: SupportsIndex | None) -> None:
    """Run native programs on ``n`` threads; None goes back to ``default_threads()``. Never changes a result's bits.

    Raises:
        ValueError: ``n`` is no whole number from 1 to 1024.
    """
    global _threads
    _threads = None if n is None else positive(n, "the number of threads")


@contextlib.contextmanager
def threads_here(n: int) -> Iterator[None]:
    """Within this context, programs that this thread runs use ``n`` threads. Other threads are not affected."""
    before = _local.threads
    _local.threads = positive(n, "the number of threads")
    try:
        yield
    finally:
        _local.threads = before


def get_threads() -> int:
    """The largest number of threads that native programs use."""
    return _local.threads or _threads or default_threads()


@functools.cache
def _from_environment() -> int | None:
    wish = os.environ.get("RANVIER_THREADS")
    return positive(wish, "RANVIER_THREADS", int) if wish else None


def fixed_threads() -> int | None:
    """The number set by ``set_threads`` or RANVIER_THREADS; None if it is chosen by measurement."""
    return _local.threads or _threads or _from_environment()


def default_threads() -> int:
    """RANVIER_THREADS if set, otherwise the processors that this process may use.

    These follow from its affinity mask, its cgroup's quota (rounded down, since threads at a barrier must not be
    throttled), and a cap if an outer library runs several processes.

    Raises:
        ValueError: RANVIER_THREADS is no whole number from 1 to 1024.
    """
    if wish := os.environ.get("RANVIER_THREADS"):
        return positive(wish, "RANVIER_THREADS", int)
    return max(1, min(processors(), _outer_cap(), MAX_THREADS))


def processors(root: str = "/") -> int:
    count = _cpu_count()
    if hasattr(os, "sched_getaffinity"):
        count = min(count, len(os.sched_getaffinity(0)))
    return min(count, _quota(root))


@functools.cache
def _cpu_count() -> int:
    return getattr(os, "process_cpu_count", os.cpu_count)() or 1


def _outer_cap() -> int:
    """The cap that joblib, Dask and others set for their workers, in OpenMP's and loky's variables."""
    caps = [os.environ.get(v, "") for v in ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "LOKY_MAX_CPU_COUNT")]
    # The first number applies: "4,2" has the number for nested regions after the comma.
    numbers = [int(m[0]) for m in (re.match(r"\s*[1-9]\d*", c) for c in caps) if m]
    if not numbers and _is_worker_process():
        return 1
    return min(numbers, default=MAX_THREADS)


def _is_worker_process() -> bool:
    """Whether this is a worker process of a pool: of loky, joblib or multiprocessing."""
    if os.environ.get("JOBLIB_SPAWNED_PROCESS"):
        return True
    module = sys.modules.get("multiprocessing.process")  # a worker has it loaded
    process = module.current_process() if module else None
    return bool(process and (process.daemon or process.name.startswith("LokyProcess")))


@functools.cache
def _quota(root: str = "/") -> int:
    """Whole processors that Linux's control groups grant this process, version 1 or 2; MAX_THREADS without a quota."""
    best = MAX_THREADS
    try:
        lines = Path(root, "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return best
    for line in lines:
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Version 1 has a folder for a group of controllers, and a link named after each controller.
        folder = Path(root, "sys/fs/cgroup", "cpu" if controllers else "")
        # A limit may be set on any ancestor. In a container the path may be the host's: then only the root exists.
        parts = [p for p in path.split("/") if p not in ("", "..")]
        for depth in range(len(parts) + 1):
            at = folder.joinpath(*parts[:depth])
            try:
                if controllers:
                    quota, period = (float((at / f"cpu.cfs_{n}_us").read_text()) for n in ("quota", "period"))
                else:
                    quota, period = map(float, (at / "cpu.max").read_text().split())
            except (OSError, ValueError):  # no such folder, no limit ("max")
                continue
            if quota > 0 and period > 0:
                best = min(best, max(1, int(quota / period)))
    return best


_address, _first_byte = ctypes.addressof, ctypes.c_char.from_buffer


def address_of(array: Any) -> int | None:
    """The address of an array's first element; None if the array is not C-contiguous."""
    flags = array.flags
    if flags.carray and array.size:  # NumPy's own ways take three times as long
        return _address(_first_byte(array))
    address: int = array.__array_interface__["data"][0]
    return address if flags.c_contiguous else None


# The barrier's block has the number of arrivals, the generation, and the address of the system's yield with the number
# of processors. They are two cache lines apart, since processors fetch lines in pairs.
_APART = 128
# Rounds of one pause each before yielding. 2000 take some 50 microseconds, longer than threads usually wait. With more
# threads than processors, the awaited thread is probably not running.
ROUNDS, _ROUNDS_CROWDED = 2000, 20
_PAUSES = {"x86_64": "llvm.x86.sse2.pause()", "aarch64": "llvm.aarch64.hint(i32 1)"}


class Pause(NamedTuple):
    """The processor's hint that a loop spins, as LLVM text."""

    declaration: str
    call: str


def pause_ir(arch: str) -> Pause:
    """The pause of an architecture; empty if none is known."""
    name = _PAUSES.get(arch)
    return Pause(f"declare void @{name}".replace("i32 1", "i32"), f"call void @{name}") if name else Pause("", "")


def yield_ir(arch: str, function: str) -> str:
    """LLVM text of the end of a loop that ``watch`` begins: from block ``tired`` on it calls the system's yield.

    ``function`` points to the yield's address; without one, the loop spins, as it does from block ``spin`` on.
    """
    return f"""  %yield = load ptr, ptr {function}, align 8
  %none = icmp eq ptr %yield, null
  br i1 %none, label %spin, label %give
spin:
  {pause_ir(arch).call}
  br label %watch
give:
  %ignored = call i32 %yield()
  br label %watch"""


def barrier_ir(arch: str) -> str:
    """LLVM text of ``void @rv.barrier(ptr sync, i64 n)``: returns once ``n`` threads have called it with this block.

    The last to arrive resets the count and opens the next generation, which the others watch: first spinning, then
    yielding to other processes. All threads see what a thread stored before. ``arch`` is ``Target.arch``.
    """
    return f"""{pause_ir(arch).declaration}
define internal void @rv.barrier(ptr %sync, i64 %n) noinline nounwind {{
entry:
  %alone = icmp ule i64 %n, 1
  br i1 %alone, label %done, label %arrive
arrive:
  %generation = getelementptr i8, ptr %sync, i64 {_APART}
  %yielder = getelementptr i8, ptr %sync, i64 {2 * _APART}
  %old = load atomic i64, ptr %generation monotonic, align 8
  %before = atomicrmw add ptr %sync, i64 1 acq_rel, align 8
  %count = add i64 %before, 1
  %last = icmp eq i64 %count, %n
  br i1 %last, label %open, label %watch
open:
  store atomic i64 0, ptr %sync monotonic, align 8
  %next = add i64 %old, 1
  store atomic i64 %next, ptr %generation release, align 8
  br label %done
watch:
  %round = phi i64 [ 0, %arrive ], [ %more, %spin ], [ %more, %give ]
  %now = load atomic i64, ptr %generation acquire, align 8
  %opened = icmp ne i64 %now, %old
  br i1 %opened, label %done, label %wait
wait:
  %processors.at = getelementptr i8, ptr %yielder, i64 8
  %processors = load i64, ptr %processors.at, align 8
  %crowded = icmp ugt i64 %n, %processors
  %limit = select i1 %crowded, i64 {_ROUNDS_CROWDED}, i64 {ROUNDS}
  %more = add i64 %round, 1
  %patient = icmp ult i64 %more, %limit
  br i1 %patient, label %spin, label %tired
tired:
{yield_ir(arch, "%yielder")}
done:
  ret void
}}
"""


@functools.cache
def yield_address() -> int:
    if sys.platform == "win32":
        function: Any = ctypes.windll.kernel32.SwitchToThread
    else:
        function = ctypes.CDLL(None).sched_yield
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def new_sync_block() -> np.ndarray[Any, Any]:
    """The memory of one barrier, for one program at a time. Keep it while the program runs."""
    block = aligned_empty(3 * _APART // 8, np.uint64, _APART)
    block[:] = 0
    block[2 * _APART // 8] = yield_address()
    block[2 * _APART // 8 + 1] = processors()
    return block
