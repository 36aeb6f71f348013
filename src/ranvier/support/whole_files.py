"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
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
    _write_new(temporary, target, parts, mode, flush)
    try:
        os.replace(temporary, target)  # noqa: PTH105  # a system call that the tests replace
    except BaseException:
        _remove(temporary)
        raise


def write_together(parts: Iterable[tuple[Path, Path, bytes]]) -> None:
    """Write several files, each with its temporary name: they are renamed once the bytes of all are on the disk.

    The last names the others. Where old files have the names of new ones, it is removed before they are replaced, so
    that it never names files of which some are old. Where writing fails, no file has changed. Raises OSError.
    """
    written: list[tuple[Path, Path]] = []
    try:
        for temporary, target, data in parts:
            _write_new(temporary, target, (data,), 0o666, True)
            written.append((temporary, target))
        if any(target.exists() for _, target in written[:-1]):
            _remove(written[-1][1])
        for temporary, target in written:
            os.replace(temporary, target)  # noqa: PTH105  # a system call that the tests replace
    except BaseException:
        for temporary, _ in written:
            _remove(temporary)
        raise


def _write_new(temporary: Path, target: Path, parts: Iterable[bytes | memoryview], mode: int, flush: bool) -> None:
    """Write the temporary file of a target; where that fails, it is removed."""
    with naming(target):
        handle = os.open(temporary, sum(getattr(os, name, 0) for name in _FLAGS), mode)
    try:
        with naming(target), os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
            if flush:
                file.flush()
                os.fsync(file.fileno())
    except BaseException:
        _remove(temporary)
        raise


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)  # noqa: PTH108  # a system call that the tests replace
