"""Operators of ONNX that layers are made of: products, convolutions, windows, normalizations, recurrences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier import ops as o
from ranvier.interop.foreign import refuse
from ranvier.interop.onnx.table import row
from ranvier.interop.onnx.values import Context, cast, fixed, known, like, numbers, tensor
from ranvier.layers.normalization import RunningStatistics
from ranvier.ops.arrays.promotion import axis_of
from ranvier.ops.torch import convolution, pooling
from ranvier.tensor.context import no_grad


@row("MatMul")
def matmul(c: Context, x: Any, y: Any) -> Any:
    return like(o.matmul(x, y), x)


@row("Gemm")
def gemm(
    c: Context,
    x: Any,
    y: Any,
    z: Any = None,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    broadcast: int = 0,
) -> Any:
    product = o.matmul(o.transpose(x) if transA else x, o.transpose(y) if transB else y)
    product = product if alpha == 1 else like(o.multiply(product, alpha), x)
    if z is None or not beta:
        return product
    return like(o.add(product, z if beta == 1 else like(o.multiply(z, beta), x)), x)


@row("Einsum")
def einsum(c: Context, *xs: Any, equation: str) -> Any:
    return like(o.einsum(equation.replace(" ", ""), *xs), xs[0])


@row("Det")
def determinant(c: Context, x: Any) -> Any:
    return o.linalg.det(x)


# --- windows ------------------------------------------------------------------------------------------------------


def _pairs(
    x: Any, size: Sequence[int], stride: Sequence[int], dilation: Sequence[int], pads: Any, auto: str
) -> list[tuple[int, int]]:
    """The padding before and after each spatial dimension."""
    n = len(size)
    if auto in ("NOTSET", ""):
        pads = [0] * (2 * n) if pads is None else pads
        return [(int(pads[i]), int(pads[n + i])) for i in range(n)]
    if auto == "VALID":
        return [(0, 0)] * n
    found = []
    for i, (k, s, d) in enumerate(zip(size, stride, dilation, strict=True)):
        extent = fixed(x, 2 + i)
        total = max(0, (-(-extent // s) - 1) * s + (k - 1) * d + 1 - extent)
        small = total // 2
        found.append((small, total - small) if auto == "SAME_UPPER" else (total - small, small))
    return found


def _beyond(x: Any, size: Sequence[int], stride: Sequence[int], dilation: Sequence[int], pairs: Any) -> list[int]:
    """How far the last windows reach past the padding where partial ones count; such a window begins within it."""
    found = []
    for i, (k, s, d) in enumerate(zip(size, stride, dilation, strict=True)):
        low, high = pairs[i]
        extent, reach = fixed(x, 2 + i), (k - 1) * d + 1
        count = -(-(extent + low + high - reach) // s) + 1
        if (count - 1) * s >= extent + low:
            count -= 1
        found.append(max((count - 1) * s + reach - (extent + low + high), 0))
    return found


@row("Conv")
def conv(
    c: Context, x: Any, w: Any, b: Any = None, strides: Any = None, pads: Any = None, dilations: Any = None,
    group: int = 1, kernel_shape: Any = None, auto_pad: str = "NOTSET",
) -> Any:  # fmt: skip
    n = x.ndim - 2
    stride, dilation = tuple(strides or (1,) * n), tuple(dilations or (1,) * n)
    pairs = tuple(_pairs(x, w.shape[2:], stride, dilation, pads, auto_pad))
    return like(convolution.convolve(x, w, b, stride, pairs, dilation, group), x)


@row("ConvInteger")
def conv_integer(c: Context, x: Any, w: Any, x_zero: Any = None, w_zero: Any = None, **options: Any) -> Any:
    return conv(c, _centred(x, x_zero), _centred(w, w_zero, 0), None, **options)


def _centred(x: Any, zero: Any, axis: int | None = None) -> Any:
    x = cast(x, "int32")
    if zero is None:
        return x
    zero = cast(zero, "int32")
    if axis is not None and zero.ndim == 1:
        zero = o.reshape(zero, (-1, *[1] * (x.ndim - 1 - axis)))
    return o.subtract(x, zero)


@row("MatMulInteger")
def matmul_integer(c: Context, x: Any, y: Any, x_zero: Any = None, y_zero: Any = None) -> Any:
    return like(o.matmul(_centred(x, x_zero, x.ndim - 2), _centred(y, y_zero)), cast(x, "int32"))


@row("ConvTranspose")
def conv_transpose(
    c: Context, x: Any, w: Any, b: Any = None, strides: Any = None, pads: Any = None, dilations: Any = None,
    group: int = 1, kernel_shape: Any = None, auto_pad: str = "NOTSET", output_padding: Any = None,
    output_shape: Any = None,
) -> Any:  # fmt: skip
    n = x.ndim - 2
    stride, dilation = tuple(strides or (1,) * n), tuple(dilations or (1,) * n)
    extra = list(output_padding or (0,) * n)
    full = [(fixed(x, 2 + i) - 1) * stride[i] + (w.shape[2 + i] - 1) * dilation[i] + 1 + extra[i] for i in range(n)]
    if output_shape is not None or auto_pad.startswith("SAME"):
        target = (
            list(output_shape)[-n:] if output_shape is not None else [fixed(x, 2 + i) * stride[i] for i in range(n)]
        )
        totals = [f - t for f, t in zip(full, target, strict=True)]
        halves = [(t // 2, t - t // 2) for t in totals]
        pairs = halves if auto_pad == "SAME_UPPER" else [(high, low) for low, high in halves]
        if output_shape is not None and auto_pad == "NOTSET":
            pairs = [(t - t // 2, t // 2) for t in totals]
    else:
        pairs = _pairs(x, (1,) * n, stride, dilation, pads, "NOTSET" if auto_pad == "VALID" else auto_pad)
    # The whole result without padding, of which the padding cuts the margins; padding below zero would add some.
    bare = [f - e for f, e in zip(full, extra, strict=True)]
    y = convolution.convolve_transposed(x, w, None, stride, ((0, 0),) * n, dilation, tuple(bare), group)
    widths, index = [(0, 0), (0, 0)], [slice(None), slice(None)]
    for (low, high), e, size in zip(pairs, extra, bare, strict=True):
        widths.append((max(-low, 0), max(e - high, 0)))
        index.append(slice(max(low, 0), max(low, 0) + size + e - low - high))
    y = o.pad(y, widths) if any(pair != (0, 0) for pair in widths) else y
    y = y[tuple(index)]
    return like(y if b is None else o.add(y, _per_channel(b, x.ndim)), x)


def _window_options(
    x: Any, kernel_shape: Any, strides: Any, dilations: Any, pads: Any, auto_pad: str, ceil_mode: int
) -> Any:
    n = x.ndim - 2
    size, stride = tuple(kernel_shape), tuple(strides or (1,) * n)
    dilation = tuple(dilations or (1,) * n)
    pairs = _pairs(x, size, stride, dilation, pads, auto_pad)
    beyond = _beyond(x, size, stride, dilation, pairs) if ceil_mode else [0] * n
    return size, stride, dilation, pairs, beyond


@row("MaxPool")
def max_pool(
    c: Context, x: Any, kernel_shape: Any, strides: Any = None, pads: Any = None, dilations: Any = None,
    auto_pad: str = "NOTSET", ceil_mode: int = 0, storage_order: int = 0,
) -> Any:  # fmt: skip
    size, stride, dilation, pairs, beyond = _window_options(
        x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode
    )
    widths = tuple((low, high + more) for (low, high), more in zip(pairs, beyond, strict=True))
    y = like(pooling.largest(x, size, stride, widths, dilation), x)
    if c.outputs == 1:
        return y
    places = pooling.places(x, size, stride, widths, dilation)
    spatial = math.prod(fixed(x, n) for n in range(2, x.ndim))
    if storage_order:
        dims = [fixed(x, n) for n in range(2, x.ndim)]
        table = np.arange(spatial).reshape(dims[::-1]).transpose(*range(len(dims))[::-1]).ravel()
        places = o.take(tensor(table), places)
    start = np.arange(fixed(x, 0) * fixed(x, 1)).reshape(fixed(x, 0), fixed(x, 1), *[1] * (x.ndim - 2)) * spatial
    return y, cast(o.add(places, tensor(start)), "int64")


@row("AveragePool")
def average_pool(
    c: Context, x: Any, kernel_shape: Any, strides: Any = None, pads: Any = None, dilations: Any = None,
    auto_pad: str = "NOTSET", ceil_mode: int = 0, count_include_pad: int = 0,
) -> Any:  # fmt: skip
    size, stride, dilation, pairs, beyond = _window_options(
        x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode
    )
    if any(d != 1 for d in dilation):
        ones = o.ones_like(x)
        widths = [(0, 0), (0, 0), *pairs]
        grown = [o.pad(x, widths), o.pad(ones, widths, constant_values=int(bool(count_include_pad)))]
        more = [(0, 0), (0, 0), *((0, e) for e in beyond)]
        total, count = (_window_sum(o.pad(part, more), size, stride, dilation) for part in grown)
        return like(o.divide(total, count), x)
    return like(pooling.mean(x, size, stride, tuple(pairs), bool(count_include_pad), tuple(beyond), None), x)


def _window_sum(x: Any, size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Any:
    channels, n = fixed(x, 1), x.ndim - 2
    kernel = tensor(np.ones((channels, 1, *size), x.dtype.name))
    return convolution.convolve(x, kernel, None, tuple(stride), ((0, 0),) * n, tuple(dilation), channels)


@row("LpPool")
def lp_pool(
    c: Context, x: Any, kernel_shape: Any, strides: Any = None, pads: Any = None, dilations: Any = None,
    auto_pad: str = "NOTSET", ceil_mode: int = 0, p: int = 2,
) -> Any:  # fmt: skip
    size, stride, dilation, pairs, beyond = _window_options(
        x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode
    )
    widths = [(0, 0), (0, 0), *((low, high + more) for (low, high), more in zip(pairs, beyond, strict=True))]
    powers = o.power(o.abs(x), float(p))
    return like(o.power(_window_sum(o.pad(powers, widths), size, stride, dilation), 1 / p), x)


def _global(name: str) -> Any:
    def compute(c: Context, x: Any) -> Any:
        return like(getattr(o, name)(x, axis=tuple(range(2, x.ndim)), keepdims=True), x)

    return compute


row("GlobalAveragePool")(_global("mean"))
row("GlobalMaxPool")(_global("max"))


@row("GlobalLpPool")
def global_lp_pool(c: Context, x: Any, p: int = 2) -> Any:
    total = o.sum(o.power(o.abs(x), float(p)), axis=tuple(range(2, x.ndim)), keepdims=True)
    return like(o.power(total, 1 / p), x)


@row("MaxUnpool")
def max_unpool(
    c: Context, x: Any, places: Any, shape: Any = None, kernel_shape: Any = None, strides: Any = None, pads: Any = None
) -> Any:
    n = x.ndim - 2
    stride = tuple(strides or (1,) * n)
    pads = pads or [0] * (2 * n)
    inner = [(fixed(x, 2 + i) - 1) * stride[i] + kernel_shape[i] - pads[i] - pads[n + i] for i in range(n)]
    natural = [fixed(x, 0), fixed(x, 1), *inner]
    target = natural if shape is None else numbers(shape, "output_shape")
    flat = np.array(known(places, "the indices")).ravel()
    if shape is not None and target != natural:
        # They are places in the shape without output_shape.
        flat = np.ravel_multi_index(np.unravel_index(flat, natural), target)
    found = np.zeros(math.prod(target), np.int64)
    found[flat] = 1 + np.arange(flat.size)
    values = o.concatenate([o.zeros((1,), dtype=x.dtype.name), o.reshape(x, (-1,))], axis=0)
    return like(o.reshape(o.take(values, found, axis=0), tuple(target)), x)


# --- normalizations -----------------------------------------------------------------------------------------------


RUNNING = RunningStatistics()


def _per_channel(v: Any, ndim: int) -> Any:
    return o.reshape(v, (1, -1, *[1] * (ndim - 2)))


@row("BatchNormalization")
def batch_normalization(
    c: Context, x: Any, scale: Any, bias: Any, mean: Any, variance: Any, epsilon: float = 1e-5, momentum: float = 0.9,
    training_mode: int = 0, spatial: int = 1, is_test: int = 1,
) -> Any:  # fmt: skip
    if not spatial:
        raise refuse("spatial=0")
    given = mean, variance
    if training_mode or (c.training and c.outputs == 1):
        over = (0, *range(2, x.ndim))
        mean, variance = o.mean(x, axis=over), o.var(x, axis=over)
    centred = o.subtract(x, _per_channel(mean, x.ndim))
    factor = o.divide(scale, o.sqrt(o.add(variance, epsilon)))
    y = like(o.add(o.multiply(centred, _per_channel(factor, x.ndim)), _per_channel(bias, x.ndim)), x)
    if mean is given[0]:
        return y
    pairs = zip(given, (mean, variance), strict=True)
    moved = [o.add(o.multiply(old, momentum), o.multiply(new, 1 - momentum)) for old, new in pairs]
    if training_mode:
        return (y, *moved)
    with no_grad():
        RUNNING.assign(given, moved)
    return y


@row("InstanceNormalization")
def instance_normalization(c: Context, x: Any, scale: Any, bias: Any, epsilon: float = 1e-5, **_: Any) -> Any:
    over = tuple(range(2, x.ndim))
    mean = o.mean(x, axis=over, keepdims=True)
    variance = o.var(x, axis=over, keepdims=True)
    y = o.divide(o.subtract(x, mean), o.sqrt(o.add(variance, epsilon)))
    return like(o.add(o.multiply(y, _per_channel(scale, x.ndim)), _per_channel(bias, x.ndim)), x)


@row("LayerNormalization")
def layer_normalization(
    c: Context, x: Any, scale: Any, bias: Any = None, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Any:
    over = tuple(range(axis_of(axis, x.ndim), x.ndim))
    wide = x if stash_type != 1 else cast(x, "float32")
    mean = o.mean(wide, axis=over, keepdims=True)
    centred = o.subtract(wide, mean)
    factor = o.reciprocal(o.sqrt(o.add(o.mean(o.square(centred), axis=over, keepdims=True), epsilon)))
    y = o.multiply(like(o.multiply(centred, factor), x), scale)
    y = like(y if bias is None else o.add(y, bias), x)
    return (y, mean, factor)[: c.outputs] if c.outputs > 1 else y


@row("LpNormalization")
def lp_normalization(c: Context, x: Any, axis: int = -1, p: int = 2) -> Any:
    size = o.sum(o.abs(x), axis=axis, keepdims=True) if p == 1 else o.sqrt(o.sum(o.square(x), axis=axis, keepdims=True))
    zero = o.equal(size, 0)
    return like(o.where(zero, o.zeros_like(x), o.divide(x, o.where(zero, o.ones_like(size), size))), x)


@row("LRN")
def lrn(c: Context, x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Any:
    low = (size - 1) // 2
    widths = [(0, 0), (low, size - 1 - low), *[(0, 0)] * (x.ndim - 2)]
    squares = o.pad(o.square(x), widths)
    count = fixed(x, 1)
    total = squares[:, :count]
    for i in range(1, size):
        total = o.add(total, squares[:, i : i + count])
    return like(o.divide(x, o.power(o.add(o.multiply(total, alpha / size), bias), beta)), x)


# --- losses -------------------------------------------------------------------------------------------------------


@row("NegativeLogLikelihoodLoss")
def negative_log_likelihood(
    c: Context, x: Any, labels: Any, weight: Any = None, reduction: str = "mean", ignore_index: int | None = None
) -> Any:
    """The classes are along axis 1."""
    count = fixed(x, 1)
    hit = o.equal(o.expand_dims(cast(labels, "int64"), 1), tensor(np.arange(count).reshape(1, -1, *[1] * (x.ndim - 2))))
    each = cast(hit, x.dtype.name)
    if ignore_index is not None:
        kept = o.not_equal(o.expand_dims(labels, 1), ignore_index)
        each = o.multiply(each, cast(kept, x.dtype.name))
    if weight is not None:
        each = o.multiply(each, _per_channel(weight, x.ndim))
    loss = o.negative(o.sum(o.where(o.equal(each, 0), o.zeros_like(x), o.multiply(x, each)), axis=1))
    if reduction == "none":
        return like(loss, x)
    total = o.sum(loss)
    return like(total if reduction == "sum" else o.divide(total, o.sum(each)), x)
