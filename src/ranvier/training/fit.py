"""The training loop: epochs of chunks of steps, validation, history; and evaluation and single steps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ranvier import seed
from ranvier.data.convert import Array
from ranvier.module import Module
from ranvier.tensor import get_dtype
from ranvier.training import inputs
from ranvier.training.history import Callbacks, History
from ranvier.training.nonfinite import find
from ranvier.training.preflight import preflight
from ranvier.training.progress import Progress, progress
from ranvier.training.runner import Interrupt, Pace, Runner
from ranvier.training.state import Compiled, compiled
from ranvier.training.step import Data, Step, step_for

__all__ = ["evaluate", "fit", "train_on_batch"]

Logs = dict[str, Any]


def whole(name: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name}={value!r}: write a whole number of {least} or more instead.")
    return int(value)


def kept_rows(data: Data) -> Array:
    """The numbers of the rows that count: a weight of zero is the same as leaving the sample out."""
    if data.weight is None or data.weight.all():
        return np.arange(len(data), dtype=np.int32)
    return np.flatnonzero(data.weight).astype(np.int32)


class Training:
    """One call of `fit`: the model, how it was compiled, and what every epoch needs."""

    def __init__(self, model: Module, compiled: Compiled, show: Progress, interrupt: Interrupt) -> None:
        self.model, self.compiled, self.show, self.interrupt = model, compiled, show, interrupt
        salt = seed.numpy_generator("fit").integers(2**32, dtype=np.uint32)
        self.salt = np.asarray(salt)
        self.rate = np.zeros((), get_dtype())
        self.pace, self.validation_pace = Pace(), Pace()
        self.runner: Runner | None = None

    def step(self, data: Data, batch: int) -> Step:
        return step_for(self.model, self.compiled, data, batch, "train")

    def run(
        self, step: Step, data: Data, order: Array, epoch: int, before: int, samples: int
    ) -> Iterator[int]:
        """All steps over ``order``; yields the steps done after each chunk. Stops where Ctrl-C was pressed."""
        if self.runner is None or self.runner.step is not step:
            self.runner = Runner(step, data, (self.salt, self.rate))
        runner = self.runner
        runner.data = data
        self.rate[...] = self.compiled.optimizer.learning_rate
        steps = runner.begin(order)

        def failed(start: int, stop: int) -> None:
            raise find(runner, start, stop, epoch, float(self.rate))

        try:
            for done in runner.chunks(steps, self.pace, failed):
                seen = samples + min(done * step.batch, len(order))
                self.show.update(before + done, seen, self.logs(step))
                yield done
                if self.interrupt.pressed:
                    return
        finally:
            for tensor in step.written:
                tensor.version += 1

    def logs(self, step: Step) -> Logs:
        return dict(zip(self.compiled.names, step.results(), strict=True))


def fit(
    model: Module,
    x: Any = None,
    y: Any = None,
    *,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: str | int = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool = True,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: int = 1,
    check_finite: bool = True,
) -> History:
    """Train ``model`` on arrays, or on batches from a generator or DataLoader, and return the history.

    All of Keras's meaning: ``batch_size`` is 32 where not given, ``validation_split`` takes the last rows before any
    shuffling, the loss of an epoch is the mean over its samples. A sample of weight zero is left out.

    Raises ValueError or TypeError naming the place and the fix for anything wrong with the data, before any step;
    `NonFiniteLoss` when the loss becomes NaN, with the last good weights kept; RuntimeError when another fit runs on
    this model. Ctrl-C stops at the end of a step, keeps the history so far in ``model.history`` and raises
    KeyboardInterrupt.
    """
    state = compiled(model, "fit")
    epochs, initial_epoch = whole("epochs", epochs), whole("initial_epoch", initial_epoch, 0)
    batch = whole("batch_size", 32 if batch_size is None else batch_size)
    if steps_per_epoch is not None:
        steps_per_epoch = whole("steps_per_epoch", steps_per_epoch)
    with state.exclusive():
        source = inputs.is_source(x)
        options: Any = {"class_weight": class_weight, "check_finite": check_finite}
        validation: Data | Any = None
        if source:
            if y is not None or sample_weight is not None or validation_split:
                raise ValueError(
                    "x gives batches, so y, sample_weight and validation_split cannot be given. Write a generator of "
                    "(x, y, sample_weight) and validation_data=(x, y) instead."
                )
        else:
            data = inputs.gate(model, state, x, y, sample_weight, **options)
            if validation_split and validation_data is None:
                data, validation = inputs.split(data, validation_split)
        if validation_data is not None:
            validation = validation_set(model, state, validation_data, check_finite)
        show = progress(verbose)
        params = {"epochs": epochs, "verbose": verbose, "steps": steps_per_epoch}
        history = History(params)
        model.history = history
        hooks = Callbacks(callbacks, model, params)
        interrupt = Interrupt()
        training = Training(model, state, show, interrupt)
        model.stop_training = False
        validation_size = (
            batch if validation_batch_size is None else whole("validation_batch_size", validation_batch_size)
        )
        if not source:
            preflight(model, state, data)
            history.params["steps"] = epoch_steps(data, batch, steps_per_epoch)
        shuffler = seed.numpy_generator("shuffle") if shuffle and not source else None
        try:
            with interrupt.watching():
                hooks.tell("on_train_begin", {})
                for epoch in range(initial_epoch, epochs):
                    hooks.tell("on_epoch_begin", epoch, {})
                    title = f"Epoch {epoch + 1}/{epochs}"
                    if source:
                        batches = inputs.batches(model, state, x, steps_per_epoch, **options)
                        logs, samples = stream_epoch(training, batches, epoch, title, steps_per_epoch)
                    else:
                        logs, samples = array_epoch(
                            training, data, batch, epoch, title, shuffler, steps_per_epoch
                        )
                    if interrupt.pressed:
                        raise KeyboardInterrupt
                    if validation is not None and (epoch + 1) % validation_freq == 0:
                        results = validate(training, validation, validation_size)
                        logs |= {f"val_{name}": value for name, value in results.items()}
                    show.end(samples, logs)
                    history.add(epoch, logs)
                    hooks.tell("on_epoch_end", epoch, logs)
                    if interrupt.pressed:
                        raise KeyboardInterrupt
                    if getattr(model, "stop_training", False):
                        break
                hooks.tell("on_train_end", logs if epochs > initial_epoch else {})
        except KeyboardInterrupt:
            done = len(history.epoch)
            show.say(
                f"Stopped by Ctrl-C after {done} whole epoch{'s' * (done != 1)}; model.history has their results."
            )
            raise
        finally:
            show.close()
    return history


def epoch_steps(data: Data, batch: int, limit: int | None) -> int:
    steps = math.ceil(len(kept_rows(data)) / batch)
    return steps if limit is None else min(steps, limit)


def array_epoch(
    training: Training, data: Data, batch: int, epoch: int, title: str, shuffler: Any, limit: int | None
) -> tuple[Logs, int]:
    """One epoch over arrays: its results, and the number of samples."""
    order = kept_rows(data)
    if shuffler is not None:
        shuffler.shuffle(order)
    if limit is not None:
        order = order[: limit * batch]
    step = training.step(data, min(batch, len(data)))
    step.reset()
    training.show.begin(title, math.ceil(len(order) / step.batch))
    done = max(training.run(step, data, order, epoch, 0, 0), default=0)
    return training.logs(step), min(done * step.batch, len(order))


def stream_epoch(
    training: Training, batches: Iterable[Data], epoch: int, title: str, steps: int | None
) -> tuple[Logs, int]:
    """One epoch over batches as they come; a smaller batch than the first needs no other program."""
    training.show.begin(title, steps)
    samples = 0
    step: Step | None = None
    for number, data in enumerate(batches):
        if number == 0:
            preflight(training.model, training.compiled, data)
        if step is None or len(data) > step.batch:
            step = training.step(data, len(data)).take_over(step)
        order = kept_rows(data)
        max(training.run(step, data, order, epoch, number, samples), default=0)
        samples += len(order)
        if training.interrupt.pressed:
            break
    return ({} if step is None else training.logs(step)), samples


# --- evaluation ---------------------------------------------------------------------------------------------------


def validation_set(model: Module, state: Compiled, given: Any, check_finite: bool) -> Any:
    """Validation data as checked arrays; what gives batches is left to be read anew each epoch."""
    if inputs.is_source(given):
        return given
    if isinstance(given, Mapping) or not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        raise TypeError(
            "validation_data must be (x, y) or (x, y, sample_weight). Write validation_data=(x_val, y_val)."
        )
    x, y, weight = (*given, None)[:3]
    return inputs.gate(model, state, x, y, weight, check_finite=check_finite, prefix="validation ")


def run_evaluation(
    model: Module, state: Compiled, data: Iterable[Data], batch: int | None, pace: Pace, show: Any
) -> Logs:
    """Loss and metrics over arrays or batches, and under "" the number of samples."""
    with state.evaluating:
        return _run_evaluation(model, state, data, batch, pace, show)


def _run_evaluation(
    model: Module, state: Compiled, data: Iterable[Data], batch: int | None, pace: Pace, show: Any
) -> Logs:
    step: Step | None = None
    samples = steps = 0
    for part in data:
        size = min(batch or len(part), len(part))
        if step is None or size > step.batch:
            step = step_for(model, state, part, size, "evaluate").take_over(step)
        runner = Runner(step, part)
        order = kept_rows(part)
        for done in runner.chunks(runner.begin(order), pace):
            show.update(steps + done, samples + min(done * size, len(order)), {})
        samples, steps = samples + len(order), steps + math.ceil(len(order) / size)
    if step is None:
        raise ValueError("there was no batch to evaluate on. Write at least one instead.")
    return dict(zip(state.names, step.results(), strict=True)) | {"": samples}


def validate(training: Training, validation: Any, batch: int) -> Logs:
    model, state = training.model, training.compiled
    parts: Iterable[Data] = [validation]
    if not isinstance(validation, Data):
        parts = inputs.batches(model, state, validation, None, class_weight=None, check_finite=True)
    logs = run_evaluation(model, state, parts, batch, training.validation_pace, Progress())
    del logs[""]
    return logs


def evaluate(
    model: Module,
    x: Any = None,
    y: Any = None,
    *,
    batch_size: int | None = None,
    verbose: str | int = "auto",
    sample_weight: Any = None,
    steps: int | None = None,
    return_dict: bool = False,
    check_finite: bool = True,
) -> Any:
    """The loss on data, and the metrics: one number, a list of them in the order of compile, or a dict by name.

    Raises as `fit` does.
    """
    state = compiled(model, "evaluate")
    batch = whole("batch_size", 32 if batch_size is None else batch_size)
    if inputs.is_source(x):
        parts: Any = inputs.batches(model, state, x, steps, class_weight=None, check_finite=check_finite)
    else:
        parts = [inputs.gate(model, state, x, y, sample_weight, check_finite=check_finite)]
        if steps is not None:
            parts = [parts[0].rows(slice(0, whole("steps", steps) * batch))]
    show = progress(verbose)
    try:
        total = math.ceil(len(parts[0]) / batch) if isinstance(parts, list) else steps
        show.begin("Evaluation", total)
        logs = run_evaluation(model, state, parts, batch, Pace(), show)
        show.end(logs.pop(""), logs)
    finally:
        show.close()
    if return_dict:
        return logs
    values = list(logs.values())
    return values[0] if len(values) == 1 else values


def train_on_batch(
    model: Module,
    x: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    class_weight: Any = None,
    return_dict: bool = False,
) -> Any:
    """One step on one batch; returns its loss and metrics like `evaluate`, from before the step."""
    state = compiled(model, "train_on_batch")
    with state.exclusive():
        data = inputs.gate(model, state, x, y, sample_weight, class_weight=class_weight)
        training = Training(model, state, Progress(), Interrupt())
        logs, _ = array_epoch(training, data, len(data), 0, "", None, None)
    values = list(logs.values())
    return logs if return_dict else values[0] if len(values) == 1 else values
