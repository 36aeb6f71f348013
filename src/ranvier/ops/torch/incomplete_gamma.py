"""The incomplete gamma functions, evaluated at once in float64; their gradient is that by the second argument."""

from __future__ import annotations

from typing import Any

import numpy as np

from ranvier.graph.dtypes import FLOATING, widened
from ranvier.ops import arrays
from ranvier.ops.arrays import decompositions
from ranvier.ops.arrays.promotion import result_dtype
from ranvier.ops.functional.gamma import lgamma
from ranvier.tensor.tensor import Tensor

_MOST = 20_000  # terms: arguments up to about 1e8 need no more
_TINY = 1e-300


def _log_gamma(a: Any) -> Any:
    return np.asarray(lgamma(Tensor(a, dtype="float64")).compute(), np.float64)


def _series(a: Any, x: Any) -> Any:
    """The lower function over its factor ``exp(-x) * x**a / gamma(a)``, for x up to a + 1.

    Abramowitz and Stegun, 6.5.29.
    """
    term = total = 1 / a
    for k in range(1, _MOST):
        term = term * x / (a + k)
        total = total + term
        if (term <= total * 1e-17).all():
            break
    return total


def _fraction(a: Any, x: Any) -> Any:
    """The upper function over that factor, for larger x: a continued fraction (6.5.31), by Lentz's method."""
    b = x + 1 - a
    c, d = np.full_like(b, 1 / _TINY), 1 / b
    value = d
    for k in range(1, _MOST):
        step = -k * (k - a)
        b = b + 2
        d = step * d + b
        c = b + step / c
        d = 1 / np.where(np.abs(d) < _TINY, _TINY, d)
        c = np.where(np.abs(c) < _TINY, _TINY, c)
        value = value * d * c
        if (np.abs(d * c - 1) <= 1e-16).all():
            break
    return value


def _lower_and_upper(a: Any, x: Any) -> tuple[Any, Any]:
    a, x = np.broadcast_arrays(a, x)
    inside = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
    shape, point = np.where(inside, a, 1.0), np.where(inside, x, 1.0)
    small = point < shape + 1
    factor = np.exp(shape * np.log(point) - point - _log_gamma(shape))
    low = factor * _series(shape, np.where(small, point, 0.0))
    high = factor * _fraction(np.where(small, 1.0, shape), np.where(small, 3.0, point))
    lower, upper = np.where(small, low, 1 - high), np.where(small, 1 - low, high)
    wrong = np.isnan(a) | np.isnan(x) | (a < 0) | (x < 0) | ((a == 0) & (x == 0)) | (np.isinf(a) & np.isinf(x))
    at_end = np.where((a == 0) | np.isinf(x), 1.0, 0.0)  # all of it is below x there
    lower = np.where(inside, lower, np.where(wrong, np.nan, at_end))
    return lower, np.where(inside, upper, np.where(wrong, np.nan, 1 - at_end))


def _function(input: Any, other: Any, upper: bool) -> Any:
    both = [v if isinstance(v, Tensor) else Tensor(v) for v in (input, other)]
    dtype = result_dtype(*both)
    if dtype not in FLOATING:
        raise TypeError(f"the incomplete gamma functions take no {dtype} tensors. Write input.float() instead.")
    a, x = (arrays.cast(v, dtype) for v in both)
    numbers = [np.asarray(widened(v.detach().compute()), np.float64) for v in (a, x)]
    value = Tensor(_lower_and_upper(*numbers)[upper], dtype=dtype)
    if not decompositions.wanted(x):
        return value
    shape = a.detach()
    sign = -1.0 if upper else 1.0

    def tangents(results: Any, changes: Any) -> Any:
        at, change = results[1], changes[0]
        log = arrays.subtract(
            arrays.multiply(arrays.subtract(shape, 1.0), arrays.log(at)), arrays.add(at, lgamma(shape))
        )
        return [arrays.multiply(arrays.multiply(arrays.exp(log), sign), change), change]

    return decompositions.followed(
        [value, arrays.broadcast_to(x.detach(), value.shape)], tangents, arrays.broadcast_to(x, value.shape)
    )[0]


def igamma(input: Any, other: Any) -> Any:
    """The share of the gamma function of ``input`` from 0 to ``other``: the integral of ``t**(input - 1) * exp(-t)``,
    over the whole of it. Evaluated at once; the gradient is that by ``other``.
    """
    return _function(input, other, False)


def igammac(input: Any, other: Any) -> Any:
    """The share of the gamma function of ``input`` beyond ``other``: 1 less `igamma`. Evaluated at once."""
    return _function(input, other, True)
