"""Pooling: the largest value or the mean of windows, of all positions, or of equal parts of them."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

from ranvier.graph.node import Type
from ranvier.layers.annotations import LayerOptions, Sizes
from ranvier.layers.shape_errors import ShapeFault
from ranvier.layers.spatial import Spatial
from ranvier.ops import arrays
from ranvier.ops.functional.convolution import padding_of
from ranvier.ops.functional.pooling import adaptive_pool, global_pool, pool


class _Pooling(Spatial):
    """Windows of ``pool_size`` every ``strides`` positions (by default next to each other)."""

    largest: ClassVar[bool]

    def __init__(
        self,
        pool_size: Sizes = 2,
        strides: Sizes | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(data_format, **options)
        self.pool_size = self.sizes(pool_size, "pool_size")
        self.strides = self.pool_size if strides is None else self.sizes(strides, "strides")
        self.padding = self.one_of(padding, "padding", ("valid", "same"))

    def _change(self, x: Any) -> Any:
        return pool(
            x, size=self.pool_size, stride=self.strides, padding=self.padding, largest=self.largest, first=self.first
        )

    def shape_error(self, given: Type) -> ShapeFault:
        wrong = super().shape_error(given)
        if wrong is not None:
            return wrong
        shape, ones = given.shape, (1,) * self.dimensions
        pairs = padding_of(self.padding, self.layout.positions(shape), self.pool_size, self.strides, ones)
        return self.layout.reached(shape, self.pool_size, pairs, "window", "padding='same' or a smaller pool_size")

    def extra_repr(self) -> str:
        strides = f", strides={self.strides}" if self.strides != self.pool_size else ""
        return f"{self.pool_size}{strides}" + (f", padding={self.padding!r}" if self.padding != "valid" else "")


class _GlobalPooling(Spatial):
    """All positions of a channel as one number; they stay as dimensions of 1 with ``keepdims``."""

    largest: ClassVar[bool]

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **options: Unpack[LayerOptions]) -> None:
        super().__init__(data_format, **options)
        self.keepdims = bool(keepdims)

    def _change(self, x: Any) -> Any:
        return global_pool(x, largest=self.largest, keepdims=self.keepdims, first=self.first)


class _AdaptivePooling(Spatial):
    """As many parts of each dimension as ``output_size`` says, one number or one for each."""

    largest: ClassVar[bool]
    _shown = "{output_size}"

    def __init__(self, output_size: Sizes, data_format: str | None = None, **options: Unpack[LayerOptions]) -> None:
        super().__init__(data_format, **options)
        self.output_size = self.sizes(output_size, "output_size")

    def _change(self, x: Any) -> Any:
        return adaptive_pool(x, shape=self.output_size, largest=self.largest, first=self.first)


class MaxPooling1D(_Pooling, dimensions=1, largest=True):
    """The largest of each window of steps, by channel: (batch, steps, channels) -> (batch, fewer, channels).

    ``padding`` is "valid" (whole windows only) or "same" (ceil(steps / strides) windows, of what there is).
    """


class MaxPooling2D(_Pooling, dimensions=2, largest=True):
    """The largest of each window of pixels, by channel: (batch, height, width, channels) -> (batch, ..., channels).

    ``padding`` is "valid" (whole windows only) or "same" (ceil(size / strides) windows, of what there is).
    """


class MaxPooling3D(_Pooling, dimensions=3, largest=True):
    """The largest of each window of voxels, by channel; see `MaxPooling2D`."""


class AveragePooling1D(_Pooling, dimensions=1, largest=False):
    """The mean of each window of steps, by channel, padding left out; see `MaxPooling1D`."""


class AveragePooling2D(_Pooling, dimensions=2, largest=False):
    """The mean of each window of pixels, by channel, padding left out; see `MaxPooling2D`."""


class AveragePooling3D(_Pooling, dimensions=3, largest=False):
    """The mean of each window of voxels, by channel, padding left out; see `MaxPooling2D`."""


class GlobalMaxPooling1D(_GlobalPooling, dimensions=1, largest=True):
    """The largest value of each channel: (batch, steps, channels) -> (batch, channels)."""


class GlobalMaxPooling2D(_GlobalPooling, dimensions=2, largest=True):
    """The largest value of each channel: (batch, height, width, channels) -> (batch, channels)."""


class GlobalMaxPooling3D(_GlobalPooling, dimensions=3, largest=True):
    """The largest value of each channel: (batch, depth, height, width, channels) -> (batch, channels)."""


class GlobalAveragePooling1D(_GlobalPooling, dimensions=1, largest=False):
    """The mean of each channel, or of the steps where a ``mask`` (batch, steps) is true: (batch, steps, channels) ->
    (batch, channels). Of a sample without such a step it is 0. The result has no mask.
    """

    supports_masking = True

    def forward(self, x: Any, mask: Any = None) -> Any:
        if mask is None:
            return super().forward(x)
        steps, channels = (2, 1) if self.first else (1, 2)
        kept = arrays.expand_dims(arrays.cast(mask, "bool"), channels)
        total = arrays.sum(arrays.where(kept, x, 0.0), steps, self.keepdims)
        number = arrays.sum(arrays.cast(kept, x.dtype), steps, self.keepdims)
        return arrays.divide(total, arrays.maximum(number, 1.0))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """None: the steps are gone."""


class GlobalAveragePooling2D(_GlobalPooling, dimensions=2, largest=False):
    """The mean of each channel: (batch, height, width, channels) -> (batch, channels) (Lin et al., 2014)."""


class GlobalAveragePooling3D(_GlobalPooling, dimensions=3, largest=False):
    """The mean of each channel: (batch, depth, height, width, channels) -> (batch, channels)."""


class AdaptiveMaxPooling1D(_AdaptivePooling, dimensions=1, largest=True):
    """The largest values of ``output_size`` parts of the steps, as equal as they can be, by channel."""


class AdaptiveMaxPooling2D(_AdaptivePooling, dimensions=2, largest=True):
    """The largest values of ``output_size`` parts of height and width, as equal as they can be, by channel."""


class AdaptiveMaxPooling3D(_AdaptivePooling, dimensions=3, largest=True):
    """The largest values of ``output_size`` parts of the three dimensions, as equal as they can be, by channel."""


class AdaptiveAveragePooling1D(_AdaptivePooling, dimensions=1, largest=False):
    """The means of ``output_size`` parts of the steps, as equal as they can be, by channel."""


class AdaptiveAveragePooling2D(_AdaptivePooling, dimensions=2, largest=False):
    """The means of ``output_size`` parts of height and width, as equal as they can be, by channel."""


class AdaptiveAveragePooling3D(_AdaptivePooling, dimensions=3, largest=False):
    """The means of ``output_size`` parts of the three dimensions, as equal as they can be, by channel."""
