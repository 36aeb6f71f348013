"""What is wrong with the data, before anything is trained: errors that stop it, and notes that a person should read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ranvier.auto.columns import ARRAYS, FEW_CLASSES, PAIRS, Column, is_missing, seconds, texts_of
from ranvier.auto.scores import CLASSES, LABELS, NUMBERS, Task
from ranvier.auto.tables import Table
from ranvier.data.convert import Array

NEARLY = 0.98  # the score from which one column alone gives the target away
BINS = 32  # intervals of a number, in which the target is looked up
USUAL = ("target", "label", "class", "y", "outcome")  # names of a target, where none is given
MOST_CLASSES = 1000


def target_of(table: Table) -> tuple[str, str]:
    """The column that is the target where none is given, one of a usual name or the last, and a note that says why."""
    low = {name.lower(): name for name in table.columns}
    usual = next((low[name] for name in USUAL if name in low), None)
    if usual is not None:
        return usual, f"no target is given: it is the column {usual!r}, for its name. Write --target for another"
    last = list(table.columns)[-1]
    return last, f"no target is given: it is the last column, {last!r}. Write --target for another"


def task_of(table: Table, columns: Mapping[str, Column], targets: list[str], metric: str = "") -> tuple[Task, Array]:
    """The task of the target columns, and the target of each row: see `Run.arrays`.

    Raises ValueError for a target that is constant, free text, or different in nearly all rows.
    """
    first = columns[targets[0]]
    for name in targets:
        column = columns[name]
        if column.kind == "constant":
            value = (column.facts.get("examples") or [""])[0]
            found = f"has the value {value!r} in all rows" if column.distinct else "is empty"
            raise ValueError(f"the target {name!r} {found}, so there is nothing to learn. Write another --target.")
        if column.kind == "identifier" and not column.given:
            raise ValueError(
                f"the target {name!r} has {column.distinct:,} different values in {len(table):,} rows, like a number "
                f"of the row. Write another --target, or --columns {name}=number if it is what you want."
            )
        if column.kind == "date":
            raise ValueError(
                f"the target {name!r} is a date ({column.facts['examples'][0]!r} ...), and a number or a class is "
                f"predicted. Write another --target, or --columns {name}=category if its values are classes."
            )
        if column.kind == "text":
            raise ValueError(
                f"the target {name!r} is free text ({column.facts['examples'][0]!r} ...). Write another --target, or "
                f"--columns {name}=category if its values are classes."
            )
    two = [two_values(columns[name]) for name in targets]
    if len(targets) > 1 and all(two):
        return Task(LABELS, targets, metric=metric, labels=two), label_numbers(table, targets, two)
    if len(targets) > 1 or is_number(first):
        for name, values in zip(targets, two, strict=True):
            column = columns[name]
            if not (column.kind in ("number", "identifier") or (column.kind == "yes/no" and values == ["0", "1"])):
                raise ValueError(
                    f"of several targets all are numbers, or all have two values, and {name!r} is a {column.kind} "
                    f"of {column.distinct:,} values. Train a model for it alone instead."
                )
        truth = np.stack([columns[name].numbers(table.columns[name])[0] for name in targets], 1)
        return Task(NUMBERS, targets, metric=metric), truth
    texts = texts_of(table.columns[first.name])
    lacking = is_missing(table.columns[first.name])
    names = sorted(set(texts[~lacking].tolist()), key=_natural)
    if len(names) > MOST_CLASSES:
        raise ValueError(
            f"the target {first.name!r} has {len(names):,} classes. Write one with at most {MOST_CLASSES:,}."
        )
    places = {name: k for k, name in enumerate(names)}
    truth = np.array([-1 if m else places[t] for t, m in zip(texts, lacking, strict=True)], np.int64)
    return Task(CLASSES, targets, names, metric), truth


def two_values(column: Column) -> list[str]:
    """The two values of a target, the one that counts as 1 last; [] for a column that has others."""
    if column.kind not in ("yes/no", "category"):
        return []
    found = {level.lower(): level for level in reversed(column.facts.get("levels", ()))}
    pair = next((pair for pair in PAIRS if set(found) == set(pair)), tuple(sorted(found)))
    return [found[level] for level in pair] if len(pair) == 2 else []


def label_numbers(table: Table, targets: list[str], labels: list[list[str]]) -> Array:
    """0 or 1 for each row and target, -1 where it is missing. Raises ValueError for another value, with its line."""
    numbers = np.full((len(table), len(targets)), -1, np.int64)
    for k, (name, values) in enumerate(zip(targets, labels, strict=True)):
        low = [value.lower() for value in values]
        for place, text in enumerate(texts_of(table.columns[name]).tolist()):
            if text.lower() in low:
                numbers[place, k] = low.index(text.lower())
            elif text:
                raise ValueError(
                    f"{table.line(place)}, column {name!r}: the value is {text!r}, and the model knows {values[0]!r} "
                    f"and {values[1]!r}. Correct or remove the row instead."
                )
    return numbers


def is_number(column: Column) -> bool:
    """Whether a target is a number, and not a class: few whole numbers are classes, unless their kind is given."""
    if column.kind == "identifier":
        return True
    if column.kind != "number":
        return False
    whole = all("." not in text and "," not in text for text in column.facts.get("examples", ()))
    return column.given or not whole or column.distinct > FEW_CLASSES


def _natural(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name


def notes_of(table: Table, columns: Mapping[str, Column], task: Task, truth: Array) -> list[str]:
    """Notes on the target and on columns that give it away. Rows without a target are already left out."""
    notes = []
    if task.kind == CLASSES:
        counts = np.bincount(truth, minlength=len(task.classes))
        rare = [f"{task.classes[k]!r} ({counts[k]})" for k in np.flatnonzero(counts < 10)]
        if rare:
            more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
            which = f"the class{'es' * (len(rare) > 1)} {', '.join(rare[:5])}{more}"
            notes.append(f"few rows of {which}: {'its' if len(rare) == 1 else 'their'} scores say little")
        if counts.max() > 10 * max(counts.min(), 1):
            notes.append(
                f"the classes are imbalanced: {task.classes[int(counts.argmax())]!r} has "
                f"{counts.max() / len(truth):.0%} of the rows; the threshold is tuned for it"
            )
    elif task.kind == NUMBERS and _is_row_number(truth[:, 0]):
        notes.append(
            f"the target {task.targets[0]!r} is nearly the number of the row: rows that are near each other in the "
            "file give it away where they are split by chance. Write --time-column if the rows are in order of time"
        )
    for column in columns.values():
        if "readable" in column.facts and not column.given:
            notes.append(
                f"the column {column.name!r} is taken for a {column.kind}, and {column.facts['readable']:.0%} of its "
                f"values are numbers. If the others are slips, write --columns {column.name}=number"
            )
        if column.used and column.kind not in ARRAYS:
            for name, y in zip(task.targets, [truth] if truth.ndim == 1 else truth.T, strict=True):
                score = given_away(column, table.columns[column.name], y, task.kind != NUMBERS)
                if score >= NEARLY:
                    which = "the target" if len(task.targets) == 1 else f"the target {name!r}"
                    notes.append(
                        f"the column {column.name!r} alone gives {which} away ({score:.3f} of 1). If it is not known "
                        f"before the target is, write --columns {column.name}=ignore"
                    )
    return notes


def _is_row_number(values: Array) -> bool:
    if len(values) < 20 or len(np.unique(values)) < 0.9 * len(values):
        return False
    return abs(float(np.corrcoef(values, np.arange(len(values)))[0, 1])) > 0.999


def given_away(column: Column, values: Array, truth: Array, classes: bool) -> float:
    """How well one column alone predicts a target: the balanced accuracy, or R2, of a table of its values.

    The table is made of every other row, and scored on the rest.
    """
    if column.kind in ("number", "date"):
        numbers = column.numbers(values)[0] if column.kind == "number" else seconds(column.dates(values)[0])
        known = numbers[np.isfinite(numbers)]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else known
        place = np.where(np.isnan(numbers), 0, np.searchsorted(edges, numbers, side="right") + 1)
    else:
        place = np.unique(texts_of(values).astype(str), return_inverse=True)[1]
    size = int(place.max()) + 1
    if size > len(truth) // 4:  # nearly each row has a value of its own
        return 0.0
    even = np.arange(len(truth)) % 2 == 0
    if classes:
        names = int(truth.max()) + 1
        table = np.bincount(place[even] * names + truth[even], minlength=size * names).reshape(size, names)
        found = table.argmax(1)[place[~even]] == truth[~even]
        return float(np.mean([found[truth[~even] == k].mean() for k in np.unique(truth[~even])]))
    count = np.bincount(place[even], minlength=size)
    mean = np.bincount(place[even], truth[even], minlength=size) / np.maximum(count, 1)
    guess = np.where(count > 0, mean, truth[even].mean())[place[~even]]
    spread = np.square(truth[~even] - truth[~even].mean()).sum()
    return float(1 - np.square(truth[~even] - guess).sum() / spread) if spread > 0 else 0.0
