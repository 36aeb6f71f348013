"""One step of training or evaluation as one graph, which is traced once and compiled once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ranvier import engines
from ranvier.engines.placement import get_placement
from ranvier.graph.extents import Dim
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, like
from ranvier.module import Module
from ranvier.module.batch_extent import for_any_or
from ranvier.module.versions import structure
from ranvier.support.collector import paused_collector
from ranvier.support.registry import object_key
from ranvier.tensor import layout
from ranvier.tensor.context import get_dtype
from ranvier.tensor.hooks import hooks_key
from ranvier.training.step.arrays import Data
from ranvier.training.step.builder import Builder, Step, labels
from ranvier.training.step.compiled import Compiled
from ranvier.training.step.eager import eager_step
from ranvier.training.step.sized import sized
from ranvier.training.step.traced import build_traced

KEPT = 64  # compiled steps of a model


def key_of(model: Module, compiled: Compiled, data: Data, batch: int, kind: str) -> tuple[Any, ...]:
    """All that a step depends on: two calls with equal keys have the same step."""
    parameters = tuple(
        (id(p), p.requires_grad, p.dtype, object_key(p.regularizer), hooks_key(p)) for p in model.parameters()
    )
    penalties = tuple(object_key(getattr(m, "activity_regularizer", None)) for m in model.modules())
    settings = settings_of(model, compiled, kind)
    return (kind, structure(model), data.kind(), batch, parameters, penalties, settings)


def settings_of(model: Module, compiled: Compiled, kind: str) -> tuple[Any, ...]:
    """The settings that a step depends on, besides the model's structure; two models may have the same."""
    return (
        get_dtype(),
        compiled.engine or engines.get_engine(),
        get_placement(),
        tuple((o.parameter_options(list(model.parameters())), o.program_key()) for o in compiled.optimizers),
        tuple(m._trainable for m in model.modules()),
        compiled.augment if kind == "train" else None,
    )


def step_for(model: Module, compiled: Compiled, data: Data, batch: int, kind: str) -> Step:
    """The step of this kind ("train" or "evaluate") for such data; compiled at the first call."""
    key = key_of(model, compiled, data, batch, kind)
    known = compiled.programs.pop(key, None)  # and put at the end: the first is the one that was used longest ago
    if known is None:
        while len(compiled.programs) >= KEPT:
            del compiled.programs[next(iter(compiled.programs))]
        with paused_collector():
            if compiled.eager:
                known = eager_step(model, compiled, data, batch, kind)
            elif compiled.calls_methods:
                known = build_traced(model, compiled, data, batch, kind)
                key = key_of(model, compiled, data, batch, kind)  # the trace may have made weights
            else:
                known = build(model, compiled, data, batch, kind == "train")
    compiled.programs[key] = known
    return known


def build(model: Module, compiled: Compiled, data: Data, batch: int, training: bool) -> Step:
    """The step for batches of any size; for those of one size where the model or a loss computes with it."""

    def traced(rows: Dim) -> Step:
        b = Builder(model, compiled, training, rows)
        b.record(data)
        return finished(b, rows if isinstance(rows, int) else batch)

    rows, step = for_any_or(lambda rows: (rows, traced(rows)), batch)
    return step if rows is BATCH else sized(step, traced)


def finished(b: Builder, batch: int, outputs: Callable[[Node], Sequence[Node]] = lambda loss: ()) -> Step:
    """The step of a model that has been recorded; its program also returns ``outputs`` of the loss, if any."""
    model, compiled = b.model, b.compiled
    losses = b.losses()
    if b.training:
        b.updates += _optimize(b, losses[0])
    elif b.draws:
        b.updates += [(b.ticks, b.ticks + like(b.ticks, 1))]
    b.add_losses(losses)
    metrics, added = b.add_metrics(), b.keep_added()
    changed = {target for target, _ in b.updates}
    written = [t for t in b.state if b.sources[id(t)][0] in changed]
    graph = Graph(tuple(b.inputs), tuple(outputs(losses[0])), tuple(b.updates))
    program = engines.shared(graph, batch=batch, engine=compiled.engine)
    named = {b.sources[id(p)][0]: label for p, label in zip(b.parameters.values(), labels(model), strict=True)}
    return Step(
        graph, program, batch, b.state, written, b.totals, metrics, losses[0], len(losses) - 1, named,
        bool(b.draws), b.found, added,
    )  # fmt: skip


def _optimize(b: Builder, loss: Node) -> list[tuple[Node, Node]]:
    """The updates of weights, optimizer state and step count. Rules run on the weights in their order in memory."""
    optimizer, rate, ticks = b.compiled.optimizer, b.rate, b.ticks
    if not b.parameters:
        return [(ticks, ticks + like(ticks, 1))]
    chosen = [(i, name, p) for i, (name, p) in enumerate(b.parameters.items()) if p.requires_grad]
    if not chosen:
        raise ValueError(
            "no weight of this model is trainable. Write model.trainable = True before fit instead. A network that is "
            "frozen while a combined model trains (a GAN's discriminator) is switched: write trainable = True before "
            "each train_on_batch of the network, and False before that of the combined model."
        )
    grads = b.gradients(loss, [(name, p) for _, name, p in chosen])
    sources = [b.tensor(p, name)[0] for _, name, p in chosen]
    b.found = dict(zip(sources, grads, strict=True))
    grads = [layout.to_storage(g, p) for g, (_, _, p) in zip(grads, chosen, strict=True)]
    b.owners |= {id(t): p for i, _, p in chosen for t in optimizer.slots[i].values() if t.shape == p.shape}
    slots = [{key: b.tensor(t, f"{name}.{key}")[0] for key, t in optimizer.slots[i].items()} for i, name, _ in chosen]
    options = [
        replace(t, reversed=layout.is_transposed(p._value))
        for t, (_, _, p) in zip(optimizer.parameter_options([p for _, _, p in chosen]), chosen, strict=False)
    ]
    varied = {key: b.tensor(t, key)[0] for key, t in optimizer.inputs().items()}
    own, whose = optimizer.advanced([i for i, _, _ in chosen])
    counts = [ticks, *(b.tensor(t, f"steps{i}")[0] for i, t in enumerate(own, 1))]
    assigned = {target: value for target, value in b.updates if target in sources}  # by the model itself
    b.updates[:] = [pair for pair in b.updates if pair[0] not in assigned]
    starts = [assigned.get(source, source) for source in sources]
    new, after, ticked = optimizer.update(starts, grads, slots, rate, counts, varied, options, whose)
    updates = list(zip(sources, new, strict=True))
    for before, now in zip(slots, after, strict=True):
        updates += [(before[key], now[key]) for key in before]
    return [*updates, *zip(counts, ticked, strict=True)]
