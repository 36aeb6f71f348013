"""`train`: from a file of data to a folder with a trained model, in the order of a careful person.

Look at the data; set the test part aside; learn the preparation from the rest; measure what is simple; search; decide
and calibrate by the held-out rows; score the test part, once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time as clock
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.auto import baselines, networks
from ranvier.auto.choosing import decision_of, mixed, pick, probabilities, temperature_of
from ranvier.auto.descriptions import data_lines
from ranvier.auto.preparation import Preparation, prepared
from ranvier.auto.runs import FACTS, Run
from ranvier.auto.samples import Sample, look_at, note_changes
from ranvier.auto.scores import CLASSES, LABELS, NUMBERS, Task, decide, scores
from ranvier.auto.sources import read_data
from ranvier.auto.spaces import FITTED, SPACES, Space
from ranvier.auto.tables import Table
from ranvier.auto.trials import Search, Trial, may_refit
from ranvier.data import files
from ranvier.data.convert import Array
from ranvier.module import Module
from ranvier.module.core import restart_names
from ranvier.support.errors import nearest
from ranvier.support.phrases import counted
from ranvier.support.validation import whole
from ranvier.support.version import __version__
from ranvier.tensor import rng

AUTO = "auto"
SETTINGS = ("network", "view", "width", "depth", "dropout", "rate", "decay", "smoothing", "mirror")
TRIALS = 8  # where neither trials nor a time are given
SEARCHED = 0.93  # the fraction of the time after which the search ends: the rest is for what comes then
SEARCHED_FEW = 0.75  # the same of tables with few rows, whose networks may be trained again on all of them
RESERVED = 2.0  # seconds at least for that, more where other programs use the machine too,
JUDGED = 1.0  # and times the seconds in which the baselines were judged, since the model is judged in the same way
LINEAR, TREES = 0.1, 0.3  # the fractions of the time left that the linear model and the trees may take

Say = Callable[[str], None]


@dataclass
class Plan:
    """What `train` was asked, checked."""

    out: Path
    settings: dict[str, Any]
    say: Say
    began: float  # of `train`, in time of the clock: reading the data counts, too
    used: float  # seconds of the processor until then
    judged: float = 0.0  # seconds in which the baselines were judged

    @property
    def seconds(self) -> float | None:
        time: float | None = self.settings["time"]
        return time

    def end(self, fraction: float) -> float:
        """The time of the clock at which a fraction of the time is over, with what the end needs reserved."""
        if self.seconds is None:
            return float("inf")
        passed, used = clock.perf_counter() - self.began, clock.process_time() - self.used
        slower = passed / max(used, 0.1)  # 1 where the machine is free
        return self.began + self.seconds * fraction - max(RESERVED, slower) - JUDGED * self.judged


def train(
    data: Any,
    target: str | Sequence[str] | Callable[[Table], str | Sequence[str] | None] | None = None,
    out: Any = None,
    *,
    time: float | None = None,
    trials: int | None = None,
    network: str = AUTO,
    settings: Mapping[str, Any] | None = None,
    columns: Mapping[str, str] | None = None,
    time_column: str | None = None,
    group: str | None = None,
    folds: int | None = None,
    test: float | None = None,
    metric: str = "",
    seed: int = 0,
    separator: str | None = None,
    encoding: str | None = None,
    command: Sequence[str] = (),
    say: Say = lambda line: None,
    progress: Callable[[Trial, float], None] = lambda trial, seconds: None,
    began: float | None = None,
) -> Run:
    """Train a model on data, and write its folder.

    ``data`` is what `read_data` reads: a file of a table, a folder of images, sounds or texts by class, an ``.npz``
    file. ``target`` is a column, or several, all of numbers or all of two values; by default one named "target",
    "label", "class", "y" or "outcome", else the last; or a function that chooses it when it sees the table, whose time
    does not count. ``out`` is the folder, by default named after the file. The
    search tries ``trials`` settings, or ends after ``time`` seconds, all included; by default it tries 8. The same seed
    and number of trials give the same files, bit for bit. ``network`` is "auto", a name ("linear", "mlp"; of images
    also "cnn", "lenet5", "vgg_small", "resnet"), or ``FILE.py:FUNCTION``, which makes a network from (input_shape,
    outputs). ``settings`` fix settings (``width``, ``depth``, ``dropout``, ``rate``, ``decay``, ``view``,
    ``smoothing``, ``mirror``, ``batch``, ``epochs``).

    ``columns`` are kinds of columns by name, which overrule those that are found: see `Column`, or "ignore". The
    ``test`` part, a fraction, is scored once, at the end: rows by chance, the same fraction of each class; the last
    ones by ``time_column``; or whole groups of ``group``, a column. ``folds`` of the other rows hold out rows by which
    the search, the threshold and the calibration decide (by default 5, or 1 of many rows). ``metric`` is the score that
    the threshold is for.

    Ctrl-C ends the search, and the best so far is kept; a second one ends the program. A process that was killed goes
    on where it was when it is called with the same arguments. ``say`` is called with lines for people, ``progress``
    with each trial and its seconds. ``time`` counts from ``began``, a time of ``time.perf_counter``, by default now.

    Raises ValueError for data from which nothing can be learned, OSError for files that cannot be read or written, and
    FileExistsError for a folder with a finished run.
    """
    began = clock.perf_counter() if began is None else began
    used = clock.process_time()
    options: dict[str, Any] = {"separator": separator, "encoding": encoding}
    table = read_data(data, **options)
    if callable(target):
        seen = clock.perf_counter()
        target = target(table)
        began += clock.perf_counter() - seen
    asked = {
        "data": str(data), "target": target if target is None or isinstance(target, str) else list(target),
        "time": time, "trials": TRIALS if trials is None and time is None else trials,
        "network": network, "settings": dict(settings or {}),
        "columns": dict(columns or {}), "time_column": time_column, "group": group,
        "folds": folds, "test": test, "metric": metric, "seed": whole("seed", seed, 0),
    }  # fmt: skip
    plan = Plan(Path(out) if out is not None else default_folder(data), asked, say, began, used)
    kept = _search_folder(plan, table)
    run, sample = look_at(plan.out, asked, table)
    run.command = list(command)
    run.data |= _origin(data, plan.out, table, options)
    for line in data_lines(run):
        say(line)
    noted = len(run.notes)
    model, preparation = _trained(plan, run, sample, progress, kept)
    note_changes(run, data)
    for note in run.notes[noted:]:
        say(f"note: {note}")
    run.times["all"] = clock.perf_counter() - plan.began
    run.save(model, preparation)
    shutil.rmtree(kept.parent, ignore_errors=True)
    return run


def _origin(data: Any, folder: Path, table: Table, options: Mapping[str, Any]) -> dict[str, Any]:
    """Where the data of a run in a folder are, "" where they are no file, and how they are read again."""
    given = {name: value for name, value in options.items() if value is not None}
    return {
        "path": str(data) if table.digest else "",
        "beside": _beside(data, folder) if table.digest else "",
        "options": {**given, "options": table.options} if table.options else given,
    }


def _beside(data: Any, folder: Path) -> str:
    """The path of the data from a folder, so that it is found from elsewhere too; "" where there is none."""
    try:
        return Path(os.path.relpath(data, folder)).as_posix()
    except (TypeError, ValueError):  # a stream, or another drive of Windows
        return ""


def default_folder(data: Any) -> Path:
    """The folder of a run where none is given."""
    return Path(f"{Path(str(data)).stem}-run")


def _search_folder(plan: Plan, table: Table) -> Path:
    """The folder of the trials of these data and settings. Raises OSError where it cannot be made."""
    if (plan.out / FACTS).exists():
        raise FileExistsError(f"{plan.out} has a finished run. Write another --out, or remove it, instead.")
    asked = {k: v for k, v in plan.settings.items() if k not in ("trials", "time", "data")}
    asked["timed"] = plan.seconds is not None  # a trial that the time cut is not one of a search by number
    text = json.dumps([asked, table.digest, __version__], sort_keys=True, ensure_ascii=False)
    kept = plan.out / "search" / hashlib.sha256(text.encode()).hexdigest()[:16]
    files.make_folder(kept, "the run")
    if earlier := len(list(kept.glob("*.safetensors"))):
        verb = "is" if earlier == 1 else "are"
        plan.say(f"going on in {plan.out}: {counted(earlier, 'trial')} of an earlier process {verb} kept")
    return kept


# --- the model ------------------------------------------------------------------------------------------------------


def _trained(
    plan: Plan, run: Run, sample: Sample, progress: Callable[[Trial, float], None], kept: Path
) -> tuple[Module, Preparation]:
    task = run.task
    train, truth = sample.table.rows(sample.train), sample.truth[sample.train]
    preparation = prepared(train, list(run.columns.values()))
    x = preparation.transform(train)
    mean = deviation = None
    if task.kind == CLASSES:
        y = np.eye(task.outputs, dtype=np.float32)[truth]
    elif task.kind == LABELS:
        y = truth.astype(np.float32)
    else:
        mean, deviation = truth.mean(0), np.maximum(truth.std(0), 1e-12)
        y = ((truth - mean) / deviation).astype(np.float32)
    make, space, fixed = _networks_of(plan, run, x, preparation, sample.table.options.get("sampling_rate", 0))
    others = _baselines(plan, run, preparation, sample, y, networks.scale_of(x))  # after settings, which may be wrong
    began = clock.perf_counter()
    _judged(run, others, sample, mean, deviation)
    plan.judged = clock.perf_counter() - began
    search = Search(
        task, x, y, sample.folds, make, space, kept, run.seed, plan.settings["trials"],
        plan.end(SEARCHED_FEW if may_refit(x, space) else SEARCHED), fixed, progress,
    )  # fmt: skip
    began = clock.perf_counter()
    search.run()
    run.times["search"] = clock.perf_counter() - began
    run.state = "stopped" if search.stopped else "finished"
    free = plan.settings["network"] == AUTO  # then the model may be, or contain, the linear one
    usable = [trial for trial in search.done if trial.number or free or len(search.done) == 1]
    members = pick(task, y if task.kind == NUMBERS else truth, usable)
    if not members:
        if search.stopped:
            raise KeyboardInterrupt
        raise ValueError(f"no network could be trained: {search.done[0].error}. Write --set rate=1e-4, for example.")
    _decided(run, search.done, members, truth, mean, deviation)
    members = search.refitted(members, plan.end(SEARCHED))
    for member, (trial, _) in zip(run.members, members, strict=True):
        member["all_rows"] = trial.refitted
    model = _assembled(run, members, make, mean, deviation)
    _tested(run, preparation, sample, model)
    return model, preparation


def _networks_of(
    plan: Plan, run: Run, x: Array, preparation: Preparation, sampling_rate: int
) -> tuple[Callable[..., Module], Space, dict[str, Any]]:
    """The function that builds networks, the settings that are tried, and those that are given."""
    named, fixed = plan.settings["network"], dict(plan.settings["settings"])
    own = networks.own_network(named) if ":" in named else None
    if named != AUTO:
        fixed["network"] = "own" if own is not None else named
    space = SPACES["own" if own is not None else run.data["kind"]]
    wrong = [name for name in fixed if name not in {*SETTINGS, *FITTED}]
    if wrong:
        raise ValueError(
            f"the setting {wrong[0]!r} does not exist. Write {nearest(wrong[0], (*SETTINGS, *FITTED))!r}, or another "
            f"one of {', '.join((*SETTINGS, *FITTED))}, instead."
        )
    make = networks.build(
        run.task,
        x.shape[1:],
        preparation.blocks or None,
        scale=networks.scale_of(x),
        sampling_rate=sampling_rate,
        own=own,
    )
    tried = space.settings(space.base, {}, fixed)
    make(**{name: value for name, value in tried.items() if name not in FITTED}).architecture()
    return make, space, fixed


def _baselines(
    plan: Plan, run: Run, preparation: Preparation, sample: Sample, y: Array, scale: float
) -> list[baselines.Baseline]:
    """What is simple, fitted on the folds and on all rows to learn from. ``scale`` is that of pixels."""
    train, test = sample.table.rows(sample.train), sample.table.rows(sample.test)
    kind, folds, began = run.data["kind"], sample.folds, clock.perf_counter()

    def until(fraction: float) -> float:
        now = clock.perf_counter()
        return now + fraction * (plan.end(1.0) - now)

    made = [baselines.constant(run.task, y, folds, sample.test)]
    if kind != "sound":  # whose samples mean nothing alone
        x, x_test = (preparation.standardized(part) * np.float32(scale) for part in (train, test))
        made.append(baselines.linear_model(run.task, x, y, folds, x_test, until(LINEAR)))
        run.times["linear"] = clock.perf_counter() - began
    if baselines.has_trees() and len(sample.test) and kind == "table":
        began = clock.perf_counter()
        (x, levels), (x_test, _) = preparation.plain(train), preparation.plain(test)
        made.append(baselines.trees(run.task, x, levels, y, folds, x_test, run.seed, until(TREES)))
        run.times["trees"] = clock.perf_counter() - began
    run.notes += [other.note for other in made if other.note]
    return made


def _in_units(task: Task, output: Array, temperature: float, mean: Array | None, deviation: Array | None) -> Array:
    """Outputs of networks as probabilities, or as numbers in the units of the target."""
    return output * deviation + mean if task.kind == NUMBERS else probabilities(task, output, temperature)


def _decided(
    run: Run, trials: Sequence[Trial], members: Sequence[tuple[Trial, float]], truth: Array, mean: Any, deviation: Any
) -> None:
    """Temperature and threshold by the held-out rows, and their scores."""
    task, output = run.task, mixed(members)
    held = ~np.isnan(output).any(1)
    run.temperature = temperature_of(task, truth[held], output[held]) if task.kind != NUMBERS else 1.0
    final = _in_units(task, output, run.temperature, mean, deviation)
    run.decision = decision_of(task, truth[held], final[held])
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


def _judged(run: Run, others: Sequence[baselines.Baseline], sample: Sample, mean: Any, deviation: Any) -> None:
    """Calibrate the baselines and set their thresholds as those of the model are, and score them."""
    task, truth, test = run.task, sample.truth[sample.train], sample.truth[sample.test]

    def scored(truth: Array, output: Array, decision: dict[str, Any]) -> dict[str, float]:
        return scores(task, truth, output, decide(output, decision["weights"]) if decision else None)

    for other in others:
        held = ~np.isnan(other.held).any(1)
        temperature = temperature_of(task, truth[held], other.held[held])
        known, new = (_in_units(task, part, temperature, mean, deviation) for part in (other.held[held], other.test))
        decision = decision_of(task, truth[held], known)
        run.baselines.append({
            "name": other.name,
            "title": baselines.TITLES[other.name],
            "unfinished": other.note,
            "decision": decision,
            "validation": scored(truth[held], known, decision),
            "test": scored(test, new, decision) if len(test) else {},
        })  # fmt: skip
        run.arrays[f"test/{other.name}/output"] = new


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


def _tested(run: Run, preparation: Preparation, sample: Sample, model: Module) -> None:
    """The scores of the test part: the only place where the model sees it."""
    if len(sample.test):
        x = preparation.transform(sample.table.rows(sample.test))
        output = np.asarray(model.predict(x, verbose=0), np.float64).reshape(len(x), run.task.outputs)
        run.arrays["test/output"] = output
        run.test = run.score(sample.truth[sample.test], output)
