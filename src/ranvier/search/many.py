"""Many small models at once: each on a thread of its own, in native code nearly all the time, with nothing to wait for.

The caller's thread builds the models one after the other, under each variant's seed, and traces their steps; programs
of one structure are one program. Worker threads take a model each and train it by `fit` itself, on one thread each, so
that it ends in the bits that it would have alone. A fold is a list of row numbers over arrays that all models share.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any

from ranvier.module import Module
from ranvier.search.folds import folds_of
from ranvier.search.plan import Job, Plan
from ranvier.search.results import Interrupted, Results, Trained, counted
from ranvier.search.settings import check_build, check_settings
from ranvier.search.variants import Variant, grid_points, variants_of
from ranvier.support.errors import arguments, unknown_keyword
from ranvier.tensor import rng, trace
from ranvier.tensor.context import dtype_scope
from ranvier.training.adapters.generators import is_source
from ranvier.training.loop.evaluate import evaluate
from ranvier.training.loop.fit import fit
from ranvier.training.loop.nonfinite import NonFiniteLoss
from ranvier.training.loop.progress import Progress, progress
from ranvier.training.step.runner import Interrupt

__all__ = ["check_options", "fit_many"]

LOOK_SECONDS = 0.1  # how often the caller's thread looks for Ctrl-C and draws, while it waits


def fit_many(
    build: Callable[..., Module],
    x: Any,
    y: Any = None,
    variants: Any = None,
    *,
    seeds: Any = 1,
    folds: Any = None,
    grid: Any = None,
    groups: Any = None,
    sample_weight: Any = None,
    callbacks: Any = None,
    validate: bool = False,
    monitor: str | None = None,
    mode: str = "auto",
    threads: int | None = None,
    keep_models: bool = True,
    verbose: str | int = "auto",
    **options: Any,
) -> Results:
    """Train one model for each of seeds x folds x settings, side by side on all processors; return all results.

    ``build(**settings)`` makes and compiles one model; settings that it does not take and `fit` does, such as
    ``batch_size`` and ``epochs``, go to `fit`. ``grid`` is a dict of lists, each combination a setting;
    ``variants`` is an explicit list instead: dicts of settings, or `Variant` objects. ``seeds``: how many (0, 1, ...),
    or a list of them. ``folds``: a number of folds (stratified where ``y`` holds classes; with ``groups`` no group is
    parted), a splitter such as scikit-learn's, or pairs of row numbers (train, held out); None trains on all rows.
    ``x``, ``y`` and ``sample_weight`` are arrays, checked once and shared; ``options`` are those of `fit` (epochs,
    batch_size, class_weight, validation_data, ...).

    Each model ends in the bits that it has when trained alone: ``rv.set_seed(seed); model = build(**settings);
    model.fit(x[train], y[train], **options)``. Models that differ in seed, fold or numbers such as the learning rate
    share a compiled program; each other structure is compiled once.

    ``callbacks`` are copied for each model, or made anew where a function is given: ``lambda: [...]``, or one of the
    `Variant`, whose ``name`` is for what they write, since no two models share a file or folder: ``lambda variant:
    [BackupAndRestore(f"backup/{variant.name}")]``. ``stop_training`` stops its own model alone. ``validate=True``
    computes the held-out metrics after every epoch too, for EarlyStopping on them.
    ``monitor`` names the metric that decides which setting is best: the first held-out metric where it is not given;
    ``mode`` whether "min" or "max" of it, which "auto" takes from its name and class.
    ``threads`` is how many models train at a time, each on one thread: `rv.get_threads` of them where not given.

    A model whose loss becomes NaN is recorded with its error and the others go on; any other error ends all and is
    raised with the variant's name. Ctrl-C ends all within a fraction of a second and raises `Interrupted`, a
    KeyboardInterrupt whose ``results`` hold the models that were finished.
    """
    check_options(fit_many, options, "fit_many")
    check_build(build)
    if grid is not None and variants is not None:
        raise ValueError("grid and variants were given. Write one of them instead.")
    if is_source(x):
        raise TypeError(
            f"x is a {type(x).__name__}, which gives batches, and many models read the same rows. Write arrays instead."
        )
    if options.get("resume") is not None:
        raise ValueError(
            "resume= goes on with one run, and many are begun here. Write fit(resume=...) for that one."
        )
    splits = None if folds is None else folds_of(folds, _length(x), y, groups)
    chosen = variants_of(
        variants if grid is None else grid_points(grid), seeds, None if splits is None else len(splits)
    )
    given = options.get("validation_data") is not None or bool(options.get("validation_split"))
    if validate and splits is None and not given:
        raise ValueError(
            "validate=True needs rows that are held out. Write folds=5, or validation_data=(x, y), instead."
        )
    if validate and splits is not None and given:
        raise ValueError(
            "validate=True watches the rows that a fold holds out, and validation data were given too. Write one of "
            "them instead."
        )
    check_settings(build, chosen)
    plan = Plan(build, x, y, sample_weight, splits, callbacks, validate, verbose, monitor, options)
    results = Results(plan.again, monitor=monitor, mode=mode, metrics=plan.metrics)
    show = progress(verbose)
    try:
        Team(plan, chosen, results, show, keep_models, _count(threads, len(chosen))).run()
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
    """The number of rows, of whatever ``x`` is made of."""
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


def train(job: Job, interrupt: Interrupt) -> Trained:
    """Train a model by `fit` on this thread alone, and judge it on the rows that were held out."""
    began = time.perf_counter()
    result = Trained(job.variant, job.model)
    with interrupt.here(), rng.seed_scope(job.source):
        try:
            history = fit(job.model, job.train, verbose=0, **job.options)
        except NonFiniteLoss as error:
            result.error = error.with_traceback(None)  # whose frames would keep the model and the data
            history = job.model.history
        result.history = history.history
        result.metrics = {name: values[-1] for name, values in history.history.items() if values}
        if job.held_out is not None and result.error is None:
            batch = job.options.get("batch_size")
            scores = evaluate(job.model, job.held_out, batch_size=batch, verbose=0, return_dict=True)
            result.metrics |= {f"val_{name}": value for name, value in scores.items()}
    result.samples = len(job.model.history.epoch) * len(job.train)
    result.seconds = time.perf_counter() - began
    return result


class Team:
    """The threads that train, and the caller's thread, which keeps them in models and watches."""

    def __init__(
        self,
        plan: Plan,
        variants: Sequence[Variant],
        results: Results,
        show: Progress,
        keep: bool,
        threads: int,
    ) -> None:
        self.plan, self.variants, self.results, self.show, self.keep = plan, variants, results, show, keep
        self.interrupt = Interrupt()
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        self.finished: SimpleQueue[tuple[int, Trained | BaseException]] = SimpleQueue()
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(threads)]
        self.samples, self.shows = 0, type(show) is not Progress
        self.dtype = trace.state.dtype  # of the caller's thread alone, if it has one

    def work(self) -> None:
        """What each thread does: train the models that come, until there are no more."""
        from ranvier.engines.native.runtime.threads import threads_here

        with contextlib.ExitStack() as stack:
            if len(self.threads) > 1:  # a model that has all processors to itself chooses as `fit` does
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
        """Train all variants; raises what went wrong in the first that failed."""
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
                    if self.shows or len(rows) == 1:  # the first one tells whether ``monitor`` is measured
                        self.results.rows = list(rows.values())
                        self.show.update(len(rows), self.samples, self.results.so_far())
        except KeyboardInterrupt:
            self.results.rows = [rows[number] for number in sorted(rows)]
            self.show.say(
                f"Stopped by Ctrl-C after {len(rows)} of {total} models; the exception's results have them."
            )
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
        """The results as they come in, while models are built a little ahead of the threads that train them."""
        waiting = iter(enumerate(self.variants))
        under_way = 0
        ahead = 2 * len(self.threads)
        left = True
        while left or under_way:
            if self.interrupt.pressed:
                raise KeyboardInterrupt
            if left and under_way < ahead:
                number, variant = next(waiting, (-1, None))
                if variant is None:
                    left = False
                    continue
                try:
                    job = self.plan.job(number, variant)
                except Exception as error:
                    error.add_note(f"(in the variant {variant})")
                    raise
                self.jobs.put(job)
                under_way += 1
                if self.finished.empty():
                    continue
            try:
                outcome = self.finished.get(timeout=LOOK_SECONDS)
            except Empty:
                continue
            under_way -= 1
            yield outcome
