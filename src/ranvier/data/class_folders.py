"""Files in a folder with a subfolder for each class: the search for them."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ranvier.support.source_lines import warn


@dataclass(frozen=True)
class FileKind:
    """A kind of files: what they are called in messages, and how their names end."""

    what: str
    endings: tuple[str, ...]

    def has(self, path: Path) -> bool:
        return path.suffix.lower() in self.endings


@dataclass(frozen=True)
class Found:
    """A file: its class, its path, and its name relative to the folder."""

    label: int
    path: Path
    name: str


def opened(path: Path) -> IO[bytes]:
    """Open a regular file. Raises OSError for anything else: a named pipe would block, and a device has no end."""

    def without_blocking(name: str, flags: int) -> int:
        handle = os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError("not a regular file")
        return handle

    return open(path, "rb", opener=without_blocking)


def visible(folder: Path, follow_links: bool) -> Iterator[Path]:
    """The files in a folder and its subfolders, sorted by name, without hidden files and repeated folders."""
    seen: set[tuple[int, int]] = set()

    def walk(folder: Path) -> Iterator[Path]:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:  # a link to a folder above it
            return
        seen.add((status.st_dev, status.st_ino))
        for entry in sorted(os.scandir(folder), key=lambda e: e.name):
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=follow_links):
                yield from walk(Path(entry.path))
            elif not entry.is_dir():
                yield Path(entry.path)

    yield from walk(folder)


def found_in(
    root: Path, kind: FileKind, class_names: list[str] | None, follow_links: bool
) -> tuple[list[str], list[Found]]:
    """The classes, which are the folders in ``root``, and their files of a kind. Raises OSError or ValueError."""
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is not a folder. Write a folder with a subfolder for each class.")
    folders = sorted((e for e in os.scandir(root) if e.is_dir() and e.name[:1] != "."), key=lambda e: e.name)
    entries = [entry.name for entry in folders if entry.is_dir(follow_symlinks=follow_links)]
    linked = [entry.name for entry in folders if entry.name not in entries]
    if refused := linked if not entries else [name for name in class_names or () if name in linked]:
        raise ValueError(f"the folders {refused} in {root} are links. Write follow_links=True to read them.")
    if not entries:
        raise ValueError(
            f"{root} has no subfolders. Put the {kind.what} of each class into a subfolder with the name of the class."
        )
    missing = [name for name in class_names or () if name not in entries]
    if missing or len(set(class_names or ())) < len(class_names or ()):
        raise ValueError(f"class_names={class_names}: {root} has the folders {entries}. Write some of these instead.")
    if linked and class_names is None:
        warn(
            f"the folders {linked} in {root} are links and are not read. Write follow_links=True to read them, "
            f"or class_names={entries} if they are not classes."
        )
    names = entries if class_names is None else class_names
    files: list[Found] = []
    others: Counter[str] = Counter()
    for label, name in enumerate(names):
        before = len(files)
        for path in visible(root / name, follow_links):
            if kind.has(path):
                files.append(Found(label, path, path.relative_to(root).as_posix()))
            else:
                others[path.suffix.lower() or path.name] += 1
        if len(files) == before:
            kinds = f" Its other files, {', '.join(sorted(others))}, are not {kind.what}." if others else ""
            raise ValueError(
                f"the folder {name!r} has no {kind.what} ({', '.join(kind.endings)}).{kinds} Remove it, or write "
                "class_names=[...] without it."
            )
    return names, files
