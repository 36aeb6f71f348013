"""What a network must beat: the majority or the mean, a linear model, and, with scikit-learn, boosted trees.

Each is fitted on the same folds as the networks, and once more on all rows to learn from. Its penalty, or its number of
rounds, is that with the least loss of the held-out rows, which calibrate it and set its threshold too: see
`ranvier.auto.choosing`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from ranvier.auto import linear
from ranvier.auto.choosing import probabilities, temperature_of
from ranvier.auto.scores import CLASSES, LABELS, NUMBERS, TINY, Task, row_losses
from ranvier.data.convert import Array

TITLES = {"majority": "the largest class", "mean": "the mean", "linear": "a linear model", "trees": "boosted trees"}
PENALTIES = (1.0, 0.1, 10.0, 0.01, 100.0)  # of a linear model; that of scikit-learn comes first
CHUNKS = (1, 3, 10, 20, 40, 70, 100)  # rounds of boosting after which the loss and the clock are looked at

Folds = Sequence[tuple[Array, Array]]


@dataclass
class Baseline:
    """The name of a baseline (a key of `TITLES`), and its outputs for the rows to learn from and for the test rows.

    They are logits, or standardized numbers; those of rows that no fold held out are NaN. ``note`` says what the time
    left undone.
    """

    name: str
    held: Array
    test: Array
    note: str = ""


def constant(task: Task, y: Array, folds: Folds, test: Array) -> Baseline:
    """The frequencies of the classes or labels, or the means of the numbers, in the training rows."""
    held = np.full(y.shape, np.nan)
    for train, out in folds:
        held[out] = _logits(task, y[train].mean(0, dtype=np.float64))
    name = "mean" if task.kind == NUMBERS else "majority"
    return Baseline(name, held, np.tile(_logits(task, y.mean(0, dtype=np.float64)), (len(test), 1)))


def _logits(task: Task, output: Array) -> Array:
    """What `probabilities` turns into these probabilities; numbers stay as they are."""
    if task.kind == NUMBERS:
        return output
    logs = np.log(np.clip(output, TINY, 1))
    return np.asarray(logs - np.log(np.clip(1 - output, TINY, 1)) if task.kind == LABELS else logs)


def _loss(task: Task, y: Array, held: Array) -> float:
    """The mean loss of the held-out rows, calibrated as it will be."""
    known = ~np.isnan(held).any(1)
    truth, output = (y.argmax(1) if task.kind == CLASSES else y)[known], held[known]
    return float(row_losses(task, truth, probabilities(task, output, temperature_of(task, truth, output))).mean())


def linear_model(task: Task, x: Array, y: Array, folds: Folds, test: Array, end: float) -> Baseline:
    """Ridge regression, or logistic regression. Two classes have one logit, so that they are as LABELS."""
    two = task.kind == CLASSES and len(task.classes) == 2
    kind, target = (LABELS, y[:, 1:]) if two else (task.kind, y)
    made: list[tuple[float, float, Array, bool]] = []  # loss, penalty, held-out outputs, whether all folds converged
    starts: list[Array | None] = [None] * len(folds)

    def whole(z: Array) -> Array:
        return np.concatenate([np.zeros_like(z), z], 1) if two else z

    for penalty in PENALTIES:
        began, held, finished = time.perf_counter(), np.full(y.shape, np.nan), True
        for k, (train, out) in enumerate(folds):
            now = time.perf_counter()
            left = len(folds) - k + 1 if made or k else 2  # those that follow begin where the first has ended
            start = starts[k] if made or not k else starts[k - 1]
            weights, done = linear.fitted(kind, x[train], target[train], penalty, now + (end - now) / left, start)
            held[out], finished, starts[k] = whole(linear.output_of(x[out], weights)), finished and done, weights
        made.append((_loss(task, y, held), penalty, held, finished))
        now = time.perf_counter()
        if not finished or end - now < 2 * (now - began):
            break
    usable = [one for one in made if one[3]] or made
    _, penalty, held, finished = min(usable, key=lambda one: one[0])
    weights, done = linear.fitted(kind, x, target, penalty, end, starts[-1])
    short = "" if finished and done else "the time was too short for the linear model to converge"
    return Baseline("linear", held, whole(linear.output_of(test, weights)), short)


def has_trees() -> bool:
    """Whether scikit-learn is installed."""
    return find_spec("sklearn") is not None


def trees(task: Task, x: Array, levels: Array, y: Array, folds: Folds, test: Array, seed: int, end: float) -> Baseline:
    """scikit-learn's histogram gradient boosting. All fits have as many rounds as the time allows, and at least one."""
    rows = np.arange(len(x))
    fits = [*folds, (rows, rows[:0])]
    models = [[_Trees(task, levels, seed, one) for one in _targets(task, y[train])] for train, _ in fits]
    made: list[tuple[float, Array, Array]] = []
    for rounds in CHUNKS:
        held, output = np.full(y.shape, np.nan), np.zeros((len(test), y.shape[1]))
        for (train, out), of_fit in zip(fits, models, strict=True):
            if made and any(model.too_long(rounds, end) for model in of_fit):
                break
            for model in of_fit:
                model.grow(x[train], rounds)
            if len(out):
                held[out] = _logits(task, np.concatenate([model.output(x[out]) for model in of_fit], 1))
            else:
                output = _logits(task, np.concatenate([model.output(test) for model in of_fit], 1))
        else:
            made.append((_loss(task, y, held), held, output))
            continue
        break
    done = CHUNKS[len(made) - 1]
    short = f"the time was enough for {done} of {CHUNKS[-1]} rounds of boosted trees"
    _, held, output = min(made, key=lambda one: one[0])
    return Baseline("trees", held, output, "" if done == CHUNKS[-1] else short)


def _targets(task: Task, y: Array) -> list[Array]:
    return [y.argmax(1)] if task.kind == CLASSES else list(y.T)


class _Trees:
    """The trees of one fold for one target, which grow in chunks of rounds."""

    def __init__(self, task: Task, levels: Array, seed: int, target: Array) -> None:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        kind: Any = HistGradientBoostingRegressor if task.kind == NUMBERS else HistGradientBoostingClassifier
        self.task, self.target = task, target
        self.only = target[0] if task.kind != NUMBERS and (target == target[0]).all() else None
        self.model = kind(categorical_features=levels, random_state=seed, warm_start=True, early_stopping=False)
        self.rounds, self.slowness = 0, 0.0

    def too_long(self, rounds: int, end: float) -> bool:
        """Whether growing to so many rounds would end after a time, at the pace of the last rounds."""
        return time.perf_counter() + self.slowness * (rounds - self.rounds) > end

    def grow(self, x: Array, rounds: int) -> None:
        began = time.perf_counter()
        if self.only is None:  # of one class there is nothing to learn
            self.model.set_params(max_iter=rounds).fit(x, self.target)
        self.slowness, self.rounds = (time.perf_counter() - began) / (rounds - self.rounds), rounds

    def output(self, x: Array) -> Array:
        """Numbers, the probabilities of all classes, or those of 1: (rows, outputs)."""
        if self.task.kind == NUMBERS:
            return np.asarray(self.model.predict(x))[:, None]
        count = len(self.task.classes) if self.task.kind == CLASSES else 2
        result = np.zeros((len(x), count))
        if self.only is not None:
            result[:, int(self.only)] = 1
        else:
            result[:, self.model.classes_.astype(int)] = self.model.predict_proba(x)
        return result if self.task.kind == CLASSES else result[:, 1:]
