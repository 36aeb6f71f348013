"""Keras's ``random``: random tensors, as pure functions of the seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.graph.node import Node, apply
from ranvier.ops import arrays, functional
from ranvier.ops.keras.elementwise import dtype_name
from ranvier.support.constructors import CheckedConstructor
from ranvier.support.errors import missing
from ranvier.tensor import rng as seeds
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor

__all__ = ["SeedGenerator", "dropout", "normal", "randint", "uniform"]


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


@function
def _drawn(seed: Node, stream: Node, shape: tuple[Any, ...], dtype: str) -> Node:
    return apply("random", seed, stream, shape=shape, dtype=dtype)


def uniform(shape: Sequence[Any], minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Uniform values in [minval, maxval).

    ``seed`` is an integer, which always gives the same values, a `SeedGenerator`, or None for the process's seed.
    """
    numbers = _drawn(*_pair(seed), shape=tuple(shape), dtype=dtype_name(dtype))
    return arrays.add(arrays.multiply(numbers, float(maxval) - float(minval)), float(minval))


def normal(shape: Sequence[Any], mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Normal values of the given mean and standard deviation; ``seed`` as for `uniform`."""
    pair = _pair(seed)
    like = _drawn(*pair, shape=tuple(shape), dtype=dtype_name(dtype))
    return arrays.add(arrays.multiply(functional.standard_normal(like, *pair), float(stddev)), float(mean))


def randint(shape: Sequence[Any], minval: int, maxval: int, dtype: Any = "int32", seed: Any = None) -> Any:
    """Uniform integers in [minval, maxval); ``seed`` as for `uniform`."""
    numbers = _drawn(*_pair(seed), shape=tuple(shape), dtype="float64")
    integers = arrays.floor(arrays.multiply(numbers, float(maxval - minval)))
    return arrays.cast(arrays.add(integers, float(minval)), dtype_name(dtype))


def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Any:
    """Set a fraction ``rate`` of the elements to zero and scale up the others; ``seed`` as for `uniform`."""
    noise = None if noise_shape is None else tuple(noise_shape)
    return functional.dropout(inputs, *_pair(seed), rate=float(rate), noise_shape=noise)


__getattr__, __dir__ = missing("ranvier.random", __all__)
