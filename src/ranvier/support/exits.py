"""The end of the interpreter beside threads that compute.

Python lets daemon threads run on until one of them wants the interpreter again, and ends that thread there, with all
the locks that it holds. In C++, such as NumPy's sorting, which does not know of it, that aborts the process, and LLVM
would go on while the process frees it. Threads in the library are therefore waited for, and end by SystemExit.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_ends: list[Callable[[], Any]] = []


class Calls:
    """Calls that the interpreter waits for when it ends, for some seconds at most, and that no thread begins then."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.threads: dict[int, int] = {}  # by thread, in how many of the calls it is
        self.last: int | None = None  # the thread in which the interpreter ends
        _ends.append(self.end)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Within this context the thread is waited for. Raises SystemExit as `check` does."""
        thread, threads = threading.get_ident(), self.threads
        threads[thread] = threads.get(thread, 0) + 1
        try:
            self.check()
            yield
        finally:
            threads[thread] -= 1
            if not threads[thread]:
                del threads[thread]

    def check(self) -> None:
        """Raise SystemExit, which ends a thread without a word, in any thread but the one that ends the interpreter."""
        if self.last is not None and self.last != threading.get_ident():
            raise SystemExit

    def end(self) -> None:
        """Let no further call begin in other threads, and wait for those that have begun."""
        self.last = own = threading.get_ident()
        until = time.monotonic() + self.patience
        while self.threads.keys() - {own} and time.monotonic() < until:
            time.sleep(0.001)


calls = Calls(2.0)  # such as `fit`, which may wait for a batch that never comes
finite = Calls(60.0)  # those that surely end, and then abort the process if the interpreter has ended


# Have a function called when the interpreter ends, after those of modules that were imported before.
at_end = _ends.append


@atexit.register
def _end() -> None:
    for function in _ends:
        function()


def _after_fork() -> None:
    """In a forked child only the thread that forked is there."""
    own = threading.get_ident()
    for each in (calls, finite):
        for thread in each.threads.keys() - {own}:
            del each.threads[thread]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
