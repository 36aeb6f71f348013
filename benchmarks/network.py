"""An image network: a table of parts that every contestant builds in its vocabulary, its weights, its arithmetic."""

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
    """A convolution, normalized where `normalized`, then relu where `relu`; for `he` see `Network.weights`.

    With `six` the relu is at most 6.
    """

    filters: int
    size: int
    stride: int = 1
    same: bool = False
    normalized: bool = False
    relu: bool = True
    he: bool = False
    six: bool = False

    @property
    def bias(self) -> bool:
        """What normalization follows needs none."""
        return not self.normalized


@dataclass(frozen=True)
class Deconv:
    """A transposed convolution with a bias, then relu where `relu`. It makes `stride` times as many pixels a side.

    With a size above the stride, PyTorch's result is one pixel aside of Keras's. The work is the same.
    """

    filters: int
    size: int
    stride: int = 2
    relu: bool = True


@dataclass(frozen=True)
class Depthwise:
    """A depthwise convolution, normalized where `normalized`, otherwise with a bias; then relu as in `Conv`."""

    size: int
    stride: int = 1
    same: bool = False
    normalized: bool = False
    six: bool = False

    @property
    def bias(self) -> bool:
        """What normalization follows needs none."""
        return not self.normalized


@dataclass(frozen=True)
class Pool:
    """The maximum of `size` x `size` pixels at a stride of 2, with `same` also at the last pixels of an edge."""

    same: bool = False
    size: int = 2


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
    """body(x) + shortcut(x), then relu where `relu`; an empty shortcut is the identity."""

    body: tuple[Part, ...]
    shortcut: tuple[Part, ...] = ()
    relu: bool = True


@dataclass(frozen=True)
class Beside:
    """The channels of x and those of body(x)."""

    body: tuple[Part, ...]


@dataclass(frozen=True)
class Rescale:
    """Bytes as floats, times `scale`."""

    scale: float = 1 / 255


@dataclass(frozen=True)
class Flip:
    """In training, mirror each image with probability 1/2."""


Before: TypeAlias = Rescale | Flip
Part: TypeAlias = Conv | Deconv | Depthwise | Pool | GlobalPool | Flatten | Dropout | Dense | Residual | Beside


@dataclass(frozen=True)
class Step:
    """A part without parts, with the shapes of one sample before and after it."""

    part: Part
    given: Shape
    made: Shape

    @property
    def products(self) -> int:
        """Multiply-adds of one sample's forward pass."""
        match self.part:
            case Conv(size=size):
                return math.prod(self.made) * size**2 * self.given[-1]
            case Deconv(filters, size):
                return math.prod(self.given) * size**2 * filters
            case Depthwise(size=size):
                return math.prod(self.made) * size**2
            case Dense():
                return self.given[0] * self.made[0]
            case _:
                return 0


def _slid(given: Shape, size: int, stride: int, same: bool) -> Shape:
    """The pixels that a window of this size makes."""
    return tuple(-(-n // stride) if same else (n - size) // stride + 1 for n in given[:2])


def _made(part: Part, given: Shape) -> Shape:
    match part:
        case Conv(filters, size, stride, same):
            return (*_slid(given, size, stride, same), filters)
        case Deconv(filters, _, stride):
            return (given[0] * stride, given[1] * stride, filters)
        case Depthwise(size, stride, same):
            return (*_slid(given, size, stride, same), given[2])
        case Pool(same, size):
            return (*_slid(given, size, 2, same), given[2])
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
        if isinstance(part, Beside):
            body = list(_steps(part.body, shape))
            yield from body
            shape = (*shape[:2], shape[2] + body[-1].made[2])
            continue
        yield Step(part, shape, _made(part, shape))
        shape = _made(part, shape)


def _kernel(step: Step) -> Shape:
    """The shape of a part's kernel in Keras; empty where it has none."""
    channels = step.given[-1]
    match step.part:
        case Conv(filters, size):
            return (size, size, channels, filters)
        case Deconv(filters, size):
            return (size, size, filters, channels)
        case Depthwise(size):
            return (size, size, channels, 1)
        case Dense(units):
            return (channels, units)
        case _:
            return ()


def _biased(part: Part) -> bool:
    """Whether a part with a kernel has a bias, and no normalization."""
    return not isinstance(part, Conv | Depthwise) or part.bias


def _cut_normal(rng: np.random.Generator, shape: Shape) -> NDArray[np.float64]:
    """Normal numbers below 2 in magnitude, scaled to a variance of 1."""
    out = rng.standard_normal(shape)
    while (far := np.abs(out) > 2).any():
        out[far] = rng.standard_normal(np.count_nonzero(far))
    return out / 0.8796256610342398


@dataclass(frozen=True)
class Network:
    """The shape of a sample, channels last, and the parts from the input to the logits of a classifier.

    A network whose last part is not dense restores its input. A network with parts `before` takes bytes, otherwise
    floats.
    """

    title: str
    shape: Shape
    parts: tuple[Part, ...]
    before: tuple[Before, ...] = ()
    family = "images"

    @property
    def restores(self) -> bool:
        """Whether the target of a sample is the sample."""
        return not isinstance(self.parts[-1], Dense)

    def steps(self) -> list[Step]:
        """The parts in the order of their weights: the body of a residual block, then its shortcut."""
        return list(_steps(self.parts, self.shape))

    @property
    def parameters(self) -> int:
        """The number of trainable weights."""
        total = 0
        for step in self.steps():
            kernel = _kernel(step)
            if kernel:
                total += math.prod(kernel) + step.made[-1] * (1 if _biased(step.part) else 2)
        return total

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
            part, shape = step.part, _kernel(step)
            if not shape:
                continue
            limit = math.sqrt(6 / (math.prod(shape[:-2]) * (shape[-2] + shape[-1])))
            if isinstance(part, Conv | Dense) and part.he:
                kernel = _cut_normal(rng, shape) * math.sqrt(2 / math.prod(shape[:-1]))
            else:
                kernel = rng.uniform(-limit, limit, shape)
            out.append(kernel.astype(np.float32))
            n = step.made[-1]
            if _biased(part):
                out.append(vector(n, 0, 0.1))
            else:
                out += [vector(n, 1, 0.5), vector(n, 0, 0.1), vector(n, 0, 0.1), vector(n, 1, 0.5)]
        return out

    def weights_channels_first(self, *, trained: bool = False) -> list[Floats]:
        """The same weights as PyTorch and ONNX hold them: (filters, channels, height, width) and (outputs, inputs).

        The kernel of a transposed convolution is (channels, filters, height, width).
        """
        out, rest, image = [], iter(self.weights(trained=trained)), self.shape
        for step in self.steps():
            part = step.part
            if isinstance(part, Conv | Deconv | Depthwise):
                out.append(next(rest).transpose((2, 3, 0, 1) if isinstance(part, Depthwise) else (3, 2, 0, 1)))
                out += [next(rest) for _ in range(1 if _biased(part) else 4)]
            elif isinstance(part, Flatten):
                image = step.given
            elif isinstance(part, Dense):
                kernel = next(rest)
                if len(kernel) == math.prod(image):  # it follows the flattening, whose order differs
                    kernel = kernel.reshape(*image, part.units).transpose(2, 0, 1, 3).reshape(-1, part.units)
                out += [kernel.T, next(rest)]
        return [np.ascontiguousarray(w) for w in out]
