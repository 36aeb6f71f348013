"""``python -m benchmarks --only tables``: `rv.auto.train` beside pipelines of scikit-learn that a person would write.

Each of the real tables of `table_sets` is split five times, the same way for all, into four fifths and one fifth. Of
each contestant the mean score of the test parts is shown (balanced accuracy, or R2), with its standard error over the
splits, and the processor seconds of one training. The pipelines impute, scale and encode as scikit-learn's guide does;
their networks and trees have scikit-learn's own settings. ``rv.auto.train`` has its own too: it is given the file, the
target, the seed and the number of trials, and no test row.
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

SPLITS, TRIALS = 5, 3
HERE = Path(__file__).parent
RAW, MARKDOWN = HERE / "tables.json", HERE / "TABLES.md"
OURS, MLP, TREES = "rv.auto.train", "MLP of scikit-learn", "HistGradientBoosting"
NEAR = 0.01  # of the trees

Score = tuple[float, float]  # the score, and the seconds of the processor


def ours(table: TableSet, train: Any, test: Any, seed: int) -> float:
    import ranvier as rv

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        train.to_csv(place / "train.csv", index=False)
        test.to_csv(place / "test.csv", index=False)
        kinds = {} if table.classes else {table.target: "number"}
        run = rv.auto.train(
            place / "train.csv", table.target, place / "run", trials=TRIALS, test=0.0, seed=seed, columns=kinds
        )
        found: float = rv.auto.evaluate(run, place / "test.csv")["scores"][run.task.metric]
        return found


def _columns(frame: Any, target: str) -> tuple[list[str], list[str]]:
    """The columns of numbers, and the others."""
    numbers = [name for name in frame.columns if name != target and frame[name].dtype.kind in "iuf"]
    return numbers, [name for name in frame.columns if name != target and name not in numbers]


def _score(table: TableSet, truth: Any, predicted: Any) -> float:
    from sklearn.metrics import balanced_accuracy_score, r2_score

    return float((balanced_accuracy_score if table.classes else r2_score)(truth, predicted))


def mlp(table: TableSet, train: Any, test: Any, seed: int) -> float:
    from sklearn.compose import TransformedTargetRegressor, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers, levels = _columns(train, table.target)
    encode = make_pipeline(SimpleImputer(strategy="constant", fill_value="?"), OneHotEncoder(handle_unknown="ignore"))
    prepare = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers), (encode, levels)
    )
    if table.classes:
        network: Any = MLPClassifier(max_iter=1000, random_state=seed)
    else:
        network = TransformedTargetRegressor(
            MLPRegressor(max_iter=1000, random_state=seed), transformer=StandardScaler()
        )
    model = make_pipeline(prepare, network)
    model.fit(train[[*numbers, *levels]], train[table.target])
    return _score(table, test[table.target], model.predict(test[[*numbers, *levels]]))


def trees(table: TableSet, train: Any, test: Any, seed: int) -> float:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    numbers, levels = _columns(train, table.target)
    small = [name for name in levels if train[name].nunique() < 255]
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=math.nan, encoded_missing_value=math.nan)
    prepare = make_column_transformer((encode, small), ("passthrough", numbers))
    kind: Any = HistGradientBoostingClassifier if table.classes else HistGradientBoostingRegressor
    model = make_pipeline(prepare, kind(categorical_features=list(range(len(small))), random_state=seed))
    model.fit(train[[*numbers, *small]], train[table.target])
    return _score(table, test[table.target], model.predict(test[[*numbers, *small]]))


CONTESTANTS: dict[str, Callable[[TableSet, Any, Any, int], float]] = {OURS: ours, MLP: mlp, TREES: trees}


def measure(table: TableSet, splits: int = SPLITS) -> dict[str, list[Score]]:
    """The score and the seconds of each contestant on each split."""
    import io

    import pandas as pd
    from sklearn.model_selection import train_test_split

    # All read the same file, as a user has it.
    frame = pd.read_csv(io.StringIO(table.load().to_csv(index=False)))
    found: dict[str, list[Score]] = {name: [] for name in CONTESTANTS}
    for seed in range(splits):
        by = frame[table.target] if table.classes else None
        train, test = train_test_split(frame, test_size=0.2, random_state=seed, stratify=by)
        for name, run in CONTESTANTS.items():
            began = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                score = run(table, train, test, seed)
            found[name].append((score, time.process_time() - began))
    return found


def cells(name: str, found: dict[str, list[Score]]) -> list[str]:
    """A row of the table."""
    table = next(one for one in SETS if one.name == name)
    means = {key: float(np.mean([score for score, _ in rows])) for key, rows in found.items()}
    row = [name, "balanced accuracy" if table.classes else "R2"]
    for key, rows in found.items():
        error = np.std([score for score, _ in rows], ddof=1) / math.sqrt(len(rows)) if len(rows) > 1 else 0.0
        row += [f"{means[key]:.3f} ± {error:.3f}", f"{np.mean([seconds for _, seconds in rows]):.1f} s"]
    return [*row, "yes" if beats(found) else "no", "yes" if means[OURS] >= means[TREES] - NEAR else "no"]


def beats(found: dict[str, list[Score]]) -> bool:
    """Whether ours is at least the MLP of scikit-learn, less one standard error of the differences."""
    gaps = np.array([a - b for (a, _), (b, _) in zip(found[OURS], found[MLP], strict=True)])
    error = gaps.std(ddof=1) / math.sqrt(len(gaps)) if len(gaps) > 1 else 0.0
    return bool(gaps.mean() >= -error)


def main(console: Any, *, quick: bool = False, write: bool = False) -> None:
    """Measure all tables, show a row for each, and write tables.json and TABLES.md if asked."""
    from rich.table import Table

    heads = [
        "table",
        "score",
        *(head for name in CONTESTANTS for head in (name, "CPU")),
        "at least the MLP",
        "near the trees",
    ]
    shown = Table(*heads)
    records: dict[str, Any] = {}
    for table in SETS[:: 6 if quick else 1]:
        records[table.name] = measure(table, 1 if quick else SPLITS)
        row = cells(table.name, records[table.name])
        shown.add_row(*row)
        console.print(" | ".join(row))
        if write:
            save(records, heads)
    console.print(shown)


def save(records: dict[str, Any], heads: list[str]) -> None:
    rows = [cells(name, found) for name, found in records.items()]
    RAW.write_text(json.dumps(records, indent=1) + "\n")
    lines = ["# Tables", "", *(__doc__ or "").split("\n\n", 1)[1].strip().splitlines(), ""]
    lines += [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *(f"| {' | '.join(row)} |" for row in rows), ""]
    won, near = (sum(row[k] == "yes" for row in rows) for k in (-2, -1))
    lines.append(f"Of {len(rows)} tables {won} are at least as good as the MLP, and {near} within {NEAR} of the trees.")
    MARKDOWN.write_text("\n".join(lines) + "\n")
