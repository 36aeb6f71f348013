"""Measurements of training steps on a few rows and on copies of the weights, before the model is trained.

The compiled program runs whole steps; the reference engine computes the other values, on so few rows that it takes
little time and memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ranvier.data.convert import Array
from ranvier.engines.reference import ReferenceProgram, evaluate
from ranvier.graph.extents import Extent
from ranvier.graph.graph import Graph
from ranvier.graph.node import BATCH, Node, topological
from ranvier.module import Module
from ranvier.tensor.context import get_dtype
from ranvier.training.step.arrays import Data
from ranvier.training.step.builder import Step
from ranvier.training.step.compiled import Compiled
from ranvier.training.step.sized import is_sized, step_of

# Rows of a trial step; rows for gradients and the first activations; the most rows on which units may prove active.
ROWS, FEW_ROWS, MORE_ROWS = 32, 8, 256
IDLE, UNITS = 0.5, 8  # the least fraction of idle units of a layer that is reported, and the fewest units
STEPS = 4
PIECE = 1 << 16  # elements of an array whose norm is computed at once
WORK = 2e8  # products, the most that a probe computes: some 20 ms


@dataclass
class Gradient:
    """The norms of the loss's derivative by a layer's kernel, and of the kernel."""

    module: Module
    size: float
    weight: float

    @property
    def sensitivity(self) -> float:
        """The largest change of the loss for a relative change of the kernel.

        In a network of relus it does not depend on the scale of the kernels.
        """
        return self.size * self.weight


@dataclass
class Activation:
    """An activation's name, the layer before it, its number of units, and how many do nothing on any sampled row."""

    kind: str
    module: Module
    units: int
    idle: int
    rows: int


def norm(array: Array, less: Array | None = None) -> float:
    """The norm of an array, or of its difference to another. In pieces, as a table of words is large in float64."""
    step, total = max(1, PIECE * len(array) // max(1, array.size)), 0.0
    for i in range(0, len(array), step):
        piece = array[i : i + step] if less is None else array[i : i + step] - less[i : i + step]
        wide = piece.astype(np.float64).ravel()
        total += float(wide @ wide)
    return math.sqrt(total)


def products(nodes: Sequence[Node], rows: int) -> float:
    """The number of multiplications in the contractions of a graph, for so many rows."""
    return float(
        sum(
            math.prod(rows if isinstance(d, Extent) else d for d in n.attrs["loops"])
            for n in nodes
            if n.op.name == "contract"
        )
    )


def units(node: Node) -> int:
    """The number of units of an activation; 0 if the node is none, or has too few."""
    if node.op.name not in ENDS or len(node.shape) < 2 or node.shape[0] != BATCH:
        return 0
    last = node.shape[-1]
    return last if isinstance(last, int) and last >= UNITS else 0


def softplus(node: Node, users: dict[Node, list[Node]]) -> bool:
    """Whether a relu is part of a softplus, which is never zero."""
    return any(u.op.name == "add" and any(i.op.name == "log1p" for i in u.inputs) for u in users.get(node, ()))


class Probe:
    """Measures ``step`` on rows of ``data``, without changing the model.

    ``steps`` is the number of steps of an epoch; None for as many as there are batches.
    """

    def __init__(self, model: Module, state: Compiled, data: Data, step: Step, steps: int | None = None) -> None:
        self.steps = math.ceil(len(data) / step.batch) if steps is None else steps
        step = step_of(step, min(step.batch, len(data)))
        self.model, self.state, self.step, self.data = model, state, step, data
        assert step.loss is not None
        self.loss: Node = step.loss
        # The names of a step's parameters come in the order of the model's.
        self.owners = dict(zip(step.named, owners_of(model), strict=True))
        # A bias for each of several heads has two dimensions.
        self.kernels = [n for n in step.gradients if len(n.shape) > 1 and not step.named[n].endswith("bias")]
        inputs = list(step.graph.inputs)
        first = len(inputs) - len(step.state) - len(step.totals)
        self.places = {node: place - first for place, node in enumerate(inputs[first:], first)}  # in the state

    @property
    def rate(self) -> float:
        return float(self.state.optimizer.current_rate())

    def picked(self, rows: int) -> Data:
        """So many rows, or as many as a stateful layer or the program takes, evenly spread over those that have a
        weight.
        """
        checks = (n.attrs for n in self.step.graph.nodes() if n.op.name == "check")
        rows = next((attrs["low"] for attrs in checks if attrs["rule"] == "samples"), rows)
        if is_sized(self.step):
            return self.data.rows(np.linspace(0, len(self.data) - 1, self.step.batch, dtype=int)).selected()
        weights = [w for w in self.data.weight if w is not None and self.data.among is None]
        kept: Array | range = range(len(self.data))
        if weights and len(weights) == len(self.data.weight):
            kept = np.flatnonzero(sum(w.reshape(len(w), -1).any(1) for w in weights))
        return self.data.rows(np.asarray(kept[:: max(1, len(kept) // rows)][:rows])).selected()

    @cached_property
    def work(self) -> float:
        """The work of a step on a few rows, in products."""
        sizes = sum(t.compute().size for t in self.model.parameters())
        return products(self.step.graph.nodes(), ROWS) + 20 * sizes

    def affordable(self, times: int = 1) -> bool:
        return times * self.work <= WORK

    @property
    def tried(self) -> bool:
        """Whether the trial steps are affordable."""
        return self.affordable(STEPS + 1)

    def run(self, outputs: Sequence[Node], data: Data, state: Sequence[Array]) -> list[Array]:
        """The values of some nodes of the step's graph."""
        graph = Graph(self.step.graph.inputs, tuple(outputs))
        arrays = self.given(data, state)
        extents = {BATCH.name: len(data)}
        for node, array in zip(graph.inputs, arrays, strict=True):
            extents |= {d.name: n for d, n in zip(node.shape, array.shape, strict=True) if isinstance(d, Extent)}
        return evaluate(graph, arrays, extents)[0]

    def given(self, data: Data, state: Sequence[Array]) -> list[Array]:
        """The arrays of a step on all the rows of ``data``."""
        settings = (np.zeros((), np.uint32), np.asarray(self.rate, get_dtype()))
        return self.step.arrays(data, np.arange(len(data), dtype=np.int32), settings, state)

    def arrays(self) -> list[Array]:
        for tensor in self.step.state:
            tensor.compute()
        return self.step.state_arrays()

    def copies(self) -> list[Array]:
        return [a.copy() for a in self.arrays()]

    # --- what is measured -----------------------------------------------------------------------------------------

    @cached_property
    def first(self) -> tuple[float, list[Gradient]]:
        """The loss of some rows, and the gradient of each trained kernel in the model's order.

        There are no gradients if they cost too much.
        """
        if not self.kernels or not self.affordable():
            return 0.0, []
        state, nodes = self.arrays(), [self.step.gradients[k] for k in self.kernels]
        loss, *values = self.run([self.loss, *nodes], self.picked(FEW_ROWS), state)
        found = [
            Gradient(self.owners[k], norm(value), norm(state[self.places[k]]))
            for k, value in zip(self.kernels, values, strict=True)
        ]
        return float(loss), found

    def loss_without_kernels(self) -> float:
        """The loss of the same rows with kernels of zero."""
        state = self.copies()
        for kernel in self.kernels:
            state[self.places[kernel]][...] = 0
        return float(self.run([self.loss], self.picked(FEW_ROWS), state)[0])

    def loss_of_mixed_targets(self) -> float:
        """The loss of the same rows with the targets of other rows."""
        data = self.picked(ROWS)
        y = tuple(None if part is None else np.roll(part, len(part) // 2, 0) for part in data.y)
        return float(self.run([self.loss], replace(data, y=y), self.arrays())[0])

    @cached_property
    def trial(self) -> tuple[list[float], float]:
        """The losses before and after each of a few steps on the same rows, and the largest relative change of a
        kernel in the first step. Empty if the steps cost too much.
        """
        from ranvier.engines.native.runtime.threads import threads_here

        if not self.tried:
            return [], 0.0
        data, state, losses = self.picked(ROWS), self.copies(), []
        arrays, totals = self.given(data, state), state[len(self.step.state) :]
        before = self.arrays()
        program = self.step.program
        if len(data) > self.step.batch:  # never where programs have one size
            program = ReferenceProgram(self.step.graph, len(data))
        change = 0.0
        for number in range(STEPS + 1):
            for total in totals:
                total[...] = 0
            with threads_here(1):  # the time for so few rows must not influence the choice of threads
                program.run(arrays, (), 0, 1, len(data))
            losses.append(float(totals[0] / totals[1]))
            if not number:
                places = [self.places[kernel] for kernel in self.kernels]
                moved = ((norm(state[i], before[i]), norm(before[i])) for i in places)
                change = max((d / n for d, n in moved if n), default=0.0)
        return losses, change

    @cached_property
    def activations(self) -> list[Activation]:
        """Each relu (idle: zero on every row), tanh and sigmoid (idle: at the same end on every row) in the loss most
        of whose units are idle.
        """
        nodes = topological([self.loss])
        users: dict[Node, list[Node]] = {}
        for node in nodes:
            for i in node.inputs:
                users.setdefault(i, []).append(node)
        named = self.step.named
        last: dict[Node, Node | None] = {}  # the last parameter that a node depends on, in the order of the graph
        place = {node: i for i, node in enumerate(nodes)}
        for node in nodes:
            before = [known for i in node.inputs if (known := last[i]) is not None]
            last[node] = node if node in named else max(before, key=place.__getitem__, default=None)
        idle: dict[Node, Array] = {  # the units that have not been active on any row so far
            n: np.ones(units(n), bool) for n in nodes if units(n) and not softplus(n, users)
        }
        rows = MORE_ROWS
        while rows > ROWS and products(nodes, rows) > WORK:
            rows //= 2
        if not idle or products(nodes, rows) > WORK:
            return []
        data, state = self.picked(rows), self.arrays()
        if len(data) < FEW_ROWS:
            return []  # on a single row half of all relus are zero
        start, stop = 0, FEW_ROWS
        while idle and start < len(data):
            some, part = list(idle), data.rows(slice(start, stop))
            for node, value in zip(some, self.run(some, part, state), strict=True):
                low, high = ENDS[node.op.name]
                flat = value.reshape(-1, value.shape[-1])
                idle[node] &= (flat <= low).all(0) | (flat >= high).all(0)
                if idle[node].sum() <= IDLE * len(idle[node]):
                    del idle[node]  # no more rows change that
            start, stop = stop, stop + min(stop, ROWS)
        found = []
        for node, silent in idle.items():
            parameter = last[node]
            if parameter is not None:
                owner = self.owners[parameter]
                found.append(Activation(node.op.name, owner, len(silent), int(silent.sum()), len(data)))
        return found


ENDS = {"relu": (0.0, math.inf), "tanh": (-0.99, 0.99), "sigmoid": (0.01, 0.99)}


def owners_of(model: Module) -> list[Module]:
    """The module that holds each parameter, in the order of ``named_parameters``."""
    found: dict[int, Module] = {}
    for module in model.modules():
        for parameter in module._parameters.values():
            if parameter is not None:
                found.setdefault(id(parameter), module)
    return list(found.values())
