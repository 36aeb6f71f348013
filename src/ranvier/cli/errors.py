"""How every command ends where something is wrong: a line on standard error, and a code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import typer

from ranvier.cli.lines import echo
from ranvier.support import interrupts


@contextlib.contextmanager
def errors_as_lines() -> Iterator[None]:
    """Print errors that the user can correct as one line, and exit. Other errors keep their traceback."""
    interrupts.raise_again()
    try:
        yield
    except (KeyboardInterrupt, typer.Abort):  # typer raises Abort for Ctrl-C and Ctrl-D at a question
        echo("stopped", err=True)
        raise typer.Exit(130) from None
    except (OSError, ValueError, MemoryError, ModuleNotFoundError) as error:
        say(error)
        raise typer.Exit(1) from None


def say(error: BaseException) -> None:
    """The line of an error."""
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:  # the text has the system's number of the error too
        text = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
        if isinstance(error, FileNotFoundError) and error.filename is not None:
            text = f"there is no file {error.filename}. Write the name of one that exists."
    echo(f"ranvier: {text}", err=True)
    try:
        sys.stdout.flush()
    except OSError:  # a full disk: what is left is not tried again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
