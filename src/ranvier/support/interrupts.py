"""Ctrl-C while the command line is imported: the process ends with its code, and prints no traceback."""

import os
import signal
import sys
from typing import Any

CODE = 130
COMMAND = "ranvier"


def _is_command_line() -> bool:
    """Whether this process was started as ``ranvier`` or ``python -m ranvier``."""
    given = sys.orig_argv
    if "-m" in given[1:-1]:
        return given[given.index("-m", 1) + 1].partition(".")[0] == COMMAND
    name = os.path.basename(given[1] if len(given) > 1 else "")  # noqa: PTH119 - pathlib takes longer to import
    return name in (COMMAND, f"{COMMAND}.exe", f"{COMMAND}-script.py")


def _end(*_: Any) -> None:
    os._exit(CODE)  # nothing has begun


def end_quietly() -> None:
    """Let Ctrl-C end this process at once, if it is the command line, until `raise_again`."""
    if _is_command_line() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_again() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
