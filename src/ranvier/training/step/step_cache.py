"""Steps that models of the same structure share: the graph is built once, and used with the tensors of each model.

Two models have the same graph if they record the same trace nodes on the tape, with parameters, buffers and optimizer
state at the same positions. If that is uncertain, the step is built as usual.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ranvier.metrics import Metric
from ranvier.metrics.variables import Variable
from ranvier.module import Module, mode
from ranvier.module.arguments import pack_inputs
from ranvier.module.batch_extent import needs_number
from ranvier.tensor import layout, rng, tape
from ranvier.tensor.call_state import isolated_tape
from ranvier.tensor.tensor import Tensor
from ranvier.training.step.arrays import Data
from ranvier.training.step.builder import Step, labels
from ranvier.training.step.compiled import Compiled
from ranvier.training.step.placeholders import placeholders
from ranvier.training.step.step import key_of, settings_of, step_for

Place = tuple[Any, ...]
Wanted = tuple[Data, int, str]  # the arguments of a step: data, rows of a batch, kind
SEVERAL = 8  # structures that are remembered


def places(model: Module, compiled: Compiled) -> dict[Place, Tensor]:
    """The tensors of a model and its optimizer by their positions."""
    found: dict[Place, Tensor] = {("steps", i): count for i, count in enumerate(compiled.optimizer.counts.tensors)}
    found |= {("parameter", i): p for i, p in enumerate(model.parameters())}
    found |= {("buffer", name): b for name, b in model.named_buffers()}
    for i, slots in enumerate(compiled.optimizer.slots):
        found |= {("slot", i, name): slot for name, slot in slots.items()}
    return found


def alike(one: Any, other: Any) -> bool:
    """Whether two losses, metrics or regularizers have the same class and values; False if that is uncertain."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Metric):
        return alike(one.settings(), other.settings())
    if isinstance(one, Variable):  # the state of a metric
        return one.spec == other.spec
    if isinstance(one, np.ndarray):
        return bool(np.array_equal(one, other))
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[k], other[k]) for k in one)
    if isinstance(one, (bool, int, float, str, bytes, type(None))):
        return bool(one == other)
    if type(one).__module__.partition(".")[0] == "ranvier" and hasattr(one, "__dict__"):
        return alike(vars(one), vars(other))
    return False


def recorded(model: Module, compiled: Compiled, data: Data, training: bool, where: dict[int, Place]) -> tuple[Any, ...]:
    """What calling the model records: trace nodes, which are interned by structure, and their leaves."""
    with mode(model, training), isolated_tape(model), rng.traced_draws():
        output = model(*pack_inputs(placeholders(model, data.x), model._input_container))
        flat = [*compiled.outputs.structure.flat(output), *model._losses()]
        segment = tape.segment_of(flat)
        trace_nodes = tuple(segment.node_of(t) for t in flat)
        leaves = tuple((where.get(id(leaf)), leaf.spec) for leaf in segment.leaves)
        return trace_nodes, tuple(segment.assigns.items()), leaves


def dependencies(model: Module, compiled: Compiled) -> list[Any]:
    """Everything that a step depends on besides the tape and `settings_of`."""
    specs = compiled.outputs
    parameters = [(p.spec, p.requires_grad, layout.is_transposed(p._value)) for p in model.parameters()]
    return [list(specs), specs.structure, [p.regularizer for p in model.parameters()], repr(parameters)]


class SharedSteps:
    """One structure, and the steps that models of this structure share."""

    def __init__(self, model: Module, compiled: Compiled) -> None:
        self.dependencies = dependencies(model, compiled)
        self.steps: dict[Any, tuple[Step, dict[int, Place], Any]] = {}

    def provide(self, model: Module, compiled: Compiled, wanted: Sequence[Wanted]) -> bool:
        """Give a model its steps; False if its structure may be another, and nothing is done."""
        optimizer = compiled.optimizer
        if compiled.calls_methods:
            return False
        if self.steps and type(optimizer).__module__.partition(".")[0] != "ranvier":
            return False  # an optimizer that you wrote may depend on more than its settings
        if not alike(dependencies(model, compiled), self.dependencies):
            return False
        if any(kind == "train" for _, _, kind in wanted):
            optimizer.attach(model.parameters())
        mine = places(model, compiled)
        where = {id(tensor): spot for spot, tensor in mine.items()}
        given: dict[Any, Step] = {}
        for data, batch, kind in wanted:
            place = (kind, data.kind(), batch, settings_of(model, compiled, kind))
            try:
                record = recorded(model, compiled, data, kind == "train", where)
            except ValueError as error:
                if not needs_number(error):
                    raise
                return False  # what computes with the number of rows has programs of its own
            if place not in self.steps:
                self.steps[place] = step_for(model, compiled, data, batch, kind), where, record
            step, there, known = self.steps[place]
            if record != known or any(there.get(id(t)) not in mine for t in step.state):
                return False
            given[key_of(model, compiled, data, batch, kind)] = replace(
                step,
                state=[mine[there[id(t)]] for t in step.state],
                written=[mine[there[id(t)]] for t in step.written],
                totals=[np.zeros_like(a) for a in step.totals],
                metrics=[(m, part) for m, (_, part) in zip(compiled.metrics, step.metrics, strict=True)],
                named=dict(zip(step.named, labels(model), strict=True)),
            )
        compiled.programs |= given
        return True


class StepCache:
    """The structures of the last models."""

    def __init__(self) -> None:
        self.known: deque[SharedSteps] = deque(maxlen=SEVERAL)

    def provide(self, model: Module, compiled: Compiled, wanted: Sequence[Wanted]) -> bool:
        """Give a model the shared steps of its structure; False if there are none."""
        return any(pattern.provide(model, compiled, wanted) for pattern in self.known)

    def add(self, model: Module, compiled: Compiled, wanted: Sequence[Wanted]) -> None:
        """Build the steps of a model, which later models share. Called before the model is trained."""
        pattern = SharedSteps(model, compiled)
        if pattern.provide(model, compiled, wanted):
            self.known.appendleft(pattern)
        for data, batch, kind in wanted:
            step_for(model, compiled, data, batch, kind)  # for a model that shares its steps with no other
