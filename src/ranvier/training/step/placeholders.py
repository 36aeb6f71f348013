"""What a model records when it is called on placeholders: its inputs, and the losses and metrics of its outputs."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ranvier.data.convert import Array
from ranvier.graph.extents import Dim
from ranvier.graph.node import BATCH, FLOATS, Node, Type, apply, like
from ranvier.losses import Loss
from ranvier.losses.mixture import Mixture, each
from ranvier.module import Module, mode
from ranvier.tensor import rng
from ranvier.tensor.check_returned import callable_name, check_tensor, return_error
from ranvier.tensor.context import get_dtype
from ranvier.tensor.masks import mask_of
from ranvier.tensor.tensor import Tensor
from ranvier.training.step.outputs import FunctionMetric, OutputSpec

EACH = "a tensor with a number for each sample"  # what losses and metrics return


def placeholders(model: Module, x: Sequence[Array], rows: Dim = BATCH) -> list[Tensor]:
    """The tensors of so many rows that the model is called on: floats, unless its input types are integers."""
    wanted = model._input_types or (model._input_type,) * len(x)
    result = []
    for array, type_ in zip(x, wanted, strict=False):
        dtype = type_.dtype if type_ is not None and type_.dtype not in FLOATS else get_dtype()
        result.append(Tensor.placeholder(Type((rows, *array.shape[1:]), dtype)))
    return result


def cast_rows(node: Node, wanted: Type) -> Node:
    """Rows of the data in the dtype of the model's input."""
    return node if node.dtype == wanted.dtype else apply("cast", node, dtype=wanted.dtype)


@dataclass
class TracedOutput:
    """What is recorded of one output: the losses of its samples, what each counts in a mean, the results of metric
    functions, the targets for metrics, the samples' weights, and the output's mask.
    """

    spec: OutputSpec
    values: Tensor | None
    counted: Tensor | None
    custom: list[Tensor]
    y: Tensor | None
    weight: Tensor | None
    mask: Tensor | None

    @classmethod
    def of(cls, spec: OutputSpec, y: Any, output: Tensor, weight: Tensor | None) -> TracedOutput:
        plain = y
        if isinstance(y, Mixture):  # metrics of classes need a class as the target
            of_classes = y.labels or spec.loss is None or spec.loss.maker or spec.loss.from_logits
            plain = y.dominant() if of_classes else y.soft()
        custom = [
            check_tensor(m.on(plain, output), f"the metric {m.name!r}", EACH)
            for m, _ in spec.metrics
            if isinstance(m, FunctionMetric)
        ]
        if spec.loss is None:
            return cls(spec, None, None, custom, plain, weight, mask_of(output))
        loss, values = spec.loss, losses_of(spec.loss, y, output)
        counted = each(lambda y: loss.counted(y, values), y)
        return cls(spec, values, counted, custom, plain, weight, mask_of(output))

    def tensors(self) -> list[Tensor]:
        found = (self.values, self.counted, *self.custom, self.y, self.weight, self.mask)
        return [t for t in found if t is not None]


def losses_of(loss: Loss, y: Any, output: Any) -> Tensor:
    """The losses of an output's samples while a model is traced, or the result of a ``__call__`` that you wrote.

    Raises TypeError unless they are a tensor.
    """
    overridden = type(loss).__call__ is not Loss.__call__
    function = loss if overridden else loss.per_sample
    values: Tensor = check_tensor(function(y, output), f"the loss {loss.name!r}", EACH)
    return values


def random_streams(draws: Sequence[tuple[Tensor, Tensor]], salt: Node, ticks: Node) -> dict[int, Node]:
    """A random stream for each draw, different in each step, by the id of the tensor that it replaces."""
    known: dict[int, Node] = {}
    seed = rng.fold_seed(rng.get_seed())
    for i, (key, stream) in enumerate(draws):
        known[id(stream)] = ticks * like(ticks, len(draws)) + like(ticks, i)
        if key.item() == seed:  # a layer with its own seed keeps it
            known[id(key)] = salt
    return known


def placeholder_for(rows: Node | None, known: dict[int, Node]) -> Any:
    """A placeholder for rows of the data while a step is recorded; None if there are no rows."""
    if rows is None:
        return None
    tensor = Tensor.placeholder(rows.type)
    known[id(tensor)] = rows
    return tensor


def augmented(augment: Any, x: list[Any], y: list[Any], weight: list[Any]) -> tuple[list[Any], ...]:
    """Inputs, targets and weights after an augmentation, which takes a tensor for one of each, a tuple for several."""
    inputs, targets, weights = (part[0] if len(part) == 1 else tuple(part) for part in (x, y, weight))
    with mode(augment, True) if isinstance(augment, Module) else contextlib.nullcontext():
        if any(w is not None for w in weight):
            found, wanted = augment(inputs, targets, weight=weights), ["x", "y", "weight"]
        else:
            found, wanted = augment(inputs, targets), ["x", "y"]
    what = f"augment={callable_name(augment)}"
    if not isinstance(found, (tuple, list)) or len(found) != len(wanted):
        raise return_error(found, what, f"{', '.join(wanted)}")
    parts = []
    for name, part, old in zip(("x", "y", "weight"), (*found, weights), (x, y, weight), strict=False):
        listed = [part] if len(old) == 1 else list(part)
        for value, before in zip(listed, old, strict=True):
            if not isinstance(value, Mixture) and not (value is None and before is None):
                check_tensor(value, f"{what}, for {name},", "a tensor")
        parts.append(listed)
    return tuple(parts)
