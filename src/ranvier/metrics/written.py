"""Metrics that say what an update does with tensors, as Keras's subclasses do, traced into the step's program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier import numeric, tape
from ranvier.entries import expand
from ranvier.graph.node import GraphError, Node, Type, apply, constant
from ranvier.metrics.base import WIDE, Array, Metric, StateType
from ranvier.metrics.variables import Variable
from ranvier.module.calls import isolated
from ranvier.module.parameter import Parameter
from ranvier.tensor import Number, Tensor

__all__ = ["Mean", "Sum", "Written", "is_written"]


def is_written(metric: Metric) -> bool:
    """Whether a metric says with tensors what an update does, and not with nodes."""
    kind = type(metric)
    return kind.update_state is not Metric.update_state and kind.update is Metric.update


class Written(Metric):
    """Such a metric as part of a program: its variables are the states, its ``update_state`` is traced."""

    def __init__(self, metric: Metric) -> None:
        super().__init__(metric.name)
        if isinstance(metric, (Mean, Sum)) and type(metric) in (Mean, Sum):
            raise TypeError(
                f"metrics.{type(metric).__name__} takes values, and compile(metrics=...) gives targets and outputs. "
                "Write a function of (y_true, y_pred), whose mean is shown, instead."
            )
        self._metric = metric

    def config(self) -> dict[str, Any]:
        return self._metric.config()

    @property
    def variables(self) -> list[Variable]:
        return self._metric.variables

    def starts(self) -> list[Array]:
        """What the variables hold after ``reset_state()``."""
        before = [v.numpy() for v in self.variables]
        self._metric.reset_state()
        found = [v.numpy() for v in self.variables]
        for variable, value in zip(self.variables, before, strict=True):
            variable.assign(value)
            variable.compute()
        return found

    def states(self, output_shape: Sequence[int]) -> list[StateType]:
        if not self.variables:
            raise ValueError(
                f"metric {self.name!r} has no variables. Write self.total = self.add_weight(name='total', "
                "initializer='zeros') in its __init__, and self.total.assign_add(...) in update_state."
            )
        # States begin as zeros; the first tells whether there was an update yet, before which they are the starts.
        return [((), "bool"), *((v.shape, v.dtype) for v in self.variables)]

    def update(self, states: Sequence[Node], y_true: Node, y_pred: Node, weight: Node | None) -> list[Node]:
        begun, *held = states
        variables = self.variables
        known: dict[int, Node] = {}
        for variable, state, start in zip(variables, held, self.starts(), strict=True):
            if start.any():
                wide = apply("broadcast", begun, shape=state.shape, axes=()) if state.shape else begun
                state = apply("select", wide, state, constant(start, state.dtype))
            known[id(variable)] = state

        def stand_in(node: Node) -> Tensor:
            tensor = Tensor.placeholder(Type(node.shape, node.dtype))
            known[id(tensor)] = node
            return tensor

        arguments = [stand_in(y_true), stand_in(y_pred)]
        named = {} if weight is None else {"sample_weight": stand_in(weight)}
        with isolated():
            try:
                self._metric.update_state(*arguments, **named)
            except Exception as error:
                error.add_note(
                    f"(in update_state of metric {self.name!r}, which is part of the compiled step: it computes with "
                    "tensors, by their operators and rv.ops)"
                )
                raise
            segment = tape.segment_of([*arguments, *variables])
            entries = [segment.leaf(v) for v in variables]
            assigned = [segment.leaves[o] for o in segment.assigns]
            leaves = [self.node_of(leaf, known) for leaf in segment.leaves]
        if any(id(tensor) not in known for tensor in assigned):
            raise ValueError(
                f"metric {self.name!r} assigns to a tensor that is none of its variables. Write "
                "self.add_weight(name=...) in its __init__ for all that it collects instead."
            )
        nodes = expand(entries, dict(enumerate(leaves)))
        return [apply("cast", constant(1, "int32"), dtype="bool"), *nodes]

    def node_of(self, leaf: Tensor, known: dict[int, Node]) -> Node:
        """What a leaf of the trace is in the program; what is no data and no variable is constant."""
        node = known.get(id(leaf))
        if node is not None:
            return node
        if leaf._value is None or isinstance(leaf, Parameter):
            raise GraphError(
                f"metric {self.name!r} reads what is no part of its data: write a metric of y_true and y_pred instead"
            )
        return constant(leaf._value, leaf.dtype)

    def read(self, arrays: Sequence[Array]) -> Any:
        if arrays[0]:
            for variable, array in zip(self.variables, arrays[1:], strict=True):
                variable.assign(array)
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
    """The weighted sum of values, for loops of your own: ``update_state(values, sample_weight)``."""

    def __init__(self, name: str | None = None, dtype: str | None = None) -> None:
        super().__init__(name, dtype)
        self._total = self.add_weight(name="total", dtype=WIDE)

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]  # Keras's own take other arguments too
        """Add values of any shape, each times its weight: weights have the values' first dimensions."""
        values, _ = weighed(values, sample_weight)
        self._total.assign_add(numeric.sum(values))

    def result(self) -> Number:
        """The sum so far."""
        return Number(self._total.item())


class Mean(Metric):
    """The weighted mean of values, for loops of your own: ``update_state(values, sample_weight)``.

    ``loss_tracker = Mean(); loss_tracker.update_state(loss)`` computes nothing at once: what is collected is part of
    the program that the next ``optimizer.step()`` or ``result()`` runs.
    """

    def __init__(self, name: str | None = None, dtype: str | None = None) -> None:
        super().__init__(name, dtype)
        self._total = self.add_weight(name="total", dtype=WIDE)
        self._count = self.add_weight(name="count", dtype=WIDE)

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]  # Keras's own take other arguments too
        """Add values of any shape, each times its weight: weights have the values' first dimensions."""
        values, weights = weighed(values, sample_weight)
        self._total.assign_add(numeric.sum(values))
        self._count.assign_add(float(np.prod(values.shape)) if weights is None else numeric.sum(weights))

    def result(self) -> Number:
        """The mean so far; 0 where there is nothing yet."""
        count = self._count.item()
        return Number(self._total.item() / count if count else 0.0)


def weighed(values: Any, sample_weight: Any) -> tuple[Any, Any]:
    """The values times their weights, in double precision, and the weights in the values' shape."""
    values = numeric.cast(values if isinstance(values, Tensor) else Tensor(values), WIDE)
    if sample_weight is None:
        return values, None
    weights = numeric.cast(
        sample_weight if isinstance(sample_weight, Tensor) else Tensor(sample_weight), WIDE
    )
    if weights.shape != values.shape[: weights.ndim]:
        raise ValueError(
            f"sample_weight has shape {weights.shape} for values of shape {values.shape}. Write one weight for each "
            "value, or for each of their first dimensions, instead."
        )
    weights = numeric.reshape(weights, (*weights.shape, *(1,) * (values.ndim - weights.ndim)))
    weights = numeric.broadcast_to(weights, values.shape)
    return values * weights, weights
