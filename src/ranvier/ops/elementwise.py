"""Operations of one value, of two, and over axes; activations and losses."""

# the field's names, builtins or not

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ranvier import activations, functional, numeric
from ranvier.graph.node import DTYPES
from ranvier.losses import formulas
from ranvier.modes import get_dtype
from ranvier.module.symbolic import given
from ranvier.numeric import elementary
from ranvier.tensor import Tensor

OPERATIONS: dict[str, Callable[..., Any]] = {}  # what a layer of a functional model can do
Axes = int | Sequence[int] | None


def operation(compute: Callable[..., Any], name: str | None = None) -> Any:
    """An operation that a functional model can hold as a layer of this name."""
    known = name or compute.__name__

    @functools.wraps(compute)
    def call(*args: Any, **kwargs: Any) -> Any:
        if given((*args, *kwargs.values())):
            from ranvier.layers.operators import Operation

            return Operation(known)(*args, **kwargs)
        return compute(*args, **kwargs)

    call.__name__ = call.__qualname__ = known
    return OPERATIONS.setdefault(known, call)


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


def array(x: Any) -> Any:
    """Python's numbers as tensors, so that an operation of numbers alone has something to compute with."""
    return Tensor(x) if isinstance(x, (bool, int, float)) else x


# --- of one value, of two, and over axes --------------------------------------------------------------------------


def _unary(name: str, compute: Callable[..., Any]) -> Any:
    def call(x: Any) -> Any:
        return compute(array(x))

    call.__doc__ = compute.__doc__ or f"Elementwise ``{name}``, as NumPy's."
    return operation(call, name)


def _binary(name: str, compute: Callable[..., Any]) -> Any:
    def call(x1: Any, x2: Any) -> Any:
        return compute(array(x1), x2)

    call.__doc__ = compute.__doc__ or f"Elementwise ``{name}``, as NumPy's."
    return operation(call, name)


def _reduction(name: str, compute: Callable[..., Any]) -> Any:
    def call(x: Any, axis: Axes = None, keepdims: bool = False) -> Any:
        return compute(x, listed(axis), keepdims)

    call.__doc__ = compute.__doc__ or f"Elementwise ``{name}``, as NumPy's."
    return operation(call, name)


def _ratio_of_sine(x: Any) -> Any:
    """Elementwise tangent."""
    return numeric.divide(numeric.sin(x), numeric.cos(x))


UNARY: dict[str, Callable[..., Any]] = {
    **{name: getattr(numeric, name) for name in (
        "abs", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "square", "reciprocal", "tanh", "sigmoid", "erf", "sin",
        "cos", "sign", "floor", "ceil", "isnan", "isfinite", "negative", "logical_not")},
    **{name: getattr(activations, name) for name in (
        "relu", "relu6", "silu", "selu", "softplus", "softsign", "hard_sigmoid", "hard_silu", "hard_tanh", "mish",
        "log_sigmoid", "tanh_shrink")},
    "absolute": numeric.abs, "swish": functional.silu, "hard_swish": functional.hard_silu,
    "logsigmoid": functional.log_sigmoid,
    "tan": _ratio_of_sine, "sinh": elementary.sinh, "cosh": elementary.cosh, "trunc": elementary.trunc,
    "arcsinh": elementary.asinh, "arccosh": elementary.acosh, "arctanh": elementary.atanh,
    "log2": lambda x: numeric.multiply(numeric.log(x), 1 / math.log(2)),
    "log10": lambda x: numeric.multiply(numeric.log(x), 1 / math.log(10)),
    "isinf": lambda x: numeric.equal(numeric.abs(x), math.inf),
    "ravel": lambda x: numeric.reshape(x, (-1,)),
}  # fmt: skip
BINARY: dict[str, Callable[..., Any]] = {
    **{name: getattr(numeric, name) for name in (
        "add", "subtract", "multiply", "divide", "floor_divide", "power", "maximum", "minimum", "equal", "not_equal",
        "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "matmul")},
    "true_divide": numeric.divide, "mod": numeric.remainder,
    "logical_xor": lambda a, b: numeric.not_equal(numeric.cast(a, "bool"), numeric.cast(b, "bool")),
    "divide_no_nan": lambda a, b: numeric.where(
        numeric.equal(b, 0), 0.0, numeric.divide(a, numeric.where(numeric.equal(b, 0), 1.0, b))),
    "outer": lambda a, b: numeric.multiply(numeric.reshape(a, (-1, 1)), numeric.reshape(b, (1, -1))),
    "logaddexp": elementary.logaddexp,
}  # fmt: skip
REDUCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(numeric, name) for name in (
        "sum", "mean", "max", "min", "any", "all", "std", "var", "argmax", "argmin", "logsumexp")},
    "amax": numeric.max, "amin": numeric.min,
}  # fmt: skip

for _table, _make in ((UNARY, _unary), (BINARY, _binary), (REDUCTIONS, _reduction)):
    for _name, _compute in _table.items():
        _make(_name, _compute)


@operation
def count_nonzero(x: Any, axis: Axes = None) -> Any:
    """How many elements are not zero, int32."""
    return numeric.sum(numeric.cast(numeric.not_equal(x, 0), "int32"), listed(axis))


@operation
def norm(x: Any, ord: Any = None, axis: Axes = None, keepdims: bool = False) -> Any:
    """The length of vectors along ``axis``, or of all elements; ``ord`` is 2 unless given."""
    order = {None: 2, "fro": 2, "euclidean": 2}.get(ord, ord)
    return numeric.norm(x, listed(axis), keepdims, order)


@operation
def moments(x: Any, axes: Axes, keepdims: bool = False) -> Any:
    """The mean and the variance."""
    return numeric.mean(x, listed(axes), keepdims), numeric.var(x, listed(axes), keepdims)


@operation
def clip(x: Any, x_min: Any, x_max: Any) -> Any:
    """``x`` kept within [x_min, x_max]."""
    return numeric.clip(x, x_min, x_max)


@operation
def round(x: Any, decimals: int = 0) -> Any:
    """The nearest whole number, of two as near the even one; or the nearest with so many decimals."""
    return elementary.round(x, decimals=decimals)


@operation
def isclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether ``abs(x1 - x2) <= atol + rtol * abs(x2)``, element by element."""
    return elementary.isclose(array(x1), array(x2), rtol, atol, equal_nan)


@operation
def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """Numbers in place of nan and of the infinities, by default 0 and the largest and smallest finite ones."""
    return elementary.nan_to_num(x, nan, posinf, neginf)


@operation
def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """``x1`` where the condition holds, else ``x2``."""
    if x1 is None or x2 is None:
        raise ValueError(
            "ops.where takes a condition and two values. Write where(x > 0, x, 0.0), for example."
        )
    return numeric.where(condition, x1, x2)


# --- activations with settings ------------------------------------------------------------------------------------


@operation
def gelu(x: Any, approximate: bool = True) -> Any:
    """`functional.gelu`, by default in its tanh form, as Keras's ``ops`` has it."""
    return functional.gelu(x, approximate=bool(approximate))


@operation
def elu(x: Any, alpha: float = 1.0) -> Any:
    """``x`` above 0, ``alpha * (exp(x) - 1)`` below."""
    return functional.elu(x, alpha=alpha)


@operation
def celu(x: Any, alpha: float = 1.0) -> Any:
    """``x`` above 0, ``alpha * (exp(x / alpha) - 1)`` below."""
    return functional.celu(x, alpha=alpha)


@operation
def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    """``x``, or 0 where it is at most ``threshold`` from 0."""
    return functional.hard_shrink(x, threshold=threshold)


@operation
def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    """``x`` moved toward 0 by ``threshold``, and no farther."""
    return functional.soft_shrink(x, threshold=threshold)


@operation
def squareplus(x: Any, b: float = 4) -> Any:
    """``(x + sqrt(x**2 + b)) / 2``."""
    return functional.squareplus(x, b=float(b))


@operation
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """``x`` above 0, ``negative_slope * x`` below."""
    return functional.leaky_relu(x, negative_slope=negative_slope)


@operation
def softmax(x: Any, axis: int = -1) -> Any:
    """Exponentials divided by their sum along an axis."""
    return functional.softmax(x, axis=axis)


@operation
def log_softmax(x: Any, axis: int = -1) -> Any:
    """The logarithm of `softmax`."""
    return functional.log_softmax(x, axis=axis)


@operation
def normalize(x: Any, axis: int = -1, order: float = 2, epsilon: float | None = None) -> Any:
    """``x`` divided by its length along an axis."""
    return functional.normalize(x, float(order), axis, 1e-7 if epsilon is None else epsilon)


@operation
def stop_gradient(variable: Any) -> Any:
    """The values, taken as constant by gradients."""
    return numeric.stop_gradient(variable)


# --- losses -------------------------------------------------------------------------------------------------------


@operation
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """The cross entropy of each element with a target of 0 or 1."""
    wide = numeric.expand_dims(target, -1), numeric.expand_dims(output, -1)
    return formulas.binary_crossentropy(*wide, from_logits=from_logits)


@operation
def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """The cross entropy of the distributions along the last axis."""
    return formulas.categorical_crossentropy(*last(axis, target, output), from_logits=from_logits)


@operation
def sparse_categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Any:
    """The cross entropy of the distributions along the last axis with class numbers."""
    return formulas.sparse_categorical_crossentropy(target, *last(axis, output), from_logits=from_logits)


def last(axis: int, *values: Any) -> tuple[Any, ...]:
    """The values with this axis as their last one."""
    return tuple(
        v if axis in (-1, v.ndim - 1) else numeric.transpose(v, moved(v.ndim, axis, -1)) for v in values
    )


def moved(ndim: int, source: int, destination: int) -> tuple[int, ...]:
    """The axes in order where one of them has another place."""
    axes = [a for a in range(ndim) if a != source % ndim]
    axes.insert(destination % ndim, source % ndim)
    return tuple(axes)
