"""Processes that are joined by `jax.distributed`: what they exchange, and what each says when another one is lost.

A thread of each process tells the coordination service every few seconds that it lives and where it is, and reads the
same of the others. The first one that finds a process lost writes the verdict, which all of them raise or print.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ranvier.engines.jax_sharded import own_shards
from ranvier.engines.placement import get_placement
from ranvier.support import processes

BEAT = 2.0  # seconds between two signs of life
SILENT = 25.0  # without one a process is lost
BROKEN = 8.0  # likewise, where an exchange has failed already
REPORT = 30.0  # a wait of so long is reported
GRACE = 5.0  # for the main thread to raise, after a verdict
JOIN = 45  # for all processes to come
PREFIX = "ranvier"
HERE = tuple(str(Path(module.__file__).parent) for module in (jax, np) if module.__file__)
OURS = str(Path(__file__).parents[1])


class ProcessLost(RuntimeError):  # noqa: N818  # it reads as what happened
    """Another process of the run has ended, or does not answer."""


class JaxGroup:
    """See `ranvier.support.processes.Group`. ``timeout``: the seconds that a process waits for another one."""

    def __init__(self, client: Any, number: int, count: int, timeout: float) -> None:
        self.client, self.number, self.count, self.timeout = client, number, count, timeout
        self.exchanges = self.collected = 0
        self.waits: float | None = None  # since when the main thread waits for others
        self.name = f"process {number} ({socket.gethostname()}, pid {os.getpid()})"
        self.verdict: str | None = None
        self.code: int | None = None  # with which it ends
        self.failed = False  # whether an exchange has failed
        self.begun = time.monotonic()
        self.closing = threading.Event()
        self.watcher = threading.Thread(target=self.watch, name="ranvier processes", daemon=True)
        first = {d.process_index: d for d in reversed(jax.devices())}
        mesh = Mesh(np.array([first[i] for i in range(count)], object), ("processes",))
        self.each = NamedSharding(mesh, PartitionSpec("processes"))
        self.together = jax.jit(lambda x: x, out_shardings=NamedSharding(mesh, PartitionSpec()))
        self.texts_read = 0
        self.beats: dict[int, tuple[Any, float]] = {}  # the last sign of life of each process, and when it came
        self.seed = int(self.texts(str(int.from_bytes(os.urandom(7), "little")))[0])

    # --- what this process computes -------------------------------------------------------------------------------

    @property
    def reads_all(self) -> bool:
        placement = get_placement()
        return placement is None or placement.reads_all

    def part(self, rows: int) -> tuple[int, int]:
        placement = get_placement()
        shards, first, last = (1, 0, 0) if placement is None else own_shards(placement)
        return (0, rows) if rows % shards else (rows // shards * first, rows // shards * (last + 1))

    # --- what processes exchange ----------------------------------------------------------------------------------

    def exchange(self, what: str, numbers: Sequence[float]) -> Any:
        tag = float(zlib.crc32(what.encode()))
        with self.waiting(), jax.enable_x64(True):
            row = np.array([[tag, *numbers]], np.float64)
            given = jax.make_array_from_process_local_data(self.each, np.pad(row, ((0, 0), (0, 7 - row.size))))
            rows = np.asarray(self.together(given).addressable_data(0))
        wrong = [i for i in range(self.count) if rows[i, 0] != rows[0, 0]]
        if wrong:
            others = dict(enumerate(self.texts(what)))
            raise RuntimeError(
                f"the processes do not run the same program: process 0 is at {others[0]}, and process {wrong[0]} is at "
                f"{others[wrong[0]]}. Write a program in which all of them call fit, evaluate and predict alike, and "
                "only what prints or saves is that of one process."
            )
        return rows[:, 1 : 1 + len(numbers)]

    def texts(self, text: str) -> list[str]:
        self.texts_read += 1
        key = f"{PREFIX}/texts/{self.texts_read}"
        self.client.key_value_set(f"{key}/{self.number}", text)
        with self.waiting():
            return [self._get(f"{key}/{i}") for i in range(self.count)]

    def _get(self, key: str) -> str:
        while True:
            try:
                return str(self.client.blocking_key_value_get(key, 2000))
            except Exception as error:
                if "DEADLINE_EXCEEDED" not in str(error) or self.verdict is not None:
                    raise

    def from_first(self, data: bytes) -> bytes:
        (size,) = self.exchange("a file", (float(len(data)),))[0]
        array = np.frombuffer(data, np.uint8) if self.number == 0 else np.zeros(int(size), np.uint8)
        with self.waiting():
            return np.asarray(multihost_utils.broadcast_one_to_all(array)).tobytes()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Around what waits for other processes. Raises ProcessLost if one of them is lost meanwhile."""
        self._raise_verdict(None)
        self.exchanges, self.waits = self.exchanges + 1, time.monotonic()
        try:
            yield
        except Exception as error:
            self.failed = True
            until = time.monotonic() + SILENT + GRACE
            while self.verdict is None and time.monotonic() < until:
                time.sleep(0.05)
            self._raise_verdict(error)
            raise
        finally:
            self.waits = None

    def _raise_verdict(self, error: BaseException | None) -> None:
        if self.verdict is not None:
            raise ProcessLost(f"{self.name} ends: {self.verdict}") from error

    # --- what each process says, and reads of the others ----------------------------------------------------------

    def watch(self) -> None:
        """The loop of the watching thread."""
        reported = 0.0
        while not self.closing.wait(0.5 if self.failed else BEAT):
            try:
                self.client.key_value_set(f"{PREFIX}/beats/{self.number}", json.dumps(self.sign()), True)
                self.find_lost()
                waited = 0.0 if self.waits is None else time.monotonic() - self.waits
                if waited < REPORT:
                    reported = 0.0
                elif waited > reported + REPORT:
                    reported = waited
                    self.report(waited)
            except Exception as error:  # noqa: BLE001  # the service is gone, and with it the first process
                if self.code is not None:
                    return
                self.verdict = self.verdict or f"process 0, the coordinator, does not answer ({first_line(error)})."
            if self.verdict is not None:
                self.end()

    def sign(self) -> list[Any]:
        """A sign of life: the time, the exchanges so far, whether it waits, where it is, and its name."""
        return [time.monotonic(), self.exchanges, self.waits is not None, place(), self.name]

    def read(self, kind: str) -> dict[int, str]:
        found = self.client.key_value_dir_get(f"{PREFIX}/{kind}/")
        return {int(key.rpartition("/")[2]): value for key, value in found}

    def find_lost(self) -> None:
        """Set the verdict if a process has ended with an error, or has given no sign of life for too long."""
        known = self.read("verdict")
        if known:
            self.verdict = known[0]
            return
        now, found = time.monotonic(), self.read("beats")
        ended = self.read("ended")
        for number in range(self.count):
            if found.get(number) != self.beats.get(number, (None,))[0]:
                self.beats[number] = found.get(number), now
            sign, since = self.beats.get(number, (None, self.begun))
            silent = now - since
            name = json.loads(sign)[-1] if sign else f"process {number}"
            if number in ended and (ended[number] or self.failed):
                how = f"has ended with an error: {ended[number]}" if ended[number] else "has ended"
                self.decide(f"{name} {how}")
            elif number not in ended and number != self.number and silent > (BROKEN if self.failed else SILENT):
                self.decide(
                    f"{name} has given no sign of life for {silent:.0f} s: it was killed, or its machine is lost."
                )

    def decide(self, verdict: str) -> None:
        """Write the verdict, unless there is one."""
        with contextlib.suppress(Exception):  # another process was faster
            self.client.key_value_set(f"{PREFIX}/verdict/0", verdict)
        self.verdict = self.read("verdict").get(0, verdict)

    def report(self, waited: float) -> None:
        """Say for whom this process waits; after the timeout that is the verdict."""
        signs = {i: json.loads(sign) for i, (sign, _) in self.beats.items() if sign and i != self.number}
        behind = [s for s in signs.values() if s[1] < self.exchanges or not s[2]]
        if not behind:
            return
        found = "; ".join(f"{s[-1]} is at {s[3]}" for s in behind[:4])
        if waited > self.timeout:
            self.decide(f"the others have waited {waited:.0f} s for it. {found}.")
        else:
            say(f"{self.name} has waited {waited:.0f} s for other processes: {found}.")

    def end(self) -> None:
        """End this process after a verdict, if its main thread does not."""
        waits = self.waits
        time.sleep(GRACE)
        hung = str(self.verdict).startswith("the others")
        if not self.closing.is_set() and (hung or (waits is not None and self.waits == waits)):
            say(f"{self.name} ends: {self.verdict}")
            os._exit(1)

    def leave(self, error: str) -> None:
        """Tell the others that this process ends, and why; the first process holds the service until they have ended,
        or know of an error.
        """
        if self.code is not None:
            return
        self.code = int(bool(error) or self.verdict is not None)
        limit = GRACE if self.verdict is not None else SILENT if error else float("inf")
        with contextlib.suppress(Exception):
            self.client.key_value_set(f"{PREFIX}/ended/{self.number}", error)
            until = time.monotonic() + limit
            while self.number == 0 and time.monotonic() < until:
                for gone in set(self.read("beats")) - set(self.read("ended")):
                    if time.monotonic() - self.beats[gone][1] <= SILENT:
                        break
                else:
                    break
                time.sleep(0.1)
        self.closing.set()
        if threading.current_thread() is not self.watcher and self.watcher.is_alive():
            self.watcher.join(1.0)
        with contextlib.suppress(Exception):  # the first process may be faster
            time.sleep(0.3 if self.number == 0 else 0)
            jax.distributed.shutdown()


def first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def say(text: str) -> None:
    """Print a line at once, also from another thread or while the process ends."""
    os.write(2, f"ranvier: {text}\n".encode())


def place() -> str:
    """The line of the user's program that the main thread runs."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    steps = list(traceback.walk_stack(frame)) if frame is not None else []
    for frame, line in steps:
        file = frame.f_code.co_filename
        if not file.startswith((OURS, *HERE, sys.prefix, "<")) and "threading" not in file:
            return f"{file}:{line} ({frame.f_code.co_name})"
    return "its end"


# --- starting -----------------------------------------------------------------------------------------------------


def start(address: str | None, count: int | None, number: int | None, timeout: float) -> JaxGroup | None:
    """Join the processes; None if there is only this one, because nothing says that there are others.

    Raises ConnectionError if the coordinator is not reached; ends the process if not all come, as JAX does.
    """
    jax.config.update("jax_enable_recoverability", True)  # the others end by what they find, not by JAX at once
    if jax.config.jax_cpu_collectives_implementation in (None, "none"):
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    if number and address:
        reach(address, number)
    on_abort(
        lambda: (
            f"process {number} ends: not all processes have come within {JOIN} s. Start {count or 'as many'} processes "
            "as are announced, with the same address and the numbers from 0, instead."
        )
    )
    try:
        jax.distributed.initialize(
            address, count, number, initialization_timeout=JOIN, heartbeat_timeout_seconds=int(SILENT),
            shutdown_timeout_seconds=10,
        )  # fmt: skip
    except ValueError as error:
        if "coordinator_address should be defined" not in str(error):
            raise
        if count is not None and count > 1:
            raise ValueError(
                f"there are {count} processes, and nothing says where process 0 is. Set JAX_COORDINATOR_ADDRESS, as in "
                "mpirun -x JAX_COORDINATOR_ADDRESS=host0:1234, instead."
            ) from None
        return None
    if jax.process_count() == 1:
        return None
    from jax._src.distributed import global_state  # JAX shows its key-value store nowhere else

    group = JaxGroup(global_state.client, jax.process_index(), jax.process_count(), timeout)
    on_abort(
        lambda: (
            f"{group.name} ends: process 0, the coordinator at {global_state.coordinator_address}, was killed, or its "
            "machine is lost."
        ),
        lambda: group.code,
    )
    group.watcher.start()
    usual = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        usual(kind, error, trace)
        sys.stderr.flush()
        group.leave("" if isinstance(error, ProcessLost) else f"{kind.__name__}: {error}")

    sys.excepthook = hook
    atexit.register(group.leave, "")
    processes.group = group
    return group


def reach(address: str, number: int) -> None:
    """Wait until the coordinator listens. Raises ConnectionError."""
    host, _, port = address.rpartition(":")
    until, error = time.monotonic() + JOIN, "nothing listens"
    while time.monotonic() < until:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), 5):
                return
        except OSError as failure:
            error = failure.strerror or str(failure)
        time.sleep(0.3)
    raise ConnectionError(
        f"process {number} has not reached the coordinator {address} within {JOIN} s: {error}. Start process 0 on that "
        "host, or write the address at which it listens, instead."
    )


_kept: list[Callable[..., Any]] = []


def on_abort(words: Callable[[], str], code: Callable[[], int | None] = lambda: None) -> None:
    """Print a line when JAX aborts this process, which it does from a thread of its own if the service is lost.

    ``code`` is that of a process that ends already, and says nothing.
    """

    def aborted(_: int) -> None:
        ends = code()
        if ends is None:
            say(words())
        os._exit(1 if ends is None else ends)

    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(aborted)
    _kept.append(handler)
    ctypes.CDLL(None).signal(int(signal.SIGABRT), handler)
