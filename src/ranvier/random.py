"""Keras's ``random``: numbers drawn in tensors, in layers and loops, as pure functions of the seed that is set."""

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
    """A seed from which each use draws other numbers; without one, the seed of the process."""

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        self.seed, self.name = None if seed is None else seeds.checked(seed), name or "seed_generator"


def _pair(seed: Any) -> tuple[Tensor, Tensor]:
    """Seed and stream: of a whole number always the same, as in Keras; else the next."""
    if seed is None or isinstance(seed, SeedGenerator):
        return seeds.draw(None if seed is None else seed.seed)
    number = seeds.fold(seeds.checked(seed))
    return Tensor.wrap(np.asarray(number, np.uint32)), Tensor.wrap(np.zeros((), np.uint32))


@function
def _drawn(seed: Node, stream: Node, shape: tuple[Any, ...], dtype: str) -> Node:
    return apply("random", seed, stream, shape=shape, dtype=dtype)


def uniform(
    shape: Sequence[Any], minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None
) -> Any:
    """Numbers of equal chance from ``minval`` up to ``maxval``. ``seed``: a whole number, which always gives the same,
    a `SeedGenerator`, or None for the process's.
    """
    numbers = _drawn(*_pair(seed), shape=tuple(shape), dtype=dtype_name(dtype))
    return arrays.add(arrays.multiply(numbers, float(maxval) - float(minval)), float(minval))


def normal(
    shape: Sequence[Any], mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> Any:
    """Numbers of a normal distribution; ``seed`` as for `uniform`."""
    pair = _pair(seed)
    like = _drawn(*pair, shape=tuple(shape), dtype=dtype_name(dtype))
    return arrays.add(arrays.multiply(functional.standard_normal(like, *pair), float(stddev)), float(mean))


def randint(shape: Sequence[Any], minval: int, maxval: int, dtype: Any = "int32", seed: Any = None) -> Any:
    """Whole numbers of equal chance from ``minval`` up to ``maxval``, which is left out; ``seed`` as for `uniform`."""
    numbers = _drawn(*_pair(seed), shape=tuple(shape), dtype="float64")
    whole = arrays.floor(arrays.multiply(numbers, float(maxval - minval)))
    return arrays.cast(arrays.add(whole, float(minval)), dtype_name(dtype))


def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Any:
    """A share of ``rate`` of the elements set to zero and the rest scaled up; ``seed`` as for `uniform`."""
    noise = None if noise_shape is None else tuple(noise_shape)
    return functional.dropout(inputs, *_pair(seed), rate=float(rate), noise_shape=noise)


__getattr__, __dir__ = missing(globals(), "ranvier.random", __all__)
