"""The loop over steps: several steps in a native call, and callbacks, progress and interrupts between the calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier import engines
from ranvier.data.convert import Array
from ranvier.engines.placement import get_placement
from ranvier.module import Module
from ranvier.support import processes
from ranvier.support.changes import counted
from ranvier.tensor import rng
from ranvier.tensor.context import get_dtype
from ranvier.training.loop.callback_list import Callbacks
from ranvier.training.loop.nonfinite import find
from ranvier.training.loop.progress import Progress
from ranvier.training.preflight.run import likely_cause, preflight
from ranvier.training.step.arrays import Data
from ranvier.training.step.builder import Step
from ranvier.training.step.compiled import Compiled
from ranvier.training.step.runner import Interrupt, Pace, Runner
from ranvier.training.step.step import step_for

Logs = dict[str, Any]


class Training:
    """The state of one call of `fit`: ``done`` steps of epoch ``epoch``, and ``taken`` steps since `fit` began."""

    def __init__(
        self,
        model: Module,
        compiled: Compiled,
        callbacks: Callbacks,
        progress: Progress | None = None,
        interrupt: Interrupt | None = None,
    ) -> None:
        self.model, self.compiled, self.callbacks = model, compiled, callbacks
        self.progress, self.interrupt = progress or Progress(), interrupt or Interrupt()
        self.shows_progress = type(self.progress) is not Progress
        # Whether a callback is called at each batch.
        self.every_batch = callbacks.listens("on_train_batch_begin", "on_train_batch_end")
        salt = rng.numpy_generator("fit").integers(2**32, dtype=np.uint32)
        self.salt = np.asarray(salt)
        self.rate = np.zeros((), get_dtype())
        self.pace, self.validation_pace = Pace(), Pace()
        self.runner: Runner | None = None
        # The modules and parameters, and the number of changes of any module at which they were listed.
        self.parts: tuple[int, list[Any], list[Any]] = (-1, [], [])
        self.marks: Any = None
        self.epoch = self.done = self.taken = 0
        # Of an epoch that is resumed: its totals and results, and whether a callback had ended it.
        self.totals: list[Array] | None = None
        self.results: Logs = {}
        self.halted = False
        self.ignore: Any = ()  # the codes of checks that are silenced
        self.pending = 0  # epochs that have run and are not in the history yet

    def unchanged(self) -> bool:
        """Whether nothing that the step depends on has changed since the last call, so that it is the same step."""
        now, optimizers = counted[0], self.compiled.optimizers
        if self.parts[0] != now:
            self.parts = now, list(self.model.modules()), list(self.model.parameters())
        _, modules, parameters = self.parts
        marks = (
            now, [m._trainable for m in modules],
            [(p.requires_grad, p.dtype, p.regularizer) for p in parameters],
            [(o.parameter_options(parameters), o.program_key()) for o in optimizers],
            get_dtype(), engines.get_engine(), get_placement(), self.compiled.augment,
        )  # fmt: skip
        known, self.marks = self.marks, marks
        return bool(known == marks)

    def step(self, data: Data, batch: int) -> Step:
        with rng.restored_streams():
            return step_for(self.model, self.compiled, data, batch, "train")

    def run(self, step: Step, data: Data, order: Array, *, batch: int = 0, samples: int = 0, fresh: bool = True) -> int:
        """Run the steps over ``order`` that are not done yet, or as many as run before training is stopped.

        ``batch`` and ``samples`` are those of the epoch before this order. Returns the samples of the epoch so far.
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
            if self.every_batch:
                self.callbacks.call("on_train_batch_begin", batch + done, {})
                self.refresh(data)
            stop = min(steps, done + self.steps_to_run())
            self.runner.advance(done, stop, self.pace, self.failed)
            self.taken += stop - done
            done, self.done = stop, batch + stop
            if self.shows_progress:
                self.progress.update(self.done, samples + min(done * step.batch, len(order)), self.logs())
            self.after_steps(data)
            if self.stopping():
                break
        return samples + min(done * step.batch, len(order))

    def steps_to_run(self) -> int:
        """How many steps the next native call runs."""
        if self.every_batch:
            return 1
        moment = self.callbacks.steps_to_next(self.taken)
        return self.pace.steps() if moment is None else min(moment, self.pace.steps())

    def after_steps(self, data: Data) -> None:
        """Call the callbacks that are due after some steps."""
        if self.every_batch:
            self.callbacks.call("on_train_batch_end", self.done - 1, self.logs())
        if self.callbacks.intervals:
            called = self.callbacks.step(self.taken, self.epoch, self.done - 1, self.logs)
            if called and not self.every_batch:
                self.refresh(data)

    def stopping(self) -> bool:
        """Whether a callback, Ctrl-C or SIGTERM ends the epoch; in one of several processes it ends all of them."""
        stops = bool(getattr(self.model, "stop_training", False))
        if processes.group is not None:
            pressed, ended, stop = processes.largest(
                "the question whether to stop", self.interrupt.pressed, self.interrupt.terminated, stops
            )
            self.interrupt.pressed, self.interrupt.terminated, stops = bool(pressed), bool(ended), bool(stop)
            self.model.stop_training = stops
        return self.interrupt.pressed or stops

    def stop_if_interrupted(self) -> None:
        """Raise KeyboardInterrupt after Ctrl-C or SIGTERM, once no epoch that has run is missing in the history."""
        if processes.group is not None:
            self.stopping()
        if self.interrupt.pressed and not self.pending:
            self.callbacks.call("on_interrupt")
            self.interrupt.end()
            raise KeyboardInterrupt

    def bind(self, step: Step) -> None:
        """Make a runner for this step, unless the runner has it already."""
        if self.runner is None or self.runner.step is not step:
            self.check_finite()
            self.runner = Runner(step, (self.salt, self.rate))

    def set_rate(self) -> None:
        self.compiled.follow_settings()
        optimizer = self.compiled.optimizer
        if optimizer.schedule is None:  # otherwise the program computes the rate and does not read this one
            self.rate[...] = optimizer.current_rate()

    def refresh(self, data: Data) -> None:
        """In the middle of an epoch: apply what callbacks changed (weights, settings, which layers are trainable)."""
        runner = self.runner
        assert runner is not None
        step = runner.step if self.unchanged() else self.step(data, runner.step.batch)
        if step is runner.step:
            self.reload()
            return
        given = runner.given
        assert given is not None
        self.bind(step.take_over(runner.step))
        self.set_rate()
        self.runner.begin(*given, epoch=self.epoch, fresh=False)  # type: ignore[union-attr]  # steps run

    def reload(self) -> None:
        """Read weights and settings again if a callback has changed them."""
        if self.runner is None:
            return
        before = self.rate.copy()
        self.set_rate()
        if self.runner.changed():
            now = self.rate.copy()
            self.rate[...] = before  # a check that fails runs the earlier steps again, with their own rate
            self.check_finite()
            self.rate[...] = now
            self.runner.capture()

    def check_finite(self) -> None:
        """Raise NonFiniteLoss unless everything that was trained is finite."""
        if self.runner is not None:
            self.runner.check(self.failed)

    def failed(self) -> None:
        assert self.runner is not None
        raise find(self.runner, self.compiled.optimizer.current_rate, self.cause)

    def preflight(self, data: Data, held_out: Any = None, **details: Any) -> None:
        """Check the model and the data; not where the model's own methods say what the data mean."""
        if not self.compiled.calls_methods:
            preflight(self.model, self.compiled, data, held_out, ignore=self.ignore, **details)

    def cause(self) -> str | None:
        """The likely cause of losses that are not finite, if the network and the current rows show one."""
        given = None if self.runner is None else self.runner.given
        return (
            None if given is None or self.compiled.calls_methods else likely_cause(self.model, self.compiled, given[0])
        )

    def end_epoch(self) -> None:
        self.epoch, self.done, self.totals, self.halted = self.epoch + 1, 0, None, False
        self.pending = max(0, self.pending - 1)

    def close(self) -> None:
        """Mark the weights as changed: nothing recorded on their old values may be computed with the new ones."""
        if self.runner is not None:
            for tensor in self.runner.step.written:
                tensor.version += 1

    def logs(self) -> Logs:
        if self.runner is None:
            return dict(self.results)
        self.runner.step.keep_losses(self.model)
        return self.runner.step.logs(self.compiled.names)
