"""Normalizations, and what compares normalized vectors, as ``torch.nn.functional`` names them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from ranvier.graph.dtypes import INTEGERS
from ranvier.graph.node import GraphError, Node
from ranvier.ops import arrays, functional
from ranvier.ops.functional.normalization import (
    group_standardize,
    instance_moments,
    layer_standardize,
    moved,
    normalize_batch,
    rms_standardize,
    standardize,
)
from ranvier.ops.loops import repeated
from ranvier.tensor.context import get_dtype, no_grad
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Each feature (dimension 1) at mean 0 and variance 1, then ``* weight + bias``; see ``torch.nn.BatchNorm1d``.

    While training the batch's statistics are used, and the running ones, unless None, move toward them in place.
    """
    if not training:
        return standardize(input, running_mean, running_var, weight, bias, 1, float(eps))
    y, *own = normalize_batch(input, weight, bias, 1, float(eps))
    if running_mean is not None:
        repeated(lambda: _move((running_mean, running_var), *own, input, None, 1, float(momentum), True))
    return y


def _move(running: tuple[Tensor, Tensor], *given: Any) -> None:
    for tensor, value in zip(running, moved(*running, *given), strict=True):
        tensor.assign(value)


def layer_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Each sample at mean 0 and variance 1 over the last dimensions, ``normalized_shape``, then ``* weight + bias``."""
    shape = tuple(normalized_shape)
    if tuple(input.shape[-len(shape) :]) != shape:
        raise GraphError(f"its last dimensions are not the normalized_shape {shape}")
    return layer_standardize(input, weight, bias, axes=tuple(range(-len(shape), 0)), epsilon=float(eps))


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Each group of channels of each sample at mean 0 and variance 1, then ``* weight + bias``; see `GroupNorm`."""
    return group_standardize(input, weight, bias, groups=num_groups, axis=1, epsilon=float(eps))


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Each channel of each sample at mean 0 and variance 1, then ``* weight + bias``; see `InstanceNorm2d`.

    Running statistics are used unless ``use_input_stats``; moved toward the inputs' in place otherwise, where given.
    """
    if not use_input_stats:
        return standardize(input, running_mean, running_var, weight, bias, 1, float(eps))
    if running_mean is not None:
        with no_grad():
            own = instance_moments(input)
        repeated(lambda: _move((running_mean, running_var), *own, input, None, 1, float(momentum)))
    return group_standardize(input, weight, bias, groups=input.shape[1], axis=1, epsilon=float(eps))


def rms_norm(input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Any:
    """Each sample divided by its root mean square over the last dimensions, then ``* weight``; see `RMSNorm`."""
    shape = tuple(normalized_shape)
    if not shape or tuple(input.shape[-len(shape) :]) != shape:
        raise GraphError(f"its last dimensions are not the normalized_shape {shape}")
    smallest = {"float32": 2.0**-23, "float64": 2.0**-52}[get_dtype()]
    axes = tuple(range(-len(tuple(normalized_shape)), 0))
    return rms_standardize(input, weight, axes=axes, epsilon=smallest if eps is None else float(eps))


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """``x`` divided by its p-norm along ``dim`` (at least ``eps``)."""
    return functional.normalize(input, p, dim, eps)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between vectors along ``dim``."""
    return functional.cosine_similarity(x1, x2, dim, eps)


@function
def local_response_norm(input: Node, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Node:
    """``x / (k + alpha * mean(x ** 2)) ** beta``, the mean over ``size`` neighbouring channels (AlexNet's)."""
    if input.ndim < 3:
        raise GraphError(f"it takes (batch, channels, ...) of 3 dimensions or more, not {input.shape}")
    channels: Any = input.shape[1]
    around = ((0, 0), (size // 2, (size - 1) // 2), *((0, 0),) * (input.ndim - 2))
    squares = arrays.pad(arrays.square(input), around)
    every = ("slice", None, None, None)
    near = [arrays.index_basic(squares, (every, ("slice", i, i + channels, None))) for i in range(size)]
    total = functools.reduce(arrays.add, near)
    if input.dtype in INTEGERS:  # the mean of integers is rounded toward 0
        total = arrays.multiply(arrays.floor_divide(total, size), size)
    scale = arrays.add(arrays.multiply(total, alpha / size), k)
    return arrays.divide(input, arrays.power(scale, float(beta)))
