"""A run on new data: `predict` and `evaluate`, which say what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.auto import formats
from ranvier.auto.checks import label_numbers
from ranvier.auto.columns import ARRAYS, Column, is_missing, texts_of, unreadable
from ranvier.auto.runs import Run
from ranvier.auto.samples import left_out
from ranvier.auto.scores import CLASSES, LABELS
from ranvier.auto.sources import read_data
from ranvier.auto.tables import Table
from ranvier.data import files
from ranvier.data.convert import Array
from ranvier.support.constructors import CheckedConstructor


@dataclass(eq=False)
class Predictions(CheckedConstructor):
    """``table`` is what was given, ``columns`` what is added to it, by name, ``output`` the numbers of the network.

    ``notes`` say what did not fit, by line and column.
    """

    table: Table
    columns: dict[str, Array]
    output: Array
    notes: list[str]

    @property
    def whole(self) -> dict[str, Array]:
        """Every column of the table but images and sounds, then the predictions."""
        given = {name: values for name, values in self.table.columns.items() if values.ndim == 1}
        return given | {name: formats.rounded(values) for name, values in self.columns.items()}

    def text(self, separator: str = ",") -> str:
        """The `whole` as CSV, with a line of names."""
        return formats.text(self.whole, separator)

    def records(self) -> list[dict[str, Any]]:
        """The `whole` as a dict of values for each row; dates are texts."""
        lists = [
            [v if v is None or isinstance(v, (int, float, str)) else str(v) for v in formats.values_of(values)]
            for values in self.whole.values()
        ]
        return [dict(zip(self.whole, row, strict=True)) for row in zip(*lists, strict=True)]

    def write(self, path: Any) -> None:
        """Write a file of the format that the end of its name says: ``.csv .tsv .tab .txt .psv``, all in UTF-8,
        ``.xlsx`` or ``.parquet``. It is the whole old one or the whole new one.

        Raises ValueError for another ending, and ModuleNotFoundError where pandas is needed and missing.
        """
        target = Path(path)
        files.write_bytes(target, formats.written(self.whole, target), "out.csv")


def predict(run: Run, data: Any, **options: Any) -> Predictions:
    """The predictions for a table, which needs no target: data for `read_data`, with its ``options``, or a `Table`.

    Columns may be in another order, and there may be others. What does not fit is in ``notes``: columns that are not
    known, values that are no number or no date, classes that were not seen, by line and column. Raises ValueError for a
    column that is missing, and for one in which no value is of the kind that it had.
    """
    table = read_data(data, **{**run.data["options"], **options})
    notes = mismatches(run, table)
    output = run.output(table)
    columns: dict[str, Array] = {}
    if run.task.kind == CLASSES:
        names = np.array(run.task.classes, object)
        columns[free_name(table, f"predicted {run.task.targets[0]}")] = names[run.decide(output)]
        for k, name in enumerate(run.task.classes):
            columns[free_name(table, f"probability {name}")] = output[:, k]
    else:
        decided = run.decide(output)
        for k, name in enumerate(run.task.targets):
            shown = np.array(run.task.labels[k], object)[decided[:, k]] if run.task.labels else output[:, k]
            columns[free_name(table, f"predicted {name}")] = shown
        for k, (name, labels) in enumerate(zip(run.task.targets, run.task.labels, strict=False)):
            columns[free_name(table, f"probability {name} = {labels[1]}")] = output[:, k]
    return Predictions(table, columns, output, notes)


def free_name(table: Table, name: str) -> str:
    """The name, or with a number where the table has such a column already."""
    number, found = 2, name
    while found in table.columns:
        found, number = f"{name} {number}", number + 1
    return found


def mismatches(run: Run, table: Table) -> list[str]:
    """What does not fit the columns that the run was trained with. Raises ValueError where that is a whole column."""
    known: Mapping[str, Column] = run.columns
    used = [column for column in known.values() if column.used]
    notes = [f"the column {name!r} is not known, and not used" for name in table.columns if name not in known]
    lacking = [column.name for column in used if column.name not in table.columns]
    if lacking:
        what = "column" if len(lacking) == 1 else "columns"
        instead = "a table with all columns of the training, empty where values are not known,"
        if arrays := [column.kind for column in used if column.kind in ARRAYS]:
            instead = f"data of the same kind as those of the training, which had one {arrays[0]} for each row,"
        raise ValueError(
            f"{table.source} lacks the {what} {', '.join(map(repr, lacking))}. It has "
            f"{', '.join(map(repr, table.columns))}. Write {instead} instead."
        )
    for column in used:
        values = table.columns[column.name]
        present = int((~is_missing(values)).sum())
        if column.kind in ("number", "date") and present:
            wrong = (column.numbers if column.kind == "number" else column.dates)(values)[1]
            if wrong.sum() == present and present > 1:
                first = np.flatnonzero(wrong)[0]
                raise ValueError(
                    f"{table.source}: the column {column.name!r} was a {column.kind} in training, and no value in it "
                    f"is one ({str(values[first])[:40]!r} in {table.unit} {table.lines[first]}). Write a table with "
                    "the same columns instead."
                )
        levels = run.preparation.config.get(column.name, {}).get("levels")
        if levels is not None:
            notes += _unseen(run, column, table)
    return notes + unreadable(table, used)


def _unseen(run: Run, column: Column, table: Table) -> list[str]:
    """A note for each value of a category that training did not have."""
    seen = set(column.facts.get("levels", ()))
    if not seen:
        return []
    texts = texts_of(table.columns[column.name])
    found: dict[str, list[int]] = {}
    for place, text in enumerate(texts.tolist()):
        if text and text not in seen:
            found.setdefault(text, []).append(place)
    return [
        f"{table.line(places[0])}, column {column.name!r}: {text[:40]!r} was not in the training data"
        f"{f' ({len(places):,} rows)' if len(places) > 1 else ''}; it counts as an unknown value"
        for text, places in found.items()
    ]


def evaluate(run: Run, data: Any, **options: Any) -> dict[str, Any]:
    """The scores of a run on a table that has the target: "scores" by name, "rows", "predictions", and "notes".

    Rows without a target are left out. Raises ValueError for a table without the target, and for a class that the model
    does not know, with its line.
    """
    table = read_data(data, **{**run.data["options"], **options})
    lacking = [name for name in run.task.targets if name not in table.columns]
    if lacking:
        instead = "a table with it" if table.unit != "file" else "a folder with a folder in it for each class"
        raise ValueError(f"{table.source} has no column {lacking[0]!r}, which is the target. Write {instead} instead.")
    truth, known = truth_of(run, table)
    if not known.any():
        raise ValueError(f"{table.source} has no row with a target. Write a table with some instead.")
    table = table.rows(known)
    made = predict(run, table)
    notes = list(made.notes)
    if not known.all():
        notes.append(left_out(int((~known).sum())))
    return {
        "scores": run.score(truth[known], made.output),
        "rows": len(table),
        "truth": truth[known],
        "predictions": made,
        "notes": notes,
    }


def truth_of(run: Run, table: Table) -> tuple[Array, Array]:
    """The target of each row as a run has it, class numbers or numbers, and a mask of the rows that have one."""
    if run.task.kind == LABELS:
        truth = label_numbers(table, run.task.targets, run.task.labels)
        return truth, np.asarray((truth >= 0).all(1))
    if run.task.kind != CLASSES:
        truth = np.stack([run.columns[name].numbers(table.columns[name])[0] for name in run.task.targets], 1)
        return truth, np.asarray(~np.isnan(truth).any(1))
    name = run.task.targets[0]
    known = ~is_missing(table.columns[name])
    texts = texts_of(table.columns[name])
    places = {label: k for k, label in enumerate(run.task.classes)}
    for place in np.flatnonzero(known):
        if texts[place] not in places:
            raise ValueError(
                f"{table.line(place)}, column {name!r}: the model does not know the class {texts[place]!r}. It knows "
                f"{', '.join(map(repr, run.task.classes[:12]))}. Correct or remove the row instead."
            )
    return np.array([places.get(text, -1) for text in texts], np.int64), known
