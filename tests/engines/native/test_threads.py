"""Threads, their pool, barrier and aligned memory: FAULTS 32, 38, 39, 40, 43, 45, 46."""

import _thread
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ranvier.engines.native.runtime import thread_pool
from ranvier.engines.native.runtime import threads as runtime
from ranvier.engines.native.runtime.llvm import compile_object, load_object, resolve_target
from ranvier.engines.native.runtime.shuffle import shuffled
from ranvier.engines.native.runtime.thread_pool import function, run_in_background, run_parallel
from ranvier.engines.native.runtime.threads import barrier_ir, default_threads, get_threads, new_sync_block, set_threads
from ranvier.graph.random import shuffle
from ranvier.support.aligned_memory import aligned_empty

# Per round: every thread writes its cell, all meet, every thread adds up all cells, all meet. ctx: sync, rounds, cells, sums.
PROGRAM = """
define void @nothing(i64 %tid, i64 %n, ptr %ctx) {
  ret void
}
define void @sums(i64 %tid, i64 %n, ptr %ctx) {
entry:
  %sync = load ptr, ptr %ctx
  %at1 = getelementptr i64, ptr %ctx, i64 1
  %rounds = load i64, ptr %at1
  %at2 = getelementptr i64, ptr %ctx, i64 2
  %cells = load ptr, ptr %at2
  %at3 = getelementptr i64, ptr %ctx, i64 3
  %sums = load ptr, ptr %at3
  %mine = getelementptr i64, ptr %cells, i64 %tid
  %sum = getelementptr i64, ptr %sums, i64 %tid
  br label %round
round:
  %r = phi i64 [ 0, %entry ], [ %r1, %last ]
  %rt = mul i64 %r, %tid
  store i64 %rt, ptr %mine
  call void @rv.barrier(ptr %sync, i64 %n)
  br label %add
add:
  %i = phi i64 [ 0, %round ], [ %i1, %add ]
  %cell = getelementptr i64, ptr %cells, i64 %i
  %v = load i64, ptr %cell
  %old = load i64, ptr %sum
  %new = add i64 %old, %v
  store i64 %new, ptr %sum
  %i1 = add i64 %i, 1
  %more = icmp ult i64 %i1, %n
  br i1 %more, label %add, label %last
last:
  call void @rv.barrier(ptr %sync, i64 %n)
  %r1 = add i64 %r, 1
  %again = icmp ult i64 %r1, %rounds
  br i1 %again, label %round, label %end
end:
  ret void
}
"""


@pytest.fixture(scope="module")
def library():
    target = resolve_target("host")
    return load_object(compile_object(barrier_ir(target.arch) + PROGRAM, target), target)


class Sums:
    def __init__(self, library, threads: int, rounds: int) -> None:
        self.threads, self.rounds = threads, rounds
        self.entry = function(library.address("sums"), library)
        self.sync = new_sync_block()
        self.cells, self.sums = np.zeros((2, threads), np.int64)
        self.ctx = np.array([self.sync.ctypes.data, rounds, self.cells.ctypes.data, self.sums.ctypes.data], np.int64)

    def run(self) -> bool:
        self.sums[:] = 0
        run_parallel(self.entry, self.threads, self.ctx.ctypes.data)
        expected = sum(range(self.rounds)) * sum(range(self.threads))
        return bool(self.sums.tolist() == [expected] * self.threads)


@pytest.mark.parametrize("threads", [1, 2, 3, 7, 16])
def test_threads_meet_at_every_barrier(threads, library):
    sums = Sums(library, threads, 200)
    assert all(sums.run() for _ in range(3))


def test_a_barrier_works_without_a_yield(library):
    sums = Sums(library, 2, 20)
    sums.sync[32] = 0
    assert sums.run()


@pytest.mark.parametrize("name", ["x86-64-v2", "x86-64-v4", "aarch64"])
def test_the_barrier_compiles_for_every_target(name):
    target = resolve_target(name)
    assert compile_object(barrier_ir(target.arch) + PROGRAM, target)


def test_a_block_serves_programs_of_different_widths(library):
    first, second = Sums(library, 3, 11), Sums(library, 2, 7)
    second.ctx[0] = first.ctx[0]
    assert all(program.run() for program in (first, second, first, second))


def test_40_concurrent_callers_never_share_a_thread(library):
    results: list[bool] = []

    def work(threads: int) -> None:
        sums = Sums(library, threads, 20)
        results.extend(sums.run() for _ in range(15))

    callers = [threading.Thread(target=work, args=(n,)) for n in (2, 3, 4, 2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert results == [True] * 60


@pytest.mark.skipif(runtime.processors() < 2, reason="threads linger where each has a processor")
@pytest.mark.parametrize(("patience", "lingers"), [(10**6, True), (0, False)])
def test_an_errand_for_a_thread_that_lingers(patience, lingers, library, monkeypatch):
    """It runs in the background, also if the next program needs its thread; a sleeping thread takes no errand."""
    taken = []

    def spy(*args):
        taken.append(run_in_background(*args))
        return taken[-1]

    pool = thread_pool._Pool()
    pool.patience = patience
    monkeypatch.setattr(thread_pool, "_pool", pool)
    monkeypatch.setattr(thread_pool, "run_in_background", spy)
    rows = np.arange(1 << 18, dtype=np.int32)
    for seed in range(10):
        expected = shuffle(rows, seed)
        assert Sums(library, 2, 1).run()
        order = shuffled(rows, seed, background=True)
        assert Sums(library, 2, 3).run()
        assert np.array_equal(order(), expected)
    assert any(taken) if lingers else not all(taken)  # a busy machine may keep this thread from its call for long
    pool.close()


def test_the_lock_of_the_interpreter_is_released(library):
    """A native call that waits for another thread's native call can only return if both run."""
    block = new_sync_block()
    sums = Sums(library, 2, 5)
    sums.ctx[0] = block.ctypes.data
    other = threading.Thread(target=sums.entry, args=(1, 2, sums.ctx.ctypes.data))
    other.start()
    sums.entry(0, 2, sums.ctx.ctypes.data)
    other.join(60)
    assert not other.is_alive()
    assert sums.sums.tolist() == [10, 10]


def test_an_address_will_do(library):
    run_parallel(library.address("nothing"), 1, 0)
    run_parallel(library.address("nothing"), 3, 0)


@pytest.mark.parametrize("threads", [0, -1, 2000, 2.5, "2", None])
def test_a_wrong_number_of_threads_is_refused(threads, library):
    with pytest.raises(ValueError, match="from 1 to 1024"):
        run_parallel(library.address("nothing"), threads, 0)


def test_a_system_without_threads_is_an_error_and_loses_nothing(library, monkeypatch):
    monkeypatch.setattr(thread_pool, "_pool", thread_pool._Pool())
    assert Sums(library, 2, 3).run()

    def refuse(*args):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(_thread, "start_new_thread", refuse)
        with pytest.raises(RuntimeError, match=r"Write set_threads\(2\)"):
            run_parallel(library.address("nothing"), 5, 0)
        assert Sums(library, 2, 3).run()
    assert Sums(library, 5, 3).run()
    thread_pool._pool.close()
    with pytest.raises(RuntimeError, match="exiting"):
        run_parallel(library.address("nothing"), 2, 0)


SETUP = """
import os, sys, threading, time, signal
from tests.engines.native.test_threads import *
target = resolve_target("host")
library = load_object(compile_object(barrier_ir(target.arch) + PROGRAM, target), target)
"""


def python(program: str, timeout: float = 60) -> subprocess.CompletedProcess:
    root = str(Path(__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path]), "PYTHONFAULTHANDLER": "1"}
    command = [sys.executable, "-c", SETUP + program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("assert Sums(library, 3, 5).run()", id="parked"),
        pytest.param(
            "threading.Thread(target=lambda: [Sums(library, 2, 2000).run() for _ in range(50)], daemon=True).start()\n"
            "time.sleep(0.05)",
            id="a daemon thread inside a native program",
        ),
        pytest.param("import atexit\natexit.register(lambda: Sums(library, 2, 5).run())", id="used at exit"),
        pytest.param("Sums(library, 3, 5).run()\nsys.exit(0)", id="sys.exit"),
    ],
)
def test_43_the_interpreter_exits_cleanly_with_live_threads(program):
    run = python(program)
    assert (run.returncode, run.stdout) == (0, "")
    assert "Fatal" not in run.stderr


if hasattr(signal, "setitimer"):

    def test_38_ctrl_c_at_any_moment_leaves_the_pool_whole():
        """Interrupts arrive between any two bytecodes, some before the threads start, some while they run."""
        run = python(
            """
signal.signal(signal.SIGALRM, signal.default_int_handler)
sums, hits = Sums(library, 3, 5), 0
for k in range(400):
    try:
        signal.setitimer(signal.ITIMER_REAL, 1e-6 + k % 40 * 5e-6)
        for _ in range(100):
            sums.run()
    except KeyboardInterrupt:
        hits += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert sums.sync[0] == 0
assert sums.run() and sums.run()
assert thread_pool._pool.size < 12, thread_pool._pool.size
print(hits > 100)
"""
        )
        assert (run.stdout, run.stderr) == ("True\n", "")


if hasattr(os, "fork"):

    def test_39_a_forked_child_has_its_own_threads():
        run = python(
            """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 and later: the process has several threads
assert Sums(library, 3, 5).run()
busy = threading.Thread(target=lambda: [Sums(library, 2, 50).run() for _ in range(100)])
busy.start()
for _ in range(5):
    child = os.fork()
    if not child:
        extra = load_object(compile_object("define void @f() {\\n  ret void\\n}", target), target)
        os._exit(0 if Sums(library, 3, 5).run() and extra.address("f") else 1)
    assert os.waitpid(child, 0)[1] == 0
busy.join()
assert Sums(library, 3, 5).run()
print("done")
"""
        )
        assert (run.stdout, run.stderr) == ("done\n", "")


# How many threads.
VARIABLES = ("RANVIER_THREADS", "OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "LOKY_MAX_CPU_COUNT", "JOBLIB_SPAWNED_PROCESS")


@pytest.fixture
def machine(monkeypatch):
    """Eight processors and no variables; nothing is remembered afterwards."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(runtime, "processors", lambda root="/": 8)
    yield monkeypatch
    set_threads(None)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, 8),
        ({"RANVIER_THREADS": "3"}, 3),
        ({"RANVIER_THREADS": "16"}, 16),
        ({"RANVIER_THREADS": ""}, 8),
        ({"OMP_NUM_THREADS": "2"}, 2),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        ({"OMP_NUM_THREADS": "64"}, 8),
        ({"OMP_NUM_THREADS": "dynamic"}, 8),
        ({"OMP_NUM_THREADS": "0"}, 8),
        ({"OMP_NUM_THREADS": "6", "OMP_THREAD_LIMIT": "5"}, 5),
        ({"LOKY_MAX_CPU_COUNT": "2"}, 2),
        ({"JOBLIB_SPAWNED_PROCESS": "1"}, 1),
        ({"JOBLIB_SPAWNED_PROCESS": "1", "OMP_NUM_THREADS": "2"}, 2),
        ({"OMP_NUM_THREADS": "1", "RANVIER_THREADS": "4"}, 4),
    ],
)
def test_46_the_default_heeds_whoever_runs_many_of_us(variables, expected, machine):
    for name, value in variables.items():
        machine.setenv(name, value)
    assert default_threads() == get_threads() == expected


@pytest.mark.parametrize(
    ("name", "daemon", "expected"),
    [("LokyProcess-3", False, 1), ("ForkPoolWorker-1", True, 1), ("MainProcess", False, 8)],
)
def test_46_worker_processes_have_one_thread_each(name, daemon, expected, machine):
    import multiprocessing.process as module

    process = type("Process", (), {"name": name, "daemon": daemon})()
    machine.setattr(module, "current_process", lambda: process)
    assert default_threads() == expected


@pytest.mark.parametrize("value", ["0", "-2", "two", "1.5", "4096"])
def test_a_wrong_variable_is_refused(value, machine):
    machine.setenv("RANVIER_THREADS", value)
    with pytest.raises(ValueError, match=f"RANVIER_THREADS is '{value}'. Write a whole number from 1 to 1024"):
        get_threads()


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "2", 4096])
def test_set_threads_refuses_what_is_no_number_of_threads(value, machine):
    set_threads(5)
    with pytest.raises(ValueError, match="Write a whole number"):
        set_threads(value)
    assert get_threads() == 5


def test_set_threads_comes_before_the_environment(machine):
    machine.setenv("RANVIER_THREADS", "3")
    set_threads(np.int64(7))
    assert get_threads() == 7
    set_threads(None)
    assert get_threads() == 3


MOST = runtime.MAX_THREADS
QUOTAS = [
    ({}, MOST),
    ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, MOST),
    ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000\n"}, 2),
    ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
    ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n", "sys/fs/cgroup/a/cpu.max": "300000 100000\n"}, 3),
    ({"proc/self/cgroup": "0::/host/only\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
    ({"proc/self/cgroup": "0::/../../x\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
    ({"proc/self/cgroup": "5:memory:/m\n4:cpu,cpuacct:/d\n0::/\n", "sys/fs/cgroup/cpu/d/cpu.cfs_quota_us": "200000\n", "sys/fs/cgroup/cpu/d/cpu.cfs_period_us": "100000\n"}, 2),
    ({"proc/self/cgroup": "4:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, MOST),
    ({"proc/self/cgroup": "nonsense\n0::/\n", "sys/fs/cgroup/cpu.max": "nonsense\n"}, MOST),
]  # fmt: skip


@pytest.mark.parametrize(("files", "expected"), QUOTAS)
def test_45_the_quota_of_the_control_group(files, expected, tmp_path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert runtime._quota(str(tmp_path)) == expected
    assert runtime.processors(str(tmp_path)) <= expected


if hasattr(os, "sched_setaffinity"):

    def test_45_the_affinity_mask():
        one = min(os.sched_getaffinity(0))
        run = python(f"os.sched_setaffinity(0, [{one}])\nprint(runtime.processors(), Sums(library, 3, 50).run())")
        assert run.stdout == "1 True\n"


# Memory.
@pytest.mark.parametrize("alignment", [1, 16, 64, 4096])
@pytest.mark.parametrize(
    ("shape", "dtype"), [((3, 5), "float32"), (7, "uint8"), ((), "float64"), ((0, 4), "int32"), ((2, 3, 4), bool)]
)
def test_aligned_arrays(shape, dtype, alignment):
    for order in "CF":
        array = aligned_empty(shape, dtype, alignment, order)
        assert not array.size or array.ctypes.data % alignment == 0
        assert array.shape == (shape if isinstance(shape, tuple) else (shape,))
        assert array.dtype == np.dtype(dtype)
        assert array.flags.c_contiguous if order == "C" else array.flags.f_contiguous
        array[...] = 1
        assert array.sum() == array.size


@pytest.mark.parametrize(("dtype", "alignment"), [("float32", 0), ("float32", 48), ("float32", -64), (object, 64)])
def test_aligned_arrays_refuse(dtype, alignment):
    with pytest.raises(ValueError, match="power of two"):
        aligned_empty(4, dtype, alignment)


@pytest.mark.parametrize("shape", [(2**40, 2**40), (2**62,)])
def test_32_an_array_beyond_memory_is_a_memory_error(shape):
    with pytest.raises(MemoryError, match=r"GiB|allocate"):
        aligned_empty(shape, "float32")


def test_a_callable_keeps_its_library():
    class Code:
        pass

    code = Code()
    entry: Any = function(ctypes.cast(ctypes.memmove, ctypes.c_void_p).value or 0, code)
    assert entry.keep is code


def test_the_pool_waits_for_nobody_twice():
    start = time.monotonic()
    thread_pool._Pool().close()
    assert time.monotonic() - start < 1
