"""The activation functions that have options, as layers; the others are ``Activation('name')``."""

from __future__ import annotations

from typing import Any, Unpack

from ranvier.layers.annotations import LayerOptions
from ranvier.layers.base import Layer
from ranvier.module.serialization import register_module
from ranvier.ops import arrays, functional


@register_module
class ReLU(Layer):
    """``max(x, 0)``, at most ``max_value``; up to a ``threshold``, ``negative_slope`` times the distance from it."""

    supports_masking = True

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **options: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**options)
        self.max_value, self.negative_slope, self.threshold = max_value, negative_slope, threshold

    def forward(self, x: Any) -> Any:
        if not self.negative_slope and not self.threshold:
            y = functional.relu(x)
        else:
            distance = arrays.subtract(x, self.threshold)
            below = arrays.multiply(distance, self.negative_slope) if self.negative_slope else 0.0
            low = arrays.less_equal if self.threshold else arrays.less  # 0 itself keeps the gradient 1
            y = arrays.where(low(x, self.threshold), below, x)
        return y if self.max_value is None else arrays.minimum(y, float(self.max_value))


@register_module
class LeakyReLU(Layer):
    """``x`` above 0 and ``negative_slope * x`` below (Maas et al., 2013)."""

    supports_masking = True
    _shown = "negative_slope={negative_slope:g}"

    def __init__(self, negative_slope: float = 0.3, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.negative_slope = float(negative_slope)

    def forward(self, x: Any) -> Any:
        return functional.leaky_relu(x, self.negative_slope)


@register_module
class ELU(Layer):
    """``x`` above 0 and ``alpha * (exp(x) - 1)`` below (Clevert et al., 2015)."""

    supports_masking = True
    _shown = "alpha={alpha:g}"

    def __init__(self, alpha: float = 1.0, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.alpha = float(alpha)

    def forward(self, x: Any) -> Any:
        return functional.elu(x, self.alpha)


@register_module
class Softmax(Layer):
    """``exp(x) / sum(exp(x))`` along an axis."""

    supports_masking = True

    def __init__(self, axis: int = -1, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.axis = axis

    def forward(self, x: Any) -> Any:
        return functional.softmax(x, self.axis)
