"""`fit`: epochs, validation, history; and single steps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from types import NoneType
from typing import Any

from ranvier.config.switches import limited
from ranvier.data.batches import RanOut, by_number, name_of
from ranvier.data.samplers import Sampler, checked_sampler
from ranvier.engines.planned import planned_passes
from ranvier.module import Module
from ranvier.module.calls import in_model_dtype
from ranvier.support import processes
from ranvier.support.source_lines import warn
from ranvier.support.validation import whole
from ranvier.tensor import rng
from ranvier.training.adapters.arrays import to_data
from ranvier.training.adapters.generators import MemoryLoader, is_source, memory_loader
from ranvier.training.adapters.passes import Passes
from ranvier.training.adapters.ragged import RaggedBatches, is_ragged
from ranvier.training.loop.alike import check_alike
from ranvier.training.loop.callback import Callback
from ranvier.training.loop.callback_list import Callbacks
from ranvier.training.loop.epochs import ArrayEpochs, StreamEpochs, stop_without_batches
from ranvier.training.loop.evaluate import listed, split, split_at
from ranvier.training.loop.history import History
from ranvier.training.loop.nonfinite import NonFiniteLoss
from ranvier.training.loop.prefetched_epochs import EpochPrefetch
from ranvier.training.loop.progress import progress_of
from ranvier.training.loop.resident_loader import LoaderEpochs
from ranvier.training.loop.resume import Run, Source
from ranvier.training.loop.trainer import Logs, Training
from ranvier.training.loop.validation import Validation
from ranvier.training.preflight.run import after_epoch
from ranvier.training.step.argument_types import Augmentation, ClassWeight, Codes, FilePath, Verbosity
from ranvier.training.step.arrays import DEFAULT_BATCH, Data, rows_of_a_batch
from ranvier.training.step.compiled import Compiled, compiled
from ranvier.training.step.compiled import compile as compile  # noqa: A004, PLC0414 - what is compiled is fitted next
from ranvier.training.step.runner import Interrupt


@in_model_dtype
def fit(
    model: Module,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    epochs: int = 1,
    verbose: Verbosity = "auto",
    callbacks: Callback | Sequence[Any] | None = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool = True,
    class_weight: ClassWeight = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    *,
    validation_batch_size: int | None = None,
    validation_steps: int | None = None,
    validation_freq: int | Collection[int] = 1,
    check_finite: bool = True,
    ignore: Codes = (),
    sampler: Sampler | None = None,
    augment: Augmentation = None,
    resume: FilePath | None = None,
) -> History:
    """Train ``model`` on arrays, or on batches from a generator or DataLoader, and return the history.

    For a model of several inputs or outputs ``x``, ``y`` and ``sample_weight`` are lists in their order, or dicts by
    name; for a model of ``Input((None,))`` they may be lists of sequences, of which a batch has those of one length.
    ``class_weight`` is a dict by class, or "balanced"; for several outputs a list or dict of them.

    The arguments are those of Keras: ``batch_size`` is 32 by default, ``validation_split`` takes the last rows before
    any shuffling, and the loss of an epoch is the mean over its samples. With ``steps_per_epoch`` an epoch continues
    where the last one stopped, and the end of the data ends it; without a batch size that many batches are all rows.
    Validation uses ``validation_steps`` batches of ``validation_batch_size`` rows, every ``validation_freq`` epochs, or
    after the epochs that it lists (counted from 1). With ``epochs=0`` nothing is trained. ``sampler`` chooses the rows
    of an epoch and their order, whatever ``shuffle`` is (`ranvier.data.BalancedSampler`). ``augment`` is called on
    (inputs, targets) tensors within the compiled step and returns the tensors to train on (`ranvier.layers.MixUp`);
    validation data are not augmented. ``ignore`` silences checks of the model and its data by their codes ("RV203",
    "RV2" for a group, "RV" for all). With ``resume``, the path of a backup that `callbacks.BackupAndRestore` wrote, the
    run continues from there and ends in the same bits as a run that never stopped.

    Raises ValueError or TypeError naming the place and the fix for anything wrong with the data, before any step;
    `PreflightError` for a mistake that makes training useless; `NonFiniteLoss` when the loss becomes NaN, with the last
    finite weights kept; RuntimeError when another fit runs on this model; `CheckpointError` for a backup that is
    damaged or of another run. Ctrl-C stops at the end of a step, keeps the history so far in ``model.history`` and
    raises KeyboardInterrupt.
    """
    state = compiled(model, "fit")
    if batch_size is not None and is_source(x):
        warn(f"batch_size={batch_size} is not used: x gives batches of its own. Leave it out instead.")
    if validation_split and validation_data is not None:
        warn(f"validation_split={validation_split} is not used beside validation_data. Leave one of them out instead.")
    epochs, initial_epoch = epochs_to_train(epochs, initial_epoch)
    batch = None if batch_size is None else whole("batch_size", batch_size)
    steps = limited(
        "max_steps_per_epoch", None if steps_per_epoch is None else whole("steps_per_epoch", steps_per_epoch)
    )
    with state.exclusive(augment):
        options = {"class_weight": class_weight, "check_finite": check_finite}
        sampler = checked_sampler(sampler)
        fraction = validation_split if validation_data is None else 0.0
        x, y, sample_weight, rest = by_length(model, x, y, sample_weight, batch, shuffle, fraction)
        data, loader, held_out = rows_of(model, state, x, y, sample_weight, fraction, sampler, options, rest)
        given = held_out if validation_data is None else validation_data
        size = batch_size if validation_batch_size is None else validation_batch_size
        most = validation_steps if given is None else limited("max_steps_per_epoch", validation_steps)
        validation = Validation.of(model, state, given, size, most, validation_freq, check_finite)
        progress = progress_of(verbose if processes.writes() else 0)
        names = [*state.names, *(f"val_{n}" for n in state.names if validation is not None)]
        params = {"epochs": epochs, "verbose": verbose, "steps": steps, "metrics": names}
        listeners = Callbacks(callbacks, model, params, progress.speaker())
        training = Training(model, state, listeners, progress, Interrupt.current())
        training.ignore, training.epoch, size = ignore, initial_epoch, batch or DEFAULT_BATCH
        settings = {"batch_size": size, "shuffle": shuffle, "sampler": sampler, "augment": augment, "data": data}
        check_alike(training, settings)
        source = epochs_of(training, x, data, loader, batch, steps, shuffle, sampler, options, validation)
        return train(training, source, validation, settings, epochs, resume)


def by_length(
    model: Module, x: Any, y: Any, sample_weight: Any, batch: int | None, shuffle: bool, fraction: float
) -> tuple[Any, Any, Any, Any]:
    """What `fit` was given. Of sequences of different lengths x is their batches; the last are the held out rows."""
    if not is_ragged(model, x):
        return x, y, sample_weight, None
    generator = rng.numpy_generator("shuffle") if shuffle else None
    batches = RaggedBatches.of(model, (x, y, sample_weight), batch, generator)
    rest = None
    if fraction:
        batches, rest = batches.split(split_at(batches.count, fraction))
    return batches, None, None, rest


def rows_of(
    model: Module,
    state: Compiled,
    x: Any,
    y: Any,
    sample_weight: Any,
    fraction: float,
    sampler: Any,
    options: Any,
    held_out: Any = None,
) -> tuple[Data | None, MemoryLoader | None, Any]:
    """The training data as arrays (None if x gives batches), the loader that gave them, and a fraction held out, which
    is ``held_out`` where x gives batches.
    """
    if is_source(x):
        if y is not None or sample_weight is not None or (fraction and held_out is None):
            raise ValueError(
                "x gives batches, so y, sample_weight and validation_split cannot be given. Write a generator of "
                "(x, y, sample_weight) and validation_data=(x, y) instead."
            )
        if sampler is not None:
            raise ValueError(
                "x gives batches, so there are no rows for a sampler to draw. Write arrays as x and y, or let x "
                "give balanced batches, instead."
            )
        loader = None if state.calls_methods else memory_loader(x)
        return None if loader is None else loader.data(model, state, **options), loader, held_out
    if not fraction:
        return to_data(model, state, x, y, sample_weight, **options), None, None
    data = to_data(model, state, x, y, sample_weight, check_finite=options["check_finite"])
    data, held_out = split(data, fraction)
    return (to_data(model, state, data, None, **options), None, held_out)  # weights of classes are for training only


def epochs_to_train(epochs: Any, initial_epoch: Any) -> tuple[int, int]:
    """The epoch after the last one and the first, as whole numbers; warns where nothing is trained."""
    epochs, initial_epoch = whole("epochs", epochs, 0), whole("initial_epoch", initial_epoch, 0)
    if epochs and initial_epoch >= epochs:
        warn(
            f"initial_epoch={initial_epoch} with epochs={epochs} trains nothing: epochs is the number at which it "
            f"ends. Write epochs={initial_epoch + epochs} for {epochs} more instead."
        )
    return limited("max_epochs", epochs) or 0, initial_epoch


def epochs_of(
    training: Training,
    x: Any,
    data: Data | None,
    loader: MemoryLoader | None,
    batch: int | None,
    steps: int | None,
    shuffle: bool,
    sampler: Any,
    options: Any,
    validation: Validation | None,
) -> Source:
    """The epochs over arrays, over a loader in memory, or over batches as they come; checks the data before them."""

    def check(data: Data, **details: Any) -> None:
        held_out = None if validation is None else validation.data
        training.preflight(data, held_out, **details)

    if data is None:
        shuffler = rng.numpy_generator("shuffle") if shuffle and by_number(x) else None
        passes = Passes(x, steps, shuffler, lambda: training.taken)
        return StreamEpochs(training, passes, steps, options)
    if loader is not None:
        check(data, batch=loader.batch, steps=steps)
        return LoaderEpochs(training, data, loader, steps)
    shuffler = rng.numpy_generator("shuffle") if shuffle or sampler is not None else None
    batch = rows_of_a_batch(batch, len(data), steps)
    source = ArrayEpochs(training, data, batch, steps, shuffler, sampler)
    training.callbacks.params["steps"] = source.limit
    check(data, batch=batch, steps=source.steps, sampled=sampler is not None)
    if not training.callbacks and validation is None and not training.shows_progress and source.equal:
        source.prefetch = EpochPrefetch(training, training.callbacks.params["epochs"])
    return source


def train(
    training: Training, source: Source, validation: Validation | None, settings: Any, epochs: int, resume: Any
) -> History:
    """All epochs of a run, with its callbacks, errors and interrupts."""
    callbacks, interrupt, model = training.callbacks, training.interrupt, training.model
    history = model.history = History(callbacks.params)
    held_out = None if validation is None else validation.data
    settings["validation data"] = held_out if isinstance(held_out, (Data, NoneType)) else name_of(held_out)
    run = Run(training, source, history, settings, None if validation is None else validation.passes)
    model.stop_training = False
    logs: Logs = {}
    try:
        with interrupt.watching(termination=callbacks.listens("on_interrupt")), planned_passes(epochs):
            callbacks.set_run(run)
            callbacks.call("on_train_begin", {})
            if resume is not None:
                run.resume(resume)
            try:
                while training.epoch < epochs and (training.done or not model.stop_training):
                    logs, samples = epoch(training, source, f"Epoch {training.epoch + 1}/{epochs}")
                    if validation is not None or callbacks:
                        training.check_finite()  # before validation and callbacks use the weights
                    if validation is not None and validation.is_due(training.epoch + 1):
                        logs |= validation.run(training)
                    training.progress.end(samples, logs)
                    logs = dict(sorted(logs.items()))
                    if not training.compiled.calls_methods:
                        after_epoch(model, training.compiled, source.data, training.runner, ignore=training.ignore)
                    finish(training, history, logs)
            except NonFiniteLoss as error:
                if not callbacks.handle_nonfinite(error):
                    raise
            except RanOut as error:
                if not history.epoch:
                    raise
                stop_without_batches(error, training)
            training.check_finite()
            training.compiled.optimizer.finalize_variable_values()
            callbacks.call("on_train_end", logs)
    except KeyboardInterrupt:
        done = len(history.epoch)
        training.progress.say(
            f"Stopped by Ctrl-C after {done} whole epoch{'s' * (done != 1)}; model.history has their results."
        )
        raise
    finally:
        training.close()
        training.progress.close()
        interrupt.end()  # SIGTERM may have come after the last step
    return history


def epoch(training: Training, source: Source, title: str) -> tuple[Logs, int]:
    """The steps of one epoch, or the rest of it: its results, and the number of samples."""
    if training.callbacks and not training.done:
        training.callbacks.call("on_epoch_begin", training.epoch, {})
        if training.callbacks.changing:
            training.reload()
    logs, samples = source.epoch(title)
    training.stop_if_interrupted()
    return logs, samples


def finish(training: Training, history: History, logs: Logs) -> None:
    """Report an epoch that is over: to callbacks, to the history, and then to callbacks that save the run."""
    number = training.epoch
    training.callbacks.call_first("on_epoch_end", number, logs)
    history.add(number, logs)
    training.end_epoch()
    training.callbacks.call_last("on_epoch_end", number, logs)
    training.stop_if_interrupted()


@in_model_dtype
def train_on_batch(
    model: Module,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    class_weight: ClassWeight = None,
    return_dict: bool = False,
) -> Any:
    """One step on one batch; returns its loss and metrics like `evaluate`, from before the step."""
    state: Compiled = compiled(model, "train_on_batch")
    with state.exclusive():
        data = to_data(model, state, x, y, sample_weight, class_weight=class_weight)
        training = Training(model, state, Callbacks(None, model, {}))
        try:
            logs, _ = ArrayEpochs(training, data, len(data), None, None).epoch("")
            training.check_finite()
        finally:
            training.close()
    return logs if return_dict else listed(model, state, logs)
