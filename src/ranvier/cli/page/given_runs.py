"""A run of ``ranvier train`` on the page: its model, its data as the model takes them, and what it says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import ranvier as rv
from ranvier.auto import Run
from ranvier.auto.report.facts import Facts
from ranvier.auto.report.of_run import facts_of_run
from ranvier.auto.report.verdicts import sentences
from ranvier.auto.report.words import Say
from ranvier.auto.runs import MODEL
from ranvier.auto.scores import CLASSES, LABELS
from ranvier.calibration.temperature import Calibrated
from ranvier.cli.page.settings import Settings
from ranvier.cli.page.sources import Array, Source, Target
from ranvier.support.sampling import some_rows

MOST_ROWS = 20_000  # of a part, by chance
COLUMNS = 40  # that are described
Load = Callable[[Settings], Source]


def of_run(folder: Path) -> tuple[Load, dict[str, Any]]:
    """What loads a run's model with its data, prepared; and what the page says of it, in English and in Chinese.

    Raises ValueError, with what to do instead, where the data file is gone or has changed.
    """
    run = Run.load(folder)
    try:
        table = run.read_data()
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{error} The page shows the model on its data: put the file back, or write ranvier page "
            f"{folder / MODEL} to see the model with random inputs."
        ) from error
    chosen = [rows_of(run, name) for name in ("train", "test")]
    if not len(chosen[1]):  # nothing was held out: some rows are in both parts
        chosen[1] = chosen[0][: max(1, len(chosen[0]) // 5)]
    x, x_test = (as_inputs(run.preparation.transform(table.rows(rows))) for rows in chosen)
    targets = targets_of(run, *(run.arrays["truth"][rows] for rows in chosen))
    is_image = x.ndim == 4 and x.shape[3] in (1, 3)
    kind = "table" if x.ndim == 2 else "images" if is_image else "arrays"
    names = tuple(run.preparation.names) if x.ndim == 2 else (run.data["kind"],) if kind == "arrays" else ()
    whole = Source(
        kind, "", x, targets[0].y, x_test, targets[0].y_test, features=names, targets=tuple(targets), run=folder,
        white=max(float(x.max()), 1e-9) if is_image else 1.0, open_model=lambda: opened(folder),
    ).showing(0)  # fmt: skip
    whole = whole if len(targets) > 1 else replace(whole, targets=())
    facts = facts_of_run(run)
    return lambda settings: whole, {language: described(folder, facts, Say(language)) for language in ("en", "zh")}


def opened(folder: Path) -> Any:
    """The model of a run. What calibrates it becomes layers like others, which are drawn and written as programs."""
    model: Any = rv.load_model(folder / MODEL)
    if not isinstance(model, Calibrated):
        return model
    logits, temperature, bias = model.model, model.temperature.item(), model.bias
    offset = 0.0 if bias is None else bias.numpy().tolist()
    scaled = rv.layers.Rescaling(1 / temperature, offset, name="temperature")(logits.outputs[0])
    return rv.Model(logits.inputs, rv.layers.Activation(model.kind, name=model.kind)(scaled), name=model.name)


def rows_of(run: Run, part: str) -> Array:
    """The numbers of the rows of a part; of many some, by chance."""
    rows: Array = run.arrays[part]
    return np.asarray(rows[some_rows(len(rows), MOST_ROWS, run.seed)])


def as_inputs(x: Array) -> Array:
    """What a preparation gives, in float32."""
    return np.ascontiguousarray(x, np.float32)


def targets_of(run: Run, truth: Array, truth_test: Array) -> list[Target]:
    """The targets of a run: classes or a number, or one for each column of the output."""
    task = run.task
    if task.kind == CLASSES:
        return [Target(task.targets[0], "classes", truth, truth_test, tuple(task.classes))]
    found = []
    for k, name in enumerate(task.targets):
        y, y_test, column = truth[:, k], truth_test[:, k], k if len(task.targets) > 1 else None
        if task.kind == LABELS:
            classes = tuple(task.labels[k])
            found.append(Target(name, "classes", y.astype(np.int64), y_test.astype(np.int64), classes, column=column))
        else:
            found.append(Target(name, "number", y.astype(np.float32), y_test.astype(np.float32), column=column))
    return found


def described(folder: Path, facts: Facts, say: Say) -> dict[str, Any]:
    """The data, the columns, and the result of a run in the words of its report."""
    rows = []
    for name, kind, values, missing in facts.columns[:COLUMNS]:
        words = [say(kind), say(values), *([f"{say('missing')}: {missing}"] if missing != "0" else [])]
        rows.append([name, (", ", "，")[say.lang == "zh"].join(words)])
    return {
        "name": folder.resolve().name,
        "facts": [[say(name), say(value)] for name, value in facts.data],
        "columns": rows,
        "rest": len(facts.columns) - len(rows),
        "result": " ".join(sentences(facts, say)[0]),
        "notes": [say.sentence(note) for note in facts.notes],
    }
