"""The search: settings one after the other, each a network for every fold, as long as trials or time are left.

A trial is kept as a file in the folder of the run, so that a run that was killed goes on where it was, and ends in the
same bytes as one that never stopped, where a number of trials ends it. A trial that the time cuts is kept, too.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ranvier.auto.pacing import Pace, Shares, batch_size, pace
from ranvier.auto.scores import Task
from ranvier.auto.spaces import FITTED, Space
from ranvier.callbacks.stopping import EarlyStopping
from ranvier.data import files
from ranvier.data.convert import Array
from ranvier.engines.native.runtime.threads import get_threads
from ranvier.module import Module
from ranvier.search.many import fit_many
from ranvier.search.results import Results, Trained
from ranvier.search.variants import Variant
from ranvier.training.loop.callback import Callback

RATE_TIME = 0.15  # the fraction of the time left that this may take
LINEAR_TIME = 0.15  # the same of the linear network,
FIRST_TIME = 0.6  # and of the first network that follows a cycle, so that another one has a whole cycle, too
WORTHWHILE = 0.25  # of the time of a usual trial: with less time left no further one begins
LOOKED_AT = ("RV2", "RV3", "RV4", "RV5")  # checks of data and rates: `ranvier.auto.checks` and the search have them
STEP_CHECK, CYCLE_CHECK, IMAGE_CHECK = 64, 16, 4  # steps between looks at the clock,
NUMBERS_CHECK = 2_000_000  # or fewer: after so many numbers of a batch
REFIT_ROWS = 5000  # up to which the networks of a member are trained again on all rows
REFIT_TIME = 1.5  # times the time of the trial that must be left for it

Folds = Sequence[tuple[Array, Array]]
Fits = list[tuple[Pace, EarlyStopping | None]]


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
    seconds: float = 0.0
    refitted: bool = False  # whether the weights are of networks that all rows trained

    @property
    def loss(self) -> float:
        """The mean held-out loss of the folds, where they stopped together or a cycle ended; NaN without one."""
        curves = [curves["val_loss"] for curves in self.history if curves.get("val_loss")]
        if not curves:
            return float("nan")
        last = -1 if self.settings.get("cycle") else common_epochs(self.history) - 1
        return float(np.mean([curve[last] for curve in curves]))


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
    folds: Folds
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
    seconds: list[float] = field(default_factory=list)  # of each trial but the linear one
    stopped: bool = False

    @property
    def may_refit(self) -> bool:
        return may_refit(self.x, self.space)

    def found_rate(self) -> float | None:
        """The learning rate with the lowest held-out loss of the first network on the first fold; None if given."""
        rates, now = self.space.rates, time.perf_counter()
        if "rate" in self.fixed or not rates or now > self.end:
            return None
        settings = [{**self.space.base, **self.fixed, "rate": rate} for rate in rates]
        results = self.fitted(settings, self.folds[:1], self.seed, now + RATE_TIME * (self.end - now), [])
        losses = [min(row.history.get("val_loss", [np.inf])) if row.error is None else np.inf for row in results]
        return rates[int(np.argmin(losses))]

    def run(self) -> list[Trial]:
        """Try settings until the trials or the time end, or Ctrl-C is pressed; ``stopped`` then says so."""
        try:
            self.rate = self.found_rate()
            for number, settings in self.space.candidates(self.seed, self.fixed, self.rate):
                enough = self.stopped or (self.trials is not None and number > self.trials)
                if enough or not self.worthwhile():
                    break
                began = time.perf_counter()
                trial = self.kept(number, settings) or self.tried(number, settings)
                self.done.append(trial)
                self.seconds += [time.perf_counter() - began] * bool(number)
                self.announce(trial, time.perf_counter() - began)
        except KeyboardInterrupt:
            self.stopped = True
        return self.done

    def worthwhile(self) -> bool:
        """Whether the time left is enough for a further trial."""
        usual = float(np.median(self.seconds)) if self.seconds else 0.0
        return not self.done or self.end - time.perf_counter() > WORTHWHILE * usual

    def end_of(self, number: int, cycle: int) -> float:
        """The time at which a trial must end."""
        now = time.perf_counter()
        fraction = LINEAR_TIME if not number else FIRST_TIME if number == 1 and cycle else 1.0
        return now + fraction * (self.end - now)

    def tried(self, number: int, settings: dict[str, Any]) -> Trial:
        """Train a network for each fold. After Ctrl-C a trial that has weights for each fold is kept."""
        fits: Fits = []
        trial = Trial(number, settings, np.full((len(self.x), self.task.outputs), np.nan, np.float32))
        end = self.end_of(number, settings.get("cycle", 0))
        began = time.perf_counter()
        try:
            results = self.fitted([settings], self.folds, self.seed + 1000 * number, end, fits)
        except KeyboardInterrupt:
            if len(fits) == len(self.folds) and all(pace.taken and pace.model.history.epoch for pace, _ in fits):
                for fold, ((pace, stop), (_, held)) in enumerate(zip(fits, self.folds, strict=True)):
                    model = pace.model
                    if stop is not None and stop.best_weights is not None:
                        model.set_weights(stop.best_weights)
                    row = Trained(Variant(settings, fold=fold), model, history=model.history.history)
                    self.take(trial, row, held, row.history)
                self.done.append(trial)
            raise
        trial.cut = any(pace.hurried for pace, _ in fits)
        rows = self.stopped_together(results, settings, number, end) if self.may_refit and not trial.cut else results
        for row, first, (_, held) in zip(rows, results, self.folds, strict=True):
            self.take(trial, row, held, first.history)
        if not self.stopped:
            self.keep(trial)
        trial.seconds = time.perf_counter() - began
        return trial

    def stopped_together(self, results: Results, settings: Mapping[str, Any], number: int, end: float) -> Results:
        """The networks of a trial again, each after the same number of epochs; as they are where none was chosen.

        Where each fold stops at the epoch that its own held-out rows like best, few rows make the score too good, and
        too good by far beside that of a network that followed a cycle. One number for all folds is what `refit` takes.
        """
        if settings.get("cycle") or len(results) < 2 or any(row.error is not None for row in results):
            return results
        fits: Fits = []
        epochs = common_epochs([row.history for row in results])
        try:
            again = self.fitted(
                [{**settings, "epochs": epochs}], self.folds, self.seed + 1000 * number, end, fits, stopping=False
            )
        except KeyboardInterrupt:
            self.stopped = True
            return results
        return results if any(pace.hurried for pace, _ in fits) or again[0].error is not None else again

    def fitted(
        self,
        settings: Sequence[Mapping[str, Any]],
        folds: Folds | None,
        seed: int,
        end: float,
        fits: Fits,
        stopping: bool = True,
    ) -> Results:
        """A network for each of some settings and folds, which stops when its held-out loss rises, if ``stopping``, or
        at a time, or after a whole cycle. ``fits`` gets the callbacks of each. Without ``folds`` all rows train, as
        often as there are folds, each time with another seed.
        """
        first, rows = settings[0], len(self.folds[0][0])
        batch = first.get("batch") or batch_size(rows, self.space.batch)
        whole = -(-(len(self.x) if folds is None else rows) // batch)
        epochs, patience, steps = pace(whole)
        cycle = first.get("cycle", 0)
        epochs = first.get("epochs") or (min(epochs, cycle) if cycle else epochs)
        shares = Shares(len(settings) * len(self.folds if folds is None else folds), get_threads(), end)
        interval = CYCLE_CHECK if cycle else STEP_CHECK
        if self.x.ndim > 2:
            interval = IMAGE_CHECK
        interval = int(np.clip(NUMBERS_CHECK // (batch * self.x[0].size), 1, interval))

        def callbacks() -> list[Callback]:
            limit = Pace(shares, interval, epochs * steps if cycle else 0)
            stop = (
                None
                if cycle or folds is None or not stopping
                else EarlyStopping("val_loss", patience=patience, restore_best_weights=True)
            )
            fits.append((limit, stop))
            return [limit] if stop is None else [limit, stop]

        variants = [{k: v for k, v in one.items() if k not in FITTED} for one in settings]
        seeds = [seed] if folds is not None else [seed + k for k in range(len(self.folds))]
        with warnings.catch_warnings():  # a pass over many rows need not be a number of whole epochs
            warnings.filterwarnings("ignore", "the pass over the data ended after")
            return fit_many(
                self.make, self.x, self.y, variants, folds=folds, seeds=seeds, callbacks=callbacks,
                validate=folds is not None, verbose=0, ignore=LOOKED_AT, epochs=epochs, batch_size=batch,
                steps_per_epoch=steps if steps < whole else None,
            )  # fmt: skip

    def refitted(self, members: Sequence[tuple[Trial, float]], end: float) -> list[tuple[Trial, float]]:
        """The members with networks that are trained on all rows in place of those of the folds.

        Of few rows, a fold misses much. What the time, or Ctrl-C, ends keeps the networks of its folds.
        """
        return [(self.refit(trial, end), weight) for trial, weight in members]

    def refit(self, trial: Trial, end: float) -> Trial:
        if not self.may_refit or self.stopped or trial.cut:
            return trial
        if end - time.perf_counter() < REFIT_TIME * trial.seconds:
            return trial
        fits: Fits = []
        try:
            results = self.fitted(
                [{**trial.settings, **self.epochs_of(trial)}], None, self.seed + 1000 * trial.number + 500, end, fits
            )
        except KeyboardInterrupt:
            self.stopped = True
            return trial
        if any(pace.hurried for pace, _ in fits) or any(row.error is not None for row in results):
            return trial
        weights = [[np.asarray(array) for array in row.model.get_weights()] for row in results]
        return replace(trial, weights=weights, refitted=True)

    def epochs_of(self, trial: Trial) -> dict[str, int]:
        """The setting "epochs" for a training without held-out rows."""
        return {} if trial.settings.get("cycle") else {"epochs": common_epochs(trial.history)}

    def take(self, trial: Trial, row: Trained, held: Array, history: Mapping[str, Any]) -> None:
        """What a trial keeps of the network of one fold, and of the training that found its number of epochs."""
        if row.error is not None:
            trial.error = str(row.error)
            return
        trial.output[held] = np.asarray(row.model.predict(self.x[held], verbose=0)).reshape(len(held), -1)
        trial.weights.append([np.asarray(array) for array in row.model.get_weights()])
        trial.history.append({name: [float(v) for v in values] for name, values in history.items()})

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


def common_epochs(histories: Sequence[Mapping[str, Sequence[float]]]) -> int:
    """The number of epochs, of those that all folds have, after which their mean held-out loss is least."""
    curves = [history["val_loss"] for history in histories]
    shortest = min(map(len, curves))
    mean = np.mean([curve[:shortest] for curve in curves], 0)
    return int(np.argmin(np.where(np.isnan(mean), np.inf, mean))) + 1


def may_refit(x: Array, space: Space) -> bool:
    """Whether networks may be trained again on all rows: of a table that has few."""
    return space.again and x.ndim == 2 and len(x) <= REFIT_ROWS
