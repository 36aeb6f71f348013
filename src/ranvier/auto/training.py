"""`train`: from a file of data to a folder with a trained model, in the order of a careful person.

Look at the data; set the test part aside; learn the preparation from the rest; measure what is simple; search; decide
and calibrate by the held-out rows; score the test part, once.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time as clock
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.auto import baselines, networks, splits
from ranvier.auto.checks import notes_of, target_of, task_of
from ranvier.auto.columns import find_columns, no_column, seconds, unreadable
from ranvier.auto.descriptions import data_lines
from ranvier.auto.preparation import Preparation
from ranvier.auto.runs import FACTS, Run, versions
from ranvier.auto.scores import CLASSES, Task, scores
from ranvier.auto.tables import Table, read_table, read_whole
from ranvier.auto.trials import FITTED, Search, Trial, decision_weights, mixed, pick, probabilities
from ranvier.calibration.scaling import fit_temperature
from ranvier.data import files
from ranvier.data.convert import Array
from ranvier.module import Module
from ranvier.module.core import restart_names
from ranvier.support.validation import whole
from ranvier.support.version import __version__
from ranvier.tensor import rng

TRIALS = 8  # where neither trials nor a time are given
TEST = 0.2
SEARCHED = 0.93  # the fraction of the time after which the search ends: the rest is for what comes then
RESERVED = 1.5  # seconds at least for that
TREES = 0.2  # the fraction of the time that the trees may take
SMALL = 20_000  # rows up to which there are five folds
SHOWN = 5  # unreadable values that are noted one by one

Say = Callable[[str], None]


@dataclass
class Plan:
    """What `train` was asked, checked."""

    out: Path
    settings: dict[str, Any]
    say: Say
    began: float = field(default_factory=clock.perf_counter)

    @property
    def seconds(self) -> float | None:
        time: float | None = self.settings["time"]
        return time

    def end(self, fraction: float, reserved: float = 0.0) -> float:
        """The time of the clock at which a fraction of the time is over."""
        return float("inf") if self.seconds is None else self.began + self.seconds * fraction - reserved


def train(
    data: Any,
    target: str | Sequence[str] | None = None,
    out: Any = None,
    *,
    time: float | None = None,
    trials: int | None = None,
    settings: Mapping[str, Any] | None = None,
    columns: Mapping[str, str] | None = None,
    time_column: str | None = None,
    group: str | None = None,
    folds: int | None = None,
    test: float = TEST,
    metric: str = "",
    seed: int = 0,
    separator: str | None = None,
    encoding: str | None = None,
    command: Sequence[str] = (),
    say: Say = lambda line: None,
    progress: Callable[[Trial, float], None] = lambda trial, seconds: None,
) -> Run:
    """Train a model on a table, and write its folder.

    ``data`` is a file that `read_table` reads. ``target`` is a column, or several of numbers; by default one named
    "target", "label", "class", "y" or "outcome", else the last. ``out`` is the folder, by default named after the file.
    The search tries ``trials`` settings, or ends after ``time`` seconds, all included; by default it tries 8. The same
    seed and number of trials give the same files, bit for bit. ``settings`` fix settings of the networks (``width``,
    ``depth``, ``dropout``, ``rate``, ``decay``, ``view``, ``smoothing``, ``batch``, ``epochs``). ``columns`` are kinds
    of columns by name, which overrule those that are found: see `Column`, or "ignore". The ``test`` part, a fraction,
    is scored once, at the end: rows by chance, the same fraction of each class; the last ones by ``time_column``; or
    whole groups of ``group``, a column. ``folds`` of the other rows hold out rows by which the search, the threshold
    and the calibration decide (by default 5, or 1 of many rows). ``metric`` is the score that the threshold is for.

    Ctrl-C ends the search, and the best so far is kept; a second one ends the program. A process that was killed goes
    on where it was when it is called with the same arguments. ``say`` is called with lines for people, ``progress``
    with each trial and its seconds.

    Raises ValueError for data from which nothing can be learned, OSError for files that cannot be read or written, and
    FileExistsError for a folder with a finished run.
    """
    options = {"separator": separator, "encoding": encoding}
    table = read_table(data, **options)
    asked = {
        "data": str(data), "target": target if target is None or isinstance(target, str) else list(target),
        "time": time, "trials": TRIALS if trials is None and time is None else trials,
        "settings": dict(settings or {}), "columns": dict(columns or {}), "time_column": time_column, "group": group,
        "folds": folds, "test": test, "metric": metric, "seed": whole("seed", seed, 0),
    }  # fmt: skip
    plan = Plan(Path(out) if out is not None else default_folder(data), asked, say)
    kept = _search_folder(plan, table)
    run, sample = _looked_at(plan, table)
    run.command = list(command)
    run.data |= {"path": str(data), "options": {name: value for name, value in options.items() if value is not None}}
    model, preparation = _trained(plan, run, sample, progress, kept)
    _note_changes(run, data)
    run.times["all"] = clock.perf_counter() - plan.began
    run.save(model, preparation)
    shutil.rmtree(kept.parent, ignore_errors=True)
    return run


def default_folder(data: Any) -> Path:
    """The folder of a run where none is given."""
    return Path(f"{Path(str(data)).stem}-run")


def _search_folder(plan: Plan, table: Table) -> Path:
    """The folder of the trials of these data and settings. Raises OSError where it cannot be made."""
    if (plan.out / FACTS).exists():
        raise FileExistsError(f"{plan.out} has a finished run. Write another --out, or remove it, instead.")
    asked = {k: v for k, v in plan.settings.items() if k not in ("trials", "time", "data")}
    text = json.dumps([asked, table.digest, __version__], sort_keys=True, ensure_ascii=False)
    kept = plan.out / "search" / hashlib.sha256(text.encode()).hexdigest()[:16]
    files.make_folder(kept, "the run")
    if earlier := len(list(kept.glob("*.safetensors"))):
        plan.say(f"going on in {plan.out}: {earlier} trial{'s' * (earlier > 1)} of an earlier process are kept")
    return kept


# --- the data -------------------------------------------------------------------------------------------------------


@dataclass
class Sample:
    """The rows that have a target: ``rows`` are their numbers in the table of the file."""

    table: Table
    truth: Array
    train: Array
    test: Array
    folds: list[tuple[Array, Array]]


def _looked_at(plan: Plan, table: Table) -> tuple[Run, Sample]:
    """The run with what is found in the data, and the rows to learn from."""
    asked = plan.settings
    columns = find_columns(table, asked["columns"])
    notes = [f"{table.source}: {note}" for note in table.notes]
    targets = [asked["target"]] if isinstance(asked["target"], str) else list(asked["target"] or ())
    if not targets:
        targets = [target_of(table)]
        notes.append(f"no target is given: it is the column {targets[0]!r}")
    roles = {**dict.fromkeys(targets, "target"), asked["time_column"]: "time", asked["group"]: "group"}
    for name, role in roles.items():
        if name is None:
            continue
        if name not in columns:
            raise ValueError(no_column(table, name))
        if columns[name].role != "ignored" or role == "target":
            columns[name].role = role
    task, truth = task_of(table, columns, targets, asked["metric"])
    lacking = truth < 0 if task.kind == CLASSES else np.isnan(truth).any(1)
    if lacking.any():
        lines = ", ".join(map(str, table.lines[lacking][:5])) + (", ..." if lacking.sum() > 5 else "")
        notes.append(f"{lacking.sum():,} rows have no target and are left out (lines {lines})")
    wrong = unreadable(table, [column for column in columns.values() if column.used])
    notes += wrong[:SHOWN] + ([f"and {len(wrong) - SHOWN:,} more values like these"] if len(wrong) > SHOWN else [])
    rows = np.flatnonzero(~lacking)
    known = table.rows(rows)
    notes += notes_of(known, columns, task, truth[rows])
    if not any(column.used for column in columns.values()):
        raise ValueError(
            f"{table.source} has no column to learn from. Write --columns NAME=KIND for one that it may use."
        )
    facts = {"kind": "table", "sha256": table.digest, "rows": len(table), "notes": list(table.notes)}
    run = Run(plan.out, task, columns, settings=asked, seed=asked["seed"], data=facts, notes=notes)
    run.versions = versions()
    return run, _split(run, known, truth, rows)


def _split(run: Run, known: Table, truth: Array, rows: Array) -> Sample:
    """Divide the rows, and keep their numbers in the run."""
    asked, classes = run.settings, run.task.kind == CLASSES
    y = truth[rows]
    order = groups = None
    if asked["time_column"] is not None:
        column = run.columns[asked["time_column"]]
        values = known.columns[column.name]
        order = seconds(column.dates(values)[0]) if column.kind == "date" else column.numbers(values)[0]
        if np.isnan(order).any():
            raise ValueError(f"the time column {column.name!r} has rows without a time. Fill them, or leave it out.")
    if asked["group"] is not None:
        groups = np.unique(known.columns[asked["group"]].astype(str), return_inverse=True)[1]
    if not 0 <= asked["test"] < 0.9:
        raise ValueError(f"test={asked['test']!r}: write a fraction of the rows from 0 to 0.9 instead.")
    test = splits.test_rows(asked["test"], y, classes, order, groups, run.seed)
    train = np.setdiff1d(np.arange(len(y)), test)
    number = asked["folds"] or (5 if len(train) <= SMALL else 1)
    if len(train) < 2 * max(number, 2):
        raise ValueError(f"{known.source} has {len(train)} rows to learn from. Write a table with more instead.")
    by_order, by_group = (None if a is None else a[train] for a in (order, groups))
    folds = splits.folds_of(number, y[train], classes, by_order, by_group, run.seed)
    fold = np.full(len(train), -1)
    for k, (_, held) in enumerate(folds):
        fold[held] = k
    run.arrays |= {"train": rows[train], "test": rows[test], "fold": fold, "truth": truth}
    by = "time" if order is not None else "group" if groups is not None else "class" if classes else "chance"
    run.split = {"by": by, "test": asked["test"], "folds": len(folds)}
    return Sample(known, y, train, test, folds)


def _note_changes(run: Run, data: Any) -> None:
    """Note where the file was changed while the model was trained."""
    if run.data["sha256"]:
        try:
            same = hashlib.sha256(read_whole(Path(data).expanduser())).hexdigest() == run.data["sha256"]
        except (OSError, ValueError):
            same = False
        if not same:
            run.notes.append(f"{data} was changed while the model was trained, which knows what it was before")


# --- the model ------------------------------------------------------------------------------------------------------


def _trained(
    plan: Plan, run: Run, sample: Sample, progress: Callable[[Trial, float], None], kept: Path
) -> tuple[Module, Preparation]:
    task = run.task
    train, truth = sample.table.rows(sample.train), sample.truth[sample.train]
    for line in data_lines(run):
        plan.say(line)
    preparation = Preparation.fit(train, list(run.columns.values()))
    x = preparation.transform(train)
    mean = deviation = None
    if task.kind == CLASSES:
        y = np.eye(task.outputs, dtype=np.float32)[truth]
    else:
        mean, deviation = truth.mean(0), np.maximum(truth.std(0), 1e-12)
        y = ((truth - mean) / deviation).astype(np.float32)
    others = _baselines(plan, run, preparation, sample)
    make = networks.build(task, x.shape[1], preparation.blocks)
    search = Search(
        task, x, y, sample.folds, make, kept, run.seed, plan.settings["trials"],
        plan.end(SEARCHED, RESERVED), plan.settings["settings"], progress,
    )  # fmt: skip
    began = clock.perf_counter()
    search.run()
    run.times["search"] = clock.perf_counter() - began
    run.state = "stopped" if search.stopped else "finished"
    members = pick(
        task, truth if task.kind == CLASSES else y, [t for t in search.done if t.number or len(search.done) == 1]
    )
    if not members:
        if search.stopped:
            raise KeyboardInterrupt
        raise ValueError(f"no network could be trained: {search.done[0].error}. Write --set rate=1e-4, for example.")
    _decided(run, search.done, members, truth, mean, deviation)
    model = _assembled(run, members, make, mean, deviation)
    _tested(run, preparation, sample, model, others, _linear(run, search.done, make, mean, deviation))
    return model, preparation


def _baselines(plan: Plan, run: Run, preparation: Preparation, sample: Sample) -> list[baselines.Baseline]:
    """What is simple, with its outputs for the test rows."""
    train, test = sample.table.rows(sample.train), sample.table.rows(sample.test)
    truth = sample.truth[sample.train]
    found = [baselines.constant(run.task, truth, len(sample.test))]
    if baselines.has_trees() and len(sample.test):
        began = clock.perf_counter()
        limit = began + plan.seconds * TREES if plan.seconds is not None else float("inf")
        grown = baselines.trees(run.task, preparation, train, truth, test, run.seed, limit)
        run.times["trees"] = clock.perf_counter() - began
        if grown is None:
            run.notes.append("the time was too short for boosted trees, which are not compared")
        else:
            found.append(grown)
    return found


def _in_units(task: Task, output: Array, temperature: float, mean: Array | None, deviation: Array | None) -> Array:
    """Outputs of networks as probabilities, or as numbers in the units of the target."""
    if task.kind == CLASSES:
        return probabilities(task, output, temperature)
    return output * deviation + mean


def _decided(
    run: Run, trials: Sequence[Trial], members: Sequence[tuple[Trial, float]], truth: Array, mean: Any, deviation: Any
) -> None:
    """Temperature and threshold by the held-out rows, and their scores."""
    task, output = run.task, mixed(members)
    held = ~np.isnan(output).any(1)
    if task.kind == CLASSES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # no rows are wrong: then the temperature is at its limit
            run.temperature = float(np.clip(fit_temperature(truth[held], output[held], "softmax"), 0.1, 10))
    final = _in_units(task, output, run.temperature, mean, deviation)
    if task.kind == CLASSES:
        run.decision["weights"] = weights = decision_weights(task, truth[held], final[held])
        if len(weights) == 2:
            run.decision["threshold"] = weights[0] / (weights[0] + weights[1])
    run.validation = run.score(truth[held], final[held])
    run.arrays["validation/output"] = final
    run.members = [{"trial": trial.number, "weight": weight} for trial, weight in members]
    run.history = {str(trial.number): trial.history for trial, _ in members}
    for trial in trials:
        made = _in_units(task, trial.output.astype(np.float64), 1.0, mean, deviation)[held]
        good = trial.error is None and not np.isnan(made).any()
        run.trials.append({
            "number": trial.number,
            "settings": trial.settings,
            "validation": scores(task, truth[held], made) if good else {},
            "epochs": [len(curves["loss"]) for curves in trial.history],
            "error": trial.error,
        })  # fmt: skip


def _networks(trial: Trial, make: Callable[..., Module]) -> list[Module]:
    """The networks of a trial, one for each fold, with their weights."""
    settings = {k: v for k, v in trial.settings.items() if k not in FITTED}
    made = []
    for weights in trial.weights:
        network = make(**settings)
        network.set_weights(weights)
        made.append(network)
    return made


def _assembled(
    run: Run, members: Sequence[tuple[Trial, float]], make: Callable[..., Module], mean: Any, deviation: Any
) -> Module:
    restart_names()  # so that the file has the same names whatever was trained before
    with rng.seed_scope(run.seed):
        parts = [(weight, _networks(trial, make)) for trial, weight in members]
        return networks.combined(run.task, parts, run.temperature, mean, deviation)


def _linear(run: Run, trials: Sequence[Trial], make: Callable[..., Module], mean: Any, deviation: Any) -> Module | None:
    first = trials[0]
    if first.error is not None or not first.weights:
        return None
    return _assembled(run, [(first, 1.0)], make, mean, deviation)


def _tested(
    run: Run,
    preparation: Preparation,
    sample: Sample,
    model: Module,
    others: list[baselines.Baseline],
    linear: Module | None,
) -> None:
    """The scores of the test part: the only place where it is looked at."""
    task = run.task
    test, truth = sample.table.rows(sample.test), sample.truth[sample.test]
    if len(sample.test):
        x = preparation.transform(test)

        def output(network: Module) -> Array:
            return np.asarray(network.predict(x, verbose=0), np.float64).reshape(len(x), task.outputs)

        run.arrays["test/output"] = output(model)
        run.test = run.score(truth, run.arrays["test/output"])
        if linear is not None:
            others.insert(1, baselines.Baseline("linear", output(linear)))
    validation = {"linear": run.trials[0]["validation"]} if run.trials[0]["number"] == 0 else {}
    for other in others:
        row = {"name": other.name, "title": baselines.TITLES[other.name], "validation": validation.get(other.name, {})}
        row["test"] = scores(task, truth, other.output) if len(sample.test) else {}
        run.baselines.append(row)
        run.arrays[f"test/{other.name}/output"] = other.output
