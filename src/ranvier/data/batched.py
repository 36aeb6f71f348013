"""Data sets of batches that are made when they are needed: images of files, and windows of time series."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.data.image_files import CHANNELS, COLOR_MODES, EXTENSIONS, RESIZING, Decoder, Found, found_in, visible
from ranvier.data.memory import check_memory
from ranvier.support.constructors import CheckedConstructor

LABEL_MODES = ("int", "categorical", "binary", None)
Rows = Callable[[Array], Any]


class BatchedDataset(CheckedConstructor):
    """Batches of ``count`` rows, which ``rows`` makes of their numbers; for ``fit``, ``evaluate`` and ``predict``.

    With ``shuffle`` each pass has another order, which ``seed`` decides. Without a ``batch_size`` it gives rows.
    """

    class_names: list[str] | None
    file_paths: list[str]
    limit: int | None  # of the batches in a pass

    def __init__(self, rows: Rows, count: int, batch_size: int | None, shuffle: bool = False, seed: int = 0) -> None:
        self.rows, self.count, self.batch_size, self.seed = rows, count, batch_size, seed
        self.shuffled, self.passes, self.limit = shuffle, itertools.count(), None

    def __len__(self) -> int:
        batches = (self.count + (self.batch_size or 1) - 1) // (self.batch_size or 1)
        return batches if self.limit is None else min(batches, self.limit)

    def __iter__(self) -> Iterator[Any]:
        order = np.arange(self.count)
        if self.shuffled:
            order = np.random.default_rng([self.seed, next(self.passes)]).permutation(self.count)
        size = self.batch_size or 1
        for start in range(0, len(self) * size, size):
            made = self.rows(order[start : start + size])
            if self.batch_size is None:
                made = tuple(part[0] for part in made) if isinstance(made, tuple) else made[0]
            yield made

    def map(self, function: Callable[..., Any], num_parallel_calls: Any = None) -> BatchedDataset:
        """The data set with a function of x, or of x and y, applied to each batch."""
        rows = self.rows

        def changed(numbers: Array) -> Any:
            made = rows(numbers)
            return function(*made) if isinstance(made, tuple) else function(made)

        return self._with(rows=changed)

    def take(self, count: int) -> BatchedDataset:
        """The first batches of each pass."""
        return self._with(limit=min(count, len(self)))

    def _with(self, **changes: Any) -> BatchedDataset:
        """The data set with other attributes; both take the orders of one sequence."""
        made = copy.copy(self)
        made.__dict__.update(changes)
        return made

    def shuffle(self, buffer_size: int, seed: int | None = None, **_: Any) -> BatchedDataset:
        """The data set in another order in each pass: of all rows, whatever ``buffer_size`` is."""
        return self._with(shuffled=True, seed=self.seed if seed is None else seed)

    def cache(self, *_: Any) -> BatchedDataset:
        """Itself: nothing is cached."""
        return self

    def prefetch(self, buffer_size: Any = None) -> BatchedDataset:
        """Itself: batches are made when they are needed."""
        return self


# --- images ---------------------------------------------------------------------------------------------------------


def _one_of(value: Any, known: Sequence[Any], what: str) -> None:
    if value not in known:
        raise ValueError(f"{what}={value!r}. Write one of {', '.join(map(repr, known))} instead.")


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
    _one_of(label_mode, LABEL_MODES, "label_mode")
    _one_of(color_mode, tuple(COLOR_MODES), "color_mode")
    _one_of(interpolation := interpolation.replace("lanczos3", "lanczos"), RESIZING, "interpolation")
    _one_of(format, ("tf", "grain"), "format")
    _one_of(data_format, (None, "channels_last"), "data_format")
    _one_of(subset, ("training", "validation", "both", None), "subset")
    if (validation_split is None) != (subset is None) or not 0 <= (validation_split or 0) < 1:
        raise ValueError("write validation_split=0.2, a number below 1, with subset='training', 'validation' or 'both'")
    if validation_split and shuffle and seed is None:
        raise ValueError("a shuffled division needs a seed. Write seed=0, the same for both subsets, instead.")
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    check_memory((height, width, CHANNELS[color_mode]), np.float32, f"one image with image_size={image_size!r},")
    root = Path(directory).expanduser().resolve()
    classes, found = _found(root, labels, class_names, follow_links)
    if label_mode == "binary" and len(classes) != 2:
        raise ValueError(f"label_mode='binary' is of 2 classes, and there are {len(classes)}. Write 'int' instead.")
    seed = int(np.random.default_rng().integers(10**6)) if seed is None else seed
    if shuffle:
        order = np.random.RandomState(seed).permutation(len(found))  # Keras's order, and so its division
        found = [found[i] for i in order]
    if verbose:
        print(f"Found {len(found)} files belonging to {len(classes)} classes.")  # noqa: T201  # as in Keras
    fit = "crop" if crop_to_aspect_ratio else "pad" if pad_to_aspect_ratio else "stretch"
    decoder = Decoder((height, width), color_mode, interpolation, fit)
    kept = len(found) - int((validation_split or 0) * len(found))
    parts = {"training": found[:kept], "validation": found[kept:], None: found}
    mode = None if labels is None else label_mode

    def dataset(part: str | None) -> BatchedDataset:
        files = parts[part]
        if not files:
            raise ValueError(f"no images in {root} are left for {part}. Write another validation_split instead.")
        own_order = shuffle and format == "tf" and not (subset == "both" and part == "validation")  # grain: one order
        made = BatchedDataset(_images(files, decoder, mode, len(classes)), len(files), batch_size, own_order, seed)
        made.class_names, made.file_paths = classes or None, [str(image.path) for image in files]
        return made

    return [dataset("training"), dataset("validation")] if subset == "both" else dataset(subset)


def _found(root: Path, labels: Any, class_names: Any, follow_links: bool) -> tuple[list[str], list[Found]]:
    """The classes and the images of a folder, with labels of its subfolders, given ones, or none."""
    if isinstance(labels, str) and labels == "inferred":
        return found_in(root, None if class_names is None else list(class_names), follow_links)
    if class_names is not None:
        raise ValueError("class_names are of subfolders. Leave class_names out, or labels.")
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is not a folder. Write a folder of images instead.")
    paths = [path for path in visible(root, follow_links) if path.suffix.lower() in EXTENSIONS]
    numbers = [0] * len(paths) if labels is None else [int(label) for label in labels]
    if not paths or len(numbers) != len(paths):
        raise ValueError(f"{root} has {len(paths)} images, and there are {len(numbers)} labels. Write one for each.")
    classes = [] if labels is None else [str(label) for label in sorted(set(numbers))]
    return classes, [Found(n, p, p.relative_to(root).as_posix()) for n, p in zip(numbers, paths, strict=True)]


def _images(files: Sequence[Found], decoder: Decoder, mode: str | None, classes: int) -> Rows:
    labels = np.array([image.label for image in files], np.int32)

    def rows(numbers: Array) -> Any:
        pixels = []
        for number in numbers:
            image = decoder(files[number].path)
            if isinstance(image, str):
                raise ValueError(f"{files[number].name} could not be read: {image}. Repair or remove it.")
            pixels.append(image.astype(np.float32))
        x, y = np.stack(pixels), labels[numbers]
        if mode is None:
            return x
        if mode == "int":
            return x, y
        return x, y.astype(np.float32)[:, None] if mode == "binary" else np.eye(classes, dtype=np.float32)[y]

    return rows


# --- time series ----------------------------------------------------------------------------------------------------


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> BatchedDataset:
    """Batches of windows of a time series, and with ``targets`` the target at the number of each window's first step.

    A window has every ``sampling_rate``-th of the steps, ``sequence_length`` of them, and begins ``sequence_stride``
    steps after the one before. Raises ValueError for indices that the data does not have.
    """
    _one_of(format, ("tf", "grain"), "format")
    array, start, end = np.asarray(data), start_index or 0, len(data) if end_index is None else end_index
    if not 0 <= start < end <= len(array):
        raise ValueError(
            f"start_index={start_index} and end_index={end_index} are of no steps of {len(array)}. Write numbers from "
            "0, in order, instead."
        )
    for what, value in (("sampling_rate", sampling_rate), ("sequence_stride", sequence_stride)):
        if not 0 < value < len(array):
            raise ValueError(f"{what}={value}, and there are {len(array)} steps. Write 1 or more, and fewer, instead.")
    count = end - start - (sequence_length - 1) * sampling_rate
    after = None if targets is None else np.asarray(targets)[start:end]
    if targets is not None:
        count = min(count, len(targets))
    if count < 1:
        raise ValueError(f"no window of {sequence_length} steps is in {end - start}. Write a smaller sequence_length.")
    positions = np.arange(0, count, sequence_stride)
    if shuffle:
        seed = int(np.random.default_rng().integers(10**6)) if seed is None else seed
    offsets = np.arange(sequence_length) * sampling_rate
    steps = array[start:end]
    if after is not None and positions[-1] >= len(after):
        raise ValueError(f"targets has {len(targets)} rows, and the windows need {start + count}. Write more targets.")

    def rows(numbers: Array) -> Any:
        first = positions[numbers]
        x = steps[first[:, None] + offsets]
        return x if after is None else (x, after[first])

    return BatchedDataset(rows, len(positions), batch_size, shuffle, seed or 0)
