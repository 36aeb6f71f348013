"""The loop over steps: chunks of them as native calls, and between those everything that watches."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier import engines
from ranvier.data.convert import Array
from ranvier.module import Module
from ranvier.module.versions import changes
from ranvier.tensor import rng
from ranvier.tensor.context import get_dtype
from ranvier.training.loop.callback_list import Callbacks
from ranvier.training.loop.nonfinite import find
from ranvier.training.loop.progress import Progress
from ranvier.training.preflight.run import likely_cause
from ranvier.training.step.arrays import Data
from ranvier.training.step.compiled import Compiled
from ranvier.training.step.runner import Interrupt, Pace, Runner
from ranvier.training.step.step import Step, step_for

__all__ = ["Logs", "Training"]

Logs = dict[str, Any]


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
        salt = rng.numpy_generator("fit").integers(2**32, dtype=np.uint32)
        self.salt = np.asarray(salt)
        self.rate = np.zeros((), get_dtype())
        self.pace, self.validation_pace = Pace(), Pace()
        self.runner: Runner | None = None
        # The modules and parameters, as of so many changes of any module.
        self.parts: tuple[int, list[Any], list[Any]] = (-1, [], [])
        self.marks: Any = None
        self.epoch = self.done = self.taken = 0
        # Of an epoch that goes on after a stop: its totals and results, and whether a callback had ended it.
        self.totals: list[Array] | None = None
        self.results: Logs = {}
        self.halted = False
        self.ignore: Any = ()  # the codes of checks that are silenced
        self.pending = 0  # epochs that have run and are not in the history yet

    def same(self) -> bool:
        """Whether nothing that the step depends on has changed since this was asked before: it is the same step."""
        now, optimizer = changes(), self.compiled.optimizer
        if self.parts[0] != now:
            self.parts = now, list(self.model.modules()), list(self.model.parameters())
        _, modules, parameters = self.parts
        marks = (
            now, [m._trainable for m in modules],
            [(p.requires_grad, p.dtype, p.regularizer) for p in parameters], optimizer.parameter_options(parameters),
            optimizer.program_key(), get_dtype(), engines.get_engine(), self.compiled.augment,
        )  # fmt: skip
        known, self.marks = self.marks, marks
        return bool(known == marks)

    def step(self, data: Data, batch: int) -> Step:
        with rng.restored_streams():
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
        step = runner.step if self.same() else self.step(data, runner.step.batch)
        if step is runner.step:
            self.touched()
            return
        given = runner.given
        assert given is not None
        self.bind(step.take_over(runner.step))
        self.set_rate()
        self.runner.begin(*given, epoch=self.epoch, fresh=False)  # type: ignore[union-attr]  # steps run

    def touched(self) -> None:
        """Callbacks may have changed weights or settings: look at them again."""
        if self.runner is None:
            return
        before = self.rate.copy()
        self.set_rate()
        if self.runner.touched():
            now = self.rate.copy()
            self.rate[...] = (
                before  # what was run until now is looked at, and if need be run again, as it was run
            )
            self.check()
            self.rate[...] = now
            self.runner.settle()

    def check(self) -> None:
        """See that all that was trained is finite."""
        if self.runner is not None:
            self.runner.check(self.failed)

    def failed(self) -> None:
        assert self.runner is not None
        raise find(self.runner, self.compiled.optimizer.current_rate, self.cause)

    def cause(self) -> str | None:
        """What in the network makes losses that are not finite, where the rows at hand show it."""
        given = None if self.runner is None else self.runner.given
        return None if given is None else likely_cause(self.model, self.compiled, given[0])

    def end_epoch(self) -> None:
        self.epoch, self.done, self.totals, self.halted = self.epoch + 1, 0, None, False
        self.pending = max(0, self.pending - 1)

    def close(self) -> None:
        """Weights were written: what was recorded on their old values must not be computed with the new ones."""
        if self.runner is not None:
            for tensor in self.runner.step.written:
                tensor.version += 1

    def logs(self) -> Logs:
        if self.runner is None:
            return dict(self.results)
        return dict(zip(self.compiled.names, self.runner.step.results(), strict=True))
