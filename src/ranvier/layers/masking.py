"""Masking: steps of a sequence that are padding."""

from __future__ import annotations

from typing import Any, Unpack

from ranvier.layers.annotations import LayerOptions
from ranvier.layers.base import Layer
from ranvier.module.serialization import register_module
from ranvier.ops import arrays


@register_module
class Masking(Layer):
    """Hides the steps whose features all are ``mask_value``: (batch, ..., features) -> the same shape.

    They become zeros, and the layers after this one are given a mask (batch, ...) that is false there.
    """

    supports_masking = True
    _shown = "{mask_value:g}"

    def __init__(self, mask_value: float = 0.0, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.mask_value = mask_value

    def forward(self, x: Any) -> Any:
        kept = arrays.any(arrays.not_equal(x, self.mask_value), -1, True)
        return arrays.where(kept, x, 0)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Where a feature is not ``mask_value``."""
        return arrays.any(arrays.not_equal(inputs, self.mask_value), -1)
