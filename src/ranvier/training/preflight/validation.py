"""Checks of the validation data against the training data: rows in both, classes in only one, another scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ranvier.data.convert import Array
from ranvier.data.sampled import sample
from ranvier.training.preflight.inspection import (
    MIN_ROWS,
    InspectedInput,
    InspectedOutput,
    Inspection,
    root_mean_square,
)
from ranvier.training.preflight.report import Fault
from ranvier.training.preflight.targets import MANY

SLICE = 128  # bytes of a row by which most rows differ
LEAST = 3  # rows in both; fewer may be equal by chance in any table
FRACTION = 0.01  # of the validation rows that are in both, at least
COARSE = 32  # at most so many values in a column, in at most so many columns, make equal rows by chance
OFTEN = 0.25  # the fraction of validation rows that may be equal to training rows in such a table
MORE = 1.5  # ratio of equal rows between the data to those within the training data that is above chance
EXPECTED = 10  # expected validation rows of a class, whose absence is then not by chance
OTHER = 20.0  # ratio of the scale of validation inputs to that of training inputs


def sums(array: Array, rows: Array | None = None) -> Array:
    """A hash of each row: the sum of its bytes as words, or of a slice of them if ``rows`` is None."""
    raw = np.ascontiguousarray(array).reshape(len(array), -1).view(np.uint8)
    width = raw.shape[1]
    if rows is None:
        start = max(0, (width - SLICE) // 2) // 8 * 8
        raw = raw[:, start : start + SLICE]
    else:
        raw = raw[rows]
    whole = raw.shape[1] // 8 * 8
    found = np.zeros(len(raw), np.uint64)
    if whole:
        words = np.ascontiguousarray(raw[:, :whole]).view(np.uint64)
        # Numbers of few digits differ only in their upper bits, which overflow in a product; so they are folded first.
        factors = np.random.default_rng(0).integers(2**63, size=words.shape[1], dtype=np.uint64) * 2 + 1
        words = words * np.uint64(0x9E3779B97F4A7C15)
        words ^= words >> np.uint64(32)
        found += (words * factors).sum(1, dtype=np.uint64)
    for at in range(whole, raw.shape[1]):
        found = found * np.uint64(257) + raw[:, at]
    return found


def shared_rows(training: Sequence[Array], validation: Sequence[Array]) -> tuple[Array, Array]:
    """The validation rows that are equal to training rows in every bit of every array, and one training row for each.

    Most rows differ in the hash of a slice of their bytes, others in that of all bytes; the rest are compared.
    """
    inside = np.arange(len(validation[0]))
    outside = np.arange(len(training[0]))
    for whole in (False, True):
        a, b = (
            np.sum([sums(x, rows if whole else None) * np.uint64(2 * i + 1) for i, x in enumerate(arrays)], 0)
            for arrays, rows in ((training, outside), (validation, inside))
        )
        kept, left = np.isin(a, b), np.isin(b, a)
        outside, inside, a, b = outside[kept], inside[left], a[kept], b[left]
        if not len(inside):
            return inside, inside
    order = np.argsort(a, kind="stable")
    found = outside[order][np.searchsorted(a[order], b)]
    same = np.ones(len(inside), bool)
    for x, v in zip(training, validation, strict=True):
        for start in range(0, len(inside), 4096):
            part = slice(start, start + 4096)
            pair = x[found[part]], v[inside[part]]
            same[part] &= (pair[0].reshape(len(pair[0]), -1) == pair[1].reshape(len(pair[1]), -1)).all(1)
    return inside[same], found[same]


def coarse(given: InspectedInput) -> bool:
    """Whether every column has so few values that rows may be equal by chance."""
    return all(len(np.unique(given.rows[:, i])) <= COARSE for i in range(given.rows.shape[1]))


def by_chance(view: Inspection) -> float:
    """The fraction of validation rows that may be equal to training rows by chance.

    If columns have few values (categories, one-hot rows), validation rows have as many equal training rows as training
    rows have among themselves.
    """
    if not all(map(coarse, view.inputs)):
        return FRACTION
    words = np.sum([sums(x, np.arange(len(x))) * np.uint64(2 * i + 1) for i, x in enumerate(view.data.x)], 0)
    _, counts = np.unique(words, return_counts=True)
    repeated = 1 - np.count_nonzero(counts == 1) / len(words)
    few = all(i.rows.shape[1] <= COARSE for i in view.inputs)
    return max(OFTEN if few else FRACTION, MORE * repeated)


def shared_with_validation(view: Inspection) -> Iterator[Fault]:
    assert view.validation is not None
    pairs = list(zip(view.data.x, view.validation.x, strict=True))
    number = len(view.validation)
    if any(a.dtype != b.dtype or a.shape[1:] != b.shape[1:] or not a[:1].size for a, b in pairs):
        return
    if all(a is b or (a.ctypes.data == b.ctypes.data and a.shape == b.shape) for a, b in pairs):
        text = "the validation data are the training data, so validation cannot show overfitting"
    else:
        rows, copies = shared_rows(view.data.x, view.validation.x)
        least = min(LEAST, number)
        if len(rows) < max(least, FRACTION * number) or len(rows) < by_chance(view) * number:
            return
        text = (
            f"{len(rows):,} of {number:,} validation rows are training rows too (row {rows[0]} is training row "
            f"{copies[0]}), so validation results are too good"
        )
    yield Fault(
        text,
        "Write rows that are in one of them only instead: split before rows are repeated or augmented. Where equal "
        'rows are to be expected (few features of few values), write ignore=("RV401",).',
    )


def counted(view: Inspection) -> Iterator[tuple[InspectedOutput, Array, Array]]:
    """The output, and how often each class occurs in training and validation targets."""
    assert view.validation is not None
    for output in view.outputs:
        y = view.validation.y[output.place]
        before, after = output.counts(output.y), None if y is None else output.counts(y)
        if before is not None and after is not None and output.classes <= MANY and before.sum() and after.sum():
            yield output, before, after


def classes_unseen(view: Inspection) -> Iterator[Fault]:
    for output, before, after in counted(view):
        new = np.flatnonzero((after > 0) & (before == 0))
        if len(new):
            yield Fault(
                f"class {output.listed(new)} occurs in the validation targets "
                f"({after[new].sum():,} rows) and never in the training targets {output.name}, so the model cannot "
                "learn it",
                "Write rows drawn from all classes for both instead: shuffle x and y together before they are split.",
            )


def classes_not_validated(view: Inspection) -> Iterator[Fault]:
    for output, before, after in counted(view):
        expected = before / before.sum() * after.sum()
        gone = np.flatnonzero((after == 0) & (expected >= EXPECTED))
        if len(gone):
            yield Fault(
                f"class {output.listed(gone)} of the training targets {output.name} never occurs in "
                f"the {after.sum():,} validation targets, where about {expected[gone[0]]:.0f} rows of class "
                f"{output.label(gone[0])} were to be expected",
                "Write rows drawn from all classes for both instead: shuffle x and y together before they are split "
                "(validation_split takes the last rows).",
            )


def other_scale(view: Inspection) -> Iterator[Fault]:
    assert view.validation is not None
    for given, array in zip(view.inputs, view.validation.x, strict=False):
        if len(array) < MIN_ROWS or len(given.array) < MIN_ROWS or not given.finite:
            continue
        rows = sample(array)
        here, there = (
            float(np.sqrt(np.square(root_mean_square(r)).mean())) for r in (given.rows, rows.reshape(len(rows), -1))
        )
        if here and there and not 1 / OTHER < there / here < OTHER:
            yield Fault(
                f"the validation inputs have another scale than the training inputs {given.name}: {there:.3g} against "
                f"{here:.3g} (the root of the mean square)",
                "Scale both in the same way, or with a layer of the model, instead.",
            )
