"""What is drawn of a model: its layers, the places of those before each, and a model of all their outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import ranvier as rv
from ranvier.cli.page.calls import Calls
from ranvier.cli.page.sources import Array, some
from ranvier.module.arguments import input_parameters
from ranvier.support.tree import flatten

POOLING = ("MaxPooling2D", "AveragePooling2D", "MaxPool2d", "AvgPool2d", "Activation")


@dataclass(eq=False)
class Outline:
    """The layers of a model that are shown, in order.

    ``inner`` is a model that returns the outputs of each of ``shown``. ``sources`` has for each of them the places of
    those that it is computed from: 1 for the first that is shown, 0 for the first input, -1 for the second.
    ``activations`` has by place the function that a layer's ``forward`` of a class of one's own applies to its outputs.
    ``ends`` are the places in ``shown`` of the model's outputs, and ``form`` is the list or dict that it returns, with
    their numbers in it; 0 where it returns an array. ``shapes`` are those of the outputs of ``shown``, without samples.
    ``channels_first`` says that the model's maps are (samples, channels, height, width); here channels are last.
    """

    inner: Any
    shown: list[Any]
    names: list[str]
    sources: list[list[int]]
    ends: list[int]
    form: Any
    shapes: list[tuple[int, ...]]
    activations: dict[int, str] = field(default_factory=dict)
    channels_first: bool = False

    @property
    def widths(self) -> list[int]:
        """How many numbers the layers give, in the last dimension."""
        return [shape[-1] for shape in self.shapes]

    @property
    def end_names(self) -> list[str]:
        """The names of the outputs."""
        return list(self.form) if isinstance(self.form, dict) else [self.names[end] for end in self.ends]

    def packed(self, values: list[Any]) -> Any:
        """A value for each output as the model returns its outputs."""
        if isinstance(self.form, dict):
            return {name: values[k] for name, k in self.form.items()}
        return values if isinstance(self.form, list) else values[0]

    def outputs(self, x: Any, **options: Any) -> list[Array]:
        """What each layer that is shown gives for some rows."""
        found: list[Array] = list(flatten(self.inner.predict(x, verbose=0, **options), np.ndarray))
        return [np.moveaxis(part, 1, -1) if self.channels_first and part.ndim == 4 else part for part in found]


class Around(rv.Module):
    """A model of any class, of which something else is returned."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self._input_type, self._input_types = model._input_type, model._input_types
        self._input_container = model._input_container
        self.input_names = input_names(model)


class Layers(Around):
    """It returns what each layer that is shown gives."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.keep: list[Calls] = []  # of the last trace

    def forward(self, *inputs: Any) -> Any:
        calls = Calls(self.model, changes)
        self.keep[:] = [calls]
        return calls.of(inputs)


def outline(model: Any, x: Any) -> Outline:
    """The outline of a model, whose maps have their channels last: see `traced`."""
    found = traced(model, x)
    if isinstance(x, np.ndarray) and x.ndim == 4 and is_channels_first(x.shape[1:]):
        found.channels_first = True
        found.shapes = [(*shape[1:], shape[0]) if len(shape) == 3 else shape for shape in found.shapes]
    return found


def is_channels_first(shape: tuple[int, ...]) -> bool:
    """Whether inputs of this shape are images with the channels before height and width."""
    return len(shape) == 3 and shape[0] in (1, 3) and min(shape[1:]) > 3


def traced(model: Any, x: Any) -> Outline:
    """The outline of a model as it is.

    Of a class of one's own, and of models within a model, the layers are known when it runs: on the first row of ``x``.
    """
    if is_recorded(model) and (
        model._text_layers() or not any(is_recorded(m) for m in model.modules() if m is not model)
    ):
        ends = [symbol.call for symbol in model.outputs]
        known, sources = shown_calls(ends, [symbol.call for symbol in model.inputs])
        inner = rv.Model(model.inputs, [call.values[0] for call in known])
        modules = [call.module for call in known]
        form = model.output if model._recorded is not None else 0
        shape = inner.output_shape
        shapes = [tuple(int(d) for d in one[1:]) for one in (shape if isinstance(shape, list) else [shape])]
        names = [module.name for module in modules]
        return Outline(inner, modules, names, sources, [known.index(end) for end in ends], form_of(form), shapes)
    inner = Layers(model)
    found = list(flatten(inner.predict(some(x, slice(1)), verbose=0), np.ndarray))
    (calls,) = inner.keep
    steps = calls.steps
    return Outline(
        inner, [step.module for step in steps], [step.name for step in steps], [step.sources for step in steps],
        calls.ends, form_of(calls.result), [part.shape[1:] for part in found],
        {k: step.activation for k, step in enumerate(steps) if step.activation},
    )  # fmt: skip


def input_names(model: Any) -> list[str]:
    """The names of a model's inputs: those of its arguments, or of their dict."""
    form, count = model._input_container, max(1, len(model._input_types))
    names = input_parameters(model)[0] if form is None else form if isinstance(form, tuple) else ()
    return [*names, *(f"input {k}" for k in range(len(names), count))][:count]


def is_recorded(model: Any) -> bool:
    """Whether the layers of a model are known before it runs."""
    return isinstance(model, rv.Sequential) or model._recorded is not None


def form_of(outputs: Any) -> Any:
    """The list or dict of a model's outputs with their numbers in it; 0 for one output alone."""
    if isinstance(outputs, Mapping):
        return {name: k for k, name in enumerate(outputs)}
    return list(range(len(outputs))) if isinstance(outputs, (list, tuple)) else 0


def shown_calls(ends: list[Any], inputs: list[Any]) -> tuple[list[Any], list[list[int]]]:
    """The calls of layers that are shown, up to the outputs, in order; and the places of those before each."""
    order: dict[Any, None] = {}
    stack = ends[::-1]
    while stack:
        call = stack[-1]
        if waiting := [parent for parent in call.parents if parent not in order]:
            stack += waiting[::-1]
        else:
            order[stack.pop()] = None
    calls: list[Any] = []
    sources: list[list[int]] = []
    places: dict[Any, list[int]] = {call: [-k] for k, call in enumerate(inputs)}  # of what a call gives
    for call in order:
        before = list(dict.fromkeys(place for parent in call.parents for place in places[parent])) or [0]
        places.setdefault(call, before)
        if call in ends or (call.parents and (changes(call.module) or len(before) > 1)):
            calls.append(call)
            sources.append(before)
            places[call] = [len(calls)]
    return calls, sources


def changes(layer: Any) -> bool:
    """Whether a layer is shown: not one that moves, scales or drops values."""
    kind = type(layer)
    is_activation = kind.__module__.endswith(".activations") and kind.__name__ != "Identity"
    return bool(layer.weights) or kind.__name__ in POOLING or is_activation


def matrix_of(layer: Any) -> Array | None:
    """The weights of a dense layer as (features, units), in both vocabularies; None for other layers."""
    kernel, weight = getattr(layer, "kernel", None), getattr(layer, "weight", None)
    if kernel is not None:
        found: Array = kernel.numpy()
        return found if found.ndim == 2 else None
    if type(layer).__name__ == "Linear" and weight is not None:
        turned: Array = weight.numpy().T
        return turned
    return None
