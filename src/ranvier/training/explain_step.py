"""``model.explain_step``: one training step with every number in it, computed by the step's own program."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ranvier import activations
from ranvier.data.convert import Array
from ranvier.explain.step import ExplainedStep
from ranvier.explain.step_numbers import ExplainedLayer, ExplainedWeight
from ranvier.graph.extents import Extent
from ranvier.graph.grad import derivatives
from ranvier.graph.node import BATCH, Node, like, topological
from ranvier.module import Module, Sequential
from ranvier.module.calls import in_model_dtype
from ranvier.module.shape_errors import user_name
from ranvier.tensor import rng
from ranvier.tensor.call_state import forward_hook
from ranvier.tensor.context import get_dtype
from ranvier.tensor.layout import is_transposed
from ranvier.tensor.segment import TapeSegment
from ranvier.tensor.tensor import Tensor, leaves_of
from ranvier.tensor.trace import TraceNode
from ranvier.training.adapters.arrays import to_data
from ranvier.training.step.argument_types import Losses, OptimizerLike
from ranvier.training.step.arrays import Data
from ranvier.training.step.builder import Builder, Step
from ranvier.training.step.compiled import Compiled
from ranvier.training.step.step import finished

AFFINE = ("affine", "linear")  # the functions of dense layers, of (inputs, kernel) or (inputs, kernel, bias)


@in_model_dtype
def explain_step(
    model: Module,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    loss: Losses = None,
    optimizer: OptimizerLike | None = None,
) -> ExplainedStep:
    """One training step on one sample, or on a batch, with every number in it. The model does not change.

    ``x`` is a batch, or one sample without the dimension of the batch; ``y`` and ``sample_weight`` are its targets and
    weights. ``loss`` and ``optimizer`` are those of `compile`; a model of the PyTorch vocabulary is given a criterion
    and its optimizer here. The numbers are those of the next ``train_on_batch`` to the last bit, dropout included.

    Dense layers are shown neuron by neuron: the sums, their activations, the gradients as products of the chain rule.
    Other layers show their outputs, the gradient of the loss by the outputs, and their weights. `print` shows the
    step as text, a notebook as tables; `ExplainedStep` has the arrays.

    Raises RuntimeError for a model without a loss, and TypeError for one whose class has a step of its own, or whose
    gradients meet hooks.

    Example::

        step = model.explain_step(x[0], y[0])
        print(step)
        step.layers[0].deltas  # (samples, units)
    """
    state = _settings(model, loss, optimizer)
    with state.exclusive(), same_draws():
        x, y, sample_weight = _as_batch(model, x, y, sample_weight)
        data = to_data(model, state, x, y, sample_weight)
        return StepProgram(model, state, data).run(data)


@contextlib.contextmanager
def same_draws() -> Iterator[None]:
    """Within this context random numbers are those that come next, and after it they come again."""
    streams = rng.SeedState(rng.get_seed(), rng.chosen_seed())
    streams.counters = Counter(rng.current_state().counters)
    with rng.seed_scope(streams):
        yield


def _settings(model: Module, loss: Any, optimizer: Any) -> Compiled:
    """The loss and the optimizer of a step: those that are given, and else those of `compile`."""
    known = model.__dict__.get("_compiled")
    if isinstance(known, Compiled):
        if known.calls_methods:
            raise TypeError(
                f"{model.name!r} has a step of its own ({', '.join(sorted(known.overridden)) or 'run_eagerly'}), and "
                "explain_step shows the one that compile makes. Write a model without it instead."
            )
        if loss is None and optimizer is None:
            return known
        return Compiled(
            known.optimizer if optimizer is None else optimizer,
            known.given["loss"] if loss is None else loss,
            None, None, known.engine, known.given["loss_weights"] if loss is None else None,
        )  # fmt: skip
    if loss is None or optimizer is None:
        raise RuntimeError(
            f"{model.name!r} is not compiled, and a step needs a loss and an optimizer. Write "
            "model.compile('sgd', 'mse') first, or model.explain_step(x, y, loss=nn.MSELoss(), optimizer=optimizer)."
        )
    return Compiled(optimizer, loss, None, None, None)


def _as_batch(model: Module, x: Any, y: Any, weight: Any) -> tuple[Any, Any, Any]:
    """A batch of one sample, where ``x`` is a sample."""
    dimensions = len(model._input_type.shape) if model._input_type is not None else 2
    if model._input_types or model._text_layers() or isinstance(x, (dict, tuple)) or np.ndim(x) != dimensions - 1:
        return x, y, weight
    found: list[Any] = [np.asarray(x)[None]]
    for part in (y, weight):
        array = None if part is None else np.asarray(part)
        found.append(array if array is None or array.shape == (1,) else array[None])
    return found[0], found[1], found[2]


@dataclass
class Call:
    """A call of a layer: what it is called on and returns, and of a dense layer its sums and weights."""

    module: Module
    inputs: TraceNode | None
    outputs: TraceNode
    sums: TraceNode | None = None
    weights: tuple[Any, ...] = ()  # the kernel, and the bias if there is one
    activation: str | None = None

    @classmethod
    def of(cls, module: Module, arguments: tuple[Any, ...], result: Tensor, segment: TapeSegment) -> Call:
        given = next((a for a in arguments if isinstance(a, Tensor)), None)
        inputs = None if given is None else segment.node_of(given)
        call = cls(module, inputs, segment.node_of(result))
        for node in _between(call.outputs, inputs):
            rows = node.inputs[0] if node.function is not None and node.function.name in AFFINE else None
            leaves = leaves_of(segment)
            if rows is inputs and len(node.type.shape) == 2 and all(n.function is None for n in node.inputs[1:]):
                call.sums = node
                call.weights = tuple(leaves[n.ordinal] for n in node.inputs[1:])
        if call.sums is not None and call.sums is not call.outputs:
            own = getattr(module, "activation", None)
            call.activation = getattr(own, "__name__", None) or getattr(own, "name", None) or "activation"
        return call


def _between(end: TraceNode, start: TraceNode | None) -> Iterator[TraceNode]:
    """The recorded calls from one value to another."""
    stack, seen = [end], set[TraceNode]()
    while stack:
        node = stack.pop()
        if node is start or node in seen:
            continue
        seen.add(node)
        yield node
        stack.extend(node.inputs)


def _is_container(module: Module) -> bool:
    """Whether the layers within a module are shown, and not the module: containers, and classes of the user's own."""
    own = not type(module).__module__.startswith("ranvier.")
    return own or isinstance(module, Sequential) or module._recorded is not None


class WatchedBuilder(Builder):
    """A builder that keeps what each layer is called on and returns."""

    def __init__(self, model: Module, compiled: Compiled) -> None:
        super().__init__(model, compiled, training=True)
        self.heard: list[tuple[Module, tuple[Any, ...], Tensor]] = []
        self.calls: list[Call] = []

    def hear(self, module: Any, arguments: tuple[Any, ...], result: Any) -> None:
        """Note a call of a layer. One of the library that holds others, such as an LSTM its cell, stands for them."""
        if not isinstance(result, Tensor) or module is self.model:
            return
        if module._modules:
            if _is_container(module):
                return
            inner = set(module.modules())
            self.heard = [heard for heard in self.heard if heard[0] not in inner]
        self.heard.append((module, arguments, result))

    def lower(self, segment: Any, recorded: list[Tensor], trace_nodes: list[Any], known: dict[int, Node]) -> None:
        if self.seeds:
            raise TypeError(
                f"the gradients of {self.model.name!r} meet hooks, or functions with gradients of your own, and "
                "explain_step shows gradients of the library alone. Remove the hooks first."
            )
        self.calls = [Call.of(*heard, segment) for heard in self.heard]
        outputs = [segment.node_of(t) for t in self.outputs]
        self.calls = list(_with_activations(self.calls, outputs))
        wanted = dict.fromkeys(n for c in self.calls for n in (c.inputs, c.sums, c.outputs) if n is not None)
        tensors = [Tensor.pending(node, segment) for node in wanted]
        self.kept = tensors  # `node_of` knows them by their ids
        super().lower(segment, [*recorded, *tensors], [*trace_nodes, *wanted], known)
        self.node_by_trace = {trace: self.node(t) for trace, t in zip(wanted, tensors, strict=True)}


def _with_activations(calls: Sequence[Call], outputs: Sequence[TraceNode]) -> Iterator[Call]:
    """The calls, where a dense layer takes the activation that follows it, and the call of that is left out."""
    users: dict[TraceNode, set[Any]] = {}
    ends = dict.fromkeys(node for end in outputs for node in _between(end, None))
    for node in ends:
        for operand in node.inputs:
            users.setdefault(operand, set()).add(node)
    taken: set[TraceNode] = set()
    for call in calls:
        if call.sums is None or call.sums is not call.outputs:
            continue
        (after, *others) = users.get(call.sums, {None})
        name = "" if after is None or after.function is None else after.function.name
        if not others and after is not None and len(after.inputs) == 1 and name in activations.REGISTRY.names:
            call.outputs, call.activation = after, name
            taken.add(after)
    for call in calls:
        if call.sums is not None or call.outputs not in taken or call.module._parameters:
            yield call


class StepProgram:
    """The program of a step on as many samples as there are in ``data``, compiled to return all its numbers.

    It may run again and again, also while the model is trained in the same thread: it copies the weights.
    """

    def __init__(self, model: Module, state: Compiled, data: Data) -> None:
        self.model, self.state = model, state
        self.builder = WatchedBuilder(model, state)
        with forward_hook(self.builder.hear):
            self.builder.record(data)
        self.wanted: dict[Any, Node] = {}  # what the program returns, by what it is
        self.step = finished(self.builder, len(data), self._outputs)

    def _outputs(self, loss: Node) -> list[Node]:
        builder, wanted = self.builder, self.wanted
        nodes = builder.node_by_trace
        by = list(dict.fromkeys(nodes[n] for c in builder.calls for n in (c.sums, c.outputs) if n is not None))
        chosen = [(name, p) for name, p in builder.parameters.items() if p.requires_grad]
        wanted["loss"] = loss
        for node, part in zip(by, derivatives([loss], [like(loss, 1.0)], by), strict=True):
            if part is not None:
                wanted["gradient", node] = part
        for (_, p), part in zip(chosen, builder.gradients(loss, chosen), strict=True):
            wanted["weight", id(p)] = part
        for call in builder.calls:
            for trace in (call.inputs, call.sums, call.outputs):
                if trace is not None:
                    wanted["value", nodes[trace]] = nodes[trace]
            if call.sums is not None and (slope := _slope(nodes[call.sums], nodes[call.outputs])) is not None:
                wanted["slope", nodes[call.sums]] = slope
        return list(wanted.values())

    def run(self, data: Data) -> ExplainedStep:
        """The numbers of a step on these samples."""
        step, state, builder = self.step, self.state, self.builder
        states, found = _run(state, step, data, list(self.wanted.values()))
        values = dict(zip(self.wanted, found, strict=True))
        starts, after = (
            {id(t): a.T if is_transposed(t._value) else a for t, a in zip(step.state, arrays, strict=False)}
            for arrays in states
        )

        def weight(p: Any) -> ExplainedWeight:
            return ExplainedWeight(starts[id(p)], values.get(("weight", id(p))), after[id(p)])

        def array(kind: str, trace: TraceNode | None) -> Array | None:
            return None if trace is None else values.get((kind, builder.node_by_trace[trace]))

        layers = []
        for call in builder.calls:
            tensors = {**dict(call.module.named_parameters()), **dict(call.module.named_buffers())}
            own = {n: weight(t) for n, t in tensors.items() if id(t) in after}
            sums = None if call.sums is None else builder.node_by_trace[call.sums]
            has_activation = sums is not builder.node_by_trace[call.outputs]  # one that is not linear
            kernel = next(
                (n for n, t in call.module._parameters.items() if call.weights and t is call.weights[0]), None
            )
            layers.append(
                ExplainedLayer(
                    name=user_name(call.module, self.model),
                    kind=type(call.module).__name__,
                    activation=call.activation if has_activation else None,
                    inputs=array("value", call.inputs),
                    sums=array("value", call.sums),
                    outputs=array("value", call.outputs),  # type: ignore[arg-type]  # every call has some
                    output_gradients=array("gradient", call.outputs),
                    slopes=array("slope", call.sums),
                    deltas=array("gradient", call.sums),
                    kernel=kernel,
                    transposed=kernel == "weight",
                    weights=own,
                )
            )
        losses = dict.fromkeys(spec.loss.name for spec in state.outputs if spec.loss is not None)
        return ExplainedStep(
            layers,
            float(values["loss"]),
            ", ".join(losses) or "added losses",
            repr(state.optimizer),
            float(state.optimizer.current_rate()),
            data.x[0],
            data.y[0] if len(data.y) == 1 else None,
            bool(builder.penalties),
        )


def _slope(sums: Node, outputs: Node) -> Node | None:
    """The derivative of an activation at each sum; None for one that mixes the sums, such as softmax."""
    if sums is outputs:
        return None
    depends = {sums}
    for node in topological([outputs]):
        if node not in depends and any(i in depends for i in node.inputs):
            if node.op.kind != "elementwise":
                return None
            depends.add(node)
    return derivatives([outputs], [like(outputs, 1.0)], [sums])[0]


def _run(state: Compiled, step: Step, data: Data, nodes: Sequence[Node]) -> Any:
    """Run the step on copies of the weights: their arrays before and after it, and the values of the nodes."""
    for tensor in step.state:
        tensor.compute()
    arrays = step.state_arrays()
    before, copies = ([np.array(a) for a in arrays] for _ in range(2))
    salt = np.asarray(rng.numpy_generator("fit").integers(2**32, dtype=np.uint32))
    state.follow_settings()
    rate = np.asarray(state.optimizer.current_rate(), get_dtype())
    extents = {BATCH: len(data)}
    shapes = [tuple(extents[d] if isinstance(d, Extent) else d for d in node.shape) for node in nodes]
    found = [np.zeros(shape, node.dtype) for shape, node in zip(shapes, nodes, strict=True)]
    order = np.arange(len(data), dtype=np.int32)
    step.program.run(step.arrays(data, order, (salt, rate), copies), found, 0, 1, len(data))
    return (before, copies), found
