"""What is recorded when a model is called on stand-ins for its data: its inputs, and what each output is judged by."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ranvier.data.convert import Array
from ranvier.graph.node import BATCH, FLOATS, Node, Type, apply, like
from ranvier.losses import Loss
from ranvier.losses.mixture import Mixture, each
from ranvier.module import Module, mode
from ranvier.tensor import rng
from ranvier.tensor.check_returned import callable_name, check_tensor, return_error
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tensor import Tensor
from ranvier.training.step.outputs import FunctionMetric, Head

__all__ = ["Judged", "as_given", "augmented", "losses_of", "placeholders", "stand_in", "streams"]


EACH = "a tensor with a number for each sample"  # what losses and metrics return


def placeholders(model: Module, x: Sequence[Array]) -> list[Tensor]:
    """What the model is called on: floats, unless it says that it takes integers."""
    wanted = model._input_types or (model._input_type,) * len(x)
    result = []
    for array, type_ in zip(x, wanted, strict=False):
        dtype = type_.dtype if type_ is not None and type_.dtype not in FLOATS else get_dtype()
        result.append(Tensor.placeholder(Type((BATCH, *array.shape[1:]), dtype)))
    return result


def as_given(node: Node, wanted: Type) -> Node:
    """Rows of the data in the dtype that the model is called on."""
    return node if node.dtype == wanted.dtype else apply("cast", node, dtype=wanted.dtype)


@dataclass
class Judged:
    """What is recorded of one output: its losses, what a mean counts them as, what functions for metrics return, what
    metrics compare with, and the samples' weights.
    """

    head: Head
    values: Tensor | None
    counted: Tensor | None
    custom: list[Tensor]
    y: Tensor | None
    weight: Tensor | None

    @classmethod
    def of(cls, head: Head, y: Any, output: Tensor, weight: Tensor | None) -> Judged:
        plain = y
        if isinstance(y, Mixture):  # metrics of classes compare with a class
            of_classes = y.labels or head.loss is None or head.loss.maker or head.loss.from_logits
            plain = y.dominant() if of_classes else y.soft()
        custom = [
            check_tensor(m.on(plain, output), f"the metric {m.name!r}", EACH)
            for m, _ in head.metrics
            if isinstance(m, FunctionMetric)
        ]
        if head.loss is None:
            return cls(head, None, None, custom, plain, weight)
        values = losses_of(head.loss, y, output)
        return cls(head, values, each(head.loss.counted, y), custom, plain, weight)

    def tensors(self) -> list[Tensor]:
        found = (self.values, self.counted, *self.custom, self.y, self.weight)
        return [t for t in found if t is not None]


def losses_of(loss: Loss, y: Any, output: Any) -> Tensor:
    """The losses of an output's samples, while a model is traced; what a ``__call__`` of the user's makes of them.

    Raises TypeError where they are no tensor.
    """
    own = type(loss).__call__ is not Loss.__call__
    values: Tensor = check_tensor(
        (loss if own else loss.per_sample)(y, output), f"the loss {loss.name!r}", EACH
    )
    return values


def streams(draws: Sequence[tuple[Tensor, Tensor]], salt: Node, ticks: Node) -> dict[int, Node]:
    """Random streams that differ from draw to draw and from step to step, by the ids of what they stand for."""
    known: dict[int, Node] = {}
    own = rng.fold_seed(rng.get_seed())
    for i, (key, stream) in enumerate(draws):
        known[id(stream)] = ticks * like(ticks, len(draws)) + like(ticks, i)
        if key.item() == own:  # a layer with a seed of its own keeps it
            known[id(key)] = salt
    return known


def stand_in(rows: Node | None, known: dict[int, Node]) -> Any:
    """A tensor for rows of the data while a step is recorded."""
    if rows is None:
        return None
    tensor = Tensor.placeholder(rows.type)
    known[id(tensor)] = rows
    return tensor


def augmented(augment: Any, x: list[Any], y: list[Any], weight: list[Any]) -> tuple[list[Any], ...]:
    """Inputs, targets and weights as an augmentation makes them: tensors for one of each, tuples for several."""
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
