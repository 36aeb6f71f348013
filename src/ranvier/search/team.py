"""Those who train the models of a search, and the one loop that hands models out and takes their results.

`Threads` trains on threads of this process. `ranvier.search.cluster` has the team of joblib's back ends.
"""

from __future__ import annotations

import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any

from ranvier.search.plan import Job, Plan
from ranvier.search.results import Interrupted, Results, Trained
from ranvier.search.variants import Variant
from ranvier.support.phrases import counted
from ranvier.support.results import number_of
from ranvier.tensor import rng, trace
from ranvier.tensor.context import dtype_scope
from ranvier.training.loop.callback_list import flat
from ranvier.training.loop.evaluate import evaluate
from ranvier.training.loop.fit import fit
from ranvier.training.loop.nonfinite import NonFiniteLoss
from ranvier.training.loop.progress import Progress
from ranvier.training.step.runner import Interrupt

POLL_SECONDS = 0.1  # the interval in which the waiting thread checks for Ctrl-C and updates the progress


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


class Variants:
    """The variants to train, in order. A search that learns from results has a class of its own."""

    def __init__(self, variants: Sequence[Variant]) -> None:
        self.total = len(variants)
        self._waiting = iter(enumerate(variants))

    def take(self) -> tuple[int, Variant] | None:
        """The next variant with its number, from 0. None if there is none, or none before more results are in."""
        return next(self._waiting, None)

    def wants(self, number: int) -> bool:
        """Whether the result of a variant that was taken is needed."""
        return True

    def add(self, number: int, row: Trained) -> None:
        """The result of a variant is in."""

    def callbacks(self, number: int) -> list[Any]:
        """Callbacks of a variant that is trained in this process, besides those of all."""
        return []


class Team(ABC):
    """Trains variants. The caller's thread hands them out, takes the results as they come and shows the progress."""

    def __init__(self, plan: Plan, variants: Variants, results: Results, show: Progress, keep: bool) -> None:
        self.plan, self.variants, self.results, self.show, self.keep = plan, variants, results, show, keep
        self.samples, self.shows = 0, type(show) is not Progress

    @abstractmethod
    def working(self) -> contextlib.AbstractContextManager[Any]:
        """Within this context the team is ready."""

    @abstractmethod
    def outcomes(self) -> Iterator[tuple[int, Trained | BaseException]]:
        """Yield results and errors as they arrive, until `Variants.take` has nothing left."""

    def run(self) -> None:
        """Train all variants. Raises the error of the first one that fails."""
        total = self.variants.total
        rows: dict[int, Trained] = {}
        self.show.begin(counted(total, "model"), total)
        try:
            with self.working():
                for number, outcome in self.outcomes():
                    if isinstance(outcome, BaseException):
                        raise outcome
                    if not self.variants.wants(number):
                        continue
                    rows[number] = outcome if self.keep else replace(outcome, model=None)
                    self.samples += outcome.samples
                    self.variants.add(number, rows[number])
                    if self.shows or len(rows) == 1:  # the first result shows whether ``monitor`` exists
                        self.results.rows = list(rows.values())
                        self.show.update(len(rows), self.samples, self.results.so_far())
        except KeyboardInterrupt:
            self.results.rows = self._wanted(rows)
            self.show.say(f"Stopped by Ctrl-C after {len(rows)} of {total} models; the exception's results have them.")
            raise Interrupted(self.results) from None
        finally:
            self.results.rows = self._wanted(rows)
        self.show.end(self.samples, self.results.so_far())

    def _wanted(self, rows: Mapping[int, Trained]) -> list[Trained]:
        return [rows[number] for number in sorted(rows) if self.variants.wants(number)]


@contextlib.contextmanager
def named(variant: Variant) -> Iterator[None]:
    """Errors within this context name the variant."""
    try:
        yield
    except Exception as error:
        error.add_note(f"(in the variant {variant})")
        raise


class Threads(Team):
    """Threads of this process. Models are built slightly ahead of the threads that train them."""

    def __init__(
        self, plan: Plan, variants: Variants, results: Results, show: Progress, keep: bool, threads: int
    ) -> None:
        super().__init__(plan, variants, results, show, keep)
        self.interrupt = Interrupt()
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        self.finished: SimpleQueue[tuple[int, Trained | BaseException]] = SimpleQueue()
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(threads)]
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
                    wanted = self.variants.wants(job.number)
                    outcome = train(job, self.interrupt) if wanted else Trained(job.variant)
                except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                    error.add_note(f"(in the variant {job.variant})")
                    outcome = error
                self.finished.put((job.number, outcome))

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        with self.interrupt.watching():
            try:
                for thread in self.threads:
                    thread.start()
                yield
            finally:
                self.interrupt.pressed = True
                for _ in self.threads:
                    self.jobs.put(None)
                for thread in self.threads:
                    if thread.ident is not None:
                        thread.join()

    def outcomes(self) -> Iterator[tuple[int, Trained | BaseException]]:
        pending = 0
        ahead = 2 * len(self.threads)
        while True:
            if self.interrupt.pressed:
                raise KeyboardInterrupt
            if pending < ahead and (taken := self.variants.take()) is not None:
                with named(taken[1]):
                    job = self.plan.job(*taken)
                    if more := self.variants.callbacks(job.number):
                        job.options["callbacks"] = [*flat(job.options.get("callbacks")), *more]
                self.jobs.put(job)
                pending += 1
                if self.finished.empty():
                    continue
            elif not pending:
                return
            try:
                outcome = self.finished.get(timeout=POLL_SECONDS)
            except Empty:
                continue
            pending -= 1
            yield outcome
