"""The symmetric beta distribution within programs: drawn by its quantile function, from a table and between its points.

Of Beta(alpha, alpha) the distribution function is exact at the table's points, so nowhere off by more than 1 / CELLS,
in practice by a small part of it: for alpha = 0.2 quantiles are right to 2e-7.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ranvier.graph.node import Node, apply, extent
from ranvier.ops import arrays as n
from ranvier.tensor.function import function

CELLS = 4096  # a power of 2, so that positions between points are exact
LARGEST = 100.0  # of alpha; beyond it the distribution is a spike at a half

Array = npt.NDArray[np.float64]


def _share_below(x: Array, alpha: float) -> Array:
    """The distribution function of Beta(alpha, alpha) at x in [0, 1/2], by its continued fraction (Lentz's method)."""
    tiny = 1e-300
    front = np.exp(
        alpha * (np.log(np.maximum(x, tiny)) + np.log1p(-x)) + math.lgamma(2 * alpha) - 2 * math.lgamma(alpha)
    )
    c, d = np.ones_like(x), 1 - 2 * alpha * x / (alpha + 1)
    d = 1 / np.where(np.abs(d) < tiny, tiny, d)
    h = d
    for m in range(1, 200):
        even = m * (alpha - m) * x / ((alpha + 2 * m - 1) * (alpha + 2 * m))
        odd = -(alpha + m) * (2 * alpha + m) * x / ((alpha + 2 * m) * (alpha + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 + term * d, 1 + term / c
            d = 1 / np.where(np.abs(d) < tiny, tiny, d)
            c = np.where(np.abs(c) < tiny, tiny, c)
            change = c * d
            h = h * change
        if np.abs(change - 1).max() < 1e-15:
            break
    return np.asarray(front * h / alpha)


@lru_cache(maxsize=32)
def beta_quantiles(alpha: Any) -> Array:
    """The quantiles of Beta(alpha, alpha) at 0, 1 / CELLS, ..., 1. Raises ValueError for an alpha out of (0, 100]."""
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not 0 < alpha <= LARGEST:
        raise ValueError(f"alpha={alpha!r}: write a number above 0 and up to {LARGEST:g}, such as 0.2, instead.")
    shares = np.arange(CELLS // 2 + 1) / CELLS
    low, high = np.zeros_like(shares), np.full_like(shares, 0.5)
    for _ in range(60):
        middle = (low + high) / 2
        below = _share_below(middle, float(alpha)) < shares
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    half = (low + high) / 2
    half[0], half[-1] = 0.0, 0.5
    return np.concatenate([half, 1 - half[-2::-1]])


@function
def from_quantiles(x: Node, table: Node, seed: Node, stream: Node) -> Node:
    """A number for each sample of ``x``, (samples,), from the distribution whose quantiles ``table`` holds."""
    cells = extent(table, 0) - 1
    position = n.multiply(apply("random", seed, stream, shape=x.shape[:1], dtype=table.dtype), cells)
    cell = n.floor(position)
    index = n.cast(cell, "int32")
    left, right = apply("gather", table, index), apply("gather", table, n.add(index, 1))
    return left + (right - left) * (position - cell)
