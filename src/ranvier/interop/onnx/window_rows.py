"""Convolutions, pooling and normalizations that leave as operators of ONNX, which has channels first."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier import activations
from ranvier.interop.foreign import refuse
from ranvier.interop.onnx.builder import Builder, Value
from ranvier.interop.onnx.layer_rows import LAYERS, activated, layer
from ranvier.ops.arrays.promotion import axis_of
from ranvier.ops.functional.convolution import enlarged
from ranvier.tensor.function import same_function

# How images are resized: both count from the middle of a pixel.
RESIZING: dict[str, dict[str, Any]] = {
    "nearest": {"mode": "nearest", "coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"},
    "bilinear": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
}


def _entered(b: Builder, m: Any, x: Value) -> str:
    return x.name if m.first else b.first(x.name, x.ndim)


def _left(b: Builder, m: Any, y: str, ndim: int) -> str:
    return y if m.first else b.last(y, ndim)


def _padding(m: Any, size: Any, dilation: Any) -> dict[str, Any]:
    if m.padding == "causal":
        return {"pads": [(size[0] - 1) * dilation[0], 0]}
    return {"auto_pad": "SAME_UPPER"} if m.padding == "same" else {}


def _kernel(array: Any) -> Any:
    """(sizes..., inputs, filters) as (filters, inputs, sizes...)."""
    return np.moveaxis(array, (-1, -2), (0, 1))


def _by_channel(array: Any) -> Any:
    """(sizes..., channels, multiplier) as (channels * multiplier, 1, sizes...)."""
    return np.moveaxis(array.reshape(*array.shape[:-2], 1, -1), (-1, -2), (0, 1))


@layer("Conv1D", "Conv2D", "Conv3D")
def convolution(b: Builder, m: Any, x: Value) -> str:
    weights = [b.weight(m.kernel, _kernel), *([] if m.bias is None else [b.weight(m.bias)])]
    y = b.op(
        "Conv", _entered(b, m, x), *weights, strides=list(m.strides), dilations=list(m.dilation_rate), group=m.groups,
        **_padding(m, m.kernel_size, m.dilation_rate),
    )  # fmt: skip
    return activated_within(b, m, y, x.ndim)


def activated_within(b: Builder, m: Any, y: str, ndim: int) -> str:
    """The activation; that of softmax is along the channels, where they were."""
    if any(same_function(m.activation, along) for along in (activations.softmax, activations.log_softmax)):
        return activated(b, m.activation, _left(b, m, y, ndim))
    return _left(b, m, activated(b, m.activation, y), ndim)


@layer("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise(b: Builder, m: Any, x: Value) -> str:
    kernel = next(p for name, p in m._parameters.items() if name.endswith("kernel"))
    weights = [b.weight(kernel, _by_channel), *([] if m.bias is None else [b.weight(m.bias)])]
    channels = x.shape[1] if m.first else x.shape[-1]
    y = b.op(
        "Conv", _entered(b, m, x), *weights, strides=list(m.strides), dilations=list(m.dilation_rate), group=channels,
        **_padding(m, m.kernel_size, m.dilation_rate),
    )  # fmt: skip
    return activated_within(b, m, y, x.ndim)


@layer("SeparableConv1D", "SeparableConv2D")
def separable(b: Builder, m: Any, x: Value) -> str:
    channels = x.shape[1] if m.first else x.shape[-1]
    ones = [1] * len(m.kernel_size)
    y = b.op(
        "Conv", _entered(b, m, x), b.weight(m.depthwise_kernel, _by_channel), strides=list(m.strides), group=channels,
        dilations=list(m.dilation_rate), **_padding(m, m.kernel_size, m.dilation_rate),
    )  # fmt: skip
    weights = [b.weight(m.pointwise_kernel, _kernel), *([] if m.bias is None else [b.weight(m.bias)])]
    return activated_within(b, m, b.op("Conv", y, *weights, strides=ones), x.ndim)


@layer("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def transposed(b: Builder, m: Any, x: Value) -> str:
    low, high, extra = [], [], []
    for i, (reach, stride) in enumerate(zip(m.reaches, m.strides, strict=True)):
        given = None if m.output_padding is None else m.output_padding[i]
        size, (before, after) = enlarged(1, reach, stride, m.padding, given)
        low.append(before)
        high.append(after)
        extra.append(size - (reach - before - after))
    weights = [b.weight(m.kernel, _kernel), *([] if m.bias is None else [b.weight(m.bias)])]
    y = b.op(
        "ConvTranspose", _entered(b, m, x), *weights, strides=list(m.strides), dilations=list(m.dilation_rate),
        pads=[*low, *high], output_padding=extra,
    )  # fmt: skip
    return activated_within(b, m, y, x.ndim)


@layer("torch.ConvTranspose1d", "torch.ConvTranspose2d", "torch.ConvTranspose3d")
def transposed_torch(b: Builder, m: Any, x: Value) -> str:
    _batched(m, x)
    weights = [b.weight(m.weight), *([] if m.bias is None else [b.weight(m.bias)])]
    return b.op(
        "ConvTranspose", x.name, *weights, strides=list(m.stride), dilations=list(m.dilation), group=m.groups,
        pads=[*m.padding, *m.padding], output_padding=list(m.output_padding),
    )  # fmt: skip


def _batched(m: Any, x: Value) -> None:
    """Raise UnsupportedError for one image without a batch."""
    if x.ndim != m.dimensions + 2:
        raise refuse("its input has no batch")


@layer("UpSampling1D", "UpSampling2D", "UpSampling3D")
def up_sampling(b: Builder, m: Any, x: Value) -> str:
    kind = getattr(m, "interpolation", "nearest")
    if kind not in RESIZING:
        raise refuse(f"its interpolation is {kind!r}")
    scales = [1.0, 1.0, *m.size] if m.first else [1.0, *m.size, 1.0]
    return b.op("Resize", x.name, "", b.constant(np.array(scales, np.float32), "scales"), **RESIZING[kind])


@layer("Resizing")
def resizing(b: Builder, m: Any, x: Value) -> str:
    if m.interpolation not in RESIZING or m.crop or m.pad or m.antialias or x.ndim != 4:
        raise refuse("it crops or pads, or its interpolation has no operator")
    sizes, axes = b.axes(m.height, m.width, base="sizes"), [2, 3] if m.first else [1, 2]
    return b.op("Resize", x.name, "", "", sizes, axes=axes, **RESIZING[m.interpolation])


@layer("torch.Conv1d", "torch.Conv2d", "torch.Conv3d")
def convolution_torch(b: Builder, m: Any, x: Value) -> str:
    _batched(m, x)
    if m.padding_mode != "zeros" or isinstance(m.padding, str):
        raise refuse(f"its padding is {m.padding!r} of {m.padding_mode!r}")
    weights = [b.weight(m.weight), *([] if m.bias is None else [b.weight(m.bias)])]
    return b.op(
        "Conv", x.name, *weights, strides=list(m.stride), dilations=list(m.dilation), group=m.groups,
        pads=[*m.padding, *m.padding],
    )  # fmt: skip


@layer("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D")
def pooling(b: Builder, m: Any, x: Value) -> str:
    kind = "MaxPool" if type(m).__name__.startswith("Max") else "AveragePool"
    ones = (1,) * len(m.pool_size)
    options = _padding(m, m.pool_size, ones)
    y = b.op(kind, _entered(b, m, x), kernel_shape=list(m.pool_size), strides=list(m.strides), **options)
    return _left(b, m, y, x.ndim)


def _each(value: Any, n: int) -> list[int]:
    return [int(v) for v in value] if isinstance(value, (list, tuple)) else [int(value)] * n


@layer("torch.MaxPool1d", "torch.MaxPool2d", "torch.MaxPool3d", "torch.AvgPool1d", "torch.AvgPool2d", "torch.AvgPool3d")
def pooling_torch(b: Builder, m: Any, x: Value) -> str:
    n = x.ndim - 2
    pads = _each(m.padding, n)
    options: dict[str, Any] = {
        "kernel_shape": _each(m.kernel_size, n), "strides": _each(m.kernel_size if m.stride is None else m.stride, n),
        "pads": [*pads, *pads], "ceil_mode": int(m.ceil_mode),
    }  # fmt: skip
    if type(m).__name__.startswith("Max"):
        if m.return_indices:
            raise refuse("it returns indices")
        return b.op("MaxPool", x.name, dilations=_each(m.dilation, n), **options)
    if getattr(m, "divisor_override", None) is not None:
        raise refuse("it has a divisor of its own")
    return b.op("AveragePool", x.name, count_include_pad=int(m.count_include_pad), **options)


def _global(kind: str) -> Any:
    def add(b: Builder, m: Any, x: Value) -> str:
        y = b.op(kind, _entered(b, m, x))
        if m.keepdims:
            return _left(b, m, y, x.ndim)
        return b.op("Flatten", y, axis=1)

    return add


for _n in (1, 2, 3):
    LAYERS[f"GlobalAveragePooling{_n}D"] = _global("GlobalAveragePool")
    LAYERS[f"GlobalMaxPooling{_n}D"] = _global("GlobalMaxPool")


@layer("torch.AdaptiveAvgPool1d", "torch.AdaptiveAvgPool2d", "torch.AdaptiveAvgPool3d")
def adaptive(b: Builder, m: Any, x: Value) -> str:
    if any(size != 1 for size in _each(m.output_size, x.ndim - 2)):
        raise refuse("its output has more than one position")
    return b.op("GlobalAveragePool", x.name)


@layer("BatchNormalization")
def batch_normalization(b: Builder, m: Any, x: Value) -> str:
    axis, count = axis_of(m.axis, x.ndim), m.moving_mean.shape[0]
    scale = b.constant(np.ones(count, np.float32), "gamma") if m.gamma is None else b.weight(m.gamma)
    shift = b.constant(np.zeros(count, np.float32), "beta") if m.beta is None else b.weight(m.beta)
    order = (0, axis, *(n for n in range(1, x.ndim) if n != axis))
    y = b.op(
        "BatchNormalization", b.transpose(x.name, order), scale, shift, b.weight(m.moving_mean),
        b.weight(m.moving_variance), epsilon=m.epsilon,
    )  # fmt: skip
    return b.transpose(y, tuple(int(n) for n in np.argsort(order)))


@layer("torch.BatchNorm1d", "torch.BatchNorm2d", "torch.BatchNorm3d")
def batch_normalization_torch(b: Builder, m: Any, x: Value) -> str:
    if m.running_mean is None or m.weight is None:
        raise refuse("it has no running statistics, or no weight")
    parts = (m.weight, m.bias, m.running_mean, m.running_var)
    return b.op("BatchNormalization", x.name, *map(b.weight, parts), epsilon=m.eps)


@layer("LayerNormalization")
def layer_normalization(b: Builder, m: Any, x: Value) -> str:
    axes = m.axis if isinstance(m.axis, (list, tuple)) else (m.axis,)
    if tuple(axes) not in ((-1,), (x.ndim - 1,)):
        raise refuse("it normalizes along another axis than the last")
    scale = b.constant(np.ones(x.shape[-1:], np.float32), "gamma") if m.gamma is None else b.weight(m.gamma)
    shift = [] if m.beta is None else [b.weight(m.beta)]
    return b.op("LayerNormalization", x.name, scale, *shift, axis=-1, epsilon=m.epsilon)


@layer("torch.LayerNorm")
def layer_normalization_torch(b: Builder, m: Any, x: Value) -> str:
    size = len(m.normalized_shape)
    scale = b.constant(np.ones(m.normalized_shape, np.float32), "weight") if m.weight is None else b.weight(m.weight)
    shift = [] if m.bias is None else [b.weight(m.bias)]
    return b.op("LayerNormalization", x.name, scale, *shift, axis=-size, epsilon=m.eps)


def _moved(b: Builder, x: Value, axis: int) -> tuple[str, tuple[int, ...]]:
    """The value with an axis after the batch, and the axes that lead back."""
    order = (0, axis, *(n for n in range(1, x.ndim) if n != axis))
    return b.transpose(x.name, order), tuple(int(n) for n in np.argsort(order))


def _affine(b: Builder, scale: Any, shift: Any, count: int) -> tuple[str, str]:
    """The factor and the summand of each channel, of which either may be left out."""
    gamma = b.constant(np.ones(count, np.float32), "scale") if scale is None else b.weight(scale)
    return gamma, b.constant(np.zeros(count, np.float32), "shift") if shift is None else b.weight(shift)


@layer("GroupNormalization", "InstanceNormalization")
def group_normalization(b: Builder, m: Any, x: Value) -> str:
    axis = axis_of(m.axis, x.ndim)
    count = x.shape[axis]
    if count is None or axis == 0:
        raise refuse("its channels are not known")
    y, back = _moved(b, x, axis)
    affine = _affine(b, m.gamma, m.beta, count)
    if m.groups in (-1, count):
        y = b.op("InstanceNormalization", y, *affine, epsilon=m.epsilon)
    else:
        y = b.op("GroupNormalization", y, *affine, num_groups=m.groups, epsilon=m.epsilon)
    return b.transpose(y, back)


@layer("torch.GroupNorm")
def group_normalization_torch(b: Builder, m: Any, x: Value) -> str:
    affine = _affine(b, m.weight, m.bias, m.num_channels)
    return b.op("GroupNormalization", x.name, *affine, num_groups=m.num_groups, epsilon=m.eps)


@layer("torch.InstanceNorm1d", "torch.InstanceNorm2d", "torch.InstanceNorm3d")
def instance_normalization_torch(b: Builder, m: Any, x: Value) -> str:
    _batched(m, x)
    if m.running_mean is not None:
        raise refuse("it has running statistics")
    return b.op("InstanceNormalization", x.name, *_affine(b, m.weight, m.bias, m.num_features), epsilon=m.eps)


@layer("RMSNormalization")
def rms_normalization(b: Builder, m: Any, x: Value) -> str:
    if tuple(m.axis) not in ((-1,), (x.ndim - 1,)):
        raise refuse("it normalizes along another axis than the last")
    return b.op("RMSNormalization", x.name, b.weight(m.scale), axis=-1, epsilon=m.epsilon)


@layer("torch.RMSNorm")
def rms_normalization_torch(b: Builder, m: Any, x: Value) -> str:
    if m.weight is None:
        raise refuse("it has no weight")
    epsilon = float(np.finfo(np.float32).eps) if m.eps is None else m.eps
    return b.op("RMSNormalization", x.name, b.weight(m.weight), axis=-len(m.normalized_shape), epsilon=epsilon)
