"""The facts of a run of ``ranvier train``."""

from __future__ import annotations

import shlex
from typing import Any

import numpy as np

from ranvier.auto.columns import ARRAYS, Column, texts_of
from ranvier.auto.report.facts import Facts
from ranvier.auto.report.parts import parts_of
from ranvier.auto.report.verdicts import scored_facts
from ranvier.auto.report.words import Name
from ranvier.auto.runs import Run
from ranvier.auto.tables import Table
from ranvier.data.convert import Array

SHOWN_SETTINGS = 12


def facts_of_run(run: Run) -> Facts:
    """The facts of the test part; where there is none, of the held-out rows.

    Importances, dependences and the columns of mistakes need the data file: without it, or where it has changed, they
    are left out, with a note.
    """
    facts, rows = scored_facts(run)
    facts.curves = [(("trial {n}", {"n": number}), folds) for number, folds in run.history.items()]
    facts.checks = [("note", note) for note in run.notes]
    facts.versions, facts.seed, facts.command, facts.seconds = run.versions, run.seed, _command(run), dict(run.times)
    _add_data(facts, run)
    _add_steps(facts, run)
    try:
        table = run.read_data()
    except (OSError, ValueError) as error:
        facts.notes.append(f"importances and dependences are left out: {error}")
    else:
        _add_features(facts, run, table, rows)
    return facts


def _command(run: Run) -> str:
    return shlex.join(run.command) if run.command else ""


def _add_data(facts: Facts, run: Run) -> None:
    task = run.task
    what: Any = ("one of {n} classes", {"n": len(task.classes)})
    if facts.labels:
        what = ("{n} times one of two values", {"n": task.outputs})
    elif not facts.classes:
        what = "a number" if task.outputs == 1 else ("{n} numbers", {"n": task.outputs})
    facts.data = [
        ("file", Name(run.data["path"])), ("rows", f"{run.data['rows']:,}"), ("target", Name(", ".join(task.targets))),
        ("kind of task", what), ("rows to learn from", f"{len(run.arrays['train']):,}"),
        ("test part", f"{len(run.arrays['test']):,}"),
    ]  # fmt: skip
    if facts.classes:
        truth = run.arrays["truth"]
        for name in ("train", "test"):
            if len(run.arrays[name]):
                label = "rows to learn from" if name == "train" else "test part"
                facts.frequencies.append((label, np.bincount(truth[run.arrays[name]], minlength=len(task.classes))))
    facts.columns = [
        [column.name, _kind(column), _values(column), f"{column.missing:,}"]
        for column in run.columns.values()
        if column.role != "target"
    ]


def _kind(column: Column) -> Any:
    return column.kind if column.used else ("{kind}, not used", {"kind": column.kind})


def _values(column: Column) -> Any:
    facts = column.facts
    if "shape" in facts:
        return "arrays of shape {shape}", {"shape": str(tuple(facts["shape"]))}
    if "lowest" in facts and "highest" in facts:
        low, high = (
            f"{v:.6g}" if isinstance(v, (int, float)) else str(v).removesuffix("T00:00:00")
            for v in (facts["lowest"], facts["highest"])
        )
        return "{low} to {high}", {"low": low, "high": high}
    return "{n} values", {"n": f"{column.distinct:,}"}


def _add_steps(facts: Facts, run: Run) -> None:
    counts = {"train": f"{len(run.arrays['train']):,}", "test": f"{len(run.arrays['test']):,}"}
    steps: list[Any] = [
        (
            "The rows are divided by {by}: {train} to learn from, {test} for the test.",
            {"by": run.split["by"], **counts},
        ),
        "Preparation, scaling and categories are learned from the rows to learn from alone.",
    ]
    folds = run.split["folds"]
    tried = "Settings that are tried: {n}, each on {folds} held-out parts."
    if folds < 2:
        tried = "Settings that are tried: {n}, each on one held-out part."
    steps.append((tried, {"n": len(run.trials), "folds": folds}))
    several = "The model is the mean of {n} networks, of {trials} of these settings."
    if len(run.members) == 1:
        several = "The model is the mean of {n} networks of one of these settings."
        if folds < 2:
            several = "The model is the network of one of these settings."
    steps.append((several, {"n": len(run.members) * max(folds, 1), "trials": len(run.members)}))
    if any(member.get("all_rows") for member in run.members):
        steps.append(
            "Its networks are trained again on all rows to learn from; scores of held-out rows are of those of the "
            "folds."
        )
    if facts.classes or facts.labels:
        steps.append(
            ("Probabilities are calibrated with the temperature {value}.", {"value": f"{run.temperature:.3g}"})
        )
        if run.decision.get("threshold") is not None:
            values = {"name": run.task.classes[1], "value": f"{run.decision['threshold']:.3g}"}
            steps.append(("The class {name} is chosen from a probability of {value}.", values))
    if len(run.arrays["test"]):
        steps.append("The test part is scored once, at the end.")
    if run.state == "stopped":
        steps.append("The training was stopped before its end; this is the best so far.")
    facts.steps = steps
    facts.members = [member["trial"] for member in run.members]
    for trial in run.trials:
        settings = ", ".join(f"{k}={_short(v)}" for k, v in list(trial["settings"].items())[:SHOWN_SETTINGS])
        value = trial["validation"].get(run.task.metric) if trial["error"] is None else None
        facts.trials.append([trial["number"], settings, value, ", ".join(map(str, trial["epochs"]))])


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _add_features(facts: Facts, run: Run, table: Table, rows: Array) -> None:
    """The used columns of the scored rows, as numbers where they are, and the model behind the preparation."""
    part = table.rows(rows)
    facts.lines, facts.lines_are = part.lines, part.unit
    facts.parts = parts_of(run, part)
    used = [column for column in run.columns.values() if column.used]
    if arrays := [column for column in used if column.kind in ARRAYS]:  # no column of values that can be shuffled
        facts.images = part.columns[arrays[0].name] if arrays[0].kind == "image" else None
        return
    features: dict[str, Array] = {}
    for column in used:
        values = part.columns[column.name]
        features[column.name] = column.numbers(values)[0] if column.kind == "number" else texts_of(values)
    facts.features = features
    facts.varied = [column.name for column in used if column.kind in ("number", "category", "yes/no")]

    def predict(x: Any) -> Array:
        length = len(next(iter(x.values())))
        return run.output(Table({k: _written(v) for k, v in x.items()}, np.arange(length)))

    facts.predict = predict


def _written(values: Array) -> Array:
    """Values as a table of a file has them: texts as objects, numbers as they are."""
    return values.astype(object) if values.dtype.kind == "U" else values
