"""Layers that tell attention the positions of its inputs: learned, as sines, or as rotations. KerasHub's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from ranvier.graph.node import GraphError
from ranvier.graph.open_extents import is_open
from ranvier.layers.annotations import ConstraintLike, InitializerLike, LayerOptions, RegularizerLike
from ranvier.layers.base import Layer, whole
from ranvier.module.key_values import first_position
from ranvier.module.parameter import Parameter
from ranvier.module.serialization import register_module
from ranvier.ops import arrays
from ranvier.ops.functional.positions import rotate_by_position, sine_positions
from ranvier.support.validation import amount


@register_module
class PositionEmbedding(Layer):
    """A learned vector for each position: (..., length, features), whose shape the result has, to be added to it.

    The weight is ``position_embeddings``, (sequence_length, features); inputs may be shorter. The first input is at
    ``start_index``. Raises GraphError for longer ones.
    """

    supports_masking = True
    position_embeddings: Parameter
    _shown = "{sequence_length}"

    def __init__(
        self,
        sequence_length: int,
        initializer: InitializerLike = "glorot_uniform",
        regularizer: RegularizerLike = None,
        constraint: ConstraintLike = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.sequence_length = whole(sequence_length, "sequence_length", self.name)
        self._store_settings("position_embeddings", initializer, regularizer, constraint)

    def build(self, input_shape: Sequence[Any]) -> None:
        self._make_weights(position_embeddings=(self.sequence_length, input_shape[-1]))

    def forward(self, x: Any, start_index: Any = 0) -> Any:
        start_index = first_position(x, start_index)
        length = x.shape[-2]
        first = start_index if isinstance(start_index, int) else 0
        known = isinstance(length, int) and not is_open((length,))
        if known and first + length > self.sequence_length:
            raise GraphError(
                f"there are embeddings for {self.sequence_length} positions, and x ends at {first + length}. Write a "
                "larger sequence_length, or shorter inputs"
            )
        if isinstance(start_index, int) and known:
            rows = self.position_embeddings[start_index : start_index + length]
        else:
            rows = arrays.take(self.position_embeddings, arrays.add(start_index, arrays.arange(length)), 0)
        return arrays.broadcast_to(rows, x.shape)


@register_module
class SinePositionEncoding(Layer):
    """Sines and cosines of the positions in the shape of the inputs, (..., length, features), to be added to them.

    Wavelengths grow from ``2 * pi`` to ``2 * pi * max_wavelength``; the first input is at ``start_index``. (Vaswani et
    al., 2017.)
    """

    supports_masking = True

    def __init__(self, max_wavelength: float = 10000, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.max_wavelength = amount(max_wavelength, self._label(), "max_wavelength")

    def forward(self, x: Any, start_index: Any = 0) -> Any:
        return sine_positions(x, first_position(x, start_index), max_wavelength=self.max_wavelength)


@register_module
class RotaryEmbedding(Layer):
    """Queries or keys turned by their positions, so that products depend on distances alone (Su et al., 2021).

    Positions are along ``sequence_axis`` and the features, an even number, along ``feature_axis``. ``scaling_factor``
    divides positions; the first input is at ``start_index``.
    """

    supports_masking = True

    def __init__(
        self,
        max_wavelength: float = 10000,
        scaling_factor: float = 1.0,
        sequence_axis: int = 1,
        feature_axis: int = -1,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.max_wavelength = amount(max_wavelength, self._label(), "max_wavelength")
        self.scaling_factor = amount(scaling_factor, self._label(), "scaling_factor")
        self.sequence_axis, self.feature_axis = sequence_axis, feature_axis

    def forward(self, x: Any, start_index: Any = 0) -> Any:
        return rotate_by_position(
            x, first_position(x, start_index), max_wavelength=self.max_wavelength, scaling_factor=self.scaling_factor,
            sequence_axis=self.sequence_axis, feature_axis=self.feature_axis,
        )  # fmt: skip
