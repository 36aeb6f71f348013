"""Reductions, order statistics and scaled products whose meaning is PyTorch's own."""

from __future__ import annotations

import math
import string
from typing import Any, NamedTuple

import numpy as np

from ranvier.graph.dtypes import FLOATING, FLOATS, widened
from ranvier.graph.node import GraphError, Node
from ranvier.ops import arrays as n
from ranvier.ops import indexing
from ranvier.ops.arrays import norms
from ranvier.ops.arrays.linalg import product, running_product, running_sum
from ranvier.ops.arrays.promotion import Axes, axis_of
from ranvier.ops.arrays.shape import diagonal
from ranvier.ops.indexing import Ordered
from ranvier.ops.torch.elementwise import scaled
from ranvier.tensor.arguments import no_out
from ranvier.tensor.function import function
from ranvier.tensor.tensor import Tensor

LETTERS = string.ascii_uppercase + string.ascii_lowercase  # those that `einsum` calls 0, 1, ...


def _named(function: Any, name: str) -> Any:
    function.__name__ = function.__qualname__ = name
    return function


def _summable(x: Node, dtype: str | None) -> Node:
    """``x`` in a dtype, by default int64 for integers and bool."""
    return n.cast(x, dtype or (x.dtype if x.dtype in FLOATS else "int64"))


@function
def sum(input: Node, dim: Axes = None, keepdim: bool = False, *, dtype: str | None = None) -> Node:
    """The sum over one axis, several, or all; of integers and bool int64."""
    return n.cast(n.sum(_summable(input, dtype), dim, keepdim), dtype or _summable(input, None).dtype)


@function
def cumsum(input: Node, dim: int, *, dtype: str | None = None) -> Node:
    """The sum of each element with all before it along ``dim``; of integers and bool int64."""
    return running_sum(_summable(input, dtype), dim)


@function
def cumprod(input: Node, dim: int, *, dtype: str | None = None) -> Node:
    """The product of each element with all before it along ``dim``; of integers and bool int64."""
    return running_product(_summable(input, dtype), dim)


def _counting(operation: Any) -> Any:
    """A function of positions or counts, in int64."""

    def body(input: Node, dim: int | None = None, keepdim: bool = False) -> Node:
        return n.cast(operation(input, dim, keepdim), "int64")

    body.__name__ = body.__qualname__ = operation.__name__
    body.__doc__ = operation.__doc__.replace("int32", "int64")
    return function(body)


argmax, argmin = _counting(n.argmax), _counting(n.argmin)


@function
def count_nonzero(input: Node, dim: Axes = None) -> Node:
    """How many elements are not zero, int64."""
    return n.sum(n.cast(n.not_equal(input, 0), "int64"), dim)


@function
def trace(input: Node) -> Node:
    """The sum of the diagonal of a matrix; of integers int64."""
    if input.ndim != 2:
        raise GraphError(f"the trace of {input.shape}: write a matrix")
    return sum(diagonal(input))


def prod(input: Any, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The product of all elements, or of those along ``dim``; of integers and bool int64."""
    if dtype == "bool":
        return n.all(n.cast(input, dtype), dim, keepdim)
    x = input if dtype is None and input.dtype in FLOATING else n.cast(input, dtype or "int64")
    if dim is None:
        return product(n.reshape(x, (-1,)), 0)
    result = product(x, dim)
    return n.expand_dims(result, axis_of(dim, x.ndim)) if keepdim else result


def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element, of two the smaller, nan where there is one; along ``dim`` (values, indices). Looks at values.

    Raises ValueError of no elements.
    """
    if dim is None:
        return median(n.reshape(input, (-1,)), 0).values
    axis = axis_of(dim, input.ndim)
    extent = input.shape[axis]
    if not extent:
        raise ValueError(f"a tensor of shape {input.shape} has no elements along dimension {dim}, and so no median.")
    values, order = widened(input.compute()), indexing.argsort(input, axis).compute()
    middle = np.where(np.isnan(values).any(axis, keepdims=True), extent - 1, (extent - 1) // 2)
    rows = Tensor.wrap(np.ascontiguousarray(np.take_along_axis(order, middle, axis)))
    parts = indexing.gather(input, axis, rows), rows
    return Ordered(*(parts if keepdim else [n.squeeze(part, axis) for part in parts]))


def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Any:
    """The quantiles ``q`` of all elements or along ``dim``; several quantiles along a new first dimension.

    Between neighbours "linear" interpolates; "lower", "higher", "nearest" and "midpoint" choose. Looks at values.
    Raises ValueError for shares outside of 0 to 1.
    """
    return indexing.quantile(input, q, dim, keepdim, interpolation)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * input + alpha * (mat1 @ mat2)``."""
    return combined(input, n.matmul(mat1, mat2), beta, alpha)


def combined(input: Any, product: Any, beta: float, alpha: float, whole: str = "") -> Any:
    """``beta * input + alpha * product``; with ``beta`` 0 also nan in ``input`` does not count."""
    product = scaled(product, alpha, whole)
    return n.add(scaled(input, beta, whole), product) if beta else product


def addmv(input: Any, mat: Any, vec: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * input + alpha * (mat @ vec)``."""
    return addmm(input, mat, vec, beta=beta, alpha=alpha)


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """`addmm` of the matrices of two batches."""
    return addmm(input, batch1, batch2, beta=beta, alpha=alpha)


def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of the difference."""
    return n.norm(n.subtract(input, other), None, False, float(p))


class Extremes(NamedTuple):
    """The smallest and the largest element."""

    min: Any
    max: Any


def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> Extremes:
    """The smallest and the largest element, of all or along ``dim``."""
    return Extremes(n.min(input, dim, keepdim), n.max(input, dim, keepdim))


def _extremum(name: str, largest: Any, position: Any, pairwise: Any, what: str) -> Any:
    def function(
        input: Any,
        dim: Any = None,
        keepdim: bool = False,
        *,
        other: Any = None,
        axis: Any = None,
        keepdims: bool = False,
    ) -> Any:
        if isinstance(input, (int, float)):
            raise TypeError(f"{name} takes a tensor, and here is {input}. Write torch.tensor({input}) instead.")
        other = dim if isinstance(dim, Tensor) else other
        dim, keepdim = dim if axis is None else axis, keepdim or keepdims
        if other is not None:
            return pairwise(input, other)
        if dim is None:
            return largest(input)
        return Ordered(largest(input, dim, keepdim, True), position(input, dim, keepdim))

    function.__doc__ = (
        f"The {what} element; along ``dim``, (values, indices), of equal ones the first, which has the gradient; of "
        f"two tensors, the elementwise {what} ones."
    )
    return _named(function, name)


max = _extremum("max", n.max, argmax, n.maximum, "largest")
min = _extremum("min", n.min, argmin, n.minimum, "smallest")


def _spread(name: str, operation: Any, what: str, with_mean: bool = False) -> Any:
    def function(
        input: Any,
        dim: Any = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: float | None = None,
        axis: Any = None,
        keepdims: bool = False,
    ) -> Any:
        if isinstance(dim, bool):  # PyTorch's older ``var(x, False)``
            dim, unbiased = None, dim
        dim, keepdim = dim if axis is None else axis, keepdim or keepdims
        spread = operation(input, dim, keepdim, int(unbiased) if correction is None else correction)
        return (spread, n.mean(input, dim, keepdim)) if with_mean else spread

    function.__doc__ = (
        f"The {what}{' and the mean' if with_mean else ''} along ``dim``, or of all elements. It divides by "
        "n - ``correction``, which is 1, or 0 for ``unbiased=False``; the result is nan where that is none."
    )
    return _named(function, name)


var, std = _spread("var", n.var, "variance"), _spread("std", n.std, "standard deviation")
var_mean = _spread("var_mean", n.var, "variance", True)
std_mean = _spread("std_mean", n.std, "standard deviation", True)


def norm(
    input: Any,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,
    out: None = None,
    dtype: Any = None,
    *,
    axis: Any = None,
    keepdims: bool = False,
) -> Any:
    """The p-norm over the given dimensions, or of all elements; "fro" is 2, "nuc" the sum of singular values."""
    if out is not None:
        raise no_out("norm")
    x = input if dtype is None else n.cast(input, dtype)
    dim, keepdim = dim if axis is None else axis, keepdim or keepdims
    if p == "nuc":
        return norms.matrix_norm(x, p, range(x.ndim) if dim is None else dim, keepdim)
    order = {"fro": 2, None: 2, "inf": math.inf, "-inf": -math.inf}.get(p, p)
    return n.norm(x, tuple(dim) if isinstance(dim, list) else dim, keepdim, order)


def einsum(equation: Any, *operands: Any) -> Any:
    """Einstein's summation over any number of operands, or over those of one list.

    Also PyTorch's other form, ``einsum(x, [0, 1], y, [1, 2], [0, 2])``, with numbers in place of letters.
    """
    if isinstance(equation, str):
        several = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
        return n.einsum(equation, *several)
    given = (equation, *operands)
    words = ["".join("..." if i is Ellipsis else LETTERS[i] for i in word) for word in given[1::2]]
    if len(given) % 2:
        words.append("".join("..." if i is Ellipsis else LETTERS[i] for i in given[-1]))
    inputs, output = words[: len(given) // 2], words[len(given) // 2 :]
    return n.einsum("->".join([",".join(inputs), *output]), *given[: 2 * len(inputs) : 2])
