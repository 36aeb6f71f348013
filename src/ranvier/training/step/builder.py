"""The graph of a step while it is built, and the compiled step: its program, and the tensors and arrays it runs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ranvier.distribution import axes_of
from ranvier.graph.extents import Dim, symbol
from ranvier.graph.grad import gradient
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import BATCH, Node, apply, like
from ranvier.metrics.custom import CustomMetric
from ranvier.metrics.operands import WIDE, masked_weight
from ranvier.module import Module, mode
from ranvier.module.arguments import pack_inputs
from ranvier.module.parameter import Parameter
from ranvier.ops import arrays as numeric
from ranvier.ops.arrays.promotion import count, result_dtype, together, total_of
from ranvier.support.source_lines import warn
from ranvier.tensor import layout, rng, tape
from ranvier.tensor.autograd import joint_gradients, meets_rules
from ranvier.tensor.call_state import call_state, isolated_tape
from ranvier.tensor.context import get_dtype, no_grad
from ranvier.tensor.segment import TapeSegment
from ranvier.tensor.tensor import Tensor, leaves_of
from ranvier.tensor.trace import TraceNode, lower
from ranvier.training.step.arrays import Array, Data
from ranvier.training.step.compiled import Compiled
from ranvier.training.step.objective import objective, per_sample
from ranvier.training.step.outputs import FunctionMetric
from ranvier.training.step.placeholders import (
    TracedOutput,
    augmented,
    cast_rows,
    placeholder_for,
    placeholders,
    random_streams,
)

SAMPLES = symbol("samples")


@dataclass
class Step:
    """A compiled step: its graph, its program, and the tensors and arrays that are its inputs.

    ``state`` are tensors (weights, optimizer state), ``totals`` arrays that are zero when an epoch starts: the loss's
    sum and count, then those of each metric. ``written`` are the tensors of the state that a run changes.
    """

    graph: Graph
    program: Any
    batch: int
    state: list[Tensor]
    written: list[Tensor]
    totals: list[Array]
    metrics: list[tuple[Any, slice]] = field(default_factory=list)
    loss: Node | None = None
    losses: int = 0  # of single outputs, whose sums are the totals after the first two
    named: dict[Node, str] = field(default_factory=dict)  # the inputs that are parameters, by name
    draws: bool = False  # whether it draws random numbers
    gradients: dict[Node, Node] = field(default_factory=dict)  # by input of a parameter that is trained
    added: list[tuple[int, int]] = field(default_factory=list)  # the numbers of a module and of the total of its loss

    def state_arrays(self) -> list[Array]:
        """The arrays of weights, optimizer state and totals, in the graph's order."""
        return [*(layout.storage(t._value) for t in self.state), *self.totals]

    def arrays(self, data: Data, order: Array, settings: Sequence[Array], state: Sequence[Array]) -> list[Array]:
        """The arrays of a run, in the graph's order."""
        return [order, *data.arrays(), *settings, *state]

    def reset(self) -> None:
        for array in self.totals:
            array[...] = 0

    def take_over(self, before: Step | None) -> Step:
        """Continue with the totals of another step; start from zero if there is none."""
        old = [np.zeros_like(a) for a in self.totals] if before is None else [a.copy() for a in before.totals]
        for array, value in zip(self.totals, old, strict=True):
            np.copyto(array, value)
        return self

    def logs(self, names: Sequence[str]) -> dict[str, Any]:
        """The results so far by these names, which are sorted, as in Keras."""
        return dict(sorted(zip(names, self.results(), strict=True)))

    def keep_losses(self, model: Module) -> None:
        """Let ``model.losses`` have what layers added to the loss of the last batch."""
        if self.added:
            modules = list(model.modules())
            for module in modules:
                call_state.added_losses.pop(module, None)
            for owner, total in self.added:
                modules[owner].add_loss(float(self.totals[total]))

    def results(self) -> list[Any]:
        """The mean loss so far, that of each output if there are several, and each metric."""
        number = float(self.totals[1])
        sums = [self.totals[0], *self.totals[2 : 2 + self.losses]]
        means = [float(a) / number if number else 0.0 for a in sums]
        return [*means, *(m.of(self.totals[part]) for m, part in self.metrics)]


class Builder:
    """The graph of a step while it is built: its inputs in the order in which they come up, and its updates."""

    def __init__(self, model: Module, compiled: Compiled, training: bool, rows: Dim = BATCH) -> None:
        self.model, self.compiled, self.training, self.extent = model, compiled, training, rows
        self.inputs: list[Node] = []
        self.state: list[Tensor] = []
        self.sources: dict[int, tuple[Node, Node]] = {}  # by the tensor's id
        self.owners: dict[int, Tensor] = {}  # the parameters of the optimizer's tensors, by their ids
        self.updates: list[tuple[Node, Node]] = []
        self.totals: list[Array] = []
        self.node_of: dict[int, Node] = {}  # the nodes of recorded tensors, by their ids
        self.parameters = dict(model.named_parameters())
        # Where gradients meet hooks, or functions with gradients of the user's own: tensors that stand for the
        # gradients of what was recorded, and by parameter the gradients that they lead to.
        self.seeds: list[Tensor] = []
        self.parts: dict[int, Tensor | None] = {}
        self.found: dict[Node, Node] = {}  # by the input of a parameter, its gradient
        # By the id of a parameter that the model assigns to and reads again, what it was assigned.
        self.redefined: dict[int, list[Node]] = {}

    # --- inputs ---------------------------------------------------------------------------------------------------

    def given(self, name: str, shape: Any, dtype: str, *, windowed: bool = False, zeros: float = 0) -> Node:
        node = input_node(name, shape, dtype, windowed=windowed, zeros=zeros)
        self.inputs.append(node)
        return node

    def tensor(self, tensor: Tensor, name: str) -> tuple[Node, Node]:
        """The input for a tensor's storage and the node that is the tensor, made once."""
        known = self.sources.get(id(tensor))
        if known is None:
            owner = self.owners.get(id(tensor), tensor)  # the state of an optimizer is divided as its parameter is
            axes = axes_of(owner) if isinstance(owner, Parameter) else ()
            known = self.sources[id(tensor)] = layout.leaf_input(name, tensor, axes=axes)
            self.inputs.append(known[0])
            self.state.append(tensor)
        return known

    def rows(
        self, order: Node, name: str, arrays: Sequence[Array | None], zeros: Sequence[float] = ()
    ) -> list[Node | None]:
        """The rows of a batch of each array; None for an array that is not there."""
        found: list[Node | None] = []
        for i, array in enumerate(arrays):
            if array is None:
                found.append(None)
                continue
            title = name if len(arrays) == 1 else f"{name}{i}"
            shape, fraction = (SAMPLES, *array.shape[1:]), zeros[i] if zeros else 0
            found.append(apply("gather", self.given(title, shape, array.dtype.name, zeros=fraction), order))
        return found

    def total(self, shape: tuple[int, ...], dtype: str) -> Node:
        self.totals.append(np.zeros(shape, dtype))
        return self.given(f"total{len(self.totals)}", shape, dtype)

    def node(self, tensor: Tensor | None) -> Any:
        return None if tensor is None else self.node_of[id(tensor)]

    # --- the model ------------------------------------------------------------------------------------------------

    def record(self, data: Data) -> None:
        """Call the model on placeholders, and lower what it records to nodes."""
        model, compiled, training = self.model, self.compiled, self.training
        order = self.given("order", (self.extent,), "int32", windowed=True)
        # Later data are expected to have as many zeros as the first data. An evaluation looks for NaN in no weight, so
        # it must not skip zeros, which a NaN in a weight would meet.
        x_rows = self.rows(order, "x", data.x, data.zeros if training else ())
        y_rows, weight_rows = self.rows(order, "y", data.y), self.rows(order, "weight", data.weight)
        self.target_kinds = data.given
        known: dict[int, Node] = {}
        with mode(model, training), isolated_tape(model), rng.traced_draws() as self.draws:
            given = placeholders(model, data.x, self.extent)
            for tensor, rows in zip(given, x_rows, strict=True):
                known[id(tensor)] = cast_rows(rows, tensor.spec)  # type: ignore[arg-type]  # every input is there
            targets, weights = ([placeholder_for(rows, known) for rows in part] for part in (y_rows, weight_rows))
            if training and compiled.augment is not None:
                given, targets, weights = augmented(compiled.augment, given, targets, weights)
            output = model(*pack_inputs(given, model._input_container))
            self.outputs = compiled.outputs.structure.flat(output)
            self.traced = [
                TracedOutput.of(*of) for of in zip(compiled.outputs, targets, self.outputs, weights, strict=True)
            ]
            self.penalties = [numeric.sum(x) for x in model._losses()]
            self.adding = model._added_losses()
            recorded = [*self.outputs, *(t for o in self.traced for t in o.tensors()), *self.penalties]
            segment = tape.segment_of(recorded)
            trace_nodes = [segment.node_of(t) for t in recorded]
            own = list(self.parameters.values())
            if training and meets_rules(recorded, own):
                self.seeds = [Tensor.placeholder(t.spec) for t in recorded]
                with no_grad():
                    self.parts = self._parts([p for p in own if p.requires_grad], recorded)
        self.lower(segment, recorded, trace_nodes, known)

    def _parts(self, parameters: list[Any], recorded: list[Tensor]) -> dict[int, Tensor | None]:
        """The gradients of parameters, as what was recorded leads the seeds to them. Hooks are called here, once."""
        pairs = [(t, s) for t, s in zip(recorded, self.seeds, strict=True) if t.requires_grad]
        parts = joint_gradients([t for t, _ in pairs], parameters, [s for _, s in pairs])
        return {id(p): part for p, part in zip(parameters, parts, strict=True)}

    def gradients(self, loss: Node, chosen: Sequence[tuple[str, Any]]) -> list[Node]:
        """The gradient of the loss by each parameter."""
        nodes = [self.tensor(p, name)[1] for name, p in chosen]
        if not self.seeds:
            further = [node for _, p in chosen for node in self.redefined.get(id(p), ())]
            first = gradient(loss, [*nodes, *further])
            rest = iter(first[len(nodes) :])
            sums = zip(chosen, first, strict=False)
            return [total_of([part, *(next(rest) for _ in self.redefined.get(id(p), ()))]) for (_, p), part in sums]
        segment, known = self.recorded
        known |= {id(seed): node for seed, node in zip(self.seeds, gradient(loss, self.outer), strict=True)}
        for leaf in leaves_of(segment):
            if id(leaf) not in known:  # what a hook reads
                known[id(leaf)] = self.tensor(leaf, f"leaf{len(self.inputs)}")[1]
        found = [self.parts[id(p)] for _, p in chosen]
        parts = iter(lowered(segment, [segment.node_of(t) for t in found if t is not None], known))
        return [like(node, 0.0) if part is None else next(parts) for node, part in zip(nodes, found, strict=True)]

    def lower(self, segment: Any, recorded: list[Tensor], trace_nodes: list[Any], known: dict[int, Node]) -> None:
        """The nodes of recorded tensors, and the updates of the leaves that the model assigns to."""
        if self.training:
            if self.parameters:
                self.compiled.optimizer.attach(self.parameters.values())
            else:
                warn(f"{self.model.name!r} has no weights, so training changes nothing.")
            self.salt, self.rate = (self.given("seed", (), "uint32"), self.given("learning_rate", (), get_dtype()))
            self.ticks = self.tensor(self.compiled.optimizer.iterations, "iterations")[0]
        elif self.draws:
            self.salt, self.ticks = self.given("seed", (), "uint32"), self.given("batches", (), "uint32")
        if self.training or self.draws:
            known |= random_streams(self.draws, self.salt, self.ticks)
        for name, parameter in self.parameters.items():
            known[id(parameter)] = self.tensor(parameter, name)[1]
        buffers = {id(t): name for name, t in self.model.named_buffers()}
        seeds = set(map(id, self.seeds))
        for leaf in leaves_of(segment):
            if id(leaf) not in known and id(leaf) not in seeds:
                known[id(leaf)] = self.tensor(leaf, buffers.get(id(leaf), f"leaf{len(self.inputs)}"))[1]
        assigned = list(segment.assigns.items())
        nodes = lowered(segment, [*trace_nodes, *(e for _, e in assigned)], known, self.redefined)
        if self.seeds:  # the gradients of the parameters are those of the recorded calls: see `gradients`
            self.recorded = segment, known
            nodes[: len(recorded)] = [apply("stop_gradient", n) for n in nodes[: len(recorded)]]
            self.outer = nodes[: len(recorded)]
        self.node_of = {id(t): node for t, node in zip(recorded, nodes, strict=False)}
        self.updates += [
            (self.sources[id(segment.leaves[o])][0], layout.to_storage(n, segment.leaves[o]))
            for (o, _), n in zip(assigned, nodes[len(recorded) :], strict=True)
        ]

    # --- what is minimized, and what is measured ------------------------------------------------------------------

    def losses(self) -> list[Node]:
        """The loss that is minimized, and that of each output where there are several."""
        losses = [
            (objective(o.spec.loss, *map(self.node, (o.values, o.weight, o.counted, o.mask)), rows=self.extent), o.spec)
            for o in self.traced
            if o.spec.loss is not None
        ]
        terms = [one if spec.loss_weight == 1 else one * like(one, spec.loss_weight) for one, spec in losses]
        terms += [self.node(p) for p in self.penalties]
        loss = total_of(together(*terms, dtype=result_dtype(*terms, 0.0)))  # the widest of them, and a float
        return [loss, *(one for one, _ in losses)] if self.compiled.outputs.several else [loss]

    def add_losses(self, losses: Sequence[Node]) -> None:
        """Add each loss, times the number of samples, to its total, and that number to the total after the first."""
        number = count((self.extent,), WIDE)
        totals = [self.total((), WIDE) for _ in range(len(losses) + 1)]
        self.updates += [(totals[1], totals[1] + number)]
        for total, one in zip([totals[0], *totals[2:]], losses, strict=True):
            self.updates += [(total, total + apply("cast", one, dtype=WIDE) * number)]

    def keep_added(self) -> list[tuple[int, int]]:
        """Let totals have what layers add to the loss of the last batch; returns `Step.added`."""
        found = []
        for (owner, _), penalty in zip(self.adding, self.penalties[-len(self.adding) :], strict=False):
            found.append((owner, len(self.totals)))
            self.updates += [(self.total((), WIDE), apply("cast", self.node(penalty), dtype=WIDE))]
        return found

    def add_metrics(self) -> list[tuple[Any, slice]]:
        """Update the states of each metric; returns the metrics, each with the part of the totals that is its own."""
        found = []
        custom = [iter(o.custom) for o in self.traced]
        for i, metric, weighted in self.compiled.outputs.order:
            start, rows = len(self.totals), self.node(self.traced[i].y)
            if isinstance(metric, CustomMetric) and self.target_kinds:
                rows = self._as_given(rows, i)
            weight, mask = self.node(self.traced[i].weight) if weighted else None, self.node(self.traced[i].mask)
            if mask is not None and not isinstance(metric, CustomMetric):  # as Keras, whose own take it from y_pred
                weight = masked_weight(weight, mask)
            out = apply("stop_gradient", self.node(self.outputs[i]))
            states = [self.total(tuple(shape), dtype) for shape, dtype in metric.states_for(rows, out, weight)]
            if isinstance(metric, FunctionMetric):
                after = metric.add(states, per_sample(self.node(next(custom[i])), self.extent), weight)
            else:
                after = metric.update(states, rows, out, weight)
            self.updates += zip(states, after, strict=True)
            found.append((metric, slice(start, len(self.totals))))
        return found

    def _as_given(self, rows: Node, output: int) -> Node:
        """Targets in the shape and dtype in which they were given; those that an augmentation made stay as they are."""
        given = self.target_kinds[output]
        if given is None or (self.training and self.compiled.augment is not None):
            return rows
        shape, dtype = given
        if rows.shape[1:] != shape:
            rows = apply("reshape", rows, shape=(*rows.shape[:1], *shape))
        return rows if rows.dtype == dtype else apply("cast", rows, dtype=dtype)


def lowered(
    segment: TapeSegment,
    roots: Sequence[TraceNode],
    known: Mapping[int, Node],
    redefined: dict[int, list[Node]] | None = None,
) -> list[Node]:
    """The nodes of what a trace recorded; ``known`` has those of its leaves, by their ids.

    Values that parameters were assigned, and read with afterwards, are added to ``redefined``. They are variables:
    gradients are taken by them, and go no further.
    """
    leaves = {o: known[id(leaf)] for o, leaf in enumerate(segment.leaves) if id(leaf) in known}
    results: dict[Any, Any] = {}
    for ordinal, value in segment.definitions.items():
        (node,) = lower([value], leaves, results)
        leaf = leaves_of(segment)[ordinal]
        if redefined is not None and leaf.requires_grad:
            node = apply("stop_gradient", node)
            redefined.setdefault(id(leaf), []).append(node)
        leaves[ordinal] = node
    return lower(roots, leaves, results)


def labels(model: Module) -> list[str]:
    """The name of each parameter in errors: that of its layer, and its own."""
    layers = {path: module.name for path, module in model.named_modules()}
    parts = (name.rpartition(".") for name, _ in model.named_parameters())
    return [f"{layers.get(path, path)}.{own}" for path, _, own in parts]
