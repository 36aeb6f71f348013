"""The disk cache of compiled objects.

It holds machine code, so it trusts only files with the right checksum that no other user can write. It is only a cache,
so no failure of the disk is an error of the program.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import re
import secrets
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path

from ranvier.engines.native.runtime import llvm
from ranvier.support.source_lines import warn
from ranvier.support.version import __version__
from ranvier.support.whole_files import write_whole

LIMIT = 256 * 2**20
_MAGIC = b"RANVIER\x01"
_HEADER = len(_MAGIC) + 32
_OFF = frozenset({"", "0", "off", "no", "false"})
_ORPHAN_SECONDS = 3600
# Reading never follows a link to somewhere else, nor waits for a named pipe. Windows has no such flags, and needs one
# for binary files.
_FLAGS = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC"))


class CacheWarning(UserWarning):
    """Compiled programs cannot be kept on disk, or one that was kept is of no use. Nothing but time is lost."""


def cache_key(*parts: str | bytes) -> str:
    """The name of a compiled object: 64 hexadecimal digits.

    ``parts`` is all that the object depends on: the program, the target's triple, processor and features, options. The
    versions of llvmlite and ranvier, and the text of ranvier's own compiler, are added here.
    """
    digest = hashlib.sha256()
    for part in (*_compiler(), *parts):
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))  # so that ("ab", "c") is not ("a", "bc")
        digest.update(data)
    return digest.hexdigest()


@functools.cache
def _compiler() -> tuple[str, ...]:
    import llvmlite  # the package alone, without LLVM: 0.2 ms

    digest = hashlib.sha256()
    engine = Path(__file__).parents[1]
    for top in (engine, engine.parents[1] / "graph"):
        for folder, folders, files in os.walk(top):  # in half the time of Path.rglob
            folders.sort()
            for name in sorted(files):
                if name.endswith(".py"):
                    digest.update(Path(folder, name).read_bytes())
    return (__version__, llvmlite.__version__, digest.hexdigest())


def cache_folder() -> Path | None:
    """RANVIER_CACHE, otherwise ``ranvier`` in the user's cache folder.

    None if RANVIER_CACHE is empty, 0 or off, or if the user has no home.
    """
    wish = os.environ.get("RANVIER_CACHE")
    if wish is not None:
        return None if wish.strip().lower() in _OFF else Path(wish).absolute()
    try:
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or "")
            # The XDG standard ignores relative ones.
            base = base if base.is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        return None
    return base / "ranvier"


def default_cache() -> ObjectCache:
    """The cache in ``cache_folder()``, one per folder and process."""
    return _cache_in(cache_folder())


@functools.cache
def _cache_in(folder: Path | None) -> ObjectCache:
    return ObjectCache(folder)


def _fault(status: os.stat_result) -> str | None:
    """Why a file or folder may not be trusted: who else could have written it."""
    if not hasattr(os, "geteuid"):
        return None  # Windows: the profile's access list decides
    if status.st_uid != os.geteuid():
        return f"belongs to user {status.st_uid}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "can be written by other users"
    return None


class ObjectCache:
    """Compiled objects by key, in ``folder``; if it is None, nothing is kept. Beyond ``limit`` bytes the oldest go.

    Safe for several threads and processes: an entry appears whole or not at all. Where the folder cannot be used,
    entries live in memory, and one ``CacheWarning`` says why.
    """

    def __init__(self, folder: Path | None, limit: int = LIMIT) -> None:
        self.folder = folder
        self.limit = limit
        self._memory: dict[str, bytes] | None = None
        self._checked = False
        self._room = 0  # bytes that may be written before the folder is scanned again

    def get(self, key: str) -> bytes | None:
        """The object kept under ``key``, or None. A damaged entry is removed, with a ``CacheWarning``."""
        path = self._path(key)
        if path is None or not self._usable():
            return self._memory.get(key) if self._memory is not None else None
        try:
            with os.fdopen(os.open(path, os.O_RDONLY | _FLAGS), "rb") as file:
                status = os.fstat(file.fileno())
                fault = _fault(status) if stat.S_ISREG(status.st_mode) else "is not a file"
                data = b"" if fault else file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            fault = f"cannot be read ({error.strerror})"
        if fault:
            warn(f"ignored the compiled program {path}, which {fault}", CacheWarning)
            return None
        if data[:_HEADER] != _header(key, data[_HEADER:]):
            with suppress(OSError):
                path.unlink()
            message = f"the compiled program {path} was damaged; it is removed and will be compiled again"
            warn(message, CacheWarning)
            return None
        with suppress(OSError):
            os.utime(path)  # the least recently used go first
        return data[_HEADER:]

    def put(self, key: str, data: bytes) -> None:
        """Store ``data`` under ``key``, if there is room."""
        path = self._path(key)
        if path is None:
            return
        if not self._usable(create=True):
            if self._memory is not None and sum(map(len, self._memory.values())) + len(data) <= self.limit:
                self._memory[key] = data
            return
        if len(data) + _HEADER > self.limit:
            return
        temporary = path.with_name(f"{key}.{os.getpid()}.{secrets.token_hex(8)}.tmp")
        try:
            write_whole(temporary, path, _header(key, data), data, mode=0o600)
            self._room -= len(data) + _HEADER
            if self._room < 0:  # scanning a folder of thousands takes longer than a write
                self._prune()
        except OSError as error:
            # A full disk may have room later, and Windows refuses to replace a file that another process reads.
            self._checked = False  # the folder may have been removed: it is created again next time
            busy = sys.platform == "win32" and path.exists()
            if not busy and error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.ENOENT):
                self._give_up(f"cannot be written ({error.strerror})")
                self.put(key, data)

    def _path(self, key: str) -> Path | None:
        if not re.fullmatch("[0-9a-f]{64}", key):
            raise ValueError(f"{key!r} is no cache key. Write what cache_key() returns instead.")
        return self.folder and self.folder / key

    def _usable(self, create: bool = False) -> bool:
        """Whether the folder may be trusted. It is created for the first entry."""
        if self._memory is not None or self.folder is None:
            return False
        if self._checked:
            return True
        try:
            if create:
                self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self.folder.mkdir(mode=0o700, exist_ok=True)
            status = self.folder.stat()
        except FileNotFoundError:
            if create:
                self._give_up("cannot be made")
            return False
        except OSError as error:
            self._give_up(f"cannot be made ({error.strerror})" if create else f"cannot be read ({error.strerror})")
            return False
        if fault := _fault(status):
            self._give_up(fault)
            return False
        self._checked = True
        return True

    def _give_up(self, why: str) -> None:
        """Keep entries only in memory from now on."""
        self._memory = {}
        message = (
            f"the folder for compiled programs {self.folder} {why}, so they are kept in memory only. "
            "Write RANVIER_CACHE=<a folder of your own> for another place, or RANVIER_CACHE=off."
        )
        warn(message, CacheWarning)

    def _prune(self) -> None:
        """Remove the least recently used entries beyond the limit, and temporary files of killed processes."""
        assert self.folder is not None
        files: list[tuple[float, int, str]] = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(OSError):  # another process may have removed it
                    status = entry.stat(follow_symlinks=False)
                    if entry.name.endswith(".tmp") and status.st_mtime < time.time() - _ORPHAN_SECONDS:
                        Path(entry.path).unlink()
                    elif len(entry.name) == 64:
                        files.append((status.st_mtime, status.st_size, entry.path))
        excess = sum(size for _, size, _ in files) - self.limit
        if excess <= 0:
            self._room = -excess // 2  # other processes write there too
            return
        excess += self.limit // 4  # so that the next entries find room without a scan
        self._room = self.limit // 8
        for _, size, path in sorted(files):
            if excess <= 0:
                break
            with suppress(OSError):
                Path(path).unlink()
            excess -= size


def _header(key: str, data: bytes) -> bytes:
    """The header of an entry. Its checksum covers the key, so an entry for another processor cannot be renamed."""
    return _MAGIC + hashlib.sha256(_MAGIC + key.encode() + data).digest()


def key_of_text(text: str) -> str:
    """The name of the object of a module in LLVM's text form, for this machine."""
    target = llvm.resolve_target("host")
    return cache_key(text, target.triple, target.cpu, target.features)


def load_text(text: str) -> llvm.Library:
    """A module in LLVM's text form for this machine, compiled or from the cache, and loaded."""
    target, key = llvm.resolve_target("host"), key_of_text(text)
    data = default_cache().get(key)
    if data is None:
        data = llvm.compile_object(text, target)
        default_cache().put(key, data)
    return llvm.load_object(data, target)
