"""What a network must beat: the majority or the mean, and gradient-boosted trees where scikit-learn is installed.

The linear baseline is the first trial of the search.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from ranvier.auto.preparation import Preparation
from ranvier.auto.scores import CLASSES, NUMBERS, Task
from ranvier.auto.tables import Table
from ranvier.data.convert import Array

TITLES = {"majority": "the largest class", "mean": "the mean", "linear": "a linear model", "trees": "boosted trees"}
ROUNDS = 100  # of boosting, as scikit-learn has them
CHUNKS = (1, 3, 10, 20, 40, 70, ROUNDS)  # rounds after which the clock is looked at
TOO_LONG = (
    3  # times the time that is left: what all rounds would take if they took as long as the first, which are slow
)


@dataclass
class Baseline:
    """The name of a baseline (a key of `TITLES`), and its output for the test rows: see `Run.arrays`."""

    name: str
    output: Array


def constant(task: Task, truth: Array, rows: int) -> Baseline:
    """The frequencies of the classes or labels, or the means of the numbers, in the training rows."""
    if task.kind == CLASSES:
        frequency = np.bincount(truth, minlength=len(task.classes)) / len(truth)
        return Baseline("majority", np.tile(frequency, (rows, 1)))
    return Baseline("mean" if task.kind == NUMBERS else "majority", np.tile(truth.mean(0), (rows, 1)))


def has_trees() -> bool:
    """Whether scikit-learn is installed."""
    return find_spec("sklearn") is not None


def trees(
    task: Task, preparation: Preparation, train: Table, truth: Array, test: Table, seed: int, end: float
) -> Baseline | None:
    """scikit-learn's histogram gradient boosting with its own settings; None where the time is over before it ends."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    x, levels = preparation.plain(train)
    x_test, _ = preparation.plain(test)
    outputs = []
    kind: Any = HistGradientBoostingClassifier if task.kind != NUMBERS else HistGradientBoostingRegressor
    for target in [truth] if task.kind == CLASSES else truth.T:
        model = kind(categorical_features=levels, random_state=seed, warm_start=True, early_stopping=False)
        began = time.perf_counter()
        for rounds in CHUNKS:
            model.set_params(max_iter=rounds).fit(x, target)
            now = time.perf_counter()
            if now > end or (now - began) * ROUNDS / rounds > TOO_LONG * (end - began):
                return None
        if task.kind == NUMBERS:
            outputs.append(model.predict(x_test))
            continue
        if task.kind != CLASSES:
            outputs.append(model.predict_proba(x_test) @ model.classes_)
            continue
        output = np.zeros((len(x_test), len(task.classes)))
        output[:, model.classes_] = model.predict_proba(x_test)
        return Baseline("trees", output)
    return Baseline("trees", np.stack(outputs, 1))
