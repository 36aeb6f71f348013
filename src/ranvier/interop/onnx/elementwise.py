"""Operators of ONNX that compute each element by itself, those that reduce, and activations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ranvier import ops as o
from ranvier.interop.foreign import refuse
from ranvier.interop.onnx.table import TABLE, row
from ranvier.interop.onnx.values import FLOATS, Context, cast, element, fixed, floating, known, like, numbers, tensor
from ranvier.ops import functional
from ranvier.ops.arrays.promotion import axis_of
from ranvier.tensor.rng import draw

# By operator, the function of the same meaning whose result has the type of the operand.
UNARY = {
    "Abs": "abs", "Acos": "arccos", "Acosh": "arccosh", "Asin": "arcsin", "Asinh": "arcsinh", "Atan": "arctan",
    "Atanh": "arctanh", "Ceil": "ceil", "Cos": "cos", "Cosh": "cosh", "Erf": "erf", "Exp": "exp", "Floor": "floor",
    "Log": "log", "Neg": "negative", "Not": "logical_not", "Reciprocal": "reciprocal", "Relu": "relu", "Round": "round",
    "Sigmoid": "sigmoid", "Sign": "sign", "Sin": "sin", "Sinh": "sinh", "Softplus": "softplus", "Softsign": "softsign",
    "Sqrt": "sqrt", "Tan": "tan", "Tanh": "tanh", "Mish": "mish", "BitwiseNot": "bitwise_not",
}  # fmt: skip
BINARY = {
    "Add": "add", "Sub": "subtract", "Mul": "multiply", "And": "logical_and", "Or": "logical_or", "Xor": "logical_xor",
    "BitwiseAnd": "bitwise_and", "BitwiseOr": "bitwise_or", "BitwiseXor": "bitwise_xor",
}  # fmt: skip
COMPARED = {
    "Less": "less", "LessOrEqual": "less_equal", "Greater": "greater", "GreaterOrEqual": "greater_equal",
    "Equal": "equal",
}  # fmt: skip


def _unary(name: str) -> Any:
    return lambda c, x: like(getattr(o, name)(x), x)


def _aligned(c: Context, x: Any, y: Any, axis: int | None, broadcast: int | None) -> Any:
    """The second operand as the versions before 7 align it: its first axis is ``axis`` of the other."""
    if c.version >= 7 or axis is None:
        return y
    return o.reshape(y, (*y.shape, *[1] * (x.ndim - axis - y.ndim)))


def _binary(name: str) -> Any:
    def compute(c: Context, x: Any, y: Any, axis: int | None = None, broadcast: int | None = None, **_: Any) -> Any:
        return like(getattr(o, name)(x, _aligned(c, x, y, axis, broadcast)), x)

    return compute


def _compared(name: str) -> Any:
    def compute(c: Context, x: Any, y: Any, axis: int | None = None, broadcast: int | None = None) -> Any:
        return getattr(o, name)(x, _aligned(c, x, y, axis, broadcast))

    return compute


TABLE.update({name: _unary(function) for name, function in UNARY.items()})
TABLE.update({name: _binary(function) for name, function in BINARY.items()})
TABLE.update({name: _compared(function) for name, function in COMPARED.items()})


@row("Div")
def divide(c: Context, x: Any, y: Any, axis: int | None = None, broadcast: int | None = None, **_: Any) -> Any:
    y = _aligned(c, x, y, axis, broadcast)
    if x.dtype.name in FLOATS:
        return o.divide(x, y)
    if x.dtype.name.startswith("u"):
        return like(o.floor_divide(x, y), x)
    # Toward zero, as C does.
    whole, rest = o.floor_divide(x, y), o.mod(x, y)
    up = o.logical_and(o.not_equal(rest, 0), o.less(o.multiply(o.sign(x), o.sign(y)), 0))
    return like(o.add(whole, cast(up, x.dtype.name)), x)


@row("Mod")
def modulo(c: Context, x: Any, y: Any, fmod: int = 0) -> Any:
    return like((o.fmod if fmod else o.mod)(x, y), x)


@row("Pow")
def power(c: Context, x: Any, y: Any, axis: int | None = None, broadcast: int | None = None) -> Any:
    y = _aligned(c, x, y, axis, broadcast)
    if x.dtype.name == y.dtype.name:
        return like(o.power(x, y), x)
    wide = "float64" if "64" in x.dtype.name + y.dtype.name or x.dtype.name not in FLOATS else "float32"
    return like(o.power(cast(x, wide), cast(y, wide)), x)


@row("BitShift")
def shift(c: Context, x: Any, y: Any, direction: str) -> Any:
    return like((o.left_shift if direction == "LEFT" else o.right_shift)(x, y), x)


def _many(name: str) -> Any:
    def compute(c: Context, *xs: Any, **_: Any) -> Any:
        result = xs[0]
        for x in xs[1:]:
            result = getattr(o, name)(result, x)
        return like(result, xs[0])

    return compute


TABLE.update({"Max": _many("maximum"), "Min": _many("minimum"), "Sum": _many("add")})


@row("Mean")
def mean_of(c: Context, *xs: Any) -> Any:
    return like(o.divide(TABLE["Sum"](c, *xs), len(xs)), xs[0])


@row("Where")
def where(c: Context, condition: Any, x: Any, y: Any) -> Any:
    return like(o.where(condition, x, y), x)


@row("IsNaN")
def is_nan(c: Context, x: Any) -> Any:
    return o.isnan(x)


@row("IsInf")
def is_inf(c: Context, x: Any, detect_negative: int = 1, detect_positive: int = 1) -> Any:
    below, above = o.equal(x, -math.inf), o.equal(x, math.inf)
    found = [part for part, wanted in ((below, detect_negative), (above, detect_positive)) if wanted]
    return o.logical_or(*found) if len(found) == 2 else found[0] if found else o.not_equal(x, x)


@row("Clip")
def clip(c: Context, x: Any, low: Any = None, high: Any = None, **given: Any) -> Any:
    for name, bound, choose in (("min", low, o.maximum), ("max", high, o.minimum)):
        bound = given.get(name) if bound is None else bound
        if bound is not None:
            x = like(choose(x, bound), x)
    return x


@row("Cast")
def cast_to(c: Context, x: Any, to: int, saturate: int = 1, round_mode: str = "up") -> Any:
    return cast(x, element(to))


@row("CastLike")
def cast_like(c: Context, x: Any, other: Any, saturate: int = 1, round_mode: str = "up") -> Any:
    return cast(x, other.dtype.name)


@row("Identity")
def identity(c: Context, x: Any) -> Any:
    return x


# --- activations --------------------------------------------------------------------------------------------------


@row("LeakyRelu")
def leaky_relu(c: Context, x: Any, alpha: float = 0.01, **_: Any) -> Any:
    return o.where(o.less(x, 0), o.multiply(x, alpha), x)


@row("PRelu")
def prelu(c: Context, x: Any, slope: Any) -> Any:
    if c.version < 7 and slope.ndim == 1:  # one for each channel
        slope = o.reshape(slope, (-1, *[1] * (x.ndim - 2)))
    return like(o.where(o.less(x, 0), o.multiply(x, slope), x), x)


@row("Elu")
def elu(c: Context, x: Any, alpha: float = 1.0, **_: Any) -> Any:
    return o.where(o.less(x, 0), o.multiply(o.expm1(o.minimum(x, 0)), alpha), x)


@row("Selu")
def selu(c: Context, x: Any, alpha: float = 1.6732632, gamma: float = 1.0507009, **_: Any) -> Any:
    return o.multiply(o.where(o.less_equal(x, 0), o.multiply(o.expm1(o.minimum(x, 0)), alpha), x), gamma)


@row("Celu")
def celu(c: Context, x: Any, alpha: float = 1.0) -> Any:
    return o.add(o.maximum(x, 0), o.minimum(o.multiply(o.expm1(o.divide(x, alpha)), alpha), 0))


@row("HardSigmoid")
def hard_sigmoid(c: Context, x: Any, alpha: float = 0.2, beta: float = 0.5, **_: Any) -> Any:
    return o.clip(o.add(o.multiply(x, alpha), beta), 0, 1)


@row("HardSwish")
def hard_swish(c: Context, x: Any) -> Any:
    return o.multiply(x, o.clip(o.add(o.divide(x, 6), 0.5), 0, 1))


@row("ThresholdedRelu")
def thresholded(c: Context, x: Any, alpha: float = 1.0) -> Any:
    return o.where(o.greater(x, alpha), x, o.zeros_like(x))


@row("Shrink")
def shrink(c: Context, x: Any, bias: float = 0.0, lambd: float = 0.5) -> Any:
    low, high = o.less(x, -lambd), o.greater(x, lambd)
    zero = o.zeros_like(x)
    return like(o.where(low, o.add(x, bias), o.where(high, o.subtract(x, bias), zero)), x)


@row("Gelu")
def gelu(c: Context, x: Any, approximate: str = "none") -> Any:
    return o.gelu(x, approximate=approximate == "tanh")


def _flattened(c: Context, x: Any, axis: int | None, compute: Any) -> Any:
    """Along an axis; before version 13 over all dimensions from it on."""
    if c.version >= 13:
        return compute(x, -1 if axis is None else axis)
    axis = axis_of(1 if axis is None else axis, x.ndim)
    size = math.prod(fixed(x, i) for i in range(axis, x.ndim))
    return o.reshape(compute(o.reshape(x, (-1, size)), -1), tuple(x.shape))


@row("Softmax")
def softmax(c: Context, x: Any, axis: int | None = None) -> Any:
    return _flattened(c, x, axis, lambda y, n: o.softmax(y, axis=n))


@row("LogSoftmax")
def log_softmax(c: Context, x: Any, axis: int | None = None) -> Any:
    return _flattened(c, x, axis, lambda y, n: o.log_softmax(y, axis=n))


@row("Hardmax")
def hardmax(c: Context, x: Any, axis: int | None = None) -> Any:
    def compute(y: Any, n: int) -> Any:
        return cast(o.one_hot(o.argmax(y, axis=n), fixed(y, n), axis=n), x.dtype.name)

    return _flattened(c, x, axis, compute)


@row("Dropout")
def dropout(c: Context, x: Any, ratio: Any = None, training: Any = None, **options: Any) -> Any:
    asked = training is not None and bool(known(training, "training_mode").any())
    given = options.get("ratio", 0.5) if ratio is None else float(known(ratio, "ratio"))
    if asked and given and not c.training:
        raise refuse("a Dropout that always drops draws other numbers here")
    if c.training and given and c.outputs == 1:
        return functional.dropout(x, *draw(None), rate=given)
    if c.outputs == 1:
        return x
    return x, o.ones_like(x, dtype="bool") if c.version >= 10 else o.ones_like(x)


# --- reductions ---------------------------------------------------------------------------------------------------


def _axes(x: Any, axes: Any, noop: int) -> tuple[int, ...] | None:
    """The axes to reduce: all without any, or none if that is what it means."""
    if axes is None or (not isinstance(axes, (list, tuple)) and np.size(known(axes, "axes")) == 0):
        return () if noop else tuple(range(x.ndim))
    return tuple(axis_of(n, x.ndim) for n in (axes if isinstance(axes, (list, tuple)) else numbers(axes, "axes")))


def _reduction(name: str, before: Any = None, after: Any = None) -> Any:
    def compute(
        c: Context, x: Any, given: Any = None, axes: Any = None, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Any:
        over = _axes(x, given if given is not None else axes, noop_with_empty_axes)
        y = x if before is None else before(x)
        if over:
            y = _reduced(name, y, over, bool(keepdims))
        return like(y if after is None else after(y), x)

    return compute


def _reduced(name: str, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if any(x.shape[n] == 0 for n in axes):
        shape = [1 if n in axes else d for n, d in enumerate(x.shape)]
        shape = shape if keepdims else [d for n, d in enumerate(x.shape) if n not in axes]
        dtype = x.dtype.name
        if name in ("max", "min"):
            if dtype in FLOATS:
                start: Any = -math.inf if name == "max" else math.inf
            else:
                limits = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
                start = limits[0] if name == "max" else limits[1]
        else:
            start = {"sum": 0, "prod": 1, "mean": math.nan, "logsumexp": -math.inf}[name]
        return tensor(np.full(shape, start, dtype))
    return getattr(o, name)(x, axis=axes, keepdims=keepdims)


TABLE.update({
    "ReduceMax": _reduction("max"), "ReduceMin": _reduction("min"), "ReduceSum": _reduction("sum"),
    "ReduceProd": _reduction("prod"), "ReduceMean": _reduction("mean"),
    "ReduceL1": _reduction("sum", o.abs),
    "ReduceL2": _reduction("sum", lambda x: o.square(floating(x)), o.sqrt),
    "ReduceSumSquare": _reduction("sum", o.square),
    "ReduceLogSum": _reduction("sum", None, lambda y: o.log(floating(y))),
    "ReduceLogSumExp": _reduction("logsumexp", floating),
})  # fmt: skip


def _arg(name: str) -> Any:
    def compute(c: Context, x: Any, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Any:
        axis = axis_of(axis, x.ndim)
        if select_last_index:
            found = o.subtract(fixed(x, axis) - 1, getattr(o, name)(o.flip(x, axis=axis), axis=axis))
        else:
            found = getattr(o, name)(x, axis=axis)
        found = cast(found, "int64")
        return o.expand_dims(found, axis) if keepdims else found

    return compute


TABLE.update({"ArgMax": _arg("argmax"), "ArgMin": _arg("argmin")})


def _cumulative(name: str, start: int) -> Any:
    def compute(c: Context, x: Any, axis: Any, exclusive: int = 0, reverse: int = 0) -> Any:
        n = axis_of(int(known(axis, "axis").ravel()[0]), x.ndim)
        if reverse:
            x = o.flip(x, axis=n)
        y = like(getattr(o, name)(x, axis=n), x)
        if exclusive:
            widths = [(1, 0) if i == n else (0, 0) for i in range(x.ndim)]
            y = _shifted(y, widths, n, start)
        return o.flip(y, axis=n) if reverse else y

    return compute


def _shifted(y: Any, widths: list[tuple[int, int]], axis: int, start: int) -> Any:
    grown = o.pad(y, widths, constant_values=start)
    return grown[tuple(slice(0, -1) if i == axis else slice(None) for i in range(y.ndim))]


TABLE.update({"CumSum": _cumulative("cumsum", 0), "CumProd": _cumulative("cumprod", 1)})
