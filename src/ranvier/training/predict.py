"""Prediction: many rows in chunks, and one small batch with as little Python as can be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier import engines, tape
from ranvier.data.arrays import check_column_names
from ranvier.data.batches import batches_from
from ranvier.data.convert import Array
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import BATCH, apply
from ranvier.module import Module, isolated, mode
from ranvier.tensor import Tensor, get_dtype
from ranvier.training import inputs
from ranvier.training.runner import Pace
from ranvier.training.state import Compiled
from ranvier.training.step import Data, check_output, placeholder_type

__all__ = ["predict"]

PLANS = 64  # kept for exact shapes of inputs


class Predictor:
    """The compiled forward pass for one batch size and one kind of input."""

    def __init__(self, model: Module, x: Array, batch: int, engine: str | None) -> None:
        with mode(model, False), isolated(model):
            type_ = placeholder_type(model, Data((x,)))
            placeholder = Tensor.placeholder(type_)
            output = model(placeholder)
            check_output(model, output)
            segment = tape.segment_of([output])
        rows = input_node("x", (BATCH, *x.shape[1:]), x.dtype.name, windowed=True)
        given = rows if x.dtype.name == type_.dtype else apply("cast", rows, dtype=type_.dtype)
        entry = output.entry or segment.leaf(output)
        self.tensors: list[Tensor] = []
        sources, leaves = [rows], {}
        for ordinal, leaf in enumerate(segment.leaves):
            if leaf is placeholder:
                leaves[ordinal] = given
            elif ordinal in entry.leaves:
                source, leaves[ordinal] = tape.leaf_input(f"leaf{ordinal}", leaf)
                sources.append(source)
                self.tensors.append(leaf)
        (node,) = tape.expand([entry], leaves)
        self.shape, self.dtype = output.shape[1:], output.dtype
        self.batch = batch
        self.program = engines.compile(Graph(tuple(sources), (node,)), batch=batch, engine=engine)

    def arrays(self) -> list[Array]:
        return [tape.storage(t.compute()) for t in self.tensors]

    def __call__(self, x: Array, out: Array | None = None) -> Array:
        arrays, n = [x, *self.arrays()], len(x)
        result = np.empty((n, *self.shape), self.dtype) if out is None else out
        steps, done, pace = math.ceil(n / self.batch), 0, Pace()
        if steps <= pace.steps():
            self.program.run(arrays, [result], 0, steps, n)
            return result
        import time

        while done < steps:
            stop, started = min(steps, done + pace.steps()), time.perf_counter()
            self.program.run(arrays, [result], done, stop, n)
            pace.took(stop - done, time.perf_counter() - started)
            done = stop
        return result


class Plan:
    """A predictor for inputs of exactly one shape: everything that a call needs is at hand."""

    __slots__ = ("arrays", "default", "floats", "layers", "pairs", "rows", "run", "shape", "steps", "type")

    def __init__(self, model: Module, predictor: Predictor, n: int) -> None:
        self.arrays = predictor.arrays()
        self.pairs = [(t, t.value) for t in predictor.tensors]
        self.run = predictor.program.run
        self.rows, self.steps = n, math.ceil(n / predictor.batch)
        self.shape, self.type = (n, *predictor.shape), np.dtype(predictor.dtype)
        self.default, self.floats, self.layers = engines._default, get_dtype(), len(model._modules)

    def fits(self, model: Module) -> bool:
        """Whether nothing that the plan was made from has been replaced."""
        for tensor, value in self.pairs:
            if tensor.value is not value or tensor.segment is not None:
                return False
        return (
            self.default is engines._default
            and self.layers == len(model._modules)
            and self.floats == get_dtype()
        )


def predict(
    model: Module,
    x: Any,
    *,
    batch_size: int | None = None,
    verbose: str | int = "auto",
    steps: int | None = None,
) -> Array:
    """The model's outputs for ``x``, in evaluation mode, as one array with a row for each sample.

    ``x`` is an array or gives batches. NaN in x gives NaN. ``verbose`` is accepted and shows nothing. Safe to call from
    several threads. Raises ValueError or TypeError naming the layer for inputs of a wrong shape.
    """
    plans = model.__dict__.get("_plans")
    if plans is not None and type(x) is np.ndarray and batch_size is None:
        plan = plans.get((x.shape, x.dtype))
        if plan is not None and x.flags.c_contiguous and plan.fits(model):
            out = np.empty(plan.shape, plan.type)
            plan.run([x, *plan.arrays], [out], 0, plan.steps, plan.rows)
            return out
    return slowly(model, x, batch_size, steps)


def slowly(model: Module, x: Any, batch_size: int | None, steps: int | None) -> Array:
    if inputs.is_source(x):
        parts = [slowly(model, batch[0], batch_size, None) for batch in batches_from(x, steps=steps)]
        if not parts:
            raise ValueError("there was no batch to predict. Write at least one instead.")
        return np.concatenate(parts)
    state = model.__dict__.get("_compiled")
    if isinstance(state, Compiled):
        check_column_names(x, state.columns)
    array = inputs.features(model, x, check_finite=False)
    if batch_size is not None and (int(batch_size) != batch_size or batch_size < 1):
        raise ValueError(f"batch_size={batch_size!r}: write a whole number of 1 or more instead.")
    size = 1 if len(array) == 1 else int(batch_size or 32)
    if steps is not None:
        array = array[: steps * size]
    engine = state.engine if isinstance(state, Compiled) else None
    parameters = tuple(map(id, model.parameters()))
    modules = tuple(map(id, model.modules()))
    kind = (array.shape[1:], array.dtype.name, get_dtype())
    key = (kind, size, engine or engines.get_engine(), parameters, modules)
    predictors = model.__dict__.setdefault("_predictors", {})
    predictor = predictors.get(key)
    if predictor is None:
        predictor = predictors[key] = Predictor(model, array, size, engine)
    result: Array = predictor(array)
    if batch_size is None and len(array) <= Pace().steps() * size and array is x:
        plans = model.__dict__.setdefault("_plans", {})
        if len(plans) >= PLANS:
            plans.clear()
        plans[array.shape, array.dtype] = Plan(model, predictor, len(array))
    return result
