"""Sequences of any length in batches of similar lengths, padded to few different ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ranvier.data.batched import BatchedDataset
from ranvier.data.convert import Array
from ranvier.support.validation import is_whole


class BucketedDataset(BatchedDataset):
    """Batches of `batches_by_length`: ``lengths`` are the different lengths of its rows, ascending."""

    lengths: list[int]
    members: list[Array]  # the numbers of the rows of each length

    def __len__(self) -> int:
        size = self.batch_size or 1
        batches = sum((len(rows) + size - 1) // size for rows in self.members)
        return batches if self.limit is None else min(batches, self.limit)

    def _numbers(self) -> Iterator[Array]:
        members, size = self.members, self.batch_size or 1
        if self.shuffled:
            generator = self._generator()
            members = [generator.permutation(rows) for rows in members]
        batches = [rows[start : start + size] for rows in members for start in range(0, len(rows), size)]
        order = generator.permutation(len(batches)) if self.shuffled else range(len(batches))
        return (batches[i] for i in order)


def batches_by_length(
    x: Any,
    y: Any = None,
    *,
    batch_size: int = 32,
    buckets: int = 8,
    maxlen: int | None = None,
    value: float = 0,
    shuffle: bool = True,
    seed: int = 0,
) -> BucketedDataset:
    """Batches of sequences of similar lengths, each padded at its end to the longest of its bucket; for ``fit``.

    ``x`` is a list of sequences (steps,) or (steps, features), or an array (samples, steps) whose rows end with
    ``value``. The rows are divided by length into at most ``buckets`` of equally many rows. All batches of a bucket
    have one length, so that a network of ``Input((None,))`` has at most as many programs. Sequences are cut after
    ``maxlen`` steps. With ``shuffle`` each pass has another order, which ``seed`` decides. Without it the order is by
    length, so give ``predict`` the sequences instead. Raises ValueError for no sequences, for sequences whose elements
    differ in shape, and where ``y`` has another number of rows.
    """
    rows = _sequences(x, value)
    if not rows:
        raise ValueError("x has 0 sequences. Write a list of one sequence or more instead.")
    if y is not None and len(y) != len(rows):
        raise ValueError(f"x has {len(rows)} sequences, and y has {len(y)} rows. Write as many instead.")
    for name, number in (("batch_size", batch_size), ("buckets", buckets), ("maxlen", 1 if maxlen is None else maxlen)):
        if not is_whole(number, 1):
            raise ValueError(f"{name}={number!r}. Write a whole number of 1 or more instead.")
    rows = [row[:maxlen] for row in rows]
    lengths = np.array([len(row) for row in rows])
    ordered = np.sort(lengths)
    ends = [ordered[-(-len(rows) * i // buckets) - 1] for i in range(1, buckets + 1)]
    sizes = np.unique(np.maximum(ends, 1))  # a sequence without elements is one of padding
    bucket = np.searchsorted(sizes, lengths)
    filled = [row for row in rows if len(row)]
    shapes = {row.shape[1:] for row in filled}
    if len(shapes) > 1:
        raise ValueError(f"the elements of the sequences have the shapes {sorted(shapes)}. Write one shape instead.")
    inner = next(iter(shapes), ())
    dtype = np.result_type(*{row.dtype for row in filled}) if filled else np.dtype(np.int32)
    targets = None if y is None else np.asarray(y)

    def padded(numbers: Array) -> Any:
        batch = np.full((len(numbers), sizes[bucket[numbers[0]]], *inner), value, dtype)
        for place, number in zip(batch, numbers, strict=True):
            place[: lengths[number]] = rows[number]
        return batch if targets is None else (batch, targets[numbers])

    made = BucketedDataset(padded, len(rows), batch_size, shuffle, seed)
    made.lengths, made.members = sizes.tolist(), [np.flatnonzero(bucket == i) for i in range(len(sizes))]
    return made


def _sequences(x: Any, value: float) -> Sequence[Array]:
    """The sequences, those of an array without the padding at their ends."""
    if getattr(x, "ndim", 0) > 1:
        array = np.asarray(x)
        filled = (array != value).reshape(*array.shape[:2], -1).any(2)
        ends = np.where(filled.any(1), filled.shape[1] - filled[:, ::-1].argmax(1), 0)
        return [row[:end] for row, end in zip(array, ends, strict=True)]
    rows = [np.asarray(row) for row in x]
    wrong = next((i for i, row in enumerate(rows) if not row.ndim or row.dtype.kind in "OUS"), None)
    if wrong is not None:
        raise TypeError(
            f"x[{wrong}] is {x[wrong]!r}, no sequence of numbers. Write a list of lists, or TextVectorization()(texts) "
            "of texts, instead."
        )
    return rows
