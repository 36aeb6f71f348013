"""Rows for the layers of images: each with its value by plain loops in NumPy, which owe nothing to the library's own."""

import itertools
from typing import Any

import numpy as np

from ranvier import layers

RNG = np.random.default_rng(0)
LINE = RNG.standard_normal((2, 7, 4)).astype(np.float32)
IMAGE = RNG.standard_normal((2, 5, 6, 4)).astype(np.float32)
VOLUME = RNG.standard_normal((2, 4, 3, 5, 2)).astype(np.float32)
OF = {1: LINE, 2: IMAGE, 3: VOLUME}


def arrays(layer):
    return [w.numpy() for w in layer.weights]


def around(x, pairs, value=0.0):
    return np.pad(x, ((0, 0), *pairs, (0, 0)), constant_values=value)


def same(shape, size, stride, dilation):
    """The zeros of "same" before and after each dimension."""
    pairs = []
    for n, k, s, d in zip(shape, size, stride, dilation, strict=True):
        total = max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
        pairs.append((total // 2, total - total // 2))
    return pairs


def convolution(x, kernel, stride, dilation, groups):
    """Over padded inputs, position by position."""
    *size, channels, filters = kernel.shape
    reach = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
    outs = [(n - r) // s + 1 for n, r, s in zip(x.shape[1:-1], reach, stride, strict=True)]
    y: Any = np.zeros((len(x), *outs, filters), x.dtype)
    each = filters // groups
    for at in itertools.product(*map(range, outs)):
        window = tuple(slice(o * s, o * s + r, d) for o, s, r, d in zip(at, stride, reach, dilation, strict=True))
        seen = x[(slice(None), *window)]
        for g in range(groups):
            part, weights = (seen[..., g * channels : (g + 1) * channels], kernel[..., g * each : (g + 1) * each])
            y[(slice(None), *at, slice(g * each, (g + 1) * each))] = np.tensordot(part, weights, part.ndim - 1)
    return y


def conv(padding="valid", stride=1, dilation=1, groups=1):
    def value(layer, x):
        kernel, *bias = arrays(layer)
        n = x.ndim - 2
        s, d = (stride,) * n, (dilation,) * n
        if padding == "same":
            x = around(x, same(x.shape[1:-1], kernel.shape[:n], s, d))
        if padding == "causal":
            x = around(x, [((kernel.shape[0] - 1) * dilation, 0)])
        y = convolution(x, kernel.astype(x.dtype), s, d, groups)
        return y + bias[0] if bias else y

    return value


def apart(x, depthwise):
    """Each channel by itself."""
    *size, channels, multiplier = depthwise.shape
    return convolution(
        x, depthwise.reshape(*size, 1, channels * multiplier), (1,) * len(size), (1,) * len(size), channels
    )


def depthwise(layer, x):
    kernel, bias = arrays(layer)
    return apart(x, kernel) + bias


def separable(layer, x):
    first, second, bias = arrays(layer)
    return apart(x, first) @ second.reshape(second.shape[-2:]) + bias


def transposed(layer, x):
    """Every input scattered over what its kernel reaches: padding "valid", strides 2."""
    kernel, bias = arrays(layer)
    *size, filters, _ = kernel.shape
    y: Any = np.zeros((len(x), *[(n - 1) * 2 + k for n, k in zip(x.shape[1:-1], size, strict=True)], filters), x.dtype)  # fmt: skip
    for at in itertools.product(*map(range, x.shape[1:-1])):
        window = tuple(slice(2 * o, 2 * o + k) for o, k in zip(at, size, strict=True))
        y[(slice(None), *window)] += np.moveaxis(np.tensordot(kernel, x[(slice(None), *at)], ([-1], [-1])), -1, 0)
    return y + bias


def pooled(reduce, padding="valid", size=2, stride=2):
    def value(layer, x):
        n = x.ndim - 2
        if padding == "same":
            x = around(x, same(x.shape[1:-1], (size,) * n, (stride,) * n, (1,) * n), np.nan)
        outs = [(d - size) // stride + 1 for d in x.shape[1:-1]]
        y: Any = np.zeros((len(x), *outs, x.shape[-1]), x.dtype)
        for at in itertools.product(*map(range, outs)):
            window = tuple(slice(o * stride, o * stride + size) for o in at)
            y[(slice(None), *at)] = reduce(x[(slice(None), *window)], tuple(range(1, n + 1)))
        return y

    return value


def parts(reduce, counts):
    def value(layer, x):
        shape = x.shape[1:-1]
        y: Any = np.zeros((len(x), *counts, x.shape[-1]), x.dtype)
        for at in itertools.product(*map(range, counts)):
            window = tuple(slice(i * n // m, -(-(i + 1) * n // m)) for i, n, m in zip(at, shape, counts, strict=True))
            y[(slice(None), *at)] = reduce(x[(slice(None), *window)], tuple(range(1, x.ndim - 1)))
        return y

    return value


def everywhere(reduce):
    return lambda layer, x: reduce(x, axis=tuple(range(1, x.ndim - 1)))


def repeated(times):
    def value(layer, x):
        for axis, k in enumerate(times, 1):
            x = np.repeat(x, k, axis)
        return x

    return value


def bilinear(layer, x):
    for axis in (1, 2):
        n = x.shape[axis]
        at = np.clip((np.arange(2 * n) + 0.5) / 2 - 0.5, 0, n - 1)
        low = np.floor(at).astype(int)
        share = (at - low).reshape([-1 if a == axis else 1 for a in range(4)]).astype(x.dtype)
        x = np.take(x, low, axis) * (1 - share) + np.take(x, np.minimum(low + 1, n - 1), axis) * share
    return x


def grouped(groups, epsilon=1e-3):
    def value(layer, x):
        split = x.reshape(*x.shape[:-1], groups, -1)
        axes = (*range(1, x.ndim - 1), x.ndim)
        mean, variance = split.mean(axes, keepdims=True), split.var(axes, keepdims=True)
        return ((split - mean) / np.sqrt(variance + epsilon)).reshape(x.shape)

    return value


def first(value):
    """The value of a layer with channels first."""
    return lambda layer, x: np.moveaxis(value(layer, np.moveaxis(x, 1, -1)), -1, 1)


def rows():
    for n, x in OF.items():
        c = x.shape[-1]
        yield f"conv {n}", (lambda n=n: kind("Conv", n)(3, 2), x, conv())
        yield f"conv {n}, same, strides", (
            lambda n=n: kind("Conv", n)(3, 3, 2, "same"), x, conv("same", 2),
        )  # fmt: skip
        yield f"conv {n}, dilated, groups", (
            lambda n=n: kind("Conv", n)(4, 2, dilation_rate=2, groups=2, use_bias=False), x, conv("valid", 1, 2, 2),
        )  # fmt: skip
        yield f"conv {n}, first", (
            lambda n=n: kind("Conv", n)(3, 2, data_format="channels_first"), np.moveaxis(x, -1, 1), first(conv()),
        )  # fmt: skip
        yield f"transposed {n}", (lambda n=n: kind("Conv", n, "Transpose")(3, 3, 2), x, transposed)
        for name, reduce, among in (("Max", np.max, np.nanmax), ("Average", np.mean, np.nanmean)):
            yield f"{name} {n}", (
                lambda n=n, name=name: kind(name + "Pooling", n)(), x, pooled(reduce),
            )  # fmt: skip
            yield f"{name} {n}, same", (
                lambda n=n, name=name: kind(name + "Pooling", n)(3, 2, "same"), x, pooled(among, "same", 3, 2),
            )  # fmt: skip
            yield f"global {name} {n}", (
                lambda n=n, name=name: kind(f"Global{name}Pooling", n)(), x, everywhere(reduce),
            )  # fmt: skip
            yield f"adaptive {name} {n}", (
                lambda n=n, name=name: kind(f"Adaptive{name}Pooling", n)(2), x, parts(reduce, (2,) * n),
            )  # fmt: skip
        yield f"zero padding {n}", (
            lambda n=n: kind("ZeroPadding", n)(((1, 2),) * n), x, lambda m, x, n=n: around(x, [(1, 2)] * n),
        )  # fmt: skip
        inner = (slice(None), *[slice(1, -1)] * n)
        yield f"cropping {n}", (
            lambda n=n: kind("Cropping", n)(1), x, lambda m, x, inner=inner: x[inner],
        )  # fmt: skip
        yield f"up sampling {n}", (lambda n=n: kind("UpSampling", n)(2), x, repeated((2,) * n))
        if n < 3:
            yield (f"depthwise {n}", (lambda n=n: kind("DepthwiseConv", n)(2, depth_multiplier=2), x, depthwise))
            yield f"separable {n}", (lambda n=n: kind("SeparableConv", n)(3, 2), x, separable)
        yield f"group norm {n}", (
            lambda c=c: layers.GroupNormalization(c // 2), x, grouped(c // 2),
        )  # fmt: skip
    yield "conv 1, causal", (lambda: layers.Conv1D(3, 3, padding="causal"), LINE, conv("causal"))
    yield "conv 2, bytes", (lambda: layers.Conv2D(3, 2), (IMAGE > 0).astype(np.uint8), conv_of_bytes)
    yield "conv 2, penalties", (
        lambda: layers.Conv2D(
            3, 2, activation="tanh", kernel_initializer="he_normal", kernel_regularizer="l2", bias_regularizer="l1",
            activity_regularizer="l2", kernel_constraint="max_norm", bias_constraint="non_neg",
        ), IMAGE, lambda m, x: np.tanh(conv()(m, x)),
    )  # fmt: skip
    yield "conv 2, rectangle", (lambda: layers.Conv2D(3, (3, 1)), IMAGE, conv())
    yield "max 2, first", (
        lambda: layers.MaxPooling2D(data_format="channels_first"), np.moveaxis(IMAGE, -1, 1), first(pooled(np.max)),
    )  # fmt: skip
    yield "adaptive 2, even", (
        lambda: layers.AdaptiveAveragePooling2D((5, 3)), IMAGE, parts(np.mean, (5, 3)),
    )  # fmt: skip
    yield "bilinear", (lambda: layers.UpSampling2D(2, interpolation="bilinear"), IMAGE, bilinear)
    yield "reshape", (lambda: layers.Reshape((6, -1)), IMAGE, lambda m, x: x.reshape(2, 6, 20))
    yield "permute", (lambda: layers.Permute((3, 1, 2)), IMAGE, lambda m, x: x.transpose(0, 3, 1, 2))
    yield "repeat vector", (lambda: layers.RepeatVector(3), LINE[0], lambda m, x: np.stack([x] * 3, 1))
    yield "instance norm", (layers.InstanceNormalization, IMAGE, grouped(4))
    yield "group norm, axis 1", (
        lambda: layers.GroupNormalization(5, axis=1), IMAGE, first(grouped(5)),
    )  # fmt: skip
    yield "rms norm", (
        layers.RMSNormalization, IMAGE, lambda m, x: x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6),
    )  # fmt: skip
    yield "unit norm", (
        layers.UnitNormalization, IMAGE, lambda m, x: x / np.sqrt((x**2).sum(-1, keepdims=True)),
    )  # fmt: skip


def conv_of_bytes(layer, x):
    return conv()(layer, x.astype(layer.kernel.dtype))


def kind(name, n, end=""):
    return getattr(layers, f"{name}{n}D{end}")


ROWS = dict(rows())

# name: (layer, value by NumPy of a list of arrays)
MERGES: dict[str, tuple[Any, Any]] = {
    "add": (layers.Add, lambda a, b: a + b),
    "subtract": (layers.Subtract, lambda a, b: a - b),
    "multiply": (layers.Multiply, lambda a, b: a * b),
    "average": (layers.Average, lambda a, b: (a + b) / 2),
    "maximum": (layers.Maximum, np.maximum),
    "minimum": (layers.Minimum, np.minimum),
    "concatenate": (layers.Concatenate, lambda a, b: np.concatenate([a, b], -1)),
    "concatenate, axis 1": (lambda: layers.Concatenate(1), lambda a, b: np.concatenate([a, b], 1)),
    "dot": (lambda: layers.Dot(2), lambda a, b: np.einsum("aij,akj->aik", a, b)),
    "dot, two axes": (lambda: layers.Dot((1, -2)), lambda a, b: np.einsum("aij,aik->ajk", a, b)),
    "cosine": (
        lambda: layers.Dot(-1, normalize=True),
        lambda a, b: np.einsum("aij,akj->aik", *[v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (a, b)]),
    ),
}  # fmt: skip
