"""The subject of the checks: the calls that a model records, its losses, and samples of its data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.data.sampled import in_floats, sample
from ranvier.graph.extents import Dim
from ranvier.graph.open_extents import ANY_ROWS, OpenExtent
from ranvier.module import Module, mode
from ranvier.module.arguments import pack_inputs
from ranvier.module.batch_extent import for_any_or
from ranvier.module.shape_errors import user_name
from ranvier.tensor import rng
from ranvier.tensor.call_state import forward_hook, isolated_tape
from ranvier.tensor.tensor import Tensor, leaves_of
from ranvier.tensor.trace import TraceNode
from ranvier.training.preflight.report import Fault, listed
from ranvier.training.step.arrays import Data
from ranvier.training.step.compiled import Compiled
from ranvier.training.step.objective import exclusive
from ranvier.training.step.placeholders import placeholders

AFFINE = ("affine", "linear")
LINEAR = (*AFFINE, "convolve", "convolve_transposed")
# Calls between two layers that these checks may skip.
TRANSPARENT = (
    "flatten", "_rows", "reshape", "drop", "dropout", "alpha_dropout", "gaussian_dropout", "linear_activation", "cast",
    "checked", "detach", "squeeze", "expand_dims", "transpose",
)  # fmt: skip
MIN_ROWS = 10  # fewer rows prove nothing


def name_of(node: TraceNode) -> str:
    name = "" if node.function is None else node.function.name
    # PyTorch calls the layer's product "linear", and Keras the activation that does nothing.
    return "linear_activation" if name == "linear" and len(node.inputs) == 1 else name


def skip_transparent(node: TraceNode) -> TraceNode:
    """The call that made this, before calls that the checks may skip."""
    while node.inputs and name_of(node) in TRANSPARENT:
        node = node.inputs[0]
    return node


def read_leaves(outputs: list[Tensor]) -> list[Tensor]:
    """The leaves of the segment in which these were recorded, by their ordinals."""
    return next((leaves_of(o.segment) for o in outputs if o.segment is not None), [])


def root_mean_square(rows: Array, origin: Any = 0.0) -> Array:
    """Of each feature of (rows, features), measured from ``origin``."""
    moved = (some - origin for some in in_floats(rows))
    return np.sqrt(sum(np.einsum("ij,ij->j", some, some) for some in moved) / len(rows))


@dataclass
class InspectedInput:
    """One input of the model: its name in messages, its array, and the placeholder that the model was called on."""

    name: str
    array: Array
    leaf: Tensor

    @cached_property
    def rows(self) -> Array:
        """Sampled rows, (rows, features), in the dtype of the data."""
        rows = sample(self.array)
        return rows.reshape(len(rows), -1)

    @cached_property
    def finite(self) -> bool:
        return bool(np.isfinite(self.rows).all())

    @cached_property
    def low(self) -> Array:
        return self.rows.min(0).astype(np.float64)

    @cached_property
    def high(self) -> Array:
        return self.rows.max(0).astype(np.float64)

    @cached_property
    def pixels(self) -> bool:
        """Whether these look like images: integers from 0 to 255."""
        if self.array.ndim < 2 or not self.rows.size or not self.finite:
            return False
        if self.low.min() < 0 or not 100 <= self.high.max() <= 255:
            return False
        return self.array.dtype.kind in "ui" or np.array_equal(self.rows, np.trunc(self.rows))

    @cached_property
    def scaled_pixels(self) -> bool:
        """Whether these look like images divided by 255, which have one scale although their edges hardly vary."""
        if not self.rows.size or not self.finite or self.low.min() < 0 or self.high.max() > 1:
            return False
        return all((np.abs(255 * some - np.rint(255 * some)) < 1e-3).all() for some in in_floats(self.rows))

    @cached_property
    def spread(self) -> tuple[Array, Array] | None:
        """The standard deviation and root mean square of each feature; None if checks of scales do not apply."""
        if self.array.ndim < 2 or len(self.array) < MIN_ROWS or not self.finite or self.pixels or self.scaled_pixels:
            return None
        mean = self.rows.mean(0, dtype=np.float64)
        return root_mean_square(self.rows, mean), root_mean_square(self.rows)


@dataclass
class InspectedOutput:
    """One output of the model with its loss, its targets and their weights."""

    loss: Any
    tensor: Tensor
    y: Array
    weight: Array | None
    name: str = "y"
    place: int = 0  # among the outputs
    class_names: Sequence[Any] | None = None

    @property
    def kind(self) -> str:
        return type(self.loss).__name__

    @cached_property
    def function(self) -> str:
        """The name of the function of a loss module in PyTorch's style."""
        return getattr(getattr(getattr(self.loss, "module", None), "function", None), "__name__", "")

    @property
    def trace_node(self) -> TraceNode | None:
        """The call that made the output, before calls that the checks may skip."""
        return None if self.tensor.trace_node is None else skip_transparent(self.tensor.trace_node)

    @property
    def last(self) -> str:
        return "" if self.trace_node is None else name_of(self.trace_node)

    @property
    def several(self) -> bool:
        return self.tensor.shape[-1] != 1

    @property
    def categorical(self) -> bool:
        """Whether the loss is for one class of several."""
        return exclusive(self.loss)

    @property
    def binary(self) -> bool:
        """Whether the loss is for independent binary labels."""
        return self.loss.maker == "sigmoid" or self.function.startswith("binary_cross_entropy")

    @property
    def regression(self) -> bool:
        """Whether the loss is for numbers, so that the scale of targets matters."""
        return self.kind in ("MeanSquaredError", "MeanAbsoluteError", "Huber", "LogCosh") or self.function in (
            "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss",
        )  # fmt: skip

    @property
    def wants_logits(self) -> bool:
        return bool(getattr(self.loss, "from_logits", False)) or self.function in (
            "cross_entropy",
            "binary_cross_entropy_with_logits",
        )

    @property
    def classes(self) -> int:
        """The number of classes of the output; 0 if it is not that of a classifier."""
        last = self.tensor.shape[-1] if len(self.tensor.shape) > 1 else 1
        if self.binary and last == 1:
            return 2
        return last if self.categorical and isinstance(last, int) else 0

    def labels(self, y: Array) -> Array | None:
        """The class of each row, if the targets are class numbers, binary labels or one-hot rows."""
        if not self.classes:
            return None
        if y.ndim == 1 and y.dtype.kind in "iu":
            return y
        flat = y.reshape(len(y), -1)
        if self.binary and flat.shape[1] == 1:
            return flat[:, 0].astype(np.int32) if np.isin(flat, (0, 1)).all() else None
        if y.ndim == 2 and y.shape[1] == self.classes and y.dtype.kind == "f":
            some = sample(y)
            if ((some == 0) | (some == 1)).all() and (some.sum(1) == 1).all():
                return y.argmax(1)
        return None

    def label(self, number: int) -> str:
        """A class as the user wrote it."""
        return str(number) if self.class_names is None else repr(self.class_names[number])

    def listed(self, numbers: Array) -> str:
        return listed([self.label(number) for number in numbers.tolist()])

    def counts(self, y: Array) -> Array | None:
        """How often each class occurs; labels out of range (those that the loss ignores) are left out."""
        labels = self.labels(y)
        if labels is None:
            return None
        return np.bincount(labels[(labels >= 0) & (labels < self.classes)], minlength=self.classes)


class Inspection:
    """One recorded call of the model, and the data that it was called for."""

    def __init__(self, model: Module, state: Compiled, data: Data, validation: Data | None = None) -> None:
        data = data.selected()
        self.model, self.state, self.data = model, state, data
        self.validation = None if validation is None else validation.selected()
        self.owners: dict[TraceNode, Module] = {}
        self.calls: list[tuple[Module, TraceNode | None]] = []  # each call, and the call that made its first argument
        names = ["x"] if len(data.x) == 1 else [f"x[{i}]" for i in range(len(data.x))]
        specs = state.outputs

        def trace(rows: Dim) -> list[Any]:
            self.inputs = list(map(InspectedInput, names, data.x, placeholders(model, data.x, rows)))
            with mode(model, False), isolated_tape(model), forward_hook(self._assign_owner):
                given = pack_inputs([i.leaf for i in self.inputs], model._input_container)
                return specs.structure.flat(model(*given))

        outputs = for_any_or(trace, OpenExtent(ANY_ROWS))
        self.outputs = [
            InspectedOutput(spec.loss, output, y, weight, specs.structure.label(i, "y"), i, state.class_names)
            for i, (spec, output, y, weight) in enumerate(zip(specs, outputs, data.y, data.weight, strict=True))
            if spec.loss is not None and y is not None
        ]
        self.leaves = read_leaves(outputs)
        self.holders = {id(p): m for m in model.modules() for p in m._parameters.values() if p is not None}
        self.trace_nodes = list(self._walk([o.trace_node for o in outputs]))

    def metrics(self, output: InspectedOutput) -> list[Any]:
        """The metrics of an output."""
        return [metric for metric, _ in self.state.outputs.specs[output.place].metrics]

    def training_calls(self) -> tuple[list[Tensor], list[Module]]:
        """The leaves that a call in training mode reads, and the modules that it calls; no random state changes."""
        ran: list[Module] = []
        placed = [Tensor.placeholder(given.leaf.spec) for given in self.inputs]
        record = forward_hook(lambda module, args, result: ran.append(module))
        with mode(self.model, True), isolated_tape(self.model), rng.seed_scope(rng.get_seed()), record:
            result = self.model(*pack_inputs(placed, self.model._input_container))
        return read_leaves(self.state.outputs.structure.flat(result)), ran

    def _assign_owner(self, module: Module, args: tuple[Any, ...], result: Any) -> None:
        """Assign the recorded calls of a module to it, unless they belong to a module inside it."""
        before = {a.trace_node for a in args if isinstance(a, Tensor)}
        results = result if isinstance(result, (tuple, list)) else [result]
        self.calls.append((module, args[0].trace_node if args and isinstance(args[0], Tensor) else None))
        pending = [t.trace_node for t in results if isinstance(t, Tensor)]
        while pending:
            node = pending.pop()
            if node is None or node.function is None or node in before or node in self.owners:
                continue
            self.owners[node] = module
            pending.extend(node.inputs)

    def _walk(self, pending: list[TraceNode | None]) -> Iterator[TraceNode]:
        known: set[TraceNode] = set()
        while pending:
            node = pending.pop()
            if node is None or node in known:
                continue
            known.add(node)
            yield node
            pending.extend(node.inputs)

    def leaf(self, node: TraceNode) -> Tensor | None:
        """The tensor of a trace node that is a leaf; None for a call."""
        return self.leaves[node.ordinal] if node.function is None else None

    def weights(self, node: TraceNode) -> list[Tensor]:
        """The parameters that a call takes as operands."""
        found = []
        for child in node.inputs:
            while child.function is not None and len(child.inputs) == 1:  # a transposed weight
                child = child.inputs[0]
            leaf = self.leaf(child)
            if leaf is not None and id(leaf) in self.holders:
                found.append(leaf)
        return found

    def layer_of(self, node: TraceNode | None) -> Module:
        """The layer that made this call; for a call in your ``forward``, the last layer with weights before it."""
        while node is not None and node.function is not None:
            owner = self.owners.get(node)
            if owner is not None and not owner._modules:
                return owner
            weights = self.weights(node)
            if weights:
                return self.holders[id(weights[-1])]
            node = node.inputs[0] if node.inputs else None
        return self.model

    def name(self, module: Module) -> str:
        return user_name(module, self.model)

    def first_layer(self, given: InspectedInput) -> Module | None:
        """The layer that multiplies this input by weights; None if the input is rescaled or looked up before."""
        for node in self.trace_nodes:
            first = skip_transparent(node.inputs[0]) if node.inputs else None
            if first is None or self.leaf(first) is not given.leaf or name_of(node) == "embedding":
                continue
            if any(len(w.shape) > 1 for w in self.weights(node)):
                return self.layer_of(node)
        return None

    def are_indices(self, given: InspectedInput) -> bool:
        """Whether an embedding looks up the numbers of this input."""
        rows = (skip_transparent(node.inputs[0]) for node in self.trace_nodes if name_of(node) == "embedding")
        return any(self.leaf(first) is given.leaf for first in rows)


def of_outputs(find: Callable[[InspectedOutput], Iterator[Fault]]) -> Callable[[Inspection], Iterator[Fault]]:
    """A check that looks at each output by itself, and whose mistakes are in the layer that made the output."""

    def faults(view: Inspection) -> Iterator[Fault]:
        for output in view.outputs:
            for fault in find(output):
                yield replace(fault, module=view.layer_of(output.trace_node))

    return faults
