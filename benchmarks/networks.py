"""The image networks, each a table of parts that every contestant builds in its vocabulary, and their arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Shape: TypeAlias = tuple[int, ...]  # the shape of one sample: height, width, channels; or features
EPSILON, MOMENTUM = 1e-3, 0.99  # of batch normalization, for all: the defaults of Keras


@dataclass(frozen=True)
class Conv:
    """A convolution, normalized where `normalized`, then relu where `relu`; for `he` see `Network.weights`."""

    filters: int
    size: int
    stride: int = 1
    same: bool = False
    normalized: bool = False
    relu: bool = True
    he: bool = False

    @property
    def bias(self) -> bool:
        """What normalization follows needs none."""
        return not self.normalized


@dataclass(frozen=True)
class Depthwise:
    """A depthwise convolution with a bias, then relu."""

    size: int


@dataclass(frozen=True)
class Pool:
    """The maximum of every 2x2 pixels, with `same` also of the remaining pixels at an odd edge."""

    same: bool = False


@dataclass(frozen=True)
class GlobalPool:
    """The mean of all pixels."""


@dataclass(frozen=True)
class Flatten:
    """Pixels and channels as features."""


@dataclass(frozen=True)
class Dropout:
    rate: float


@dataclass(frozen=True)
class Dense:
    """A dense layer. The last one of a network returns logits or their softmax, as is usual in its library."""

    units: int
    relu: bool = False
    he: bool = False


@dataclass(frozen=True)
class Residual:
    """relu(body(x) + shortcut(x)); an empty shortcut is the identity."""

    body: tuple[Conv, ...]
    shortcut: tuple[Conv, ...] = ()


@dataclass(frozen=True)
class Rescale:
    """Bytes as floats, times `scale`."""

    scale: float = 1 / 255


@dataclass(frozen=True)
class Flip:
    """In training, mirror each image with probability 1/2."""


Before: TypeAlias = Rescale | Flip
Part: TypeAlias = Conv | Depthwise | Pool | GlobalPool | Flatten | Dropout | Dense | Residual


@dataclass(frozen=True)
class Step:
    """A part other than `Residual`, with the shapes of one sample before and after it."""

    part: Part
    given: Shape
    made: Shape

    @property
    def products(self) -> int:
        """Multiply-adds of one sample's forward pass."""
        match self.part:
            case Conv(size=size):
                return math.prod(self.made) * size**2 * self.given[-1]
            case Depthwise(size=size):
                return math.prod(self.made) * size**2
            case Dense():
                return self.given[0] * self.made[0]
            case _:
                return 0


def _made(part: Part, given: Shape) -> Shape:
    match part:
        case Conv(filters, size, stride, same):
            return (*(-(-n // stride) if same else (n - size) // stride + 1 for n in given[:2]), filters)
        case Depthwise(size):
            return (given[0] - size + 1, given[1] - size + 1, given[2])
        case Pool(same):
            return ((given[0] + same) // 2, (given[1] + same) // 2, given[2])
        case GlobalPool():
            return given[2:]
        case Flatten():
            return (math.prod(given),)
        case Dense(units):
            return (units,)
        case _:
            return given


def _steps(parts: tuple[Part, ...], shape: Shape) -> Iterator[Step]:
    for part in parts:
        if isinstance(part, Residual):
            body = list(_steps(part.body, shape))
            yield from body
            yield from _steps(part.shortcut, shape)
            shape = body[-1].made
            continue
        yield Step(part, shape, _made(part, shape))
        shape = _made(part, shape)


def _cut_normal(rng: np.random.Generator, shape: Shape) -> NDArray[np.float64]:
    """Normal numbers below 2 in magnitude, scaled to a variance of 1."""
    out = rng.standard_normal(shape)
    while (far := np.abs(out) > 2).any():
        out[far] = rng.standard_normal(np.count_nonzero(far))
    return out / 0.8796256610342398


@dataclass(frozen=True)
class Network:
    """An image classifier: the shape of a sample, channels last, and its parts from the input to the logits.

    A network with parts `before` takes bytes, otherwise floats.
    """

    title: str
    shape: Shape
    parts: tuple[Part, ...]
    before: tuple[Before, ...] = ()

    def steps(self) -> list[Step]:
        """The parts in the order of their weights: the body of a residual block, then its shortcut."""
        return list(_steps(self.parts, self.shape))

    @property
    def forward_flops(self) -> float:
        """The operations of one sample. A multiply-add counts as two."""
        return 2.0 * sum(step.products for step in self.steps())

    @property
    def training_flops(self) -> float:
        """The operations of the forward pass and the gradients, without that of the inputs of the first layer."""
        return 3 * self.forward_flops - 2.0 * self.steps()[0].products

    def weights(self, *, trained: bool = False) -> list[Floats]:
        """Glorot-uniform kernels, zero biases and neutral normalizations in Keras's order and shapes, always the same.

        Kernels of parts with `he` have He initialization, from a normal distribution truncated at two standard
        deviations. With `trained`, statistics, scales and biases are those of a trained network, so that a contestant
        that ignores one has other results.
        """
        rng = np.random.default_rng(11)
        out: list[Floats] = []

        def vector(n: int, value: float, spread: float) -> Floats:
            return (value + trained * rng.uniform(-spread, spread, n)).astype(np.float32)

        for step in self.steps():
            part, channels = step.part, step.given[-1]
            match part:
                case Conv(filters, size):
                    shape: Shape = (size, size, channels, filters)
                case Depthwise(size):
                    shape = (size, size, channels, 1)
                case Dense(units):
                    shape = (channels, units)
                case _:
                    continue
            limit = math.sqrt(6 / (math.prod(shape[:-2]) * (shape[-2] + shape[-1])))
            if isinstance(part, Conv | Dense) and part.he:
                kernel = _cut_normal(rng, shape) * math.sqrt(2 / math.prod(shape[:-1]))
            else:
                kernel = rng.uniform(-limit, limit, shape)
            out.append(kernel.astype(np.float32))
            n = step.made[-1]
            if not isinstance(part, Conv) or part.bias:
                out.append(vector(n, 0, 0.1))
            else:
                out += [vector(n, 1, 0.5), vector(n, 0, 0.1), vector(n, 0, 0.1), vector(n, 1, 0.5)]
        return out

    def weights_channels_first(self, *, trained: bool = False) -> list[Floats]:
        """The same weights as PyTorch and ONNX hold them: (filters, channels, height, width) and (outputs, inputs)."""
        out, rest, image = [], iter(self.weights(trained=trained)), self.shape
        for step in self.steps():
            part = step.part
            if isinstance(part, Conv):
                out.append(next(rest).transpose(3, 2, 0, 1))
                out += [next(rest) for _ in range(1 if part.bias else 4)]
            elif isinstance(part, Depthwise):
                out += [next(rest).transpose(2, 3, 0, 1), next(rest)]
            elif isinstance(part, Flatten):
                image = step.given
            elif isinstance(part, Dense):
                kernel = next(rest)
                if len(kernel) == math.prod(image):  # it follows the flattening, whose order differs
                    kernel = kernel.reshape(*image, part.units).transpose(2, 0, 1, 3).reshape(-1, part.units)
                out += [kernel.T, next(rest)]
        return [np.ascontiguousarray(w) for w in out]


def _stage(filters: int, stride: int) -> tuple[Residual, ...]:
    """Three blocks of two convolutions; the first may halve the image, and then projects its shortcut (option B)."""
    last = Conv(filters, 3, same=True, normalized=True, relu=False)
    first = Residual(
        (Conv(filters, 3, stride, same=True, normalized=True), last),
        (Conv(filters, 1, stride, same=True, normalized=True, relu=False),) if stride > 1 else (),
    )
    return (first, *[Residual((Conv(filters, 3, same=True, normalized=True), last))] * 2)


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
    "resnet": Network(  # He et al. 2016, section 4.2
        "ResNet-20, 32x32x3",
        (32, 32, 3),
        (
            Conv(16, 3, same=True, normalized=True),
            *_stage(16, 1),
            *_stage(32, 2),
            *_stage(64, 2),
            GlobalPool(),
            Dense(10),
        ),
    ),
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
