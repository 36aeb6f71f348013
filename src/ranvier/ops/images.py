"""Keras's operations on images, sequences and volumes: convolutions and pooling; and normalization by given moments."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier import numeric
from ranvier.functional.convolution import convolve
from ranvier.functional.normalization import layer_standardize, rms_standardize
from ranvier.functional.pooling import pool
from ranvier.layers.spatial import FORMATS
from ranvier.numeric.promotion import axes_of, axis_of
from ranvier.ops.elementwise import Operand, dtype_name, operation

PADDINGS = ("valid", "same", "causal")  # the last of sequences alone


def _word(value: Any, words: tuple[str, ...], what: str) -> str:
    """One of these words, in any case. Raises ValueError for another."""
    if isinstance(value, str) and value.lower() in words:
        return value.lower()
    raise ValueError(f"{what}={value!r}. Write {' or '.join(map(repr, words))} instead.")


def _first(data_format: Any) -> bool:
    """Whether channels come first."""
    return data_format is not None and _word(data_format, FORMATS, "data_format") == "channels_first"


def _each(value: Any, dimensions: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (int(value),) * dimensions


def _pooled(inputs: Any, size: Any, strides: Any, padding: str, data_format: Any, largest: bool) -> Any:
    sizes = _each(size, inputs.ndim - 2)
    stride = sizes if strides is None else _each(strides, len(sizes))
    return pool(inputs, sizes, stride, _word(padding, PADDINGS[:2], "padding"), largest, _first(data_format))


@operation
def max_pool(
    inputs: Operand, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: Any = None
) -> Any:
    """The largest value of each window of (batch, positions..., channels)."""
    return _pooled(inputs, pool_size, strides, padding, data_format, True)


@operation
def average_pool(
    inputs: Operand, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: Any = None
) -> Any:
    """The mean of each window of (batch, positions..., channels); padding is not counted."""
    return _pooled(inputs, pool_size, strides, padding, data_format, False)


def _convolved(
    inputs: Any, kernel: Any, strides: Any, padding: str, data_format: Any, dilation: Any, groups: int
) -> Any:
    n = inputs.ndim - 2
    how = _word(padding, PADDINGS if n == 1 else PADDINGS[:2], "padding")
    return convolve(
        inputs, kernel, stride=_each(strides, n), padding=how, dilation=_each(dilation, n), groups=groups,
        first=_first(data_format),
    )  # fmt: skip


@operation
def conv(
    inputs: Operand,
    kernel: Operand,
    strides: Any = 1,
    padding: str = "valid",
    data_format: Any = None,
    dilation_rate: Any = 1,
) -> Any:
    """Cross-correlation of (batch, positions..., channels) with a kernel (sizes..., channels / groups, filters)."""
    channels, each = inputs.shape[1 if _first(data_format) else -1], kernel.shape[-2]
    groups = channels // each if each else 0
    if not groups or channels % each:
        raise ValueError(
            f"a kernel of shape {tuple(kernel.shape)} reads {each} channels, and {tuple(inputs.shape)} has {channels}. "
            "Write a kernel (sizes..., channels / groups, filters) instead."
        )
    return _convolved(inputs, kernel, strides, padding, data_format, dilation_rate, groups)


@operation
def depthwise_conv(
    inputs: Operand,
    kernel: Operand,
    strides: Any = 1,
    padding: str = "valid",
    data_format: Any = None,
    dilation_rate: Any = 1,
) -> Any:
    """Cross-correlation of each channel with kernels of its own: (sizes..., channels, multiplier)."""
    *sizes, channels, multiplier = kernel.shape
    wide = numeric.reshape(kernel, (*sizes, 1, channels * multiplier))
    return _convolved(inputs, wide, strides, padding, data_format, dilation_rate, channels)


@operation
def batch_normalization(
    x: Operand,
    mean: Operand,
    variance: Operand,
    axis: int,
    offset: Operand = None,
    scale: Operand = None,
    epsilon: float = 1e-3,
) -> Any:
    """``x`` less a mean for each place of ``axis``, over the root of its variance, times ``scale``, plus ``offset``."""
    place = axis_of(axis, x.ndim)

    def along(values: Any) -> Any:
        return numeric.reshape(values, tuple(-1 if i == place else 1 for i in range(x.ndim)))

    factor = numeric.rsqrt(numeric.add(along(variance), epsilon))
    factor = factor if scale is None else numeric.multiply(factor, along(scale))
    y = numeric.multiply(numeric.subtract(x, along(mean)), factor)
    return y if offset is None else numeric.add(y, along(offset))


def _along(values: Any, x: Any, axis: Any) -> Any:
    """Numbers in the shape of these axes, so that they meet ``x``; others as they are."""
    axes = axes_of(axis, x.ndim)
    if np.ndim(values) == x.ndim or axes == (x.ndim - 1,):
        return values
    return numeric.reshape(values, tuple(d if i in axes else 1 for i, d in enumerate(x.shape)))


@operation
def layer_normalization(
    x: Operand, gamma: Operand = None, beta: Operand = None, axis: Any = -1, epsilon: float | None = None
) -> Any:
    """Each sample at mean 0 and variance 1 over these axes, times ``gamma``, plus ``beta``."""
    y = layer_standardize(x, axes=axes_of(axis, x.ndim), epsilon=1e-7 if epsilon is None else epsilon)
    y = y if gamma is None else numeric.multiply(y, _along(gamma, x, axis))
    return y if beta is None else numeric.add(y, _along(beta, x, axis))


@operation
def rms_normalization(x: Operand, scale: Operand = None, axis: Any = -1, epsilon: float | None = None) -> Any:
    """Each sample over its root mean square along these axes, times ``scale``."""
    y = rms_standardize(x, axes=axes_of(axis, x.ndim), epsilon=1e-7 if epsilon is None else epsilon)
    return y if scale is None else numeric.multiply(y, _along(scale, x, axis))


@operation
def multi_hot(inputs: Operand, num_classes: int, axis: int = -1, dtype: Any = None) -> Any:
    """1 at each class number of a sample, 0 elsewhere: (batch, numbers) -> (batch, num_classes)."""
    hot = numeric.one_hot(inputs, num_classes, dtype_name(dtype), axis)
    return numeric.max(hot, 1 if np.ndim(inputs) > 1 else 0)
