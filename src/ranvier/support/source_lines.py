"""The user's lines: which line outside this library made a module, or is being run."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from types import FrameType

__all__ = ["caller", "outside", "shown", "warn", "within"]

PACKAGE = str(Path(__file__).parents[1]) + os.sep


def outside(frame: FrameType) -> FrameType:
    """The nearest frame, from this one up, whose code is not the library's; the outermost if there is none."""
    while frame.f_code.co_filename.startswith(PACKAGE) and frame.f_back is not None:
        frame = frame.f_back
    return frame


def caller() -> FrameType:
    """The frame of the user's code that is being run."""
    return outside(sys._getframe(1))


def warn(message: str) -> None:
    """Warn at the line of the user's code that is being run."""
    frame = caller()
    warnings.warn_explicit(
        message,
        UserWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        frame.f_globals.get("__name__", "__main__"),
        frame.f_globals.setdefault("__warningregistry__", {}),
    )


def within(error: BaseException) -> tuple[str, int] | None:
    """The line of a ``forward`` (or ``call``) outside the library that ran into ``error``, or that called what did."""
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


def shown(place: tuple[str, int]) -> str:
    """``file:line``."""
    return f"{place[0]}:{place[1]}"
