"""Noise for training, such as dropout. Pure functions of their seeds and streams (`ranvier.tensor.rng.draw`).

The same seed and stream always give the same noise, whatever the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ranvier.graph.node import GraphError, Node, apply, like
from ranvier.ops import arrays as n
from ranvier.ops.arrays.elementary import polynomial
from ranvier.ops.arrays.promotion import axis_of, floating
from ranvier.ops.functional.activations import SELU_ALPHA, SELU_SCALE, softmax
from ranvier.tensor.function import function


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
    return n.less(drawn, 1 - rate)


@function
def dropout(x: Node, seed: Node, stream: Node, rate: float, noise_shape: tuple[int | None, ...] | None = None) -> Node:
    """``x`` with a share of ``rate`` of its elements set to zero and the rest divided by ``1 - rate``.

    ``seed`` and ``stream`` are uint32 scalars (`ranvier.tensor.rng.draw`): the same pair drops the same elements.
    ``noise_shape`` has None for each dimension of x and 1 for those along which all is dropped or kept together.
    (Srivastava et al., 2014.)
    """
    x = floating(x)
    if rate >= 1:
        return n.multiply(x, 0.0)
    return n.where(kept(x, seed, stream, rate, noise_shape), n.multiply(x, 1 / (1 - rate)), 0)


@function
def rrelu(x: Node, seed: Node, stream: Node, lower: float, upper: float) -> Node:
    """``x`` of 0 or more, and below 0 ``x`` times a random slope of each element, uniform from lower to upper."""
    x = floating(x)
    drawn = apply("random", seed, stream, shape=x.shape, dtype=x.dtype)
    slope = n.add(n.multiply(drawn, upper - lower), lower)
    return n.where(n.less(x, 0.0), x * slope, x)


@function
def alpha_dropout(
    x: Node, seed: Node, stream: Node, rate: float, noise_shape: tuple[int | None, ...] | None = None
) -> Node:
    """`dropout` to where `selu` saturates, scaled and shifted so that mean 0 and variance 1 stay so.

    (Klambauer et al., 2017.) The other arguments are those of `dropout`. With a rate of 1 all is 0, as PyTorch has it.
    """
    x = floating(x)
    if rate >= 1:
        return n.multiply(x, 0.0)
    low = -SELU_ALPHA * SELU_SCALE
    scale = ((1 - rate) * (1 + rate * low * low)) ** -0.5
    dropped = n.where(kept(x, seed, stream, rate, noise_shape), x, low)
    return n.add(n.multiply(dropped, scale), -scale * low * rate)


# Quantiles of the normal distribution, those of (x + 1) / 2 divided by x: polynomials, the lowest power first, in
# w = -log(1 - x * x), or in its root in the tails, where w >= 5 (Giles, "Approximating the erfinv function", 2010,
# divides so). Fitted for the least relative error over all numbers that a uniform draw gives; in float32 it is right
# to 4e-7.
CENTRE = (
    2.12331357, 0.34880266, -0.00590817095, -0.00177301017, 0.000309150187, -6.21798767e-06, -4.99056103e-06,
    4.86103469e-07, 4.03542864e-08,
)  # fmt: skip
TAILS = (
    4.00643436, 1.41658099, 0.0133492651, -0.0107783073, 0.00811260131, -0.00520006619, 0.0019175207, 0.000147518168,
    -0.000289878863,
)  # fmt: skip


@function
def standard_normal(x: Node, seed: Node, stream: Node) -> Node:
    """Normal values of mean 0 and variance 1 in the shape and floating dtype of ``x``.

    The quantiles of uniform numbers of 24 bits (the middles of their intervals), so none is beyond 5.42.
    """
    x = floating(x)
    uniform = apply("random", seed, stream, shape=x.shape, dtype=x.dtype)
    x = uniform + uniform - like(uniform, 1 - 2.0**-24)  # in (-1, 1), exact
    one = like(x, 1.0)
    w = -apply("log", (one - x) * (one + x))
    tails = polynomial(TAILS[::-1], n.subtract(n.sqrt(n.maximum(w, 5.0)), 3.0))
    return x * n.where(n.less(w, 5.0), polynomial(CENTRE[::-1], n.subtract(w, 2.5)), tails)


@function
def gaussian_noise(x: Node, seed: Node, stream: Node, stddev: float) -> Node:
    """``x`` plus normal values of mean 0 and the given standard deviation."""
    x = floating(x)
    return x + n.multiply(standard_normal(x, seed, stream), stddev)


@function
def gaussian_dropout(x: Node, seed: Node, stream: Node, rate: float) -> Node:
    """``x`` times normal values of mean 1 and the variance that `dropout` of this rate has, ``rate / (1 - rate)``.

    (Srivastava et al., 2014, section 10.)
    """
    x = floating(x)
    factor = n.multiply(standard_normal(x, seed, stream), math.sqrt(rate / (1 - rate)))
    return x * n.add(factor, 1.0)


@function
def gumbel_softmax(x: Node, seed: Node, stream: Node, tau: float, hard: bool, axis: int = -1) -> Node:
    """`softmax` along an axis of ``(x + g) / tau`` with Gumbel noise g; with ``hard`` its largest as 1, the rest as 0.

    The gradient is that of the softmax in both cases. (Jang et al., 2017.)
    """
    x = floating(x)
    drawn = apply("random", seed, stream, shape=x.shape, dtype=x.dtype)
    waits = n.clip(n.negative(n.log1p(n.negative(drawn))), 2.0**-25)  # exponential; a draw of 0 would give infinity
    y: Node = softmax(n.divide(n.subtract(x, n.log(waits)), tau), axis)
    if not hard:
        return y
    place = axis_of(axis, x.ndim)
    classes = apply("iota", shape=x.shape, axis=place, dtype="int32")
    chosen = n.cast(n.equal(n.expand_dims(n.argmax(y, place), place), classes), y.dtype)
    return y + n.stop_gradient(chosen - y)
