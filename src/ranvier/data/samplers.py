"""Samplers choose the rows of an epoch and their order: balanced over classes, or by weights.

A sampler is an object with ``order(labels, generator) -> int32 row numbers``. ``fit(..., sampler=...)`` calls it once
for each epoch. It draws only from the generator, so that the order depends on the seed and the epoch, also on resume.
"""

from __future__ import annotations

import zlib
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ranvier.support.constructors import CheckedConstructor
from ranvier.support.validation import is_whole

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.int32]


class Sampler(Protocol):
    """The interface of samplers, which choose the rows of an epoch in ``fit``."""

    def order(self, labels: Any, generator: np.random.Generator) -> Rows:
        """Row numbers of the training targets ``labels``, in each epoch as many.

        Labels are int32 class numbers or floats, as the loss takes them. Several outputs give a tuple of them.
        """
        ...


def checked_sampler(sampler: Any) -> Sampler | None:
    """Return the sampler that was passed to ``fit``, None for none. Raises TypeError for other objects."""
    if sampler is None:
        return None
    if hasattr(sampler, "order") and not isinstance(sampler, type):
        return sampler
    name = sampler.__name__ if isinstance(sampler, type) else repr(sampler)
    fix = f"{name}()" if hasattr(sampler, "order") else "rv.data.BalancedSampler()"
    if "WeightedRandomSampler" in (name, type(sampler).__name__):  # for a DataLoader, which reads row by row
        fix = "rv.data.WeightedSampler(weights)"
    raise TypeError(f"sampler is {name}, which has no method order. Write sampler={fix} instead.")


def _number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def class_numbers(labels: Any) -> npt.NDArray[np.int64]:
    """Targets (n,), (n, 1) or one-hot (n, classes) as class numbers (n,), counted from 0 over the classes that occur.

    Raises ValueError for targets without classes, or with several classes in a row.
    """
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        if not (np.isin(array, (0, 1)).all() and (array.sum(1) == 1).all()):
            raise ValueError(
                f"targets of shape {array.shape} do not have exactly one class a row, so there is nothing to balance. "
                "Write rv.data.WeightedSampler(weights) with a weight for each row instead."
            )
        array = array.argmax(1)
    if array.ndim != 1 or not len(array):
        raise ValueError(
            f"targets of shape {np.shape(labels)} are not one class a row. Write class numbers (n,) instead."
        )
    if array.dtype.kind == "f" and not np.array_equal(array, np.trunc(array)):
        raise ValueError(
            f"targets such as {array[array != np.trunc(array)][0]} are not classes, so there is nothing to balance. "
            "Write rv.data.WeightedSampler(weights) with a weight for each row instead."
        )
    return np.unique(array, return_inverse=True)[1].reshape(-1)


class BalancedSampler(CheckedConstructor):
    """Sample all classes equally often in each epoch, and almost equally often in each batch.

    An epoch has ``samples`` rows (by default as many as the data). Rows of a frequent class are drawn without
    repetition, and differ from epoch to epoch. All rows of a rare class are repeated equally often. With ``strength`` 1
    the classes are equally frequent, and with 0 their frequencies do not change: the frequency of a class is
    proportional to its count to the power of ``1 - strength``. For a model with several outputs, ``output`` is the
    number of the one that is balanced.
    """

    def __init__(self, samples: int | None = None, strength: float = 1.0, output: int = 0) -> None:
        if samples is not None and not is_whole(samples, 1):
            raise ValueError(f"samples={samples!r}: write a whole number of 1 or more, or None, instead.")
        if not (_number(strength) and 0 <= strength <= 1):
            raise ValueError(f"strength={strength!r}: write a number from 0 (unchanged) to 1 (balanced).")
        if not is_whole(output, 0):
            raise ValueError(f"output={output!r}: write the number of an output, from 0, instead.")
        self.samples, self.strength, self.output = samples, strength, output

    def __repr__(self) -> str:
        return f"BalancedSampler(samples={self.samples}, strength={self.strength}, output={self.output})"

    def order(self, labels: Any, generator: np.random.Generator) -> Rows:
        """The rows of one epoch. Raises ValueError for targets without classes, and for an unknown output."""
        outputs = len(labels) if isinstance(labels, tuple) else 1
        if self.output >= outputs or (isinstance(labels, tuple) and labels[self.output] is None):
            raise ValueError(
                f"BalancedSampler(output={self.output}): there are targets of {outputs} outputs. Write the number of "
                f"an output with classes, from 0 to {outputs - 1}, instead."
            )
        numbers = class_numbers(labels[self.output] if isinstance(labels, tuple) else labels)
        counts = np.bincount(numbers)
        size = len(numbers) if self.samples is None else int(self.samples)
        by_class = np.split(np.argsort(numbers, kind="stable"), np.cumsum(counts)[:-1])
        parts = [
            _repeated(rows, wanted, generator)
            for rows, wanted in zip(by_class, self._wanted(counts, size, generator), strict=True)
        ]
        # Each class is spread evenly: the epoch is divided into as many equal intervals, with one row in each.
        places = [(np.arange(len(part)) + generator.random(len(part))) / max(len(part), 1) for part in parts]
        return np.concatenate(parts)[np.argsort(np.concatenate(places), kind="stable")].astype(np.int32)

    def _wanted(self, counts: Array, size: int, generator: np.random.Generator) -> Array:
        """The number of rows of each class. Its expected number is rounded at random, so that the mean is exact."""
        frequencies = counts.astype(np.float64) ** (1 - self.strength)
        ends = np.cumsum(frequencies) * (size / frequencies.sum())
        ends[-1] = size
        return np.diff(np.floor(ends + generator.random()).astype(np.int64), prepend=0)


def _repeated(rows: Array, wanted: int, generator: np.random.Generator) -> Array:
    """Repeat rows up to ``wanted``, as equally often as possible, in random order within each repetition."""
    rounds = -(-wanted // len(rows))
    order = np.argsort(generator.random((rounds, len(rows))), axis=1, kind="stable")
    return rows[order].reshape(-1)[:wanted]


class WeightedSampler(CheckedConstructor):
    """Sample rows with probabilities proportional to their weights.

    ``weights`` are n numbers of 0 or more. ``samples`` is the number of rows of an epoch (by default n). Without
    ``replacement`` a row appears at most once in an epoch.
    """

    def __init__(self, weights: Any, samples: int | None = None, replacement: bool = True) -> None:
        self.weights = np.asarray(weights, np.float64)
        self.samples, self.replacement = samples, replacement
        self._draw(np.random.Generator(np.random.Philox(0)))  # raises for invalid arguments

    def __repr__(self) -> str:
        # The checksum lets a resumed run detect other weights.
        weights = f"<{len(self.weights):,} weights {zlib.crc32(self.weights.tobytes()):08x}>"
        return f"WeightedSampler({weights}, samples={self.samples}, replacement={self.replacement})"

    def _draw(self, generator: np.random.Generator) -> Rows:
        size = len(self.weights) if self.samples is None else self.samples
        return weighted_rows(self.weights, size, self.replacement, generator)

    def order(self, labels: Any, generator: np.random.Generator) -> Rows:
        """The rows of one epoch. Raises ValueError where there are not as many weights as rows."""
        labels = next(y for y in labels if y is not None) if isinstance(labels, tuple) else labels
        if len(labels) != len(self.weights):
            raise ValueError(
                f"WeightedSampler has {len(self.weights):,} weights and there are {len(labels):,} rows to train "
                "on (without those of validation_split). Write one weight for each instead."
            )
        return self._draw(generator)


def weighted_rows(weights: Array, size: int, replacement: bool, generator: np.random.Generator) -> Rows:
    """``size`` row numbers drawn with probabilities proportional to the weights, with or without replacement.

    Raises ValueError for weights that are negative, infinite, NaN or all 0, and for more rows than there are.
    """
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if weights.ndim != 1 or bad.any() or not weights.any():
        what = f"weight {weights[bad][0]}" if weights.ndim == 1 and bad.any() else f"shape {weights.shape}, or all 0"
        raise ValueError(f"the weights of a sampler have {what}. Write (n,) numbers of 0 or more, not all 0.")
    if not is_whole(size, 1):
        raise ValueError(f"{size!r} samples: write a whole number of 1 or more instead.")
    if replacement:
        ends = np.cumsum(weights)
        drawn = np.searchsorted(ends, generator.random(int(size)) * ends[-1], side="right")
        return np.minimum(drawn, np.flatnonzero(weights)[-1]).astype(np.int32)
    kept = np.flatnonzero(weights)
    if size > len(kept):
        raise ValueError(
            f"{size:,} samples without replacement of {len(kept):,} rows that have a weight. Write fewer, or "
            "replacement=True."
        )
    # The earliest arrivals are drawn. Scaling by a power of two keeps the order, and avoids underflow.
    scaled = np.ldexp(weights[kept], -np.frexp(weights.max())[1])
    with np.errstate(divide="ignore", over="ignore"):
        arrivals = generator.standard_exponential(len(weights))[kept] / scaled
    return kept[np.argsort(arrivals, kind="stable")[: int(size)]].astype(np.int32)


def checked_order(order: Any, rows: int, sampler: Any, size: int | None = None) -> Rows:
    """The result of a sampler as int32. Raises ValueError for invalid rows, and for a size other than ``size``."""
    array = np.asarray(order)
    name = type(sampler).__name__
    if array.ndim != 1 or array.dtype.kind not in "iu" or not len(array):
        raise ValueError(
            f"{name}.order returned an array of shape {array.shape} and dtype {array.dtype}. Write at least one row "
            "number, as whole numbers of shape (samples,), instead."
        )
    if array.min() < 0 or array.max() >= rows:
        bad = array[(array < 0) | (array >= rows)][0]
        raise ValueError(f"{name}.order returned row {bad} of {rows:,} rows. Write 0 to {rows - 1} instead.")
    if size is not None and len(array) != size:
        raise ValueError(
            f"{name}.order returned {len(array):,} rows, and {size:,} in the epoch before. Write as many each time."
        )
    return np.ascontiguousarray(array, np.int32)
