"""Keras's operations on images, sequences and volumes: convolutions, pooling and normalization."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier.ops import arrays
from ranvier.ops.arrays import shape as movement
from ranvier.ops.arrays.promotion import axes_of, axis_of
from ranvier.ops.functional.convolution import convolve, convolve_transposed, enlarged
from ranvier.ops.functional.normalization import layer_standardize, rms_standardize
from ranvier.ops.functional.pooling import adaptive_pool, pool
from ranvier.ops.keras.arrays import no_sparse
from ranvier.ops.keras.elementwise import Operand, dtype_name

FORMATS = ("channels_last", "channels_first")
PADDINGS = ("valid", "same", "causal")  # the last of sequences alone


def one_word(value: Any, words: tuple[str, ...], what: str) -> str:
    """One of these words, in any case. Raises ValueError for another."""
    if isinstance(value, str) and value.lower() in words:
        return value.lower()
    raise ValueError(f"{what}={value!r}. Write {' or '.join(map(repr, words))} instead.")


def _first(data_format: Any) -> bool:
    """Whether channels come first."""
    return data_format is not None and one_word(data_format, FORMATS, "data_format") == "channels_first"


def for_each(value: Any, dimensions: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (int(value),) * dimensions


def _pooled(inputs: Any, size: Any, strides: Any, padding: str, data_format: Any, largest: bool) -> Any:
    sizes = for_each(size, inputs.ndim - 2)
    stride = sizes if strides is None else for_each(strides, len(sizes))
    return pool(inputs, sizes, stride, one_word(padding, PADDINGS[:2], "padding"), largest, _first(data_format))


def max_pool(
    inputs: Operand, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: Any = None
) -> Any:
    """The largest value of each window of (batch, positions..., channels)."""
    return _pooled(inputs, pool_size, strides, padding, data_format, True)


def average_pool(
    inputs: Operand, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: Any = None
) -> Any:
    """The mean of each window of (batch, positions..., channels); padding is not counted."""
    return _pooled(inputs, pool_size, strides, padding, data_format, False)


def adaptive_average_pool(inputs: Operand, output_size: Any, data_format: Any = None) -> Any:
    """The mean of each of ``output_size`` parts of the positions of (batch, positions..., channels)."""
    return adaptive_pool(inputs, for_each(output_size, inputs.ndim - 2), False, _first(data_format))


def adaptive_max_pool(inputs: Operand, output_size: Any, data_format: Any = None) -> Any:
    """The maximum of each of ``output_size`` parts of the positions of (batch, positions..., channels)."""
    return adaptive_pool(inputs, for_each(output_size, inputs.ndim - 2), True, _first(data_format))


def _convolved(
    inputs: Any, kernel: Any, strides: Any, padding: str, data_format: Any, dilation: Any, groups: int
) -> Any:
    n = inputs.ndim - 2
    how = one_word(padding, PADDINGS if n == 1 else PADDINGS[:2], "padding")
    return convolve(
        inputs, kernel, stride=for_each(strides, n), padding=how, dilation=for_each(dilation, n), groups=groups,
        first=_first(data_format),
    )  # fmt: skip


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
    wide = arrays.reshape(kernel, (*sizes, 1, channels * multiplier))
    return _convolved(inputs, wide, strides, padding, data_format, dilation_rate, channels)


def separable_conv(
    inputs: Operand,
    depthwise_kernel: Operand,
    pointwise_kernel: Operand,
    strides: Any = 1,
    padding: str = "valid",
    data_format: Any = None,
    dilation_rate: Any = 1,
) -> Any:
    """`depthwise_conv`, and then a `conv` of single positions that mixes the channels."""
    each = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(each, pointwise_kernel, data_format=data_format)


def conv_transpose(
    inputs: Operand,
    kernel: Operand,
    strides: Any = 1,
    padding: str = "valid",
    output_padding: Any = None,
    data_format: Any = None,
    dilation_rate: Any = 1,
) -> Any:
    """The gradient of `conv` by its inputs, which enlarges images; the kernel is (sizes..., filters, channels)."""
    n, first, how = inputs.ndim - 2, _first(data_format), one_word(padding, PADDINGS[:2], "padding")
    stride, dilation = for_each(strides, n), for_each(dilation_rate, n)
    extra = (None,) * n if output_padding is None else for_each(output_padding, n)
    reaches = [(k - 1) * d + 1 for k, d in zip(kernel.shape, dilation, strict=False)]
    positions = inputs.shape[2:] if first else inputs.shape[1:-1]
    shape, pairs = zip(*map(enlarged, positions, reaches, stride, (how,) * n, extra), strict=True)
    return convolve_transposed(
        inputs, kernel, stride=stride, padding=pairs, dilation=dilation, shape=shape, first=first
    )


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
        return arrays.reshape(values, tuple(-1 if i == place else 1 for i in range(x.ndim)))

    factor = arrays.rsqrt(arrays.add(along(variance), epsilon))
    factor = factor if scale is None else arrays.multiply(factor, along(scale))
    y = arrays.multiply(arrays.subtract(x, along(mean)), factor)
    return y if offset is None else arrays.add(y, along(offset))


def _blocks(x: Any, data_format: Any, shape: Any) -> Any:
    """Images as (batch, height, width, channels) in another arrangement, and back in their format.

    ``shape`` gives, of the extents behind the batch's, five whose second and third change places, and those after it.
    """
    first = _first(data_format)
    x = movement.moveaxis(x, 1, -1) if first else x
    before, after = shape(*x.shape[1:])
    apart = arrays.swapaxes(arrays.reshape(x, (x.shape[0], *before)), 2, 3)
    y = arrays.reshape(apart, (x.shape[0], *after))
    return movement.moveaxis(y, -1, 1) if first else y


def depth_to_space(x: Operand, block_size: int, data_format: str = "channels_last") -> Any:
    """Blocks of pixels in place of channels: (batch, h, w, c * b * b) -> (batch, h * b, w * b, c)."""
    b = block_size
    return _blocks(x, data_format, lambda h, w, c: ((h, w, b, b, c // b**2), (h * b, w * b, c // b**2)))


def space_to_depth(x: Operand, block_size: int, data_format: str = "channels_last") -> Any:
    """Channels in place of blocks of pixels: (batch, h * b, w * b, c) -> (batch, h, w, c * b * b)."""
    b = block_size
    return _blocks(x, data_format, lambda h, w, c: ((h // b, b, w // b, b, c), (h // b, w // b, c * b**2)))


def psnr(x1: Operand, x2: Operand, max_val: float) -> Any:
    """The ratio of the largest value there could be to the mean squared difference, in decibels."""
    error = arrays.mean(arrays.square(arrays.subtract(x1, x2)))
    return arrays.multiply(arrays.subtract(2 * math.log(max_val), arrays.log(error)), 10 / math.log(10))


def _along(values: Any, x: Any, axis: Any) -> Any:
    """Numbers in the shape of these axes, so that they meet ``x``; others as they are."""
    axes = axes_of(axis, x.ndim)
    if np.ndim(values) == x.ndim or axes == (x.ndim - 1,):
        return values
    return arrays.reshape(values, tuple(d if i in axes else 1 for i, d in enumerate(x.shape)))


def layer_normalization(
    x: Operand, gamma: Operand = None, beta: Operand = None, axis: Any = -1, epsilon: float | None = None
) -> Any:
    """Each sample at mean 0 and variance 1 over these axes, times ``gamma``, plus ``beta``."""
    y = layer_standardize(x, axes=axes_of(axis, x.ndim), epsilon=1e-7 if epsilon is None else epsilon)
    y = y if gamma is None else arrays.multiply(y, _along(gamma, x, axis))
    return y if beta is None else arrays.add(y, _along(beta, x, axis))


def rms_normalization(x: Operand, scale: Operand = None, axis: Any = -1, epsilon: float | None = None) -> Any:
    """Each sample over its root mean square along these axes, times ``scale``."""
    y = rms_standardize(x, axes=axes_of(axis, x.ndim), epsilon=1e-7 if epsilon is None else epsilon)
    return y if scale is None else arrays.multiply(y, _along(scale, x, axis))


def multi_hot(inputs: Operand, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Any:
    """1 at each class number of a sample, 0 elsewhere: (batch, numbers) -> (batch, num_classes)."""
    no_sparse("multi_hot", sparse)
    hot = arrays.one_hot(inputs, num_classes, dtype_name(dtype), axis)
    return arrays.max(hot, 1 if np.ndim(inputs) > 1 else 0)
