"""Residual networks for small images: blocks that add to their inputs what two convolutions make of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier import layers
from ranvier.layers.base import whole
from ranvier.models.plain import images
from ranvier.module import Module, Sequential, register_module
from ranvier.ops import arrays, functional

__all__ = ["ResidualBlock", "resnet"]

SHORTCUTS = ("identity", "projection")


@register_module(name="models.ResidualBlock")
class ResidualBlock(Module):
    """``relu(x + f(x))``, f two 3x3 convolutions with batch normalization (He et al., 2016, figure 2).

    With ``strides`` the image shrinks. Where sizes or channels change, ``shortcut`` says how x follows: "identity"
    takes every other pixel and adds channels of zeros (their option A, without weights), "projection" is a 1x1
    convolution with batch normalization (option B).
    """

    def __init__(
        self, filters: int, strides: int = 1, shortcut: str = "identity", name: str | None = None
    ) -> None:
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
        return functional.relu(arrays.add(y, self.around(x)))

    def around(self, x: Any) -> Any:
        """What is added to what the convolutions make of x."""
        more = self.filters - x.shape[-1]
        if self.strides == 1 and more == 0:
            return x
        if self.projection is not None:
            return self.projection(x)
        if more < 0:
            raise ValueError(
                f"block {self.name!r} has {self.filters} filters and is given {x.shape[-1]} channels, which an "
                "identity cannot make fewer. Write shortcut='projection'."
            )
        if self.strides > 1:
            x = x[:, :: self.strides, :: self.strides]
        return arrays.pad(x, ((0, 0), (0, 0), (0, 0), (more // 2, more - more // 2))) if more else x

    def extra_repr(self) -> str:
        return f"{self.filters}, strides={self.strides}, shortcut={self.shortcut!r}"


def _conv(filters: int, size: int, strides: int = 1) -> layers.Conv2D:
    return layers.Conv2D(filters, size, strides, "same", use_bias=False, kernel_initializer="he_normal")


def resnet(
    input_shape: Sequence[int],
    classes: int,
    depth: int = 20,
    width: int = 16,
    shortcut: str = "identity",
    activation: Any = "softmax",
) -> Sequential:
    """The residual network that He et al. (2016, section 4.2) trained on CIFAR-10, of ``depth`` 6n + 2 layers.

    A 3x3 convolution, then three stages of n `ResidualBlock`s of ``width``, 2 and 4 times ``width`` filters, each stage
    but the first halving the image; the mean of each channel; a dense layer. ResNet-20 has 0.27 million parameters.
    Raises ValueError for a depth that is not 6n + 2.
    """
    images(input_shape, "resnet")
    depth, width = whole(depth, "depth", "resnet", 8), whole(width, "width", "resnet")
    n, rest = divmod(depth - 2, 6)
    if rest:
        raise ValueError(f"resnet has no depth of {depth}. Write 6n + 2: {6 * n + 2} or {6 * n + 8} instead.")
    parts: list[Any] = [
        layers.Input(input_shape),
        _conv(width, 3),
        layers.BatchNormalization(),
        layers.ReLU(),
    ]
    for stage in range(3):
        for block in range(n):
            shrinks = 2 if stage and not block else 1
            # An identity keeps what it can: only where a stage begins is there anything to project.
            kind = shortcut if shrinks == 2 else "identity"
            parts.append(ResidualBlock(width * 2**stage, shrinks, kind))
    parts += [layers.GlobalAveragePooling2D(), layers.Dense(classes, activation=activation)]
    return Sequential(parts, name=f"resnet{depth}")
