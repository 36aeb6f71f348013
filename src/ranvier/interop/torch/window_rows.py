"""Convolutions, pooling and normalizations as modules of PyTorch, which have channels first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.data.convert import Array
from ranvier.interop.foreign import refuse
from ranvier.interop.program_text import Call, call
from ranvier.interop.torch.builder import LAYERS, Builder, Value, array, layer, one, padded, tidy
from ranvier.interop.torch.layer_rows import activated
from ranvier.ops.arrays.promotion import axes_of, axis_of
from ranvier.ops.functional.convolution import enlarged, padding_of

Pairs = Sequence[tuple[int, int]]


def positions(v: Value) -> tuple[Any, ...]:
    """The extents of the positions of a value with channels first there."""
    return v.shape[1:-1] if v.first else v.shape[2:]


def channels(v: Value) -> int:
    """The number of channels of such a value."""
    size = v.shape[-1] if v.first else v.shape[1]
    assert size is not None
    return size


def pairs_of(m: Any, v: Value, sizes: Sequence[int], strides: Sequence[int], rates: Sequence[int]) -> Pairs:
    """The zeros before and after each dimension."""
    if m.padding == "causal":
        return [((sizes[0] - 1) * rates[0], 0)]
    if m.padding == "valid":
        return [(0, 0)] * len(sizes)
    if all(s == 1 for s in strides):
        totals = [(k - 1) * d for k, d in zip(sizes, rates, strict=True)]
        return [(n // 2, n - n // 2) for n in totals]
    if None in positions(v):
        raise refuse("its padding depends on the size of the inputs, which is not known")
    found: Pairs = padding_of("same", positions(v), tuple(sizes), tuple(strides), tuple(rates))
    return found


def even(pairs: Pairs) -> bool:
    return all(low == high for low, high in pairs)


def _kernel(weight: Any) -> Array:
    """(sizes..., inputs, filters) as (filters, inputs, sizes...)."""
    return np.moveaxis(array(weight), (-1, -2), (0, 1))


def _by_channel(weight: Any) -> Array:
    """(sizes..., channels, multiplier) as (channels * multiplier, 1, sizes...)."""
    a = array(weight)
    return np.moveaxis(a.reshape(*a.shape[:-2], 1, -1), (-1, -2), (0, 1))


def _bias(m: Any) -> dict[str, Array]:
    return {} if m.bias is None else {"bias": array(m.bias)}


def _plain(**options: Any) -> dict[str, Any]:
    """Options without those that are PyTorch's defaults."""
    defaults = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True, "output_padding": 0}
    return {key: value for key, value in options.items() if value != defaults[key]}


def _convolved(b: Builder, m: Any, x: Value, weight: Array, groups: int, bias: Any, key: Any = None) -> Value:
    n = weight.ndim - 2
    pairs = pairs_of(m, x, m.kernel_size, m.strides, m.dilation_rate)
    if not even(pairs):
        x = padded(b, x, pairs)
        pairs = [(0, 0)] * n
    options = _plain(
        stride=one(m.strides), padding=one([low for low, _ in pairs]), dilation=one(m.dilation_rate), groups=groups,
        bias=bool(bias),
    )  # fmt: skip
    made = Call(f"nn.Conv{n}d", (channels(x), weight.shape[0], one(m.kernel_size)), options)
    return b.module(made, x, weights={"weight": weight, **bias}, key=m if key is None else key, first=x.first)


@layer("Conv1D", "Conv2D", "Conv3D")
def convolution(b: Builder, m: Any, x: Value) -> Value:
    y = _convolved(b, m, b.spatial(x, m.first), _kernel(m.kernel), m.groups, _bias(m))
    return activated(b, m.activation, y)


@layer("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise(b: Builder, m: Any, x: Value) -> Value:
    x = b.spatial(x, m.first)
    kernel = next(p for name, p in m._parameters.items() if name.endswith("kernel"))
    y = _convolved(b, m, x, _by_channel(kernel), channels(x), _bias(m))
    return activated(b, m.activation, y)


@layer("SeparableConv1D", "SeparableConv2D")
def separable(b: Builder, m: Any, x: Value) -> Value:
    x, own = b.spatial(x, m.first), b.scope
    first, second = _by_channel(m.depthwise_kernel), _kernel(m.pointwise_kernel)
    b.scope = f"{own}_depthwise"
    y = _convolved(b, m, x, first, channels(x), {}, (m, "depthwise"))
    b.scope = f"{own}_pointwise"
    made = Call(f"nn.Conv{x.ndim - 2}d", (first.shape[0], second.shape[0], 1), _plain(bias=m.bias is not None))
    y = b.module(made, y, weights={"weight": second, **_bias(m)}, key=(m, "pointwise"), first=x.first)
    b.scope = own
    return activated(b, m.activation, y)


@layer("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def transposed(b: Builder, m: Any, x: Value) -> Value:
    """A transposed convolution. What comes out is cut where PyTorch's is larger at the end."""
    x, n, weight = b.spatial(x, m.first), len(m.kernel_size), _kernel(m.kernel)
    before, more, cut = [], [], []
    for i in range(n):
        extra = None if m.output_padding is None else m.output_padding[i]
        size, (low, _) = enlarged(8, m.reaches[i], m.strides[i], m.padding, extra)
        before.append(low)
        plain = 7 * m.strides[i] - 2 * before[-1] + m.reaches[i]  # of 8 positions
        more.append(max(0, size - plain))
        cut.append(max(0, plain - size))
    if any(p >= max(s, d) for p, s, d in zip(more, m.strides, m.dilation_rate, strict=True)):
        raise refuse("its output_padding has no counterpart")
    options = _plain(
        stride=one(m.strides), padding=one(before), output_padding=one(more), dilation=one(m.dilation_rate),
        bias=m.bias is not None,
    )  # fmt: skip
    made = Call(f"nn.ConvTranspose{n}d", (channels(x), m.filters, one(m.kernel_size)), options)
    y = b.module(made, x, weights={"weight": weight, **_bias(m)}, key=m, first=x.first)
    y = padded(b, y, [(0, -size) for size in cut], b.shape)
    return activated(b, m.activation, y)


@layer("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D")
def pooling(b: Builder, m: Any, x: Value) -> Value:
    x, n, largest = b.spatial(x, m.first), len(m.pool_size), type(m).__name__.startswith("Max")
    pairs = pairs_of(m, x, m.pool_size, m.strides, (1,) * n)
    options: dict[str, Any] = {}
    # PyTorch pads both ends alike. A window more at the end, of what there is, stands for an uneven pair.
    uneven = [i for i, (low, high) in enumerate(pairs) if low != high]
    if uneven and all(m.strides[i] > 1 and pairs[i][1] == pairs[i][0] + 1 for i in uneven):
        options["ceil_mode"] = True
    elif uneven and largest:
        x = padded(b, x, pairs, value=float("-inf"))
        pairs = [(0, 0)] * n
    elif uneven:
        raise refuse("its windows of an even size with strides of 1 have no counterpart with padding='same'")
    before = one([low for low, _ in pairs])
    if before:
        options = {"padding": before, **options}
    if not largest and (before or uneven):
        options["count_include_pad"] = False
    sizes = (one(m.pool_size), *(() if m.strides == m.pool_size else (one(m.strides),)))
    return b.module(Call(f"nn.{'Max' if largest else 'Avg'}Pool{n}d", sizes, options), x, key=m, first=x.first)


def _everywhere(n: int, largest: bool) -> Any:
    def add(b: Builder, m: Any, x: Value) -> Value:
        x = b.ordered(b.floats(x))
        axes = [x.axis(i) for i in (range(2, x.ndim) if m.first else range(1, x.ndim - 1))]
        places = axes[0] if len(axes) == 1 else tuple(axes)
        keep = ", keepdim=True" if m.keepdims else ""
        alone = None
        if axes[0] == 2:
            alone = [Call(f"nn.Adaptive{'Max' if largest else 'Avg'}Pool{n}d", (1,)), call("nn.Flatten")]
        text = f"{{0}}.{'amax' if largest else 'mean'}({places}{keep})"
        return b.apply(text, x, alone=alone[: 1 if m.keepdims else 2] if alone else None, first=m.keepdims and x.first)

    return add


for _n in (1, 2, 3):
    LAYERS[f"GlobalAveragePooling{_n}D"] = _everywhere(_n, False)
    LAYERS[f"GlobalMaxPooling{_n}D"] = _everywhere(_n, True)


@layer(*(f"Adaptive{kind}Pooling{n}D" for kind in ("Average", "Max") for n in (1, 2, 3)))
def adaptive(b: Builder, m: Any, x: Value) -> Value:
    x, largest = b.spatial(x, m.first), "Max" in type(m).__name__
    made = Call(f"nn.Adaptive{'Max' if largest else 'Avg'}Pool{x.ndim - 2}d", (one(m.output_size),))
    return b.module(made, x, key=m, first=x.first)


# --- normalizations -----------------------------------------------------------------------------------------------


def _affine(m: Any, count: Any) -> tuple[dict[str, Array], tuple[str, ...], bool]:
    """The weights of a normalization; those that the layer lacks, which are frozen; whether it has any."""
    if m.gamma is None and m.beta is None:
        return {}, (), False
    weight = np.ones(count, np.float32) if m.gamma is None else array(m.gamma)
    bias = np.zeros(count, np.float32) if m.beta is None else array(m.beta)
    frozen = tuple(name for name, part in (("weight", m.gamma), ("bias", m.beta)) if part is None)
    return {"weight": weight, "bias": bias}, frozen, True


@layer("BatchNormalization")
def batch_normalization(b: Builder, m: Any, x: Value) -> Value:
    x, axis = b.floats(x), axis_of(m.axis, x.ndim)
    if x.ndim > 2 and axis == x.ndim - 1:
        x = b.moved(x)
    elif axis == 1 and x.ndim > 2:
        x = b.logical(x)
    elif x.ndim > 2:
        raise refuse(f"it normalizes along axis {m.axis}")
    count = m.moving_mean.shape[0]
    weights, frozen, affine = _affine(m, count)
    weights |= {"running_mean": array(m.moving_mean), "running_var": array(m.moving_variance)}
    if x.order is not None:
        weights = {name: part[x.order] for name, part in weights.items()}
    options = {"eps": m.epsilon, "momentum": tidy(1 - m.momentum)} | ({} if affine else {"affine": False})
    made = Call(f"nn.BatchNorm{max(1, x.ndim - 2)}d", (count,), options)
    return b.module(
        made, x, weights=weights, frozen=frozen, key=m, first=x.first, order=x.order, flattened=x.flattened
    )  # fmt: skip


@layer("LayerNormalization")
def layer_normalization(b: Builder, m: Any, x: Value) -> Value:
    x = b.logical(b.floats(x))
    axes = sorted(axes_of(m.axis, x.ndim))
    if axes != list(range(x.ndim - len(axes), x.ndim)):
        raise refuse("it normalizes along other axes than the last")
    sizes = x.shape[axes[0] :]
    weights, frozen, affine = _affine(m, sizes)
    options = {"eps": m.epsilon} | ({} if affine else {"elementwise_affine": False})
    if affine and m.beta is None:
        weights, frozen, options = {"weight": weights["weight"]}, (), {**options, "bias": False}
    return b.module(
        Call("nn.LayerNorm", (sizes[0] if len(sizes) == 1 else tuple(sizes),), options), x, weights=weights,
        frozen=frozen, key=m,
    )  # fmt: skip


@layer("RMSNormalization")
def rms_normalization(b: Builder, m: Any, x: Value) -> Value:
    x = b.logical(b.floats(x))
    axes = sorted(axes_of(m.axis, x.ndim))
    if axes != list(range(x.ndim - len(axes), x.ndim)):
        raise refuse("it normalizes along other axes than the last")
    sizes = x.shape[axes[0] :]
    made = call("nn.RMSNorm", sizes[0] if len(sizes) == 1 else tuple(sizes), eps=m.epsilon)
    return b.module(made, x, weights={"weight": array(m.scale)}, key=m)


@layer("GroupNormalization", "InstanceNormalization")
def group_normalization(b: Builder, m: Any, x: Value) -> Value:
    x, axis = b.floats(x), axis_of(m.axis, x.ndim)
    if axis == x.ndim - 1:
        x = b.moved(x)
    elif axis == 1:
        x = b.logical(x)
    else:
        raise refuse(f"it normalizes along axis {m.axis}")
    count = channels(x) if x.ndim > 2 else x.shape[-1]
    weights, frozen, affine = _affine(m, count)
    options = {"eps": m.epsilon} | ({} if affine else {"affine": False})
    made = Call("nn.GroupNorm", (count if m.groups == -1 else m.groups, count), options)
    return b.module(made, x, weights=weights, frozen=frozen, key=m, first=x.first)


@layer("UnitNormalization")
def unit_normalization(b: Builder, m: Any, x: Value) -> Value:
    if not isinstance(m.axis, int):
        raise refuse("it normalizes along several axes")
    x = b.floats(b.logical(x))
    return b.apply(f"F.normalize({{0}}, dim={m.axis})", x)
