"""One training step, or one step of evaluation or prediction, as one graph: traced once, compiled once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ranvier import engines
from ranvier.graph.grad import gradient
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import BATCH, Node, Symbol, apply, like
from ranvier.metrics.base import WIDE
from ranvier.module import Module, mode
from ranvier.module.arguments import packed
from ranvier.module.versions import structure
from ranvier.ops import arrays as numeric
from ranvier.ops.arrays.promotion import count, result_dtype, together, total_of
from ranvier.support.registry import held
from ranvier.tensor import layout, rng, tape
from ranvier.tensor.call_state import isolated_tape
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tensor import Tensor, leaves_of
from ranvier.tensor.trace import lower
from ranvier.training.step.arrays import Array, Data
from ranvier.training.step.compiled import Compiled
from ranvier.training.step.objective import objective, per_sample
from ranvier.training.step.outputs import FunctionMetric
from ranvier.training.step.placeholders import Judged, as_given, augmented, placeholders, stand_in, streams

__all__ = ["Step", "step_for"]

SAMPLES = Symbol("samples")
KEPT = 64  # programs of a model


@dataclass
class Step:
    """A compiled step: its graph, its program, and where the arrays of its inputs are.

    ``state`` are tensors (weights, optimizer state), ``totals`` arrays that start each epoch as zeros: the loss's sum
    and count, then those of each metric. ``written`` are the tensors of the state that a run changes.
    """

    graph: Graph
    program: Any
    batch: int
    state: list[Tensor]
    written: list[Tensor]
    totals: list[Array]
    metrics: list[tuple[Any, slice]] = field(default_factory=list)
    loss: Node | None = None
    losses: int = 0  # the losses of outputs, whose sums are the totals after the first two
    named: dict[Node, str] = field(default_factory=dict)  # the inputs that are parameters, by name
    draws: bool = False  # whether there are random numbers in it

    def state_arrays(self) -> list[Array]:
        """The arrays of weights, optimizer state and totals, in the graph's order."""
        return [*(layout.storage(t._value) for t in self.state), *self.totals]

    def arrays(
        self, data: Data, order: Array, settings: Sequence[Array], state: Sequence[Array]
    ) -> list[Array]:
        """The arrays of a run, in the graph's order."""
        return [order, *data.arrays(), *settings, *state]

    def reset(self) -> None:
        for array in self.totals:
            array[...] = 0

    def take_over(self, before: Step | None) -> Step:
        """Go on with the totals of another step, or start anew."""
        old = [np.zeros_like(a) for a in self.totals] if before is None else [a.copy() for a in before.totals]
        for array, value in zip(self.totals, old, strict=True):
            np.copyto(array, value)
        return self

    def results(self) -> list[Any]:
        """The mean loss so far, that of each output where there are several, and each metric."""
        number = float(self.totals[1])
        sums = [self.totals[0], *self.totals[2 : 2 + self.losses]]
        means = [float(a) / number if number else 0.0 for a in sums]
        return [*means, *(m.of(self.totals[part]) for m, part in self.metrics)]


class _Build:
    """The inputs of a step's graph, as they come up."""

    def __init__(self) -> None:
        self.inputs: list[Node] = []
        self.state: list[Tensor] = []
        self.sources: dict[int, tuple[Node, Node]] = {}  # by the tensor's id

    def given(self, name: str, shape: Any, dtype: str, *, windowed: bool = False, zeros: float = 0) -> Node:
        node = input_node(name, shape, dtype, windowed=windowed, zeros=zeros)
        self.inputs.append(node)
        return node

    def tensor(self, tensor: Tensor, name: str) -> tuple[Node, Node]:
        """The input for a tensor's storage and the node that is the tensor, made once."""
        known = self.sources.get(id(tensor))
        if known is None:
            known = self.sources[id(tensor)] = layout.leaf_input(name, tensor)
            self.inputs.append(known[0])
            self.state.append(tensor)
        return known


def key_of(model: Module, compiled: Compiled, data: Data, batch: int, kind: str) -> tuple[Any, ...]:
    """All that a step depends on: two calls with equal keys want the same step."""
    parameters = tuple((id(p), p.requires_grad, p.dtype, held(p.regularizer)) for p in model.parameters())
    penalties = tuple(held(getattr(m, "activity_regularizer", None)) for m in model.modules())
    settings = settings_of(model, compiled, kind)
    return (kind, structure(model), data.kind(), batch, parameters, penalties, settings)


def settings_of(model: Module, compiled: Compiled, kind: str) -> tuple[Any, ...]:
    """What a step depends on besides the model's structure, in terms that two models may have in common."""
    return (
        get_dtype(),
        compiled.engine or engines.get_engine(),
        compiled.optimizer.treatments(list(model.parameters())),
        tuple(m._trainable for m in model.modules()),
        compiled.optimizer.program_key(),
        compiled.augment if kind == "train" else None,
    )


def step_for(model: Module, compiled: Compiled, data: Data, batch: int, kind: str) -> Step:
    """The step of this kind ("train" or "evaluate") for such data; compiled the first time it is asked for."""
    key = key_of(model, compiled, data, batch, kind)
    known = compiled.programs.get(key)
    if known is None:
        if len(compiled.programs) >= KEPT:  # of what the model was before it was changed
            compiled.programs.clear()
        known = compiled.programs[key] = build(model, compiled, data, batch, kind == "train")
    return known


def build(model: Module, compiled: Compiled, data: Data, batch: int, training: bool) -> Step:
    heads = compiled.heads
    b = _Build()
    order = b.given("order", (BATCH,), "int32", windowed=True)

    def rows_of(name: str, arrays: Sequence[Array | None], zeros: Sequence[float] = ()) -> list[Node | None]:
        found: list[Node | None] = []
        for i, array in enumerate(arrays):
            source = None
            if array is not None:
                title = name if len(arrays) == 1 else f"{name}{i}"
                share = zeros[i] if zeros else 0
                source = b.given(title, (SAMPLES, *array.shape[1:]), array.dtype.name, zeros=share)
            found.append(None if source is None else apply("gather", source, order))
        return found

    # What the first data are like, later ones are expected to be. Without an update nobody looks whether weights are
    # finite, so that zeros that meet them must tell.
    x_rows, y_rows = rows_of("x", data.x, data.zeros if training else ()), rows_of("y", data.y)
    weight_rows = rows_of("weight", data.weight)
    known: dict[int, Node] = {}
    with mode(model, training), isolated_tape(model), rng.traced_draws() as draws:
        given = placeholders(model, data.x)
        for tensor, rows in zip(given, x_rows, strict=True):
            known[id(tensor)] = as_given(rows, tensor.spec)  # type: ignore[arg-type]  # every input is there
        targets, weights = ([stand_in(rows, known) for rows in part] for part in (y_rows, weight_rows))
        if training and compiled.augment is not None:
            given, targets, weights = augmented(compiled.augment, given, targets, weights)
        output = model(*packed(given, model._input_form))
        outputs = heads.outputs.flat(output)
        judged = [Judged.of(*of) for of in zip(heads.heads, targets, outputs, weights, strict=True)]
        penalties = [numeric.sum(x) for x in model._losses()]
        recorded = [*outputs, *(t for j in judged for t in j.tensors()), *penalties]
        segment = tape.segment_of(recorded)
        trace_nodes = [segment.node_of(t) for t in recorded]
    optimizer = compiled.optimizer
    parameters = dict(model.named_parameters())
    if training:
        optimizer.attach(parameters.values())
        salt, rate = b.given("seed", (), "uint32"), b.given("learning_rate", (), get_dtype())
        ticks = b.tensor(optimizer.iterations, "iterations")[0]
        known |= streams(draws, salt, ticks)
    elif draws:
        salt, ticks = b.given("seed", (), "uint32"), b.given("batches", (), "uint32")
        known |= streams(draws, salt, ticks)
    for name, parameter in parameters.items():
        known[id(parameter)] = b.tensor(parameter, name)[1]
    own = {id(t): name for name, t in model.named_buffers()}
    for leaf in leaves_of(segment):
        if id(leaf) not in known:
            known[id(leaf)] = b.tensor(leaf, own.get(id(leaf), f"leaf{len(b.inputs)}"))[1]
    assigned = list(segment.assigns.items())
    leaves = {o: known[id(leaf)] for o, leaf in enumerate(segment.leaves)}
    nodes = lower([*trace_nodes, *(e for _, e in assigned)], leaves)
    node_of = {id(t): node for t, node in zip(recorded, nodes, strict=False)}

    def node(tensor: Tensor | None) -> Any:
        return None if tensor is None else node_of[id(tensor)]

    losses = [  # of each output that has one, and its share in the sum
        (objective(j.head.loss, node(j.values), node(j.weight), node(j.counted)), j.head.share)
        for j in judged
        if j.head.loss is not None
    ]
    terms = [one if share == 1 else one * like(one, share) for one, share in losses]
    terms += [node_of[id(p)] for p in penalties]
    loss = total_of(together(*terms, dtype=result_dtype(*terms, 0.0)))  # the widest of them, and a float
    number = count((BATCH,), WIDE)
    updates = [
        (b.sources[id(segment.leaves[o])][0], layout.to_storage(n, segment.leaves[o]))
        for (o, _), n in zip(assigned, nodes[len(recorded) :], strict=True)
    ]
    if training:
        updates += _optimize(b, optimizer, parameters, loss, ticks, rate)
    elif draws:
        updates += [(ticks, ticks + like(ticks, 1))]
    changed = {target for target, _ in updates}
    written = [t for t in b.state if b.sources[id(t)][0] in changed]
    totals: list[Array] = []

    def total(shape: tuple[int, ...], dtype: str) -> Node:
        totals.append(np.zeros(shape, dtype))
        return b.given(f"total{len(totals)}", shape, dtype)

    summed = [loss, *(one for one, _ in losses)] if heads.several else [loss]
    states = [total((), WIDE) for _ in range(len(summed) + 1)]
    updates += [(states[1], states[1] + number)]
    for state, one in zip([states[0], *states[2:]], summed, strict=True):
        updates += [(state, state + apply("cast", one, dtype=WIDE) * number)]
    collected = []
    custom = [iter(j.custom) for j in judged]
    for i, metric, weighted in heads.order:
        start, out, rows = len(totals), node(outputs[i]), node(judged[i].y)
        weight, out = node(judged[i].weight) if weighted else None, apply("stop_gradient", out)
        states = [total(tuple(shape), dtype) for shape, dtype in metric.states_for(rows, out, weight)]
        if isinstance(metric, FunctionMetric):
            after = metric.add(states, per_sample(node(next(custom[i]))), weight)
        else:
            after = metric.update(states, rows, out, weight)
        updates += zip(states, after, strict=True)
        collected.append((metric, slice(start, len(totals))))
    graph = Graph(tuple(b.inputs), (), tuple(updates))
    program = engines.shared(graph, batch=batch, engine=compiled.engine)
    named = {b.sources[id(p)][0]: label for p, label in zip(parameters.values(), labels(model), strict=True)}
    return Step(
        graph, program, batch, b.state, written, totals, collected, loss, len(summed) - 1, named, bool(draws)
    )


def labels(model: Module) -> list[str]:
    """What errors call each parameter: the name of its layer, and its own."""
    layers = {path: module.name for path, module in model.named_modules()}
    parts = (name.rpartition(".") for name, _ in model.named_parameters())
    return [f"{layers.get(path, path)}.{own}" for path, _, own in parts]


def _optimize(
    b: _Build, optimizer: Any, parameters: dict[str, Any], loss: Node, ticks: Node, rate: Node
) -> list[tuple[Node, Node]]:
    """The updates of weights, optimizer state and step count. Rules run on the weights as they lie in memory."""
    chosen = [(i, name, p) for i, (name, p) in enumerate(parameters.items()) if p.requires_grad]
    if not chosen:
        raise ValueError(
            "no weight of this model is trainable. Write model.trainable = True before fit instead. A network that is "
            "frozen while a combined model trains (a GAN's discriminator) takes turns: trainable = True before each "
            "train_on_batch of its own, and False before that of the combined model."
        )
    grads = gradient(loss, [b.tensor(p, name)[1] for _, name, p in chosen])
    sources = [b.tensor(p, name)[0] for _, name, p in chosen]
    grads = [layout.to_storage(g, p) for g, (_, _, p) in zip(grads, chosen, strict=True)]
    slots = [
        {key: b.tensor(t, f"{name}.{key}")[0] for key, t in optimizer.slots[i].items()}
        for i, name, _ in chosen
    ]
    treatments = [
        replace(t, reversed=layout.is_transposed(p._value))
        for t, (_, _, p) in zip(optimizer.treatments([p for _, _, p in chosen]), chosen, strict=False)
    ]
    varied = {key: b.tensor(t, key)[0] for key, t in optimizer.inputs().items()}
    own, whose = optimizer.advanced([i for i, _, _ in chosen])
    counts = [ticks, *(b.tensor(t, f"steps{i}")[0] for i, t in enumerate(own, 1))]
    new, after, ticked = optimizer.update(sources, grads, slots, rate, counts, varied, treatments, whose)
    updates = list(zip(sources, new, strict=True))
    for before, now in zip(slots, after, strict=True):
        updates += [(before[key], now[key]) for key in before]
    return [*updates, *zip(counts, ticked, strict=True)]
