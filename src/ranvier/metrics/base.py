"""Metric: states are arrays, the update is graph, the result is computed in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from ranvier.engines import reference
from ranvier.graph.graph import Graph, input_node
from ranvier.graph.node import BATCH, Node, apply
from ranvier.metrics.operands import (
    WIDE,
    Array,
    as_pair,
    dtype_of,
    has_trailing_one,
    masked_weight,
    paired,
    weighted_sum,
    weights_for,
)
from ranvier.metrics.variables import Variable
from ranvier.ops import arrays as numeric
from ranvier.support.errors import snake_case, unwritten
from ranvier.support.registry import Configured
from ranvier.support.source_lines import caller, line_of, location
from ranvier.tensor.context import get_dtype, no_grad
from ranvier.tensor.function import function, record
from ranvier.tensor.masks import mask_of
from ranvier.tensor.results import ArrayResult, FloatResult
from ranvier.tensor.tensor import Tensor
from ranvier.tensor.trace import Function, StepTrace, state

AT_ONCE = 1 << 14  # the most samples, or positions in them, of an update: this bounds the memory
StateType = tuple[tuple[int, ...], str]


@function
def with_mask(sample_weight: Node | None, mask: Node) -> Node:
    """See `masked_weight`."""
    return masked_weight(sample_weight, mask)


class LaterResult:
    """The result of a metric in a step that is traced: it is read from the metric's states after the steps."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric

    def read(self) -> Any:
        """The result now."""
        self.metric._begun = True
        return self.metric.result()

    def _refuse(self, *operands: Any) -> Any:
        raise TypeError(
            f"{location(line_of(caller()))} computes with the result of the metric {self.metric.name!r}, which exists "
            "after the step. Put it into the dict of logs as it is, or write a rv.metrics.Mean, whose result is a "
            "tensor in a step."
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refuse
    __neg__ = __pow__ = __float__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __array__ = _refuse


class Metric(Configured):
    """A number (or an array) that is accumulated over batches.

    Subclasses define `states`, the shapes and dtypes of what is accumulated (zeros at first); `update`, which builds
    the graph that adds one batch; and `read`, which computes the result. ``y_true`` is int32 class numbers with one
    dimension less than ``y_pred``, or numbers of ``y_pred``'s shape. ``weight`` is one number for each sample, or None.

    Outside of a model, call ``update_state(y_true, y_pred, sample_weight)``, ``result()`` and ``reset_state()``.

    As in Keras, a subclass may instead create variables by ``add_weight``, and define ``update_state`` and ``result``
    with tensors. In ``compile(metrics=...)`` the update is traced once, into the program of the step.
    """

    default_name: ClassVar[str | None] = None
    fixed: ClassVar[frozenset[str]] = frozenset()  # attributes that a subclass's constructor does not take
    _level = 0.5  # the threshold of a single output

    def __init__(self, name: str | None = None, dtype: DTypeLike | None = None) -> None:
        self.name = name or self.default_name or snake_case(type(self).__name__)
        self._dtype = None if dtype is None else dtype_of(dtype)
        # What `update` accumulates; None before the first update, and whether there was one since the last reset.
        self._held: list[Variable] | None = None
        self._begun = False
        self._variables: list[Variable] = []
        # Receives the arguments of `update_state` while a metric that contains this one is traced.
        self._traced: Callable[[Any, Any, Any], None] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.config().items())})"

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        own = (Variable, Metric)
        found = {
            key: value
            for key, value in vars(self).items()
            if not (key.startswith("_") or key in self.fixed or isinstance(value, own))
        }
        return found if self._dtype is None else {**found, "dtype": self._dtype}

    @property
    def dtype(self) -> str:
        """The dtype of the variables, unless they have their own."""
        return self._dtype or get_dtype()

    @property
    def variables(self) -> list[Variable]:
        """What it accumulates: the variables of `add_weight` and the states of `update`, and then those of the metrics
        that this one contains. The states of `update` exist once there was one.
        """
        return [v for metric in (self, *self.metrics) for v in (*metric._variables, *(metric._held or ()))]

    @property
    def added_variables(self) -> list[Variable]:
        """The variables of `add_weight`, in order, and then those of the metrics that this one contains."""
        return [v for metric in (self, *self.metrics) for v in metric._variables]

    @property
    def _arrays(self) -> list[Array] | None:
        """The states of `update`; None where there was none since the last reset."""
        return [v.compute() for v in self._held] if self._held is not None and self._begun else None

    @_arrays.setter
    def _arrays(self, arrays: Sequence[Array] | None) -> None:
        self._begun = arrays is not None
        for variable, array in zip(self._states_like(arrays or ()), arrays or (), strict=True):
            variable.assign(array)

    def _states_like(self, shapes: Sequence[Any]) -> list[Variable]:
        """Variables for states of these shapes and dtypes: those that it has, or new ones if it has others."""
        wanted = [(tuple(s.shape), s.dtype.name) if isinstance(s, np.ndarray) else (tuple(s[0]), s[1]) for s in shapes]
        if self._held is None or (wanted and [(v.shape, v.dtype) for v in self._held] != wanted):
            self._held = [Variable(np.zeros(shape, dtype), f"state_{i}") for i, (shape, dtype) in enumerate(wanted)]
        return self._held

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that this one contains, in its attributes and in theirs, each once."""
        found: dict[int, Metric] = {}
        waiting = list(vars(self).values())
        while waiting:
            value = waiting.pop(0)
            if isinstance(value, Metric) and id(value) not in found and value is not self:
                found[id(value)] = value
                waiting += vars(value).values()
            elif isinstance(value, (list, tuple, dict)):
                parts = value.values() if isinstance(value, dict) else value
                waiting += [part for part in parts if isinstance(part, Metric)]
        return list(found.values())

    def add_weight(
        self,
        shape: Sequence[int] | str = (),
        initializer: Any = "zeros",
        dtype: str | None = None,
        name: str | None = None,
        aggregation: str | None = None,
    ) -> Variable:
        """Create a variable that updates accumulate in (Keras); ``assign`` and ``assign_add`` change it.

        The name may come first. ``aggregation`` is for several devices, and has no effect.
        """
        from ranvier import initializers

        if isinstance(shape, str):
            name, shape = shape, ()
        initializer = "zeros" if initializer is None else initializer
        shape = tuple(int(n) for n in shape)
        value = initializers.get(initializer)(shape, dtype=dtype or self.dtype)
        variable = Variable(np.asarray(value, dtype or self.dtype), name or f"variable_{len(self._variables)}")
        self._variables.append(variable)
        return variable

    add_variable = add_weight

    def settings(self) -> dict[str, Any]:
        """What its update depends on: all attributes except the accumulated state."""
        return {key: value for key, value in vars(self).items() if key not in ("_held", "_begun", "_traced")}

    @property
    def given(self) -> Metric:
        """The metric as the user created it."""
        return self

    def for_logits(self, exclusive: bool = False) -> Metric:
        """Set the threshold to 0, since the outputs are logits and not probabilities. Returns the metric.

        ``exclusive``: they are logits of mutually exclusive classes, whose probabilities a softmax gives.
        """
        self._level = 0.0
        return self

    def states(self, output_shape: Sequence[Any]) -> list[StateType]:
        """Shape and dtype of each state, for outputs of this shape (without the batch dimension)."""
        raise unwritten(self, "states(self, output_shape): return [((), 'float64')]")

    def states_for(self, y_true: Node, y_pred: Node, weight: Node | None) -> list[StateType]:
        """`states` for these arguments of `update`."""
        return self.states(y_pred.shape[1:])

    def update(self, states: Sequence[Node], y_true: Node, y_pred: Node, weight: Node | None) -> list[Node]:
        """The states after one more batch."""
        raise unwritten(self, "update(self, states, y_true, y_pred, weight): return [...]")

    def read(self, arrays: Sequence[Array]) -> Any:
        """The result, computed from the states' arrays."""
        raise unwritten(self, "read(self, arrays): return ...")

    def of(self, arrays: Sequence[Array]) -> Any:
        """The result of a program's states: a float, or an array if the metric is one number for each class."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.read(arrays)

    def result(self) -> Any:
        """The result so far: a float, or an array if the metric is one number for each class."""
        if self._traced is not None:
            raise TypeError(
                f"metric {self.name!r} is read in the update_state of another, which is traced and sees no values. "
                f"Write its update_state(y_true, y_pred) there, and what is made of its result() in result()."
            )
        if isinstance(state.tracing, StepTrace):
            return self._traced_result()
        arrays = self._arrays
        value = 0.0 if arrays is None else self.of(arrays)
        return value.view(ArrayResult) if isinstance(value, np.ndarray) else FloatResult(value)

    def _traced_result(self) -> Any:
        """The result within a step that is traced."""
        return LaterResult(self)

    # --- outside of a model -----------------------------------------------------------------------------------------

    def reset_state(self) -> None:
        """Reset the state, and that of the metrics that this one contains; variables become zeros."""
        for metric in self.metrics:
            metric.reset_state()
        self._begun = False
        for variable in (*self._variables, *(self._held or ())):
            variable.assign(np.zeros(variable.shape))

    def pair(self, y_true: Any, y_pred: Any, weight: Array | None = None) -> tuple[Array, Array]:
        """Targets and predictions as `update` takes them, from arrays of any kind."""
        return as_pair(y_true, y_pred, weight)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of any size.

        Where the mask of ``y_pred`` is false, nothing counts.
        Raises ValueError for shapes that do not match, class numbers without an output (those of weight 0 are allowed),
        and weights that are negative or not one for each sample.
        """
        if (mask := mask_of(y_pred)) is not None:
            sample_weight = with_mask(sample_weight, mask)
        if self._traced is not None:
            self._traced(y_true, y_pred, sample_weight)
            return
        if isinstance(state.tracing, StepTrace):
            self._record_update(y_true, y_pred, sample_weight)
            return
        y_true, y_pred, sample_weight = self.arranged(y_true, y_pred, sample_weight)
        weight = None if sample_weight is None else weights_for(sample_weight, np.shape(y_pred))
        true, pred = self.pair(y_true, y_pred, weight)
        shapes = self.states(pred.shape[1:])
        held = self._states_like(shapes)
        arrays = [v.compute() for v in held]
        if not self._begun:
            for array in arrays:
                array[...] = 0
        self._begun = True
        given = [true, pred] if weight is None else [true, pred, weight]
        inputs = [input_node(f"x{i}", (BATCH, *a.shape[1:]), a.dtype.name) for i, a in enumerate(given)]
        states = [input_node(f"s{i}", shape, dtype) for i, (shape, dtype) in enumerate(shapes)]
        after = self.update(states, inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else None)
        graph = Graph((*inputs, *states), (), tuple(zip(states, after, strict=True)))
        program = reference.compile(graph)
        rows = max(1, AT_ONCE // max(1, math.prod(pred.shape[1:-1])))
        for start in range(0, len(pred), rows):
            program.run([*(a[start : start + rows] for a in given), *arrays], [])
        for variable in held:
            variable.version += 1

    def arranged(self, *batch: Any) -> tuple[Any, ...]:
        """Targets, outputs and weights of a call outside of a model, with a row for each sample."""
        return batch

    def on_nodes(self, states: Sequence[Node], y_true: Node, y_pred: Node, weight: Node | None) -> list[Node]:
        """`update` for nodes as a user's method gives them: see `pair`."""
        true, pred = paired(y_true, y_pred)
        if weight is not None and has_trailing_one(weight.shape, pred.shape):
            weight = apply("reshape", weight, shape=weight.shape[:-1])
        return self.update(states, true, pred, weight)

    def _record_update(self, y_true: Any, y_pred: Any, sample_weight: Any) -> None:
        """`update_state` within a step that is traced: the states are part of its program."""
        given = [x if isinstance(x, Tensor) else Tensor(x) for x in (y_true, y_pred, sample_weight) if x is not None]
        held, number = self._states_like(self.states(given[1].shape[1:])), len(given)

        def update(*nodes: Node) -> list[Node]:
            weight = nodes[2] if number > 2 else None
            return self.on_nodes(nodes[number:], nodes[0], nodes[1], weight)

        with no_grad():
            after = record(Function(f"update of {self.name}", update), [*given, *held], ())
            for variable, value in zip(held, after, strict=True):
                variable.assign(value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The result after one more batch: see ``update_state``."""
        self.update_state(*args, **kwargs)
        return self.result()


class Checked(Metric):
    """A metric whose last state counts invalid targets: if there are any, `of` raises ValueError."""

    def of(self, arrays: Sequence[Array]) -> Any:
        *rest, wrong = arrays
        if wrong > 0:
            raise ValueError(f"metric {self.name!r} {self.refusal(f'{wrong:,.0f}')}")
        return super().of(rest)

    def refusal(self, number: str) -> str:
        """What is wrong with so many targets, and what to write instead."""
        return (
            f"takes targets from 0 to 1, and {number} were others. Write y_true > 0 for targets of "
            "-1 and 1, with outputs from 0 to 1 (a sigmoid and a binary cross entropy), instead."
        )


class SampleMean(Metric):
    """The weighted mean of one value for each sample; subclasses define `values`."""

    def values(self, y_true: Node, y_pred: Node) -> Node:
        """The values to average, (samples, ...)."""
        raise unwritten(self, "values(self, y_true, y_pred): return ...")

    def states(self, output_shape: Sequence[int]) -> list[StateType]:
        return [((), WIDE), ((), WIDE)]

    @property
    def variables(self) -> list[Variable]:
        """The sum of the weighted values and the sum of the weights, and then the variables of `add_weight`."""
        if self._held is None:
            self._states_like(self.states(()))
        return super().variables

    def update(self, states: Sequence[Node], y_true: Node, y_pred: Node, weight: Node | None) -> list[Node]:
        return self.add(states, self.values(y_true, y_pred), weight)

    @staticmethod
    def add(states: Sequence[Node], values: Node, weight: Node | None) -> list[Node]:
        """The states after these values, (samples, ...)."""
        total, number = weighted_sum(values, weight)
        return [states[0] + total, states[1] + number]

    def read(self, arrays: Sequence[Array]) -> float:
        total, count = (float(a) for a in arrays)
        return total / count if count else 0.0

    def _traced_result(self) -> Any:
        if type(self).read is not SampleMean.read:  # of a subclass
            return super()._traced_result()
        self._begun = True
        return mean_of(*self.variables[:2])


def values_after_reset(metrics: Sequence[Metric], variables: Sequence[Variable]) -> list[Array]:
    """What ``reset_state`` makes of variables of these metrics, which stay as they are."""
    all_metrics = [inner for metric in metrics for inner in (metric, *metric.metrics)]
    begun = [metric._begun for metric in all_metrics]
    own = list({id(v): v for v in (*variables, *(v for m in all_metrics for v in m._held or ()))}.values())
    before = [np.array(v.compute()) for v in own]
    for metric in metrics:
        metric.reset_state()
    found = [np.array(v.compute()) for v in variables]
    for variable, value in zip(own, before, strict=True):
        np.copyto(variable.compute(), value)
    for metric, was in zip(all_metrics, begun, strict=True):
        metric._begun = was
    return found


def mean_of(total: Tensor, count: Tensor) -> Any:
    """``total / count`` as a tensor, 0 where the count is 0."""
    with no_grad():
        return numeric.where(numeric.equal(count, 0), 0.0, total / count)
