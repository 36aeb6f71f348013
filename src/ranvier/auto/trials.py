"""The search: settings one after the other, each a network for every fold, as long as trials or time are left.

A trial is kept as a file in the folder of the run, so that a run that was killed goes on where it was, and ends in the
same bytes as one that never stopped. A trial that the end of the time cuts is kept too, with its best weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.auto.scores import CLASSES, LOWER_IS_BETTER, Task, decide, scores
from ranvier.auto.spaces import FITTED, Space
from ranvier.callbacks.stopping import EarlyStopping
from ranvier.data import files
from ranvier.data.convert import Array
from ranvier.module import Module
from ranvier.search.many import fit_many
from ranvier.search.results import Results, Trained
from ranvier.training.loop.callback import Callback, Logs

RATE_TIME = 0.15  # the fraction of the time left that this may take
LOOKED_AT = ("RV2", "RV3", "RV4", "RV5")  # checks of data and rates: `ranvier.auto.checks` and the search have them
STEPS = 6000  # of a network in one fold, at most
PATIENT_STEPS = 600  # without a better loss before it stops
EPOCHS = (12, 300)  # at least and at most
PATIENCE = (6, 40)
MEMBERS = 6  # picks of the ensemble, of which some may be equal
EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # see `decision_weights`
STEP_CHECK = 64  # steps between looks at the clock


class TimeLimit(Callback):
    """Stop training at a time of ``time.perf_counter``, at most `STEP_CHECK` steps later."""

    _changes = False
    step_interval = STEP_CHECK

    def __init__(self, end: float) -> None:
        self.end, self.reached = end, False

    def on_step(self, epoch: int, step: int, logs: Logs = None) -> None:
        if time.perf_counter() > self.end:
            self.reached = self.model.stop_training = True


@dataclass
class Trial:
    """One setting: ``output`` are logits, or standardized numbers, of the held-out rows (NaN of others), ``weights``
    those of the network of each fold.
    """

    number: int
    settings: dict[str, Any]
    output: Array
    weights: list[list[Array]] = field(default_factory=list)
    history: list[dict[str, list[float]]] = field(default_factory=list)
    cut: bool = False
    error: str | None = None


@dataclass
class Search:
    """The search over settings for the training rows ``x`` (rows, features) and ``y`` (rows, outputs).

    ``make`` builds a network from settings, of which ``space`` has candidates. ``fixed`` are settings of the user.
    ``end`` is a time of ``time.perf_counter``. Trials are kept in ``folder``; ``announce`` is called with each, and
    with its seconds.
    """

    task: Task
    x: Array
    y: Array
    folds: Sequence[tuple[Array, Array]]
    make: Callable[..., Module]
    space: Space
    folder: Path
    seed: int = 0
    trials: int | None = None
    end: float = float("inf")
    fixed: Mapping[str, Any] = field(default_factory=dict)
    announce: Callable[[Trial, float], None] = lambda trial, seconds: None
    rate: float | None = None
    done: list[Trial] = field(default_factory=list)
    stopped: bool = False

    def found_rate(self) -> float | None:
        """The learning rate with the lowest held-out loss of the first network on the first fold; None if given."""
        rates = self.space.rates
        if "rate" in self.fixed or not rates:
            return None
        settings = [{**self.space.base, **self.fixed, "rate": rate} for rate in rates]
        now = time.perf_counter()
        results = self.fitted(settings, self.folds[:1], self.seed, now + RATE_TIME * (self.end - now), [])
        losses = [min(row.history.get("val_loss", [np.inf])) if row.error is None else np.inf for row in results]
        return rates[int(np.argmin(losses))]

    def run(self) -> list[Trial]:
        """Try settings until the trials or the time end, or Ctrl-C is pressed; ``stopped`` then says so."""
        try:
            self.rate = self.found_rate()
            for number, settings in self.space.candidates(self.seed, self.fixed, self.rate):
                enough = self.trials is not None and number > self.trials
                if enough or (self.done and time.perf_counter() > self.end):
                    break
                began = time.perf_counter()
                trial = self.kept(number, settings) or self.tried(number, settings)
                self.done.append(trial)
                self.announce(trial, time.perf_counter() - began)
        except KeyboardInterrupt:
            self.stopped = True
        return self.done

    def tried(self, number: int, settings: dict[str, Any]) -> Trial:
        """Train a network for each fold."""
        limits: list[TimeLimit] = []
        results = self.fitted([settings], self.folds, self.seed + 1000 * number, self.end, limits)
        trial = Trial(number, settings, np.full((len(self.x), self.task.outputs), np.nan, np.float32))
        trial.cut = any(limit.reached for limit in limits)
        for row, (_, held) in zip(results, self.folds, strict=True):
            self.take(trial, row, held)
        if not trial.cut:
            self.keep(trial)
        return trial

    def fitted(
        self,
        settings: Sequence[Mapping[str, Any]],
        folds: Sequence[tuple[Array, Array]],
        seed: int,
        end: float,
        limits: list[TimeLimit],
    ) -> Results:
        """A network for each of some settings and folds, which stops when its held-out loss rises, or at a time."""
        rows = len(folds[0][0])
        batch = settings[0].get("batch") or batch_size(rows, self.space.batch)
        epochs, patience, steps = pace(rows, batch)

        def callbacks() -> list[Callback]:
            limits.append(TimeLimit(end))
            return [limits[-1], EarlyStopping("val_loss", patience=patience, restore_best_weights=True)]

        variants = [{k: v for k, v in one.items() if k not in FITTED} for one in settings]
        return fit_many(
            self.make, self.x, self.y, variants, folds=folds, seeds=[seed], callbacks=callbacks, validate=True,
            verbose=0, ignore=LOOKED_AT, epochs=settings[0].get("epochs") or epochs, batch_size=batch,
            steps_per_epoch=steps,
        )  # fmt: skip

    def take(self, trial: Trial, row: Trained, held: Array) -> None:
        """What a trial keeps of the network of one fold."""
        if row.error is not None:
            trial.error = str(row.error)
            return
        trial.output[held] = np.asarray(row.model.predict(self.x[held], verbose=0)).reshape(len(held), -1)
        trial.weights.append([np.asarray(array) for array in row.model.get_weights()])
        trial.history.append({name: [float(v) for v in values] for name, values in row.history.items()})

    # --- files ------------------------------------------------------------------------------------------------------

    def keep(self, trial: Trial) -> None:
        tensors = {f"{fold}/{k}": a for fold, arrays in enumerate(trial.weights) for k, a in enumerate(arrays)}
        described = {"settings": trial.settings, "history": trial.history, "error": trial.error}
        files.store(self.folder / f"{trial.number}.safetensors", {**tensors, "output": trial.output}, described)

    def kept(self, number: int, settings: dict[str, Any]) -> Trial | None:
        """A trial of an earlier process, if there is one of these settings."""
        path = self.folder / f"{number}.safetensors"
        if not path.is_file():
            return None
        try:
            described, tensors = files.read(path)
        except files.CheckpointError:  # it is trained again
            return None
        if described["settings"] != settings:
            return None
        trial = Trial(number, settings, tensors.pop("output"), history=described["history"], error=described["error"])
        for fold in range(len(trial.history)):
            count = sum(name.startswith(f"{fold}/") for name in tensors)
            trial.weights.append([tensors[f"{fold}/{k}"] for k in range(count)])
        return trial


def batch_size(rows: int, most: int) -> int:
    """About forty steps an epoch, within 16 and ``most`` rows."""
    return int(np.clip(2 ** round(np.log2(max(rows / 40, 1))), 16, most))


def pace(rows: int, batch: int) -> tuple[int, int, int | None]:
    """Epochs at most, epochs of patience, and the steps of an epoch where all rows are too many for one."""
    steps = -(-rows // batch)
    short = min(steps, 400)
    epochs = int(np.clip(STEPS // short, *EPOCHS))
    return epochs, int(np.clip(PATIENT_STEPS // short, *PATIENCE)), short if short < steps else None


# --- what the held-out rows decide ----------------------------------------------------------------------------------


def probabilities(task: Task, output: Array, temperature: float = 1.0) -> Array:
    """Logits as probabilities; numbers stay as they are. float64."""
    z = np.asarray(output, np.float64)
    if task.kind != CLASSES:
        return z
    e = np.exp((z - z.max(1, keepdims=True)) / temperature)
    return np.asarray(e / e.sum(1, keepdims=True))


def decision_weights(task: Task, truth: Array, output: Array) -> list[float]:
    """Weights of the classes, by which probabilities are multiplied before the largest decides.

    They are the frequencies to a power of 0 (the most probable class) down to -1 (with which the expected balanced
    accuracy is largest): the power with the best score on held-out rows. Of two classes they are a threshold.
    """
    frequency = np.maximum(np.bincount(truth, minlength=output.shape[1]), 1) / len(truth)
    tried = [frequency**-exponent for exponent in EXPONENTS]
    found = [scores(task, truth, output, decide(output, w))[task.metric] for w in tried]
    sign = -1 if task.metric in LOWER_IS_BETTER else 1
    best = int(np.nanargmax(np.multiply(sign, found)))
    weights = tried[best] / tried[best].max()
    return [float(w) for w in weights]


def pick(task: Task, truth: Array, trials: Sequence[Trial], most: int = MEMBERS) -> list[tuple[Trial, float]]:
    """The trials whose weighted mean is best on the held-out rows, chosen one by one (Caruana et al., 2004).

    The first is the best one alone. The measure is the loss, which varies less than scores that count decisions.
    """
    usable = [t for t in trials if t.error is None and t.weights]
    if not usable:
        return []
    held = ~np.isnan(usable[0].output).any(1)

    def loss(output: Array) -> float:
        if task.kind == CLASSES:
            p = probabilities(task, output)
            return float(-np.log(np.clip(p[np.arange(len(p)), truth[held]], 1e-7, 1)).mean())
        return float(np.square(output - truth[held]).mean())

    chosen: list[int] = []
    total = np.zeros((int(held.sum()), task.outputs))
    least = float("inf")
    for _ in range(most):
        found = [loss((total + t.output[held]) / (len(chosen) + 1)) for t in usable]
        best = int(np.argmin(found))
        if found[best] >= least - 1e-9:
            break
        least = found[best]
        chosen.append(best)
        total += usable[best].output[held]
    return [(usable[k], chosen.count(k) / len(chosen)) for k in sorted(set(chosen))]


def mixed(members: Sequence[tuple[Trial, float]]) -> Array:
    """The outputs of the held-out rows of the weighted mean of trials."""
    return np.asarray(sum(weight * trial.output.astype(np.float64) for trial, weight in members))
