"""The folder of a training: everything that its predictions, its report and a later session need, as plain files.

    run.json          what was asked, found, tried and scored (the fields of `Run`), as JSON
    model.ranvier     the network, for `rv.load_model`: prepared rows in, probabilities or numbers out
    preparation.safetensors   what turns the raw columns into the rows of the network: `Preparation`
    arrays.safetensors        row numbers and outputs: see `Run.arrays`
    times.json        seconds of each part of the training, which differ from run to run; all else is equal
    search/           while it trains: the trials so far, from which the same command goes on

A file is written whole or not at all, and no file holds code.
"""

from __future__ import annotations

import functools
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.auto.columns import Column
from ranvier.auto.preparation import Preparation
from ranvier.auto.scores import NUMBERS, Task, decide, scores, title
from ranvier.auto.sources import read_data
from ranvier.auto.tables import Table
from ranvier.data import files
from ranvier.data.convert import Array
from ranvier.module import Module
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.version import __version__
from ranvier.training.checkpoint import model_file

VERSION = 1
FILES = FACTS, MODEL, PREPARATION, ARRAYS, TIMES = (
    "run.json", "model.ranvier", "preparation.safetensors", "arrays.safetensors", "times.json",
)  # fmt: skip
PLAIN = frozenset(["task", "columns", "arrays", "times", "folder"])  # fields that run.json does not hold as they are


@dataclass(eq=False, repr=False)
class Run(CheckedConstructor):
    """A training, finished or stopped, in its folder.

    All fields but ``folder``, ``task``, ``columns`` and ``arrays`` are values of JSON.

    - ``state``: "finished", or "stopped" by Ctrl-C or by its time, with the best so far.
    - ``command``: what was typed, a list of words. ``settings``: all options of `train` by name. ``seed``.
    - ``data``: "kind" ("table", "image" or "sound"), "path" as it was given, "beside" (the same from the folder of
      the run), "sha256", "rows", "notes" and "options" of the reader.
    - ``task`` and ``columns``: what is predicted, and all columns in the order of the file, with kind and role.
    - ``notes``: lines about the data that a person should read: what looks wrong, and what was done.
    - ``split``: "by" ("class", "group", "time" or "chance"), "test" (the fraction), "folds".
    - ``baselines``: for each a dict of "name" ("majority", "mean", "linear", "trees"), "title", "decision" (as that of
      the model), "unfinished" (what the time was too short for, or ""), "validation" and "test" (scores by name).
      ``validation`` and ``test`` are the same scores of the model; ``test`` is {} without one. The validation scores
      are of the held-out rows of the folds, so that they are comparable.
    - ``trials``: for each setting that was tried "number", "settings", "validation" (scores), "epochs" (of each fold),
      "error" (a text, or null). ``members``: the trials that the model averages: "trial", "weight", and "all_rows":
      whether its networks were trained again on all rows.
    - ``history``: for each trial of a member a list over the folds of curves by name ("loss", "val_loss", ...), under
      the trial's number as a text.
    - ``decision``: of classes "weights", by which probabilities are multiplied before the largest is chosen, and of two
      classes "threshold"; of several targets of two values the weights of each. ``temperature`` of the calibration.
    - ``versions``: of ranvier, python, numpy and others, by name. ``times``: seconds by part.

    ``arrays`` are, for n rows of the data file in its order (rows without a target are in no part):

    - "train" and "test": numbers of rows, from 0; "fold" (for each row of "train"): where it is held out, or -1;
    - "truth": the target of all n rows: class numbers int64 (n,), or 0 and 1 (n, targets), -1 where missing; or
      numbers (n, targets);
    - "validation/output" (rows of "train") and "test/output" (rows of "test"): probabilities (rows, classes), or of the
      second value (rows, targets), or numbers (rows, targets); of a row that no fold held out NaN. "test/NAME/output"
      is that of a baseline.
    """

    folder: Path
    task: Task
    columns: dict[str, Column] = field(default_factory=dict)
    state: str = "stopped"
    command: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    data: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    split: dict[str, Any] = field(default_factory=dict)
    baselines: list[dict[str, Any]] = field(default_factory=list)
    validation: dict[str, float] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)
    trials: list[dict[str, Any]] = field(default_factory=list)
    members: list[dict[str, Any]] = field(default_factory=list)
    history: dict[str, list[dict[str, list[float]]]] = field(default_factory=dict)
    decision: dict[str, Any] = field(default_factory=dict)
    temperature: float = 1.0
    versions: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        score = (self.test or self.validation).get(self.task.metric)
        shown = "" if score is None else f", {title(self.task.metric)} {score:.4f}"
        return f"<Run: {self.folder}, {', '.join(self.task.targets)}{shown}>"

    # --- files ------------------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, folder: Any) -> Run:
        """Read a folder that `save` wrote; its network is read when it is needed.

        Raises FileNotFoundError where the folder has no run, and CheckpointError for files that are damaged or of a
        newer version.
        """
        place = Path(folder).expanduser()
        if not (place / FACTS).is_file():
            raise FileNotFoundError(
                f"{place} has no {FACTS}, so it is no run. Write the folder that ranvier train wrote instead."
            )
        try:
            described = json.loads((place / FACTS).read_text(encoding="utf-8"))
            version = described.pop("version")
            if version > VERSION:
                raise files.CheckpointError(
                    f"{place / FACTS} has format version {version}, and this Ranvier reads up to {VERSION}. Install a "
                    "newer Ranvier."
                )
            task = Task(**described.pop("task"))
            columns = {name: Column(**column) for name, column in described.pop("columns").items()}
            times = json.loads((place / TIMES).read_text(encoding="utf-8")) if (place / TIMES).is_file() else {}
            arrays = files.read(place / ARRAYS)[1]
            return cls(folder=place, task=task, columns=columns, arrays=arrays, times=times, **described)
        except (KeyError, TypeError, AttributeError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise files.CheckpointError(f"{place / FACTS} is damaged: {error}. Train it again.") from error

    def save(self, model: Module, preparation: Preparation) -> None:
        """Write the folder. ``run.json`` comes last: a folder that has one is whole."""
        files.make_folder(self.folder, "the run")
        self.__dict__["model"], self.__dict__["preparation"] = model, preparation
        model_file.save(model, self.folder / MODEL, include_optimizer=False)
        files.store(self.folder / PREPARATION, preparation.arrays(), {"preparation": preparation.get_config()})
        files.store(self.folder / ARRAYS, self.arrays, {})
        _write_json(self.folder / TIMES, self.times)
        _write_json(self.folder / FACTS, self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """What ``run.json`` holds."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in PLAIN}
        columns = {name: column.to_dict() for name, column in self.columns.items()}
        return {"version": VERSION, "task": self.task.to_dict(), "columns": columns, **plain}

    @functools.cached_property
    def model(self) -> Module:
        """The network: prepared rows to probabilities, or to numbers in the units of the target."""
        loaded: Module = model_file.load_model(self.folder / MODEL)
        return loaded

    @functools.cached_property
    def preparation(self) -> Preparation:
        """What prepares a table for the network."""
        described, arrays = files.read(self.folder / PREPARATION)
        return Preparation.from_config(described["preparation"], arrays)

    # --- predictions ------------------------------------------------------------------------------------------------

    def output(self, data: Table) -> Array:
        """What the network gives for a table: float64 probabilities (rows, classes) or numbers (rows, targets)."""
        made = np.asarray(self.model.predict(self.preparation.transform(data), verbose=0), np.float64)
        return made.reshape(len(data), self.task.outputs)

    def decide(self, output: Array) -> Array:
        """The class number of each row of probabilities, of several targets 0 and 1, by the tuned thresholds.

        Numbers stay as they are.
        """
        return output if self.task.kind == NUMBERS else decide(output, self.decision["weights"])

    def score(self, truth: Array, output: Array) -> dict[str, float]:
        """The scores by name, with the tuned threshold: see `ranvier.auto.scores.scores`."""
        return scores(self.task, truth, output, None if self.task.kind == NUMBERS else self.decide(output))

    def read_data(self) -> Table:
        """The data file of the training: by its path as it was given, or by the one from the folder of the run.

        Raises ValueError where it has changed since, OSError if it is gone.
        """
        path = self.data["path"]
        if not path:
            raise ValueError(f"{self.folder} was trained on data that are no file, which are not kept")
        places = [Path(path), *([self.folder / self.data["beside"]] if self.data.get("beside") else [])]
        present = [place for place in places if place.exists()]
        for place in present or places[:1]:
            table = read_data(place, **self.data["options"])
            if table.digest == self.data["sha256"]:
                return table
        raise ValueError(f"{path} has changed since {self.folder} was trained. Train it again.")


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=True)
    files.write_bytes(path, text.encode(), path.name)


def versions() -> dict[str, str]:
    """What a run was made with, by name."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"ranvier": __version__, "python": platform.python_version()}
    for name in ("numpy", "llvmlite", "scikit-learn", "pandas", "polars"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
