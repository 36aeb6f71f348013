"""The end of the interpreter beside daemon threads that compute.

Python lets them run on until one of them wants the interpreter again, and ends that thread there. In C++, such as
NumPy's sorting, which does not know of it, that aborts the process. Threads in the library therefore go on to their
next native program at most, and wait there while the process ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_busy: dict[int, int] = {}  # by thread, how many calls of the library that take long it is in
_forever = threading.Event()


class _Exit:
    has_begun = False


exiting = _Exit()


@contextmanager
def busy() -> Iterator[None]:
    """A long call of the library: the interpreter waits until this thread has left it, or is in `wait_forever`."""
    thread = threading.get_ident()
    _busy[thread] = _busy.get(thread, 0) + 1
    try:
        yield
    finally:
        _busy[thread] -= 1
        if not _busy[thread]:
            del _busy[thread]


def wait_forever() -> None:
    """Let a thread that is not the main one go no further: the process ends."""
    if threading.current_thread() is not threading.main_thread():
        _busy.pop(threading.get_ident(), None)
        _forever.wait()


def begin(patience: float) -> None:
    """The interpreter ends: wait until no other thread is in a long call, at most so many seconds."""
    exiting.has_begun = True
    end, own = time.monotonic() + patience, threading.get_ident()
    while _busy.keys() - {own} and time.monotonic() < end:
        time.sleep(0.001)


def forget_threads() -> None:
    """In a forked child: only the thread that forked is there."""
    own = threading.get_ident()
    for thread in [*_busy]:
        if thread != own:
            del _busy[thread]
