"""Models of one structure: the step of one, over the tensors of another, without building its graph again.

A model that records the same trace nodes on the tape, with its parameters, buffers and optimizer in the same places,
has the same graph. What cannot be told for certain is no twin, and its step is built as ever.
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
from ranvier.tensor import layout, rng, tape
from ranvier.tensor.call_state import isolated_tape
from ranvier.tensor.tensor import Tensor
from ranvier.training.step.arrays import Data
from ranvier.training.step.compiled import Compiled
from ranvier.training.step.placeholders import placeholders
from ranvier.training.step.step import Step, key_of, labels, settings_of, step_for

__all__ = ["Patterns", "Wanted"]

Place = tuple[Any, ...]
Wanted = tuple[Data, int, str]  # what a step is asked for with: data, rows of a batch, kind
SEVERAL = 8  # structures that are remembered


def places(model: Module, compiled: Compiled) -> dict[Place, Tensor]:
    """The tensors of a model and its optimizer by where they are."""
    found: dict[Place, Tensor] = {
        ("steps", i): count for i, count in enumerate(compiled.optimizer.counts.tensors)
    }
    found |= {("parameter", i): p for i, p in enumerate(model.parameters())}
    found |= {("buffer", name): b for name, b in model.named_buffers()}
    for i, slots in enumerate(compiled.optimizer.slots):
        found |= {("slot", i, name): slot for name, slot in slots.items()}
    return found


def alike(one: Any, other: Any) -> bool:
    """Whether two losses, metrics or regularizers are of one class and hold the same; False where it cannot be told."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Metric):
        return alike(one.settings(), other.settings())
    if isinstance(one, Variable):  # what a metric collects in
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


def recorded(
    model: Module, compiled: Compiled, data: Data, training: bool, where: dict[int, Place]
) -> tuple[Any, ...]:
    """What calling the model records: trace nodes, which are interned by structure, and their leaves."""
    with mode(model, training), isolated_tape(model), rng.traced_draws():
        output = model(*pack_inputs(placeholders(model, data.x), model._input_container))
        flat = [*compiled.outputs.structure.flat(output), *model._losses()]
        segment = tape.segment_of(flat)
        trace_nodes = tuple(segment.node_of(t) for t in flat)
        leaves = tuple((where.get(id(leaf)), leaf.spec) for leaf in segment.leaves)
        return trace_nodes, tuple(segment.assigns.items()), leaves


def described(model: Module, compiled: Compiled) -> list[Any]:
    """What a step depends on and the tape does not record, apart from `settings_of`."""
    specs = compiled.outputs
    parameters = [(p.spec, p.requires_grad, layout.is_transposed(p._value)) for p in model.parameters()]
    return [list(specs), specs.structure, [p.regularizer for p in model.parameters()], repr(parameters)]


class Pattern:
    """One structure: the steps that were made for the models that have it, to be taken over by others."""

    def __init__(self, model: Module, compiled: Compiled) -> None:
        self.described = described(model, compiled)
        self.steps: dict[Any, tuple[Step, dict[int, Place], Any]] = {}

    def serve(self, model: Module, compiled: Compiled, wanted: Sequence[Wanted]) -> bool:
        """Give a model its steps; False, and nothing done, where its structure may be another."""
        optimizer = compiled.optimizer
        if self.steps and type(optimizer).__module__.partition(".")[0] != "ranvier":
            return False  # a rule of the user's may depend on what is no setting of it
        if not alike(described(model, compiled), self.described):
            return False
        if any(kind == "train" for _, _, kind in wanted):
            optimizer.attach(model.parameters())
        mine = places(model, compiled)
        where = {id(tensor): spot for spot, tensor in mine.items()}
        given: dict[Any, Step] = {}
        for data, batch, kind in wanted:
            place = (kind, data.kind(), batch, settings_of(model, compiled, kind))
            record = recorded(model, compiled, data, kind == "train", where)
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


class Patterns:
    """The structures met so far."""

    def __init__(self) -> None:
        self.known: deque[Pattern] = deque(maxlen=SEVERAL)

    def serve(self, model: Module, compiled: Compiled, wanted: Sequence[Wanted]) -> bool:
        """Give a model the steps of one that was met before; False where there is none."""
        return any(pattern.serve(model, compiled, wanted) for pattern in self.known)

    def add(self, model: Module, compiled: Compiled, wanted: Sequence[Wanted]) -> None:
        """Make the steps of a model, for others to take over. Before it is trained."""
        pattern = Pattern(model, compiled)
        if pattern.serve(model, compiled, wanted):
            self.known.appendleft(pattern)
        for data, batch, kind in wanted:
            step_for(model, compiled, data, batch, kind)  # those of a model that can be nobody's twin
