"""Data sets of the files in a folder with a subfolder for each class, read when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.data.batched import BatchedDataset, Rows, one_of
from ranvier.data.class_folders import FileKind, Found, found_in, visible
from ranvier.data.convert import Array
from ranvier.data.image_files import CHANNELS, COLOR_MODES, IMAGES, RESIZING, Decoder
from ranvier.data.memory import check_memory
from ranvier.data.sound_files import SOUNDS, batch_of_sounds, check_alike
from ranvier.data.text_files import TEXTS, read_text
from ranvier.support.validation import is_whole

LABEL_MODES = ("int", "categorical", "binary", None)
Read = Callable[[Sequence[Found]], Array]  # the inputs of a batch, from its files


def image_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: tuple[int, int] | int = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """Batches of images in the subfolders of a folder, float32 from 0 to 255, with the numbers of their subfolders.

    Arguments and the division by ``validation_split`` are Keras's; with ``subset="both"`` the result is a list of two.
    Results have ``class_names`` and ``file_paths``. Files are decoded in each pass, resized with antialiasing:
    `data.images_from_folder` decodes them once. Raises ValueError for what cannot be read.
    """
    one_of(color_mode, tuple(COLOR_MODES), "color_mode")
    one_of(interpolation := interpolation.replace("lanczos3", "lanczos"), RESIZING, "interpolation")
    one_of(data_format, (None, "channels_last"), "data_format")
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    check_memory((height, width, CHANNELS[color_mode]), np.float32, f"one image with image_size={image_size!r},")
    fit = "crop" if crop_to_aspect_ratio else "pad" if pad_to_aspect_ratio else "stretch"
    decoder = Decoder((height, width), color_mode, interpolation, fit)

    def pixels(files: Sequence[Found]) -> Array:
        return np.stack([_decoded(decoder, file) for file in files])

    return files_dataset(
        directory, IMAGES, pixels, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split,
        subset, follow_links, format, verbose,
    )  # fmt: skip


def _decoded(decoder: Decoder, file: Found) -> Array:
    image = decoder(file.path)
    if isinstance(image, str):
        raise ValueError(f"{file.name} could not be read: {image}. Repair or remove it.")
    return image.astype(np.float32)


def text_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """Batches of the texts in the ``.txt`` files of a folder's subfolders, with the numbers of their subfolders.

    Arguments and the division by ``validation_split`` are Keras's; with ``subset="both"`` the result is a list of two.
    Texts are arrays of str, cut after ``max_length`` characters. Results have ``class_names`` and ``file_paths``.
    Raises ValueError for a file that is not UTF-8, with its name and the byte's offset.
    """

    def texts(files: Sequence[Found]) -> Array:
        return np.array([read_text(file.path)[:max_length] for file in files], object)

    return files_dataset(
        directory, TEXTS, texts, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split,
        subset, follow_links, format, verbose,
    )  # fmt: skip


def audio_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
    mono: bool = False,
) -> Any:
    """Batches of the sounds (WAV, FLAC, Ogg) in a folder's subfolders, float32 (batch, samples, channels).

    Arguments and the division by ``validation_split`` are Keras's; with ``subset="both"`` the result is a list of two.
    Sounds are resampled to ``sampling_rate``, cut or extended with zeros to ``output_sequence_length``, or else to the
    longest of the batch. ``mono``, which Keras does not have, takes the mean of the channels. There are no ragged
    batches. Results have ``class_names`` and ``file_paths``.

    Needs ``pip install 'ranvier[audio]'``. Raises ValueError for files that cannot be read, that have no samples, and
    that have NaN; and, naming files, where sampling rates or numbers of channels differ.
    """
    if ragged:
        raise ValueError(
            "there are no ragged batches. Leave ragged out, and sounds are extended to the longest of their batch, or "
            "write output_sequence_length=."
        )
    if output_sequence_length is not None and not is_whole(output_sequence_length, 1):
        raise ValueError(
            f"output_sequence_length={output_sequence_length!r}. Write a whole number of 1 or more instead."
        )

    def samples(files: Sequence[Found]) -> Array:
        return batch_of_sounds(files, sampling_rate, output_sequence_length, mono)

    return files_dataset(
        directory, SOUNDS, samples, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split,
        subset, follow_links, "tf", verbose, check=lambda files: check_alike(files, sampling_rate, mono),
    )  # fmt: skip


# --- files of any kind ----------------------------------------------------------------------------------------------


def files_dataset(
    directory: Any, kind: FileKind, read: Read, labels: Any, label_mode: str | None,
    class_names: Sequence[str] | None, batch_size: int | None, shuffle: bool, seed: int | None,
    validation_split: float | None, subset: str | None, follow_links: bool, format: str, verbose: bool,
    check: Callable[[Sequence[Found]], None] | None = None,
) -> Any:  # fmt: skip
    """Batches of the files of a kind, divided and labelled as Keras does; ``read`` makes the inputs of each.

    ``check`` raises ValueError where the files do not go together.
    """
    one_of(label_mode, LABEL_MODES, "label_mode")
    one_of(format, ("tf", "grain"), "format")
    one_of(subset, ("training", "validation", "both", None), "subset")
    if (validation_split is None) != (subset is None) or not 0 <= (validation_split or 0) < 1:
        raise ValueError("write validation_split=0.2, a number below 1, with subset='training', 'validation' or 'both'")
    if validation_split and shuffle and seed is None:
        raise ValueError("a shuffled division needs a seed. Write seed=0, the same for both subsets, instead.")
    root = Path(directory).expanduser().resolve()
    classes, found = _found(root, kind, labels, class_names, follow_links)
    if check is not None:
        check(found)
    if label_mode == "binary" and len(classes) != 2:
        raise ValueError(f"label_mode='binary' is of 2 classes, and there are {len(classes)}. Write 'int' instead.")
    seed = int(np.random.default_rng().integers(10**6)) if seed is None else seed
    if shuffle:
        order = np.random.RandomState(seed).permutation(len(found))  # Keras's order, and so its division
        found = [found[i] for i in order]
    if verbose:
        print(f"Found {len(found)} files belonging to {len(classes)} classes.")  # noqa: T201  # as in Keras
    kept = len(found) - int((validation_split or 0) * len(found))
    parts = {"training": found[:kept], "validation": found[kept:], None: found}
    mode = None if labels is None else label_mode

    def dataset(part: str | None) -> BatchedDataset:
        files = parts[part]
        if not files:
            raise ValueError(f"no {kind.what} in {root} are left for {part}. Write another validation_split instead.")
        own_order = shuffle and format == "tf" and not (subset == "both" and part == "validation")  # grain: one order
        made = BatchedDataset(_rows(files, read, mode, len(classes)), len(files), batch_size, own_order, seed)
        made.class_names, made.file_paths = classes or None, [str(file.path) for file in files]
        return made

    return [dataset("training"), dataset("validation")] if subset == "both" else dataset(subset)


def _found(
    root: Path, kind: FileKind, labels: Any, class_names: Any, follow_links: bool
) -> tuple[list[str], list[Found]]:
    """The classes and the files of a folder, with labels of its subfolders, given ones, or none."""
    if isinstance(labels, str) and labels == "inferred":
        return found_in(root, kind, None if class_names is None else list(class_names), follow_links)
    if class_names is not None:
        raise ValueError("class_names are of subfolders. Leave class_names out, or labels.")
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is not a folder. Write a folder of {kind.what} instead.")
    paths = [path for path in visible(root, follow_links) if kind.has(path)]
    numbers = [0] * len(paths) if labels is None else [int(label) for label in labels]
    if not paths or len(numbers) != len(paths):
        raise ValueError(
            f"{root} has {len(paths)} {kind.what}, and there are {len(numbers)} labels. Write one for each."
        )
    classes = [] if labels is None else [str(label) for label in sorted(set(numbers))]
    return classes, [Found(n, p, p.relative_to(root).as_posix()) for n, p in zip(numbers, paths, strict=True)]


def _rows(files: Sequence[Found], read: Read, mode: str | None, classes: int) -> Rows:
    labels = np.array([file.label for file in files], np.int32)

    def rows(numbers: Array) -> Any:
        x, y = read([files[number] for number in numbers]), labels[numbers]
        if mode is None:
            return x
        if mode == "int":
            return x, y
        return x, y.astype(np.float32)[:, None] if mode == "binary" else np.eye(classes, dtype=np.float32)[y]

    return rows
