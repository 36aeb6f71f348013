"""Layers without weights: inputs, shapes, scaling, activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from ranvier import activations
from ranvier.graph.node import GraphError, Node, Type, constant
from ranvier.graph.open_extents import fits
from ranvier.layers.annotations import ActivationLike, Factor, LayerOptions
from ranvier.layers.base import Layer, declared, whole
from ranvier.module.serialization import arguments_of, register_module
from ranvier.module.symbolic import Call, Operators, Symbolic, record_of
from ranvier.ops import arrays
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor


@register_module
class Input(Operators, Layer):
    """The shape and dtype of a network's inputs, without the batch's dimension: ``Input((784,))``.

    Written first in a `Sequential`, where it computes nothing; or layers are called on it, for ``rv.Model(inputs,
    outputs)``. With ``dtype="string"`` it is of texts, and the layer that is called on it maps them to numbers.
    ``batch_shape`` has the batch's dimension too, as has ``batch_size``: shapes of symbolic values show it. Batches may
    have any size; all other sizes are fixed, but for those that are None.
    """

    is_input = True

    def __init__(
        self,
        shape: Sequence[int | None] | int | None = None,
        dtype: str | None = None,
        batch_shape: Sequence[int | None] | None = None,
        **options: Any,
    ) -> None:
        batch = options.pop("batch_size", None)
        older = options.pop("input_shape", None)  # the name in Keras's InputLayer before Keras 3
        shape = older if shape is None else shape
        super().__init__(**options)
        if batch_shape is not None:
            if shape is not None or not batch_shape:
                raise ValueError(
                    f"Input was given shape={shape!r} and batch_shape={batch_shape!r}. Write one of them: "
                    "Input((784,)), or Input(batch_shape=(None, 784))."
                )
            batch, *shape = batch_shape
        if shape is None:
            raise ValueError("Input needs a shape. Write Input((784,)) for rows of 784 features.")
        self.of_texts = dtype == "string"
        self._input_type = declared(shape, "int32" if self.of_texts else dtype, self.name)
        self._batch = None if batch is None else whole(batch, "the batch's size", self.name, 0)

    def config(self) -> dict[str, Any]:
        return {**arguments_of(self), "dtype": "string"} if self.of_texts else super().config()

    @property
    def dtype(self) -> str:
        return "string" if self.of_texts else self.spec.dtype

    @property
    def spec(self) -> Type:
        assert self._input_type is not None
        known = self._input_type
        return known if self._batch is None else Type((self._batch, *known.shape[1:]), known.dtype)

    def symbol(self) -> Symbolic:
        record = record_of(self)
        if not record:
            record.append(Call(self, (), {}, self._batch))
            record[0].store_result(Tensor.placeholder(self.spec))
        return record[0].values[0]

    def forward(self, x: Any) -> Any:
        if not self.of_texts and self.shape_error(x.spec):  # for texts come numbers, in the form of their layer
            raise GraphError
        return x

    def shape_error(self, given: Type) -> tuple[str, str] | None:
        if fits(given.shape[1:], self.spec.shape[1:]):
            return None
        return (
            f"it takes (batch, {', '.join(map(str, self.shape[1:]))}).",
            "Give it data of that shape, or make the network for this one.",
        )

    def extra_repr(self) -> str:
        return str(self.shape[1:])


@register_module
class Flatten(Layer):
    """(batch, ...) -> (batch, all the rest in one dimension)."""

    def __init__(self, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)

    def forward(self, x: Any) -> Any:
        return arrays.expand_dims(x, 1) if np.ndim(x) == 1 else arrays.flatten(x, 1)


@function
def rescale(x: Node, scale: Factor, offset: Any) -> Node:
    """``x * scale + offset`` in floats; tuples are of one number for each index of the last dimension."""
    y = arrays.floating(x)

    def each(value: Any) -> Any:
        return constant(value, y.dtype) if isinstance(value, tuple) else value

    y = arrays.multiply(y, each(scale))
    return arrays.add(y, each(offset)) if offset else y


def numbers(value: Any) -> float | tuple[float, ...]:
    """A number, or a tuple of some."""
    return tuple(map(float, value)) if np.ndim(value) else float(value)


def shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(list(value))


@register_module
class Rescaling(Layer):
    """``x * scale + offset``, for example ``Rescaling(1 / 255)`` for pixels; integers are cast to floats first.

    Both may be lists of one number for each index of the last dimension.
    """

    supports_masking = True

    def __init__(
        self, scale: float | Sequence[float], offset: float | Sequence[float] = 0.0, **options: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**options)
        self.scale, self.offset = numbers(scale), numbers(offset)
        self.largest = float(np.abs(self.scale).max())

    def forward(self, x: Any) -> Any:
        return rescale(x, scale=self.scale, offset=self.offset)

    def extra_repr(self) -> str:
        return f"scale={shown(self.scale)}, offset={shown(self.offset)}"


@register_module
class Activation(Layer):
    """An activation function, by name or as a function of one tensor."""

    supports_masking = True

    def __init__(self, activation: ActivationLike, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.activation = activations.get(activation)

    def forward(self, x: Any) -> Any:
        return self.activation(x)

    def extra_repr(self) -> str:
        return str(getattr(self.activation, "__name__", self.activation))
