"""Noise for training: dropout and its kin. Pure functions of their seeds and streams (`ranvier.seed.draw`).

The same seed and stream always give the same noise, whatever the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ranvier import numeric as n
from ranvier.functional.basic import SELU_ALPHA, SELU_SCALE
from ranvier.graph.node import GraphError, Node, apply, like
from ranvier.numeric.promotion import floating
from ranvier.tensor import function

__all__ = ["alpha_dropout", "dropout", "gaussian_dropout", "gaussian_noise", "mask_shape", "standard_normal"]


def mask_shape(x: Node, noise_shape: Sequence[Any] | None) -> tuple[Any, ...]:
    """The shape of a mask over ``x``: that of x, with 1 along the dimensions that share a mask; None is x's extent."""
    if noise_shape is None:
        return x.shape
    fits = len(noise_shape) == x.ndim and all(
        a in (None, 1) or a == b for a, b in zip(noise_shape, x.shape, strict=True)
    )
    if not fits:
        raise GraphError(
            f"noise_shape={tuple(noise_shape)} does not fit {x.type}: write None for each dimension whose elements "
            f"are dropped one by one and 1 for each that shares a mask, {x.ndim} in all"
        )
    return tuple(b if a is None else a for a, b in zip(noise_shape, x.shape, strict=True))


def kept(x: Node, seed: Node, stream: Node, rate: float, noise_shape: Any) -> Node:
    """Where elements are kept: a share of ``1 - rate``, drawn in the mask's shape; bool."""
    drawn = apply("random", seed, stream, shape=mask_shape(x, noise_shape), dtype=x.dtype)
    return n.less(drawn, 1 - rate)  # type: ignore[no-any-return]


@function
def dropout(
    x: Node, seed: Node, stream: Node, rate: float, noise_shape: tuple[int | None, ...] | None = None
) -> Node:
    """``x`` with a share of ``rate`` of its elements set to zero and the rest divided by ``1 - rate``.

    ``seed`` and ``stream`` are uint32 scalars (`ranvier.seed.draw`): the same pair always drops the same elements.
    ``noise_shape`` has None for each dimension of x and 1 for those along which all is dropped or kept together.
    (Srivastava et al., 2014.)
    """
    x = floating(x)
    if rate >= 1:
        return n.multiply(x, 0.0)  # type: ignore[no-any-return]
    return n.where(kept(x, seed, stream, rate, noise_shape), n.multiply(x, 1 / (1 - rate)), 0)  # type: ignore[no-any-return]


@function
def alpha_dropout(
    x: Node, seed: Node, stream: Node, rate: float, noise_shape: tuple[int | None, ...] | None = None
) -> Node:
    """`dropout` to where `selu` saturates, scaled and shifted so that mean 0 and variance 1 stay so.

    (Klambauer et al., 2017.) The other arguments are those of `dropout`. With a rate of 1 all is 0, as PyTorch has it.
    """
    x = floating(x)
    if rate >= 1:
        return n.multiply(x, 0.0)  # type: ignore[no-any-return]
    low = -SELU_ALPHA * SELU_SCALE
    scale = ((1 - rate) * (1 + rate * low * low)) ** -0.5
    dropped = n.where(kept(x, seed, stream, rate, noise_shape), x, low)
    return n.add(n.multiply(dropped, scale), -scale * low * rate)  # type: ignore[no-any-return]


@function
def standard_normal(x: Node, seed: Node, stream: Node, second: Node) -> Node:
    """Normal values of mean 0 and variance 1 in the shape and floating dtype of ``x``, from two streams.

    By Box and Muller (1958) from uniform numbers of 24 bits, so none is beyond 5.8.
    """
    x = floating(x)
    radius, angle = (apply("random", seed, s, shape=x.shape, dtype=x.dtype) for s in (stream, second))
    # The uniform numbers are below 1, so 1 - u is above 0, and exact.
    length = n.sqrt(n.multiply(n.log(like(x, 1.0) - radius), -2.0))
    return length * n.cos(n.multiply(angle, 2 * math.pi))  # type: ignore[no-any-return]


@function
def gaussian_noise(x: Node, seed: Node, stream: Node, second: Node, stddev: float) -> Node:
    """``x`` plus normal values of mean 0 and the given standard deviation."""
    x = floating(x)
    return x + n.multiply(standard_normal(x, seed, stream, second), stddev)  # type: ignore[no-any-return]


@function
def gaussian_dropout(x: Node, seed: Node, stream: Node, second: Node, rate: float) -> Node:
    """``x`` times normal values of mean 1 and the variance that `dropout` of this rate has, ``rate / (1 - rate)``.

    (Srivastava et al., 2014, section 10.)
    """
    x = floating(x)
    factor = n.multiply(standard_normal(x, seed, stream, second), math.sqrt(rate / (1 - rate)))
    return x * n.add(factor, 1.0)  # type: ignore[no-any-return]
