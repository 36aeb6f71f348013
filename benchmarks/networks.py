"""The image networks: a table of parts for each."""

from __future__ import annotations

from benchmarks.network import (
    Beside,
    Conv,
    Deconv,
    Dense,
    Depthwise,
    Dropout,
    Flatten,
    Flip,
    GlobalPool,
    Network,
    Part,
    Pool,
    Rescale,
    Residual,
)


def _stage(filters: int, stride: int, blocks: int = 3) -> tuple[Residual, ...]:
    """Blocks of two convolutions; the first may halve the image, and then projects its shortcut (option B)."""
    last = Conv(filters, 3, same=True, normalized=True, relu=False)
    first = Residual(
        (Conv(filters, 3, stride, same=True, normalized=True), last),
        (Conv(filters, 1, stride, same=True, normalized=True, relu=False),) if stride > 1 else (),
    )
    return (first, *[Residual((Conv(filters, 3, same=True, normalized=True), last))] * (blocks - 1))


def resnet(blocks: int) -> tuple[Part, ...]:
    """The residual network of 6 * `blocks` + 2 layers for 32x32 pixels: He et al. 2016, section 4.2."""
    stages = (*_stage(16, 1, blocks), *_stage(32, 2, blocks), *_stage(64, 2, blocks))
    return (Conv(16, 3, same=True, normalized=True), *stages, GlobalPool(), Dense(10))


def _bottleneck(filters: int, stride: int, projected: bool) -> Residual:
    """Three convolutions, of which the second may halve the image and the last has four times the filters."""
    last = Conv(4 * filters, 1, same=True, normalized=True, relu=False)
    return Residual(
        (Conv(filters, 1, same=True, normalized=True), Conv(filters, 3, stride, same=True, normalized=True), last),
        (Conv(4 * filters, 1, stride, same=True, normalized=True, relu=False),) if projected else (),
    )


_STEM: tuple[Part, ...] = (Conv(64, 7, 2, same=True, normalized=True), Pool(same=True, size=3))


def _resnet_50() -> tuple[Part, ...]:
    """He et al. 2016, table 1, with ten classes."""
    blocks = [
        _bottleneck(64 * 2**stage, 2 if stage and not i else 1, not i)
        for stage, count in enumerate((3, 4, 6, 3))
        for i in range(count)
    ]
    return (*_STEM, *blocks, GlobalPool(), Dense(10))


def _mobilenet() -> tuple[Part, ...]:
    """MobileNetV2 of Sandler et al. 2018, table 2, with ten classes."""
    parts: list[Part] = [Conv(32, 3, 2, same=True, normalized=True, six=True)]
    channels = 32
    for expansion, filters, count, first in (
        *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2)),
        (6, 320, 1, 1),
    ):
        for i in range(count):
            stride = 1 if i else first
            wide = Conv(expansion * channels, 1, same=True, normalized=True, six=True)
            body: tuple[Part, ...] = (
                *([wide] if expansion > 1 else []),
                Depthwise(3, stride, same=True, normalized=True, six=True),
                Conv(filters, 1, same=True, normalized=True, relu=False),
            )
            parts += [Residual(body, relu=False)] if stride == 1 and channels == filters else body
            channels = filters
    return (*parts, Conv(1280, 1, same=True, normalized=True, six=True), GlobalPool(), Dense(10))


def _unet(filters: int, levels: int) -> tuple[Part, ...]:
    """Two convolutions, and around a pooled image of half the pixels the same again (Ronneberger et al. 2015)."""
    pair = (Conv(filters, 3, same=True),) * 2
    if not levels:
        return pair
    below = (Pool(), *_unet(2 * filters, levels - 1), Deconv(filters, 2))
    return (*pair, Beside(below), *pair)


def _stack(channels: int, pixels: int, size: int) -> Network:
    """Three equal convolutions and a classifier."""
    title = f"three convolutions {size}x{size}, {channels} channels, {pixels}x{pixels}"
    convolutions = (Conv(channels, size, same=True),) * 3
    return Network(title, (pixels, pixels, channels), (*convolutions, GlobalPool(), Dense(10)))


# Channels, pixels of a side, size of the kernels.
STACKS = ((512, 7, 3), (256, 14, 3), (128, 28, 3), (64, 112, 3), (16, 224, 3), (512, 7, 1), (256, 14, 1))


def stack_name(channels: int, pixels: int, size: int) -> str:
    """The name of a stack in the table."""
    return f"conv{size}-{channels}-{pixels}"


def _block(filters: int) -> tuple[Part, ...]:
    """One convolution of a small VGG, normalized and pooled."""
    return (Conv(filters, 3, same=True, normalized=True, he=True), Pool(same=True))


_CNN: tuple[Part, ...] = (Conv(32, 3), Pool(), Conv(64, 3), Pool(), Flatten(), Dropout(0.5), Dense(10))

NETWORKS = {
    "cnn": Network("28x28x1, conv 32 3x3, pool, conv 64 3x3, pool, dropout, dense 10", (28, 28, 1), _CNN),
    "bn": Network(
        "28x28x1, batch normalization, conv 32-32-pool-64-pool 3x3 'same', dense 10",
        (28, 28, 1),
        (
            Conv(32, 3, same=True, normalized=True),
            Conv(32, 3, same=True, normalized=True),
            Pool(),
            Conv(64, 3, same=True, normalized=True),
            Pool(),
            Flatten(),
            Dense(10),
        ),
    ),
    "lenet": Network(
        "LeNet-5, 28x28x1, 6 and 16 filters 5x5, dense 120-84-10",
        (28, 28, 1),
        (Conv(6, 5), Pool(), Conv(16, 5), Pool(), Flatten(), Dense(120, True), Dense(84, True), Dense(10)),
    ),
    "resnet": Network("ResNet-20, 32x32x3", (32, 32, 3), resnet(3)),
    "depthwise": Network(
        "32x32x3, conv 32 5x5 stride 2, depthwise 3x3, pointwise 64, global average pooling, dense 10",
        (32, 32, 3),
        (Conv(32, 5, 2), Depthwise(3), Conv(64, 1), GlobalPool(), Dense(10)),
    ),
    # The two of examples/images.py.
    "digits": Network("conv 32-pool-64-pool 3x3, dropout, dense 10", (28, 28, 1), _CNN, (Rescale(),)),
    "clothes": Network(
        "mirrored at random, batch normalization, conv 32-pool-64-pool-128-pool 3x3 'same', dense 128-10",
        (28, 28, 1),
        (*_block(32), *_block(64), *_block(128), Flatten(), Dense(128, relu=True, he=True), Dropout(0.3), Dense(10)),
        (Rescale(), Flip()),
    ),
}

# Those whose speed must hold as layers get wider, deeper and more (`growth.py`).
NETWORKS |= {
    **{stack_name(*stack): _stack(*stack) for stack in STACKS},
    "autoencoder": Network(
        "autoencoder 28x28x1, conv 32-64 3x3 stride 2, transposed 64-32 3x3 stride 2, conv 1 3x3",
        (28, 28, 1),
        (
            *(Conv(32, 3, 2, same=True), Conv(64, 3, 2, same=True), Deconv(64, 3), Deconv(32, 3)),
            Conv(1, 3, same=True, relu=False),
        ),
    ),
    "stem": Network(
        "96x96x3, conv 64 7x7 stride 2, normalized, pool, conv 128 3x3 stride 2",
        (96, 96, 3),
        (Conv(64, 7, 2, same=True, normalized=True), Pool(), Conv(128, 3, 2, same=True), GlobalPool(), Dense(10)),
    ),
    "resnet18": Network(
        "ResNet-18, 96x96x3",
        (96, 96, 3),
        (
            *_STEM,
            *(block for stage in range(4) for block in _stage(64 * 2**stage, 2 if stage else 1, 2)),
            *(GlobalPool(), Dense(10)),
        ),
    ),
    "mobilenet": Network("MobileNetV2, 96x96x3", (96, 96, 3), _mobilenet()),
    "unet": Network("U-Net of 3 levels, 128x128x3", (128, 128, 3), (*_unet(32, 3), Conv(3, 1, relu=False))),
    "resnet50": Network("ResNet-50, 224x224x3", (224, 224, 3), _resnet_50()),
    "resnet110": Network("ResNet-110, 32x32x3", (32, 32, 3), resnet(18)),
}
