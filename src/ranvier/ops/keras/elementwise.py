"""Operations of one value, of two, and over axes; activations and losses."""

# the field's names, builtins or not

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier import activations
from ranvier.graph.node import DTYPES
from ranvier.module.symbolic import given
from ranvier.ops import arrays, functional, tensor_methods
from ranvier.ops.arrays import elementary, linalg, norms, shape, trigonometry
from ranvier.ops.arrays import nan_reductions as known
from ranvier.ops.functional import activations as basic
from ranvier.ops.functional import losses_keras
from ranvier.tensor.context import get_dtype
from ranvier.tensor.tensor import Tensor

OPERATIONS: dict[str, Callable[..., Any]] = {}  # what a layer of a functional model can do
Axes = int | Sequence[int] | None


Operand = Any  # the annotation of what is computed with: tensors, arrays, lists and numbers


def operation(compute: Callable[..., Any], name: str | None = None) -> Any:
    """An operation that a functional model can hold as a layer of this name.

    What it is given for parameters annotated ``Operand``, or in a ``Sequence[Operand]``, it computes with as tensors. A
    Python number takes the dtype of what it meets, and is a tensor where it meets nothing.
    """
    known = name or compute.__name__
    parameters = inspect.signature(compute).parameters.values()
    kinds = {p.name: str(p.annotation) for p in parameters}
    names = list(kinds)
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)

    @functools.wraps(compute)
    def call(*args: Any, **kwargs: Any) -> Any:
        if given((*args, *kwargs.values())):
            from ranvier.layers.operators import Operation

            return Operation(known)(*args, **kwargs)
        places = [*names[: len(args)], *[rest or ""] * (len(args) - len(names)), *kwargs]
        values = [_held(v, kinds.get(n, "")) for n, v in zip(places, (*args, *kwargs.values()), strict=True)]
        operands = [i for i, n in enumerate(places) if kinds.get(n) == "Operand" and values[i] is not None]
        if operands and all(isinstance(values[i], NUMBERS) for i in operands):
            values[operands[0]] = Tensor(values[operands[0]])
        return compute(*values[: len(args)], **dict(zip(kwargs, values[len(args) :], strict=True)))

    call.__name__ = call.__qualname__ = known
    return OPERATIONS.setdefault(known, call)


NUMBERS = (bool, int, float)


def _held(value: Any, kind: str) -> Any:
    """Arrays and lists as tensors, where they are computed with."""
    if kind == "Operand" and isinstance(value, (list, tuple, np.ndarray, np.generic)):
        return Tensor(value)
    if kind == "Sequence[Operand]" and isinstance(value, (list, tuple)):
        return [Tensor(v) if isinstance(v, NUMBERS) else _held(v, "Operand") for v in value]
    return value


def listed(axis: Axes) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


def dtype_name(dtype: Any) -> str:
    """A dtype by any of its spellings as one that programs have; whole numbers of 64 bits are int32."""
    if dtype is None:
        return get_dtype()
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", None) or np.dtype(dtype).name
    name = {"int64": "int32", "int": "int32", "float": get_dtype()}.get(name, name)
    if name not in DTYPES:
        raise ValueError(
            f"dtype {dtype!r} is none that programs have. Write one of {', '.join(DTYPES)} instead."
        )
    return str(name)


# --- of one value, of two, and over axes --------------------------------------------------------------------------


def _unary(name: str, compute: Callable[..., Any]) -> Any:
    def call(x: Operand) -> Any:
        return compute(x)

    call.__doc__ = compute.__doc__ or TEXTS[name]
    return operation(call, name)


def _binary(name: str, compute: Callable[..., Any]) -> Any:
    def call(x1: Operand, x2: Operand) -> Any:
        return compute(x1, x2)

    call.__doc__ = compute.__doc__ or TEXTS[name]
    return operation(call, name)


def _reduction(name: str, compute: Callable[..., Any]) -> Any:
    def call(x: Operand, axis: Axes = None, keepdims: bool = False) -> Any:
        return compute(x, listed(axis), keepdims)

    call.__doc__ = compute.__doc__ or TEXTS[name]
    return operation(call, name)


UNARY: dict[str, Callable[..., Any]] = {
    **{name: getattr(arrays, name) for name in (
        "abs", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "square", "reciprocal", "tanh", "sigmoid", "erf", "sin",
        "cos", "sign", "floor", "ceil", "isnan", "isfinite", "negative", "logical_not")},
    **{name: getattr(activations, name) for name in (
        "relu", "relu6", "silu", "selu", "softplus", "softsign", "hard_sigmoid", "hard_silu", "hard_tanh", "mish",
        "log_sigmoid", "tanh_shrink")},
    "absolute": arrays.abs, "swish": functional.silu, "hard_swish": functional.hard_silu,
    "logsigmoid": functional.log_sigmoid,
    **{name: getattr(trigonometry, name) for name in ("deg2rad", "rad2deg", "sinc", "tan")},
    **{name: getattr(elementary, name) for name in (
        "cbrt", "cosh", "erfc", "exp2", "signbit", "sinh", "trunc")},
    "arcsin": trigonometry.asin, "arccos": trigonometry.acos, "arctan": trigonometry.atan,
    "arcsinh": elementary.asinh, "arccosh": elementary.acosh, "arctanh": elementary.atanh,
    "log2": lambda x: arrays.multiply(arrays.log(x), 1 / math.log(2)),
    "log10": lambda x: arrays.multiply(arrays.log(x), 1 / math.log(10)),
    "fabs": lambda x: arrays.abs(arrays.multiply(x, 1.0)),
    "isinf": lambda x: arrays.equal(arrays.abs(x), math.inf),
    "isposinf": lambda x: arrays.equal(x, math.inf),
    "isneginf": lambda x: arrays.equal(x, -math.inf),
    "sparse_plus": lambda x: arrays.where(
        arrays.less(x, 1), arrays.multiply(arrays.square(arrays.clip(arrays.add(x, 1.0), 0.0)), 0.25), x),
    "sparse_sigmoid": lambda x: arrays.clip(arrays.multiply(arrays.add(x, 1.0), 0.5), 0.0, 1.0),
    "ravel": lambda x: arrays.reshape(x, (-1,)),
    "fliplr": lambda x: arrays.flip(x, 1), "flipud": lambda x: arrays.flip(x, 0), "corrcoef": linalg.corrcoef,
    "copy": tensor_methods.clone,
}  # fmt: skip
BINARY: dict[str, Callable[..., Any]] = {
    **{name: getattr(arrays, name) for name in (
        "add", "subtract", "multiply", "divide", "floor_divide", "power", "maximum", "minimum", "equal", "not_equal",
        "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_xor", "matmul")},
    "true_divide": arrays.divide, "mod": arrays.remainder,
    "divide_no_nan": lambda a, b: arrays.where(
        arrays.equal(b, 0), 0.0, arrays.divide(a, arrays.where(arrays.equal(b, 0), 1.0, b))),
    "vdot": lambda a, b: arrays.sum(arrays.multiply(arrays.reshape(a, (-1,)), arrays.reshape(b, (-1,)))),
    "inner": lambda a, b: (
        linalg.tensordot(a, b, [[-1], [-1]]) if np.ndim(a) and np.ndim(b) else arrays.multiply(a, b)),
    "outer": lambda a, b: arrays.multiply(arrays.reshape(a, (-1, 1)), arrays.reshape(b, (1, -1))),
    **{name: getattr(elementary, name) for name in ("fmax", "fmin", "heaviside", "logaddexp", "logaddexp2")},
    "kron": linalg.kron, "arctan2": trigonometry.atan2, "fmod": arrays.fmod, "hypot": trigonometry.hypot,
}  # fmt: skip
REDUCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(arrays, name) for name in (
        "sum", "mean", "max", "min", "any", "all", "std", "var", "argmax", "argmin", "logsumexp")},
    **{name: getattr(known, name) for name in known.__all__},
    "amax": arrays.max, "amin": arrays.min,
    "ptp": lambda x, axis, keepdims: arrays.subtract(arrays.max(x, axis, keepdims), arrays.min(x, axis, keepdims)),
}  # fmt: skip
TEXTS = {  # what those do that are written here
    "log2": "Elementwise logarithm to base 2.",
    "log10": "Elementwise logarithm to base 10.",
    "fabs": "Elementwise absolute value, as a float.",
    "isinf": "Elementwise: plus or minus infinity.",
    "isposinf": "Elementwise: plus infinity.",
    "isneginf": "Elementwise: minus infinity.",
    "sparse_plus": "0 below -1, ``x`` above 1, ``(x + 1) ** 2 / 4`` between.",
    "sparse_sigmoid": "0 below -1, 1 above 1, ``(x + 1) / 2`` between.",
    "ptp": "The largest value less the smallest.",
    "fliplr": "The order along the second axis reversed.",
    "flipud": "The order along the first axis reversed.",
    "vdot": "The sum of the products of the elements of both, each in one axis.",
    "inner": "The sums of products along the last axes of both; of numbers the product.",
    "ravel": "The elements in one axis.",
    "divide_no_nan": "Elementwise ``x1 / x2``, and 0 where ``x2`` is.",
    "outer": "The products of all pairs of elements, of ``x1`` in rows and of ``x2`` in columns.",
}

for _table, _make in ((UNARY, _unary), (BINARY, _binary), (REDUCTIONS, _reduction)):
    for _name, _compute in _table.items():
        _make(_name, _compute)


@operation
def count_nonzero(x: Operand, axis: Axes = None) -> Any:
    """How many elements are not zero, int32."""
    return arrays.sum(arrays.cast(arrays.not_equal(x, 0), "int32"), listed(axis))


@operation
def norm(x: Operand, ord: Any = None, axis: Axes = None, keepdims: bool = False) -> Any:
    """The norm of vectors along one axis, of matrices in two; without axes the length of all elements, or with ``ord``
    the norm of a vector or a matrix, as NumPy's.

    Of matrices ``ord`` is "fro", 1, -1, inf or -inf; or 2, -2 or "nuc", of values at hand and without a gradient.
    """
    return norms.norm_of(x, None if ord == "euclidean" else ord, listed(axis), keepdims)


@operation
def moments(x: Operand, axes: Axes, keepdims: bool = False) -> Any:
    """The mean and the variance."""
    return arrays.mean(x, listed(axes), keepdims), arrays.var(x, listed(axes), keepdims)


@operation
def clip(x: Operand, x_min: Operand, x_max: Operand) -> Any:
    """``x`` kept within [x_min, x_max]."""
    return arrays.clip(x, x_min, x_max)


@operation
def round(x: Operand, decimals: int = 0) -> Any:
    """The nearest whole number, of two as near the even one; or the nearest with so many decimals."""
    return elementary.round(x, decimals=decimals)


@operation
def isclose(x1: Operand, x2: Operand, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether ``abs(x1 - x2) <= atol + rtol * abs(x2)``, element by element."""
    return elementary.isclose(x1, x2, rtol, atol, equal_nan)


@operation
def allclose(
    x1: Operand, x2: Operand, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """Whether `isclose` holds of all elements."""
    return arrays.all(elementary.isclose(x1, x2, rtol, atol, equal_nan))


@operation
def nan_to_num(x: Operand, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """Numbers in place of nan and of the infinities, by default 0 and the largest and smallest finite ones."""
    return elementary.nan_to_num(x, nan, posinf, neginf)


@operation
def where(condition: Operand, x1: Operand = None, x2: Operand = None) -> Any:
    """``x1`` where the condition holds, else ``x2``."""
    if x1 is None or x2 is None:
        raise ValueError(
            "ops.where takes a condition and two values. Write where(x > 0, x, 0.0), for example."
        )
    return arrays.where(condition, x1, x2)


# --- activations with settings ------------------------------------------------------------------------------------


@operation
def gelu(x: Operand, approximate: bool = True) -> Any:
    """`functional.gelu`, by default in its tanh form, as Keras's ``ops`` has it."""
    return functional.gelu(x, approximate=bool(approximate))


@operation
def elu(x: Operand, alpha: float = 1.0) -> Any:
    """``x`` above 0, ``alpha * (exp(x) - 1)`` below."""
    return functional.elu(x, alpha=alpha)


@operation
def celu(x: Operand, alpha: float = 1.0) -> Any:
    """``x`` above 0, ``alpha * (exp(x / alpha) - 1)`` below."""
    return functional.celu(x, alpha=alpha)


@operation
def hard_shrink(x: Operand, threshold: float = 0.5) -> Any:
    """``x``, or 0 where it is at most ``threshold`` from 0."""
    return functional.hard_shrink(x, threshold=threshold)


@operation
def soft_shrink(x: Operand, threshold: float = 0.5) -> Any:
    """``x`` moved toward 0 by ``threshold``, and no farther."""
    return functional.soft_shrink(x, threshold=threshold)


@operation
def squareplus(x: Operand, b: float = 4) -> Any:
    """``(x + sqrt(x**2 + b)) / 2``."""
    return functional.squareplus(x, b=float(b))


@operation
def leaky_relu(x: Operand, negative_slope: float = 0.2) -> Any:
    """``x`` above 0, ``negative_slope * x`` below."""
    return functional.leaky_relu(x, negative_slope=negative_slope)


@operation
def softmax(x: Operand, axis: int = -1) -> Any:
    """Exponentials divided by their sum along an axis."""
    return functional.softmax(x, axis=axis)


@operation
def log_softmax(x: Operand, axis: int = -1) -> Any:
    """The logarithm of `softmax`."""
    return functional.log_softmax(x, axis=axis)


@operation
def normalize(x: Operand, axis: int = -1, order: float = 2, epsilon: float | None = None) -> Any:
    """``x`` divided by its length along an axis."""
    return functional.normalize(x, float(order), axis, 1e-7 if epsilon is None else epsilon)


@operation
def stop_gradient(variable: Operand) -> Any:
    """The values, taken as constant by gradients."""
    return arrays.stop_gradient(variable)


@operation
def threshold(x: Operand, threshold: Operand, default_value: Operand) -> Any:
    """``x`` where it is above a threshold, else ``default_value``."""
    return arrays.where(arrays.greater(x, threshold), x, default_value)


@operation
def sparsemax(x: Operand, axis: int = -1) -> Any:
    """The nearest probabilities along an axis, of which many are 0."""
    return basic.sparsemax(x, axis)


@operation
def glu(x: Operand, axis: int = -1) -> Any:
    """The first half along an axis times the sigmoid of the second."""
    return basic.glu(x, axis)


# --- losses -------------------------------------------------------------------------------------------------------


@operation
def binary_crossentropy(target: Operand, output: Operand, from_logits: bool = False) -> Any:
    """The cross entropy of each element with a target of 0 or 1."""
    wide = arrays.expand_dims(target, -1), arrays.expand_dims(output, -1)
    return losses_keras.binary_crossentropy(*wide, from_logits=from_logits)


@operation
def categorical_crossentropy(
    target: Operand, output: Operand, from_logits: bool = False, axis: int = -1
) -> Any:
    """The cross entropy of the distributions along the last axis."""
    return losses_keras.categorical_crossentropy(*last(axis, target, output), from_logits=from_logits)


@operation
def sparse_categorical_crossentropy(
    target: Operand, output: Operand, from_logits: bool = False, axis: int = -1
) -> Any:
    """The cross entropy of the distributions along the last axis with class numbers."""
    return losses_keras.sparse_categorical_crossentropy(target, *last(axis, output), from_logits=from_logits)


def last(axis: int, *values: Any) -> tuple[Any, ...]:
    """The values with this axis as their last one."""
    return tuple(v if axis in (-1, v.ndim - 1) else shape.moveaxis(v, axis, -1) for v in values)
