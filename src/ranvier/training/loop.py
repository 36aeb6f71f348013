"""The loop over steps and epochs: chunks of steps as native calls, and between them everything that watches."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ranvier import engines, seed
from ranvier.data.convert import Array
from ranvier.data.samplers import Sampler, checked_order
from ranvier.module import Module
from ranvier.module.changes import changes
from ranvier.tensor import get_dtype
from ranvier.training import inputs
from ranvier.training.evaluation import kept_rows
from ranvier.training.hooks import Callbacks
from ranvier.training.nonfinite import find
from ranvier.training.preflight import preflight
from ranvier.training.progress import Progress
from ranvier.training.runner import Interrupt, Pace, Runner
from ranvier.training.state import Compiled
from ranvier.training.step import Data, Step, step_for

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from ranvier.training.ahead import Ahead

__all__ = ["Arrays", "Stream", "Training"]

Logs = dict[str, Any]
BESIDE = 10_000  # rows; fewer are put into an order sooner than another thread is told to


class Training:
    """One call of `fit`: the model, how it was compiled, where training stands, and what every epoch needs.

    It stands after ``done`` steps of epoch ``epoch``, and after ``taken`` steps since `fit` began.
    """

    def __init__(
        self,
        model: Module,
        compiled: Compiled,
        hooks: Callbacks,
        show: Progress | None = None,
        interrupt: Interrupt | None = None,
    ) -> None:
        self.model, self.compiled, self.hooks = model, compiled, hooks
        self.show, self.interrupt = show or Progress(), interrupt or Interrupt()
        self.shows = type(self.show) is not Progress
        self.each = hooks.listens("on_train_batch_begin", "on_train_batch_end")  # every batch is watched
        salt = seed.numpy_generator("fit").integers(2**32, dtype=np.uint32)
        self.salt = np.asarray(salt)
        self.rate = np.zeros((), get_dtype())
        self.pace, self.validation_pace = Pace(), Pace()
        self.runner: Runner | None = None
        self.parts: tuple[int, list[Any], list[Any]] = (
            -1,
            [],
            [],
        )  # modules and parameters, as of so many changes
        self.marks: Any = None
        self.epoch = self.done = self.taken = 0
        # Of an epoch that goes on after a stop: its totals and results, and whether a callback had ended it.
        self.totals: list[Array] | None = None
        self.results: Logs = {}
        self.halted = False
        self.ignore: Any = ()  # the codes of checks that are silenced
        self.ahead: Ahead | None = None  # where nobody watches between epochs

    def same(self) -> bool:
        """Whether nothing that the step depends on has changed since this was asked before: it is the same step."""
        now, optimizer = changes(), self.compiled.optimizer
        if self.parts[0] != now:
            self.parts = now, list(self.model.modules()), list(self.model.parameters())
        _, modules, parameters = self.parts
        marks = (
            now, [m._trainable for m in modules],
            [(p.requires_grad, p.dtype, p.regularizer) for p in parameters], optimizer.treatments(parameters),
            optimizer.program_key(), get_dtype(), engines.get_engine(), self.compiled.augment,
        )  # fmt: skip
        known, self.marks = self.marks, marks
        return bool(known == marks)

    def step(self, data: Data, batch: int) -> Step:
        with seed.borrowed_streams():
            return step_for(self.model, self.compiled, data, batch, "train")

    def run(
        self, step: Step, data: Data, order: Array, *, batch: int = 0, samples: int = 0, fresh: bool = True
    ) -> int:
        """The steps over ``order`` that are not done yet, up to where training is to stop.

        ``batch`` and ``samples`` are what the epoch had before this order. Returns how many samples it now had.
        """
        first = self.done - batch
        self.bind(step)
        assert self.runner is not None
        if self.totals is not None:
            for array, value in zip(step.totals, self.totals, strict=True):
                np.copyto(array, value)
            self.totals, fresh = None, False
        self.set_rate()
        steps = self.runner.begin(data, order, epoch=self.epoch, fresh=fresh and first == 0)
        done = first
        while done < steps and not self.halted:
            if self.each:
                self.hooks.tell("on_train_batch_begin", batch + done, {})
                self.refresh(data)
            stop = min(steps, done + self.length())
            self.runner.advance(done, stop, self.pace, self.failed)
            self.taken += stop - done
            done, self.done = stop, batch + stop
            if self.shows:
                seen = samples + min(done * step.batch, len(order))
                self.show.update(self.done, seen, self.logs())
            self.watched(data)
            if self.stopping():
                break
        return samples + min(done * step.batch, len(order))

    def length(self) -> int:
        """How many steps the next native call has."""
        if self.each:
            return 1
        moment = self.hooks.next_moment(self.taken)
        return self.pace.steps() if moment is None else min(moment, self.pace.steps())

    def watched(self, data: Data) -> None:
        """Tell the hooks that some steps are done."""
        if self.each:
            self.hooks.tell("on_train_batch_end", self.done - 1, self.logs())
        if self.hooks.intervals:
            told = self.hooks.step(self.taken, self.epoch, self.done - 1, self.logs)
            if told and not self.each:
                self.refresh(data)

    def stopping(self) -> bool:
        return self.interrupt.pressed or bool(getattr(self.model, "stop_training", False))

    def bind(self, step: Step) -> None:
        """Make this step the one that runs."""
        if self.runner is None or self.runner.step is not step:
            self.check()
            self.runner = Runner(step, (self.salt, self.rate))

    def set_rate(self) -> None:
        optimizer = self.compiled.optimizer
        if optimizer.schedule is None:  # else the program makes it, and does not read this one
            self.rate[...] = optimizer.current_rate()

    def refresh(self, data: Data) -> None:
        """In the middle of an epoch: see what hooks have changed (weights, settings, which layers are trainable)."""
        runner = self.runner
        assert runner is not None
        self.set_rate()
        step = runner.step if self.same() else self.step(data, runner.step.batch)
        if step is not runner.step:
            given = runner.given
            assert given is not None
            self.bind(step.take_over(runner.step))
            self.runner.begin(*given, epoch=self.epoch, fresh=False)  # type: ignore[union-attr]
        else:
            self.touched()

    def touched(self) -> None:
        """Callbacks may have changed weights or settings: look at them again."""
        if self.runner is not None:
            self.set_rate()
            if self.runner.touched():
                self.check()
                self.runner.settle()

    def check(self) -> None:
        """See that all that was trained is finite."""
        if self.runner is not None:
            self.runner.check(self.failed)

    def failed(self) -> None:
        assert self.runner is not None
        raise find(self.runner, self.compiled.optimizer.current_rate)

    def end_epoch(self) -> None:
        self.epoch, self.done, self.totals, self.halted = self.epoch + 1, 0, None, False

    def close(self) -> None:
        """Weights were written: what was recorded on their old values must not be computed with the new ones."""
        if self.runner is not None:
            for tensor in self.runner.step.written:
                tensor.version += 1

    def logs(self) -> Logs:
        if self.runner is None:
            return dict(self.results)
        return dict(zip(self.compiled.names, self.runner.step.results(), strict=True))


class Arrays:
    """Epochs over arrays."""

    def __init__(
        self,
        training: Training,
        data: Data,
        batch: int,
        limit: int | None,
        shuffler: Any,
        sampler: Sampler | None = None,
    ) -> None:
        self.training, self.data, self.sampler, self.shuffler = training, data, sampler, shuffler
        self.rows = self.order = kept_rows(data)
        self.size = len(self.rows)
        self.batch = min(batch, self.size)
        if sampler is not None:
            # It is asked once with a copy of the generator, so that what is wrong is said before any step.
            labels = tuple(None if a is None else a[self.rows] for a in data.y)
            self.labels = labels[0] if len(labels) == 1 else labels
            self.size = len(self.sampled(copy.deepcopy(shuffler), None))
            self.batch = min(batch, self.size)
        elif self.batch >= self.size:
            self.shuffler = None  # within one batch order means nothing
        self.taken = self.size if limit is None else min(self.size, limit * batch)
        self.steps = math.ceil(self.taken / self.batch)
        self.drawer: ThreadPoolExecutor | None = None
        self.next: Callable[[], Array] | None = None
        self.drawn_from: Any = None  # the generator before it gave this epoch's order
        self.next_from: Any = None if self.shuffler is None else self.shuffler.bit_generator.state
        self.step: Step | None = None

    def sampled(self, generator: Any, size: int | None) -> Array:
        """The rows that the sampler takes this epoch, chosen among those that count."""
        assert self.sampler is not None
        order = self.sampler.order(self.labels, generator)
        chosen: Array = self.rows[checked_order(order, len(self.rows), self.sampler, size)]
        return chosen

    def draw(self) -> Callable[[], Array]:
        """A new order of the rows; of many it is drawn beside the program, which needs no interpreter meanwhile."""

        def order() -> Array:
            if self.sampler is not None:
                return self.sampled(self.shuffler, self.size)
            order = self.rows.copy()
            self.shuffler.shuffle(order)
            return order

        self.next_from = self.shuffler.bit_generator.state
        if len(self.rows) < BESIDE:
            drawn = order()
            return lambda: drawn
        if self.drawer is None:
            from concurrent.futures import ThreadPoolExecutor

            self.drawer = ThreadPoolExecutor(1)
        return self.drawer.submit(order).result

    def turn(self) -> Array:
        """The rows of the next epoch, in order."""
        if self.shuffler is not None:
            self.order = (self.next or self.draw())()
            self.drawn_from = self.next_from
            self.next = self.draw()  # of the one after it, while this one runs
        return self.order[: self.taken]

    def close(self) -> None:
        if self.drawer is not None:
            self.drawer.shutdown(wait=False, cancel_futures=True)

    def epoch(self, title: str) -> tuple[Logs, int]:
        """One epoch, or what is left of it: its results, and the number of samples."""
        training = self.training
        if training.ahead is not None and training.ahead.take(self):
            return training.logs(), self.taken
        self.turn()
        if self.step is None or (training.hooks.changing and not training.same()):
            self.step = training.step(self.data, self.batch)
        elif training.runner is not None:
            self.step = (
                training.runner.step
            )  # which a hook may have changed in the middle of the epoch before
        training.show.begin(title, self.steps)
        samples = training.run(self.step, self.data, self.order[: self.taken])
        return training.logs(), samples

    # --- what a backup keeps --------------------------------------------------------------------------------------

    def state(self) -> Any:
        """From which state of the generator the order of the epoch that training stands in comes."""
        return self.drawn_from if self.training.done else self.next_from

    def set_state(self, state: Any, random: Mapping[str, Any]) -> None:
        if self.shuffler is not None:
            self.shuffler.bit_generator.state = self.next_from = state
        seed.set_state(random)


class Stream:
    """Epochs over batches as they come; a batch no larger than those before needs no other program."""

    def __init__(
        self, training: Training, source: Any, steps: int | None, options: Mapping[str, Any]
    ) -> None:
        self.training, self.source, self.steps, self.options = training, source, steps, options
        self.data: Data | None = None  # the first batch of the epoch
        self.once = hasattr(source, "__next__")  # an iterator goes on from epoch to epoch
        self.own = seed.generators_of(source)
        self.begun: Any = seed.get_state(*self.own) if self.once else None
        self.skip = 0  # batches that were trained on before a stop
        self.batch = 0  # and the size of the largest of this epoch: the program's
        self.random: Mapping[str, Any] | None = None  # where random numbers stood then

    def close(self) -> None:
        """Nothing is held."""

    def batches(self) -> inputs.Batches:
        """The batches of this epoch that are still to be trained on."""
        training, steps, skip = self.training, self.steps, self.skip
        if self.once:
            steps = None if steps is None else steps - training.done
            for _ in range(skip):
                next(self.source, None)
            skip = 0
        elif not skip:
            self.begun = seed.get_state(*self.own)
        batches = inputs.batches(training.model, training.compiled, self.source, steps, **self.options)
        for _ in range(skip):
            next(batches, None)
        if self.skip and self.random is not None:
            seed.set_state(self.random, *self.own)
        self.skip = 0
        return batches

    def epoch(self, title: str) -> tuple[Logs, int]:
        """One epoch, or what is left of it: its results, and the number of samples."""
        training = self.training
        training.show.begin(title, self.steps)
        samples = 0
        step: Step | None = None
        batches = self.batches()
        # As many are taken together as are run together, so that none has been taken where hooks or a stop come.
        while (data := batches.take(1 if step is None else training.length())) is not None:
            fresh, size = step is None, data.size or len(data)
            if step is None:
                preflight(training.model, training.compiled, data, ignore=training.ignore, partial=True)
                self.data = data
            if step is None or size > step.batch:
                step = training.step(data, max(size, self.batch)).take_over(step)
                self.batch = 0
            order = kept_rows(data)
            samples = training.run(step, data, order, batch=training.done, samples=samples, fresh=fresh)
            if training.stopping():
                break
        return training.logs(), samples

    # --- what a backup keeps --------------------------------------------------------------------------------------

    def state(self) -> Any:
        """How to come to the next batch: where random numbers stood when the iterator began, and what to skip."""
        training = self.training
        batch = training.runner.step.batch if training.runner is not None and training.done else 0
        return {
            "random": self.begun,
            "skip": training.taken if self.once else training.done,
            "batch": batch,
            "now": seed.get_state(*self.own),
        }

    def set_state(self, state: Any, random: Mapping[str, Any]) -> None:  # noqa: ARG002  # "now" has it, too
        self.skip, self.batch, self.random = int(state["skip"]), int(state["batch"]), state["now"]
        seed.set_state(state["random"] if self.skip else state["now"], *self.own)
        self.begun = state["random"]
