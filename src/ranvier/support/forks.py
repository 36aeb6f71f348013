"""What must be finished before the process forks: a child has a copy of every lock, and only the thread that forked.

A lock that another thread holds, or a module that it is importing, would stay so in the child for ever.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import AbstractContextManager
from typing import Any

SECONDS = 10.0  # the longest wait for imports
# Packages whose imports end; those of a program may never, such as that of a server which runs when it is imported.
PACKAGES = sys.stdlib_module_names | {"ranvier", "llvmlite", "numpy", "safetensors"}

_locks: list[AbstractContextManager[Any]] = []


class _Forking(threading.local):
    held: tuple[AbstractContextManager[Any], ...] = ()  # by this thread, while it forks


_forking = _Forking()


def guard(lock: AbstractContextManager[Any]) -> None:
    """Let no fork happen while another thread holds this lock. Guard a lock before those that are taken within it."""
    _locks.append(lock)


def _importing() -> bool:
    """Whether another thread is importing a module of these packages. Python has no public way to ask."""
    known = getattr(sys.modules.get("importlib._bootstrap"), "_module_locks", {})
    for name, reference in list(known.items()):
        lock = reference() if name.partition(".")[0] in PACKAGES else None
        if getattr(lock, "owner", None) not in (None, threading.get_ident()):
            return True
    return False


def _before() -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        held = _forking.held = tuple(_locks)
        for lock in held:
            lock.__enter__()
        complete = len(held) == len(_locks)  # none was added while this waited for another
        if complete and (not _importing() or time.monotonic() > deadline):
            return
        _after()  # an import may need one of the locks
        time.sleep(0.001)


def _after() -> None:
    held, _forking.held = _forking.held, ()
    for lock in reversed(held):
        lock.__exit__(None, None, None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
