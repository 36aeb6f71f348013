"""Layers without weights: inputs, shapes, scaling, activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier import numeric
from ranvier.graph.node import Node, like
from ranvier.layers.base import Layer, declared
from ranvier.module.architecture import register_module
from ranvier.tensor import function

__all__ = ["Activation", "Flatten", "Input", "Rescaling"]


@register_module
class Input(Layer):
    """The shape and dtype of a network's inputs: written first in a `Sequential`, where it computes nothing.

    ``shape`` is without the batch's dimension: ``Input((784,))``.
    """

    is_input = True

    def __init__(
        self,
        shape: Sequence[int] | int | None = None,
        dtype: str | None = None,
        **options: Any,
    ) -> None:
        options.pop("batch_size", None)  # batches may have any size
        super().__init__(**options)
        if shape is None:
            raise ValueError("Input needs a shape. Write Input((784,)) for rows of 784 features.")
        self._input_type = declared(shape, dtype, self.name)

    def forward(self, x: Any) -> Any:
        return x


@register_module
class Flatten(Layer):
    """(batch, ...) -> (batch, all the rest in one dimension)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)

    def forward(self, x: Any) -> Any:
        return numeric.expand_dims(x, 1) if np.ndim(x) == 1 else numeric.flatten(x, 1)


@function
def rescale(x: Node, scale: float, offset: float) -> Node:
    """``x * scale + offset`` in floats."""
    y = numeric.floating(x)
    y = y * like(y, scale)
    return y + like(y, offset) if offset else y


@register_module
class Rescaling(Layer):
    """``x * scale + offset``, for example ``Rescaling(1 / 255)`` for pixels; integers are cast to floats first."""

    def __init__(self, scale: float, offset: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.scale, self.offset = float(scale), float(offset)

    def forward(self, x: Any) -> Any:
        return rescale(x, scale=self.scale, offset=self.offset)

    def extra_repr(self) -> str:
        return f"scale={self.scale:g}, offset={self.offset:g}"


@register_module
class Activation(Layer):
    """An activation function, by name or as a function of one tensor."""

    def __init__(self, activation: Any, **options: Any) -> None:
        from ranvier import activations

        super().__init__(**options)
        self.activation = activations.get(activation)

    def forward(self, x: Any) -> Any:
        return self.activation(x)

    def extra_repr(self) -> str:
        return str(getattr(self.activation, "__name__", self.activation))
