"""Operations on tensors under PyTorch's names, with its argument names ``dim`` and ``keepdim``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier import functional, numeric
from ranvier.numeric import (
    abs,  # noqa: A004 - the name in the vocabulary
    ceil,
    cos,
    divide,
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
    norms,
    power,
    reciprocal,
    remainder,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sqrt,
    square,
    tanh,
)
from ranvier.numeric import equal as eq
from ranvier.numeric import greater as gt
from ranvier.numeric import greater_equal as ge
from ranvier.numeric import less as lt
from ranvier.numeric import less_equal as le
from ranvier.numeric import not_equal as ne
from ranvier.recording import no_out
from ranvier.selecting import (
    Ordered,
    argsort,
    gather,
    index_select,
    masked_fill,
    masked_select,
    nonzero,
    sort,
    topk,
)
from ranvier.tensor import Tensor

__all__ = [
    "abs",
    "all",
    "allclose",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "bmm",
    "cat",
    "ceil",
    "chunk",
    "clamp",
    "clip",
    "clone",
    "concat",
    "cos",
    "detach",
    "div",
    "divide",
    "dot",
    "einsum",
    "eq",
    "equal",
    "erf",
    "exp",
    "expm1",
    "flatten",
    "flip",
    "floor",
    "gather",
    "ge",
    "greater",
    "greater_equal",
    "gt",
    "hstack",
    "index_select",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "logsumexp",
    "lt",
    "masked_fill",
    "masked_select",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mm",
    "mul",
    "multiply",
    "mv",
    "ne",
    "neg",
    "negative",
    "nonzero",
    "norm",
    "not_equal",
    "numel",
    "outer",
    "permute",
    "pow",
    "reciprocal",
    "relu",
    "remainder",
    "reshape",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "softmax",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "sum",
    "t",
    "tanh",
    "topk",
    "transpose",
    "unbind",
    "unsqueeze",
    "var",
    "vstack",
]  # fmt: skip

relu = functional.relu
mm = bmm = mv = dot = matmul
mul, div, neg, pow = multiply, divide, negative, power
greater, less, greater_equal, less_equal, not_equal = gt, lt, ge, le, ne


def _dims(dim: Any) -> Any:
    return tuple(dim) if isinstance(dim, list) else dim


def _extremum(largest: Any, position: Any, pairwise: Any) -> Any:
    def function(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
        other = dim if isinstance(dim, Tensor) else other
        if other is not None:
            return pairwise(input, other)
        if dim is None:
            return largest(input)
        return Ordered(largest(input, dim, keepdim), position(input, dim, keepdim))

    return function


max = _extremum(numeric.max, numeric.argmax, maximum)
max.__doc__ = "The largest element; along ``dim``, (values, indices); of two tensors, the elementwise larger."
min = _extremum(numeric.min, numeric.argmin, minimum)
min.__doc__ = (
    "The smallest element; along ``dim``, (values, indices); of two tensors, the elementwise smaller."
)


def _reduction(operation: Any) -> Any:
    def function(
        input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
    ) -> Any:
        if out is not None:
            raise no_out(operation.__name__)
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


def norm(input: Any, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Any:
    """The p-norm over the given dimensions, or of all elements; "fro" is 2, "nuc" the sum of singular values."""
    if p == "nuc":
        return norms.matrix_norm(input, p, range(input.ndim) if dim is None else dim, keepdim)
    return numeric.norm(input, _dims(dim), keepdim, 2 if p in ("fro", None) else p)


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


def einsum(equation: str, *operands: Any) -> Any:
    """Einstein's summation over any number of operands, or over those of one list."""
    several = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    return numeric.einsum(equation, *several)


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors joined along a dimension they have; one of shape (0,), where a loop begins with nothing, adds nothing."""
    return numeric.concatenate(tensors, dim)


concat = cat


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors of one shape joined along a new dimension."""
    return numeric.stack(tensors, dim)


def chunk(input: Any, chunks: int, dim: int = 0) -> Any:
    """``input`` in that many parts along ``dim``, the last of them smaller where it does not divide."""
    return input.chunk(chunks, dim)


def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> Any:
    """Parts of that size along ``dim``, the last of them smaller where it does not divide; or of those sizes."""
    return tensor.split(split_size_or_sections, dim)


def unbind(input: Any, dim: int = 0) -> Any:
    """The slices along ``dim``."""
    return input.unbind(dim)


def vstack(tensors: Sequence[Any]) -> Any:
    """Rows below each other; vectors are rows."""
    return numeric.concatenate([numeric.reshape(t, (1, -1)) if t.ndim < 2 else t for t in tensors], 0)


def hstack(tensors: Sequence[Any]) -> Any:
    """Tensors beside each other, along the second dimension; vectors one after the other."""
    return numeric.concatenate(tensors, 0 if tensors[0].ndim < 2 else 1)


def log2(input: Any) -> Any:
    """The logarithm to base 2."""
    return numeric.divide(numeric.log(input), math.log(2))


def log10(input: Any) -> Any:
    """The logarithm to base 10."""
    return numeric.divide(numeric.log(input), math.log(10))


def isinf(input: Any) -> Any:
    """Where elements are infinite."""
    return numeric.equal(numeric.abs(input), math.inf)


def allclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements differ by at most ``atol + rtol * abs(other)``."""
    return bool(np.allclose(input.numpy(), other.numpy(), rtol, atol, equal_nan))


def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have one shape and the same elements."""
    return input.shape == other.shape and bool(np.array_equal(input.numpy(), other.numpy()))


def reshape(input: Any, shape: Sequence[int]) -> Any:
    """The same elements in another shape, in which one extent may be -1."""
    return numeric.reshape(input, tuple(shape))


def squeeze(input: Any, dim: Any = None) -> Any:
    """Without the dimensions of extent 1 (all, or of those given those that are)."""
    return input.squeeze(dim)


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
