"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

# A new file, and never one that a link or a named pipe of this name stands for. Windows needs a flag for bytes.
_FLAGS = ("O_WRONLY", "O_CREAT", "O_EXCL", "O_BINARY", "O_NOFOLLOW", "O_CLOEXEC")


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Within this context an error of the system that names no file, such as that of a full disk, names this one."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        text = error.strerror or os.strerror(error.errno)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            text += " (free some, or write another path instead)"
        raise OSError(error.errno, text, str(path)) from error


def write_whole(
    temporary: Path, target: Path, *parts: bytes | memoryview, mode: int = 0o666, flush: bool = False
) -> None:
    """Write a new file under a temporary name, and then rename it, so that no process ever sees a part of it.

    The system applies the umask to ``mode``. With ``flush`` the bytes are on the disk before the file has its name.
    Where this fails, the temporary file is removed, and the old file does not change. Raises OSError that names it.
    """
    with naming(target):
        handle = os.open(temporary, sum(getattr(os, name, 0) for name in _FLAGS), mode)
    try:
        with naming(target), os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
            if flush:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, target)  # noqa: PTH105  # a system call that the tests replace
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108  # likewise
        raise
