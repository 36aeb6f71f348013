"""Keras's ``random``: random tensors, as pure functions of the seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATING
from ranvier.ops import arrays, functional
from ranvier.ops.arrays.promotion import axis_of
from ranvier.ops.draws import uniform_numbers
from ranvier.ops.functional.gamma import erfinv
from ranvier.ops.keras.elementwise import dtype_name
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.errors import missing
from ranvier.tensor import rng as seeds
from ranvier.tensor.tensor import Tensor

__all__ = [
    "SeedGenerator", "beta", "binomial", "categorical", "dropout", "gamma", "normal", "randint", "shuffle",
    "truncated_normal", "uniform",
]  # fmt: skip


class SeedGenerator(CheckedConstructor):
    """A seed, the process's if None, from which each use draws new numbers."""

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        self.seed, self.name = None if seed is None else seeds.check_seed(seed), name or "seed_generator"


def _pair(seed: Any) -> tuple[Tensor, Tensor]:
    """Seed and stream: the same for each use of an integer, as in Keras; else the next stream."""
    if seed is None or isinstance(seed, SeedGenerator):
        return seeds.draw(None if seed is None else seed.seed)
    number = seeds.fold_seed(seeds.check_seed(seed))
    return Tensor.wrap(np.asarray(number, np.uint32)), Tensor.wrap(np.zeros((), np.uint32))


def _float(dtype: Any, name: str) -> str:
    found = dtype_name(dtype)
    if found not in FLOATING:
        raise ValueError(f"random.{name} draws floats, and dtype is {found!r}. Write 'float32', or randint, instead.")
    return found


def uniform(shape: Sequence[Any], minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Uniform values in [minval, maxval).

    ``seed`` is an integer, which always gives the same values, a `SeedGenerator`, or None for the process's seed.
    """
    numbers = uniform_numbers(*_pair(seed), shape=tuple(shape), dtype=_float(dtype, "uniform"))
    return arrays.add(arrays.multiply(numbers, float(maxval) - float(minval)), float(minval))


def normal(shape: Sequence[Any], mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Normal values of the given mean and standard deviation; ``seed`` as for `uniform`."""
    pair = _pair(seed)
    like = uniform_numbers(*pair, shape=tuple(shape), dtype=_float(dtype, "normal"))
    return arrays.add(arrays.multiply(functional.standard_normal(like, *pair), float(stddev)), float(mean))


def randint(shape: Sequence[Any], minval: int, maxval: int, dtype: Any = "int32", seed: Any = None) -> Any:
    """Uniform integers in [minval, maxval); ``seed`` as for `uniform`."""
    name = dtype_name(dtype)
    if name in FLOATING:
        raise ValueError(f"random.randint draws whole numbers, and dtype is {name!r}. Write 'int32' instead.")
    numbers = uniform_numbers(*_pair(seed), shape=tuple(shape), dtype="float64")
    integers = arrays.floor(arrays.multiply(numbers, float(maxval - minval)))
    return arrays.cast(arrays.add(integers, float(minval)), name)


def truncated_normal(
    shape: Sequence[Any], mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> Any:
    """`normal` values of which those beyond two standard deviations are drawn again; ``seed`` as for `uniform`."""
    most = math.erf(math.sqrt(2))
    drawn = arrays.multiply(erfinv(uniform(shape, -most, most, dtype, seed)), math.sqrt(2))
    return arrays.add(arrays.multiply(arrays.clip(drawn, -2.0, 2.0), float(stddev)), float(mean))


def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Any:
    """``num_samples`` class numbers for each row of logits (batch, classes); ``seed`` as for `uniform`."""
    logits = logits if hasattr(logits, "ndim") else Tensor(logits)
    if logits.ndim != 2:
        raise ValueError(f"random.categorical of logits of shape {logits.shape}. Write (batch, classes) instead.")
    noise = uniform((logits.shape[0], num_samples, logits.shape[1]), seed=seed)
    noise = arrays.negative(arrays.log(arrays.negative(arrays.log(noise))))  # of Gumbel's distribution
    return arrays.cast(arrays.argmax(arrays.add(arrays.expand_dims(logits, 1), noise), -1), dtype_name(dtype))


def _evaluated(seed: Any) -> np.random.Generator:
    """NumPy's numbers for a seed and its stream."""
    return np.random.Generator(np.random.Philox(key=[int(t.item()) for t in _pair(seed)]))


def gamma(shape: Sequence[int], alpha: Any, dtype: Any = None, seed: Any = None) -> Tensor:
    """Values of the gamma distribution of shape ``alpha`` and rate 1, above 0. Evaluated at once; ``seed`` as for
    `uniform`.
    """
    name = _float(dtype, "gamma")
    values = _evaluated(seed).standard_gamma(np.asarray(alpha), tuple(shape))
    return Tensor(np.maximum(values, 2.0**-14), dtype=name)


def beta(shape: Sequence[int], alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> Tensor:
    """Values of the beta distribution. Evaluated at once; ``seed`` as for `uniform`."""
    name = _float(dtype, "beta")
    return Tensor(_evaluated(seed).beta(np.asarray(alpha), np.asarray(beta), tuple(shape)), dtype=name)


def binomial(shape: Sequence[int], counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None) -> Tensor:
    """How many of ``counts`` trials succeed. Evaluated at once; ``seed`` as for `uniform`."""
    name = dtype_name(dtype)
    trials = np.asarray(counts).astype(np.int64)
    return Tensor(_evaluated(seed).binomial(trials, np.asarray(probabilities), tuple(shape)), dtype=name)


def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Any:
    """The slices along an axis in random order. Evaluated at once; ``seed`` as for `uniform`."""
    x = x if isinstance(x, Tensor) else Tensor(x)
    order = _evaluated(seed).permutation(x.shape[axis_of(axis, x.ndim)])
    return arrays.take(x, order.astype(np.int32), axis)


def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Any:
    """Set a fraction ``rate`` of the elements to zero and scale up the others; ``seed`` as for `uniform`."""
    noise = None if noise_shape is None else tuple(noise_shape)
    return functional.dropout(inputs, *_pair(seed), rate=float(rate), noise_shape=noise)


__getattr__, __dir__ = missing("ranvier.random", __all__)
