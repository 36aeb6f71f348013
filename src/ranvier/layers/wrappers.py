"""Layers around another layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from ranvier.graph.node import GraphError
from ranvier.layers.annotations import LayerOptions
from ranvier.layers.base import Layer
from ranvier.module.core import Module
from ranvier.module.masks import parameters_of
from ranvier.module.serialization import register_module
from ranvier.ops import loops


@register_module
class Wrapper(Layer):
    """The base of layers around another, which is their ``layer``."""

    def __init__(self, layer: Module, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        if not isinstance(layer, Module):
            raise ValueError(
                f"layer {self.name!r} was given {layer!r} to wrap. Write a layer, such as Dense(8), instead."
            )
        self.layer = layer

    def build(self, input_shape: Any) -> None:
        if type(self.layer)._builds and not self.layer.built:
            self.layer._build_of(input_shape)

    def forward(self, x: Any) -> Any:
        return self.layer(x)


@register_module
class TimeDistributed(Wrapper):
    """The layer at each step of a sequence: (batch, steps, ...) -> (batch, steps, ...).

    A ``mask`` (batch, steps) is given to the layer, step by step, where it takes one, and stays that of the result.
    """

    supports_masking = True

    def build(self, input_shape: Any) -> None:
        super().build((*input_shape[:1], *input_shape[2:]))

    def forward(self, x: Any, mask: Any = None) -> Any:
        if x.ndim < 3:
            raise GraphError("it takes inputs of 3 dimensions or more: (batch, steps, features)")
        if mask is not None and tuple(mask.shape[:2]) != tuple(x.shape[:2]):
            raise ValueError(
                f"layer {self.name!r} was given a mask of shape {tuple(mask.shape)} for inputs of shape "
                f"{tuple(x.shape)}. Write one of shape {tuple(x.shape[:2])} instead."
            )
        if vars(type(self.layer)).get("every_position"):
            return self.layer(x)
        takes_mask = mask is not None and "mask" in parameters_of(self.layer)

        def step(carry: Any, slices: Any) -> Any:
            x, kept = slices
            return carry, self.layer(x) if kept is None else self.layer(x, mask=kept)

        return loops.scan(step, None, (x, mask if takes_mask else None), axis=1)[1]


@register_module
class Pipeline(Layer):
    """Layers one after another, as of preprocessing: ``Pipeline([RandomFlip(), RandomHue(0.2)])``. Source: Keras."""

    def __init__(self, layers: Sequence[Module], **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.steps = list(layers)

    def forward(self, x: Any) -> Any:
        for layer in self.steps:
            x = layer(x)
        return x
