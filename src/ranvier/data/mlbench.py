"""The tables of R's package mlbench, from its ``.rda`` files: features and labels, to train on and to test on.

They are read with pyreadr (the extra ``datasets``), which parses the file and runs nothing that it holds.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LETTERS", "SHUTTLE", "letters", "shuttle"]

Array = npt.NDArray[Any]

SHUTTLE = ("Rad.Flow", "Fpv.Close", "Fpv.Open", "High", "Bypass", "Bpv.Close", "Bpv.Open")
LETTERS = tuple(string.ascii_uppercase)


def shuttle(path: Path) -> list[Array]:
    """Shuttle's nine int16 features and uint8 labels; the first 43,500 rows are those to train on."""
    return _table(path, "Shuttle", "Class", SHUTTLE, np.int16, 43_500)


def letters(path: Path) -> list[Array]:
    """LetterRecognition's sixteen uint8 features and uint8 labels; the first 16,000 rows are those to train on."""
    return _table(path, "LetterRecognition", "lettr", LETTERS, np.uint8, 16_000)


def _table(
    path: Path, name: str, label: str, classes: tuple[str, ...], dtype: npt.DTypeLike, at: int
) -> list[Array]:
    import pyreadr

    try:
        frame = pyreadr.read_r(str(path))[name]
        words, features = np.asarray(frame[label], str), frame.drop(columns=label).to_numpy(np.float64)
    except (pyreadr.LibrdataError, KeyError, ValueError, TypeError) as error:
        raise ValueError(
            f"{path} is no table {name} of R ({error}). Write the original file instead."
        ) from error
    order = np.argsort(classes)
    places = order[np.minimum(np.searchsorted(np.array(classes)[order], words), len(classes) - 1)]
    if not (np.array(classes)[places] == words).all() or not np.array_equal(features, features.astype(dtype)):
        raise ValueError(
            f"{path} holds other classes or features than {name} has. Write the original instead."
        )
    x, y = features.astype(dtype), places.astype(np.uint8)
    return [x[:at], y[:at], x[at:], y[at:]]
