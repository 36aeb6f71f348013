"""Networks for images: convolution, pooling, normalization, augmentation. See programs.py."""

from typing import Any

import ranvier as rv
from ranvier import layers
from tests.golden.programs import IMAGES, KINDS, Result, fit, program


def images(*hidden: Any) -> Result:
    """Train a network of image layers."""
    head = [layers.Flatten(), layers.Dense(3, activation="softmax")]
    model = rv.Sequential([rv.Input((8, 6, 3)), layers.Rescaling(1 / 128, -1.0), *hidden, *head])
    return fit(model, IMAGES, KINDS, batch_size=8)


@program
def convolution() -> Result:
    return images(layers.Conv2D(5, 3, activation="relu"), layers.Conv2D(4, (2, 3), padding="same"))


@program
def convolution_strided_and_grouped() -> Result:
    return images(layers.Conv2D(6, 3, strides=2, padding="same"), layers.ReLU(),
                  layers.Conv2D(4, 3, groups=2, padding="same", dilation_rate=2))  # fmt: skip


@program
def convolution_of_many_channels() -> Result:
    """Tile by tile, as Winograd's algorithm does it."""
    return images(layers.Conv2D(32, 3, padding="same", activation="relu"), layers.Conv2D(32, 3, padding="same"))


@program
def separable_and_transposed() -> Result:
    return images(layers.SeparableConv2D(4, 3, padding="same", activation="relu"), layers.DepthwiseConv2D(3),
                  layers.Conv2DTranspose(3, 3, strides=2, padding="same"))  # fmt: skip


@program
def pooling() -> Result:
    return images(layers.Conv2D(4, 3, padding="same"), layers.MaxPooling2D(), layers.AveragePooling2D(2, 1, "same"),
                  layers.UpSampling2D(2), layers.GlobalMaxPooling2D(keepdims=True))  # fmt: skip


@program
def normalization() -> Result:
    return images(layers.Conv2D(8, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU(),
                  layers.Conv2D(8, 1), layers.GroupNormalization(2), layers.InstanceNormalization(),
                  layers.Flatten(), layers.LayerNormalization(), layers.RMSNormalization())  # fmt: skip


@program
def augmentation() -> Result:
    made = [
        layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomTranslation(0.2, 0.1, "wrap"),
        layers.RandomZoom(0.2, fill_mode="constant"), layers.RandomCrop(7, 5), layers.RandomBrightness(0.2, (-1, 1)),
        layers.RandomContrast(0.3, (-1, 1)), layers.RandomErasing(0.5, value_range=(-1, 1)), layers.Resizing(6, 6, "bicubic"),
    ]  # fmt: skip
    return images(*made, layers.SpatialDropout2D(0.2), layers.Conv2D(3, 3))


@program
def cutmix() -> Result:
    model = rv.Sequential([rv.Input((8, 6, 3)), layers.Rescaling(1 / 256), layers.Conv2D(3, 3, strides=2),
                           layers.Flatten(), layers.Dense(3, activation="softmax")])  # fmt: skip
    return fit(model, IMAGES, KINDS, batch_size=8, augment=layers.CutMix())


@program
def convolution_in_one_and_three_dimensions() -> Result:
    hidden = [layers.Reshape((12, 12)), layers.Conv1D(6, 3, padding="causal", activation="relu"),
              layers.MaxPooling1D(), layers.Reshape((6, 2, 3, 1)), layers.Conv3D(2, 2, padding="same"),
              layers.AveragePooling3D((2, 1, 1))]  # fmt: skip
    return images(*hidden)
