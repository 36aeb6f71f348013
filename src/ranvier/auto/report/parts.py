"""What a model of images, sounds or texts uses: how its output changes without each part of a row.

A part is a cell of a grid over an image, a stretch of a sound, or a word of a text. Without it means covered with the
mean pixel (Zeiler and Fergus, 2014), silent, or left out (Li et al., 2016).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from ranvier.auto.columns import ARRAYS, Column, texts_of
from ranvier.auto.preparation import TOKEN, wide
from ranvier.auto.runs import Run
from ranvier.auto.tables import Table
from ranvier.data.convert import Array
from ranvier.support.sampling import some_rows

GRID = 7  # cells of a side of an image
STRETCHES = 20  # of a sound
MOST_WORDS = 60  # different words of a text that are left out, from its beginning
FILLED = 1000  # images whose mean pixel covers a part
AT_ONCE = 512  # rows whose outputs are computed together

Without = list[list[tuple[str, Array]]]  # for each row its parts, with the output without each


class Parts:
    """The parts of some rows of the data of a run: ``without(rows)`` has the outputs. ``kind`` is what they are."""

    def __init__(self, run: Run, table: Table, column: Column) -> None:
        self.run, self.table, self.column = run, table, column
        self.kind = column.kind if column.kind in ARRAYS else "word"
        self.sampling_rate = table.options.get("sampling_rate", 0)
        values = table.columns[column.name]
        some = values[some_rows(len(values), FILLED)]
        self.filled = some.mean((0, 1, 2)).astype(values.dtype) if self.kind == "image" else 0

    def without(self, rows: Array) -> Without:
        """The name of each part of these rows, and the output without it."""
        made: Without = [[] for _ in rows]
        waiting: list[tuple[int, str, Any]] = []
        for place, row in enumerate(rows):
            waiting += [(place, name, changed) for name, changed in self.changed(int(row))]
            if len(waiting) >= AT_ONCE or place == len(rows) - 1:
                for (at, name, _), output in zip(waiting, self.outputs(rows, waiting), strict=True):
                    made[at].append((name, output))
                waiting = []
        return made

    def outputs(self, rows: Array, waiting: list[tuple[int, str, Any]]) -> Array:
        if not waiting:
            return np.zeros((0, self.run.task.outputs))
        part = self.table.rows(rows[[place for place, _, _ in waiting]])
        values = [changed for _, _, changed in waiting]
        if self.kind == "word":
            part.columns[self.column.name] = np.array(values, object)
        else:
            part.columns[self.column.name] = np.stack(values)
        return self.run.output(part)

    def changed(self, row: int) -> Iterator[tuple[str, Any]]:
        """The value of a row without each of its parts, with the name of that."""
        value = self.table.columns[self.column.name][row]
        if self.kind == "word":
            yield from words_left_out(texts_of(np.array([value], object))[0])
            return
        for name, place in self.places():
            other = value.copy()
            other[place] = self.filled
            yield name, other

    def places(self) -> list[tuple[str, Any]]:
        """The cells of the grid, or the stretches, by name."""
        shape = self.column.facts["shape"]
        if self.kind == "sound":
            rate = self.sampling_rate or 1
            unit = "s" if self.sampling_rate else "samples"
            return [
                (f"{a / rate:.3g}\u2013{b / rate:.3g} {unit}", slice(a, b)) for a, b in stretches(shape[0], STRETCHES)
            ]
        return [
            (f"{_span('row', a + 1, b)}, {_span('column', c + 1, d)}", (slice(a, b), slice(c, d)))
            for a, b in stretches(shape[0], GRID)
            for c, d in stretches(shape[1], GRID)
        ]

    def heat(self, values: Array) -> Array:
        """A value for each part, in the order of `places`, as an array in the shape of an image or sound."""
        made = np.zeros(self.column.facts["shape"][: 2 if self.kind == "image" else 1])
        for (_, place), value in zip(self.places(), values, strict=True):
            made[place] = value
        return made


def _span(what: str, first: int, last: int) -> str:
    return f"{what} {first}" if first == last else f"{what}s {first} to {last}"


def stretches(length: int, count: int) -> list[tuple[int, int]]:
    """The bounds of equal parts of a length, at most ``count``."""
    bounds = np.unique(np.linspace(0, length, count + 1).astype(int)).tolist()
    return list(pairwise(bounds))


def words_left_out(text: str) -> Iterator[tuple[str, str]]:
    """Each of the first different words of a text, and the text without it."""
    spans = [
        (match.start() + k, match.start() + k + size, token[k : k + size].lower())
        for match in TOKEN.finditer(text)
        for token in [match.group()]
        for size in [1 if wide(token) else len(token)]
        for k in range(0, len(token), size)
    ]
    for word in list(dict.fromkeys(word for _, _, word in spans))[:MOST_WORDS]:
        kept, at = [], 0
        for a, b, found in spans:
            if found == word:
                kept.append(text[at:a])
                at = b
        yield word, "".join([*kept, text[at:]])


def parts_of(run: Run, table: Table) -> Parts | None:
    """The parts of the rows of a table; None for one that has columns of values instead."""
    used = [column for column in run.columns.values() if column.used]
    arrays = [column for column in used if column.kind in ARRAYS]
    texts = [column for column in used if column.kind == "text"]
    if arrays:
        return Parts(run, table, arrays[0])
    return Parts(run, table, texts[0]) if texts else None
