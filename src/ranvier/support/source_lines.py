"""The user's lines: the line that made a module, or that is being run. Warnings point at it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from types import FrameType

PACKAGE = str(Path(__file__).parents[1]) + os.sep
# Packages that call the library for the user: a cross-validation, a pool of workers, a thread.
BETWEEN = frozenset((
    "sklearn", "imblearn", "joblib", "concurrent", "multiprocessing", "threading", "contextlib", "runpy",
))  # fmt: skip


_reported: ContextVar[set[str] | None] = ContextVar("reported", default=None)  # what `warn` has warned of


def is_users(frame: FrameType) -> bool:
    """Whether the code of a frame is the user's: neither the library's nor that of a package in between."""
    if frame.f_code.co_filename.startswith(PACKAGE):
        return False
    name = str(frame.f_globals.get("__name__", ""))
    if name == "__main__":  # of `python -m`, by which pools start their processes
        name = str(frame.f_globals.get("__package__") or name)
    return name.partition(".")[0] not in BETWEEN


def nearest(frame: FrameType | None) -> FrameType | None:
    """The nearest frame of the user's code, from this one up; None if there is none."""
    while frame is not None and not is_users(frame):
        frame = frame.f_back
    return frame


def user_frame(frame: FrameType) -> FrameType:
    """The nearest frame of the user's code, from this one up.

    A thread of a pool has none: then it is the line at which the main thread waits. If that has none either, it is the
    outermost frame of this thread.
    """
    found = nearest(frame)
    if found is None:
        found = nearest(sys._current_frames().get(threading.main_thread().ident or 0))
    while found is None and frame.f_back is not None:
        frame = frame.f_back
    return found or frame


def caller() -> FrameType:
    """The frame of the user's code that is being run."""
    return user_frame(sys._getframe(1))


@contextlib.contextmanager
def warned_once(keys: set[str]) -> Iterator[None]:
    """Within this context `warn` is silent for a key that is in ``keys``, and adds each key that it warns of."""
    before = _reported.set(keys)
    try:
        yield
    finally:
        _reported.reset(before)


def line_of(frame: FrameType) -> tuple[str, int]:
    """The file and line of the user's code in a frame. A process of a pool and the command line have none."""
    return (frame.f_code.co_filename, frame.f_lineno) if is_users(frame) else ("<not in your code>", 1)


def warn(message: str | Warning, category: type[Warning] = UserWarning, key: str | None = None) -> None:
    """Warn at the line of the user's code that is being run.

    ``key`` names the cause, for what may repeat with each batch: see `warned_once`.
    """
    reported = _reported.get()
    if key is not None and reported is not None:
        if key in reported:
            return
        reported.add(key)
    frame = caller()
    warnings.warn_explicit(
        message,
        category,
        *line_of(frame),
        frame.f_globals.get("__name__", "__main__"),
        frame.f_globals.setdefault("__warningregistry__", {}),
    )


def forward_line(error: BaseException) -> tuple[str, int] | None:
    """The line of the user's ``forward`` (or ``call``) in which ``error`` was raised; None where it was elsewhere."""
    places, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not code.co_filename.startswith(PACKAGE):
            places.append((code.co_name, code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    frame = caller()
    places.insert(0, (frame.f_code.co_name, frame.f_code.co_filename, frame.f_lineno))
    name, file, line = places[-1]
    return (file, line) if name in ("forward", "call") else None


def location(place: tuple[str, int]) -> str:
    """``file:line``."""
    return f"{place[0]}:{place[1]}"
