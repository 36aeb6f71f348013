"""Operations on tensors under PyTorch's names, with its argument names ``dim`` and ``keepdim``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ranvier import functional, numeric
from ranvier.numeric import (
    abs,  # noqa: A004
    add,
    ceil,
    cos,
    divide,
    einsum,
    erf,
    exp,
    expm1,
    flatten,
    floor,
    isfinite,
    isnan,
    log,
    log1p,
    logical_and,
    logical_not,
    logical_or,
    matmul,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    reciprocal,
    remainder,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sqrt,
    square,
    subtract,
    tanh,
    where,
)
from ranvier.numeric import equal as eq
from ranvier.numeric import greater as gt
from ranvier.numeric import greater_equal as ge
from ranvier.numeric import less as lt
from ranvier.numeric import less_equal as le
from ranvier.numeric import not_equal as ne
from ranvier.tensor import Tensor

__all__ = [
    "abs", "add", "all", "amax", "amin", "any", "argmax", "argmin", "bmm", "cat", "ceil", "chunk", "clamp",
    "clip", "clone", "concat", "cos", "detach", "div", "divide", "dot", "einsum", "eq", "erf", "exp", "expm1",
    "flatten", "flip", "floor", "ge", "greater", "gt", "isfinite", "isnan", "le", "less", "log", "log1p",
    "log_softmax", "logical_and", "logical_not", "logical_or", "logsumexp", "lt", "matmul", "max", "maximum",
    "mean", "min", "minimum", "mm", "mul", "multiply", "mv", "ne", "neg", "negative", "norm", "numel",
    "outer", "permute", "pow", "reciprocal", "relu", "remainder", "reshape", "rsqrt", "sigmoid", "sign",
    "sin", "softmax", "sqrt", "square", "squeeze", "stack", "std", "sub", "subtract", "sum", "t", "tanh",
    "transpose", "unsqueeze", "var", "where",
]  # fmt: skip

relu = functional.relu
mm = bmm = mv = dot = matmul
mul, div, sub, neg, pow = multiply, divide, subtract, negative, power
greater, less = gt, lt


class Extremum(NamedTuple):
    """What ``max`` and ``min`` along a dimension return."""

    values: Tensor
    indices: Tensor


def _dims(dim: Any) -> Any:
    return tuple(dim) if isinstance(dim, list) else dim


def _extremum(largest: Any, position: Any, pairwise: Any) -> Any:
    def function(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
        other = dim if isinstance(dim, Tensor) else other
        if other is not None:
            return pairwise(input, other)
        if dim is None:
            return largest(input)
        return Extremum(largest(input, dim, keepdim), position(input, dim, keepdim))

    return function


max = _extremum(numeric.max, numeric.argmax, maximum)
max.__doc__ = "The largest element; along ``dim``, (values, indices); of two tensors, the elementwise larger."
min = _extremum(numeric.min, numeric.argmin, minimum)
min.__doc__ = (
    "The smallest element; along ``dim``, (values, indices); of two tensors, the elementwise smaller."
)


def _reduction(operation: Any) -> Any:
    def function(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
        result = operation(input, _dims(dim), keepdim)
        return result if dtype is None else numeric.cast(result, dtype)

    function.__doc__ = operation.__doc__
    return function


sum, mean, any, all = (_reduction(f) for f in (numeric.sum, numeric.mean, numeric.any, numeric.all))
argmax, argmin, amax, amin, logsumexp = (
    _reduction(f) for f in (numeric.argmax, numeric.argmin, numeric.max, numeric.min, numeric.logsumexp)
)


def _spread(operation: Any) -> Any:
    def function(
        input: Any,
        dim: Any = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: int | None = None,
    ) -> Any:
        return operation(input, _dims(dim), keepdim, int(unbiased) if correction is None else correction)

    return function


var, std = _spread(numeric.var), _spread(numeric.std)
var.__doc__ = "The variance, dividing by n - 1 unless ``unbiased=False``."
std.__doc__ = "The standard deviation, dividing by n - 1 unless ``unbiased=False``."


def norm(input: Any, p: float = 2, dim: Any = None, keepdim: bool = False) -> Any:
    """The p-norm over the given dimensions, or of all elements."""
    return numeric.norm(input, _dims(dim), keepdim, p)


def softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """``exp(x) / sum(exp(x))`` along ``dim``."""
    return functional.softmax(input if dtype is None else numeric.cast(input, dtype), dim)


def log_softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """The logarithm of `softmax`, stable."""
    return functional.log_softmax(input if dtype is None else numeric.cast(input, dtype), dim)


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """``input`` kept within [min, max]."""
    return numeric.clip(input, min, max)


clip = clamp


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors joined along a dimension they have."""
    return numeric.concatenate(tensors, dim)


concat = cat


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors of one shape joined along a new dimension."""
    return numeric.stack(tensors, dim)


def chunk(input: Any, chunks: int, dim: int = 0) -> Any:
    """``input`` in that many equal parts along ``dim``."""
    return numeric.split(input, chunks, dim)


def reshape(input: Any, shape: Sequence[int]) -> Any:
    """The same elements in another shape, in which one extent may be -1."""
    return numeric.reshape(input, tuple(shape))


def squeeze(input: Any, dim: Any = None) -> Any:
    """Without the dimensions of extent 1 (all, or those given)."""
    return numeric.squeeze(input, _dims(dim))


def unsqueeze(input: Any, dim: int) -> Any:
    """With a new dimension of extent 1."""
    return numeric.expand_dims(input, dim)


def permute(input: Any, dims: Sequence[int]) -> Any:
    """The dimensions in another order."""
    return numeric.transpose(input, tuple(dims))


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Two dimensions exchanged."""
    return numeric.swapaxes(input, dim0, dim1)


def t(input: Any) -> Any:
    """The transpose of a matrix."""
    return numeric.transpose(input)


def flip(input: Any, dims: Any) -> Any:
    """The order along the given dimensions reversed."""
    return numeric.flip(input, _dims(dims))


def outer(input: Any, vec2: Any) -> Any:
    """The products of all pairs of elements of two vectors."""
    return numeric.multiply(numeric.expand_dims(input, 1), vec2)


def clone(input: Any) -> Any:
    """A copy through which the gradient flows."""
    return input.clone()


def detach(input: Any) -> Any:
    """The same values, taken as constant by gradients."""
    return input.detach()


def numel(input: Any) -> int:
    """The number of elements."""
    return int(input.numel())
