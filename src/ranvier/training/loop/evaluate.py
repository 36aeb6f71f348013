"""Loss and metrics without training: `evaluate`, and validation within `fit`."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ranvier.config.switches import limited
from ranvier.data.convert import Array
from ranvier.module import Module
from ranvier.module.calls import in_model_dtype
from ranvier.support import processes
from ranvier.support.validation import whole
from ranvier.tensor import rng
from ranvier.training.adapters.arrays import to_data
from ranvier.training.adapters.generators import batch_size_of, evaluation_batches, is_source
from ranvier.training.adapters.ragged import RaggedBatches, is_ragged
from ranvier.training.loop.callback import Callback
from ranvier.training.loop.callback_list import Callbacks
from ranvier.training.loop.progress import Progress, progress_of
from ranvier.training.step.argument_types import Verbosity
from ranvier.training.step.arrays import DEFAULT_BATCH, Data, rows_of_a_batch
from ranvier.training.step.builder import Step
from ranvier.training.step.compiled import Compiled, compiled
from ranvier.training.step.runner import Pace, Runner
from ranvier.training.step.step import step_for

Logs = dict[str, Any]


def check_counting(data: Data, where: str) -> None:
    """Raise ValueError if no row has a positive weight, since nothing could be learned from them."""
    rows = data.numbers
    if not any(w is None or w[rows].any() for w in data.weight or (None,)):
        raise ValueError(
            f"sample_weight is zero for all {len(data):,} samples of {where}. Write a positive weight for at least one "
            "instead."
        )


def split(data: Data, fraction: Any) -> tuple[Data, Data]:
    """The first rows to train on and the last ``fraction`` of them to validate on, before any shuffling.

    Raises ValueError unless both parts have rows with a weight.
    """
    at = split_at(len(data), fraction)
    train, validation = data.rows(slice(0, at)), data.rows(slice(at, None))
    check_counting(train, f"those that validation_split={fraction} trains on")
    check_counting(validation, f"those that validation_split={fraction} holds out")
    return train, validation


def split_at(count: int, fraction: Any) -> int:
    """How many of the rows are trained on. Raises ValueError for no fraction, and where all or none are."""
    number = isinstance(fraction, (int, float, np.integer, np.floating)) and not isinstance(fraction, bool)
    if not number or not 0 < fraction < 1:
        raise ValueError(f"validation_split={fraction!r}: write a fraction between 0 and 1, such as 0.2, instead.")
    at = int(np.floor(count * (1 - fraction)))
    if at in (0, count):
        raise ValueError(
            f"validation_split={fraction} of {count} samples leaves none to {'train' if at == 0 else 'validate'} "
            "on. Write another fraction, or validation_data=(x, y), instead."
        )
    return at


_running = threading.local()


@contextlib.contextmanager
def alone(state: Compiled, callbacks: Callbacks) -> Iterator[None]:
    """Call ``on_test_begin``, and hold the model for one evaluation.

    Raises RuntimeError within another evaluation of this thread, in which the lock would wait for itself.
    """
    running = _running.__dict__.setdefault("models", [])
    if any(known is state for known in running):
        raise RuntimeError(
            "evaluate is already running on this model, and a callback of it calls evaluate again. Write that into "
            "on_test_end instead."
        )
    callbacks.call("on_test_begin", {})
    with state.evaluating:
        running.append(state)
        try:
            yield
        finally:
            running.pop()


def run_evaluation(
    model: Module,
    state: Compiled,
    data: Iterable[Data],
    batch: int | None,
    *,
    pace: Pace,
    show: Progress,
    callbacks: Callbacks,
    between: Callable[[], None] = lambda: None,
) -> tuple[Logs, int]:
    """Loss and metrics over arrays or batches, and the number of samples. ``between`` is called after some steps."""
    step: Step | None = None
    kind: Any = None
    samples = steps = 0
    drawn: tuple[Array, ...] = ()
    each = callbacks.listens("on_test_batch_begin", "on_test_batch_end")

    def results() -> Logs:
        assert step is not None
        step.keep_losses(model)
        return step.logs(state.names)

    with alone(state, callbacks):
        for part in data:
            order = part.numbers
            size = min(batch or part.size or len(part), len(order))
            kind, before = part.kind(), kind
            if step is None or size > step.batch or kind != before:
                size = max(size, 0 if step is None else step.batch)
                step = step_for(model, state, part, size, "evaluate").take_over(step)
            if step.draws and not drawn:
                drawn = rng.run_stream("evaluation")
            runner = Runner(step, drawn)
            total = runner.begin(part, order, fresh=False)
            done = 0
            while done < total:
                if each:
                    callbacks.call("on_test_batch_begin", steps + done, {})
                    runner.capture()  # the callback may have changed weights
                stop = done + 1 if each else min(total, done + pace.steps())
                runner.advance(done, stop, pace)
                done = stop
                show.update(steps + done, samples + min(done * size, len(order)), {})
                if each:
                    callbacks.call("on_test_batch_end", steps + done - 1, results())
                between()
            samples, steps = samples + len(order), steps + math.ceil(len(order) / size)
        if step is None:
            raise ValueError("there was no batch to evaluate on. Write at least one instead.")
        logs = results()
    callbacks.call("on_test_end", logs)
    return logs, samples


@in_model_dtype
def evaluate(
    model: Module,
    x: Any = None,
    y: Any = None,
    batch_size: int | None = None,
    verbose: Verbosity = "auto",
    sample_weight: Any = None,
    *,
    steps: int | None = None,
    callbacks: Callback | Sequence[Any] | None = None,
    return_dict: bool = False,
    check_finite: bool = True,
) -> Any:
    """The loss on data, and the metrics: one number, a list of them in the order of compile, or a dict sorted by name.

    Raises as `fit` does.
    """
    state = compiled(model, "evaluate")
    batch = None if batch_size is None else whole("batch_size", batch_size)
    steps = limited("max_steps_per_epoch", steps)
    if is_ragged(model, x):
        x = RaggedBatches.of(model, (x, y, sample_weight), batch)
    if is_source(x):
        parts: Any = evaluation_batches(model, state, x, steps, check_finite)
        size = batch_size or batch_size_of(x)
    else:
        parts = [to_data(model, state, x, y, sample_weight, check_finite=check_finite)]
        size = rows_of_a_batch(batch, len(parts[0]), None if steps is None else whole("steps", steps))
        if steps is not None:
            parts = [parts[0].rows(slice(0, steps * size))]
    show = progress_of(verbose if processes.writes() else 0)
    total = math.ceil(len(parts[0]) / (size or DEFAULT_BATCH)) if isinstance(parts, list) else steps
    listeners = Callbacks(callbacks, model, {"verbose": verbose, "steps": total}, show.speaker())
    try:
        show.begin("Evaluation", total)
        logs, samples = run_evaluation(model, state, parts, size, pace=Pace(), show=show, callbacks=listeners)
        show.end(samples, logs)
    finally:
        show.close()
    return logs if return_dict else listed(model, state, logs)


def listed(model: Module, state: Compiled, logs: Logs) -> Any:
    """The results as one number, or as a list in the order of compile."""
    values = [logs[name] for name in state.in_order(model, logs)]
    return values[0] if len(values) == 1 else values
