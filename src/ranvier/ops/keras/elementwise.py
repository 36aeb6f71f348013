"""Keras's elementwise operations and losses whose meaning is Keras's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.graph.node import DTYPES, FLOATS, Node
from ranvier.ops import arrays, functional
from ranvier.ops.arrays import elementary, norms, shape
from ranvier.ops.arrays.promotion import counted, floating, result_dtype, together
from ranvier.ops.functional import losses_keras
from ranvier.ops.indexing import nonzero
from ranvier.tensor.context import get_dtype
from ranvier.tensor.function import function

Axes = int | Sequence[int] | None
Operand = Any  # the annotation of operands: tensors, arrays, lists and numbers


def listed(axis: Axes) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


def dtype_name(dtype: Any) -> str:
    """A dtype by any of its spellings as one that programs have."""
    if dtype is None:
        return get_dtype()
    name = getattr(dtype, "name", None) or (dtype if isinstance(dtype, str) else np.dtype(dtype).name)
    name = {"int": "int32", "float": get_dtype()}.get(name, name)
    if name not in DTYPES:
        raise ValueError(f"dtype {dtype!r} is none that programs have. Write one of {', '.join(DTYPES)} instead.")
    return str(name)


# --- of one value and of two --------------------------------------------------------------------------------------


@function
def log2(x: Node) -> Node:
    """Elementwise logarithm to base 2."""
    return arrays.multiply(arrays.log(x), 1 / math.log(2))


@function
def log10(x: Node) -> Node:
    """Elementwise logarithm to base 10."""
    return arrays.multiply(arrays.log(x), 1 / math.log(10))


@function
def fabs(x: Node) -> Node:
    """Elementwise absolute value, as a float."""
    return arrays.abs(arrays.multiply(x, 1.0))


@function
def floor(x: Node) -> Node:
    """Elementwise rounding toward minus infinity, as a float."""
    return arrays.floor(floating(x))


@function
def ceil(x: Node) -> Node:
    """Elementwise rounding toward infinity, as a float."""
    return arrays.ceil(floating(x))


@function
def square(x: Node) -> Node:
    """Elementwise ``x * x``; of bool int32."""
    return arrays.square(counted(x))


@function
def heaviside(x1: Node, x2: Node) -> Node:
    """0 below 0, 1 above, and ``x2`` at 0, as a float."""
    dtype = result_dtype(x1, x2)
    return elementary.heaviside(*together(x1, x2, dtype=dtype if dtype in FLOATS else get_dtype()))


@function
def isposinf(x: Node) -> Node:
    """Elementwise: plus infinity."""
    return arrays.equal(x, math.inf)


@function
def isneginf(x: Node) -> Node:
    """Elementwise: minus infinity."""
    return arrays.equal(x, -math.inf)


@function
def sparse_plus(x: Node) -> Node:
    """0 below -1, ``x`` above 1, ``(x + 1) ** 2 / 4`` between."""
    curved = arrays.multiply(arrays.square(arrays.clip(arrays.add(x, 1.0), 0.0)), 0.25)
    return arrays.where(arrays.less(x, 1), curved, x)


@function
def sparse_sigmoid(x: Node) -> Node:
    """0 below -1, 1 above 1, ``(x + 1) / 2`` between."""
    return arrays.clip(arrays.multiply(arrays.add(x, 1.0), 0.5), 0.0, 1.0)


@function
def divide_no_nan(x1: Node, x2: Node) -> Node:
    """Elementwise ``x1 / x2``, and 0 where ``x2`` is."""
    zero = arrays.equal(x2, 0)
    return arrays.where(zero, 0.0, arrays.divide(x1, arrays.where(zero, 1.0, x2)))


@function
def allclose(x1: Node, x2: Node, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Node:
    """Whether `isclose` holds of all elements."""
    return arrays.all(elementary.isclose(x1, x2, rtol, atol, equal_nan))


def norm(x: Operand, ord: Any = None, axis: Axes = None, keepdims: bool = False) -> Any:
    """The norm of vectors along one axis, of matrices in two; without axes the length of all elements, or with ``ord``
    the norm of a vector or a matrix, as NumPy's.

    Of matrices ``ord`` is "fro", 1, -1, inf or -inf; or 2, -2 or "nuc", evaluated at once and without a gradient.
    """
    return norms.norm_of(x, None if ord == "euclidean" else ord, listed(axis), keepdims)


def moments(x: Operand, axes: Axes, keepdims: bool = False, synchronized: bool = False) -> Any:
    """The mean and the variance, of float16 at most its largest number; ``synchronized`` changes nothing."""
    half = x.dtype == "float16"
    x = arrays.cast(x, "float32") if half else x
    found = arrays.mean(x, listed(axes), keepdims), arrays.var(x, listed(axes), keepdims)
    largest = float(np.finfo(np.float16).max)
    return tuple(arrays.cast(arrays.clip(v, -largest, largest), "float16") for v in found) if half else found


def where(condition: Operand, x1: Operand = None, x2: Operand = None) -> Any:
    """``x1`` where the condition holds, else ``x2``; without them the indices where it holds, evaluated at once."""
    if x1 is None and x2 is None:
        return tuple(arrays.cast(part, "int32") for part in nonzero(condition, as_tuple=True))
    if x1 is None or x2 is None:
        raise ValueError("ops.where takes a condition and two values. Write where(x > 0, x, 0.0), for example.")
    chosen = arrays.where(condition, x1, x2)
    given = {x.dtype for x in (x1, x2) if hasattr(x, "dtype")}
    return arrays.cast(chosen, "int32") if chosen.dtype == "int64" and given <= {"bool"} else chosen


def normalize(x: Operand, axis: int = -1, order: float = 2, epsilon: float | None = None) -> Any:
    """``x`` divided by its length along an axis."""
    return functional.normalize(x, float(order), axis, 1e-7 if epsilon is None else epsilon)


# --- losses -------------------------------------------------------------------------------------------------------


def binary_crossentropy(target: Operand, output: Operand, from_logits: bool = False) -> Any:
    """The cross entropy of each element with a target of 0 or 1."""
    wide = arrays.expand_dims(target, -1), arrays.expand_dims(output, -1)
    return losses_keras.binary_crossentropy(*wide, from_logits=from_logits)


def categorical_crossentropy(target: Operand, output: Operand, from_logits: bool = False, axis: int = -1) -> Any:
    """The cross entropy of the distributions along the last axis."""
    return losses_keras.categorical_crossentropy(*last(axis, target, output), from_logits=from_logits)


def sparse_categorical_crossentropy(target: Operand, output: Operand, from_logits: bool = False, axis: int = -1) -> Any:
    """The cross entropy of the distributions along the last axis with class numbers."""
    return losses_keras.sparse_categorical_crossentropy(target, *last(axis, output), from_logits=from_logits)


def last(axis: int, *values: Any) -> tuple[Any, ...]:
    """The values with this axis as their last one."""
    return tuple(v if axis in (-1, v.ndim - 1) else shape.moveaxis(v, axis, -1) for v in values)


@function
def real(x: Node) -> Node:
    """The tensor itself: there are no complex numbers."""
    return x


@function
def imag(x: Node) -> Node:
    """Zeros: there are no complex numbers."""
    return arrays.zeros_like(x)


@function
def isreal(x: Node) -> Node:
    """True everywhere: there are no complex numbers."""
    return arrays.logical_or(arrays.equal(x, x), arrays.not_equal(x, x))
