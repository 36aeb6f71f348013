"""Fortunes: sayings, quotations and jokes in ten languages."""

from __future__ import annotations

import re
import shutil
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ranvier.datasets.dataset import DatasetUnavailable, Texts
from ranvier.datasets.places import downloaded_packages, installed_files, own_folder, scratch_folder
from ranvier.datasets.texts import TextData
from ranvier.support.utf8 import utf8

__all__ = ["classes", "load_data"]

classes = ("bg", "cs", "de", "en", "eo", "es", "it", "pl", "pt", "ru")
_FORTUNES = TextData("fortunes", "fortunes")
PACKAGES = {name: f"fortunes-{name}" for name in classes} | {"en": "fortunes", "pt": "fortunes-br"}
OTHERS = ("klasik-sk",)  # files in another language than their package: Slovak
_FOLDER = "share/games/fortunes"
_LINE = re.compile(r"^%.*$\n?", re.MULTILINE)  # between two entries
TEST = 10  # one entry of so many is for testing


def load_data(languages: Sequence[str] = classes) -> Texts:
    """Load the fortunes of Debian in these languages: about 84,000 + 9,000 entries, labels by their place in them.

    Entries are as long as their authors made them, from a word to pages, with one space for any white space. Equal
    entries come once, and what an entry is for depends on its text alone. Some contain names, quotations in other
    languages and drawings, and **many would offend somebody**: show none without being asked. They are searched in the
    data folder (``fortunes/de.txt``, entries divided by lines of ``%``), among the installed packages, and by
    ``apt-get download``; other releases of the packages have a few other entries. Raises ``DatasetUnavailable``, and
    ValueError for other languages.
    """
    unknown = [name for name in languages if name not in classes]
    if unknown or isinstance(languages, str):
        raise ValueError(f"languages={languages!r}. Write some of {classes} in a tuple instead.")
    files = _found(languages)
    parts: tuple[list[str], list[str]] = ([], [])
    labels: tuple[list[int], list[int]] = ([], [])
    for label, name in enumerate(languages):
        whole = utf8(files[name], f"{name}.txt")
        for entry in dict.fromkeys(" ".join(entry.split()) for entry in _LINE.split(whole)):
            place = int(zlib.crc32(entry.encode()) % TEST == 0)
            if entry:
                parts[place].append(entry)
                labels[place].append(label)
    (x, x_test), (y, y_test) = (np.array(part, object) for part in parts), (np.array(part, np.uint8) for part in labels)
    return (x, y), (x_test, y_test)


def _found(languages: Sequence[str]) -> dict[str, bytes]:
    """The entries of each language as one file."""
    files: dict[str, bytes] = {}
    reasons: dict[str, str] = {}
    dpkg, apt = shutil.which("dpkg"), shutil.which("apt-get")
    for name in languages:
        kept = own_folder(_FORTUNES) / f"{name}.txt"
        try:
            if kept.is_file():
                files[name] = kept.read_bytes()
            elif dpkg:
                files[name] = _joined(installed_files(dpkg, PACKAGES[name]))
        except OSError as error:
            reasons[PACKAGES[name]] = str(error)
    missing = [name for name in languages if not files.get(name)]
    if missing and apt and dpkg:
        try:
            with scratch_folder() as scratch:
                packages = [PACKAGES[name] for name in missing]
                for name, out in zip(missing, downloaded_packages(apt, dpkg, packages, scratch), strict=True):
                    files[name] = _joined(out.rglob("*"))
        except OSError as error:
            reasons["apt-get download"] = str(error)
    missing = [name for name in languages if not files.get(name)]
    if missing:
        ways = (
            f"run apt-get install {' '.join(PACKAGES[name] for name in missing)}; put "
            f"{', '.join(f'{name}.txt' for name in missing)} into {own_folder(_FORTUNES)}, with lines of % between the "
            "entries"
        )
        raise DatasetUnavailable(_FORTUNES.unavailable(reasons, ways))
    for name in languages:
        _FORTUNES.keep(f"{name}.txt", files[name])
    return files


def _joined(paths: Iterable[Path]) -> bytes:
    """The files of entries among those of a package, as one."""
    found = [
        path
        for path in sorted(paths)
        if _FOLDER in path.as_posix() and path.suffix not in (".dat", ".u8") and path.name not in OTHERS
    ]
    own = [path for path in found if path.is_file() and not path.is_symlink()]
    return b"%\n".join(path.read_bytes().rstrip(b"\n") + b"\n" for path in own)
