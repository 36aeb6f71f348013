"""Layers as modules and expressions of PyTorch: activations, products, shapes, merging."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier import activations
from ranvier.interop.foreign import refuse
from ranvier.interop.program_text import Call, call
from ranvier.interop.torch.builder import LAYERS, Builder, Value, array, layer, padded
from ranvier.ops.arrays.promotion import axis_of
from ranvier.tensor.function import same_function

# --- activations --------------------------------------------------------------------------------------------------

# By name, the module, and the function of a value; DIM is the axis.
DIM = "DIM"
ACTIVATIONS: dict[str, tuple[Any, str]] = {
    "relu": (call("nn.ReLU"), "F.relu({0})"), "relu6": (call("nn.ReLU6"), "F.relu6({0})"),
    "sigmoid": (call("nn.Sigmoid"), "torch.sigmoid({0})"), "tanh": (call("nn.Tanh"), "torch.tanh({0})"),
    "softplus": (call("nn.Softplus"), "F.softplus({0})"), "softsign": (call("nn.Softsign"), "F.softsign({0})"),
    "elu": (call("nn.ELU"), "F.elu({0})"), "selu": (call("nn.SELU"), "F.selu({0})"),
    "celu": (call("nn.CELU"), "F.celu({0})"), "exponential": (None, "torch.exp({0})"),
    "mish": (call("nn.Mish"), "F.mish({0})"), "gelu": (call("nn.GELU"), "F.gelu({0})"),
    "silu": (call("nn.SiLU"), "F.silu({0})"), "hard_sigmoid": (call("nn.Hardsigmoid"), "F.hardsigmoid({0})"),
    "hard_silu": (call("nn.Hardswish"), "F.hardswish({0})"),
    "log_sigmoid": (call("nn.LogSigmoid"), "F.logsigmoid({0})"),
    "leaky_relu": (call("nn.LeakyReLU", 0.2), "F.leaky_relu({0}, 0.2)"),
    "tanh_shrink": (call("nn.Tanhshrink"), "F.tanhshrink({0})"),
    "soft_shrink": (call("nn.Softshrink"), "F.softshrink({0})"), "hard_tanh": (call("nn.Hardtanh"), "F.hardtanh({0})"),
    "hard_shrink": (call("nn.Hardshrink"), "F.hardshrink({0})"),
    "softmax": (call("nn.Softmax", dim=DIM), "F.softmax({0}, dim=DIM)"),
    "log_softmax": (call("nn.LogSoftmax", dim=DIM), "F.log_softmax({0}, dim=DIM)"),
}  # fmt: skip
SAME = {"swish": "silu", "hard_swish": "hard_silu"}


def activation_name(function: Any) -> str | None:
    """The name of an activation of the library; None of any other function."""
    name = next((n for n, known in activations.REGISTRY.names.items() if same_function(known, function)), None)
    return SAME.get(str(name), name)


def activated(b: Builder, function: Any, y: Value, axis: int = -1) -> Value:
    """An activation after a layer."""
    name = "linear" if function is None else activation_name(function)
    if name == "linear":
        return y
    if name not in ACTIVATIONS:
        raise refuse(f"its activation {getattr(function, '__name__', function)!r} has no counterpart")
    return along(b, *ACTIVATIONS[name], y, axis)


def along(b: Builder, made: Any, text: str, y: Value, axis: int = -1) -> Value:
    """An activation by its module and its expression."""
    if DIM in text:
        place = y.axis(axis)
        dim = -1 if place == y.ndim - 1 else place
        made, text = Call(made.name, (), {"dim": dim}), text.replace(DIM, str(dim))
    return b.apply(text, y, alone=made, wraps=True, shape=y.shape, first=y.first, order=y.order, flattened=y.flattened)


@layer("Activation")
def activation(b: Builder, m: Any, x: Value) -> Value:
    return activated(b, m.activation, b.floats(x))


@layer("ReLU")
def relu(b: Builder, m: Any, x: Value) -> Value:
    x, slope, most = b.floats(x), m.negative_slope, m.max_value
    if m.threshold or (slope and most is not None):
        raise refuse("its threshold, or its slope with a largest value, has no counterpart")
    if slope:
        return along(b, call("nn.LeakyReLU", slope), f"F.leaky_relu({{0}}, {slope})", x)
    if most is None or most == 6:
        return along(b, *ACTIVATIONS["relu" if most is None else "relu6"], x)
    most = float(most)
    return along(b, call("nn.Hardtanh", 0.0, most), f"F.hardtanh({{0}}, 0.0, {most})", x)


@layer("LeakyReLU")
def leaky_relu(b: Builder, m: Any, x: Value) -> Value:
    slope = m.negative_slope
    return along(b, call("nn.LeakyReLU", slope), f"F.leaky_relu({{0}}, {slope})", b.floats(x))


@layer("ELU")
def elu(b: Builder, m: Any, x: Value) -> Value:
    return along(b, call("nn.ELU", m.alpha), f"F.elu({{0}}, {m.alpha})", b.floats(x))


@layer("PReLU")
def prelu(b: Builder, m: Any, x: Value) -> Value:
    x, shape = b.floats(x), m.alpha.shape
    if any(n != 1 for n in shape[:-1]):
        raise refuse("it has a slope for each position (write shared_axes)")
    x = b.moved(x) if shape[-1] > 1 else b.ordered(x)
    count = int(shape[-1])
    return b.module(
        call("nn.PReLU", *(() if count == 1 else (count,))), x, weights={"weight": array(m.alpha).reshape(-1)}, key=m,
        first=x.first,
    )  # fmt: skip


@layer("Softmax")
def softmax(b: Builder, m: Any, x: Value) -> Value:
    if not isinstance(m.axis, int):
        raise refuse("it has several axes")
    return along(b, *ACTIVATIONS["softmax"], b.floats(x), m.axis)


# --- products -----------------------------------------------------------------------------------------------------


@layer("Dense")
def dense(b: Builder, m: Any, x: Value) -> Value:
    x = b.floats(x)
    kernel = array(m.kernel)
    if x.order is None:
        x = b.logical(x)
    else:
        kernel = kernel[x.order]  # the rows of a flattened image, once
    weights = {"weight": kernel.T} | ({} if m.bias is None else {"bias": array(m.bias)})
    made = Call("nn.Linear", kernel.shape, {} if m.bias is not None else {"bias": False})
    return activated(b, m.activation, b.module(made, x, weights=weights, key=m))


@layer("EinsumDense")
def einsum_dense(b: Builder, m: Any, x: Value) -> Value:
    x = b.logical(b.floats(x))
    kernel = b.hold("kernel", "parameter", m.kernel)
    y = b.apply(f'torch.einsum("{m.equation}", {{0}}, {kernel})', x)
    if m.bias is not None:
        y = b.apply(f"{{0}} + {b.hold('bias', 'parameter', m.bias)}", y)
    return activated(b, m.activation, y)


@layer("Embedding")
def embedding(b: Builder, m: Any, x: Value) -> Value:
    if m.mask_zero:
        raise refuse("its mask has no counterpart (write mask_zero=False)")
    x = b.logical(x)
    text = "{m}({0})" if x.dtype in ("int32", "int64") else "{m}({0}.long())"
    return b.module(
        call("nn.Embedding", m.input_dim, m.output_dim), x, weights={"weight": array(m.embeddings)}, key=m, text=text
    )


@layer("ReversibleEmbedding")
def reversible_embedding(b: Builder, m: Any, x: Value, reverse: bool = False) -> Value:
    if m.mask_zero or m.reverse_dtype is not None or m.logit_soft_cap is not None:
        raise refuse("its mask, reverse_dtype or logit_soft_cap has no counterpart")
    x = b.logical(x)
    if reverse and not m.tie_weights:
        return b.apply(f"{{0}} @ {b.hold('reverse', 'parameter', m.reverse_embeddings)}", b.floats(x))
    text = "{m}({0})" if x.dtype in ("int32", "int64") else "{m}({0}.long())"
    return b.module(
        call("nn.Embedding", m.input_dim, m.output_dim), b.floats(x) if reverse else x,
        weights={"weight": array(m.embeddings)}, key=m, text="F.linear({0}, {m}.weight)" if reverse else text,
    )  # fmt: skip


@layer("PositionEmbedding")
def position_embedding(b: Builder, m: Any, x: Value) -> Value:
    rows = b.hold("embeddings", "parameter", m.position_embeddings)
    return b.apply(f"{rows}[: {{0}}.shape[-2]].expand_as({{0}})", b.logical(b.floats(x)))


@layer("Dropout")
def dropout(b: Builder, m: Any, x: Value) -> Value:
    if m.noise_shape is not None and any(n is not None for n in m.noise_shape):
        raise refuse("its noise_shape has no counterpart")
    return _dropped(b, call("nn.Dropout", m.rate), m, b.floats(x))


@layer("AlphaDropout")
def alpha_dropout(b: Builder, m: Any, x: Value) -> Value:
    if m.noise_shape is not None:
        raise refuse("its noise_shape has no counterpart")
    return _dropped(b, call("nn.AlphaDropout", m.rate), m, b.floats(x))


def _dropped(b: Builder, made: Any, m: Any, x: Value) -> Value:
    return b.module(made, x, key=m, first=x.first, order=x.order, flattened=x.flattened)


@layer("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")
def spatial_dropout(b: Builder, m: Any, x: Value) -> Value:
    x = b.spatial(x, m.data_format == "channels_first")
    return b.module(call(f"nn.Dropout{x.ndim - 2}d", m.rate), x, key=m, first=x.first)


# --- shapes -------------------------------------------------------------------------------------------------------


@layer("Identity")
def identity(b: Builder, m: Any, x: Value) -> Value:
    return x


@layer("Flatten")
def flatten(b: Builder, m: Any, x: Value) -> Value:
    if x.ndim == 2:
        return x
    order = None
    if x.first and x.ndim > 2:
        if b.scope in b.keep or None in x.shape[1:]:
            x = b.logical(x)
        else:
            sizes = [n or 0 for n in x.shape[1:]]
            places = np.arange(np.prod(sizes)).reshape(sizes)
            order = np.moveaxis(places, -1, 0).reshape(-1)
    text = "{0}.flatten(1)" if x.ndim > 1 else "{0}.unsqueeze(1)"
    alone = call("nn.Flatten") if x.ndim > 1 else None
    return b.apply(text, x, alone=alone, dtype=x.dtype, order=order, flattened=b.scope)


@layer("Reshape")
def reshape(b: Builder, m: Any, x: Value) -> Value:
    x = b.logical(x)
    sizes = b.shape[1:]
    if None in sizes:
        raise refuse("its output has sizes that are not known")
    alone = call("nn.Unflatten", 1, tuple(sizes)) if x.ndim == 2 and len(sizes) > 1 else None
    return b.apply(f"{{0}}.reshape(-1, {', '.join(map(str, sizes))})", x, alone=alone, dtype=x.dtype)


@layer("Permute")
def permute(b: Builder, m: Any, x: Value) -> Value:
    return b.apply(f"{{0}}.permute(0, {', '.join(map(str, m.dims))})", b.logical(x), dtype=x.dtype)


@layer("RepeatVector")
def repeat_vector(b: Builder, m: Any, x: Value) -> Value:
    return b.apply(f"{{0}}.unsqueeze(1).repeat(1, {m.n}, 1)", b.ordered(x), dtype=x.dtype)


@layer("Rescaling")
def rescaling(b: Builder, m: Any, x: Value) -> Value:
    scale, offset = np.asarray(m.scale), np.asarray(m.offset)
    if scale.ndim or offset.ndim:
        x = b.logical(x)
        held = [b.hold(n, "buffer", a.astype(np.float32)) for n, a in (("scale", scale), ("offset", offset))]
        return b.apply(f"{{0}} * {held[0]} + {held[1]}", x)
    text = f"{{0}} * {float(scale)!r}"
    if offset:
        text += f" {'+' if offset > 0 else '-'} {abs(float(offset))!r}"
    return b.apply(text, x, first=x.first, order=x.order, flattened=x.flattened)


@layer("Normalization")
def normalization(b: Builder, m: Any, x: Value) -> Value:
    if m.invert or tuple(m.axis) not in ((-1,), (x.ndim - 1,)):
        raise refuse("it is inverted, or along another axis than the last")
    spread = np.maximum(np.sqrt(array(m.variance)), 1e-7).astype(np.float32)
    mean, deviation = b.hold("mean", "buffer", array(m.mean)), b.hold("deviation", "buffer", spread)
    return b.apply(f"({{0}} - {mean}) / {deviation}", b.logical(x))


@layer("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def zero_padding(b: Builder, m: Any, x: Value) -> Value:
    return padded(b, b.spatial(x, m.first), m.padding, b.shape)


@layer("Cropping1D", "Cropping2D", "Cropping3D")
def cropping(b: Builder, m: Any, x: Value) -> Value:
    return padded(b, b.spatial(x, m.first), [(-low, -high) for low, high in m.cropping], b.shape)


@layer("UpSampling1D", "UpSampling2D", "UpSampling3D")
def up_sampling(b: Builder, m: Any, x: Value) -> Value:
    kind = getattr(m, "interpolation", "nearest")
    if kind not in ("nearest", "bilinear"):
        raise refuse(f"its interpolation {kind!r} has no counterpart")
    x = b.spatial(x, m.first)
    size = m.size[0] if len(set(m.size)) == 1 else tuple(m.size)
    options = {"scale_factor": size} | ({} if kind == "nearest" else {"mode": kind})
    return b.apply(
        f"F.interpolate({{0}}, {', '.join(f'{k}={v!r}' for k, v in options.items())})".replace("'", '"'), x,
        alone=Call("nn.Upsample", (), options), first=x.first,
    )  # fmt: skip


@layer("Resizing")
def resizing(b: Builder, m: Any, x: Value) -> Value:
    if m.crop or m.pad or m.antialias or m.interpolation not in ("bilinear", "nearest"):
        raise refuse("its interpolation, cropping, padding or antialias has no counterpart")
    x, size = b.spatial(x, m.first), (m.height, m.width)
    mode = {"nearest": "nearest-exact"}.get(m.interpolation, m.interpolation)
    text = f'F.interpolate({{0}}, {size}, mode="{mode}")'
    return b.apply(text, x, alone=call("nn.Upsample", size=size, mode=mode), first=x.first)


# --- merging ------------------------------------------------------------------------------------------------------


def _merged(start: str, between: str, end: str = "") -> Any:
    def add(b: Builder, m: Any, *xs: Value) -> Value:
        values = b.alike(xs)
        operands = between.join(f"{{{i}}}" for i in range(len(values)))
        end_ = end.replace("COUNT", str(len(values)))
        first = values[0].first
        return b.apply(f"{start}{operands}{end_}", *values, first=first)

    return add


def _folded(function: str) -> Any:
    def add(b: Builder, m: Any, *xs: Value) -> Value:
        values = b.alike(xs)
        text = "{0}"
        for i in range(1, len(values)):
            text = f"{function}({text}, {{{i}}})"
        return b.apply(text, *values, first=values[0].first)

    return add


LAYERS.update({
    "Add": _merged("", " + "), "Subtract": _merged("", " - "), "Multiply": _merged("", " * "),
    "Average": _merged("(", " + ", ") / COUNT"), "Maximum": _folded("torch.maximum"),
    "Minimum": _folded("torch.minimum"),
})  # fmt: skip


@layer("Concatenate")
def concatenate(b: Builder, m: Any, *xs: Value) -> Value:
    values = b.alike(xs)
    place = values[0].axis(m.axis)
    dim = -1 if place == values[0].ndim - 1 else place
    operands = ", ".join(f"{{{i}}}" for i in range(len(values)))
    return b.apply(f"torch.cat([{operands}], dim={dim})", *values, first=values[0].first)


@layer("Dot")
def dot(b: Builder, m: Any, x: Value, y: Value) -> Value:
    values = [b.logical(x), b.logical(y)]
    left, right = (axis_of(axis, v.ndim) for axis, v in zip(m.axes, values, strict=True))
    texts = ["{0}", "{1}"]
    if m.normalize:
        texts = [f"F.normalize({text}, dim={axis})" for text, axis in zip(texts, (left, right), strict=True)]
    one, other = list("abcd"[: x.ndim]), list("aefg"[: y.ndim])
    other[right] = one[left]
    kept = [*(c for i, c in enumerate(one) if i != left), *(c for i, c in enumerate(other) if i not in (0, right))]
    equation = f"{''.join(one)},{''.join(other)}->{''.join(kept)}"
    if len(kept) == 1:
        return b.apply(f"({texts[0]} * {texts[1]}).sum(1, keepdim=True)", *values)
    return b.apply(f'torch.einsum("{equation}", {texts[0]}, {texts[1]})', *values)
