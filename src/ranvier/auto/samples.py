"""The rows to learn from: what is found in the data, and the test part and the folds of the rows with a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.auto import splits
from ranvier.auto.checks import notes_of, target_of, task_of
from ranvier.auto.columns import ARRAYS, Column, find_columns, no_column, seconds, unreadable
from ranvier.auto.runs import Run, versions
from ranvier.auto.scores import CLASSES, NUMBERS
from ranvier.auto.sources import digest_of
from ranvier.auto.tables import Table
from ranvier.data.convert import Array
from ranvier.support.phrases import counted

SHOWN = 5  # unreadable values that are noted one by one


@dataclass
class Sample:
    """The rows that have a target: ``rows`` are their numbers in the table of the file."""

    table: Table
    truth: Array
    train: Array
    test: Array
    folds: list[tuple[Array, Array]]


def look_at(out: Path, asked: dict[str, Any], table: Table) -> tuple[Run, Sample]:
    """The run with what is found in the data, and the rows to learn from. ``asked`` are the options of `train`.

    Raises ValueError for data from which nothing can be learned.
    """
    columns = find_columns(table, asked["columns"])
    notes = [f"{table.source}: {note}" for note in table.notes]
    targets = [asked["target"]] if isinstance(asked["target"], str) else list(asked["target"] or ())
    if not targets:
        target, why = target_of(table)
        targets = [target]
        if target not in table.kinds:  # of folders and arrays it is known
            notes.append(why)
    roles = {**dict.fromkeys(targets, "target"), asked["time_column"]: "time", asked["group"]: "group"}
    for name, role in roles.items():
        if name is None:
            continue
        if name not in columns:
            raise ValueError(no_column(table, name))
        if columns[name].role != "ignored" or role == "target":
            columns[name].role = role
    task, truth = task_of(table, columns, targets, asked["metric"])
    unknown = np.isnan(truth) if task.kind == NUMBERS else truth < 0
    lacking: Array = np.asarray(unknown.reshape(len(truth), -1).any(1))
    if lacking.any():
        notes.append(f"{left_out(int(lacking.sum()))} ({table.lines_of(np.flatnonzero(lacking))})")
    wrong = unreadable(table, [column for column in columns.values() if column.used and "unreadable" in column.facts])
    notes += wrong[:SHOWN] + ([f"and {len(wrong) - SHOWN:,} more values like these"] if len(wrong) > SHOWN else [])
    rows = np.flatnonzero(~lacking)
    known = _read(table, columns).rows(rows)
    notes += notes_of(known, columns, task, truth[rows])
    if not any(column.used for column in columns.values()):
        raise ValueError(
            f"{table.source} has no column to learn from. Write --columns NAME=KIND for one that it may use."
        )
    arrays = [column.kind for column in columns.values() if column.used and column.kind in ARRAYS]
    facts = {
        "kind": arrays[0] if arrays else "table",
        "sha256": table.digest,
        "rows": len(table),
        "notes": list(table.notes),
    }
    run = Run(out, task, columns, settings=asked, seed=asked["seed"], data=facts, notes=notes)
    run.versions = versions()
    return run, _split(run, known, truth, rows)


def _read(table: Table, columns: Mapping[str, Column]) -> Table:
    """The table with its inputs of numbers read, so that the texts of many rows are read once."""
    numbers = [column for column in columns.values() if column.used and column.kind == "number"]
    read = {column.name: column.numbers(table.columns[column.name])[0] for column in numbers}
    return replace(table, columns=table.columns | read)


def left_out(rows: int) -> str:
    """The note on rows without a target."""
    return f"{counted(rows, 'row', ('has', 'have'))} no target and {'is' if rows == 1 else 'are'} left out"


def _split(run: Run, known: Table, truth: Array, rows: Array) -> Sample:
    """Divide the rows, and keep their numbers in the run."""
    asked, classes = run.settings, run.task.kind == CLASSES
    y = truth[rows]
    order = groups = None
    if asked["time_column"] is not None:
        column = run.columns[asked["time_column"]]
        if column.kind not in ("date", "number", "identifier"):
            raise ValueError(
                f"the time column {column.name!r} is a {column.kind}. Write a column of dates or of numbers instead."
            )
        values = known.columns[column.name]
        order = seconds(column.dates(values)[0]) if column.kind == "date" else column.numbers(values)[0]
        if np.isnan(order).any():
            raise ValueError(f"the time column {column.name!r} has rows without a time. Fill them, or leave it out.")
    if asked["group"] is not None:
        groups = np.unique(known.columns[asked["group"]].astype(str), return_inverse=True)[1]
    fraction = splits.fraction_of(len(y)) if asked["test"] is None else asked["test"]
    if not 0 <= fraction < 0.9:
        raise ValueError(f"test={fraction!r}: write a fraction of the rows from 0 to 0.9 instead.")
    test = splits.test_rows(fraction, y, classes, order, groups, run.seed)
    train = np.setdiff1d(np.arange(len(y)), test)
    number = asked["folds"] or (5 if len(train) <= splits.FOLDED.get(run.data["kind"], splits.SMALL) else 1)
    if len(train) < 2 * max(number, 2):
        raise ValueError(
            f"{known.source} has {counted(len(train), 'row')} to learn from, and {max(number, 2)} folds need twice as "
            "many as they are. Write data with more rows, or fewer --folds, instead."
        )
    by_order, by_group = (None if a is None else a[train] for a in (order, groups))
    folds = splits.folds_of(number, y[train], classes, by_order, by_group, run.seed)
    fold = np.full(len(train), -1)
    for k, (_, held) in enumerate(folds):
        fold[held] = k
    run.arrays |= {"train": rows[train], "test": rows[test], "fold": fold, "truth": truth}
    by = "time" if order is not None else "group" if groups is not None else "class" if classes else "chance"
    run.split = {"by": by, "test": fraction, "folds": len(folds)}
    return Sample(known, y, train, test, folds)


def note_changes(run: Run, data: Any) -> None:
    """Note where the file was changed while the model was trained."""
    if run.data["sha256"]:
        try:
            same = digest_of(data) == run.data["sha256"]
        except (OSError, ValueError):
            same = False
        if not same:
            run.notes.append(f"{data} was changed while the model was trained, which knows what it was before")
