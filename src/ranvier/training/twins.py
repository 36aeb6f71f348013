"""Models of one structure: the step of one, over the tensors of another, without building its graph again.

A model that records the same entries on the tape, with its parameters, buffers and optimizer in the same places, has
the same graph. What cannot be told for certain is no twin, and its step is built as ever.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ranvier import seed, tape
from ranvier.module import Module, isolated, mode
from ranvier.tensor import Tensor
from ranvier.training.state import Compiled
from ranvier.training.step import Data, Step, key_of, labels, placeholders, settings_of, step_for

__all__ = ["Pattern"]

Place = tuple[Any, ...]


def places(model: Module, compiled: Compiled) -> dict[Place, Tensor]:
    """The tensors of a model and its optimizer by where they are."""
    found: dict[Place, Tensor] = {("iterations",): compiled.optimizer.iterations}
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
    """What calling the model records: entries, which are the same objects where the structure is, and its leaves."""
    with mode(model, training), isolated(model), seed.traced_draws():
        output = model(*placeholders(model, data.x))
        flat = [*compiled.heads.outputs.flat(output), *model._losses()]
        segment = tape.segment_of(flat)
        entries = tuple(t.entry if t.entry is not None else segment.leaf(t) for t in flat)
        leaves = tuple((where.get(id(leaf)), leaf.type) for leaf in segment.leaves)
        return entries, tuple(segment.assigns.items()), leaves


def described(model: Module, compiled: Compiled) -> list[Any]:
    """What a step depends on and the tape does not record, apart from `settings_of`."""
    heads = compiled.heads
    parameters = [(p.type, p.requires_grad, tape.is_transposed(p.value)) for p in model.parameters()]
    return [heads.heads, heads.outputs, [p.regularizer for p in model.parameters()], repr(parameters)]


class Pattern:
    """The steps of the first model, which others of its structure take over. Made and used before it is trained."""

    def __init__(self, model: Module, compiled: Compiled) -> None:
        self.model = model
        self.described = described(model, compiled)
        self.steps: dict[Any, tuple[Step, dict[int, Place], Any]] = {}

    def give(self, model: Module, compiled: Compiled, data: Data, batch: int, kind: str) -> Step:
        """The step of a model: for the first one made anew, for others that one's where they are twins."""
        training = kind == "train"
        place = (kind, data.kind(), batch, settings_of(model, compiled, kind))
        known = self.steps.get(place)
        if known is None or model is self.model:
            step = step_for(model, compiled, data, batch, kind)
            if model is self.model:
                where = {id(tensor): spot for spot, tensor in places(model, compiled).items()}
                self.steps[place] = step, where, recorded(model, compiled, data, training, where)
            return step
        twin = self.twin(*known, model, compiled, data, training)
        if twin is None:
            return step_for(model, compiled, data, batch, kind)
        compiled.programs[key_of(model, compiled, data, batch, kind)] = twin
        return twin

    def twin(
        self,
        step: Step,
        where: dict[int, Place],
        record: Any,
        model: Module,
        compiled: Compiled,
        data: Data,
        training: bool,
    ) -> Step | None:
        """The step over the tensors of a model of the same structure; None where it may be another."""
        if not alike(described(model, compiled), self.described):
            return None
        if training:
            compiled.optimizer.attach(model.parameters())
        mine = places(model, compiled)
        if recorded(model, compiled, data, training, {id(t): spot for spot, t in mine.items()}) != record:
            return None
        if any(where.get(id(t)) not in mine for t in step.state):
            return None
        return replace(
            step,
            state=[mine[where[id(t)]] for t in step.state],
            written=[mine[where[id(t)]] for t in step.written],
            totals=[np.zeros_like(a) for a in step.totals],
            metrics=[(m, part) for m, (_, part) in zip(compiled.metrics, step.metrics, strict=True)],
            named=dict(zip(step.named, labels(model), strict=True)),
        )
