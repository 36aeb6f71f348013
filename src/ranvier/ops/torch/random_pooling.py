"""Fractional max pooling: maxima of windows at random places, with PyTorch's arguments."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from ranvier.graph.node import Node, apply, constant
from ranvier.ops import arrays as n
from ranvier.ops.arrays.promotion import floating
from ranvier.ops.torch.sizes import Sizes, batched, each
from ranvier.tensor.function import function
from ranvier.tensor.rng import draw
from ranvier.tensor.tensor import Tensor


@function
def _drawn(x: Node, seed: Node, stream: Node, dims: int) -> Node:
    """Numbers from 0 to 1 for each dimension of each channel of each sample: (batch, channels, dims)."""
    return apply("random", seed, stream, shape=(*x.shape[:2], dims), dtype=floating(x).dtype)


@function
def _starts(samples: Node, axis: int, size: int, kernel: int, count: int) -> Node:
    """Where the windows along an axis begin: (batch, channels, count) whole numbers."""
    share = n.index_basic(samples, (("slice", None, None, None),) * 2 + (("slice", axis, axis + 1, None),))
    if count == 1:
        return n.add(n.multiply(n.cast(share, "int32"), 0), size - kernel)
    alpha = float(np.float32(size - kernel) / np.float32(count - 1))
    places = n.multiply(n.add(share, constant(np.arange(count), share.dtype)), alpha)
    first = n.cast(n.subtract(n.floor(places), n.floor(n.multiply(share, alpha))), "int32")
    last = constant(np.arange(count) == count - 1, "bool")
    return n.where(last, size - kernel, first)


@function
def _at(x: Node, places: Node) -> Node:
    """The elements of the last axis at places of each (batch, channel)."""
    return apply("gather", x, places, batch=2)


def _pooled(
    dims: int, input: Any, kernel_size: Sizes, output_size: Any, output_ratio: Any, return_indices: bool, samples: Any
) -> Any:
    kernel = each(kernel_size, dims, "kernel_size", 1)
    if output_size is None and output_ratio is None:
        raise ValueError("fractional_max_pool needs the size of the result. Write output_size= or output_ratio= too.")

    def pool(x: Any) -> Any:
        sizes = tuple(x.shape[2:])
        if output_size is not None:
            wanted = each(output_size, dims, "output_size", 1)
        else:
            ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * dims
            wanted = tuple(int(size * ratio) for size, ratio in zip(sizes, ratios, strict=True))
        if any(w < 1 or w + k - 1 > size for w, k, size in zip(wanted, kernel, sizes, strict=True)):
            raise RuntimeError(
                f"{wanted} windows of {kernel} do not fit into {sizes}. Write a smaller output_size or kernel_size."
            )
        numbers = samples if samples is not None else _drawn(x, *draw(None), dims=dims)
        # PyTorch's samples of images are of columns first.
        order = range(dims) if dims == 3 else (1, 0)
        starts = [
            _starts(numbers, axis=axis, size=size, kernel=k, count=count)
            for axis, size, k, count in zip(order, sizes, kernel, wanted, strict=True)
        ]
        flat = n.reshape(x, (*x.shape[:2], math.prod(sizes)))
        best: Any = None
        found: Any = None
        for offset in itertools.product(*map(range, kernel)):
            place: Any = 0
            for i, (start, step) in enumerate(zip(starts, offset, strict=True)):
                shape = (*x.shape[:2], *(wanted[i] if i == axis else 1 for axis in range(dims)))
                stride = math.prod(sizes[i + 1 :])
                place = n.add(place, n.reshape(n.multiply(n.add(start, step), stride), shape))
            value = _at(flat, place)
            if best is None:
                best, found = value, place
                continue
            larger = n.greater(value, best)
            best, found = n.where(larger, value, best), n.where(larger, place, found)
        return (best, n.cast(found, "int64")) if return_indices else best

    if return_indices and input.ndim == dims + 1:
        values, indices = pool(n.expand_dims(input, 0))
        return n.squeeze(values, 0), n.squeeze(indices, 0)
    return pool(input) if return_indices else batched(pool, input, dims)


def fractional_max_pool2d(
    input: Any,
    kernel_size: Sizes,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The maxima of (batch, channels, height, width) in windows at random places; with ``return_indices`` where they
    are too.
    """
    return _pooled(2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def fractional_max_pool3d(
    input: Any,
    kernel_size: Sizes,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """`fractional_max_pool2d` of (batch, channels, depth, height, width)."""
    return _pooled(3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)
