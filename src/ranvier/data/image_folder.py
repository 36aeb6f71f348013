"""Images from a folder with a folder for each class, decoded once into a file that is mapped into memory."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ranvier.data.image_files import (
    CHANNELS,
    COLOR_MODES,
    RESIZING,
    Decoder,
    Found,
    found_in,
    one_size,
    pillow,
)
from ranvier.datasets.places import data_folder
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.source_lines import warn

__all__ = ["ImageFolder", "images_from_folder"]

FORMAT = 1  # of what is kept; another number, another key
AHEAD = 256  # images decoded at a time
PARTIAL = ".images-"  # how the names of files begin that are not whole yet
SHOWN = 10  # names of files in an error or a summary
Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class ImageFolder(CheckedConstructor):
    """Images and their classes.

    ``x``: (samples, height, width, channels) uint8, read where it lies on the disk. ``y``: (samples,) int32, indices
    into ``classes``. ``files``: the names of the rows of x, below the folder. ``validation``: (x, y) likewise, or None.
    ``skipped``: the files that could not be read, with the reasons.
    """

    x: Array
    y: Array
    classes: list[str]
    files: list[str]
    validation: tuple[Array, Array] | None = None
    validation_files: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        """How many images of which size there are, in all and in each class, and what was skipped, as text."""
        height, width, channels = self.x.shape[1:]
        held = (
            None if self.validation is None else np.bincount(self.validation[1], minlength=len(self.classes))
        )
        own = np.bincount(self.y, minlength=len(self.classes))
        total = len(self.x) + (0 if held is None else int(held.sum()))
        lines = [f"{total:,} images, {height} x {width} x {channels}, {len(self.classes)} classes"]
        wide = max(map(len, self.classes))
        for i, name in enumerate(self.classes):
            more = "" if held is None else f" and {held[i]:,} for validation"
            lines.append(f"  {name:<{wide}}  {own[i]:,}{more}")
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
    """Read the images in the folders of ``path``, one folder for each class, as arrays that `fit` takes.

    ``image_size`` is (height, width), or one number for both; without it all images must be of one size. Images are
    resized with antialiasing: stretched, or cut to the proportions (``crop_to_aspect_ratio``), or with black at two
    sides (``pad_to_aspect_ratio``). ``color_mode`` is "rgb", "grayscale" or "rgba"; photographs are turned upright as
    their cameras noted. ``class_names`` chooses folders and their order; the order of names is the default.

    ``validation_split`` is the share of each class that is held back. Which files, and the order of all, follow from
    ``seed`` and the files' names alone. ``corrupt="skip"`` leaves out files that cannot be read, and lists them in the
    result. Hidden files are never read, linked folders only with ``follow_links``.

    Decoded images are kept in the user's cache (``RANVIER_DATA``, or ``cache=folder``; False: a temporary file), under
    a key of the files' names, sizes and times and of these arguments, so that the next call takes no time.

    Needs Pillow: ``pip install 'ranvier[images]'``. Raises ValueError for images of several sizes, naming files and
    sizes; for files that cannot be read, naming each; for folders without images; NotADirectoryError for no folder.
    """
    _check(color_mode, COLOR_MODES, "color_mode")
    _check(interpolation, RESIZING, "interpolation")
    _check(corrupt, ("refuse", "skip"), "corrupt")
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("images cannot both be cropped and padded. Write one of the two instead.")
    if isinstance(validation_split, bool) or not 0 <= validation_split < 1:
        raise ValueError(
            f"validation_split={validation_split!r}: write a share from 0 up to (not including) 1."
        )
    fit = "crop" if crop_to_aspect_ratio else "pad" if pad_to_aspect_ratio else "stretch"
    pillow()
    root = Path(path).expanduser().resolve()
    classes, found = found_in(root, None if class_names is None else list(class_names), follow_links)
    kept, held = _parted(found, validation_split, seed)
    size = _size(image_size)
    words = [
        FORMAT,
        str(root),
        size,
        color_mode,
        interpolation,
        fit,
        classes,
        len(kept),
        *map(_stamp, kept + held),
    ]
    key = hashlib.sha256(json.dumps(words).encode()).hexdigest()[:40]
    folder = data_folder() / "images" if cache is True else Path(cache).expanduser() if cache else None
    known = None if folder is None else _load(folder, key)
    if known is None:
        decoder = Decoder(size or one_size(found), color_mode, interpolation, fit)
        known = _decoded(kept + held, decoder, folder, key, resize=size is not None)
    x, skipped = known
    if skipped and corrupt == "refuse":
        raise ValueError(
            f"{len(skipped):,} of {len(found):,} images in {root} could not be read:\n" + "\n".join(_listed(skipped))
            + '\nMend or remove them, or write corrupt="skip" to leave them out.'
        )  # fmt: skip
    kept, held = ([image for image in part if image.name not in skipped] for part in (kept, held))
    if not kept:
        raise ValueError(f"none of the {len(found):,} images in {root} is left to train on.")
    y = np.array([image.label for image in kept + held], np.int32)
    n = len(kept)
    return ImageFolder(
        x[:n],
        y[:n],
        classes,
        [i.name for i in kept],
        (x[n:], y[n:]) if held else None,
        [i.name for i in held],
        skipped,
    )


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
    """What changes when a file does."""
    try:
        status = image.path.stat()
    except OSError:  # a link that leads nowhere
        return [image.name, None, None]
    return [image.name, status.st_size, status.st_mtime_ns]


def _parted(found: list[Found], share: float, seed: int) -> tuple[list[Found], list[Found]]:
    """The images to train on and those held back, a share of each class, both in an order that mixes the classes."""
    generator = np.random.Generator(np.random.Philox(seed))
    order = [found[i] for i in generator.permutation(len(found))]
    counts: dict[int, int] = {}
    for image in found:
        counts[image.label] = counts.get(image.label, 0) + 1
    wanted = {label: min(n - 1, max(1, round(share * n))) if share else 0 for label, n in counts.items()}
    kept, held = [], []
    for image in order:
        if wanted[image.label]:
            wanted[image.label] -= 1
            held.append(image)
        else:
            kept.append(image)
    return kept, held


# --- decoded once -----------------------------------------------------------------------------------------------------

Known = tuple[Array, dict[str, str]]


def _load(folder: Path, key: str) -> Known | None:
    """What was kept under a key, if it is whole."""
    try:
        words = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
        shape, skipped = tuple(words["shape"]), dict(words["skipped"])
        data = folder / f"{key}.u8"
        if data.stat().st_size != int(np.prod(shape)) or not shape[0]:
            return None
        return np.asarray(np.memmap(data, np.uint8, "r", shape=shape)), skipped
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _decoded(images: list[Found], decoder: Decoder, folder: Path | None, key: str, resize: bool) -> Known:
    """Decode images into a file, which appears under its name only once it is whole."""
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _clean(folder)
            return _kept(images, decoder, folder, key, resize)
        except PermissionError as error:
            warn(f"decoded images are not kept: {error}. Write cache=<a folder of yours>.")
    with tempfile.TemporaryFile(prefix="ranvier-") as scratch:
        shape, skipped = _write(scratch, images, decoder, resize)
        scratch.flush()
        return (
            np.asarray(np.memmap(scratch, np.uint8, "r", shape=shape))
            if shape[0]
            else np.zeros(shape, np.uint8)
        ), skipped


def _kept(images: list[Found], decoder: Decoder, folder: Path, key: str, resize: bool) -> Known:
    with tempfile.NamedTemporaryFile(dir=folder, prefix=PARTIAL, delete=False) as file:
        partial = Path(file.name)
        words = partial.with_name(f"{partial.name}.json")
        try:
            shape, skipped = _write(file, images, decoder, resize)
            file.flush()
            os.fsync(file.fileno())
            file.close()
            words.write_text(json.dumps({"shape": shape, "skipped": skipped}), encoding="utf-8")
            partial.replace(folder / f"{key}.u8")
            words.replace(folder / f"{key}.json")  # last: with it the entry counts
        finally:
            file.close()
            for left in (partial, words):
                left.unlink(missing_ok=True)
    return _load(folder, key) or (
        np.zeros(shape, np.uint8),
        skipped,
    )  # the latter where nothing could be read


def _clean(folder: Path) -> None:
    """Remove what a process that was killed has left behind a day ago or earlier."""
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
            skipped[image.name] = (
                f"it is {pixels.shape[0]} x {pixels.shape[1]}, and its first bytes say otherwise"
            )
        else:
            file.write(pixels.data if pixels.flags.c_contiguous else np.ascontiguousarray(pixels).data)
            rows += 1
    return (rows, *shape), skipped


def _pixels(images: list[Found], decoder: Decoder) -> Iterator[tuple[Found, Array | str]]:
    """Each image decoded, in order, on several threads: Pillow lets go of the interpreter while it decodes."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(images), AHEAD):
            part = images[start : start + AHEAD]
            yield from zip(part, pool.map(decoder, [image.path for image in part]), strict=True)
