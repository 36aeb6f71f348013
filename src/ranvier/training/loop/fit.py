"""`fit`: epochs, validation, history; and single steps."""

from __future__ import annotations

from collections.abc import Callable, Collection
from types import NoneType
from typing import Any

import numpy as np

from ranvier.data.batches import RanOut, by_number, name_of
from ranvier.data.samplers import Sampler, checked_sampler
from ranvier.module import Module
from ranvier.module.calls import in_model_dtype
from ranvier.support.validation import whole
from ranvier.tensor import rng
from ranvier.training.adapters.arrays import to_data
from ranvier.training.adapters.generators import batch_size_of, evaluation_batches, is_source, memory_loader
from ranvier.training.adapters.passes import Passes
from ranvier.training.loop.callback_list import Callbacks
from ranvier.training.loop.epochs import Arrays, Stream, ran_out
from ranvier.training.loop.evaluate import run_evaluation, split, validation_set
from ranvier.training.loop.history import History
from ranvier.training.loop.nonfinite import NonFiniteLoss
from ranvier.training.loop.prefetched_epochs import EpochPrefetch
from ranvier.training.loop.progress import Progress, progress
from ranvier.training.loop.resident_loader import Loaded
from ranvier.training.loop.resume import Run
from ranvier.training.loop.trainer import Logs, Training
from ranvier.training.preflight.run import after_epoch, preflight
from ranvier.training.step.arrays import Data
from ranvier.training.step.compiled import Compiled, compiled
from ranvier.training.step.runner import Interrupt

__all__ = ["fit", "train_on_batch"]


@in_model_dtype
def fit(
    model: Module,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: str | int = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool = True,
    class_weight: Any = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    *,
    validation_batch_size: int | None = None,
    validation_steps: int | None = None,
    validation_freq: int | Collection[int] = 1,
    check_finite: bool = True,
    ignore: Any = (),
    sampler: Sampler | None = None,
    augment: Any = None,
    resume: Any = None,
) -> History:
    """Train ``model`` on arrays, or on batches from a generator or DataLoader, and return the history.

    For a model of several inputs or outputs ``x``, ``y`` and ``sample_weight`` are lists in their order, or dicts by
    name. ``class_weight`` is a dict by class, or "balanced"; for several outputs a list or dict of them.

    All of Keras's meaning: ``batch_size`` is 32 where not given, ``validation_split`` takes the last rows before any
    shuffling, the loss of an epoch is the mean over its samples, and with ``steps_per_epoch`` an epoch goes on where
    the last one stopped: each row comes once before any comes again. ``validation_steps`` validates on so many
    batches of ``validation_batch_size`` rows, every ``validation_freq`` epochs, or after the epochs that it lists
    (counted from 1). With ``epochs=0`` nothing is trained, and the history is empty. A sample of weight zero is left
    out. ``sampler`` says which rows an epoch takes and in which order, whatever ``shuffle`` is
    (`ranvier.data.BalancedSampler`). ``augment`` is called on (inputs, targets) tensors within the compiled step and
    returns what is trained on (`ranvier.layers.MixUp`); validation data stay as they are. ``ignore`` silences checks of
    the model and its data by their codes ("RV203", "RV2" for a group, "RV" for all). With ``resume``, the path of a
    backup that `callbacks.BackupAndRestore` wrote, this very run goes on from there and ends as if it had never
    stopped.

    Raises ValueError or TypeError naming the place and the fix for anything wrong with the data, before any step;
    `PreflightError` where training can only give nonsense; `NonFiniteLoss` when the loss becomes NaN, with the last
    good weights kept; RuntimeError when another fit runs on this model; `CheckpointError` for a backup that is damaged
    or of another run. Ctrl-C stops at the end of a step, keeps the history so far in ``model.history`` and raises
    KeyboardInterrupt.
    """
    state = compiled(model, "fit")
    epochs, initial_epoch = whole("epochs", epochs, 0), whole("initial_epoch", initial_epoch, 0)
    batch = whole("batch_size", 32 if batch_size is None else batch_size)
    if steps_per_epoch is not None:
        steps_per_epoch = whole("steps_per_epoch", steps_per_epoch)
    validated = validating(validation_freq)
    with state.exclusive(augment):
        options: Any = {"class_weight": class_weight, "check_finite": check_finite}
        sampler = None if sampler is None else checked_sampler(sampler)
        data: Data | None = None
        validation: Data | Any = None
        if is_source(x):
            if y is not None or sample_weight is not None or validation_split:
                raise ValueError(
                    "x gives batches, so y, sample_weight and validation_split cannot be given. Write a generator of "
                    "(x, y, sample_weight) and validation_data=(x, y) instead."
                )
            if sampler is not None:
                raise ValueError(
                    "x gives batches, so there are no rows for a sampler to draw. Write arrays as x and y, or let x "
                    "give balanced batches, instead."
                )
            loader = memory_loader(x)
            data = None if loader is None else loader.data(model, state, **options)
        else:
            loader = None
            if validation_split and validation_data is None:  # classes are weighted in training alone
                data = to_data(model, state, x, y, sample_weight, check_finite=check_finite)
                data, validation = split(data, validation_split)
                data = to_data(model, state, data, None, **options)
            else:
                data = to_data(model, state, x, y, sample_weight, **options)
        if validation_data is not None:
            validation = validation_set(model, state, validation_data, check_finite)
            if hasattr(validation, "__next__"):
                validation = Passes(validation)
        validation_size = (
            batch if validation_batch_size is None else whole("validation_batch_size", validation_batch_size)
        )
        if validation_steps is not None:
            validation_steps = whole("validation_steps", validation_steps)
            if isinstance(validation, Data):
                validation = validation.rows(slice(0, validation_steps * validation_size))
        show, interrupt = progress(verbose), Interrupt.current()
        names = [*state.names, *(f"val_{n}" for n in state.names if validation is not None)]
        params = {"epochs": epochs, "verbose": verbose, "steps": steps_per_epoch, "metrics": names}
        hooks = Callbacks(callbacks, model, params, show.speaker())
        training = Training(model, state, hooks, show, interrupt)
        training.ignore = ignore
        source: Arrays | Stream | Loaded
        if loader is not None and data is not None:
            preflight(
                model, state, data, validation, batch=loader.batch, ignore=ignore, steps=steps_per_epoch
            )
            source = Loaded(training, data, loader, steps_per_epoch)
        elif data is None:
            shuffler = rng.numpy_generator("shuffle") if shuffle and by_number(x) else None
            passes = Passes(x, steps_per_epoch, shuffler, lambda: training.taken)
            source = Stream(training, passes, steps_per_epoch, options)
        else:
            shuffler = rng.numpy_generator("shuffle") if shuffle or sampler is not None else None
            source = Arrays(training, data, batch, steps_per_epoch, shuffler, sampler)
            params["steps"] = source.steps
            preflight(
                model, state, data, validation, batch=batch, ignore=ignore, steps=source.steps,
                sampled=sampler is not None,
            )  # fmt: skip
        history = model.history = History(params)
        settings = {
            "batch_size": batch, "shuffle": shuffle, "sampler": sampler, "augment": augment, "data": data,
            "validation data": validation if isinstance(validation, (Data, NoneType)) else name_of(validation),
        }  # fmt: skip
        run = Run(training, source, history, settings, validation)
        training.epoch = initial_epoch
        if isinstance(source, Arrays) and not hooks and validation is None and not training.shows:
            source.prefetch = EpochPrefetch(training, epochs)
        model.stop_training = False
        logs: Logs = {}
        try:
            with interrupt.watching(termination=hooks.listens("on_interrupt")):
                hooks.set_run(run)
                hooks.tell("on_train_begin", {})
                if resume is not None:
                    run.resume(resume)
                try:
                    while training.epoch < epochs and (training.done or not model.stop_training):
                        logs, samples = epoch(training, source, f"Epoch {training.epoch + 1}/{epochs}")
                        if validation is not None or hooks:
                            training.check()  # before anybody looks at it, or keeps it
                        if validation is not None and validated(training.epoch + 1):
                            results = validate(training, validation, validation_size, validation_steps)
                            logs |= {f"val_{name}": value for name, value in results.items()}
                        show.end(samples, logs)
                        after_epoch(model, state, source.data, training.runner, ignore=ignore)
                        finish(training, source, history, logs)
                except NonFiniteLoss as error:
                    if not hooks.swallow(error):
                        raise
                except RanOut as error:
                    if not history.epoch:
                        raise
                    ran_out(error, training)
                training.check()
                state.optimizer.finalize_variable_values()
                hooks.tell("on_train_end", logs)
        except KeyboardInterrupt:
            done = len(history.epoch)
            show.say(
                f"Stopped by Ctrl-C after {done} whole epoch{'s' * (done != 1)}; model.history has their results."
            )
            raise
        finally:
            training.close()
            show.close()
            interrupt.end()  # told so when there was no step any more to stop after
    return history


def validating(frequency: Any) -> Callable[[int], bool]:
    """Whether an epoch, counted from 1, is validated: every so many, or those named."""
    if isinstance(frequency, (Collection, np.ndarray)) and not isinstance(frequency, str):
        return frozenset(whole("validation_freq", n) for n in frequency).__contains__
    every = whole("validation_freq", frequency)
    return lambda number: number % every == 0


def epoch(training: Training, source: Arrays | Loaded | Stream, title: str) -> tuple[Logs, int]:
    """The steps of one epoch, or of what is left of it: results, and the number of samples."""
    if training.hooks and not training.done:
        training.hooks.tell("on_epoch_begin", training.epoch, {})
        if training.hooks.changing:
            training.touched()
    logs, samples = source.epoch(title)
    interrupted(training)
    return logs, samples


def validate(training: Training, validation: Any, batch: int | None, steps: int | None) -> Logs:
    model, state = training.model, training.compiled
    parts: Any = [validation]
    if isinstance(validation, Passes):
        validation.find()
    if not isinstance(validation, Data):
        parts, batch = evaluation_batches(model, state, validation, steps), batch_size_of(validation)
    logs, _ = run_evaluation(
        model, state, parts, batch, pace=training.validation_pace, show=Progress(), hooks=training.hooks,
        between=lambda: interrupted(training),
    )  # fmt: skip
    if isinstance(validation, Passes):
        validation.settled = validation.count
    return logs


def finish(training: Training, source: Arrays | Loaded | Stream, history: History, logs: Logs) -> None:
    """An epoch is over: tell everyone, and last of all those who keep what the others have done."""
    optimizer, number = training.compiled.optimizer, training.epoch
    if optimizer.schedule is not None:
        later = max(0, training.pending - 1) * (source.steps or 0)  # steps that already ran after this epoch
        logs["learning_rate"] = optimizer.current_rate(later)
    training.hooks.tell_first("on_epoch_end", number, logs)
    history.add(number, logs)
    training.end_epoch()
    training.hooks.tell_last("on_epoch_end", number, logs)
    interrupted(training)


def interrupted(training: Training) -> None:
    if training.interrupt.pressed and not training.pending:
        training.hooks.tell("on_interrupt")
        training.interrupt.end()
        raise KeyboardInterrupt


@in_model_dtype
def train_on_batch(
    model: Module,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    class_weight: Any = None,
    return_dict: bool = False,
) -> Any:
    """One step on one batch; returns its loss and metrics like `evaluate`, from before the step."""
    state: Compiled = compiled(model, "train_on_batch")
    with state.exclusive():
        data = to_data(model, state, x, y, sample_weight, class_weight=class_weight)
        training = Training(model, state, Callbacks(None, model, {}))
        try:
            logs, _ = Arrays(training, data, len(data), None, None).epoch("")
            training.check()
        finally:
            training.close()
    values = list(logs.values())
    return logs if return_dict else values[0] if len(values) == 1 else values
