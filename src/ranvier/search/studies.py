"""Search with Optuna: its samplers propose settings from the results so far, its pruners stop settings early.

The study is asked for settings and told their results here, so that models train as in every other search: in parallel,
with their own seeds, on threads or on the workers of joblib's back end.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ranvier.module import Module
from ranvier.search.distributions import Distribution
from ranvier.search.folds import Folds
from ranvier.search.many import check_options, plan_of, train_all
from ranvier.search.results import Results, Trained, check_measured
from ranvier.search.settings import check_settings
from ranvier.search.team import Variants
from ranvier.search.variants import Variant, equal_settings, seeds_of
from ranvier.support.results import infer
from ranvier.support.validation import whole
from ranvier.training.loop.callback import Callback

PLAIN = (type(None), bool, int, float, str)  # values that a study can store


def optuna_search(
    build: Callable[..., Module],
    x: Any,
    y: Any = None,
    *,
    space: Mapping[str, Any] | Callable[[Any], Mapping[str, Any]],
    n: int = 20,
    sampler: Any = None,
    pruner: Any = None,
    study: Any = None,
    at_once: int = 1,
    folds: Folds | None = 5,
    seeds: Any = 1,
    monitor: str | None = None,
    mode: str = "auto",
    **options: Any,
) -> Results:
    """Cross-validate ``n`` settings that a study of Optuna proposes, each from the results of those before.

    ``space`` is a dict as in `random_search` (without scipy.stats), whose values may also be Optuna's distributions, or
    a function of Optuna's trial that returns the settings: ``lambda trial: {"units": trial.suggest_int("units", 8,
    64)}``. ``sampler`` and ``pruner`` are Optuna's, by default `TPESampler` and none. ``study`` is a study to continue,
    such as one with a ``storage``; by default one in memory. ``results.study`` is the study afterwards.

    A trial is one setting with a model for each of ``seeds`` and ``folds``. Its value is the mean of ``monitor``, by
    default "val_loss" ("loss" without held-out rows); `fit_many` describes ``mode``. The pruner sees the mean after
    each model, and stops the models that are left. In a trial of one model it sees ``monitor`` after each epoch
    (``validate=True`` measures held-out rows then), unless workers of other processes train it. A model whose loss
    becomes NaN fails its trial.

    ``at_once`` trials are asked for and trained together. Equal ``sampler`` seeds and ``at_once`` give equal results on
    any number of threads. Settings that are proposed again are not trained again.

    All other arguments are those of `grid_search`. Needs Optuna: ``pip install 'ranvier[optuna]'``. Raises
    ModuleNotFoundError without it, and ValueError where the direction of the study is not that of ``monitor``.
    """
    check_options(optuna_search, options, "optuna_search")
    optuna = _optuna()
    n, at_once = whole("n", n), whole("at_once", at_once)
    threads, verbose = options.pop("threads", None), options.pop("verbose", "auto")
    keep, groups = options.pop("keep_models", False), options.pop("groups", None)
    weight, callbacks = options.pop("sample_weight", None), options.pop("callbacks", None)
    validate = options.pop("validate", False)
    held_out = folds is not None or options.get("validation_data") is not None or options.get("validation_split")
    monitor = monitor or ("val_loss" if held_out else "loss")
    plan = plan_of(build, x, y, weight, folds, groups, callbacks, validate, verbose, monitor, options)
    results = Results(plan.refit, monitor=monitor, mode=mode, metrics=plan.metrics)
    results.study = _study(optuna, study, sampler, pruner, monitor, results.mode)
    numbers = [None] if plan.folds is None else list(range(len(plan.folds)))
    models = [(fold, seed) for fold in numbers for seed in seeds_of(seeds)]
    trials = Trials(results.study, space, n, at_once, models, monitor, build)
    try:
        train_all(plan, trials, results, verbose, keep, threads, at_once * len(models))
    finally:
        trials.close()
    return results


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "optuna_search needs Optuna, which is not installed. Write: pip install 'ranvier[optuna]'", name=error.name
        ) from error
    return optuna


def _study(optuna: Any, study: Any, sampler: Any, pruner: Any, monitor: str, mode: str) -> Any:
    """The study to continue, or a new one. Raises ValueError for the wrong direction."""
    better = infer(monitor, None) if mode == "auto" else mode
    if better is None:
        raise ValueError(
            f"the name {monitor!r} does not show which direction is better. Write mode='min' or mode='max' too."
        )
    direction = {"min": "minimize", "max": "maximize"}[better]
    if study is None:
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it has no name that a user needs
        try:
            return optuna.create_study(
                sampler=sampler, pruner=pruner or optuna.pruners.NopPruner(), direction=direction
            )
        finally:
            optuna.logging.set_verbosity(before)
    found = [each.name.lower() for each in study.directions]
    if found != [direction]:
        raise ValueError(
            f"the study has the direction {', '.join(found)}, and monitor={monitor!r} needs {direction}. Write "
            f"optuna.create_study(direction={direction!r}), or another monitor, instead."
        )
    study.sampler, study.pruner = sampler or study.sampler, pruner or study.pruner
    return study


def _distributions(space: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Optuna's distributions of a space, and by name the values that a study cannot store, by their texts."""
    from optuna import distributions as theirs

    made: dict[str, Any] = {}
    named: dict[str, dict[str, Any]] = {}
    for name, given in space.items():
        kind, values = (given.kind, given.values) if isinstance(given, Distribution) else ("", ())
        if isinstance(given, (list, tuple, range)) and len(given):
            kind, values = "choice", tuple(given)
        if isinstance(given, theirs.BaseDistribution):
            made[name] = given
        elif kind == "choice":
            if not all(isinstance(value, PLAIN) for value in values):
                named[name] = {repr(value): value for value in values}
            made[name] = theirs.CategoricalDistribution(tuple(named.get(name, values)))
        elif kind == "integers":
            made[name] = theirs.IntDistribution(*map(int, values))
        elif kind in ("uniform", "log_uniform"):
            made[name] = theirs.FloatDistribution(*map(float, values), log=kind == "log_uniform")
        else:
            raise TypeError(
                f"space[{name!r}] is {given!r}. Write a list of values, rv.search.uniform(low, high), log_uniform, "
                "integers, or a distribution of Optuna instead."
            )
    return made, named


@dataclass
class Trial:
    """A setting that is being trained."""

    trial: Any
    settings: Mapping[str, Any]
    rows: list[Trained] = field(default_factory=list)
    duplicates: list[Any] = field(default_factory=list)  # further trials of the same round with these settings
    is_over: bool = False
    is_pruned: bool = False
    value: float | None = None


class Trials(Variants):
    """The variants that a study proposes. Trials are asked for in rounds, and results are told in their order."""

    def __init__(
        self, study: Any, space: Any, n: int, at_once: int, models: list[tuple[int | None, int]], monitor: str,
        build: Callable[..., Module],
    ) -> None:  # fmt: skip
        if not callable(space) and not isinstance(space, Mapping):
            raise TypeError(
                f"a space is a dict or a function of a trial, not {space!r}. Write {{'units': integers(8, 64)}} "
                "instead."
            )
        self.study, self.left, self.at_once, self.models, self.monitor = study, n, at_once, models, monitor
        self.propose, self.build, self.total = self._proposer(space), build, n * len(models)
        self.queue: deque[tuple[int, Variant]] = deque()
        self.trials: list[Trial] = []
        self.arrived: dict[int, Trained] = {}
        self.next = 0  # the number whose result is told next

    def _proposer(self, space: Any) -> Callable[[], tuple[Any, dict[str, Any]]]:
        if callable(space):

            def by_function() -> tuple[Any, dict[str, Any]]:
                trial = self.study.ask()
                return trial, dict(space(trial))

            return by_function
        made, named = _distributions(space)

        def by_distributions() -> tuple[Any, dict[str, Any]]:
            trial = self.study.ask(made)
            return trial, {k: named[k][v] if k in named else v for k, v in trial.params.items()}

        return by_distributions

    def take(self) -> tuple[int, Variant] | None:
        if not self.queue and self.next == len(self.trials) * len(self.models):
            while self.left and len(self.queue) < self.at_once * len(self.models):
                self._ask()
        return self.queue.popleft() if self.queue else None

    def _ask(self) -> None:
        """Ask for one trial. Settings that are known have a value, or will have it."""
        self.left -= 1
        trial, settings = self.propose()
        known = next((t for t in self.trials if equal_settings(t.settings, settings)), None)
        if known is not None:
            if known.is_over:
                self._tell(trial, known)
            else:
                known.duplicates.append(trial)
            return
        variants = [Variant(settings, seed, fold) for fold, seed in self.models]
        check_settings(self.build, variants)
        self.queue.extend(enumerate(variants, len(self.trials) * len(self.models)))
        self.trials.append(Trial(trial, settings))

    def _of(self, number: int) -> Trial:
        return self.trials[number // len(self.models)]

    def wants(self, number: int) -> bool:
        """A model that arrived ahead of its turn is dropped with its trial: results do not depend on the workers."""
        trial = self._of(number)
        return not trial.is_over or number % len(self.models) < len(trial.rows)

    def callbacks(self, number: int) -> list[Any]:
        return [Watch(self._of(number), self.monitor)] if len(self.models) == 1 else []

    def add(self, number: int, row: Trained) -> None:
        self.arrived[number] = row
        while self.next < len(self.trials) * len(self.models):
            trial = self._of(self.next)
            if not trial.is_over:
                if self.next not in self.arrived:
                    return
                self._count(trial, self.arrived.pop(self.next))
            self.next += 1

    def _count(self, trial: Trial, row: Trained) -> None:
        """A result of a trial, in the order of its models."""
        trial.rows.append(row)
        if row.error is not None:
            self._end(trial)
            return
        check_measured(self.monitor, list(row.metrics))
        trial.value = math.fsum(float(r.metrics[self.monitor]) for r in trial.rows) / len(trial.rows)
        if len(trial.rows) == len(self.models):
            self._end(trial)
            return
        trial.trial.report(trial.value, len(trial.rows))
        if trial.trial.should_prune():
            trial.is_pruned = True
            self._end(trial)

    def _end(self, trial: Trial) -> None:
        trial.is_over = True
        for row in trial.rows:
            row.pruned = trial.is_pruned
        if trial.rows[-1].error is not None:
            trial.value = None
        for each in (trial.trial, *trial.duplicates):
            self._tell(each, trial)

    def _tell(self, trial: Any, result: Trial) -> None:
        from optuna.trial import TrialState

        if result.value is None or math.isnan(result.value):
            self.study.tell(trial, state=TrialState.FAIL)
        elif result.is_pruned:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, result.value)

    def close(self) -> None:
        """Trials that an error or Ctrl-C has ended have failed."""
        from optuna.trial import TrialState

        for each in (each for trial in self.trials if not trial.is_over for each in (trial.trial, *trial.duplicates)):
            self.study.tell(each, state=TrialState.FAIL)


class Watch(Callback):
    """Reports each epoch of a trial of one model, and stops it where the pruner says so."""

    def __init__(self, trial: Trial, monitor: str) -> None:
        self.trial, self.monitor = trial, monitor

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if logs is None or self.monitor not in logs:
            return
        self.trial.trial.report(float(logs[self.monitor]), epoch)
        if self.trial.trial.should_prune():
            self.trial.is_pruned = self.model.stop_training = True
