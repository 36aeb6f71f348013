"""Compiled predictions: for batches of any size, for one size, and for inputs of one exact shape."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier import engines
from ranvier.data.convert import Array
from ranvier.distribution import axes_of
from ranvier.graph.extents import Dim
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import BATCH, FLOATS, like
from ranvier.module import Module, mode
from ranvier.module.arguments import pack_inputs
from ranvier.module.batch_extent import for_open_batch
from ranvier.module.parameter import Parameter, State
from ranvier.ops.arrays.elementwise import cast as astype
from ranvier.support.changes import counted
from ranvier.tensor import layout, rng, tape
from ranvier.tensor.call_state import isolated_tape
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import lower
from ranvier.training.step.arrays import Data
from ranvier.training.step.placeholders import cast_rows, placeholders, random_streams
from ranvier.training.step.runner import Pace
from ranvier.training.step.structure import outputs_of

SMALL = 1 << 10  # bytes of an output


class Predictor:
    """The compiled forward pass for one batch size and one kind of inputs.

    ``tree`` has the inputs as the model's own ``predict_step`` takes them; None if the model is called. ``rows`` is the
    most that a call is expected to have, if that is less than the batch. ``extent`` is the number of rows where the
    program is for batches of exactly this size.
    """

    def __init__(
        self, model: Module, x: Sequence[Array], batch: int, engine: str | None, tree: Data | None, rows: int = 0,
        extent: Dim = BATCH,
    ) -> None:  # fmt: skip
        with mode(model, False), isolated_tape(model), rng.traced_draws() as draws:
            given = placeholders(model, x, extent)
            output = _predicted(model, given, tree)
            self.outputs = outputs_of(model, output, extent)
            returned = [
                astype(t, "float32") if t.spec.dtype == "bfloat16" else t for t in self.outputs.flat(output)
            ]  # NumPy has no bfloat16
            segment = tape.segment_of(returned)
        trace_nodes = [segment.node_of(t) for t in returned]
        sources = [
            input_node("x" if len(x) == 1 else f"x{i}", (extent, *a.shape[1:]), a.dtype.name, windowed=True, rows=rows)
            for i, a in enumerate(x)
        ]
        own = {id(t): cast_rows(rows, t.spec) for t, rows in zip(given, sources, strict=True)}
        updates = []
        self.draws = bool(draws)
        if draws:
            salt, ticks = (input_node(name, (), "uint32") for name in ("seed", "batches"))
            sources += [salt, ticks]
            own |= random_streams(draws, salt, ticks)
            updates = [(ticks, ticks + like(ticks, 1))]
        self.tensors: list[Any] = []
        states = {o: node for o, node in segment.assigns.items() if isinstance(segment.leaves[o], State)}
        self.assigned = [segment.leaves[o] for o in states]
        roots = [*trace_nodes, *states.values()]
        read = [*roots, *segment.definitions.values()]
        changed = {id(leaf) for leaf in self.assigned}
        leaves, inputs, results = {}, {}, dict[Any, Any]()
        for ordinal, leaf in enumerate(segment.leaves):
            if id(leaf) in own:
                leaves[ordinal] = own[id(leaf)]
            elif ordinal in segment.definitions:
                continue
            elif id(leaf) in changed or any(ordinal in node.leaves for node in read):
                axes = axes_of(leaf) if isinstance(leaf, Parameter) else ()
                inputs[id(leaf)], leaves[ordinal] = layout.leaf_input(f"leaf{ordinal}", leaf, axes=axes)
                sources.append(inputs[id(leaf)])
                self.tensors.append(leaf)
        for ordinal, value in segment.definitions.items():  # what the model assigns to a tensor and reads again
            leaves[ordinal] = lower([value], leaves, results)[0]
        nodes = lower(roots, leaves, results)
        for leaf, after in zip(self.assigned, nodes[len(trace_nodes) :], strict=True):
            updates.append((inputs[id(leaf)], layout.to_storage(after, leaf)))
        self.kinds = [(t.shape[1:], np.dtype(t.dtype)) for t in returned]
        self.counts = [t.shape[0] for t in returned]
        self.batch = batch
        self.program = engines.shared(
            Graph(tuple(sources), tuple(nodes[: len(trace_nodes)]), tuple(updates)), batch=batch, engine=engine
        )

    def arrays(self) -> list[Array]:
        return [layout.storage(t.compute()) for t in self.tensors]

    def drawn(self) -> tuple[Array, ...]:
        """The random state of this run."""
        return rng.run_stream("prediction") if self.draws else ()

    def _given(self, x: Sequence[Array]) -> list[Array]:
        """The arrays of a run."""
        for tensor in self.assigned:
            tape.flush_readers(tensor)
            tensor.version += 1
        return [*x, *self.drawn(), *self.arrays()]

    def of_batch(self, x: Sequence[Array]) -> list[Array]:
        """The outputs for a batch of the size that the program is for."""
        result = [np.empty((n, *shape), dtype) for n, (shape, dtype) in zip(self.counts, self.kinds, strict=True)]
        self.program.run(self._given(x), result, 0, 1, self.batch)
        return result

    def __call__(self, x: Sequence[Array]) -> list[Array]:
        """The outputs, in the order of their names."""
        arrays, n = self._given(x), len(x[0])
        result = [np.empty((n, *shape), dtype) for shape, dtype in self.kinds]
        steps, done, pace = math.ceil(n / self.batch), 0, Pace()
        if steps <= pace.steps():
            self.program.run(arrays, result, 0, steps, n)
            return result
        while done < steps:
            stop, started = min(steps, done + pace.steps()), time.perf_counter()
            self.program.run(arrays, result, done, stop, n)
            pace.took(stop - done, time.perf_counter() - started)
            done = stop
        return result


def _predicted(model: Module, given: Sequence[Tensor], tree: Data | None) -> Any:
    """What the model, or its own ``predict_step``, returns for the inputs."""
    if tree is not None:
        return model.predict_step(tree.packed(given))
    return model(*pack_inputs(given, model._input_container))


def of_size(model: Module, x: Sequence[Array], rows: int, engine: str | None, tree: Data | None) -> Predictor:
    """The predictor for batches of exactly so many rows, where no output is a constant of other rows."""
    made = Predictor(model, x, rows, engine, tree, extent=rows)
    if set(made.counts) != {rows}:
        _check_rows(model, x, tree)
    return made


def _check_rows(model: Module, x: Sequence[Array], tree: Data | None) -> None:
    """Raise ValueError where the number of rows of an output does not follow that of the samples."""

    def trace(rows: Dim) -> Any:
        with mode(model, False), isolated_tape(model), rng.traced_draws():
            return _predicted(model, placeholders(model, x, rows), tree)

    try:
        output = for_open_batch(trace)
    except (TypeError, ValueError):  # a network for some sizes of a batch alone
        return
    outputs_of(model, output)


class SizedPredictor:
    """The predictors of a model that computes with the number of rows: one for each size of a batch."""

    def __init__(self, make: Callable[[int], Predictor], rows: int) -> None:
        self.make, self.known = make, {rows: make(rows)}
        self.outputs = self.known[rows].outputs

    def __call__(self, x: Sequence[Array], batch: int) -> list[Array]:
        """The outputs, in the order of their names, for batches of so many rows and what is left."""
        found = []
        for start in range(0, len(x[0]), batch):
            parts = [a[start : start + batch] for a in x]
            rows = len(parts[0])
            if rows not in self.known:
                self.known[rows] = self.make(rows)
            found.append(self.known[rows].of_batch(parts))
        return [np.concatenate(parts) for parts in zip(*found, strict=True)]


class Plan:
    """A predictor of one output for an input of exactly one shape, with everything that a call needs."""

    __slots__ = (
        "arrays", "buffers", "changes", "drawn", "draws", "floats", "is_small", "pairs", "rows", "run", "shape",
        "steps", "type",
    )  # fmt: skip

    def __init__(self, predictor: Predictor, n: int, now: int) -> None:
        self.arrays, self.draws, self.drawn = predictor.arrays(), predictor.draws, predictor.drawn
        self.pairs = [(t, t._value) for t in predictor.tensors]
        self.run = predictor.program.run
        self.rows, self.steps = n, math.ceil(n / predictor.batch)
        (shape, self.type) = predictor.kinds[0]
        self.shape = (n, *shape)
        # A program knows the address of the output of the call before: to copy few numbers takes less than to ask for
        # that of a new array.
        self.is_small = math.prod(self.shape) * self.type.itemsize <= SMALL
        self.buffers: list[Array] = []  # one for each concurrent call at most; append and pop are atomic
        self.changes = now
        weights = any(t.dtype in FLOATS for t in predictor.tensors)  # the dtype is that of the weights, if any
        self.floats = None if weights else get_dtype()

    def fits(self) -> bool:
        """Whether nothing that the plan depends on has been replaced."""
        for tensor, value in self.pairs:
            if tensor._value is not value or tensor.segment is not None:
                return False
        return self.changes == counted[0] and (self.floats is None or self.floats == get_dtype())
