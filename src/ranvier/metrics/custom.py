"""Metrics whose ``update_state`` is written with tensors, as in Keras, traced into the step's program."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ranvier.graph.node import GraphError, Node, Type, apply, constant
from ranvier.metrics.base import Metric, StateType, mean_of, values_after_reset
from ranvier.metrics.operands import WIDE, Array
from ranvier.metrics.variables import Variable
from ranvier.ops import arrays as numeric
from ranvier.ops.arrays.promotion import count
from ranvier.ops.arrays.shape import with_ones
from ranvier.tensor import tape
from ranvier.tensor.call_state import isolated_tape
from ranvier.tensor.context import no_grad
from ranvier.tensor.function import function, record
from ranvier.tensor.results import FloatResult
from ranvier.tensor.tensor import Tensor, leaves_of
from ranvier.tensor.trace import Function, StepTrace, TraceNode, lower, state


def is_custom(metric: Metric) -> bool:
    """Whether a metric overrides ``update_state`` or ``result``, perhaps those of one of Ranvier's metrics."""
    kind = type(metric)
    return kind.update_state is not Metric.update_state or kind.result is not Metric.result


class _InnerMetric:
    """A metric with an update of nodes inside a custom one, while that is traced: its states are tensors then."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.before: list[Tensor] = []  # placeholders of its states
        self.after: list[Tensor] = []

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        given = [y_true, y_pred] if sample_weight is None else [y_true, y_pred, sample_weight]
        tensors = [x if isinstance(x, Tensor) else Tensor(x) for x in given]
        if not self.before:
            types = [Type(tuple(shape), dtype) for shape, dtype in self.metric.states(tensors[1].shape[1:])]
            self.before = self.after = [Tensor.placeholder(t) for t in types]
        number = len(tensors)

        def update(*nodes: Node) -> list[Node]:
            weight = nodes[2] if number > 2 else None
            return self.metric.on_nodes(nodes[number:], nodes[0], nodes[1], weight)

        self.after = list(record(Function(f"update of {self.metric.name}", update), [*tensors, *self.after], ()))


class _Trace(NamedTuple):
    """A recorded update: its leaves are ``known`` as nodes, assigned, or constant."""

    known: dict[int, Node]
    alive: list[Tensor]  # keeps the tensors alive whose ids are keys of ``known``
    parts: list[_InnerMetric]
    trace_nodes: list[TraceNode]
    leaves: list[Tensor]
    assigned: list[Tensor]


class CustomMetric(Metric):
    """A custom metric as part of a program: its variables are the states, its ``update_state`` is traced."""

    def __init__(self, metric: Metric) -> None:
        super().__init__(metric.name)
        if isinstance(metric, (Mean, Sum)) and type(metric) in (Mean, Sum):
            raise TypeError(
                f"metrics.{type(metric).__name__} takes values, and compile(metrics=...) gives targets and outputs. "
                "Write a function of (y_true, y_pred), whose mean is shown, instead."
            )
        self._metric = metric
        # The trace of `states_for`, until `update` is called with the same arguments.
        self._recorded: tuple[tuple[Node | None, ...], _Trace] | None = None

    @property
    def given(self) -> Metric:
        return self._metric

    def config(self) -> dict[str, Any]:
        return self._metric.config()

    def settings(self) -> dict[str, Any]:
        return {"metric": self._metric}

    @property
    def variables(self) -> list[Variable]:
        return self._metric.added_variables

    @property
    def held(self) -> list[Metric]:
        """The metrics with an update of nodes in this one, itself included, whose override reaches it by ``super()``.

        The others have variables.
        """
        return [m for m in (self._metric, *self._metric.metrics) if type(m).update is not Metric.update]

    def starts(self) -> list[Array]:
        """The values of the variables after ``reset_state()``."""
        return values_after_reset([self._metric], self.variables)

    def states_for(self, y_true: Node, y_pred: Node, weight: Node | None) -> list[StateType]:
        if not self.variables and not self.held:
            raise ValueError(
                f"metric {self.name!r} has no variables. Write self.total = self.add_weight(name='total', "
                "initializer='zeros') in its __init__, and self.total.assign_add(...) in update_state."
            )
        traced = self.traced(y_true, y_pred, weight)
        self._recorded = (y_true, y_pred, weight), traced
        # States begin as zeros. The first says whether there was an update, before which the variables have their
        # starting values, and how many states each of `held` has.
        own = ((v.shape, v.dtype) for v in self.variables)
        inner = ((t.shape, t.dtype) for part in traced.parts for t in part.before)
        return [((1 + len(traced.parts),), "int32"), *own, *inner]

    def update(self, states: Sequence[Node], y_true: Node, y_pred: Node, weight: Node | None) -> list[Node]:
        first, *held = states
        begun = numeric.greater(numeric.index_basic(first, (0,)), 0)
        given, traced = self._recorded or ((), None)
        self._recorded = None
        if traced is None or any(a is not b for a, b in zip(given, (y_true, y_pred, weight), strict=True)):
            traced = self.traced(y_true, y_pred, weight)
        known = traced.known
        for variable, value, start in zip(self.variables, held, self.starts(), strict=False):
            if start.any():
                wide = apply("broadcast", begun, shape=value.shape, axes=()) if value.shape else begun
                value = apply("select", wide, value, constant(start, value.dtype))
            known[id(variable)] = value
        before = (t for part in traced.parts for t in part.before)
        known.update(zip(map(id, before), held[len(self.variables) :], strict=True))
        if any(id(tensor) not in known for tensor in traced.assigned):
            raise ValueError(
                f"metric {self.name!r} assigns to a tensor that is none of its variables. Write "
                "self.add_weight(name=...) in its __init__ for all that it collects instead."
            )
        leaves = [self.node_of(leaf, known) for leaf in traced.leaves]
        nodes = lower(traced.trace_nodes, dict(enumerate(leaves)))
        sizes = [len(part.before) for part in traced.parts]
        return [constant(np.array([1, *sizes], np.int32), "int32"), *nodes]

    def traced(self, y_true: Node, y_pred: Node, weight: Node | None) -> _Trace:
        """Record ``update_state`` with these arguments."""
        known: dict[int, Node] = {}
        alive: list[Tensor] = []

        def stand_in(node: Node) -> Tensor:
            tensor = Tensor.placeholder(Type(node.shape, node.dtype))
            known[id(tensor)] = node
            alive.append(tensor)
            return tensor

        arguments = [stand_in(y_true), stand_in(y_pred)]
        named = {} if weight is None else {"sample_weight": stand_in(weight)}
        parts = [_InnerMetric(metric) for metric in self.held]
        with isolated_tape(), no_grad():
            try:
                for part in parts:
                    part.metric._traced = part
                self._metric.update_state(*arguments, **named)
            except Exception as error:
                error.add_note(
                    f"(in update_state of metric {self.name!r}, which is part of the compiled step: it computes with "
                    "tensors, by their operators and rv.ops)"
                )
                raise
            finally:
                for part in parts:
                    part.metric._traced = None
            after = [*self.variables, *(t for part in parts for t in part.after)]
            segment = tape.segment_of([*arguments, *after])
            trace_nodes = [segment.node_of(t) for t in after]
            leaves = list(leaves_of(segment))
            assigned = [leaves[o] for o in segment.assigns]
            return _Trace(known, alive, parts, trace_nodes, leaves, assigned)

    def node_of(self, leaf: Tensor, known: dict[int, Node]) -> Node:
        """The node of a leaf of the trace: its value is constant unless it is data or a variable."""
        node = known.get(id(leaf))
        if node is not None:
            return node
        if leaf._value is None or hasattr(leaf, "for_training"):  # a parameter of a network
            raise GraphError(
                f"metric {self.name!r} reads what is no part of its data: write a metric of y_true and y_pred instead"
            )
        return constant(leaf._value, leaf.dtype)

    def read(self, arrays: Sequence[Array]) -> Any:
        begun, *sizes = arrays[0].tolist()
        if begun:
            rest = iter(arrays[1:])
            for variable in self.variables:
                variable.assign(next(rest))
            for metric, size in zip(self.held, sizes, strict=True):
                metric._arrays = [np.array(next(rest)) for _ in range(size)] if size else None
        else:
            self._metric.reset_state()
        result = self._metric.result()
        if isinstance(result, dict):
            raise TypeError(
                f"metric {self.name!r} has several results, {sorted(result)}. Write a metric for each instead."
            )
        array = np.asarray(result)
        return float(array) if not array.ndim else array


# --- of values ----------------------------------------------------------------------------------------------------


class Sum(Metric):
    """The weighted sum of values, for explicit loops: ``update_state(values, sample_weight)``."""

    def __init__(self, name: str | None = None, dtype: str | None = None) -> None:
        super().__init__(name, dtype)
        self._total = self.add_weight(name="total", dtype=WIDE)

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]  # Keras's take other arguments too
        """Add values of any shape, each times its weight; weights have the values' first dimensions."""
        values, _ = weighed(values, sample_weight)
        self._total.assign_add(numeric.sum(values))

    def result(self) -> Any:
        """The sum so far; within a step that is traced, a tensor."""
        return self._total.value if isinstance(state.tracing, StepTrace) else FloatResult(self._total.item())


class Mean(Metric):
    """The weighted mean of values, for explicit loops: ``update_state(values, sample_weight)``.

    ``loss_tracker = Mean(); loss_tracker.update_state(loss)`` computes nothing at once: the update is part of the
    program that the next ``optimizer.step()`` or ``result()`` runs.
    """

    def __init__(self, name: str | None = None, dtype: str | None = None) -> None:
        super().__init__(name, dtype)
        self._total = self.add_weight(name="total", dtype=WIDE)
        self._count = self.add_weight(name="count", dtype=WIDE)

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]  # Keras's take other arguments too
        """Add values of any shape, each times its weight; weights have the values' first dimensions."""
        values, weights = weighed(values, sample_weight)
        self._total.assign_add(numeric.sum(values))
        if weights is not None:
            number: Any = numeric.sum(weights)
        elif all(isinstance(n, int) for n in values.shape):
            number = float(math.prod(values.shape))
        else:
            number = elements(values)  # in a traced step it is known when the step runs
        self._count.assign_add(number)

    def result(self) -> Any:
        """The mean so far, 0 before the first update; within a step that is traced, a tensor."""
        if isinstance(state.tracing, StepTrace):
            return mean_of(self._total, self._count)
        count = self._count.item()
        return FloatResult(self._total.item() / count if count else 0.0)


class MeanMetricWrapper(Mean):
    """The mean of what a function of (y_true, y_pred) returns: a number for each sample.

    ``fn`` computes with tensors, by operators and `ranvier.ops`. Further arguments are passed on to it.
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(name, dtype)
        self.fn, self.kwargs = fn, kwargs

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]  # Keras's
        """Add what the function returns for a batch, each value times the weight of its sample."""
        tensors = (x if isinstance(x, Tensor) else Tensor(x) for x in (y_true, y_pred))
        super().update_state(self.fn(*tensors, **self.kwargs), sample_weight)


@function
def elements(x: Node) -> Node:
    """The number of elements."""
    return count(x.shape, WIDE)


def weighed(values: Any, sample_weight: Any) -> tuple[Any, Any]:
    """The values times their weights, in double precision, and the weights in the values' shape."""
    values = numeric.cast(values if isinstance(values, Tensor) else Tensor(values), WIDE)
    if sample_weight is None:
        return values, None
    weights = numeric.cast(sample_weight if isinstance(sample_weight, Tensor) else Tensor(sample_weight), WIDE)
    if weights.shape != values.shape[: weights.ndim]:
        raise ValueError(
            f"sample_weight has shape {weights.shape} for values of shape {values.shape}. Write one weight for each "
            "value, or for each of their first dimensions, instead."
        )
    weights = numeric.broadcast_to(with_ones(weights, values.ndim), values.shape)
    return values * weights, weights
