"""``ranvier launch``: several processes of one program on this host, which train one model together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

GRACE = 40.0  # seconds for processes to say what they know of one that has failed
KILL = 5.0  # seconds after SIGTERM


def launch(count: int, program: str, arguments: Sequence[str]) -> int:
    """Start the processes, pass on what they print with their numbers, and wait for them.

    If one ends with an error, the others are ended. Returns 0, or the code of the first that failed (128 and the number
    of a signal). Raises FileNotFoundError if there is no such program.
    """
    if not Path(program).is_file():
        raise FileNotFoundError(f"there is no program {program}. Write the path of a Python file instead.")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    started = [_start(number, count, address, [program, *arguments]) for number in range(count)]
    lock = threading.Lock()
    readers = [
        threading.Thread(target=_pass_on, args=(number, pipe, out, lock), daemon=True)
        for number, process in enumerate(started)
        for pipe, out in ((process.stdout, sys.stdout.buffer), (process.stderr, sys.stderr.buffer))
    ]
    for reader in readers:
        reader.start()
    before = signal.signal(signal.SIGTERM, lambda *_: _signal(started, signal.SIGTERM))
    try:
        return _wait(started)
    finally:
        signal.signal(signal.SIGTERM, before)
        _signal(started, signal.SIGKILL)
        for reader in readers:
            reader.join(KILL)


def _start(number: int, count: int, address: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
    own = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(count), "JAX_PROCESS_ID": str(number)}
    own |= {"JAX_LOCAL_DEVICE_IDS": os.environ.get("JAX_LOCAL_DEVICE_IDS", str(number))}  # a GPU for each process
    # Warnings of JAX's coordination service, of what `initialize` chose, would come from each process.
    own |= {"PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")}
    return subprocess.Popen(  # noqa: S603  # the program that the user named
        [sys.executable, *command], env={**os.environ, **own}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def _pass_on(number: int, pipe: IO[bytes] | None, out: Any, lock: Any) -> None:
    assert pipe is not None
    for line in pipe:
        with lock:
            out.write(b"[%d] %s" % (number, line if line.endswith(b"\n") else line + b"\n"))
            out.flush()


def _wait(started: Sequence[subprocess.Popen[bytes]]) -> int:
    """Wait for all; after a failure for as long as the others may need. Returns the code."""
    failed: tuple[int, int, float] | None = None
    asked = False
    while any(process.poll() is None for process in started):
        try:
            time.sleep(0.05)
        except KeyboardInterrupt:  # which they got, too, and answer
            continue
        now = time.monotonic()
        for number, process in enumerate(started):
            if failed is None and process.poll():
                failed = number, process.returncode, now
                print(f"ranvier: process {number} {_how(process.returncode)}", file=sys.stderr, flush=True)  # noqa: T201
        if failed is not None and now > failed[2] + GRACE and not asked:
            asked = True
            _signal(started, signal.SIGTERM)
        if failed is not None and now > failed[2] + GRACE + KILL:
            _signal(started, signal.SIGKILL)
    if failed is None:
        failed = next(((i, p.returncode, 0.0) for i, p in enumerate(started) if p.returncode), (0, 0, 0.0))
    return failed[1] if failed[1] >= 0 else 128 - failed[1]


def _how(code: int) -> str:
    return f"ended with code {code}." if code > 0 else f"was killed by {signal.Signals(-code).name}."


def _signal(started: Sequence[subprocess.Popen[bytes]], number: int) -> None:
    for process in started:
        if process.poll() is None:
            process.send_signal(number)
