"""Tables of R's package mlbench, read from its ``.rda`` files.

They are read with pyreadr (the extra ``datasets``), which parses the file and executes nothing in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.datasets.dataset import Dataset, Member, Source

# The files of CRAN's mlbench 2.1-6, which the Debian package contains unchanged.
HOME = "https://raw.githubusercontent.com/cran/mlbench/39868838a9c87b568286fa1bbf557aaafc0d77fa/data/"
_LIMIT = 1 << 23  # bytes; the tables have less than half a million


@dataclass(frozen=True)
class Table:
    """A table of mlbench: its name, the column of labels, the classes, the dtype and number of features, and the
    numbers of training and test rows.
    """

    name: str
    label: str
    classes: tuple[str, ...]
    dtype: str
    features: int
    rows: tuple[int, int]

    def dataset(self, folder: str, stem: str, sha256: str, *digests: tuple[str, str]) -> Dataset:
        """The data set: four files, whose names begin with ``stem``, with their digests, from one file of R."""
        (train, test), wide = self.rows, self.features
        files = (
            (f"{stem}-train-features", (train, wide), self.dtype), (f"{stem}-train-labels", (train,), "uint8"),
            (f"{stem}-test-features", (test, wide), self.dtype), (f"{stem}-test-labels", (test,), "uint8"),
        )  # fmt: skip
        members = tuple(Member(n, s, *pair, kind) for (n, s, kind), pair in zip(files, digests, strict=True))
        source = Source(f"{self.name}.rda", sha256, _LIMIT, self.read, "pyreadr")
        return Dataset(self.name, folder, members, (HOME,), debian="r-cran-mlbench", source=source)

    def read(self, path: Path) -> list[npt.NDArray[Any]]:
        """Features and labels of the training rows, then of the test rows. Raises ``ValueError`` for another table."""
        import pyreadr

        try:
            frame = pyreadr.read_r(str(path))[self.name]
            words = np.asarray(frame[self.label], str)
            features = frame.drop(columns=self.label).to_numpy(np.float64)
        except (pyreadr.LibrdataError, KeyError, ValueError, TypeError) as error:
            raise ValueError(
                f"{path} is not a table {self.name} of R ({error}). Write the original file instead."
            ) from error
        classes = np.array(self.classes)
        order = np.argsort(classes)
        labels = order[np.minimum(np.searchsorted(classes[order], words), len(classes) - 1)]
        x = features.astype(self.dtype)
        if not (classes[labels] == words).all() or not np.array_equal(features, x):
            raise ValueError(f"{path} has other classes or features than {self.name}. Write the original file instead.")
        y, n = labels.astype(np.uint8), self.rows[0]
        return [x[:n], y[:n], x[n:], y[n:]]
