"""The activation functions that have options, as layers; the others are ``Activation('name')``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import numpy as np

from ranvier.layers.annotations import LayerOptions
from ranvier.layers.base import Layer
from ranvier.module.serialization import register_module
from ranvier.ops import arrays, functional
from ranvier.tensor.tensor import Tensor


def _at_least_0(value: Any, what: str, layer: str) -> float:
    if not isinstance(value, (int, float, np.number)) or not value >= 0:
        raise ValueError(f"{what} of layer {layer!r} is {value!r}. Write a number of 0 or more instead.")
    return value  # type: ignore[return-value]  # a number


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
        self.max_value = None if max_value is None else _at_least_0(max_value, "max_value", self.name)
        self.negative_slope = _at_least_0(negative_slope, "negative_slope", self.name)
        self.threshold = _at_least_0(threshold, "threshold", self.name)

    def forward(self, x: Any) -> Any:
        if (self.negative_slope, self.max_value, self.threshold) == (0, None, 0):
            return functional.relu(x)
        return functional.relu(x, self.negative_slope, self.max_value, self.threshold)


@register_module
class LeakyReLU(Layer):
    """``x`` above 0 and ``negative_slope * x`` below (Maas et al., 2013). ``alpha`` is its older name."""

    supports_masking = True
    _older: Mapping[str, str] = {"alpha": "negative_slope"}
    _shown = "negative_slope={negative_slope:g}"

    def __init__(
        self, negative_slope: float = 0.3, *, alpha: float | None = None, **options: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**options)
        slope = negative_slope if alpha is None else alpha
        self.negative_slope = float(_at_least_0(slope, "negative_slope", self.name))

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
    """``exp(x) / sum(exp(x))`` along an axis or several.

    Called with a ``mask``, of the elements where it is true (or above 0.5); the others become 0.
    """

    supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.axis = axis

    def forward(self, x: Any, mask: Any = None) -> Any:
        if mask is None:
            return self._along_axes(x)
        mask = mask if isinstance(mask, Tensor) else Tensor(mask)
        fits = zip(reversed(mask.shape), reversed(x.shape), strict=False)
        if len(mask.shape) > len(x.shape) or any(m not in (1, n) for m, n in fits):
            raise ValueError(
                f"layer {self.name!r} was given a mask of shape {mask.shape} for values of shape {tuple(x.shape)}. "
                "Write one of the same shape, or with sizes of 1, instead."
            )
        kept = mask if mask.dtype == "bool" else arrays.greater(mask, 0.5)
        return arrays.where(kept, self._along_axes(arrays.where(kept, x, -1e9)), 0.0)

    def _along_axes(self, x: Any) -> Any:
        if isinstance(self.axis, int):
            return functional.softmax(x, self.axis)
        axes = tuple(self.axis)
        if len(axes) == 1:
            return functional.softmax(x, axes[0])
        powers = arrays.exp(arrays.subtract(x, arrays.max(x, axes, True)))
        return arrays.divide(powers, arrays.sum(powers, axes, True))
