"""The training loop: epochs of chunks of steps, validation, history; and evaluation and single steps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["evaluate", "fit", "train_on_batch"]

Logs = dict[str, Any]


def whole(name: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name}={value!r}: write a whole number of {least} or more instead.")
    return int(value)


def kept_rows(data: Data) -> Array:
    """The numbers of the rows that count: a weight of zero is the same as leaving the sample out."""
    weights = [w for w in data.weight if w is not None]
    if not weights or len(weights) < len(data.weight) or any(w.all() for w in weights):
        return np.arange(len(data), dtype=np.int32)  # an output without weights counts every sample
    return np.flatnonzero(sum(w.reshape(len(w), -1).any(axis=1) for w in weights)).astype(np.int32)


class Training:
    """One call of `fit`: the model, how it was compiled, and what every epoch needs."""

    def __init__(
        self, model: Module, compiled: Compiled, show: Progress, interrupt: Interrupt, hooked: bool = False
    ) -> None:
        self.model, self.compiled, self.show, self.interrupt = model, compiled, show, interrupt
        self.hooked = hooked  # callbacks may change anything between epochs
        salt = seed.numpy_generator("fit").integers(2**32, dtype=np.uint32)
        self.salt = np.asarray(salt)
        self.rate = np.zeros((), get_dtype())
        self.pace, self.validation_pace = Pace(), Pace()
        self.runner: Runner | None = None
        self.shows = type(show) is not Progress

    def step(self, data: Data, batch: int) -> Step:
        return step_for(self.model, self.compiled, data, batch, "train")

    def run(
        self,
        step: Step,
        data: Data,
        order: Array,
        *,
        epoch: int,
        before: int = 0,
        samples: int = 0,
        fresh: bool = True,
    ) -> int:
        """All steps over ``order``, or those until Ctrl-C is pressed; returns how many samples they took."""
        if self.runner is None or self.runner.step is not step:
            if self.runner is not None:
                self.runner.check(self.failed)
            self.runner = Runner(step, (self.salt, self.rate))
        runner = self.runner
        self.rate[...] = self.compiled.optimizer.current_rate()
        done = 0
        for done in runner.chunks(
            runner.begin(data, order, epoch=epoch, fresh=fresh), self.pace, self.failed
        ):
            if self.shows:
                seen = samples + min(done * step.batch, len(order))
                self.show.update(before + done, seen, self.logs(step))
            if self.interrupt.pressed:
                break
        return min(done * step.batch, len(order))

    def failed(self) -> None:
        assert self.runner is not None
        raise find(self.runner, self.compiled.optimizer.current_rate)

    def touched(self) -> None:
        """Callbacks may have changed weights or settings: look at them again."""
        if self.runner is not None:
            self.runner.check(self.failed)
            self.runner.settle()

    def close(self) -> None:
        """Weights were written: what was recorded on their old values must not be computed with the new ones."""
        if self.runner is not None:
            for tensor in self.runner.step.written:
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
        training = Training(model, state, show, interrupt, hooked=bool(hooks.callbacks))
        model.stop_training = False
        validation_size = (
            batch if validation_batch_size is None else whole("validation_batch_size", validation_batch_size)
        )
        if not source:
            preflight(model, state, data)
            shuffler = seed.numpy_generator("shuffle") if shuffle else None
            arrays = Arrays(training, data, batch, steps_per_epoch, shuffler)
            history.params["steps"] = arrays.steps
        try:
            with interrupt.watching():
                hooks.tell("on_train_begin", {})
                for epoch in range(initial_epoch, epochs):
                    if hooks.callbacks:
                        hooks.tell("on_epoch_begin", epoch, {})
                        training.touched()
                    title = f"Epoch {epoch + 1}/{epochs}"
                    if source:
                        batches = inputs.batches(model, state, x, steps_per_epoch, **options)
                        logs, samples = stream_epoch(training, batches, epoch, title, steps_per_epoch)
                    else:
                        logs, samples = arrays.epoch(epoch, title)
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
                training.touched()
                hooks.tell("on_train_end", logs if epochs > initial_epoch else {})
        except KeyboardInterrupt:
            done = len(history.epoch)
            show.say(
                f"Stopped by Ctrl-C after {done} whole epoch{'s' * (done != 1)}; model.history has their results."
            )
            raise
        finally:
            training.close()
            show.close()
            if not source:
                arrays.close()
    return history


class Arrays:
    """Epochs over arrays."""

    def __init__(self, training: Training, data: Data, batch: int, limit: int | None, shuffler: Any) -> None:
        self.training, self.data, self.shuffler = training, data, shuffler
        self.batch = min(batch, len(data))
        self.rows = kept_rows(data)
        self.order = self.rows
        self.taken = len(self.rows) if limit is None else min(len(self.rows), limit * batch)
        self.steps = math.ceil(self.taken / self.batch)
        self.step: Step | None = None
        self.drawer: ThreadPoolExecutor | None = None
        self.orders: Future[Array] | None = None
        if self.shuffler is not None and self.batch < len(
            self.rows
        ):  # within one batch the order means nothing
            from concurrent.futures import ThreadPoolExecutor

            self.drawer = ThreadPoolExecutor(1)
            self.orders = self._draw(self.drawer)

    def _draw(self, drawer: ThreadPoolExecutor) -> Future[Array]:
        """A new order of the rows, drawn beside the program, which needs no interpreter meanwhile."""

        def draw() -> Array:
            order = self.rows.copy()
            self.shuffler.shuffle(order)
            return order

        return drawer.submit(draw)

    def close(self) -> None:
        if self.drawer is not None:
            self.drawer.shutdown(wait=False, cancel_futures=True)

    def epoch(self, epoch: int, title: str) -> tuple[Logs, int]:
        """One epoch: its results, and the number of samples."""
        training = self.training
        if self.orders is not None and self.drawer is not None:
            self.order = self.orders.result()
            self.orders = self._draw(self.drawer)  # the next one, while this epoch runs
        if self.step is None or training.hooked:
            self.step = training.step(self.data, self.batch)
        training.show.begin(title, self.steps)
        samples = training.run(self.step, self.data, self.order[: self.taken], epoch=epoch)
        return training.logs(self.step), samples


def stream_epoch(
    training: Training, batches: Iterable[Data], epoch: int, title: str, steps: int | None
) -> tuple[Logs, int]:
    """One epoch over batches as they come; a batch no larger than those before needs no other program."""
    training.show.begin(title, steps)
    samples = 0
    step: Step | None = None
    for number, data in enumerate(batches):
        if number == 0:
            preflight(training.model, training.compiled, data)
        fresh = step is None
        if step is None or len(data) > step.batch:
            step = training.step(data, len(data)).take_over(step)
        order = kept_rows(data)
        samples += training.run(step, data, order, epoch=epoch, before=number, samples=samples, fresh=fresh)
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
        runner = Runner(step)
        order = kept_rows(part)
        for done in runner.chunks(runner.begin(part, order, fresh=False), pace):
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
        try:
            logs, _ = Arrays(training, data, len(data), None, None).epoch(0, "")
            training.touched()
        finally:
            training.close()
    values = list(logs.values())
    return logs if return_dict else values[0] if len(values) == 1 else values
