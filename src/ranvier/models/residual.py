"""Residual networks for small images: blocks that add the output of two convolutions to their input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier import layers
from ranvier.layers.annotations import ActivationLike
from ranvier.layers.base import whole
from ranvier.models.plain import images
from ranvier.module import Module, Sequential, register_module
from ranvier.ops import arrays, functional

SHORTCUTS = ("identity", "projection")


@register_module(name="models.ResidualBlock")
class ResidualBlock(Module):
    """``relu(x + f(x))``, f two 3x3 convolutions with batch normalization (He et al., 2016, figure 2).

    ``strides`` reduce the image size. Where the shape changes, ``shortcut`` transforms x: "identity" takes every
    second pixel and adds channels of zeros (option A in the paper, without weights), and "projection" is a 1x1
    convolution with batch normalization (option B).
    """

    _shown = "{filters}, strides={strides}, shortcut={shortcut!r}"

    def __init__(self, filters: int, strides: int = 1, shortcut: str = "identity", name: str | None = None) -> None:
        super().__init__(name=name)
        if shortcut not in SHORTCUTS:
            raise ValueError(f"shortcut={shortcut!r}. Write {' or '.join(map(repr, SHORTCUTS))} instead.")
        self.filters, self.strides, self.shortcut = filters, strides, shortcut
        self.first, self.first_norm = _conv(filters, 3, strides), layers.BatchNormalization()
        self.second, self.second_norm = _conv(filters, 3), layers.BatchNormalization()
        self.projection: Any = None
        if shortcut == "projection":
            self.projection = Sequential([_conv(filters, 1, strides), layers.BatchNormalization()])

    def forward(self, x: Any) -> Any:
        y = functional.relu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        return functional.relu(arrays.add(y, self.shortcut_of(x)))

    def shortcut_of(self, x: Any) -> Any:
        """The shortcut: x, transformed where the shape changes."""
        more = self.filters - x.shape[-1]
        if self.strides == 1 and more == 0:
            return x
        if self.projection is not None:
            return self.projection(x)
        if more < 0:
            raise ValueError(
                f"block {self.name!r} has {self.filters} filters and an input of {x.shape[-1]} channels, which an "
                "identity cannot reduce. Write shortcut='projection'."
            )
        if self.strides > 1:
            x = x[:, :: self.strides, :: self.strides]
        return arrays.pad(x, ((0, 0), (0, 0), (0, 0), (more // 2, more - more // 2))) if more else x


def _conv(filters: int, size: int, strides: int = 1) -> layers.Conv2D:
    return layers.Conv2D(filters, size, strides, "same", use_bias=False, kernel_initializer="he_normal")


def resnet(
    input_shape: Sequence[int],
    classes: int,
    depth: int = 20,
    width: int = 16,
    shortcut: str = "identity",
    activation: ActivationLike = "softmax",
) -> Sequential:
    """The residual network of He et al. (2016, section 4.2) for CIFAR-10, with ``depth`` 6n + 2 layers.

    The layers are a 3x3 convolution, three stages of n `ResidualBlock`s with ``width``, 2 and 4 times ``width``
    filters, global average pooling, and a dense layer. The second and the third stage halve the image. ResNet-20 has
    0.27 million parameters. Raises ValueError for a depth that is not 6n + 2.
    """
    images(input_shape, "resnet")
    depth, width = whole(depth, "depth", "resnet", 8), whole(width, "width", "resnet")
    n, rest = divmod(depth - 2, 6)
    if rest:
        raise ValueError(f"resnet has no depth of {depth}. Write 6n + 2: {6 * n + 2} or {6 * n + 8} instead.")
    parts: list[Any] = [layers.Input(input_shape), _conv(width, 3), layers.BatchNormalization(), layers.ReLU()]
    for stage in range(3):
        for block in range(n):
            shrinks = 2 if stage and not block else 1
            # Only the first block of a stage changes the shape.
            kind = shortcut if shrinks == 2 else "identity"
            parts.append(ResidualBlock(width * 2**stage, shrinks, kind))
    parts += [layers.GlobalAveragePooling2D(), layers.Dense(classes, activation=activation)]
    return Sequential(parts, name=f"resnet{depth}")
