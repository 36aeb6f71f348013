"""A network on a sequence: a table of parts that every contestant builds, its weights, its arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.network import EPSILON

__all__ = [
    "EPSILON", "GATES", "RATE", "Attention", "Bands", "Block", "Conv", "Convs", "Dense", "Embed", "GlobalPool", "Mean",
    "Norm", "Positions", "Project", "Recurrent", "Sequence", "Step",
]  # fmt: skip
Floats: TypeAlias = NDArray[np.float32]
Shape: TypeAlias = tuple[int, ...]  # of one sample: steps, features; of an image height, width, channels
Weight: TypeAlias = tuple[str, Shape]  # what it is, and its shape
GATES = {"lstm": 4, "gru": 3, "rnn": 1}
RATE = 16_000  # samples a second of a recording


@dataclass(frozen=True)
class Embed:
    """A row of a table for each token. With `masked` the token 0 is padding."""

    vocabulary: int
    width: int
    masked: bool = False


@dataclass(frozen=True)
class Project:
    """A dense layer at every step."""

    width: int


@dataclass(frozen=True)
class Positions:
    """x + a trained vector for each step."""


@dataclass(frozen=True)
class Recurrent:
    """A layer of `GATES`, with both directions where `both`: all its states, or the last one of each direction."""

    kind: str
    units: int
    every: bool = False
    both: bool = False


@dataclass(frozen=True)
class Block:
    """x + attention(norm(x)), then x + dense(activation(dense(norm(x)))): Vaswani et al. 2017, normalized before.

    The activation is relu, or the exact gelu where `gelu`; `causal` attention sees no later step.
    """

    heads: int
    hidden: int
    causal: bool = False
    gelu: bool = False


@dataclass(frozen=True)
class Norm:
    """A layer normalization."""


@dataclass(frozen=True)
class Mean:
    """The mean of all steps."""


@dataclass(frozen=True)
class Convs:
    """Convolutions of these sizes beside each other, relu, and the maximum over the steps: Kim 2014."""

    sizes: tuple[int, ...]
    filters: int


@dataclass(frozen=True)
class Bands:
    """The logarithm of the power in mel bands (HTK's, from `least` Hz) of frames of `size` samples, `apart` a frame.

    The result is an image (bands, frames, 1). Nothing in it is trained.
    """

    size: int
    apart: int
    bands: int
    least: float = 60.0


@dataclass(frozen=True)
class Conv:
    """A convolution 3x3 of equal size, relu, and the maximum of 2x2 pixels."""

    filters: int


@dataclass(frozen=True)
class GlobalPool:
    """The mean of all pixels."""


@dataclass(frozen=True)
class Dense:
    """The last layer, whose outputs are logits: of a sample, or of each step."""

    units: int


@dataclass(frozen=True)
class Attention:
    """Causal attention alone: the input has the queries, the keys and the values of all heads beside each other."""

    heads: int


Part: TypeAlias = (
    Embed
    | Project
    | Positions
    | Recurrent
    | Block
    | Norm
    | Mean
    | Convs
    | Bands
    | Conv
    | GlobalPool
    | Dense
    | Attention
)


@dataclass(frozen=True)
class Step:
    """A part with the shapes of one sample before and after it."""

    part: Part
    given: Shape
    made: Shape

    @property
    def first(self) -> int:
        """Multiply-adds of one sample whose factors are what is given and a weight."""
        steps, features = self.given[0], self.given[-1]
        match self.part:
            case Project(width):
                return steps * features * width
            case Recurrent(kind, units, both=both):
                return (1 + both) * steps * features * GATES[kind] * units
            case Convs(sizes, filters):
                return sum((steps - n + 1) * n * features * filters for n in sizes)
            case Bands(size, bands=bands):
                bins = size // 2 + 1
                return self.made[1] * (2 * size * bins + bins * bands)
            case Conv(filters):
                return math.prod(self.given) * 9 * filters
            case Dense(units):
                return math.prod(self.given) * units
            case _:
                return 0

    @property
    def rest(self) -> int:
        """The other multiply-adds of one sample's forward pass."""
        steps, features = self.given[0], self.given[-1]
        match self.part:
            case Recurrent(kind, units, both=both):
                return (1 + both) * steps * GATES[kind] * units**2
            case Block(hidden=hidden, causal=causal):
                dense = steps * (4 * features**2 + 2 * features * hidden)
                return dense + 2 * features * _pairs(steps, causal)
            case Attention():
                return 2 * features // 3 * _pairs(steps, causal=True)
            case _:
                return 0

    def weights(self) -> list[Weight]:
        """What each weight is ("table", "kernel", "bias", "scale") and its shape, in Keras's order."""
        steps, features = self.given[0], self.given[-1]
        norm: list[Weight] = [("scale", (features,)), ("bias", (features,))]
        match self.part:
            case Embed(vocabulary, width):
                return [("table", (vocabulary, width))]
            case Project(width) | Dense(width):
                return _dense(features, width)
            case Positions():
                return [("table", (steps, features))]
            case Recurrent(kind, units, both=both):
                n = GATES[kind] * units
                bias = (2, n) if kind == "gru" else (n,)
                return [("kernel", (features, n)), ("kernel", (units, n)), ("bias", bias)] * (1 + both)
            case Block(heads, hidden):
                each = (heads, features // heads)
                projections = [("kernel", (features, *each)), ("bias", each)] * 3
                out = [("kernel", (*each, features)), ("bias", (features,))]
                return [*norm, *projections, *out, *norm, *_dense(features, hidden), *_dense(hidden, features)]
            case Norm():
                return norm
            case Convs(sizes, filters):
                beside = [[("kernel", (n, features, filters)), ("bias", (filters,))] for n in sizes]
                return [weight for pair in beside for weight in pair]
            case Conv(filters):
                return [("kernel", (3, 3, features, filters)), ("bias", (filters,))]
            case _:
                return []


def _pairs(steps: int, causal: bool) -> int:
    """How many pairs of a query and a key there are."""
    return steps * (steps + 1) // 2 if causal else steps**2


def _dense(features: int, width: int) -> list[Weight]:
    return [("kernel", (features, width)), ("bias", (width,))]


def _made(part: Part, given: Shape) -> Shape:
    match part:
        case Embed(_, width) | Project(width) | Dense(width):
            return (*(given if isinstance(part, Embed) else given[:-1]), width)
        case Recurrent(_, units, every, both):
            return (*given[: 1 if every else 0], (1 + both) * units)
        case Mean() | GlobalPool():
            return given[-1:]
        case Convs(sizes, filters):
            return (len(sizes) * filters,)
        case Bands(_, apart, bands):
            return (bands, 1 + given[0] // apart, 1)
        case Conv(filters):
            return (given[0] // 2, given[1] // 2, filters)
        case Attention():
            return (given[0], given[1] // 3)
        case _:
            return given


@dataclass(frozen=True)
class Sequence:
    """The shape of a sample and the parts from the input to the logits. A sample is tokens where it is embedded first.

    A network that ends with logits of each step predicts the token after it.
    """

    title: str
    shape: Shape
    parts: tuple[Part, ...]
    family = "sequences"
    restores = False

    @property
    def vocabulary(self) -> int:
        """The number of tokens; 0 where a sample is of floats."""
        first = self.parts[0]
        return first.vocabulary if isinstance(first, Embed) else 0

    @property
    def masked(self) -> bool:
        """Whether samples are padded."""
        first = self.parts[0]
        return isinstance(first, Embed) and first.masked

    def steps(self) -> list[Step]:
        """The parts in their order."""
        out, shape = [], self.shape
        for part in self.parts:
            out.append(Step(part, shape, _made(part, shape)))
            shape = out[-1].made
        return out

    @property
    def answers(self) -> Shape:
        """The shape of the logits of a sample."""
        return self.steps()[-1].made

    @property
    def parameters(self) -> int:
        """The number of trained weights."""
        return sum(math.prod(shape) for step in self.steps() for _, shape in step.weights())

    @property
    def forward_flops(self) -> float:
        """The operations of one sample. A multiply-add counts as two."""
        return 2.0 * sum(step.first + step.rest for step in self.steps())

    @property
    def training_flops(self) -> float:
        """The operations of the forward pass and the gradients, without the gradient of the network's input."""
        total, needed = 0, isinstance(self.parts[0], Attention)
        for step in self.steps():
            trained = bool(step.weights())
            total += step.first * (1 + trained + (trained and needed)) + 3 * step.rest
            needed |= trained
        return 2.0 * total

    def weights(self, *, trained: bool = False) -> list[Floats]:
        """Uniform kernels and tables, zero biases and neutral scales in Keras's order and shapes, always the same.

        With `trained`, biases and scales are those of a trained network, so that a contestant that ignores one has
        other results.
        """
        rng = np.random.default_rng(13)
        out: list[Floats] = []
        for step in self.steps():
            for what, shape in step.weights():
                # The mean of both extents of a kernel is the geometric one, so that its axes need no names.
                spread = {"table": 0.05, "kernel": math.sqrt(3 / math.sqrt(math.prod(shape)))}.get(what, 0.1 * trained)
                out.append((rng.uniform(-spread, spread, shape) + (what == "scale")).astype(np.float32))
        return out


def taken(sequence: Sequence, *, trained: bool = False) -> Iterator[tuple[Step, list[Floats]]]:
    """Each part with its weights."""
    rest = iter(sequence.weights(trained=trained))
    for step in sequence.steps():
        yield step, [next(rest) for _ in step.weights()]


def mel_matrix(part: Bands) -> Floats:
    """(bins, bands): triangles that are straight in Hertz between points at equal distances on HTK's mel scale."""
    top = 2595 * math.log10(1 + RATE / 2 / 700)
    points = np.linspace(2595 * math.log10(1 + part.least / 700), top, part.bands + 2)
    edges = 700 * (10 ** (points / 2595) - 1)
    bins = np.linspace(0, RATE / 2, part.size // 2 + 1)[:, None]
    rise = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rise, fall)).astype(np.float32)
