"""Prediction: many rows in chunks, and one small batch with as little Python as possible."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ranvier import engines
from ranvier.config.switches import limited
from ranvier.data.batches import batches_from
from ranvier.data.convert import Array
from ranvier.engines.placement import get_placement
from ranvier.graph.extents import Dim
from ranvier.module import Module, mode
from ranvier.module.batch_extent import for_any_or
from ranvier.module.calls import model_dtype_scope
from ranvier.module.versions import structure
from ranvier.support.changes import counted
from ranvier.support.exits import calls
from ranvier.support.source_lines import warned_once
from ranvier.support.validation import whole
from ranvier.tensor.context import get_dtype, no_grad
from ranvier.tensor.tensor import Tensor
from ranvier.training.adapters.arrays import input_arrays
from ranvier.training.adapters.generators import (
    as_many_as_come,
    batch_splitter,
    is_source,
    memory_loader,
    with_epoch_events,
)
from ranvier.training.adapters.ragged import is_ragged, predicted_in_order
from ranvier.training.adapters.trees import as_given
from ranvier.training.loop.callback import Callback
from ranvier.training.loop.callback_list import Callbacks
from ranvier.training.loop.predictors import Plan, Predictor, SizedPredictor, of_size
from ranvier.training.preflight.predictions import has_nan, warn_of_nan
from ranvier.training.step.argument_types import Verbosity
from ranvier.training.step.arrays import DEFAULT_BATCH, Data, rows_of_a_batch
from ranvier.training.step.compiled import Compiled
from ranvier.training.step.runner import Pace
from ranvier.training.step.structure import OutputStructure, outputs_of

PLANS = 64  # the most that are kept for exact input shapes
FEW, LARGE = 8, 3 << 17  # rows; elements of weights from which on so few rows have a program of their own


def predict(
    model: Module,
    x: Any = None,
    batch_size: int | None = None,
    verbose: Verbosity = "auto",
    *,
    steps: int | None = None,
    callbacks: Callback | Sequence[Any] | None = None,
) -> Any:
    """The model's outputs for ``x``, in evaluation mode, as one array with a row for each sample.

    For a list of sequences (see `fit`) the rows are in its order, in a list where their shapes differ.
    A model of several outputs gives a tuple, list or dict of arrays, as its forward does. ``x`` is an array (for a
    model of several inputs a list of arrays, or a dict by name), or a source of batches. NaN in x gives NaN, with a
    warning, once for each model (RV601 and RV602).
    ``verbose`` is accepted and shows nothing. Several threads may call it at once. Raises ValueError or TypeError
    naming the layer for inputs of a wrong shape.
    """
    steps = limited("max_steps_per_epoch", steps)
    plans = model.__dict__.get("_plans")
    plain = type(x) is np.ndarray and (batch_size is None or type(batch_size) is int)
    if plans is not None and plain and callbacks is None and steps is None:
        plan = plans.get((x.shape, x.dtype, batch_size))
        if plan is not None and x.flags.c_contiguous and plan.fits():
            buffers, drawn = plan.buffers, plan.drawn() if plan.draws else ()
            out = buffers.pop() if buffers else np.empty(plan.shape, plan.type)
            plan.run((x, *drawn, *plan.arrays), (out,), 0, plan.steps, plan.rows)
            if plan.is_small:
                buffer, out = out, out.copy()
                buffers.append(buffer)
            if has_nan(out):
                warn_of_nan(model, [x], [out])
            return out
    with calls.busy(), model_dtype_scope(model):
        if callbacks is None:
            return all_at_once(model, x, batch_size, steps)
        return with_callbacks(model, x, batch_size, steps, Callbacks(callbacks, model, {"steps": steps}))


def all_at_once(model: Module, x: Any, batch_size: int | None, steps: int | None) -> Any:
    if is_ragged(model, x):
        if steps is not None:
            raise ValueError("steps counts batches, and sequences of different lengths are not cut. Leave it out.")
        outputs, values = predicted_in_order(model, x, lambda part: predict_batches(model, part, batch_size, None))
        return outputs.pack(values)
    if not is_source(x):
        outputs, values = predict_batches(model, x, batch_size, steps)
        return outputs.pack(values)
    loader = memory_loader(x)
    if loader is None:
        with warned_once(set()):  # not for each batch
            return joined(predicted(model, parts_of(model, x, steps), batch_size))
    rows = loader.draw()
    given = loader.x(model, rows if steps is None else rows[: steps * loader.batch])
    return all_at_once(model, given, batch_size or loader.batch, None)


def with_callbacks(model: Module, x: Any, batch_size: int | None, steps: int | None, callbacks: Callbacks) -> Any:
    """The same with callbacks, which get the outputs of each batch if they have a method for it."""
    callbacks.call("on_predict_begin", {})
    if callbacks.listens("on_predict_batch_begin", "on_predict_batch_end"):
        if is_source(x):
            batches: Any = parts_of(model, x, steps)
        else:
            arrays = input_arrays(model, x, check_finite=False)
            size = batch_size = rows_of_a_batch(batch_size, len(arrays[0]), steps)
            cuts = ([a[i : i + size] for a in arrays] for i in range(0, len(arrays[0]), size)[:steps])
            batches = (cut if len(cut) > 1 else cut[0] for cut in cuts)

        result = joined(predicted(model, batches, batch_size, callbacks))
    else:
        result = all_at_once(model, x, batch_size, steps)
    callbacks.call("on_predict_end", {"outputs": result})
    return result


def predicted(
    model: Module, batches: Iterable[Any], batch_size: int | None, callbacks: Callbacks | None = None
) -> Iterator[tuple[OutputStructure, list[Array]]]:
    """The outputs of each batch."""
    done = 0
    for number, batch in enumerate(batches):
        if callbacks is not None:
            callbacks.call("on_predict_batch_begin", number, {})
        outputs, values = predict_batches(model, batch, batch_size, None, done)
        if callbacks is not None:
            callbacks.call("on_predict_batch_end", number, {"outputs": outputs.pack(values)})
        yield outputs, values
        done += len(values[0])


def parts_of(model: Module, source: Any, steps: int | None) -> Iterator[Any]:
    """The inputs of each batch of a source."""

    def same(part: Any) -> Any:
        return part

    parts = batch_splitter(model)
    batches = batches_from(source, steps=steps, as_x=same, as_y=same, as_w=same, parts=parts, check=False)
    for x, _, _ in with_epoch_events(source, as_many_as_come(iter(batches))):
        yield x


def joined(found: Iterable[tuple[OutputStructure, list[Array]]]) -> Any:
    """The outputs for all batches, one after the other."""
    outputs, collected = None, []
    for outputs, values in found:  # noqa: B007  # the structure of the last batch is that of all
        collected.append(values)
    if outputs is None:
        raise ValueError("there was no batch to predict. Write at least one instead.")
    return outputs.pack([np.concatenate(parts) for parts in zip(*collected, strict=True)])


def predict_batches(
    model: Module, x: Any, batch_size: int | None, steps: int | None, start: int = 0
) -> tuple[OutputStructure, list[Array]]:
    """The outputs for ``x``, whose first row has the number ``start`` in messages."""
    now = counted[0]
    state = model.__dict__.get("_compiled")
    tree = None
    if isinstance(state, Compiled) and (state.eager or "predict_step" in state.overridden):
        tree = as_given(x, None, None, check_finite=False)
    arrays = input_arrays(model, x, check_finite=False) if tree is None else tree.x
    if steps is not None:
        steps = whole("steps", steps)
    size = rows_of_a_batch(None if batch_size is None else whole("batch_size", batch_size), len(arrays[0]), steps)
    size = 1 if len(arrays[0]) == 1 else size
    if steps is not None:
        arrays = tuple(a[: steps * size] for a in arrays)
    if tree is not None and isinstance(state, Compiled) and state.eager:
        outputs, result = eager_batches(model, replace(tree, x=arrays), size)
        warn_of_nan(model, arrays, result, start)
        return outputs, result
    exact = size
    # Fewer rows are one smaller batch, rounded up to a power of two so that fewer programs are compiled.
    size = min(size, max(DEFAULT_BATCH, 1 << (len(arrays[0]) - 1).bit_length()))
    few = 1 < len(arrays[0]) <= FEW < size and any(math.prod(p.shape) >= LARGE for p in model.parameters())
    engine = state.engine if isinstance(state, Compiled) else None
    kinds = tuple((a.shape[1:], a.dtype.name) for a in arrays)
    parameters = tuple(map(id, model.parameters()))
    key = (kinds, get_dtype(), size, few, engine or engines.get_engine(), get_placement(), parameters, structure(model))
    predictors = model.__dict__.setdefault("_predictors", {})
    predictor = predictors.get(key)
    if predictor is None:
        while len(predictors) >= PLANS:  # the one that was used longest ago
            predictors.pop(next(iter(predictors)), None)

        def make(rows: Dim) -> Predictor | SizedPredictor:
            if not isinstance(rows, int):
                return Predictor(model, arrays, size, engine, tree, FEW if few else 0)
            return SizedPredictor(lambda n: of_size(model, arrays, n, engine, tree), rows)

        predictor = for_any_or(make, min(exact, len(arrays[0])))
    predictors.pop(key, None)
    predictors[key] = predictor
    result = predictor(arrays) if isinstance(predictor, Predictor) else predictor(arrays, exact)
    warn_of_nan(model, arrays, result, start)
    n = len(arrays[0])
    simple = predictor.outputs.kind == "one" and arrays[0] is x
    plain = isinstance(predictor, Predictor) and not predictor.assigned
    if steps is None and n <= Pace().steps() * size and simple and plain:
        plans = model.__dict__.setdefault("_plans", {})
        if len(plans) >= PLANS:
            plans.clear()
        plans[x.shape, x.dtype, batch_size] = Plan(predictor, n, now)
    return predictor.outputs, result


def eager_batches(model: Module, data: Data, size: int) -> tuple[OutputStructure, list[Array]]:
    """The outputs by a call of ``predict_step`` for each batch."""
    outputs, collected = None, []
    for start in range(0, len(data), size):
        part = data.rows(slice(start, start + size))
        with mode(model, False), no_grad():
            output = model.predict_step(part.packed([Tensor.wrap(a.copy()) for a in part.x]))
        outputs = outputs_of(model, output, rows=len(part))
        collected.append([t.numpy() for t in outputs.flat(output)])
    assert outputs is not None  # there is a row
    return outputs, [np.concatenate(parts) for parts in zip(*collected, strict=True)]
