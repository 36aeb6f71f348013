"""Folders of files by class, and files of arrays, as tables: a column of images, sounds or texts, and the class."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.auto.tables import Table, read_whole
from ranvier.data.class_folders import FileKind, Found, found_in, visible
from ranvier.data.convert import Array
from ranvier.data.image_files import IMAGES, Decoder, one_size, pillow
from ranvier.data.image_folder import images_from_folder
from ranvier.data.sound_files import SOUNDS, batch_of_sounds, check_alike, load_sound
from ranvier.data.text_files import TEXTS, read_text

KINDS = {"image": IMAGES, "sound": SOUNDS, "text": TEXTS}
FILE, CLASS = "file", "class"
LARGEST = 96  # pixels of a side, to which larger images are resized where no size is given
RATE = 16_000  # samples a second, to which sounds are resampled
LONGEST = 10.0  # seconds of a sound that are taken at most,
USUAL = 2.0  # and times their median: a few long ones would make all others long, too
SMALL_ROWS = 3000  # numbers of a row up to which an array of two dimensions is a table


def is_one(path: Path) -> bool:
    """Whether a file is one image or one sound. Of texts the end of the name does not say: a table may be one."""
    return IMAGES.has(path) or SOUNDS.has(path)


def read_folder(path: Path, options: Mapping[str, Any] | None = None) -> Table:
    """The files of a folder as a table with the columns "file", "image" (or "sound", or "text") and "class".

    A folder with subfolders has a class in each; without subfolders, and of one file in place of a folder, there is no
    class, for predictions. ``options`` are those that a table has after it was read, so that other folders are read in
    the same way: "image_size" and "color_mode", or "sampling_rate" and "length".

    Raises ValueError for a folder with files of several kinds, or of none.
    """
    kind, found = _found(path)
    options = dict(options or {})
    columns: dict[str, Array] = {}
    names = [file.name for file in found]
    notes: tuple[str, ...] = ()
    if kind == "image":
        columns, options, names, notes = _images(path, found, options)
    elif kind == "sound":
        columns["sound"], options = _sounds(found, options)
    else:
        columns["text"] = np.array([read_text(file.path) for file in found], object)
    labels = [str(Path(name).parts[0]) for name in names] if found[0].label >= 0 else []
    whole = {FILE: np.array(names, object), **columns}
    if labels:
        whole[CLASS] = np.array(labels, object)
    kinds = {FILE: "identifier", kind: kind, CLASS: "category"}
    return Table(whole, whole[FILE], str(path), _digest(found), notes, options, kinds, "file")


def folder_digest(path: Path) -> str:
    """The SHA-256 of the names and sizes of the files of a folder."""
    return _digest(_found(path)[1])


def _digest(found: Sequence[Found]) -> str:
    text = "\n".join(f"{file.name} {file.path.stat().st_size}" for file in found)
    return hashlib.sha256(text.encode()).hexdigest()


def _found(path: Path) -> tuple[str, list[Found]]:
    """The kind of the files, and the files; of one file, and of a folder without subfolders, their label is -1."""
    if path.is_file():
        return next(kind for kind, of in KINDS.items() if of.has(path)), [Found(-1, path, path.name)]
    counts = {kind: sum(of.has(file) for file in visible(path, False)) for kind, of in KINDS.items()}
    there = {kind: n for kind, n in counts.items() if n}
    if len(there) != 1:
        listed = ", ".join(f"{n:,} {KINDS[kind].what}" for kind, n in there.items()) or "no images, sounds or texts"
        raise ValueError(f"{path} has {listed}. Write a folder with files of one kind, in a subfolder for each class.")
    kind = next(iter(there))
    if any(entry.is_dir() and not entry.name.startswith(".") for entry in path.iterdir()):
        return kind, found_in(path, KINDS[kind], None, False)[1]
    return kind, _flat(path, KINDS[kind])


def _flat(path: Path, kind: FileKind) -> list[Found]:
    return [Found(-1, file, file.relative_to(path).as_posix()) for file in visible(path, False) if kind.has(file)]


def _images(
    path: Path, found: Sequence[Found], options: dict[str, Any]
) -> tuple[dict[str, Array], dict[str, Any], list[str], tuple[str, ...]]:
    pillow()
    if "image_size" not in options:
        options["image_size"], options["color_mode"] = _size(found), _color(found)
    size = (int(options["image_size"][0]), int(options["image_size"][1]))
    if found[0].label >= 0:
        read = images_from_folder(path, image_size=size, color_mode=options["color_mode"], corrupt="skip")
        order = np.argsort(read.files, kind="stable")
        notes = tuple(f"{name} could not be read ({why}) and is left out" for name, why in read.skipped.items())
        return {"image": np.asarray(read.x)[order]}, options, [read.files[k] for k in order], notes
    decoder = Decoder(size, options["color_mode"], "bilinear", "stretch")
    made = [(file.name, decoder(file.path)) for file in found]
    good = [(name, pixels) for name, pixels in made if not isinstance(pixels, str)]
    notes = tuple(f"{name} could not be read ({why}) and is left out" for name, why in made if isinstance(why, str))
    if not good:
        raise ValueError(f"none of the {len(found):,} images in {path} can be read. Write other files instead.")
    return {"image": np.stack([pixels for _, pixels in good])}, options, [name for name, _ in good], notes


def _size(found: Sequence[Found]) -> list[int]:
    """The size of all images, at most `LARGEST`; where there are several, that one."""
    try:
        height, width = one_size(list(found))
    except ValueError as error:
        if "several sizes" not in str(error):
            raise
        return [LARGEST, LARGEST]
    scale = min(1.0, LARGEST / max(height, width))
    return [max(1, round(height * scale)), max(1, round(width * scale))]


def _color(found: Sequence[Found]) -> str:
    """The mode "grayscale" where some fifty of the images have no colour, else "rgb"."""
    from PIL import Image

    def gray(file: Found) -> bool:
        try:
            with Image.open(file.path) as image:
                return image.mode in ("L", "1", "I;16", "LA")
        except OSError:
            return True

    return "grayscale" if all(gray(file) for file in found[:: max(1, len(found) // 50)]) else "rgb"


def _sounds(found: Sequence[Found], options: dict[str, Any]) -> tuple[Array, dict[str, Any]]:
    """The samples of sounds (files, samples), of one rate and length."""
    if "sampling_rate" not in options:
        rate = min(RATE, load_sound(found[0].path).rate)
        lengths = [len(load_sound(file.path, rate).samples) for file in found]
        longest = min(max(lengths), LONGEST * rate, USUAL * float(np.median(lengths)))
        options["sampling_rate"], options["length"] = rate, int(longest)
    check_alike(found, options["sampling_rate"], True)
    return batch_of_sounds(found, options["sampling_rate"], options["length"], True)[..., 0], options


def read_arrays(path: Path) -> Table:
    """The table of an ``.npz`` file with "x" and, but for predictions, "y": images (rows, height, width) or (rows,
    height, width, channels), or (rows, numbers).

    Raises ValueError for other names and shapes, and for a file that is damaged.
    """
    whole = read_whole(path)
    try:
        with np.load(io.BytesIO(whole), allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} could not be read: {error}. Write numpy.savez(path, x=x, y=y) instead.") from error
    x, y = (next((arrays[n] for n in (f"{part}_train", part, part.upper()) if n in arrays), None) for part in "xy")
    if x is None or x.ndim < 2 or (y is not None and len(y) != len(x)):
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"{path} has {shapes or 'no arrays'}. Write x (rows, ...) and y (rows,) in it instead.")
    if x.ndim == 2 and x.shape[1] <= SMALL_ROWS:
        columns = {f"x{k}": x[:, k] for k in range(x.shape[1])}
    elif x.ndim in (3, 4):
        columns = {"image": x if x.ndim == 4 else x[..., None]}
    else:
        raise ValueError(f"{path} has x {x.shape}. Write images (rows, height, width, channels) in it instead.")
    if y is not None:
        labels = y.argmax(1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(len(y))
        columns[CLASS] = labels.astype(object) if labels.dtype.kind in "US" else labels
    kinds = {"image": "image", CLASS: "category"}
    digest = hashlib.sha256(whole).hexdigest()
    return Table(columns, np.arange(1, len(x) + 1), str(path), digest, kinds=kinds, unit="row")
