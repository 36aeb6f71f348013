"""Texts of files: whole files, and the columns of tables (CSV, TSV)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.data.class_folders import FileKind, opened
from ranvier.data.convert import Array
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.utf8 import utf8

TEXTS = FileKind("texts", (".txt",))
DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}  # by the endings of names
Column = int | str


def read_text(path: Path) -> str:
    """The text of a file, without a byte-order mark. Raises ValueError where it is not UTF-8."""
    with opened(path) as file:
        return utf8(file.read(), str(path)).removeprefix("\ufeff")


@dataclass(frozen=True, eq=False)
class LabelledTexts(CheckedConstructor):
    """Texts and their classes: ``x`` has str objects (samples,), ``y`` int32 indices of ``classes`` (samples,).

    Without labels ``y`` is None and ``classes`` is empty.
    """

    x: Array
    y: Array | None
    classes: list[str]

    def __repr__(self) -> str:
        return f"<LabelledTexts: {len(self.x):,} texts, {len(self.classes)} classes>"


def texts_from_csv(
    path: Any,
    text: Column = "text",
    label: Column | None = "label",
    *,
    delimiter: str | None = None,
    quotes: bool = True,
    skip_lines: int = 0,
    class_names: Sequence[str] | None = None,
) -> LabelledTexts:
    """Read the texts and labels of a table in UTF-8, such as a CSV or TSV file, as arrays for `fit`.

    ``text`` and ``label`` are columns: names in the first line, or numbers from 0 of a table without such a line.
    ``label=None`` reads texts alone. ``delimiter`` is by default a comma, or a tab in files that end in ``.tsv`` and
    ``.tab``. ``skip_lines`` are lines after the names that hold no data. Fields with delimiters or line ends are
    quoted by ``"``; with ``quotes=False`` that is a character as any other. ``class_names`` are the labels in order;
    the default is all of them, sorted.

    Raises ValueError with the number of the line for a row of another number of fields, and for an unknown label;
    with the byte's offset for a file that is not UTF-8; and for a table without rows.
    """
    file = Path(path).expanduser()
    sign = delimiter if delimiter is not None else DELIMITERS.get(file.suffix.lower(), ",")
    whole = read_text(file)
    csv.field_size_limit(max(csv.field_size_limit(), len(whole)))  # a text may be long
    reader = csv.reader(
        io.StringIO(whole, newline=""),
        delimiter=sign,
        strict=True,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
    )
    named = any(isinstance(column, str) for column in (text, label))
    wanted = [text] if label is None else [text, label]
    places, width, taken, lines = [], 0, [], []
    try:
        for row in reader:
            if not row:  # an empty line
                continue
            if not width:
                width, places = len(row), [_place(column, row, named, file) for column in wanted]
                if named:
                    continue
            if skip_lines:
                skip_lines -= 1
                continue
            if len(row) != width:
                raise ValueError(
                    f"{file}, line {reader.line_num}, has {len(row)} fields, and the first line has {width}. Quote "
                    f"fields that hold {sign!r} with double quotes, or write another delimiter=, instead."
                )
            taken.append([row[place] for place in places])
            lines.append(reader.line_num)
    except csv.Error as error:
        raise ValueError(
            f"{file}, line {reader.line_num}: {error}. Close its quotes, or write quotes=False, instead."
        ) from None
    if not taken:
        raise ValueError(f"{file} has no rows. Write a table with a row for each text instead.")
    x = np.array([row[0] for row in taken], object)
    if label is None:
        return LabelledTexts(x, None, [])
    labels = [row[1] for row in taken]
    classes = sorted(set(labels)) if class_names is None else [str(name) for name in class_names]
    known = {name: i for i, name in enumerate(classes)}
    other = next((i for i, name in enumerate(labels) if name not in known), None)
    if other is not None:
        raise ValueError(
            f"{file}, line {lines[other]}, has the label {labels[other]!r}, which is not among class_names={classes}. "
            "Add it instead."
        )
    return LabelledTexts(x, np.array([known[name] for name in labels], np.int32), classes)


def _place(column: Column, first: Sequence[str], named: bool, file: Path) -> int:
    """The number of a column, which the first row has by name or by number."""
    if isinstance(column, str):
        if column not in first:
            raise ValueError(
                f"{file} has the columns {list(first)}, and no {column!r}. Write text= and label= with names among "
                "them, or numbers for a table without names, instead."
            )
        return list(first).index(column)
    if not -len(first) <= column < len(first):
        raise ValueError(f"{file} has {len(first)} columns, and no column {column}. Write a smaller number instead.")
    return column
