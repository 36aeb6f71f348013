"""A step that is what ``train_step`` or ``test_step`` does: the method is called once, and what it records is compiled.

The method is called on tensors of the batch's size, so that shapes are numbers in it: see `sized`.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ranvier import engines
from ranvier.graph.graph import Graph
from ranvier.graph.node import FLOATS, Node, apply, like
from ranvier.metrics.base import LaterResult, values_after_reset
from ranvier.metrics.operands import WIDE
from ranvier.module import Module, mode
from ranvier.ops import arrays as numeric
from ranvier.tensor import layout, rng, tape
from ranvier.tensor.call_state import isolated_tape
from ranvier.tensor.check_returned import return_error
from ranvier.tensor.context import get_dtype
from ranvier.tensor.segment import local
from ranvier.tensor.tensor import Tensor, leaves_of
from ranvier.tensor.trace import StepTrace
from ranvier.training.step.arrays import Array, Data
from ranvier.training.step.builder import Builder, Step, labels, lowered
from ranvier.training.step.compiled import Compiled
from ranvier.training.step.placeholders import placeholder_for, random_streams
from ranvier.training.step.sized import sized


def named_logs(returned: Any, method: str, prefix: str = "") -> dict[str, Any]:
    """What a method returned, sorted by name, dicts within it opened, as in Keras. Raises TypeError for no dict."""
    if not isinstance(returned, Mapping):
        raise return_error(returned, method, "a dict of numbers by name, such as {'loss': loss}")
    logs: dict[str, Any] = {}
    for name, value in sorted(returned.items()):
        logs |= named_logs(value, method) if isinstance(value, Mapping) else {str(name): value}
    return logs


def loss_names(names: Sequence[str]) -> list[str]:
    """The results that must stay finite."""
    return [name for name in names if "loss" in name]


@dataclass
class TracedStep(Step):
    """A step of a user's method. The totals are a number that is finite as long as the losses are, the results, and
    the states of metrics, which begin as ``starts``.
    """

    starts: list[Array] = field(default_factory=list)
    keys: list[Any] = field(default_factory=list)
    results_of: dict[str, Any] = field(default_factory=dict)  # by name: an array of the totals, a number, or later

    def reset(self) -> None:
        for array, start in zip(self.totals, self.starts, strict=True):
            array[...] = start

    def take_over(self, before: Step | None) -> Step:
        if before is None:
            self.reset()
            return self
        return super().take_over(before)

    def logs(self, names: Sequence[str]) -> dict[str, Any]:
        return {name: self._read(value) for name, value in self.results_of.items()}

    @staticmethod
    def _read(value: Any) -> Any:
        if isinstance(value, LaterResult):
            value = value.read()
        if isinstance(value, np.ndarray):
            return value.item() if value.size == 1 else value.copy()
        return float(value) if isinstance(value, (int, float)) else value


@contextlib.contextmanager
def method_mode(model: Module, training: bool) -> Iterator[None]:
    """The mode in which a method of Keras runs: its layers train where they are called with ``training=True`` (or
    without it, if they say so), and modules of PyTorch's vocabulary where the step trains.
    """
    with mode(model, False):
        for module in model.modules():
            module.training = type(module)._starts_training and (training or type(module)._tracks)
        yield


@contextlib.contextmanager
def unchanged(model: Module) -> Iterator[None]:
    """Within this context the method may set gradients and attributes: neither lasts as a change of the model."""
    parameters = list(model.parameters())
    grads = [(p, p.grad) for p in parameters]
    counts = [(m, m._changes) for m in model.modules()]
    try:
        for p in parameters:
            p.grad = None
        yield
    finally:
        for p in model.parameters():
            p.grad = None
        for p, grad in grads:
            p.grad = grad
        for module, count in counts:
            module.__dict__["_changes"] = count


class TracedBuilder(Builder):
    """The graph of a user's method."""

    def __init__(self, model: Module, compiled: Compiled, data: Data, batch: int, kind: str) -> None:
        super().__init__(model, compiled, kind == "train")
        self.data, self.batch, self.method = data, batch, compiled.method(kind)
        self.keys: list[Any] = []
        self.starts: list[Array] = []

    def build(self) -> TracedStep:
        known, trace, logs, segment = self._record()
        self.parameters = dict(self.model.named_parameters())
        metrics = {id(v): v for m in self.model.metrics for v in m.variables}
        titles = {id(p): name for name, p in self.parameters.items()}
        titles |= {id(t): name for name, t in self.model.named_buffers()}
        for leaf in leaves_of(segment):
            if id(leaf) not in known and id(leaf) not in metrics:
                known[id(leaf)] = self.tensor(leaf, titles.get(id(leaf), f"leaf{len(self.inputs)}"))[1]
        probe = self._total("finite", np.zeros((), WIDE))
        outputs: dict[Any, Tensor] = {name: value for name, value in logs.items() if isinstance(value, Tensor)}
        first = len(self.totals) + len(outputs)
        self.added = [(owner, i) for i, (owner, _) in enumerate(self.adding, first)]
        outputs |= {("added", i): penalty for i, penalty in enumerate(self.penalties)}
        sources = {name: self._total(("log", name), np.zeros(t.shape, t.dtype)) for name, t in outputs.items()}
        arrays = dict(zip(sources, self.totals[1:], strict=True))
        starts = values_after_reset(self.model.metrics, list(metrics.values()))
        for (number, variable), start in zip(metrics.items(), starts, strict=True):
            known[number] = self._total(number, variable.compute(), start)
        assigned = {id(segment.leaves[o]): (segment.leaves[o], node) for o, node in segment.assigns.items()}
        roots = [segment.node_of(t) for t in outputs.values()]
        nodes = lowered(segment, [*roots, *(node for _, node in assigned.values())], known)
        results, values = nodes[: len(roots)], nodes[len(roots) :]
        for (leaf, _), value in zip(assigned.values(), values, strict=True):
            if id(leaf) in self.sources:
                self.updates += [(self.sources[id(leaf)][0], layout.to_storage(value, leaf))]
            elif id(leaf) in metrics:
                self.updates += [(known[id(leaf)], value)]
        self._count(probe, dict(zip(outputs, results, strict=True)))
        self.updates += list(zip(sources.values(), results, strict=True))
        found = {name: arrays.get(name, value) for name, value in logs.items()}
        return self._step(trace, found)

    def _record(self) -> tuple[dict[int, Node], StepTrace, dict[str, Any], Any]:
        """Call the method. Returns the nodes of placeholders, what took part, the results and the segment."""
        model, compiled, data = self.model, self.compiled, self.data
        order = self.given("order", (self.batch,), "int32", windowed=True)
        rows = self.rows(order, "x", data.x, data.zeros if self.training else ())
        # The settings of each run: in training the seed and a rate that is not read, since optimizers have their own.
        self.salt = self.given("seed", (), "uint32")
        kind = ("learning_rate", get_dtype()) if self.training else ("batches", "uint32")
        setting = self.given(kind[0], (), kind[1])
        for pending in list(local.segments):
            tape.flush(pending)
        trace, known = StepTrace(self.method), dict[int, Node]()
        state = [v for m in model.metrics for v in m.variables]
        with (
            unchanged(model), method_mode(model, self.training),
            isolated_tape(model, trace), rng.traced_draws() as trace.draws,
        ):  # fmt: skip
            for variable in state:
                variable.compute()
            segment = local.segment
            placed = [placeholder_for(r, known) for r in rows]
            logs = named_logs(self._call(data.packed(placed)), f"{type(model).__name__}.{self.method}")
            self.adding = model._added_losses()
            self.penalties = [numeric.sum(x) for _, x in self.adding]
            if segment is not local.segment or segment is None:
                raise RuntimeError(f"{self.method} computes with a result from before it. Write x.detach() of that.")
        self.draws = list(trace.draws)
        self.ticks = self.tensor(compiled.steps, "batches")[0] if self.training else setting
        known |= random_streams(self.draws, self.salt, self.ticks)
        return known, trace, logs, segment

    def _call(self, data: Any) -> Any:
        method = getattr(self.model, self.method)
        needed = [p for p in inspect.signature(method).parameters.values() if p.default is p.empty]
        if len(needed) > 1 and all(p.kind is p.POSITIONAL_OR_KEYWORD for p in needed):
            raise TypeError(
                f"{type(self.model).__name__}.{self.method} takes {len(needed)} arguments. Write {self.method}(self, "
                "data), as for Keras on TensorFlow or PyTorch: the model, optimizers and metrics keep the state."
            )
        return method(data)

    def _total(self, key: Any, array: Array, start: Array | None = None) -> Node:
        """An input for an array that an epoch begins anew."""
        self.totals.append(array)
        self.keys.append(key)
        self.starts.append(np.zeros_like(array) if start is None else start)
        return self.given(f"total{len(self.totals)}", array.shape, array.dtype.name)

    def _count(self, probe: Node, results: Mapping[str, Node]) -> None:
        """Count the batch, and add the losses to the number that shows whether all were finite."""
        total = probe
        for name in loss_names(list(results)):
            if results[name].dtype in FLOATS and results[name].shape == ():
                total = total + apply("cast", results[name], dtype=WIDE)
        self.updates += [(probe, total)]
        self.updates += [(self.ticks, self.ticks + like(self.ticks, 1))]

    def _step(self, trace: StepTrace, results: dict[str, Any]) -> TracedStep:
        changed = {target for target, _ in self.updates}
        written = [t for t in self.state if self.sources[id(t)][0] in changed]
        graph = Graph(tuple(self.inputs), (), tuple(self.updates))
        program = engines.shared(graph, batch=self.batch, engine=self.compiled.engine)
        own = zip(self.parameters.values(), labels(self.model), strict=True)
        named = {self.sources[id(p)][0]: label for p, label in own if id(p) in self.sources}
        for optimizer in trace.optimizers:
            if not any(optimizer is known for known in self.compiled.optimizers):
                self.compiled.optimizers.append(optimizer)
        return TracedStep(
            graph, program, self.batch, self.state, written, self.totals, named=named, draws=True,
            added=self.added, starts=self.starts, keys=self.keys, results_of=results,
        )  # fmt: skip


def build_traced(model: Module, compiled: Compiled, data: Data, batch: int, kind: str) -> TracedStep:
    """The step that a method of the model is, for batches of ``batch`` rows."""
    step = TracedBuilder(model, compiled, data, batch, kind).build()
    if kind == "train":
        compiled.logged = compiled.in_order(model, step.results_of)

    def tail(rows: int) -> TracedStep:
        return TracedBuilder(model, compiled, data, rows, kind).build()

    return sized(step, tail)
