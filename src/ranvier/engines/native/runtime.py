"""Threads for native programs: how many, a pool that runs one entry point on all of them, the barrier where they meet,
and aligned memory.
"""

from __future__ import annotations

import _thread
import atexit
import ctypes
import functools
import itertools
import math
import operator
import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np

MOST_THREADS = 1024
_threads: int | None = None


def _positive(value: Any, name: str, read: Callable[[Any], int] = operator.index) -> int:
    try:
        count = read(value)
    except (TypeError, ValueError):
        count = 0
    if isinstance(value, bool) or not 1 <= count <= MOST_THREADS:
        raise ValueError(f"{name} is {value!r}. Write a whole number from 1 to {MOST_THREADS} instead.")
    return count


def set_threads(n: SupportsIndex | None) -> None:
    """Run native programs on ``n`` threads; None goes back to ``default_threads()``. Never changes a result's bits.

    Raises:
        ValueError: ``n`` is no whole number from 1 to 1024.
    """
    global _threads
    _threads = None if n is None else _positive(n, "the number of threads")


def get_threads() -> int:
    """The number of threads that native programs may use."""
    return _threads or default_threads()


@functools.cache
def _wished() -> int | None:
    wish = os.environ.get("RANVIER_THREADS")
    return _positive(wish, "RANVIER_THREADS", int) if wish else None


def fixed_threads() -> int | None:
    """The number that ``set_threads`` or RANVIER_THREADS asks for; None where the choice is left to measurement."""
    return _threads or _wished()


def default_threads() -> int:
    """RANVIER_THREADS if set, else the processors this process may use: its affinity mask, its cgroup's quota (rounded
    down, since threads that meet at barriers must not be throttled), and a cap where an outer library runs many of us.

    Raises:
        ValueError: RANVIER_THREADS is no whole number from 1 to 1024.
    """
    if wish := os.environ.get("RANVIER_THREADS"):
        return _positive(wish, "RANVIER_THREADS", int)
    return max(1, min(_processors(), _outer_cap(), MOST_THREADS))


def _processors(root: str = "/") -> int:
    count = _cpu_count()
    if hasattr(os, "sched_getaffinity"):
        count = min(count, len(os.sched_getaffinity(0)))
    return min(count, _quota(root))


@functools.cache
def _cpu_count() -> int:
    return getattr(os, "process_cpu_count", os.cpu_count)() or 1


def _outer_cap() -> int:
    """joblib, Dask and their kin tell their workers through OpenMP's and loky's variables how many threads to use."""
    caps = [os.environ.get(v, "") for v in ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "LOKY_MAX_CPU_COUNT")]
    # The first number is ours: "4,2" speaks of nested regions after the comma.
    numbers = [int(m[0]) for m in (re.match(r"\s*[1-9]\d*", c) for c in caps) if m]
    if not numbers and _is_worker_process():
        return 1
    return min(numbers, default=MOST_THREADS)


def _is_worker_process() -> bool:
    """One of several processes that share the machine: a worker of loky's, joblib's or multiprocessing's pools."""
    if os.environ.get("JOBLIB_SPAWNED_PROCESS"):
        return True
    module = sys.modules.get("multiprocessing.process")  # a worker has it loaded
    process = module.current_process() if module else None
    return bool(process and (process.daemon or process.name.startswith("LokyProcess")))


@functools.cache
def _quota(root: str = "/") -> int:
    """Whole processors that Linux's control groups grant this process, version 1 or 2; MOST_THREADS without a quota."""
    best = MOST_THREADS
    try:
        lines = Path(root, "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return best
    for line in lines:
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Version 1 has a folder for its group of controllers, and a link to it named by each of them.
        folder = Path(root, "sys/fs/cgroup", "cpu" if controllers else "")
        # A limit may stand on any ancestor. Inside a container the path may be the host's: then only the top exists.
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


def aligned_empty(
    shape: int | tuple[int, ...], dtype: Any, alignment: int = 64, order: str = "C"
) -> np.ndarray[Any, Any]:
    """An uninitialized array whose first byte is at a multiple of ``alignment`` bytes (a power of two).

    Raises:
        ValueError: the alignment is no power of two, or the dtype holds Python objects.
        MemoryError: the array does not fit in memory.
    """
    dtype = np.dtype(dtype)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if alignment < 1 or alignment & (alignment - 1) or dtype.hasobject:
        raise ValueError(
            f"alignment {alignment}, dtype {dtype}. Write a power of two and a numeric dtype instead."
        )
    size = math.prod(shape) * dtype.itemsize
    if size > sys.maxsize - alignment:
        raise MemoryError(f"an array of shape {shape} and dtype {dtype} needs {size / 2**30:.3g} GiB")
    memory = np.empty(size + alignment, np.uint8)
    start = -memory.ctypes.data % alignment
    array: np.ndarray[Any, Any] = memory[start : start + size].view(dtype)
    return array.reshape(shape, order="F" if order == "F" else "C")


# The barrier. Its block has the arrivals; the generation; and the address of the system's yield with the number of
# processors. They are two cache lines apart, since processors fetch lines in pairs.
_APART = 128
# Rounds of one pause each before yielding. 2000 take some 50 microseconds, longer than threads are usually apart. With
# more threads than processors, whoever is awaited is probably not running.
_ROUNDS, _ROUNDS_CROWDED = 2000, 20
_PAUSES = {"x86_64": "llvm.x86.sse2.pause()", "aarch64": "llvm.aarch64.hint(i32 1)"}


def barrier_ir(arch: str) -> str:
    """LLVM text of ``void @rv.barrier(ptr sync, i64 n)``: returns once ``n`` threads have called it with this block.

    The last to arrive zeroes the count, then opens the next generation, which the others watch: first spinning, then
    yielding to other processes. What a thread stored before is seen by all after. ``arch`` is ``Target.arch``.
    """
    pause = _PAUSES.get(arch)
    declaration = f"declare void @{pause}".replace("i32 1", "i32") if pause else ""
    return f"""{declaration}
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
  %limit = select i1 %crowded, i64 {_ROUNDS_CROWDED}, i64 {_ROUNDS}
  %more = add i64 %round, 1
  %patient = icmp ult i64 %more, %limit
  br i1 %patient, label %spin, label %tired
tired:
  %yield = load ptr, ptr %yielder, align 8
  %none = icmp eq ptr %yield, null
  br i1 %none, label %spin, label %give
spin:
  {f"call void @{pause}" if pause else ""}
  br label %watch
give:
  %ignored = call i32 %yield()
  br label %watch
done:
  ret void
}}
"""


@functools.cache
def _yield_address() -> int:
    if sys.platform == "win32":
        function: Any = ctypes.windll.kernel32.SwitchToThread
    else:
        function = ctypes.CDLL(None).sched_yield
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def new_sync_block() -> np.ndarray[Any, Any]:
    """The memory of one barrier, ready for use by one program at a time. Keep it while the program runs."""
    block = aligned_empty(3 * _APART // 8, np.uint64, _APART)
    block[:] = 0
    block[2 * _APART // 8] = _yield_address()
    block[2 * _APART // 8 + 1] = _processors()
    return block


Entry = Callable[[int, int, int], None]
_ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)


def function(address: int, keep: Any = None) -> Entry:
    """The native ``void entry(i64 tid, i64 nthreads, ptr ctx)`` at ``address``, callable from Python without
    holding the interpreter's lock. It holds on to ``keep``, such as the Library that the code lies in.
    """
    entry: Any = _ENTRY(address)
    entry.keep = keep
    return entry  # type: ignore[no-any-return]


class _Call:
    """One parallel run: what its workers execute, and how many have yet to return."""

    def __init__(self, entry: Entry, nthreads: int, ctx: int) -> None:
        self.entry, self.nthreads, self.ctx = entry, nthreads, ctx
        self.left = nthreads - 1
        self.done = threading.Lock()
        self.done.acquire()


class _Worker:
    def __init__(self, pool: _Pool) -> None:
        self.pool = pool
        self.call: _Call | None = None
        self.tid = 0
        self.wake = threading.Lock()
        self.wake.acquire()
        self.ended = threading.Lock()
        self.ended.acquire()
        # Not threading.Thread, whose start() is bytecode and may be torn apart by Ctrl-C. Such a thread is a daemon.
        _thread.start_new_thread(self._loop, ())

    def _loop(self) -> None:
        pool = self.pool
        while True:
            self.wake.acquire()
            call, self.call = self.call, None
            if call is None:
                self.ended.release()
                return
            call.entry(self.tid, call.nthreads, call.ctx)
            with pool.lock:
                pool.idle.append(self)
                call.left -= 1
                last = not call.left
            if last:
                call.done.release()


class _Pool:
    """Parked threads. Each run takes as many as it needs, so concurrent runs never share one: a program that meets at
    barriers always has all its threads live.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.idle: list[_Worker] = []
        self.size = 0
        self.closed = False

    def take(self, count: int, workers: list[_Worker]) -> None:
        """Move ``count`` parked threads to ``workers``, all of them or none."""
        with self.lock:
            if self.closed:
                raise RuntimeError(
                    "the interpreter is exiting: no native program can start on several threads"
                )
            while len(self.idle) < count:
                try:
                    self.idle.append(_Worker(self))
                except RuntimeError as error:
                    n = len(self.idle) + 1
                    raise RuntimeError(
                        f"the system gave no thread beyond {n}. Write set_threads({n})."
                    ) from error
                self.size += 1
            workers.extend(map(list.pop, itertools.repeat(self.idle, count)))

    def close(self, patience: float = 10.0) -> None:
        """Let running programs end, then end the threads, so that none is in native code when that is unloaded.
        A program that a daemon thread runs for longer than ``patience`` seconds is left behind.
        """
        end = time.monotonic() + patience
        self.closed = True
        while len(self.idle) < self.size and time.monotonic() < end:
            time.sleep(0.001)
        with self.lock:
            workers, self.idle = self.idle, []
        for worker in workers:
            worker.wake.release()
        for worker in workers:
            worker.ended.acquire(timeout=patience)


_pool = _Pool()


@atexit.register
def _close() -> None:
    _pool.close()


def _after_fork() -> None:
    """A child has its parent's memory, but only the thread that forked."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def run_parallel(entry: int | Entry, nthreads: int, ctx: int) -> None:
    """Run ``entry(tid, nthreads, ctx)`` with every tid below ``nthreads`` at once: 0 here, the others on the pool.

    ``entry`` is an address or what ``function`` made of it. Returns when all have returned, also on Ctrl-C, which is
    raised then. Several threads may call it at once.

    Raises:
        ValueError: ``nthreads`` is no whole number from 1 to 1024.
        RuntimeError: the system cannot start so many threads.
    """
    call_entry: Any = _ENTRY(entry) if isinstance(entry, int) else entry
    if nthreads == 1:
        call_entry(0, 1, ctx)
        return
    call = _Call(call_entry, _positive(nthreads, "nthreads"), ctx)
    pool = _pool
    workers: list[_Worker] = []
    started: list[bool] = []
    interrupt: BaseException | None = None
    try:
        pool.take(nthreads - 1, workers)
        for tid, worker in enumerate(workers, 1):
            worker.tid, worker.call = tid, call
        # Python raises KeyboardInterrupt between bytecodes. One call into C starts all threads or none, tid 0 included,
        # for those that started would wait for the others for ever.
        steps: list[Callable[[], object]] = [functools.partial(started.append, True)]
        steps += [worker.wake.release for worker in workers]
        steps.append(functools.partial(call_entry, 0, nthreads, ctx))
        deque(map(operator.call, steps), maxlen=0)
    except BaseException as error:  # noqa: BLE001 - raised again below, once no thread is in native code
        interrupt = error
    while started and call.left:
        try:
            call.done.acquire()
        except BaseException as error:  # noqa: BLE001 - likewise
            interrupt = error
    if workers and not started:
        with pool.lock:
            pool.idle += workers
    if interrupt is not None:
        raise interrupt
