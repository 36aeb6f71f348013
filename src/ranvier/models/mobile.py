"""A small MobileNet: depthwise and 1x1 convolutions, which are cheaper than full ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier import layers
from ranvier.layers.annotations import ActivationLike
from ranvier.models.plain import images
from ranvier.module import Module, Sequential, register_module
from ranvier.ops import arrays

# (expansion, filters, blocks, strides of the first block): the table of MobileNetV2, reduced for images of about 32x32.
STAGES = ((1, 16, 1, 1), (4, 24, 2, 2), (4, 32, 2, 2), (4, 64, 2, 2))


def _normalized(convolution: Any, active: bool = True) -> list[Any]:
    return [convolution, layers.BatchNormalization(), *([layers.ReLU(6.0)] if active else [])]


def _pointwise(filters: int) -> Any:
    return layers.Conv2D(filters, 1, use_bias=False, kernel_initializer="he_normal")


@register_module(name="models.InvertedResidual")
class InvertedResidual(Module):
    """An inverted residual block (Sandler et al., 2018).

    It has a 1x1 convolution to ``expansion`` times the channels, a depthwise 3x3 convolution, and a 1x1 convolution to
    ``filters`` without activation. Where the shapes are equal, the inputs are added. ``channels`` are those of the
    inputs.
    """

    def __init__(
        self, channels: int, filters: int, strides: int = 1, expansion: int = 4, name: str | None = None
    ) -> None:
        super().__init__(name=name)
        self.adds = strides == 1 and channels == filters
        parts = _normalized(_pointwise(channels * expansion)) if expansion > 1 else []
        depthwise = layers.DepthwiseConv2D(3, strides, "same", use_bias=False, depthwise_initializer="he_normal")
        self.body = Sequential([*parts, *_normalized(depthwise), *_normalized(_pointwise(filters), False)])

    def forward(self, x: Any) -> Any:
        y = self.body(x)
        return arrays.add(x, y) if self.adds else y


def mobilenet_small(
    input_shape: Sequence[int],
    classes: int,
    width: float = 1.0,
    dropout: float = 0.2,
    activation: ActivationLike = "softmax",
) -> Sequential:
    """A small MobileNetV2 for images of about 32x32 (Howard et al., 2017; Sandler et al., 2018).

    The layers are a 3x3 convolution, seven `InvertedResidual` blocks that halve the image three times, a 1x1
    convolution, global average pooling, dropout, and a dense layer. ``width`` multiplies all numbers of filters.
    """
    images(input_shape, "mobilenet_small")
    if not width > 0:
        raise ValueError(f"mobilenet_small has width={width!r}. Write a number above 0, such as 0.5.")

    def wide(filters: int) -> int:
        return max(4, round(filters * width / 4) * 4)

    channels = wide(16)
    stem = layers.Conv2D(channels, 3, padding="same", use_bias=False, kernel_initializer="he_normal")
    parts: list[Any] = [layers.Input(input_shape), *_normalized(stem)]
    for expansion, filters, blocks, strides in STAGES:
        for block in range(blocks):
            parts.append(InvertedResidual(channels, wide(filters), 1 if block else strides, expansion))
            channels = wide(filters)
    parts += _normalized(_pointwise(wide(128)))
    parts += [layers.GlobalAveragePooling2D(), layers.Dropout(dropout)]
    return Sequential([*parts, layers.Dense(classes, activation=activation)], name="mobilenet_small")
