"""The layers that leave as operators of ONNX: for each class a function that adds them to a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ranvier import activations
from ranvier.interop.foreign import refuse
from ranvier.interop.onnx.builder import Builder, Value
from ranvier.support.registry import decorator_of
from ranvier.tensor.function import same_function

LAYERS: dict[str, Callable[..., str]] = {}
layer = decorator_of(LAYERS)
"""Adds a function to the table, by the registered names of layers."""


# Layers that are given whole numbers; those before any other are cast to the floats of what it returns.
INDICES = ("Embedding", "torch.Embedding")


# --- activations --------------------------------------------------------------------------------------------------

# Activations by name: the operator and its attributes.
ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}), "sigmoid": ("Sigmoid", {}), "tanh": ("Tanh", {}), "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}), "elu": ("Elu", {"alpha": 1.0}), "exponential": ("Exp", {}), "mish": ("Mish", {}),
    "selu": ("Selu", {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}), "softmax": ("Softmax", {"axis": -1}),
    "log_softmax": ("LogSoftmax", {"axis": -1}), "gelu": ("Gelu", {}), "linear": ("Identity", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}), "hard_silu": ("HardSwish", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}), "celu": ("Celu", {}),
}  # fmt: skip


def activated(b: Builder, function: Any, y: str) -> str:
    """An activation after a layer."""
    if function is None:
        return y
    name = next((n for n, known in activations.REGISTRY.names.items() if same_function(known, function)), None)
    name = {"swish": "silu", "hard_swish": "hard_silu"}.get(str(name), name)
    if name == "silu":
        return b.op("Mul", y, b.op("Sigmoid", y))
    if name == "relu6":
        return b.op("Clip", y, b.constant(np.float32(0), "low"), b.constant(np.float32(6), "high"))
    if name not in ACTIVATIONS:
        raise refuse(f"its activation {getattr(function, '__name__', function)!r} has no operator")
    kind, attributes = ACTIVATIONS[name]
    return y if kind == "Identity" else b.op(kind, y, **attributes)


@layer("Activation")
def activation(b: Builder, m: Any, x: Value) -> str:
    return activated(b, m.activation, x.name)


@layer("ReLU")
def relu(b: Builder, m: Any, x: Value) -> str:
    if m.threshold or (m.negative_slope and m.max_value is not None):
        raise refuse("its threshold, or its slope with a largest value, has no operator")
    y = b.op("LeakyRelu", x.name, alpha=m.negative_slope) if m.negative_slope else b.op("Relu", x.name)
    return y if m.max_value is None else b.op("Min", y, b.constant(np.float32(m.max_value), "high"))


@layer("LeakyReLU", "torch.LeakyReLU")
def leaky_relu(b: Builder, m: Any, x: Value) -> str:
    return b.op("LeakyRelu", x.name, alpha=m.negative_slope)


@layer("ELU", "torch.ELU")
def elu(b: Builder, m: Any, x: Value) -> str:
    return b.op("Elu", x.name, alpha=float(m.alpha))


@layer("PReLU")
def prelu(b: Builder, m: Any, x: Value) -> str:
    return b.op("PRelu", x.name, b.weight(m.alpha))


@layer("Softmax")
def softmax(b: Builder, m: Any, x: Value) -> str:
    if not isinstance(m.axis, int):
        raise refuse("it has several axes")
    return b.op("Softmax", x.name, axis=m.axis)


def _plain(kind: str, **attributes: Any) -> Any:
    return lambda b, m, x: b.op(kind, x.name, **attributes)


LAYERS.update({
    "torch.ReLU": _plain("Relu"), "torch.Sigmoid": _plain("Sigmoid"), "torch.Tanh": _plain("Tanh"),
    "torch.Mish": _plain("Mish"), "torch.Hardswish": _plain("HardSwish"), "torch.Softsign": _plain("Softsign"),
    "torch.Softmax": lambda b, m, x: b.op("Softmax", x.name, axis=m.dim),
    "torch.LogSoftmax": lambda b, m, x: b.op("LogSoftmax", x.name, axis=m.dim),
    "torch.GELU": lambda b, m, x: b.op("Gelu", x.name, approximate=m.approximate),
    "torch.SELU": _plain("Selu"), "torch.Hardsigmoid": _plain("HardSigmoid", alpha=1 / 6, beta=0.5),
    "torch.CELU": lambda b, m, x: b.op("Celu", x.name, alpha=float(m.alpha)),
    "torch.SiLU": lambda b, m, x: b.op("Mul", x.name, b.op("Sigmoid", x.name)),
})  # fmt: skip


# --- what is nothing in inference, and shapes ---------------------------------------------------------------------


@layer(
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout", "GaussianNoise",
    "AlphaDropout", "ActivityRegularization", "RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom",
    "RandomBrightness", "RandomContrast", "RandomErasing", "Identity", "torch.Dropout", "torch.Dropout2d",
    "torch.Identity",
)  # fmt: skip
def nothing(b: Builder, m: Any, x: Value) -> str:
    return x.name


@layer("Flatten")
def flatten(b: Builder, m: Any, x: Value) -> str:
    return b.op("Flatten", x.name, axis=1)


@layer("torch.Flatten")
def flatten_torch(b: Builder, m: Any, x: Value) -> str:
    if m.start_dim != 1 or m.end_dim != -1:
        raise refuse("it flattens a part of the dimensions")
    return b.op("Flatten", x.name, axis=1)


@layer("Reshape")
def reshape(b: Builder, m: Any, x: Value) -> str:
    shape = m.compute_output_shape(x.shape)[1:]
    return b.op("Reshape", x.name, b.constant(np.array([-1, *shape], np.int64), "shape"))


@layer("Permute")
def permute(b: Builder, m: Any, x: Value) -> str:
    return b.transpose(x.name, (0, *m.dims))


@layer("RepeatVector")
def repeat_vector(b: Builder, m: Any, x: Value) -> str:
    grown = b.op("Unsqueeze", x.name, b.constant(np.array([1], np.int64), "axes"))
    return b.op("Tile", grown, b.constant(np.array([1, m.n, 1], np.int64), "repeats"))


@layer("Rescaling")
def rescaling(b: Builder, m: Any, x: Value) -> str:
    y = b.op("Mul", x.name, b.constant(np.asarray(m.scale, np.float32), "scale"))
    return b.op("Add", y, b.constant(np.asarray(m.offset, np.float32), "offset"))


@layer("Normalization")
def normalization(b: Builder, m: Any, x: Value) -> str:
    if m.invert or tuple(m.axis) not in ((-1,), (x.ndim - 1,)):
        raise refuse("it is inverted, or along another axis than the last")
    spread = np.maximum(np.sqrt(m.variance.compute()), 1e-7)
    return b.op("Div", b.op("Sub", x.name, b.weight(m.mean)), b.constant(spread, "deviation"))


def _borders(m: Any, x: Value, pairs: Any) -> tuple[list[int], list[int]]:
    lead = 2 if m.first else 1
    rest = x.ndim - lead - len(pairs)
    both = [(0, 0)] * lead + [tuple(pair) for pair in pairs] + [(0, 0)] * rest
    return [low for low, _ in both], [high for _, high in both]


@layer("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def zero_padding(b: Builder, m: Any, x: Value) -> str:
    low, high = _borders(m, x, m.padding)
    return b.op("Pad", x.name, b.constant(np.array([*low, *high], np.int64), "pads"))


@layer("Cropping1D", "Cropping2D", "Cropping3D")
def cropping(b: Builder, m: Any, x: Value) -> str:
    low, high = _borders(m, x, m.cropping)
    axes = [n for n in range(x.ndim) if low[n] or high[n]]
    if not axes:
        return x.name
    ends = [-high[n] if high[n] else np.iinfo(np.int64).max for n in axes]
    given = ([low[n] for n in axes], ends, axes)
    titles = ("starts", "ends", "axes")
    return b.op("Slice", x.name, *(b.constant(np.array(v, np.int64), n) for v, n in zip(given, titles, strict=True)))


# --- merging ------------------------------------------------------------------------------------------------------


def _merge(kind: str) -> Any:
    return lambda b, m, *xs: b.op(kind, *(x.name for x in xs))


LAYERS.update({
    "Maximum": _merge("Max"), "Minimum": _merge("Min"), "Average": _merge("Mean"), "Subtract": _merge("Sub"),
    "Concatenate": lambda b, m, *xs: b.op("Concat", *(x.name for x in xs), axis=m.axis),
})  # fmt: skip


def _fold(kind: str) -> Any:
    def add(b: Builder, m: Any, *xs: Value) -> str:
        y = xs[0].name
        for x in xs[1:]:
            y = b.op(kind, y, x.name)
        return y

    return add


LAYERS.update({"Add": _fold("Add"), "Multiply": _fold("Mul")})


# --- products and embeddings --------------------------------------------------------------------------------------


@layer("Dense")
def dense(b: Builder, m: Any, x: Value) -> str:
    if x.ndim == 2 and m.bias is not None:
        y = b.op("Gemm", x.name, b.weight(m.kernel), b.weight(m.bias))
    else:
        y = b.op("MatMul", x.name, b.weight(m.kernel))
        y = y if m.bias is None else b.op("Add", y, b.weight(m.bias))
    return activated(b, m.activation, y)


@layer("torch.Linear")
def linear(b: Builder, m: Any, x: Value) -> str:
    if x.ndim == 2 and m.bias is not None:
        return b.op("Gemm", x.name, b.weight(m.weight), b.weight(m.bias), transB=1)
    y = b.op("MatMul", x.name, b.transpose(b.weight(m.weight), (1, 0)))
    return y if m.bias is None else b.op("Add", y, b.weight(m.bias))


@layer("Embedding", "torch.Embedding")
def embedding(b: Builder, m: Any, x: Value) -> str:
    table = getattr(m, "embeddings", None)
    places = b.op("Cast", x.name, to=7)
    return b.op("Gather", b.weight(m.weight if table is None else table), places, axis=0)
