"""Initializers of weights, by their Keras names. An initializer takes a shape and a dtype and returns an array.

Fans are Keras's: for a shape (..., in, out) the last two extents, each times the product of the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ranvier.data.memory import check_weight
from ranvier.support.errors import missing, unwritten
from ranvier.support.registry import Configured, Registry
from ranvier.support.serialized import deserializer
from ranvier.support.serialized import serialize_keras_object as serialize
from ranvier.support.window_functions import window_values
from ranvier.tensor.context import get_dtype
from ranvier.tensor.rng import numpy_generator

__all__ = [
    "STFT", "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "IdentityInitializer",
    "Initializer", "LecunNormal", "LecunUniform", "Ones", "Orthogonal", "OrthogonalInitializer", "RandomNormal",
    "RandomUniform", "STFTInitializer", "TruncatedNormal", "VarianceScaling", "Zeros", "deserialize", "fans", "get",
    "serialize", "uniform",
]  # fmt: skip

_PART = 1 << 18  # values that are drawn at once: as float64 they take twice the memory of the weight that they fill
_TRUNCATED_STD = 0.87962566103423978  # standard deviation of a normal distribution truncated at 2


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """The fan-in and fan-out of a kernel of this shape."""
    if len(shape) < 2:
        return (int(shape[0]),) * 2 if shape else (1, 1)
    receptive = math.prod(shape[:-2])
    return int(shape[-2] * receptive), int(shape[-1] * receptive)


def uniform(bound: float, shape: Sequence[int], dtype: str | None = None, seed: int | None = None) -> Any:
    """Uniform values in [-bound, bound), as PyTorch's layers use."""
    return RandomUniform(-bound, bound, seed)(shape, dtype)


def truncated_normal(generator: np.random.Generator, shape: Sequence[int]) -> Any:
    """Standard normal values; those beyond 2 are drawn again."""
    values = generator.standard_normal(shape)
    while (outside := np.abs(values) > 2).any():
        values[outside] = generator.standard_normal(int(outside.sum()))
    return values


def _drawn(draw: Callable[[int], Any], shape: Sequence[int]) -> Iterator[Any]:
    """The values of a shape in parts, each of so many as ``draw`` is told: the stream of one draw of all."""
    size = math.prod(shape)
    return (draw(min(_PART, size - at)) for at in range(0, size, _PART))


@dataclass(eq=False)
class Initializer(Configured):
    """The base of all initializers: ``initializer(shape, dtype)`` returns a NumPy array.

    With ``seed`` every call returns the same values; without it, each call draws new ones from the process's seed.
    """

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        dtype = dtype or get_dtype()
        shape = tuple(int(d) for d in shape)
        check_weight(shape, dtype, "a weight")
        values = self.values(shape)
        if not isinstance(values, Iterator):
            return np.ascontiguousarray(values, dtype).reshape(shape)
        found, at = np.empty(math.prod(shape), dtype), 0
        for part in values:
            found[at : at + part.size] = part
            at += part.size
        return found.reshape(shape)

    def values(self, shape: tuple[int, ...]) -> Any:
        """The values, in any floating dtype, or an iterator over flat parts of them; a subclass defines it."""
        raise unwritten(self, "values(self, shape): return ...")

    def generator(self) -> np.random.Generator:
        return numpy_generator("initializer", getattr(self, "seed", None))


@dataclass(eq=False)
class Zeros(Initializer):
    """Zeros."""

    def values(self, shape: tuple[int, ...]) -> Any:
        return np.zeros(shape)


@dataclass(eq=False)
class Ones(Initializer):
    """Ones."""

    def values(self, shape: tuple[int, ...]) -> Any:
        return np.ones(shape)


@dataclass(eq=False)
class Constant(Initializer):
    """``value`` in every element."""

    value: float = 0.0

    def values(self, shape: tuple[int, ...]) -> Any:
        return np.full(shape, self.value)


@dataclass(eq=False)
class RandomNormal(Initializer):
    """Normal values of the given mean and standard deviation."""

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = None

    def values(self, shape: tuple[int, ...]) -> Any:
        generator = self.generator()
        return _drawn(lambda count: generator.normal(self.mean, self.stddev, count), shape)


@dataclass(eq=False)
class RandomUniform(Initializer):
    """Uniform values in [minval, maxval)."""

    minval: float = -0.05
    maxval: float = 0.05
    seed: int | None = None

    def values(self, shape: tuple[int, ...]) -> Any:
        generator = self.generator()
        return _drawn(lambda count: generator.uniform(self.minval, self.maxval, count), shape)


@dataclass(eq=False)
class TruncatedNormal(Initializer):
    """Normal values; those more than two standard deviations from the mean are drawn again."""

    mean: float = 0.0
    stddev: float = 0.05
    seed: int | None = None

    def values(self, shape: tuple[int, ...]) -> Any:
        return self.mean + self.stddev * truncated_normal(self.generator(), shape)


@dataclass(eq=False)
class Orthogonal(Initializer):
    """``gain`` times a matrix (rest, last) with orthonormal rows or columns (Saxe et al., 2014)."""

    gain: float = 1.0
    seed: int | None = None

    def values(self, shape: tuple[int, ...]) -> Any:
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal needs a shape of two dimensions or more, not {shape}. Write 'glorot_uniform' instead."
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(self.generator().standard_normal((max(rows, columns), min(rows, columns))))
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # uniform over the orthogonal matrices
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


@dataclass(eq=False)
class Identity(Initializer):
    """``gain`` on the diagonal of a matrix, and 0 elsewhere."""

    gain: float = 1.0

    def values(self, shape: tuple[int, ...]) -> Any:
        if len(shape) != 2:
            raise ValueError(f"Identity makes matrices, not {shape}. Write 'glorot_uniform' instead.")
        return self.gain * np.eye(*shape)


_MODES = {"fan_in": lambda i, o: i, "fan_out": lambda i, o: o, "fan_avg": lambda i, o: (i + o) / 2}
_DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")


@dataclass(eq=False)
class VarianceScaling(Initializer):
    """Values of variance ``scale / n``, where ``mode`` makes n the fan-in, the fan-out or their mean."""

    scale: float = 1.0
    mode: str = "fan_in"
    distribution: str = "truncated_normal"
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in _MODES:
            raise ValueError(f"mode {self.mode!r} does not exist. Write one of {', '.join(map(repr, _MODES))}.")
        if self.distribution not in _DISTRIBUTIONS:
            allowed = ", ".join(map(repr, _DISTRIBUTIONS))
            raise ValueError(f"distribution {self.distribution!r} does not exist. Write one of {allowed}.")
        if not self.scale > 0:
            raise ValueError(f"scale {self.scale!r} must be positive. Write 1.0, for example.")

    def values(self, shape: tuple[int, ...]) -> Any:
        variance = self.scale / max(1.0, _MODES[self.mode](*fans(shape)))
        generator = self.generator()
        if self.distribution == "uniform":
            bound = math.sqrt(3 * variance)
            return _drawn(lambda count: generator.uniform(-bound, bound, count), shape)
        if self.distribution == "truncated_normal":
            return math.sqrt(variance) / _TRUNCATED_STD * truncated_normal(generator, shape)
        return _drawn(lambda count: generator.normal(0.0, math.sqrt(variance), count), shape)


class _Family(VarianceScaling):
    """A named choice of scale, mode and distribution."""

    choice: ClassVar[tuple[float, str, str]]

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(*self.choice, seed)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(seed={self.seed})"

    def config(self) -> dict[str, Any]:
        return {"seed": self.seed}


class GlorotUniform(_Family):
    """Uniform, variance 2 / (in + out) (Glorot and Bengio, 2010)."""

    choice = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Family):
    """Truncated normal, variance 2 / (in + out) (Glorot and Bengio, 2010)."""

    choice = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Family):
    """Uniform, variance 2 / in (He et al., 2015)."""

    choice = (2.0, "fan_in", "uniform")


class HeNormal(_Family):
    """Truncated normal, variance 2 / in (He et al., 2015)."""

    choice = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Family):
    """Uniform, variance 1 / in (LeCun et al., 1998)."""

    choice = (1.0, "fan_in", "uniform")


class LecunNormal(_Family):
    """Truncated normal, variance 1 / in (LeCun et al., 1998)."""

    choice = (1.0, "fan_in", "truncated_normal")


@dataclass(eq=False)
class STFT(Initializer):
    """The cosines or the sines, ``side`` "real" or "imag", of a short-time Fourier transform: (samples, 1, bins).

    They are multiplied by ``window``, a word or numbers, which is divided by its norm (``scaling="density"``), by its
    sum ("spectrum"), or by nothing (None).
    """

    side: str = "real"
    window: Any = "hann"
    scaling: str | None = "density"
    periodic: bool = False

    def __post_init__(self) -> None:
        for what, value, known in (
            ("side", self.side, ("real", "imag")), ("scaling", self.scaling, ("density", "spectrum", None)),
        ):  # fmt: skip
            if value not in known:
                raise ValueError(f"{what}={value!r}. Write {' or '.join(map(repr, known))} instead.")
        if isinstance(self.window, str):
            window_values(self.window, 1)

    def values(self, shape: tuple[int, ...]) -> Any:
        samples, _, bins = shape
        angles = np.pi * np.outer(np.arange(samples), np.arange(bins)) / max(bins - 1, 1)
        waves = np.cos(angles) if self.side == "real" else -np.sin(angles)
        if self.window is not None:
            window = window_values(self.window, samples, self.periodic)
            norms = {"density": np.sqrt((window**2).sum()), "spectrum": np.abs(window).sum(), None: 1.0}
            waves = waves * window[:, None] / norms[self.scaling]
        return waves[:, None]


REGISTRY = Registry(
    "initializer",
    Initializer,
    (
        Constant, GlorotNormal, GlorotUniform, HeNormal, HeUniform, Identity, LecunNormal, LecunUniform, Ones,
        Orthogonal, RandomNormal, RandomUniform, STFT, TruncatedNormal, VarianceScaling, Zeros,
    ),
    aliases={
        "normal": RandomNormal, "uniform": RandomUniform, "zero": Zeros, "one": Ones,
        "OrthogonalInitializer": Orthogonal, "IdentityInitializer": Identity,
        "STFTInitializer": STFT,
    },
    callables=True,
    example="'glorot_uniform' or initializers.HeNormal()",
)  # fmt: skip


def get(initializer: Any) -> Any:
    """The initializer of a name, "glorot_uniform" or "GlorotUniform", or of ``{"class_name": ..., "config": ...}``.

    A callable is returned unchanged, and a number becomes a `Constant`. Raises ValueError naming the nearest name that
    exists, TypeError for anything else.
    """
    if isinstance(initializer, (int, float)):
        return Constant(float(initializer))
    return REGISTRY.get(initializer)


deserialize = deserializer(get)

IdentityInitializer, OrthogonalInitializer, STFTInitializer = Identity, Orthogonal, STFT  # Keras's long names
_LAZY = {name: path for name, path in REGISTRY.lazy("ranvier.initializers").items() if name not in REGISTRY.aliases}
__getattr__, __dir__ = missing("ranvier.initializers", __all__, _LAZY)
