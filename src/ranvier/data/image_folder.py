"""Images from a folder with a subfolder for each class, decoded once into a memory-mapped file."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ranvier.data.class_folders import Found, found_in, opened
from ranvier.data.image_files import CHANNELS, COLOR_MODES, IMAGES, RESIZING, Decoder, one_size, pillow
from ranvier.data.memory import check_memory
from ranvier.datasets.places import data_folder
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.source_lines import warn
from ranvier.support.whole_files import naming

FORMAT = 2  # the version of the decoded files, which is part of their key
AHEAD = 256  # images that are decoded at a time
PARTIAL = ".images-"  # the prefix of incomplete files
SHOWN = 10  # the most file names in an error or a summary
Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class ImageFolder(CheckedConstructor):
    """Images and their classes.

    ``x`` is uint8 (samples, height, width, channels), memory-mapped from the disk. ``y`` is int32 (samples,), indices
    of ``classes``. ``files`` are the file names of the rows of x, relative to the folder. ``validation`` is (x, y) of
    the validation images, or None. ``skipped`` maps files that could not be read to the reasons.
    """

    x: Array
    y: Array
    classes: list[str]
    files: list[str]
    validation: tuple[Array, Array] | None = None
    validation_files: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        """The number of images, in total and in each class, their size, and the skipped files, as text."""
        height, width, channels = self.x.shape[1:]
        held = None if self.validation is None else np.bincount(self.validation[1], minlength=len(self.classes))
        training = np.bincount(self.y, minlength=len(self.classes))
        total = len(self.x) + (0 if held is None else int(held.sum()))
        lines = [f"{total:,} images, {height} x {width} x {channels}, {len(self.classes)} classes"]
        wide = max(map(len, self.classes))
        for i, name in enumerate(self.classes):
            more = "" if held is None else f" and {held[i]:,} for validation"
            lines.append(f"  {name:<{wide}}  {training[i]:,}{more}")
        if self.skipped:
            lines.append(f"{len(self.skipped):,} files could not be read:")
            lines += _listed(self.skipped)
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<ImageFolder: {self.summary().splitlines()[0]}>"


def images_from_folder(
    path: Any,
    *,
    image_size: tuple[int, int] | int | None = None,
    color_mode: str = "rgb",
    interpolation: str = "bilinear",
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    class_names: Sequence[str] | None = None,
    validation_split: float = 0.0,
    seed: int = 0,
    corrupt: str = "refuse",
    follow_links: bool = False,
    cache: Any = True,
) -> ImageFolder:
    """Read the images in the subfolders of ``path``, one for each class, as arrays for `fit`.

    ``image_size`` is (height, width), or one number for both. Without it all images must have the same size. Images are
    resized with antialiasing: stretched, or cropped (``crop_to_aspect_ratio``), or padded with black
    (``pad_to_aspect_ratio``). ``color_mode`` is "rgb", "grayscale" or "rgba". The EXIF orientation is applied.
    ``class_names`` selects subfolders and their order; the default is all of them, sorted.

    ``validation_split`` is the fraction of each class for validation. The split and the order depend only on ``seed``
    and the file names. ``corrupt="skip"`` omits files that cannot be read, and lists them in the result. Hidden files
    are never read, and linked folders only with ``follow_links``.

    Decoded images are kept in the user's cache (``RANVIER_DATA``, or ``cache=folder``; False for a temporary file). The
    key is made of the names, sizes and times of the files and of these arguments, so that the next call is fast.

    Needs Pillow: ``pip install 'ranvier[images]'``. Raises ValueError for images of several sizes, for files that
    cannot be read, and for folders without images; NotADirectoryError where ``path`` is not a folder; MemoryError for
    an ``image_size`` of which not even one image fits in memory.
    """
    _check(color_mode, COLOR_MODES, "color_mode")
    _check(interpolation, RESIZING, "interpolation")
    _check(corrupt, ("refuse", "skip"), "corrupt")
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("images cannot both be cropped and padded. Write one of the two instead.")
    if isinstance(validation_split, bool) or not 0 <= validation_split < 1:
        raise ValueError(f"validation_split={validation_split!r}: write a number from 0 up to (not including) 1.")
    fit = "crop" if crop_to_aspect_ratio else "pad" if pad_to_aspect_ratio else "stretch"
    size = _size(image_size)
    if size is not None:
        check_memory((*size, CHANNELS[color_mode]), np.uint8, f"one image with image_size={image_size!r},")
    pillow()
    root = Path(path).expanduser().resolve()
    classes, found = found_in(root, IMAGES, None if class_names is None else list(class_names), follow_links)
    kept, held = _divided(found, validation_split, seed)
    options = [size, color_mode, interpolation, fit, classes, len(kept)]
    parts = [FORMAT, str(root), *options, *map(_stamp, kept + held)]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]
    folder = data_folder() / "images" if cache is True else Path(cache).expanduser() if cache else None
    decoded = None if folder is None else _load(folder, key)
    if decoded is None:
        decoder = Decoder(size or one_size(found), color_mode, interpolation, fit)
        decoded = _decoded(kept + held, decoder, folder, key, resize=size is not None)
    x, skipped = decoded
    if skipped and corrupt == "refuse":
        raise ValueError(
            f"{len(skipped):,} of {len(found):,} images in {root} could not be read:\n" + "\n".join(_listed(skipped))
            + '\nRepair or remove them, or write corrupt="skip" to omit them.'
        )  # fmt: skip
    kept, held = ([image for image in part if image.name not in skipped] for part in (kept, held))
    if not kept:
        raise ValueError(f"none of the {len(found):,} images in {root} is left for training.")
    y = np.array([image.label for image in kept + held], np.int32)
    n, files = len(kept), [image.name for image in kept + held]
    validation = (x[n:], y[n:]) if held else None
    return ImageFolder(x[:n], y[:n], classes, files[:n], validation, files[n:], skipped)


def _check(value: Any, known: Any, name: str) -> None:
    if value not in known:
        raise ValueError(f"{name}={value!r}: write {' or '.join(map(repr, known))} instead.")


def _size(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in pair):
        raise ValueError(f"image_size={value!r}: write (height, width) in pixels, such as (64, 64), instead.")
    return pair[0], pair[1]


def _listed(skipped: dict[str, str]) -> list[str]:
    lines = [f"  {name}: {reason}" for name, reason in list(skipped.items())[:SHOWN]]
    return lines + ([f"  and {len(skipped) - SHOWN:,} more"] if len(skipped) > SHOWN else [])


def _stamp(image: Found) -> list[Any]:
    """Properties that change with the file."""
    try:
        status = image.path.stat()
    except OSError:  # a broken link
        return [image.name, None, None]
    return [image.name, status.st_size, status.st_mtime_ns]


def _divided(found: list[Found], fraction: float, seed: int) -> tuple[list[Found], list[Found]]:
    """The training and the validation images (a fraction of each class), both shuffled."""
    generator = np.random.Generator(np.random.Philox(seed))
    order = [found[i] for i in generator.permutation(len(found))]
    counts: dict[int, int] = {}
    for image in found:
        counts[image.label] = counts.get(image.label, 0) + 1
    wanted = {label: min(n - 1, max(1, round(fraction * n))) if fraction else 0 for label, n in counts.items()}
    kept, held = [], []
    for image in order:
        if wanted[image.label]:
            wanted[image.label] -= 1
            held.append(image)
        else:
            kept.append(image)
    return kept, held


# --- decoded images -----------------------------------------------------------------------------------------------

Decoded = tuple[Array, dict[str, str]]


def _load(folder: Path, key: str) -> Decoded | None:
    """The images that are kept under a key, if they are complete and have their checksum."""
    try:
        with opened(folder / f"{key}.json") as words:
            header = json.load(words)
        shape, skipped = tuple(header["shape"]), dict(header["skipped"])
        with opened(folder / f"{key}.u8") as data:
            if not shape[0] or header["checksum"] != _checksum(data, shape, skipped):
                return None
            return _mapped(data, shape), skipped
    except Exception:  # noqa: BLE001  # whatever is wrong with an entry, the images are decoded again
        return None


def _checksum(data: IO[bytes], shape: tuple[int, ...], skipped: dict[str, str]) -> int:
    """The CRC-32 of an entry: of the pixels from the start of ``data``, and of what describes them."""
    code = zlib.crc32(json.dumps([shape, skipped]).encode())
    data.seek(0)
    while block := data.read(2**20):
        code = zlib.crc32(block, code)
    return code


def _mapped(data: Any, shape: tuple[int, ...]) -> Array:
    return np.asarray(np.memmap(data, np.uint8, "r", shape=shape)) if shape[0] else np.zeros(shape, np.uint8)


def _decoded(images: list[Found], decoder: Decoder, folder: Path | None, key: str, resize: bool) -> Decoded:
    """Decode images into a file, which gets its name when it is complete."""
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _clean(folder)
            return _kept(images, decoder, folder, key, resize)
        except (PermissionError, IsADirectoryError) as error:
            warn(f"decoded images are not kept: {error}. Write cache=<a folder of yours>.")
    with naming(Path(tempfile.gettempdir())), tempfile.TemporaryFile(prefix="ranvier-") as scratch:
        shape, skipped = _write(scratch, images, decoder, resize)
        scratch.flush()
        return _mapped(scratch, shape), skipped


def _kept(images: list[Found], decoder: Decoder, folder: Path, key: str, resize: bool) -> Decoded:
    naming_file = naming(folder / f"{key}.u8")
    with naming_file, tempfile.NamedTemporaryFile(dir=folder, prefix=PARTIAL, delete=False) as file:
        partial = Path(file.name)
        words = partial.with_name(f"{partial.name}.json")
        try:
            shape, skipped = _write(file, images, decoder, resize)
            file.flush()
            os.fsync(file.fileno())
            header = {"checksum": _checksum(file, shape, skipped), "shape": shape, "skipped": skipped}
            file.close()
            words.write_text(json.dumps(header), encoding="utf-8")
            partial.replace(folder / f"{key}.u8")
            words.replace(folder / f"{key}.json")  # last: it marks the images as complete
        finally:
            file.close()
            for left in (partial, words):
                left.unlink(missing_ok=True)
    return _mapped(folder / f"{key}.u8", shape), skipped


def _clean(folder: Path) -> None:
    """Remove files that a killed process left more than a day ago."""
    for left in folder.glob(f"{PARTIAL}*"):
        try:
            if left.stat().st_mtime < time.time() - 86_400:
                left.unlink()
        except OSError:
            continue


def _write(
    file: IO[bytes], images: list[Found], decoder: Decoder, resize: bool
) -> tuple[tuple[int, ...], dict[str, str]]:
    rows, skipped = 0, {}
    assert decoder.image_size is not None
    shape = (*decoder.image_size, CHANNELS[decoder.color_mode])
    plain = decoder if resize else Decoder(None, decoder.color_mode, decoder.interpolation, decoder.fit)
    for image, pixels in _pixels(images, plain):
        if isinstance(pixels, str):
            skipped[image.name] = pixels
        elif pixels.shape != shape:
            skipped[image.name] = f"it is {pixels.shape[0]} x {pixels.shape[1]}, and its header has another size"
        else:
            file.write(pixels.data if pixels.flags.c_contiguous else np.ascontiguousarray(pixels).data)
            rows += 1
    return (rows, *shape), skipped


def _pixels(images: list[Found], decoder: Decoder) -> Iterator[tuple[Found, Array | str]]:
    """Decode images in order, on several threads, because Pillow releases the interpreter lock."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(images), AHEAD):
            part = images[start : start + AHEAD]
            yield from zip(part, pool.map(decoder, [image.path for image in part]), strict=True)
