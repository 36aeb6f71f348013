"""The thread pool. Threads are started once.

Between programs they linger (spin) in native code, where the next program reaches them in a fraction of a microsecond,
and then sleep. Waking a sleeping thread takes the system 15 to 50 microseconds, as long as a step of a small network.
"""

from __future__ import annotations

import _thread
import ctypes
import functools
import itertools
import operator
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, cast

import numpy as np

from ranvier.engines.native.runtime import llvm, object_cache, pool_ir, threads
from ranvier.support import exits
from ranvier.support.aligned_memory import aligned_empty

EntryPoint = Callable[[int, int, int], None]
_ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)


def function(address: int, keep: Any = None) -> EntryPoint:
    """The native ``void entry(i64 tid, i64 nthreads, ptr ctx)`` at ``address``, which runs without Python's lock.

    It keeps ``keep`` alive: the Library that holds the code.
    """
    entry: Any = _ENTRY(address)
    entry.keep, entry.address = keep, address
    return entry


def on_one_thread(entry: EntryPoint, ctx: int) -> Callable[[], None]:
    """A call of an entry on this thread alone, whose arguments are converted once."""
    call: Any = entry
    return functools.partial(call, ctypes.c_int64(0), ctypes.c_int64(1), ctypes.c_void_p(ctx))


# Rounds of one pause each, some 25 ns, that a worker lingers: longer than `fit` or an explicit loop takes from one
# native call to the next. With more threads than processors no worker lingers, since others need the processor.
PATIENCE = 6000


class _Native:
    """The functions of `pool_ir`: compiled once per machine, loaded once per process."""

    def __init__(self) -> None:
        library = object_cache.load_text(_text())
        pointer, number = ctypes.c_void_p, ctypes.c_int64
        arguments = (pointer, number, pointer, ctypes.c_char_p)
        self.launch = library.function("launch", number, *arguments)
        self.post, self.finish = (library.function(name, None, *arguments) for name in ("post", "finish"))
        self.serve = library.function("serve", None, pointer, number)
        self.ask = library.function("ask", number, pointer, pointer, pointer)
        self.each = library.address("each")


@functools.cache
def _native() -> _Native:
    return _Native()


@functools.cache
def _text() -> str:
    return pool_ir.pool_ir(llvm.resolve_target("host").arch)


def missing() -> tuple[str, str] | None:
    """The key and the text of what the pool would compile when it is first used; None if the cache has it."""
    cache, key = object_cache.default_cache(), object_cache.key_of_text(_text())
    return None if cache.folder is None or cache.get(key) is not None else (key, _text())


# --- the pool ---------------------------------------------------------------------------------------------------------


class _Worker:
    def __init__(self, pool: _Pool) -> None:
        self.box = aligned_empty(pool_ir.APART // 8, np.int64, pool_ir.APART)
        self.box[:] = 0
        self.box[pool_ir.YIELD] = threads.yield_address()
        self.box[pool_ir.PROCESSORS] = threads.processors()
        self.address = self.box.ctypes.data.to_bytes(8, sys.byteorder)
        # Not a lock: waking a worker that does not sleep must be allowed. It then lingers a little longer.
        self.wake: SimpleQueue[bool] = SimpleQueue()
        self.errand: Any = None  # objects that its current or last entry needs
        self.ended = threading.Lock()
        self.ended.acquire()
        # Not threading.Thread: its start() is bytecode, which Ctrl-C may interrupt. This thread is a daemon.
        _thread.start_new_thread(self._loop, (pool.native.serve, pool.patience))

    def _loop(self, serve: Any, patience: int) -> None:
        box = self.box.ctypes.data
        while self.wake.get():
            serve(box, patience)
        self.ended.release()


class _Pool:
    """Threads that wait for work.

    Each run takes as many as it needs, so concurrent runs never share a thread: a program with barriers always has all
    its threads running.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.idle: list[_Worker] = []
        self.size = 0
        self.closed = False
        self.patience = PATIENCE

    @functools.cached_property
    def native(self) -> _Native:
        return _native()

    def take(self, count: int, workers: list[_Worker]) -> None:
        """Move ``count`` idle threads to ``workers``, all of them or none."""
        with self.lock:
            if self.closed:
                exits.calls.check()
                raise RuntimeError("the interpreter is exiting: no native program can start on several threads")
            while len(self.idle) < count:
                try:
                    self.idle.append(_Worker(self))
                except RuntimeError as error:
                    n = len(self.idle) + 1
                    raise RuntimeError(f"the system gave no thread beyond {n}. Write set_threads({n}).") from error
                self.size += 1
            workers.extend(map(list.pop, itertools.repeat(self.idle, count)))

    def close(self, patience: float = 10.0) -> None:
        """Wait for running programs, then end the threads, so that none is in native code when it is unloaded.

        A program that a daemon thread runs for longer than ``patience`` seconds is not waited for.
        """
        end = time.monotonic() + patience
        self.closed = True
        while len(self.idle) < self.size and time.monotonic() < end:
            time.sleep(0.001)
        with self.lock:
            workers, self.idle = self.idle, []
        for worker in workers:
            worker.wake.put(False)
        for worker in workers:
            worker.ended.acquire(timeout=patience)


_pool = _Pool()


def _close() -> None:
    _pool.close()


exits.at_end(_close)


def _after_fork() -> None:
    """A forked child has its parent's memory, but only the thread that forked."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def run_each(entry: EntryPoint, nthreads: int, contexts: np.ndarray[Any, Any], sync: int) -> None:
    """Run an entry once for each row of ``contexts``, one after another, in one native call: see `run_parallel`.

    ``sync`` is the address of a barrier's block.
    """
    address: Any = entry
    series = np.array([address.address, contexts.ctypes.data, len(contexts), contexts.strides[0], sync], np.int64)
    run_parallel(_pool.native.each, nthreads, series.ctypes.data)


def run_in_background(entry: EntryPoint, ctx: int, needs: Any) -> bool:
    """Have a lingering thread run ``entry(0, 1, ctx)`` in the background; False if there is none.

    Only the entry can report its end: through memory, which must be among the objects ``needs`` that are kept alive.
    """
    pool = _pool
    workers: list[_Worker] = []
    try:
        if not pool.idle:
            return False
        pool.take(1, workers)
        (worker,) = workers
        before, call = worker.errand, cast(Any, entry)
        worker.errand = before, needs  # the previous entry may still be running
        taken = bool(pool.native.ask(call.address, ctx, worker.box.ctypes.data))
        worker.errand = needs if taken else before
        return taken
    finally:
        pool.idle.extend(workers)


def run_parallel(entry: int | EntryPoint, nthreads: int, ctx: int) -> None:
    """Run ``entry(tid, nthreads, ctx)`` for every tid below ``nthreads`` at once: 0 here, the others on the pool.

    ``entry`` is an address or a result of ``function``. Returns when all have returned, also on Ctrl-C, which is raised
    then. Several threads may call it at once.

    Raises:
        ValueError: ``nthreads`` is no whole number from 1 to 1024.
        RuntimeError: the system cannot start so many threads.
    """
    call: Any = function(entry) if isinstance(entry, int) else entry
    if nthreads == 1:
        call(0, 1, ctx)
        return
    threads.positive(nthreads, "nthreads")
    pool = _pool
    workers: list[_Worker] = []
    steps: list[Callable[[], object]] = []
    try:
        pool.take(nthreads - 1, workers)
        native = pool.native
        boxes = b"".join([worker.address for worker in workers])
        given = call.address, nthreads, ctx, boxes
        # Python raises KeyboardInterrupt between bytecodes. One call into C starts all threads or none, including tid
        # 0, since started threads would wait forever for the others. The same holds for returning the threads.
        if native.launch(*given):
            return
        steps = [functools.partial(native.post, *given)]
        steps += [functools.partial(worker.wake.put, True) for worker in workers]
        steps.append(functools.partial(native.finish, *given))
        deque(map(operator.call, steps), maxlen=0)
    finally:
        pool.idle.extend(workers)
