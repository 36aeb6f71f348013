"""Training of many small models in parallel, each on a separate thread, which runs mostly native code.

The caller's thread builds the models one by one, with the seed of each variant, and traces their steps. Models with the
same structure share a program. Worker threads take one model at a time and train it with `fit` on one thread, so that
the result is bitwise equal to that of training it alone. All models share the arrays: a fold is a list of row numbers.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any

from ranvier.module import Module
from ranvier.search.folds import Folds, folds_of
from ranvier.search.plan import Job, Plan
from ranvier.search.results import Interrupted, Results, Trained, counted
from ranvier.search.settings import check_build, check_settings
from ranvier.search.variants import Grid, Variant, grid_points, variants_of
from ranvier.support.errors import arguments, unknown_keyword
from ranvier.support.results import number_of
from ranvier.tensor import rng, trace
from ranvier.tensor.context import dtype_scope
from ranvier.training.adapters.generators import is_source
from ranvier.training.loop.callback import Callback
from ranvier.training.loop.evaluate import evaluate
from ranvier.training.loop.fit import fit
from ranvier.training.loop.nonfinite import NonFiniteLoss
from ranvier.training.loop.progress import Progress, progress_of
from ranvier.training.step.runner import Interrupt

POLL_SECONDS = 0.1  # the interval in which the waiting thread checks for Ctrl-C and updates the progress


def fit_many(
    build: Callable[..., Module],
    x: Any,
    y: Any = None,
    variants: Iterable[Mapping[str, Any] | Variant] | None = None,
    *,
    seeds: int | Iterable[int] = 1,
    folds: Folds | None = None,
    grid: Grid | None = None,
    groups: Any = None,
    sample_weight: Any = None,
    callbacks: Callback | Iterable[Callback] | Callable[..., Any] | None = None,
    validate: bool = False,
    monitor: str | None = None,
    mode: str = "auto",
    threads: int | None = None,
    keep_models: bool = True,
    verbose: str | int = "auto",
    **options: Any,
) -> Results:
    """Train one model for each of seeds x folds x settings, in parallel on all processors, and return all results.

    ``build(**settings)`` makes and compiles one model. Settings that only `fit` takes, such as ``batch_size`` and
    ``epochs``, are passed to `fit`. ``grid`` is a dict of lists, and each combination is a setting. ``variants`` is a
    list of settings (dicts) or `Variant` objects instead. ``seeds`` is their number (0, 1, ...) or a list of them.
    ``folds`` is a number of folds (stratified where ``y`` contains classes; with ``groups``, groups stay whole), a
    splitter, also of scikit-learn, or pairs of row numbers (train, held out). None trains on all rows. ``x``, ``y`` and
    ``sample_weight`` are arrays, which are checked once and shared. ``options`` are those of `fit` (epochs,
    batch_size, class_weight, validation_data, ...).

    Each result is bitwise equal to that of ``rv.set_seed(seed); model = build(**settings); model.fit(x[train],
    y[train], **options)``. Models that differ in seed, fold or numbers such as the learning rate share a compiled
    program. Each other structure is compiled once.

    ``callbacks`` are copied for each model, or made by a function: ``lambda: [...]``. The function may take the
    `Variant`, whose ``name`` is unique, because two models cannot write the same file: ``lambda variant:
    [BackupAndRestore(f"backup/{variant.name}")]``. ``stop_training`` stops only its model. ``validate=True`` computes
    the held-out metrics after every epoch, for EarlyStopping. ``monitor`` names the metric that determines the best
    setting (by default the first held-out metric), and ``mode`` its direction: "min", "max", or "auto" by its name and
    class. ``threads`` is the number of models that train at a time, each on one thread (by default `rv.get_threads`).

    A model whose loss becomes NaN is recorded with its error, and the others continue. Any other error stops all models
    and names the variant. Ctrl-C stops all models within a fraction of a second and raises `Interrupted`, a
    KeyboardInterrupt whose ``results`` contain the finished models.
    """
    check_options(fit_many, options, "fit_many")
    check_build(build)
    if grid is not None and variants is not None:
        raise ValueError("grid and variants were given. Write one of them instead.")
    if is_source(x):
        raise TypeError(
            f"x is a {type(x).__name__}, which yields batches, and all models need the same rows. Write arrays instead."
        )
    if options.get("resume") is not None:
        raise ValueError(
            "resume= continues one run, and fit_many starts several. Write fit(resume=...) for that run instead."
        )
    splits = None if folds is None else folds_of(folds, _length(x), y, groups)
    chosen = variants_of(
        variants if grid is None else grid_points(grid), seeds, None if splits is None else len(splits)
    )
    given = options.get("validation_data") is not None or bool(options.get("validation_split"))
    if validate and splits is None and not given:
        raise ValueError("validate=True needs held-out rows. Write folds=5, or validation_data=(x, y), instead.")
    if validate and splits is not None and given:
        raise ValueError(
            "validate=True uses the held-out rows of each fold, and validation data were given too. Write one of them "
            "instead."
        )
    check_settings(build, chosen)
    plan = Plan(build, x, y, sample_weight, splits, callbacks, validate, verbose, monitor, options)
    results = Results(plan.refit, monitor=monitor, mode=mode, metrics=plan.metrics)
    show = progress_of(verbose)
    try:
        Workers(plan, chosen, results, show, keep_models, _count(threads, len(chosen))).run()
    finally:
        show.close()
    return results


def check_options(function: Callable[..., Any], options: Mapping[str, Any], who: str) -> None:
    """Raise TypeError for the first option that neither ``function``, nor `fit_many`, nor `fit` has."""
    known = dict.fromkeys(name for f in (function, fit_many, fit) for name in arguments(f)[0])
    for name in options:
        if name not in known:
            raise unknown_keyword(name, list(known), who)


def _length(x: Any) -> int:
    """The number of rows of ``x``, which may be an array or several."""
    if isinstance(x, dict):
        x = next(iter(x.values()), ())
    elif isinstance(x, (list, tuple)) and x and hasattr(x[0], "shape"):
        x = x[0]
    try:
        return len(x)
    except TypeError:
        raise TypeError(f"x is a {type(x).__name__}, which has no rows. Write an array instead.") from None


def _count(threads: int | None, variants: int) -> int:
    from ranvier.engines.native.runtime.threads import get_threads, positive

    return min(get_threads() if threads is None else positive(threads, "threads"), variants)


def ranked(result: Any) -> Any:
    """A result by which models are ranked: its number if it has one."""
    number = number_of(result)
    return result if number is None else number


def train(job: Job, interrupt: Interrupt) -> Trained:
    """Train a model with `fit` on this thread, and evaluate it on the held-out rows."""
    began = time.perf_counter()
    result = Trained(job.variant, job.model)
    with interrupt.here(), rng.seed_scope(job.source):
        try:
            history = fit(job.model, job.train, verbose=0, **job.options)
        except NonFiniteLoss as error:
            result.error = error.with_traceback(None)  # its frames would keep the model and the data in memory
            history = job.model.history
        result.history = history.history
        result.metrics = {name: ranked(values[-1]) for name, values in history.history.items() if values}
        if job.held_out is not None and result.error is None:
            batch = job.options.get("batch_size")
            scores = evaluate(job.model, job.held_out, batch_size=batch, verbose=0, return_dict=True)
            result.metrics |= {f"val_{name}": ranked(value) for name, value in scores.items()}
    result.samples = len(job.model.history.epoch) * len(job.train)
    result.seconds = time.perf_counter() - began
    return result


class Workers:
    """The threads that train. The caller's thread builds models for them and reports the progress."""

    def __init__(
        self, plan: Plan, variants: Sequence[Variant], results: Results, show: Progress, keep: bool, threads: int
    ) -> None:
        self.plan, self.variants, self.results, self.show, self.keep = plan, variants, results, show, keep
        self.interrupt = Interrupt()
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        self.finished: SimpleQueue[tuple[int, Trained | BaseException]] = SimpleQueue()
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(threads)]
        self.samples, self.shows = 0, type(show) is not Progress
        self.dtype = trace.state.dtype  # the dtype that the caller set for its thread, if any

    def work(self) -> None:
        """The loop of a thread: train models from the queue until it ends."""
        from ranvier.engines.native.runtime.threads import threads_here

        with contextlib.ExitStack() as stack:
            if len(self.threads) > 1:  # a single model uses all processors, as in `fit`
                stack.enter_context(threads_here(1))
            if self.dtype is not None:
                stack.enter_context(dtype_scope(self.dtype))
            while (job := self.jobs.get()) is not None and not self.interrupt.pressed:
                outcome: Trained | BaseException
                try:
                    outcome = train(job, self.interrupt)
                except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                    error.add_note(f"(in the variant {job.variant})")
                    outcome = error
                self.finished.put((job.number, outcome))

    def run(self) -> None:
        """Train all variants. Raises the error of the first one that fails."""
        total = len(self.variants)
        rows: dict[int, Trained] = {}
        self.show.begin(counted(total, "model"), total)
        try:
            with self.interrupt.watching():
                for thread in self.threads:
                    thread.start()
                for number, outcome in self.outcomes():
                    if isinstance(outcome, BaseException):
                        raise outcome
                    rows[number] = outcome if self.keep else replace(outcome, model=None)
                    self.samples += outcome.samples
                    if self.shows or len(rows) == 1:  # the first result shows whether ``monitor`` exists
                        self.results.rows = list(rows.values())
                        self.show.update(len(rows), self.samples, self.results.so_far())
        except KeyboardInterrupt:
            self.results.rows = [rows[number] for number in sorted(rows)]
            self.show.say(f"Stopped by Ctrl-C after {len(rows)} of {total} models; the exception's results have them.")
            raise Interrupted(self.results) from None
        finally:
            self.results.rows = [rows[number] for number in sorted(rows)]
            self.interrupt.pressed = True
            for _ in self.threads:
                self.jobs.put(None)
            for thread in self.threads:
                if thread.ident is not None:
                    thread.join()
        self.show.end(self.samples, self.results.so_far())

    def outcomes(self) -> Iterator[tuple[int, Trained | BaseException]]:
        """Yield results as they arrive. Models are built slightly ahead of the threads that train them."""
        waiting = iter(enumerate(self.variants))
        pending = 0
        ahead = 2 * len(self.threads)
        more = True
        while more or pending:
            if self.interrupt.pressed:
                raise KeyboardInterrupt
            if more and pending < ahead:
                number, variant = next(waiting, (-1, None))
                if variant is None:
                    more = False
                    continue
                try:
                    job = self.plan.job(number, variant)
                except Exception as error:
                    error.add_note(f"(in the variant {variant})")
                    raise
                self.jobs.put(job)
                pending += 1
                if self.finished.empty():
                    continue
            try:
                outcome = self.finished.get(timeout=POLL_SECONDS)
            except Empty:
                continue
            pending -= 1
            yield outcome
