"""Operations on tensors under PyTorch's names, with its argument names ``dim`` and ``keepdim``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ranvier.ops import arrays, functional
from ranvier.ops.arrays import norms
from ranvier.ops.indexing import (
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
from ranvier.ops.shape_methods import squeezed
from ranvier.ops.torch.renamed import maximum, minimum
from ranvier.tensor.arguments import no_out
from ranvier.tensor.tensor import Tensor

__all__ = [
    "all", "allclose", "amax", "amin", "any", "argmax", "argmin", "argsort", "cat", "chunk", "clone",
    "concat", "concatenate", "detach", "einsum", "equal", "flip", "gather", "ger", "hstack", "index_select",
    "isinf", "log2", "log10", "log_softmax", "logsumexp", "masked_fill", "masked_select", "max", "mean",
    "min", "nonzero", "norm", "numel", "outer", "permute", "reshape", "softmax", "sort", "split", "squeeze",
    "stack", "std", "sum", "t", "topk", "transpose", "unbind", "unsqueeze", "var", "vstack",
]  # fmt: skip


def _dims(dim: Any) -> Any:
    return tuple(dim) if isinstance(dim, list) else dim


def _extremum(largest: Any, position: Any, pairwise: Any) -> Any:
    def function(
        input: Any,
        dim: Any = None,
        keepdim: bool = False,
        *,
        other: Any = None,
        axis: Any = None,
        keepdims: bool = False,
    ) -> Any:
        other = dim if isinstance(dim, Tensor) else other
        dim, keepdim = dim if axis is None else axis, keepdim or keepdims
        if other is not None:
            return pairwise(input, other)
        if dim is None:
            return largest(input)
        return Ordered(largest(input, dim, keepdim), position(input, dim, keepdim))

    return function


max = _extremum(arrays.max, arrays.argmax, maximum)
max.__doc__ = "The largest element; along ``dim``, (values, indices); of two tensors, the elementwise larger."
min = _extremum(arrays.min, arrays.argmin, minimum)
min.__doc__ = (
    "The smallest element; along ``dim``, (values, indices); of two tensors, the elementwise smaller."
)


def _reduction(operation: Any) -> Any:
    def function(
        input: Any,
        dim: Any = None,
        keepdim: bool = False,
        *,
        dtype: Any = None,
        out: Any = None,
        axis: Any = None,
        keepdims: bool = False,
    ) -> Any:
        if out is not None:
            raise no_out(operation.__name__)
        result = operation(input, _dims(dim if axis is None else axis), keepdim or keepdims)
        return result if dtype is None else arrays.cast(result, dtype)

    function.__doc__ = operation.__doc__
    return function


sum, mean, any, all = (_reduction(f) for f in (arrays.sum, arrays.mean, arrays.any, arrays.all))
argmax, argmin, amax, amin, logsumexp = (
    _reduction(f) for f in (arrays.argmax, arrays.argmin, arrays.max, arrays.min, arrays.logsumexp)
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


var, std = _spread(arrays.var), _spread(arrays.std)
var.__doc__ = "The variance, dividing by n - 1 unless ``unbiased=False``."
std.__doc__ = "The standard deviation, dividing by n - 1 unless ``unbiased=False``."


def norm(input: Any, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Any:
    """The p-norm over the given dimensions, or of all elements; "fro" is 2, "nuc" the sum of singular values."""
    if p == "nuc":
        return norms.matrix_norm(input, p, range(input.ndim) if dim is None else dim, keepdim)
    return arrays.norm(input, _dims(dim), keepdim, 2 if p in ("fro", None) else p)


def _along(operation: Any) -> Any:
    def function(input: Any, dim: Any = None, dtype: Any = None, *, axis: Any = None) -> Any:
        dim = axis if dim is None else dim
        if dim is None:
            raise TypeError(f"{operation.__name__} needs a dimension. Write dim=1, for example.")
        return operation(input if dtype is None else arrays.cast(input, dtype), dim)

    function.__name__ = operation.__name__
    return function


softmax, log_softmax = _along(functional.softmax), _along(functional.log_softmax)
softmax.__doc__ = "``exp(x) / sum(exp(x))`` along ``dim``."
log_softmax.__doc__ = "The logarithm of `softmax`, stable."


def einsum(equation: str, *operands: Any) -> Any:
    """Einstein's summation over any number of operands, or over those of one list."""
    several = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    return arrays.einsum(equation, *several)


def cat(tensors: Sequence[Any], dim: int = 0, *, axis: int | None = None) -> Any:
    """Tensors joined along a dimension they have; one of shape (0,), where a loop begins with nothing, adds nothing."""
    return arrays.concatenate(tensors, dim if axis is None else axis)


concat = concatenate = cat


def stack(tensors: Sequence[Any], dim: int = 0, *, axis: int | None = None) -> Any:
    """Tensors of one shape joined along a new dimension."""
    return arrays.stack(tensors, dim if axis is None else axis)


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
    return arrays.concatenate([arrays.reshape(t, (1, -1)) if t.ndim < 2 else t for t in tensors], 0)


def hstack(tensors: Sequence[Any]) -> Any:
    """Tensors beside each other, along the second dimension; vectors one after the other."""
    return arrays.concatenate(tensors, 0 if tensors[0].ndim < 2 else 1)


def log2(input: Any) -> Any:
    """The logarithm to base 2."""
    return arrays.divide(arrays.log(input), math.log(2))


def log10(input: Any) -> Any:
    """The logarithm to base 10."""
    return arrays.divide(arrays.log(input), math.log(10))


def isinf(input: Any) -> Any:
    """Where elements are infinite."""
    return arrays.equal(arrays.abs(input), math.inf)


def allclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements differ by at most ``atol + rtol * abs(other)``."""
    return bool(np.allclose(input.numpy(), other.numpy(), rtol, atol, equal_nan))


def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have one shape and the same elements."""
    return input.shape == other.shape and bool(np.array_equal(input.numpy(), other.numpy()))


def reshape(input: Any, shape: Sequence[int]) -> Any:
    """The same elements in another shape, in which one extent may be -1."""
    return arrays.reshape(input, tuple(shape))


def squeeze(input: Any, dim: Any = None) -> Any:
    """Without the dimensions of extent 1 (all, or of those given those that are)."""
    return squeezed(input, dim)


def unsqueeze(input: Any, dim: int) -> Any:
    """With a new dimension of extent 1."""
    return arrays.expand_dims(input, dim)


def permute(input: Any, dims: Sequence[int]) -> Any:
    """The dimensions in another order."""
    return arrays.transpose(input, tuple(dims))


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Two dimensions exchanged."""
    return arrays.swapaxes(input, dim0, dim1)


def t(input: Any) -> Any:
    """The transpose of a matrix."""
    return arrays.transpose(input)


def flip(input: Any, dims: Any) -> Any:
    """The order along the given dimensions reversed."""
    return arrays.flip(input, _dims(dims))


def outer(input: Any, vec2: Any) -> Any:
    """The products of all pairs of elements of two vectors."""
    return arrays.multiply(arrays.expand_dims(input, 1), vec2)


ger = outer


def clone(input: Any) -> Any:
    """A copy through which the gradient flows."""
    return input.clone()


def detach(input: Any) -> Any:
    """The same values, taken as constant by gradients."""
    return input.detach()


def numel(input: Any) -> int:
    """The number of elements."""
    return int(input.numel())
