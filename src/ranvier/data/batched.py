"""Data sets of batches that are made when they are needed: of rows by their numbers, and windows of time series."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.support.constructors import CheckedConstructor

Rows = Callable[[Array], Any]


def one_of(value: Any, known: Sequence[Any], what: str) -> None:
    """Raise ValueError for a value of an argument that is none of those known."""
    if value not in known:
        raise ValueError(f"{what}={value!r}. Write one of {', '.join(map(repr, known))} instead.")


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
        for numbers in itertools.islice(self._numbers(), len(self)):
            made = self.rows(numbers)
            if self.batch_size is None:
                made = tuple(part[0] for part in made) if isinstance(made, tuple) else made[0]
            yield made

    def _numbers(self) -> Iterator[Array]:
        """The numbers of the rows of each batch of a pass."""
        order = self._generator().permutation(self.count) if self.shuffled else np.arange(self.count)
        size = self.batch_size or 1
        return (order[start : start + size] for start in range(0, self.count, size))

    def _generator(self) -> np.random.Generator:
        return np.random.default_rng([self.seed, next(self.passes)])

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
    one_of(format, ("tf", "grain"), "format")
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
