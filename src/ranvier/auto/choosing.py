"""What the held-out rows decide: the members of the model with their weights, the temperature and the thresholds."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.auto.scores import (
    CLASSES,
    LABELS,
    LOWER_IS_BETTER,
    NUMBERS,
    OF_CONFUSION,
    Task,
    decide,
    of_confusion,
    row_losses,
    scores,
)  # fmt: skip
from ranvier.auto.trials import Trial
from ranvier.calibration.scaling import fit_temperature
from ranvier.data.convert import Array

MEMBERS = 6  # picks of the ensemble, of which some may be equal
EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # see `decision_weights`
RESAMPLES = 100  # of the held-out rows, of which a standard error is found


def probabilities(task: Task, output: Array, temperature: float = 1.0) -> Array:
    """Logits as probabilities; numbers stay as they are. float64."""
    z = np.asarray(output, np.float64)
    if task.kind == NUMBERS:
        return z
    if task.kind == LABELS:
        return np.asarray(1 / (1 + np.exp(-np.clip(z / temperature, -60, 60))))
    e = np.exp((z - z.max(1, keepdims=True)) / temperature)
    return np.asarray(e / e.sum(1, keepdims=True))


def smoothed(task: Task, truth: Array) -> Array:
    """The targets of a calibration by n rows: the probability (n + 1) / (n + 2) of the true class, after Platt (1999).

    It is never 1, so that probabilities stay below 1 where no row is wrong.
    """
    sure = 1 - 1 / (len(truth) + 2)
    if task.kind == LABELS:
        return np.where(truth == 1, sure, 1 - sure)
    classes = len(task.classes)
    return np.where(np.arange(classes) == truth[:, None], sure, (1 - sure) / (classes - 1))


def decision_weights(task: Task, truth: Array, output: Array) -> list[float]:
    """Weights of the classes, by which probabilities are multiplied before the largest decides.

    They are the frequencies to a power of 0 (the most probable class) down to -1 (with which the expected balanced
    accuracy is largest): the smallest power whose score on held-out rows is within one standard error of the best one,
    found by resampling the rows. Of two classes they are a threshold.
    """
    frequency = np.maximum(np.bincount(truth, minlength=output.shape[1]), 1) / len(truth)
    tried = [frequency**-exponent for exponent in EXPONENTS]
    decided = [decide(output, weights) for weights in tried]
    found = [scores(task, truth, output, one)[task.metric] for one in decided]
    sign = -1 if task.metric in LOWER_IS_BETTER else 1
    best = int(np.nanargmax(np.multiply(sign, found)))
    if task.metric in OF_CONFUSION:
        rng, classes = np.random.Generator(np.random.Philox(len(truth))), output.shape[1]
        cells = [truth * classes + one for one in decided]
        gaps = []
        for _ in range(RESAMPLES):
            counts = np.bincount(rng.integers(len(truth), size=len(truth)), minlength=len(truth))
            tables = [np.bincount(cell, counts, classes * classes).reshape(classes, classes) for cell in cells]
            made = [of_confusion(table)[task.metric] for table in tables]
            gaps.append(made[best] - np.array(made))
        errors = np.std(gaps, axis=0)
        best = next(k for k, score in enumerate(found) if found[best] - score <= errors[k])
    weights = tried[best] / tried[best].max()
    return [float(w) for w in weights]


def decision_of(task: Task, truth: Array, output: Array) -> dict[str, Any]:
    """The weights by which probabilities of held-out rows decide, and of two classes the threshold: `Run.decision`."""
    if task.kind == NUMBERS:
        return {}
    if task.kind == CLASSES:
        weights = decision_weights(task, truth, output)
        return {"weights": weights, **({"threshold": weights[0] / sum(weights)} if len(weights) == 2 else {})}
    targets = zip(task.targets, task.labels, truth.T, output.T, strict=True)
    return {
        "weights": [
            decision_weights(Task(CLASSES, [name], labels, task.metric), y, np.stack([1 - p, p], 1))
            for name, labels, y, p in targets
        ]
    }


def pick(task: Task, truth: Array, trials: Sequence[Trial], most: int = MEMBERS) -> list[tuple[Trial, float]]:
    """The trials whose weighted mean the model is. Weights add up to 1.

    Those that are chosen one by one for the best mean on the held-out rows (Caruana et al., 2004); but all that are
    within one standard error of the best one, with equal weights, unless the choice is better than they are by more
    than one standard error: among what few rows cannot tell apart the broader mean is the safer one. The measure is the
    loss, which varies less than scores that count decisions. Logits are calibrated first, each trial by its own
    temperature, by which its weight is divided.
    """
    usable = [t for t in trials if t.error is None and t.weights]
    if not usable:
        return []
    held = ~np.isnan(usable[0].output).any(1)
    temperatures = np.array([temperature_of(task, truth[held], trial.output[held]) for trial in usable])
    outputs = [trial.output[held] / t for trial, t in zip(usable, temperatures, strict=True)]

    def losses(weights: Array) -> Array:
        mean = sum(weight * output for weight, output in zip(weights, outputs, strict=True))
        return row_losses(task, truth[held], probabilities(task, np.asarray(mean) / weights.sum()))

    each = np.eye(len(usable))
    counts, total = np.zeros(len(usable)), np.zeros_like(outputs[0])
    least = float("inf")
    for k in range(most):
        found = [row_losses(task, truth[held], probabilities(task, (total + one) / (k + 1))).mean() for one in outputs]
        best = int(np.argmin(found))
        if found[best] >= least - 1e-9:
            break
        least = found[best]
        counts[best] += 1
        total = total + outputs[best]
    first = losses(each[int(np.argmin([losses(one).mean() for one in each]))])
    similar = np.array([float(not _is_worse(losses(one), first)) for one in each])
    chosen = counts if _is_worse(losses(similar), losses(counts)) else similar
    weights = chosen / temperatures
    return [(trial, float(w)) for trial, w in zip(usable, weights / weights.sum(), strict=True) if w]


def _is_worse(losses: Array, others: Array) -> bool:
    """Whether losses are larger than others of the same rows by more than one standard error of the difference."""
    gaps = losses - others
    return bool(gaps.mean() > gaps.std() / np.sqrt(len(gaps)))


def temperature_of(task: Task, truth: Array, output: Array) -> float:
    """The temperature that calibrates logits of held-out rows; 1 for numbers."""
    if task.kind == NUMBERS:
        return 1.0
    kind = "softmax" if task.kind == CLASSES else "sigmoid"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the temperature is at its limit
        return float(np.clip(fit_temperature(smoothed(task, truth), output, kind), 0.1, 10))


def mixed(members: Sequence[tuple[Trial, float]]) -> Array:
    """The outputs of the held-out rows of the weighted mean of trials."""
    return np.asarray(sum(weight * trial.output.astype(np.float64) for trial, weight in members))
