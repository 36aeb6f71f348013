"""Sequential networks: dense networks, LeNet-5, a small convolutional network, a small VGG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranvier import layers
from ranvier.layers.annotations import ActivationLike
from ranvier.layers.base import whole
from ranvier.module import Sequential


def images(input_shape: Sequence[int], name: str) -> tuple[int, int, int]:
    """The shape of one image. Raises ValueError for other shapes."""
    shape = tuple(input_shape)
    if len(shape) != 3:
        known = f"({shape[0]}, {shape[1]}, 1)" if len(shape) == 2 else "(28, 28, 1)"
        raise ValueError(
            f"{name} takes images of (height, width, channels), not {shape}. Write {known}, and x[..., None] for "
            "arrays without a dimension of channels."
        )
    height, width, channels = (whole(n, "input_shape", name) for n in shape)
    return height, width, channels


def mlp(
    input_shape: Sequence[int] | int,
    classes: int,
    hidden: Sequence[int] = (128, 64),
    dropout: float = 0.0,
    activation: ActivationLike = "softmax",
) -> Sequential:
    """A dense network: ``hidden`` layers with ReLU, each followed by ``dropout``. Inputs of any shape are flattened.

    (Rumelhart, Hinton and Williams, 1986; the ReLU of Glorot, Bordes and Bengio, 2011.)
    """
    parts: list[Any] = [layers.Input(input_shape), layers.Flatten()]
    for units in hidden:
        parts.append(layers.Dense(units, activation="relu", kernel_initializer="he_normal"))
        if dropout:
            parts.append(layers.Dropout(dropout))
    return Sequential([*parts, layers.Dense(classes, activation=activation)], name="mlp")


def lenet5(
    input_shape: Sequence[int], classes: int, units: ActivationLike = "relu", activation: ActivationLike = "softmax"
) -> Sequential:
    """LeNet-5: 6 and 16 filters of 5x5, each pooled by 2, then dense layers of 120 and 84 units (LeCun et al., 1998).

    It uses ReLU and max pooling, where the paper uses scaled tanh (see ``units="tanh"``) and average pooling. Images
    smaller than 32x32 are padded in the first convolution, as in the paper.
    """
    height, width, _ = images(input_shape, "lenet5")
    small = min(height, width)
    first = "valid" if small >= 32 else "same"
    rest = (small - 4 if first == "valid" else small) // 2
    second = "valid" if rest >= 6 else "same"
    return Sequential(
        [
            layers.Input(input_shape),
            layers.Conv2D(6, 5, padding=first, activation=units),
            layers.MaxPooling2D(padding="same"),
            layers.Conv2D(16, 5, padding=second, activation=units),
            layers.MaxPooling2D(padding="same"),
            layers.Flatten(),
            layers.Dense(120, activation=units),
            layers.Dense(84, activation=units),
            layers.Dense(classes, activation=activation),
        ],
        name="lenet5",
    )


def cnn(
    input_shape: Sequence[int], classes: int, dropout: float = 0.5, activation: ActivationLike = "softmax"
) -> Sequential:
    """A small convolutional network: 32 and 64 filters of 3x3, each pooled by 2, dropout, one dense layer.

    It is the network of the example "Simple MNIST convnet" of Keras (Chollet, 2015), after LeCun et al. (1998), and
    reaches 99.2 % on MNIST. Images smaller than 10x10 are padded.
    """
    height, width, _ = images(input_shape, "cnn")
    padding = "valid" if min(height, width) >= 10 else "same"
    return Sequential(
        [
            layers.Input(input_shape),
            layers.Conv2D(32, 3, padding=padding, activation="relu"),
            layers.MaxPooling2D(padding=padding),
            layers.Conv2D(64, 3, padding=padding, activation="relu"),
            layers.MaxPooling2D(padding=padding),
            layers.Flatten(),
            layers.Dropout(dropout),
            layers.Dense(classes, activation=activation),
        ],
        name="cnn",
    )


def vgg_small(
    input_shape: Sequence[int],
    classes: int,
    blocks: Sequence[Sequence[int]] = ((32, 32), (64, 64), (128, 128)),
    hidden: int = 128,
    dropout: float = 0.5,
    activation: ActivationLike = "softmax",
) -> Sequential:
    """A small VGG: ``blocks`` of 3x3 convolutions with batch normalization, each pooled by 2, then a dense layer.

    Each number in ``blocks`` is the number of filters of one convolution (Simonyan and Zisserman, 2015). With batch
    normalization (Ioffe and Szegedy, 2015) the convolutions have no bias.
    """
    images(input_shape, "vgg_small")
    parts: list[Any] = [layers.Input(input_shape)]
    for block in blocks:
        for filters in block:
            parts += [
                layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal"),
                layers.BatchNormalization(),
                layers.ReLU(),
            ]
        parts.append(layers.MaxPooling2D(padding="same"))
    parts += [layers.Flatten(), layers.Dense(hidden, activation="relu", kernel_initializer="he_normal")]
    return Sequential([*parts, layers.Dropout(dropout), layers.Dense(classes, activation=activation)], name="vgg_small")
