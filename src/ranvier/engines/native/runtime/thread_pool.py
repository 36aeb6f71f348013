"""The threads that run a program together. They are started once. Between programs they linger in native code, where
the next program reaches them in a fraction of a microsecond, and only then sleep.

Waking a sleeping thread takes the system some 15 to 50 microseconds, as long as a whole step of a small network.
"""

from __future__ import annotations

import _thread
import atexit
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

from ranvier.engines.native.runtime import llvm, object_cache, threads

Entry = Callable[[int, int, int], None]
_ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)


def function(address: int, keep: Any = None) -> Entry:
    """The native ``void entry(i64 tid, i64 nthreads, ptr ctx)`` at ``address``, callable from Python without
    holding the interpreter's lock. It holds on to ``keep``, such as the Library that the code lies in.
    """
    entry: Any = _ENTRY(address)
    entry.keep, entry.address = keep, address
    return entry


# --- native code ------------------------------------------------------------------------------------------------------

# A worker's box, a cache line of 64-bit words: its state, then what it is to run, then the system's yield.
_STATE, _ENTRY_AT, _TID, _N, _CTX, _YIELD, _PROCESSORS = range(7)
# What ``each`` is given: the entry, the first context, their number and how far apart they are, and a barrier's block.
_OF, _CONTEXTS, _COUNT, _BYTES, _MEET = range(5)
_ASLEEP, _LINGERING, _BUSY, _HELD = range(4)
_APART = 128  # bytes from box to box: processors fetch lines in pairs
# Rounds of one pause each, some 25 ns, that a worker lingers: longer than `fit` or an explicit loop takes from one
# native call to the next. With more threads than processors nobody lingers, for others need the processor.
PATIENCE = 6000


def team_ir(arch: str) -> str:
    """LLVM text of what moves a program to other threads and waits for them. ``boxes`` holds the addresses of the boxes
    of ``n - 1`` workers, who are numbered from 1.

    ``serve(box, patience)`` is where a worker lives: it runs what its box says, then lingers for so many rounds, and
    returns when it may sleep. ``launch(entry, n, ctx, boxes)`` runs an entry on all threads if every worker lingers,
    and returns 1 when all have ended; else it does nothing and returns 0. ``post`` gives the work to workers in any
    state, ``finish`` takes the caller's part and waits for the others; between the two, sleeping ones must be woken.
    ``ask(entry, ctx, box)`` has a worker run an entry alone and returns 1 at once; 0 if the worker does not linger.
    ``each`` is an entry too: it runs another one over contexts that lie in a row, one after the other.
    """
    pause = threads.pause_ir(arch)

    def word(box: str, index: int, name: str) -> str:
        return f"%{name} = getelementptr i64, ptr {box}, i64 {index}"

    def over(name: str, before: str, after: str, body: str, *, i: str = "%i") -> str:
        """A loop over the workers' boxes, from block ``before`` to block ``after``."""
        more = f"%{name}.more"
        return f"""
  br label %{name}
{name}:
  {i} = phi i64 [ 0, %{before} ], [ {i}1, %{name}.next ]
  {more} = icmp ult i64 {i}, %others
  br i1 {more}, label %{name}.do, label %{after}
{name}.do:
  %{name}.at = getelementptr ptr, ptr %boxes, i64 {i}
  %{name}.box = load ptr, ptr %{name}.at, align 8
  {i}1 = add i64 {i}, 1
{body}
{name}.next:
  br label %{name}
"""

    wait = f"""
  br label %watch
watch:
  %round = phi i64 [ 0, %wait.do ], [ %round1, %spin ], [ %round1, %give ]
  %state = load atomic i64, ptr %wait.box acquire, align 8
  %busy = icmp eq i64 %state, {_BUSY}
  br i1 %busy, label %again, label %wait.next
again:
  %round1 = add i64 %round, 1
  %patient = icmp ult i64 %round1, {threads.ROUNDS}
  br i1 %patient, label %spin, label %tired
tired:
  {word("%wait.box", _YIELD, "yield.at")}
  %yield = load ptr, ptr %yield.at, align 8
  %none = icmp eq ptr %yield, null
  br i1 %none, label %spin, label %give
spin:
  {pause.call}
  br label %watch
give:
  %ignored = call i32 %yield()
  br label %watch
"""
    finish = "call void @finish(ptr %entry, i64 %n, ptr %ctx, ptr %boxes)"
    post = f"""
  br label %asked
asked:
  %errand = load atomic i64, ptr %post.box acquire, align 8
  %away = icmp eq i64 %errand, {_BUSY}
  br i1 %away, label %back, label %fill
back:
  {pause.call}
  br label %asked
fill:
  {word("%post.box", _ENTRY_AT, "e")}
  store ptr %entry, ptr %e, align 8
  {word("%post.box", _TID, "t")}
  store i64 %i1, ptr %t, align 8
  {word("%post.box", _N, "k")}
  store i64 %n, ptr %k, align 8
  {word("%post.box", _CTX, "c")}
  store ptr %ctx, ptr %c, align 8
  %was = atomicrmw xchg ptr %post.box, i64 {_BUSY} acq_rel, align 8
  br label %post.next"""
    hold = f"""
  %pair = cmpxchg ptr %hold.box, i64 {_LINGERING}, i64 {_HELD} acq_rel monotonic, align 8
  %held = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %held, label %hold.next, label %undo.start"""
    undo = f"""
  %before = icmp ult i64 %u, %i
  br i1 %before, label %undo.free, label %undo.next
undo.free:
  store atomic i64 {_LINGERING}, ptr %undo.box release, align 8
  br label %undo.next"""
    arguments = "ptr %entry, i64 %n, ptr %ctx, ptr %boxes"
    return f"""{threads.barrier_ir(arch)}
define void @serve(ptr %box, i64 %patience) nounwind {{
start:
  %woken = cmpxchg ptr %box, i64 {_ASLEEP}, i64 {_LINGERING} acq_rel monotonic, align 8
  br label %watch
watch:
  %round = phi i64 [ 0, %start ], [ 0, %run ], [ %round, %hold ], [ %round1, %linger ]
  %limit = phi i64 [ %patience, %start ], [ %limit1, %run ], [ %limit, %hold ], [ %limit, %linger ]
  %state = load atomic i64, ptr %box acquire, align 8
  switch i64 %state, label %idle [ i64 {_BUSY}, label %run
                                   i64 {_HELD}, label %hold ]
run:
  {word("%box", _ENTRY_AT, "e")}
  %entry = load ptr, ptr %e, align 8
  {word("%box", _TID, "t")}
  %tid = load i64, ptr %t, align 8
  {word("%box", _N, "k")}
  %n = load i64, ptr %k, align 8
  {word("%box", _CTX, "c")}
  %ctx = load ptr, ptr %c, align 8
  call void %entry(i64 %tid, i64 %n, ptr %ctx)
  {word("%box", _PROCESSORS, "p")}
  %processors = load i64, ptr %p, align 8
  %crowded = icmp ugt i64 %n, %processors
  %limit1 = select i1 %crowded, i64 0, i64 %patience
  store atomic i64 {_LINGERING}, ptr %box release, align 8
  br label %watch
hold:
  {pause.call}
  br label %watch
idle:
  %round1 = add i64 %round, 1
  %patient = icmp ult i64 %round1, %limit
  br i1 %patient, label %linger, label %leave
linger:
  {pause.call}
  br label %watch
leave:
  %pair = cmpxchg ptr %box, i64 {_LINGERING}, i64 {_ASLEEP} acq_rel monotonic, align 8
  %asleep = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %asleep, label %done, label %linger
done:
  ret void
}}
define void @post({arguments}) nounwind {{
start:
  %others = sub i64 %n, 1
{over("post", "start", "done", post)}
done:
  ret void
}}
define void @finish({arguments}) nounwind {{
start:
  call void %entry(i64 0, i64 %n, ptr %ctx)
  %others = sub i64 %n, 1
{over("wait", "start", "done", wait)}
done:
  ret void
}}
define i64 @launch({arguments}) nounwind {{
start:
  %others = sub i64 %n, 1
{over("hold", "start", "go", hold)}
undo.start:
{over("undo", "undo.start", "refused", undo, i="%u")}
refused:
  ret i64 0
go:
  call void @post({arguments})
  {finish}
  ret i64 1
}}
define i64 @ask(ptr %entry, ptr %ctx, ptr %box) nounwind {{
start:
  %pair = cmpxchg ptr %box, i64 {_LINGERING}, i64 {_HELD} acq_rel monotonic, align 8
  %held = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %held, label %go, label %refused
refused:
  ret i64 0
go:
  {word("%box", _ENTRY_AT, "e")}
  store ptr %entry, ptr %e, align 8
  {word("%box", _TID, "t")}
  store i64 0, ptr %t, align 8
  {word("%box", _N, "k")}
  store i64 1, ptr %k, align 8
  {word("%box", _CTX, "c")}
  store ptr %ctx, ptr %c, align 8
  store atomic i64 {_BUSY}, ptr %box release, align 8
  ret i64 1
}}
define void @each(i64 %tid, i64 %n, ptr %series) nounwind {{
start:
  {word("%series", _OF, "e")}
  %entry = load ptr, ptr %e, align 8
  {word("%series", _CONTEXTS, "c")}
  %contexts = load ptr, ptr %c, align 8
  {word("%series", _COUNT, "k")}
  %count = load i64, ptr %k, align 8
  {word("%series", _BYTES, "b")}
  %bytes = load i64, ptr %b, align 8
  {word("%series", _MEET, "m")}
  %sync = load ptr, ptr %m, align 8
  br label %more
more:
  %i = phi i64 [ 0, %start ], [ %i1, %one ]
  %left = icmp ult i64 %i, %count
  br i1 %left, label %one, label %done
one:
  %at = mul i64 %i, %bytes
  %ctx = getelementptr i8, ptr %contexts, i64 %at
  call void %entry(i64 %tid, i64 %n, ptr %ctx)
  call void @rv.barrier(ptr %sync, i64 %n)
  %i1 = add i64 %i, 1
  br label %more
done:
  ret void
}}
"""


class _Native:
    """The functions of `team_ir`, compiled once a machine and loaded once a process."""

    def __init__(self) -> None:
        target = llvm.resolve_target("host")
        text = team_ir(target.arch)
        library = llvm.load_object(object_cache.compiled_object(text, target), target)
        self.keep = library
        arguments = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_char_p)

        def load(name: str, result: Any, *types: Any) -> Any:
            return ctypes.CFUNCTYPE(result, *types)(library.address(name))

        self.launch = load("launch", ctypes.c_int64, *arguments)
        self.post, self.finish = (load(name, None, *arguments) for name in ("post", "finish"))
        self.serve = load("serve", None, ctypes.c_void_p, ctypes.c_int64)
        self.ask = load("ask", ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        self.each = library.address("each")


@functools.cache
def _native() -> _Native:
    return _Native()


# --- the pool ---------------------------------------------------------------------------------------------------------


class _Worker:
    def __init__(self, pool: _Pool) -> None:
        self.box = threads.aligned_empty(_APART // 8, np.int64, _APART)
        self.box[:] = 0
        self.box[_YIELD] = threads.yield_address()
        self.box[_PROCESSORS] = threads.processors()
        self.address = self.box.ctypes.data.to_bytes(8, sys.byteorder)
        # Unlike a lock it may be released once too often: a worker that is told to wake and does not sleep only lingers
        # a little longer.
        self.wake: SimpleQueue[bool] = SimpleQueue()
        self.errand: Any = None  # what the one that it runs, or ran last, needs in memory
        self.ended = threading.Lock()
        self.ended.acquire()
        # Not threading.Thread, whose start() is bytecode and may be torn apart by Ctrl-C. Such a thread is a daemon.
        _thread.start_new_thread(self._loop, (pool.native.serve, pool.patience))

    def _loop(self, serve: Any, patience: int) -> None:
        box = self.box.ctypes.data
        while self.wake.get():
            serve(box, patience)
        self.ended.release()


class _Pool:
    """Threads that wait for work. Each run takes as many as it needs, so concurrent runs never share one: a program
    that meets at barriers always has all its threads live.
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
            worker.wake.put(False)
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


def run_each(entry: Entry, nthreads: int, contexts: np.ndarray[Any, Any], sync: int) -> None:
    """Run an entry once for each row of ``contexts``, one after the other, in one native call: see `run_parallel`.

    ``sync`` is the address of a barrier's block.
    """
    address: Any = entry
    series = np.array(
        [address.address, contexts.ctypes.data, len(contexts), contexts.strides[0], sync], np.int64
    )
    run_parallel(_pool.native.each, nthreads, series.ctypes.data)


def run_beside(entry: Entry, ctx: int, needs: Any) -> bool:
    """Have a thread that lingers run ``entry(0, 1, ctx)`` while the caller goes on; False where there is none.

    When it has run, only the entry can tell: through memory, which is to be among what it ``needs``, and which is kept.
    """
    pool = _pool
    workers: list[_Worker] = []
    try:
        if not pool.idle:
            return False
        pool.take(1, workers)
        (worker,) = workers
        before, call = worker.errand, cast(Any, entry)
        worker.errand = before, needs  # the one before may still be under way
        taken = bool(pool.native.ask(call.address, ctx, worker.box.ctypes.data))
        worker.errand = needs if taken else before
        return taken
    finally:
        pool.idle.extend(workers)


def run_parallel(entry: int | Entry, nthreads: int, ctx: int) -> None:
    """Run ``entry(tid, nthreads, ctx)`` with every tid below ``nthreads`` at once: 0 here, the others on the pool.

    ``entry`` is an address or what ``function`` made of it. Returns when all have returned, also on Ctrl-C, which is
    raised then. Several threads may call it at once.

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
        # Python raises KeyboardInterrupt between bytecodes. One call into C starts all threads or none, tid 0 included,
        # for those that started would wait for the others for ever; and it gives the threads back.
        if native.launch(*given):
            return
        steps = [functools.partial(native.post, *given)]
        steps += [functools.partial(worker.wake.put, True) for worker in workers]
        steps.append(functools.partial(native.finish, *given))
        deque(map(operator.call, steps), maxlen=0)
    finally:
        pool.idle.extend(workers)
