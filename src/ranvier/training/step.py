"""One training step, or one step of evaluation or prediction, as one graph: traced once, compiled once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier import engines, numeric, seed, tape
from ranvier.graph.grad import gradient
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import BATCH, FLOATS, Node, Symbol, Type, apply, like
from ranvier.metrics.base import WIDE
from ranvier.module import Module, isolated, mode
from ranvier.tensor import Tensor, get_dtype
from ranvier.training.objective import objective, per_sample
from ranvier.training.state import Compiled, FunctionMetric

__all__ = ["Data", "Step", "step_for"]

SAMPLES = Symbol("samples")
Array = npt.NDArray[Any]


@dataclass
class Data:
    """What is trained or evaluated on: arrays of one row a sample.

    ``x`` has one for each input of the model, ``y`` and ``weight`` one for each output; None where an output has
    nothing to be compared with, or no weights. For prediction y and weight are empty. With ``among`` only the rows of
    these numbers (int32) are meant, such as those of a fold; the arrays stay whole and may be shared.
    """

    x: tuple[Array, ...]
    y: tuple[Array | None, ...] = ()
    weight: tuple[Array | None, ...] = ()
    among: Array | None = None

    def __len__(self) -> int:
        return len(self.x[0] if self.among is None else self.among)

    def kind(self) -> tuple[Any, ...]:
        """What a program depends on."""
        return tuple(
            tuple(None if a is None else (a.shape[1:], a.dtype.name) for a in part)
            for part in (self.x, self.y, self.weight)
        )

    def rows(self, part: Any) -> Data:
        """The rows of a slice, or of an array of row numbers."""
        if self.among is not None:
            return replace(self, among=self.among[part])

        def cut(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(None if a is None else a[part] for a in arrays)

        return Data(cut(self.x), cut(self.y), cut(self.weight))

    def arrays(self) -> list[Array]:
        """All that there are, in the order of a step's inputs."""
        return [a for part in (self.x, self.y, self.weight) for a in part if a is not None]


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
    named: dict[Node, str] = field(default_factory=dict)  # the inputs that are parameters, by name

    def state_arrays(self) -> list[Array]:
        """The arrays of weights, optimizer state and totals, in the graph's order."""
        return [*(tape.storage(t.value) for t in self.state), *self.totals]

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
        """The mean loss so far, and each metric."""
        total, number = (float(a) for a in self.totals[:2])
        return [total / number if number else 0.0, *(m.result(self.totals[part]) for m, part in self.metrics)]


class _Build:
    """The inputs of a step's graph, as they come up."""

    def __init__(self) -> None:
        self.inputs: list[Node] = []
        self.state: list[Tensor] = []
        self.sources: dict[int, tuple[Node, Node]] = {}  # by the tensor's id

    def given(self, name: str, shape: Any, dtype: str, windowed: bool = False) -> Node:
        node = input_node(name, shape, dtype, windowed=windowed)
        self.inputs.append(node)
        return node

    def tensor(self, tensor: Tensor, name: str) -> tuple[Node, Node]:
        """The input for a tensor's storage and the node that is the tensor, made once."""
        known = self.sources.get(id(tensor))
        if known is None:
            known = self.sources[id(tensor)] = tape.leaf_input(name, tensor)
            self.inputs.append(known[0])
            self.state.append(tensor)
        return known


def key_of(model: Module, compiled: Compiled, data: Data, batch: int, kind: str) -> tuple[Any, ...]:
    """All that a step depends on: two calls with equal keys want the same step."""
    trainable = (
        tuple((id(p), p.requires_grad, p.dtype, p.regularizer) for p in model.parameters()),
        compiled.optimizer.treatments(list(model.parameters())),
        tuple(m._trainable for m in model.modules()),
    )
    return (
        kind,
        data.kind(),
        batch,
        get_dtype(),
        compiled.engine or engines.get_engine(),
        trainable,
        compiled.optimizer.program_key(),
    )


def step_for(model: Module, compiled: Compiled, data: Data, batch: int, kind: str) -> Step:
    """The step of this kind ("train" or "evaluate") for such data; compiled the first time it is asked for."""
    key = key_of(model, compiled, data, batch, kind)
    known = compiled.programs.get(key)
    if known is None:
        known = compiled.programs[key] = build(model, compiled, data, batch, kind == "train")
    return known


def placeholder_type(model: Module, data: Data) -> Type:
    """What the model is called on: floats, unless it says that it takes integers."""
    wanted = model._input_type
    dtype = wanted.dtype if wanted is not None and wanted.dtype not in FLOATS else get_dtype()
    return Type((BATCH, *data.x[0].shape[1:]), dtype)


def build(model: Module, compiled: Compiled, data: Data, batch: int, training: bool) -> Step:
    wanted_loss = compiled.loss
    assert wanted_loss is not None
    b = _Build()
    order = b.given("order", (BATCH,), "int32", windowed=True)
    rows: dict[str, Node] = {}
    for name, arrays in (("x", data.x), ("y", data.y), ("weight", data.weight)):
        for array in arrays:
            if array is not None:
                rows[name] = apply(
                    "gather", b.given(name, (SAMPLES, *array.shape[1:]), array.dtype.name), order
                )
    with mode(model, training), isolated(model), seed.traced_draws() as draws:
        x_type = placeholder_type(model, data)
        x = Tensor.placeholder(x_type)
        y = Tensor.placeholder(rows["y"].type)
        output = model(x)
        check_output(model, output)
        values = wanted_loss.per_sample(y, output)
        custom = [m.function(y, output) if isinstance(m, FunctionMetric) else None for m in compiled.metrics]
        penalties = [numeric.sum(x) for x in model._losses()]
        segment = tape.segment_of([values, *penalties])
    cast = rows["x"] if rows["x"].dtype == x_type.dtype else apply("cast", rows["x"], dtype=x_type.dtype)
    known = {id(x): cast, id(y): rows["y"]}
    optimizer = compiled.optimizer
    parameters = dict(model.named_parameters())
    if training:
        optimizer.attach(parameters.values())
        salt, rate = b.given("seed", (), "uint32"), b.given("learning_rate", (), get_dtype())
        ticks = b.tensor(optimizer.iterations, "iterations")[0]
        known |= _streams(draws, salt, ticks)
    for name, parameter in parameters.items():
        known[id(parameter)] = b.tensor(parameter, name)[1]
    own = {id(t): name for name, t in model.named_buffers()}
    for leaf in segment.leaves:
        if id(leaf) not in known:
            known[id(leaf)] = b.tensor(leaf, own.get(id(leaf), f"leaf{len(b.inputs)}"))[1]
    wanted = [
        t.entry or segment.leaf(t)
        for t in (values, output, *penalties, *(c for c in custom if c is not None))
    ]
    assigned = list(segment.assigns.items())
    leaves = {o: known[id(leaf)] for o, leaf in enumerate(segment.leaves)}
    nodes = tape.expand([*wanted, *(e for _, e in assigned)], leaves)
    each, out = nodes[:2]
    extra = iter(nodes[2 + len(penalties) : len(wanted)])
    loss, counted = objective(wanted_loss, each, rows.get("weight"))
    for penalty in nodes[2 : 2 + len(penalties)]:
        loss = loss + (penalty if penalty.dtype == loss.dtype else apply("cast", penalty, dtype=loss.dtype))
    updates = [
        (b.sources[id(segment.leaves[o])][0], tape.to_storage(n, segment.leaves[o]))
        for (o, _), n in zip(assigned, nodes[len(wanted) :], strict=True)
    ]
    if training:
        updates += _optimize(b, optimizer, parameters, loss, ticks, rate)
    written = [t for t in b.state if any(b.sources[id(t)][0] is target for target, _ in updates)]
    totals: list[Array] = []

    def total(shape: tuple[int, ...], dtype: str) -> Node:
        totals.append(np.zeros(shape, dtype))
        return b.given(f"total{len(totals)}", shape, dtype)

    sums = [total((), WIDE), total((), WIDE)]
    updates += zip(
        sums, [sums[0] + apply("cast", loss, dtype=WIDE) * counted, sums[1] + counted], strict=True
    )
    collected = []
    for metric, weighted in zip(compiled.metrics, compiled.weighted, strict=True):
        start = len(totals)
        states = [total(tuple(shape), dtype) for shape, dtype in metric.states(out.shape[1:])]  # type: ignore[arg-type]
        weight = rows.get("weight") if weighted else None
        if isinstance(metric, FunctionMetric):
            after = metric.add(states, per_sample(next(extra)), weight)
        else:
            after = metric.update(states, rows["y"], apply("stop_gradient", out), weight)
        updates += zip(states, after, strict=True)
        collected.append((metric, slice(start, len(totals))))
    graph = Graph(tuple(b.inputs), (), tuple(updates))
    program = engines.shared(graph, batch=batch, engine=compiled.engine)
    named = {b.sources[id(p)][0]: label for p, label in zip(parameters.values(), labels(model), strict=True)}
    return Step(graph, program, batch, b.state, written, totals, collected, loss, named)


def labels(model: Module) -> list[str]:
    """What errors call each parameter: the name of its layer, and its own."""
    layers = {path: module.name for path, module in model.named_modules()}
    parts = (name.rpartition(".") for name, _ in model.named_parameters())
    return [f"{layers.get(path, path)}.{own}" for path, _, own in parts]


def check_output(model: Module, output: Any) -> None:
    if not isinstance(output, Tensor) or not output.shape or output.shape[0] != BATCH:
        got = output.type if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f"{model.name!r} returns {got}. Write a forward that returns one tensor with a row for each sample instead."
        )


def _streams(draws: Sequence[tuple[Tensor, Tensor]], salt: Node, ticks: Node) -> dict[int, Node]:
    """Random streams that differ from draw to draw and from step to step."""
    known: dict[int, Node] = {}
    own = seed.fold(seed.get_seed())
    for i, (key, stream) in enumerate(draws):
        known[id(stream)] = ticks * like(ticks, len(draws)) + like(ticks, i)
        if key.item() == own:  # a layer with a seed of its own keeps it
            known[id(key)] = salt
    return known


def _optimize(
    b: _Build, optimizer: Any, parameters: dict[str, Any], loss: Node, ticks: Node, rate: Node
) -> list[tuple[Node, Node]]:
    """The updates of weights, optimizer state and step count. Rules run on the weights as they lie in memory."""
    chosen = [(i, name, p) for i, (name, p) in enumerate(parameters.items()) if p.requires_grad]
    if not chosen:
        raise ValueError(
            "no weight of this model is trainable. Write model.trainable = True before fit instead."
        )
    grads = gradient(loss, [b.tensor(p, name)[1] for _, name, p in chosen])
    sources = [b.tensor(p, name)[0] for _, name, p in chosen]
    grads = [tape.to_storage(g, p) for g, (_, _, p) in zip(grads, chosen, strict=True)]
    slots = [
        {key: b.tensor(t, f"{name}.{key}")[0] for key, t in optimizer.slots[i].items()}
        for i, name, _ in chosen
    ]
    treatments = [
        replace(t, reversed=tape.is_transposed(p.value))
        for t, (_, _, p) in zip(optimizer.treatments([p for _, _, p in chosen]), chosen, strict=False)
    ]
    new, after, ticked = optimizer.update(sources, grads, slots, rate, ticks, treatments=treatments)
    updates = list(zip(sources, new, strict=True))
    for before, now in zip(slots, after, strict=True):
        updates += [(before[key], now[key]) for key in before]
    return [*updates, (ticks, ticked)]
