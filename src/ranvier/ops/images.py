"""Keras's operations on images, sequences and volumes: convolutions and pooling; and normalization by given moments."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier import numeric
from ranvier.functional.convolution import convolve
from ranvier.functional.pooling import pool
from ranvier.layers.spatial import data_format_of
from ranvier.ops.elementwise import array, dtype_name, operation


def _each(value: Any, dimensions: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (int(value),) * dimensions


def _pooled(inputs: Any, size: Any, strides: Any, padding: str, data_format: Any, largest: bool) -> Any:
    sizes = _each(size, inputs.ndim - 2)
    stride = sizes if strides is None else _each(strides, len(sizes))
    first = data_format_of(data_format, "pool") == "channels_first"
    return pool(inputs, sizes, stride, padding.lower(), largest, first)


@operation
def max_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: Any = None
) -> Any:
    """The largest value of each window of (batch, positions..., channels)."""
    return _pooled(inputs, pool_size, strides, padding, data_format, True)


@operation
def average_pool(
    inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: Any = None
) -> Any:
    """The mean of each window of (batch, positions..., channels); padding is not counted."""
    return _pooled(inputs, pool_size, strides, padding, data_format, False)


def _convolved(
    inputs: Any, kernel: Any, strides: Any, padding: str, data_format: Any, dilation: Any, groups: int
) -> Any:
    n = inputs.ndim - 2
    first = data_format_of(data_format, "conv") == "channels_first"
    return convolve(
        inputs, kernel, stride=_each(strides, n), padding=padding.lower(), dilation=_each(dilation, n),
        groups=groups, first=first,
    )  # fmt: skip


@operation
def conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: Any = None,
    dilation_rate: Any = 1,
) -> Any:
    """Cross-correlation of (batch, positions..., channels) with a kernel (sizes..., channels / groups, filters)."""
    channels = inputs.shape[1 if data_format == "channels_first" else -1]
    groups = channels // np.shape(kernel)[-2]
    return _convolved(inputs, kernel, strides, padding, data_format, dilation_rate, groups)


@operation
def depthwise_conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: Any = None,
    dilation_rate: Any = 1,
) -> Any:
    """Cross-correlation of each channel with kernels of its own: (sizes..., channels, multiplier)."""
    *sizes, channels, multiplier = np.shape(kernel)
    wide = numeric.reshape(kernel, (*sizes, 1, channels * multiplier))
    return _convolved(inputs, wide, strides, padding, data_format, dilation_rate, channels)


@operation
def batch_normalization(
    x: Any,
    mean: Any,
    variance: Any,
    axis: int,
    offset: Any = None,
    scale: Any = None,
    epsilon: float = 1e-3,
) -> Any:
    """``x`` less a mean for each place of ``axis``, over the root of its variance, times ``scale``, plus ``offset``."""

    def along(values: Any) -> Any:
        return numeric.reshape(values, tuple(-1 if i == axis % x.ndim else 1 for i in range(x.ndim)))

    factor = numeric.rsqrt(numeric.add(along(variance), epsilon))
    factor = factor if scale is None else numeric.multiply(factor, along(scale))
    y = numeric.multiply(numeric.subtract(x, along(mean)), factor)
    return y if offset is None else numeric.add(y, along(offset))


@operation
def multi_hot(inputs: Any, num_classes: int, axis: int = -1, dtype: Any = None) -> Any:
    """1 at each class number of a sample, 0 elsewhere: (batch, numbers) -> (batch, num_classes)."""
    hot = numeric.one_hot(array(inputs), num_classes, dtype_name(dtype), axis)
    return numeric.max(hot, 1 if np.ndim(inputs) > 1 else 0)
