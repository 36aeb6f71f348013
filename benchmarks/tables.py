"""``python -m benchmarks --only tables``: `rv.auto.train` beside pipelines of scikit-learn that a person would write.

Each of the real tables of `table_sets` is split five times, the same way for all, into four fifths and one fifth. The
first table has the mean log loss of the test parts (of numbers R2), which no threshold changes, the second one balanced
accuracy and accuracy. With each mean is its standard error over the splits. CPU is the processor time of a split, with
all that a contestant does to choose and to judge itself.

All contestants have the same rule and the same kind of rows for what follows a training: five folds of the training
rows are held out, and give each the temperature that calibrates its probabilities and the threshold for balanced
accuracy. The pipelines impute, scale and encode as scikit-learn's guide does; ``rv.auto.train`` has its own way, and is
given the file, the target, the seed and the number of trials, and no test row. The penalty of the linear model and the
rounds of the trees are chosen by the held-out rows; the MLP has scikit-learn's own settings.

``weather`` has a column of dates. ``rv.auto.train`` makes numbers of them, such as the year and the month; the
pipelines, which know no dates, encode each as a level of its own, which no test row has. So that row compares
preparations too.

Ours is better, or worse, where the 95 % interval of the difference does not contain 0: that of Student's t over the
splits, whose training parts overlap, so that it is narrower than that of new data would be.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table_sets import SETS, TableSet

SPLITS, TRIALS, FOLDS = 5, 3, 5
HERE = Path(__file__).parent
RAW, MARKDOWN = HERE / "tables.json", HERE / "TABLES.md"
OURS, LINEAR, MLP, TREES = "rv.auto.train", "linear model", "MLP of scikit-learn", "HistGradientBoosting"
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}  # by the number of splits: the quantile of 97.5 % of Student's t
PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)
ROUNDS = (3, 10, 20, 40, 70, 100)  # of the trees

Scores = dict[str, float]  # by name, with "seconds" of the processor


def ours(table: TableSet, train: Any, test: Any, seed: int) -> Scores:
    import ranvier as rv

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        train.to_csv(place / "train.csv", index=False)
        test.to_csv(place / "test.csv", index=False)
        kinds = {} if table.classes else {table.target: "number"}
        run = rv.auto.train(
            place / "train.csv", table.target, place / "run", trials=TRIALS, test=0.0, seed=seed, columns=kinds
        )
        found: Scores = rv.auto.evaluate(run, place / "test.csv")["scores"]
        return found


def _columns(frame: Any, target: str) -> tuple[list[str], list[str]]:
    """The columns of numbers, and the others."""
    numbers = [name for name in frame.columns if name != target and frame[name].dtype.kind in "iuf"]
    return numbers, [name for name in frame.columns if name != target and name not in numbers]


def _prepared(table: TableSet, train: Any, model: Any) -> Any:
    """A pipeline of a model that needs numbers: imputed, scaled, categories encoded."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers, levels = _columns(train, table.target)
    encode = make_pipeline(SimpleImputer(strategy="constant", fill_value="?"), OneHotEncoder(handle_unknown="ignore"))
    prepare = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers), (encode, levels)
    )
    return make_pipeline(prepare, model)


def linear(table: TableSet, train: Any, seed: int) -> list[Any]:
    from sklearn.linear_model import LogisticRegression, Ridge

    kind: Any = (lambda p: LogisticRegression(C=1 / p, max_iter=5000)) if table.classes else Ridge
    return [_prepared(table, train, kind(penalty)) for penalty in PENALTIES]


def mlp(table: TableSet, train: Any, seed: int) -> list[Any]:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.preprocessing import StandardScaler

    if table.classes:
        return [_prepared(table, train, MLPClassifier(max_iter=1000, random_state=seed))]
    network = MLPRegressor(max_iter=1000, random_state=seed)
    return [_prepared(table, train, TransformedTargetRegressor(network, transformer=StandardScaler()))]


def trees(table: TableSet, train: Any, seed: int) -> list[Any]:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    numbers, levels = _columns(train, table.target)
    small = [name for name in levels if train[name].nunique() < 255]
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=math.nan, encoded_missing_value=math.nan)
    prepare = make_column_transformer((encode, small), ("passthrough", numbers))
    kind: Any = HistGradientBoostingClassifier if table.classes else HistGradientBoostingRegressor
    options = {"categorical_features": list(range(len(small))), "random_state": seed}
    return [make_pipeline(prepare, kind(max_iter=rounds, **options)) for rounds in ROUNDS]


PIPELINES: dict[str, Callable[[TableSet, Any, int], list[Any]]] = {LINEAR: linear, MLP: mlp, TREES: trees}


def judged(table: TableSet, models: list[Any], train: Any, test: Any, seed: int) -> Scores:
    """The scores of the best of some pipelines by the held-out rows of the folds, which calibrate and decide for it."""
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict

    from ranvier.auto.choosing import decision_of, probabilities, temperature_of
    from ranvier.auto.scores import TINY, Task, decide, row_losses, scores

    y, y_test = train[table.target], test[table.target]
    if not table.classes:
        task, folds = Task("numbers", ["y"]), KFold(FOLDS, shuffle=True, random_state=seed)
        truth = np.asarray(y, float)[:, None]
        held = [cross_val_predict(model, train, y, cv=folds)[:, None] for model in models]
        best = int(np.argmin([row_losses(task, truth, one).mean() for one in held]))
        output = models[best].fit(train, y).predict(test)[:, None]
        return scores(task, np.asarray(y_test, float)[:, None], output)
    names = sorted(set(y))
    place = {name: k for k, name in enumerate(names)}
    task, splitter = (
        Task("classes", ["y"], [str(name) for name in names]),
        StratifiedKFold(FOLDS, shuffle=True, random_state=seed),
    )
    truth, truth_test = (np.array([place[name] for name in part]) for part in (y, y_test))
    logits = [
        np.log(np.clip(cross_val_predict(model, train, y, cv=splitter, method="predict_proba"), TINY, 1))
        for model in models
    ]
    calibrated = [probabilities(task, z, temperature_of(task, truth, z)) for z in logits]
    best = int(np.argmin([row_losses(task, truth, one).mean() for one in calibrated]))
    decision = decision_of(task, truth, calibrated[best])
    z = np.log(np.clip(models[best].fit(train, y).predict_proba(test), TINY, 1))
    output = probabilities(task, z, temperature_of(task, truth, logits[best]))
    return scores(task, truth_test, output, decide(output, decision["weights"]))


def measure(table: TableSet, splits: int = SPLITS) -> dict[str, list[Scores]]:
    """The scores and the seconds of each contestant on each split."""
    import io

    import pandas as pd
    from sklearn.model_selection import train_test_split

    # All read the same file, as a user has it.
    frame = pd.read_csv(io.StringIO(table.load().to_csv(index=False)))
    found: dict[str, list[Scores]] = {name: [] for name in (OURS, *PIPELINES)}
    for seed in range(splits):
        by = frame[table.target] if table.classes else None
        train, test = train_test_split(frame, test_size=0.2, random_state=seed, stratify=by)
        for name, rows in found.items():
            began = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if name == OURS:
                    made = ours(table, train, test, seed)
                else:
                    made = judged(table, PIPELINES[name](table, train, seed), train, test, seed)
            rows.append(made | {"seconds": time.process_time() - began})
    return found


def cells(name: str, found: dict[str, list[Scores]]) -> list[str]:
    """A row of the first table: the decisive score of each contestant, its seconds, and ours against each other one."""
    score, sign = ("log_loss", -1) if _is_of_classes(name) else ("r2", 1)
    row = [name, "log loss" if sign < 0 else "R2"]
    for rows in found.values():
        row += [_mean(rows, score), f"{np.mean([one['seconds'] for one in rows]):.1f} s"]
    return [*row, *(verdict(found, other, score, sign) for other in PIPELINES)]


def more_cells(name: str, found: dict[str, list[Scores]]) -> list[str]:
    """A row of the second table: balanced accuracy and accuracy."""
    made = [f"{_mean(rows, 'balanced_accuracy')}, {_mean(rows, 'accuracy')}" for rows in found.values()]
    return [name, *made]


def _is_of_classes(name: str) -> bool:
    return next(one for one in SETS if one.name == name).classes


def _mean(rows: list[Scores], score: str) -> str:
    values = np.array([one[score] for one in rows])
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{values.mean():.3f} ± {error:.3f}"


def verdict(found: dict[str, list[Scores]], other: str, score: str, sign: int) -> str:
    """Whether ours is better than another one by the paired differences of the splits."""
    gaps = sign * np.array([a[score] - b[score] for a, b in zip(found[OURS], found[other], strict=True)])
    if len(gaps) not in STUDENT:
        return "one split"
    half = STUDENT[len(gaps)] * gaps.std(ddof=1) / math.sqrt(len(gaps))
    return "better" if gaps.mean() > half else "worse" if gaps.mean() < -half else "no clear difference"


HEADS = [
    "table",
    "score",
    *(head for name in (OURS, *PIPELINES) for head in (name, "CPU")),
    *(f"against the {name}" for name in PIPELINES),
]


def main(console: Any, *, quick: bool = False, write: bool = False) -> None:
    """Measure all tables, show a row for each, and write tables.json and TABLES.md if asked."""
    from rich.table import Table

    shown = Table(*HEADS)
    records: dict[str, Any] = {}
    for table in SETS[:: 6 if quick else 1]:
        records[table.name] = measure(table, 1 if quick else SPLITS)
        row = cells(table.name, records[table.name])
        shown.add_row(*row)
        console.print(" | ".join(row))
        if write:
            save(records)
    console.print(shown)


def save(records: dict[str, Any]) -> None:
    rows = [cells(name, found) for name, found in records.items()]
    RAW.write_text(json.dumps(records, indent=1) + "\n")
    lines = [
        "# Tables",
        "",
        *(__doc__ or "").split("\n\n", 1)[1].strip().splitlines(),
        "",
        f"Measured on: {machine()}.",
        "",
    ]
    lines += _markdown(HEADS, rows)
    for place, name in enumerate(PIPELINES, -len(PIPELINES)):
        counted = {word: sum(row[place] == word for row in rows) for word in ("better", "no clear difference", "worse")}
        lines.append(
            f"Against the {name}, of {len(rows)} tables: "
            + ", ".join(f"{n} {word}" for word, n in counted.items())
            + ".  "
        )
    if missing := [table.name for table in SETS if table.name not in records]:
        lines.append(f"Not measured: {', '.join(missing)}.")
    lines += ["", "Balanced accuracy and accuracy:", ""]
    classes = [more_cells(name, found) for name, found in records.items() if _is_of_classes(name)]
    lines += _markdown(["table", OURS, *PIPELINES], classes)
    MARKDOWN.write_text("\n".join(lines).strip() + "\n")


def _markdown(heads: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *(f"| {' | '.join(row)} |" for row in rows), ""]


def machine() -> str:
    """The kind of the machine, with its cores and what else it was doing."""
    import os
    import platform

    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    name = next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), "")
    return f"{name or platform.machine()}, {os.cpu_count()} cores, shared with other programs"
